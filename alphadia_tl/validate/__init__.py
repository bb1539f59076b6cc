"""Checks on finished searches: errors that they really make, and how they compare."""
