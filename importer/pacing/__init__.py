"""When the next call may leave."""
