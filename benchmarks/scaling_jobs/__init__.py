"""Jobs of a workflow, measured."""

from scaling_jobs.measure import combine, library, paper, plan, runs

__all__ = ["combine", "library", "paper", "plan", "runs"]
