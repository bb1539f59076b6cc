"""Simulated DIA experiments with known truth."""
