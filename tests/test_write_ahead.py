"""Two processes that open a new file at the same moment: neither is turned away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Semaphore

import pytest

from importer.write_ahead import switch_on


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Another process's connection to a new file, which it is reading: nobody can switch it meanwhile."""
    path = tmp_path / "new.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("CREATE TABLE something (kept)")
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM something").fetchall()
        yield connection


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Ours, without any patience of SQLite's own."""
    path = tmp_path / "new.sqlite"
    with closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    ) as connection:
        yield connection


def test_it_waits_for_the_other_process(holder: sqlite3.Connection, opener: sqlite3.Connection) -> None:
    """It is turned away, tries again, and the log is on once the other is done."""
    tries = Semaphore(0)
    opener.set_trace_callback(lambda _: tries.release())
    with ThreadPoolExecutor() as thread:
        switched = thread.submit(switch_on, opener, 60.0)
        assert [tries.acquire(timeout=30) for _ in range(2)] == [True, True]
        holder.execute("COMMIT")
        switched.result()
    assert opener.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_patience_ends(holder: sqlite3.Connection, opener: sqlite3.Connection) -> None:
    """The error is SQLite's own."""
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        switch_on(opener, 0.02)
    assert holder.in_transaction


def test_other_errors_are_not_waited_for(tmp_path: Path) -> None:
    """A file that cannot be written will not be writable by waiting."""
    path = tmp_path / "kept.sqlite"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE something (kept)")
    with (
        closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as opened,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        switch_on(opened, 60.0)
