"""The results file: written, read back, and what a person changed in it."""
