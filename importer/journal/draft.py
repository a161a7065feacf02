"""A journal while it is staged: nothing that could be resumed until it is whole."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from importer.atomic_file import fsync_folder
from importer.journal.file import connect, migrate, told_plainly
from importer.journal.journal import Journal, StagedRow

STAGING: Final = ".staging"
FORGOTTEN_S: Final = 86_400.0


def _clear_away(folder: Path) -> None:
    """Drafts that a kill left behind hold customer data: those of yesterday are removed."""
    for left in folder.glob(f"*{STAGING}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > FORGOTTEN_S:
                left.unlink()


class JournalDraft:
    """A journal while it is staged: under a temporary name, without a journal of its own, so a kill leaves
    nothing that could be resumed. `publish` makes it durable and gives it its name."""

    def __init__(self, folder: Path, batch: str) -> None:
        self.path = folder / f"{batch}.journal"
        self.staging = folder / f"{batch}.{os.getpid()}{STAGING}"
        with told_plainly(self.staging):
            folder.mkdir(parents=True, exist_ok=True)
            _clear_away(folder)
            os.close(os.open(self.staging, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            self.connection = connect(self.staging, durable=False)
            migrate(self.connection, self.staging)
            self.connection.execute("BEGIN")

    def add(self, rows: Iterable[StagedRow], at: str) -> None:
        """Appends rows in the source's order. `at`: UTC, ISO 8601."""
        with told_plainly(self.staging):
            self.connection.executemany(
                "INSERT INTO row (number, cells, activity, problem, status, error_code, error, activity_id,"
                " attempts, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                ((*row, at) for row in rows),
            )

    def journal(self) -> Journal:
        """The draft read and changed like any journal, before it is published."""
        return Journal(self.staging, self.connection)

    def publish(self) -> None:
        """Whole and on the disk under its own name, or not there at all."""
        with told_plainly(self.staging):
            self.connection.execute("COMMIT")
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.close()
            with self.staging.open("rb+") as staged:
                os.fsync(staged.fileno())
            self.staging.replace(self.path)
            fsync_folder(self.path.parent)

    def discard(self) -> None:
        """Leaves nothing of the draft behind; what was published stays."""
        self.connection.close()
        for end in ("", "-wal", "-shm", "-journal"):
            Path(f"{self.staging}{end}").unlink(missing_ok=True)
