"""What stands in the ledger's tables, and how it gets there. To be called inside a transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from importer.journal.journal import Batch, Journal
from importer.ledger.journals import State, all_rows, rows_at

CHUNK_ROWS: Final = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A batch as the ledger knows it. source, results: absolute paths. held: rows that it may still create,
    or cannot tell whether it did, as of the last look. journal: where its journal lies, unless deleted."""

    key: int
    id: str
    tenant: str
    source: str
    results: str
    rows: int
    created_at: str
    held: int
    seen: str
    journal: Path

    @property
    def source_name(self) -> str:
        return Path(self.source).name

    @property
    def missing(self) -> bool:
        """The journal was deleted; what the ledger learnt of it stays."""
        return not self.journal.is_file()


def entries(connection: sqlite3.Connection, folder: Path, condition: str, *values: object) -> list[Entry]:
    """The batches that fit an SQL condition, the latest first. folder: where journals lie."""
    columns = "key, id, tenant, source, results, rows, created_at, held, seen"
    asked = f"SELECT {columns} FROM batch WHERE {condition} ORDER BY created_at DESC, key DESC"  # noqa: S608
    found = connection.execute(asked, values)
    return [Entry(*(*batch, folder / f"{batch[1]}.journal")) for batch in found]


def insert(connection: sqlite3.Connection, journal: Journal, batch: Batch, seen: str = "") -> None:
    """Takes a batch in with all its rows. seen: `signature` of its journal, taken before it was read."""
    known = connection.execute("SELECT key FROM batch WHERE id = ?", (batch.id,)).fetchone()
    if known is None:
        (key,) = connection.execute(
            "INSERT INTO batch (id, tenant, source, results, rows, created_at, held, seen)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, '') RETURNING key",
            (batch.id, batch.tenant, batch.source, batch.results, batch.rows, batch.created_at),
        ).fetchone()
    else:
        (key,) = known
        _set_aside(connection, key)
    connection.executemany(
        "INSERT INTO row (batch, position, fingerprint, state, activity_id) VALUES (?, ?, ?, ?, ?)",
        ((key, *row) for row in all_rows(journal)),
    )
    _describe(connection, key, batch, seen)


def refresh(connection: sqlite3.Connection, key: int, journal: Journal, batch: Batch, seen: str) -> None:
    """Reads again the rows that were not created when they were read last."""
    after = 0
    while kept := _unsettled(connection, key, after):
        after = max(kept)
        rows = rows_at(journal, kept)
        connection.executemany(
            "UPDATE row SET state = ?, activity_id = ? WHERE batch = ? AND position = ?",
            [
                (row.state, row.activity_id, key, row.position)
                for row in rows
                if row.state != kept[row.position][1]
            ],
        )
        # On its own: the index on fingerprints is written anew wherever one is set, were it to itself.
        connection.executemany(
            "UPDATE row SET fingerprint = ? WHERE batch = ? AND position = ?",
            [
                (row.fingerprint, key, row.position)
                for row in rows
                if row.fingerprint != kept[row.position][0]
            ],
        )
    _describe(connection, key, batch, seen)


def delete(connection: sqlite3.Connection, key: int) -> None:
    """Removes a batch and its rows."""
    connection.execute("DELETE FROM row WHERE batch = ?", (key,))
    connection.execute("DELETE FROM digest WHERE batch = ?", (key,))
    connection.execute("DELETE FROM batch WHERE key = ?", (key,))


def _unsettled(connection: sqlite3.Connection, key: int, after: int) -> dict[int, tuple[bytes | None, int]]:
    """Position → (fingerprint, state) of the next rows that have no Id."""
    found = connection.execute(
        "SELECT position, fingerprint, state FROM row INDEXED BY row_unsettled"
        " WHERE batch = ? AND activity_id IS NULL"
        " AND position > ? ORDER BY position LIMIT ?",
        (key, after, CHUNK_ROWS),
    )
    return {position: (mark, state) for position, mark, state in found}


def _set_aside(connection: sqlite3.Connection, key: int) -> None:
    """Makes room for the rows of a journal that was rebuilt: their positions may differ, Ids stay."""
    connection.execute("DELETE FROM row WHERE batch = ? AND activity_id IS NULL", (key,))
    (lowest,) = connection.execute("SELECT min(0, min(position)) FROM row WHERE batch = ?", (key,)).fetchone()
    connection.execute(
        "UPDATE row SET position = ? - position WHERE batch = ? AND position > 0", (lowest or 0, key)
    )


def _describe(connection: sqlite3.Connection, key: int, batch: Batch, seen: str) -> None:
    digests = ((digest, key) for digest in (batch.content, batch.source_cells))
    connection.executemany("INSERT OR IGNORE INTO digest VALUES (?, ?)", digests)
    connection.execute(
        "UPDATE batch SET source = ?, results = ?, rows = ?, seen = ?, held = (SELECT count(*) FROM row"
        " INDEXED BY row_unsettled WHERE row.batch = batch.key AND activity_id IS NULL AND state = ?)"
        " WHERE key = ?",
        (batch.source, batch.results, batch.rows, seen, State.HELD, key),
    )
