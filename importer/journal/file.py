"""The journal as a file: its schema and versions, and how SQLite is made to keep its promises."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from importer.errors import JournalError, ResultsError
from importer.write_ahead import switch_on

APPLICATION_ID: Final = 0x4C53_5149  # "LSQI": tells our files from any other SQLite file

# Each step is applied with its version number in one transaction; a journal of an older version gets the
# steps that it lacks when it is opened. Steps are never edited, only added. (BETWEEN, where IN would read
# better: for a list of three or more, SQLite makes a table of it in every UPDATE and INSERT, which was a
# third of its work.)
MIGRATIONS: Final = (
    f"""
    PRAGMA application_id = {APPLICATION_ID};
    CREATE TABLE batch (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE row (
        position INTEGER PRIMARY KEY,            -- 1, 2, 3 … in the source's order
        number INTEGER NOT NULL,                 -- the row number that Excel shows
        cells TEXT NOT NULL,                     -- encode_cells()
        activity BLOB,                           -- Activity.encoded(); NULL while the row is invalid
        problem TEXT,                            -- why the record cannot be trusted as a whole, if so
        status INTEGER NOT NULL,
        doubted INTEGER NOT NULL DEFAULT 0,      -- an attempt of this row was ever in doubt
        released INTEGER NOT NULL DEFAULT 0,     -- a person looked and says that it is not there
        activity_id TEXT COLLATE NOCASE,         -- Retrieve gives GUIDs back in either case
        error_code TEXT NOT NULL DEFAULT '',
        error TEXT NOT NULL DEFAULT '',
        attempts INTEGER NOT NULL DEFAULT 0,
        changed_at TEXT NOT NULL,
        CHECK (status <> 4 OR activity_id IS NOT NULL),
        CHECK (status NOT BETWEEN 0 AND 3 OR activity IS NOT NULL)
    );
    CREATE INDEX row_status ON row (status);
    CREATE UNIQUE INDEX row_activity_id ON row (activity_id) WHERE activity_id IS NOT NULL;
    CREATE TRIGGER created_never_goes_back BEFORE UPDATE OF status, activity_id ON row
        WHEN OLD.status = 4 AND (NEW.status <> 4 OR NEW.activity_id IS NOT OLD.activity_id)
        BEGIN SELECT RAISE(ABORT, 'a created row never goes back'); END;
    CREATE TRIGGER no_send_in_doubt BEFORE UPDATE OF status ON row
        WHEN NEW.status = 1 AND OLD.status <> 0
        BEGIN SELECT RAISE(ABORT, 'only a pending row may be sent'); END;
    CREATE TABLE attempt (
        id INTEGER PRIMARY KEY,
        position INTEGER NOT NULL REFERENCES row (position),
        body BLOB,                               -- what was sent, NULL while it is still the row's activity
        marked_at REAL NOT NULL,
        clock_difference REAL NOT NULL,          -- the tenant's clock minus ours, seconds
        ended_at REAL,
        http_status INTEGER,
        outcome TEXT,                            -- outcomes.Kind; NULL: cut off
        code TEXT,
        detail TEXT
    );
    CREATE INDEX attempt_position ON attempt (position);
    CREATE TABLE lookup (question TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE reading (                       -- `importer verify`: what was read back of a created row
        position INTEGER PRIMARY KEY REFERENCES row (position),
        read_at TEXT NOT NULL,
        differences TEXT NOT NULL                -- JSON: [[field, verdict, sent, stored], …]; [] is equal
    );
    """,
)
VERSION: Final = len(MIGRATIONS)
WAIT_S: Final = 30.0
"""For another process that is at the file."""


@contextmanager
def told_plainly(path: Path) -> Iterator[None]:
    """SQLite's and the disk's errors, and values that a file cannot hold, as one JournalError."""
    try:
        yield
    except (sqlite3.Error, OSError, ValueError, TypeError, OverflowError) as error:
        raise JournalError(
            f"The journal could not be used: {error}.",
            where=str(path),
            remedy="See that the disk has room and the folder can be written, then resume.",
        ) from error


def expect_journal(path: Path) -> None:
    """Raises ValueError for a file that does not say of itself that it is one of ours; changes nothing."""
    with path.open("rb") as stream:
        head = stream.read(100)
    if head[:16] != b"SQLite format 3\0" or int.from_bytes(head[68:72], "big") != APPLICATION_ID:
        raise ValueError("it is not one of ours")


def connect(path: Path, *, durable: bool = True) -> sqlite3.Connection:
    """A connection in autocommit, fit to be handed to one other thread.

    durable: every commit is on the disk before it returns.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=WAIT_S)
    if durable:
        switch_on(connection, WAIT_S)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone stops at the drive's cache
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
    else:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -16000")
    return connection


def newer(path: Path, version: int) -> ResultsError:
    """What is said of a journal that this version does not know."""
    return ResultsError(
        f"A newer importer wrote this batch (journal version {version}; this one knows {VERSION}).",
        where=str(path),
        remedy="Update the importer, then try again. Nothing was changed.",
    )


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Brings the schema to VERSION, each step and its record in one transaction.

    Raises ResultsError for a file of a newer importer or one that is no journal.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise newer(path, version)
    for step in range(version, VERSION):
        record = f"PRAGMA user_version = {step + 1};"
        connection.executescript(f"BEGIN IMMEDIATE; {MIGRATIONS[step]} {record} COMMIT;")
