"""The transfer library: what the models learn from."""
