"""What the tenant holds, kept in a file, so that a rehearsal's `resume` finds what was created before.

One SQLite file, one table. Each write is committed before the call is answered. The file need only survive a
killed process, not a power cut (it is a rehearsal's), so no write waits for the disk.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS activity (
    id TEXT PRIMARY KEY, company_id TEXT NOT NULL, event INTEGER NOT NULL, note TEXT NOT NULL,
    created_by TEXT NOT NULL, created_on REAL NOT NULL, modified_on REAL NOT NULL, visible_at REAL NOT NULL,
    fields TEXT NOT NULL, origin TEXT NOT NULL, modified_by TEXT NOT NULL
) STRICT
"""


@dataclass(slots=True)
class Held:
    """An activity that the tenant holds, values exactly as they were received.

    company_id, id, created_by, modified_by: GUIDs in lower case. Times: seconds since 1970 with fractions;
    created_on and modified_on by the tenant's clock, visible_at by the machine's: reads see it from then on.
    origin: "api" for what came in through Create, else what put it there ("foreign", "existing").
    """

    id: str
    company_id: str
    event: int
    note: str
    created_by: str
    created_on: float
    modified_on: float
    visible_at: float
    fields: dict[str, str] = field(default_factory=dict)
    origin: str = "api"
    modified_by: str = ""


class Store(Protocol):
    """Where a tenant keeps its activities between two processes."""

    def keep(self, held: Held) -> None: ...
    def remove(self, activity_id: str) -> None: ...
    def all(self) -> Iterator[Held]: ...
    def close(self) -> None: ...


class Nowhere:
    """Keeps nothing: the activities live as long as the process."""

    def keep(self, held: Held) -> None:
        """Nothing to do: the tenant has it in memory."""

    def remove(self, activity_id: str) -> None:
        """Nothing to do either."""

    def all(self) -> Iterator[Held]:
        """Nothing was kept."""
        return iter(())

    def close(self) -> None:
        """Nothing to close."""


class StoreFileError(Exception):
    """The file cannot be opened as a store, or is none of ours."""


class FileStore:
    """A SQLite file, readable by its owner only: a rehearsal's rows are customers' data.

    Raises OSError or StoreFileError when the file cannot be opened or is none of ours.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute(_SCHEMA)
        except sqlite3.Error as error:
            self._db.close()
            raise StoreFileError(str(error)) from error

    def keep(self, held: Held) -> None:
        """Commits this state of the activity."""
        note, fields = json.dumps(held.note), json.dumps(held.fields)  # ASCII: lone surrogates survive
        values = (
            held.id, held.company_id, held.event, note, held.created_by, held.created_on, held.modified_on,
            held.visible_at, fields, held.origin, held.modified_by,
        )  # fmt: skip
        self._db.execute("INSERT OR REPLACE INTO activity VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def remove(self, activity_id: str) -> None:
        """Commits that the activity is gone."""
        self._db.execute("DELETE FROM activity WHERE id = ?", (activity_id,))

    def all(self) -> Iterator[Held]:
        """Everything that was ever kept, oldest first."""
        for row in self._db.execute("SELECT * FROM activity ORDER BY created_on"):
            activity_id, company_id, event, note, by, created, modified, visible, fields, *more = row
            yield Held(
                activity_id, company_id, event, json.loads(note), by, created, modified, visible,
                json.loads(fields), *more,
            )  # fmt: skip

    def close(self) -> None:
        """Folds the write-ahead log into the file."""
        self._db.close()
