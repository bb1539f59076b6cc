"""Finished searches beside each other."""
