"""One run of a batch: claim, pace, mark, send, record; looks at rows in doubt."""
