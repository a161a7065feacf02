"""A batch's journal: its file, its draft, its one writer and its lock."""
