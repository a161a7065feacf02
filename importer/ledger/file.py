"""The ledger as a file: its schema and versions, and how SQLite's errors are told."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from importer.atomic_file import fsync_folder
from importer.errors import ImporterError, ResultsError
from importer.journal.file import connect

APPLICATION_ID: Final = 0x4C53_514C  # "LSQL": tells the ledger from a journal and from any other SQLite file

# Each step is applied with its version number in one transaction. Steps are never edited, only added.
MIGRATIONS: Final = (
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        """
        CREATE TABLE batch (
            key INTEGER PRIMARY KEY,
            id TEXT NOT NULL UNIQUE,
            tenant TEXT NOT NULL,
            source TEXT NOT NULL,
            results TEXT NOT NULL,
            rows INTEGER NOT NULL,
            created_at TEXT NOT NULL,
            held INTEGER NOT NULL,            -- rows that are State.HELD
            seen TEXT NOT NULL                -- the journal's files as they were when it was read last
        )
        """,
        "CREATE INDEX batch_tenant ON batch (tenant)",
        """
        CREATE TABLE digest (                 -- of activities or of source cells; a batch's former ones stay
            value TEXT NOT NULL,
            batch INTEGER NOT NULL REFERENCES batch (key),
            PRIMARY KEY (value, batch)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE row (
            batch INTEGER NOT NULL REFERENCES batch (key),
            position INTEGER NOT NULL,        -- as in the journal; below 0: of a journal that is no more
            fingerprint BLOB,                 -- activity.fingerprint(); NULL while nothing is to be sent
            state INTEGER NOT NULL,           -- State
            activity_id TEXT COLLATE NOCASE,  -- Ids come back in either case
            PRIMARY KEY (batch, position),
            CHECK ((state = 3) = (activity_id IS NOT NULL))
        ) WITHOUT ROWID
        """,
        "CREATE INDEX row_fingerprint ON row (fingerprint) WHERE fingerprint IS NOT NULL",
        "CREATE INDEX row_activity_id ON row (activity_id) WHERE activity_id IS NOT NULL",
        "CREATE INDEX row_unsettled ON row (batch, position) WHERE activity_id IS NULL",
        """
        CREATE TRIGGER created_never_goes_back BEFORE UPDATE OF activity_id ON row
            WHEN OLD.activity_id IS NOT NULL AND NEW.activity_id IS NOT OLD.activity_id
            BEGIN SELECT RAISE(ABORT, 'a created row keeps its Id'); END
        """,
    ),
)
VERSION: Final = len(MIGRATIONS)
WAIT_MS: Final = 120_000  # for another window that registers a large batch


@contextmanager
def told(path: Path, kind: type[ImporterError] = ResultsError) -> Iterator[None]:
    """SQLite's and the disk's errors as one error of `kind` that names the ledger."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        locked = getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")
        raise kind(
            f"The ledger of all batches could not be used: {error}.",
            where=str(path),
            remedy="Another window is busy with it: try again in a minute."
            if locked
            else "See that the disk has room and the folder can be written. If the file is damaged, move it"
            " away: the next run makes a new one from the journals.",
        ) from error


def in_memory() -> sqlite3.Connection:
    """An empty ledger for as long as there is nothing to keep: a command that ends early leaves nothing."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _migrate(connection, Path("memory"))
    return connection


def open_file(path: Path) -> sqlite3.Connection:
    """The ledger at `path`, created if need be, at this version. One transaction at a time writes.

    Raises ResultsError when it is damaged, of a newer importer, no ledger, or cannot be written.
    """
    with told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        if path.stat().st_size and not _is_ledger(path):
            raise sqlite3.DatabaseError("the file is not one of ours")
        connection = connect(path)
        try:
            connection.execute(f"PRAGMA busy_timeout = {WAIT_MS}")
            connection.execute("PRAGMA cache_size = -64000")  # a million fingerprints arrive in no order
            _migrate(connection, path)
            connection.execute("SELECT count(*) FROM batch").fetchone()
        except BaseException:
            connection.close()
            raise
        fsync_folder(path.parent)
    return connection


def _is_ledger(path: Path) -> bool:
    """From the file's first bytes, before SQLite changes anything in a file that is not ours."""
    with path.open("rb") as file:
        header = file.read(100)
    # SQLite's file format, "The Database Header": the application id is at offset 68. While the very first
    # transaction is still in the -wal file, it is 0.
    application = int.from_bytes(header[68:72], "big")
    return header.startswith(b"SQLite format 3\0") and application in (0, APPLICATION_ID)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection, path) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Asked again: another process may have done it in the meantime.
        for step in range(_version(connection, path), VERSION):
            for statement in MIGRATIONS[step]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {step + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if version > 0 and application != APPLICATION_ID:
        raise sqlite3.DatabaseError("the file is not one of ours")
    if version > VERSION:
        raise ResultsError(
            f"A newer importer wrote the ledger (version {version}; this one knows {VERSION}).",
            where=str(path),
            remedy="Update the importer, then try again. Nothing was changed.",
        )
    return int(version)
