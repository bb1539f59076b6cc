"""One training loop for all models: schedule, early stopping, checkpoints."""
