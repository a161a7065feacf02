"""A journal while it is staged: nothing that could be resumed until it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from importer.journal import Journal, StagedRow
from importer.journal_file import connect, fsync_folder, migrate, told_plainly


class JournalDraft:
    """A journal while it is staged: under a temporary name, without a journal of its own, so a kill leaves
    nothing that could be resumed. `publish` makes it durable and gives it its name."""

    def __init__(self, folder: Path, batch: str) -> None:
        self.path = folder / f"{batch}.journal"
        self.staging = folder / f"{batch}.staging"
        with told_plainly(self.staging):
            folder.mkdir(parents=True, exist_ok=True)
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
