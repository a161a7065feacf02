"""SQLite's write-ahead log, switched on by whichever process opens a file first."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

TRY_AGAIN_S: Final = 0.005


def switch_on(connection: sqlite3.Connection, patience_s: float) -> None:
    """Has the file kept with a write-ahead log from now on. Raises what SQLite raises.

    Of two processes that do this to a new file at the same moment, SQLite turns one away at once, whatever
    its timeout (observed: one pair of windows in six). That one tries again, for so long.
    """
    until = time.monotonic() + patience_s
    while not _switched(connection, last=time.monotonic() >= until):
        time.sleep(TRY_AGAIN_S)


def _switched(connection: sqlite3.Connection, *, last: bool) -> bool:
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if last or not error.sqlite_errorname.startswith("SQLITE_BUSY"):
            raise
        return False
    return True
