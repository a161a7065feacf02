"""The index of all batches and of what they created."""
