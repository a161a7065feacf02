"""A starter mapping from a sheet's own columns."""
