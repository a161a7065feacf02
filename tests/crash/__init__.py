"""The real process killed with SIGKILL, again and again, until a batch is done."""
