"""The API: calls, answers, and what an exchange tells."""
