"""The two-pass search as a workflow: every stage a job on files, put together by Snakemake."""
