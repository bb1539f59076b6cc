"""The library of the final pass: predicted, checked, written."""
