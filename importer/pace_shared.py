"""The pace of all processes of one tenant on this machine: a small record on disk."""

from __future__ import annotations

from pathlib import Path


class SharedPace:
    """A record under the importer's home, one file per tenant."""

    def __init__(self, path: Path) -> None:
        self.path = path
