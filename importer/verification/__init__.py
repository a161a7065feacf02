"""Created activities read back and compared with what was sent."""
