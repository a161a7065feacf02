"""What must be known again: batches, rows, attempts, lookups, readings, corrections, pace."""
