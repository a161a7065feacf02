"""The commands: the only place that prints, asks, or ends the process."""
