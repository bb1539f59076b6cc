"""Stages of `speed.py`."""
