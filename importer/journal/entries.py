"""What is written to a journal while rows are sent, and how a group of it becomes one SQL statement.

The statement inserts into a view of the connection's own, whose triggers make the changes. `executemany`, or
a statement for each kind of change, would do the same, but the thread that writes shares the interpreter's
lock with the loop that sends and has to wait for it after every statement: of an unthrottled run's commits,
most was such waiting.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from importer.journal.journal import RowStatus

STATEMENT_ROWS_MAX: Final = 64
"""A mark and an ending for as many rows as there are workers by default. Each number of rows is a statement
that SQLite prepares once."""


class Mark(NamedTuple):
    """A call for this row is about to leave. body: what it sends, None when that is the row's activity."""

    attempt: int
    position: int
    body: bytes | None
    at: float
    clock_difference: float


class Ending(NamedTuple):
    """How a marked call ended, and what its row is from now on. spent: it counts as an attempt."""

    attempt: int
    position: int
    at: float
    http_status: int | None
    outcome: str
    code: str
    detail: str
    status: RowStatus
    activity_id: str | None = None
    error_code: str = ""
    error: str = ""
    spent: bool = True
    doubted: bool = False


class Ruling(NamedTuple):
    """What a look at the tenant, or the end of its patience, made of a row that was in doubt."""

    position: int
    at: float
    status: RowStatus
    activity_id: str | None = None
    error_code: str = ""
    error: str = ""


class Note(NamedTuple):
    """A fact about the whole batch, as `Journal.state` keeps it: a JSON value."""

    name: str
    value: str


Entry = Mark | Ending | Ruling | Note

_COLUMNS: Final = (
    "kind, attempt, position, at, clock_difference, body, http_status, outcome, code, detail, status,"
    " activity_id, error_code, error, spent, doubted"
)
_COLUMNS_COUNT: Final = _COLUMNS.count(",") + 1
_ONE_CHANGED: Final = "SELECT RAISE(ABORT, 'a change was written that fits no row') WHERE changes() <> 1"
_MARK: Final = """
    INSERT INTO attempt (id, position, body, marked_at, clock_difference)
        VALUES (NEW.attempt, NEW.position, NEW.body, NEW.at, NEW.clock_difference);
    UPDATE row SET status = 1, attempts = attempts + 1,
            changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.at, 'unixepoch')
        WHERE position = NEW.position"""
_END_ATTEMPT: Final = """
    UPDATE attempt SET ended_at = NEW.at, http_status = NEW.http_status, outcome = NEW.outcome,
            code = NEW.code, detail = NEW.detail
        WHERE id = NEW.attempt"""
# What a person saw was seen before this call: of what it may have created they know nothing.
_END_ROW: Final = """
    UPDATE row SET status = NEW.status, activity_id = NEW.activity_id, error_code = NEW.error_code,
            error = NEW.error, attempts = attempts - (NOT NEW.spent), doubted = max(doubted, NEW.doubted),
            released = released AND NOT NEW.doubted,
            changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.at, 'unixepoch')
        WHERE position = NEW.position AND status = 1"""
_RULE: Final = """
    UPDATE row SET status = NEW.status, activity_id = NEW.activity_id, error_code = NEW.error_code,
            error = NEW.error, changed_at = strftime('%Y-%m-%dT%H:%M:%fZ', NEW.at, 'unixepoch')
        WHERE position = NEW.position"""
_NOTE: Final = "INSERT OR REPLACE INTO batch VALUES (NEW.code, NEW.detail)"
_CHANGES: Final = {
    "mark": (_MARK, _ONE_CHANGED),
    "ending": (_END_ATTEMPT, _ONE_CHANGED, _END_ROW, _ONE_CHANGED),
    "ruling": (_RULE, _ONE_CHANGED),
    "note": (_NOTE,),
}


def prepare(connection: sqlite3.Connection) -> None:
    """Makes a connection fit for `apply`. Nothing of it stands in the file."""
    nothing = ", ".join(["NULL"] * _COLUMNS_COUNT)
    connection.execute(f"CREATE TEMP VIEW entry ({_COLUMNS}) AS SELECT {nothing}")
    for kind, changes in _CHANGES.items():
        head = f"CREATE TEMP TRIGGER {kind} INSTEAD OF INSERT ON entry WHEN NEW.kind = '{kind}'"
        connection.execute(f"{head} BEGIN {'; '.join(changes)}; END")


def apply(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """One group of entries, all or none of them, durable on return.

    Raises IntegrityError where one does not fit its row, besides what SQLite raises for the disk.
    """
    statements = range(0, len(entries), STATEMENT_ROWS_MAX)
    if len(statements) == 1:
        _insert(connection, entries)
        return
    connection.execute("BEGIN IMMEDIATE")
    for start in statements:
        _insert(connection, entries[start : start + STATEMENT_ROWS_MAX])
    connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    values: list[object] = []
    for entry in entries:
        values += _values(entry)
    connection.execute(" ".join((_INSERT, ", ".join([_ROW] * len(entries)))), values)


_INSERT: Final = "INSERT INTO entry VALUES"
_ROW: Final = f"({', '.join('?' * _COLUMNS_COUNT)})"


def _values(entry: Entry) -> Sequence[object]:
    """In the order of `_COLUMNS`, "" where a kind has none. Of exact types: SQLite's module asks about any
    other, None and booleans included, whether it wants to be converted, which costs more than binding it."""
    match entry:
        case Mark():
            return ("mark", *entry[:2], entry.at, entry.clock_difference, entry.body,
                    "", "", "", "", "", "", "", "", "", "")  # fmt: skip
        case Ending():
            return ("ending", *entry[:3], "", "", entry.http_status, str(entry.outcome), entry.code,
                    entry.detail, int(entry.status), entry.activity_id, entry.error_code, entry.error,
                    int(entry.spent), int(entry.doubted))  # fmt: skip
        case Ruling():
            return ("ruling", "", *entry[:2], "", "", "", "", "", "", int(entry.status), *entry[3:], "", "")
        case Note():
            return ("note", "", "", "", "", "", "", "", *entry, "", "", "", "", "", "")
