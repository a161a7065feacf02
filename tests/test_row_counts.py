"""Counts of rows that are kept until something changes, whoever changes it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from importer.journal.row_counts import RowCounts


def _rows(path: Path, statuses: list[int]) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE row (position INTEGER PRIMARY KEY, status INTEGER)")
    connection.executemany("INSERT INTO row (status) VALUES (?)", [(status,) for status in statuses])
    return connection


def test_a_change_of_the_same_connection_is_counted(tmp_path: Path) -> None:
    """What was counted before is not told again."""
    with closing(_rows(tmp_path / "rows", [0, 0, 4])) as connection:
        counts = RowCounts(connection)
        before = dict(counts.now())
        connection.execute("UPDATE row SET status = 4 WHERE position = 1")
        assert (before, counts.now()) == ({0: 2, 4: 1}, {0: 1, 4: 2})


def test_a_change_of_another_connection_is_counted(tmp_path: Path) -> None:
    """The writer of a run has a connection of its own."""
    path = tmp_path / "rows"
    with closing(_rows(path, [0, 0])) as connection, closing(sqlite3.connect(path)) as other:
        counts = RowCounts(connection)
        before = dict(counts.now())
        with other:
            other.execute("UPDATE row SET status = 5 WHERE position = 2")
        assert (before, counts.now()) == ({0: 2}, {0: 1, 5: 1})


def test_what_was_taken_back_is_forgotten_when_told(tmp_path: Path) -> None:
    """A transaction that was rolled back leaves no trace in the file: its counts must not outlive it."""
    with closing(_rows(tmp_path / "rows", [0, 0])) as connection:
        counts = RowCounts(connection)
        connection.execute("BEGIN")
        connection.execute("UPDATE row SET status = 4")
        within = dict(counts.now())
        connection.execute("ROLLBACK")
        counts.forget()
        assert (within, counts.now()) == ({4: 2}, {0: 2})
