"""The report of a search, and of a comparison."""
