"""The four PeptDeep models: loading, tuning, predicting, judging, and where they come from."""
