"""Between the passes: transfer library, tuning, gate, library."""
