"""Entrapment: proteins that cannot be in the sample, and the error that they tell."""
