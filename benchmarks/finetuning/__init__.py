"""Side-by-side benchmark of fine-tuning on measured data."""
