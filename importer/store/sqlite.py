"""The embedded store: one SQLite file in IMPORTER_HOME, nothing to set up.

Every commit is on the disk before it returns (WAL with `synchronous = FULL`); what is deleted is overwritten.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from sqlalchemy import ColumnElement, Connection, Double, Engine, Table, create_engine, event, insert, literal
from sqlalchemy.dialects.sqlite import insert as insert_or_replace
from sqlalchemy.pool import NullPool, Pool, QueuePool, StaticPool

from importer.errors import StoreError, StoreUnusableError
from importer.store.database import Database, Release
from importer.store.schema import APPLICATION_ID, VERSIONS, create_all

FILE_NAME: Final = "importer.db"
WAIT_S: Final = 30.0
"""For another process that writes. The longest transaction publishes a million rows."""
BUSY_AGAIN_S: Final = 0.005


class SqliteDatabase(Database):
    """The file `importer.db` in `home`; in memory while there is nothing to keep (`home` None)."""

    dialect = "sqlite"
    driver_error = sqlite3.Error
    dialect_insert = staticmethod(insert_or_replace)
    read_options: Mapping[str, Any] = {"importer_begin": ""}
    snapshot_options: Mapping[str, Any] = {"importer_begin": "BEGIN"}
    write_options: Mapping[str, Any] = {"importer_begin": "BEGIN IMMEDIATE"}

    def __init__(self, home: Path | None) -> None:
        self.home = home
        self.path = None if home is None else home / FILE_NAME
        self.location = "nothing was stored yet" if self.path is None else str(self.path)
        self._inode = 0
        if self.path is not None:
            _prepare(self.path)
            self._inode = self.path.stat().st_ino
        self.engine = self.kept_engine = self._engine(StaticPool)
        if self.path is None:
            with self.writing() as connection:
                create_all(connection)
        else:
            self.engine, self.kept_engine = self._engine(QueuePool), self._engine(NullPool)

    def _engine(self, pool: type[Pool]) -> Engine:
        def connect() -> sqlite3.Connection:
            return _connect(self.path)

        engine = create_engine("sqlite://", creator=connect, poolclass=pool, hide_parameters=True)
        event.listen(engine, "begin", _begin)
        return engine

    def version(self, connection: Connection) -> str | None:
        """In memory, this importer's own."""
        return VERSIONS[-1] if self.path is None else super().version(connection)

    def set_durable(self, connection: Connection, *, durable: bool) -> None:
        """By waiting for the disk at each commit, or at a checkpoint."""
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        raw.execute(f"PRAGMA wal_autocheckpoint = {1_000 if durable else 10_000}")
        raw.execute(f"PRAGMA cache_size = {-16_000 if durable else -64_000}")

    def clock(self) -> ColumnElement[float]:
        """This computer's."""
        return literal(time.time(), Double)

    def lock(self, name: str, connection: Connection) -> Release | None:
        """A lock on a file of this name, which ends with the process."""
        del connection
        return self._lock(self._lock_file(name))

    def _lock_file(self, name: str) -> Path:
        assert self.home is not None, "nobody has a batch in a store in memory"
        return self.home / "locks" / f"{name}.lock"

    def _lock(self, file: Path) -> Release | None:
        with self.trouble():
            file.parent.mkdir(mode=0o700, exist_ok=True)
            lock = FileLock(file, timeout=0, mode=0o600, thread_local=False)
            try:
                lock.acquire()
            except Timeout:
                return None
            except (NotImplementedError, RuntimeError) as error:
                raise OSError(f"the folder does not support locks: {error}") from error
        return partial(lock.release, force=True)

    def forget_lock(self, name: str) -> None:
        """Its file."""
        with suppress(OSError):  # Windows keeps a file that is open
            self._lock_file(name).unlink()

    def locked(self, names: Sequence[str]) -> set[str]:
        """By trying each that has a file. One that cannot be tried may be held."""
        found = set()
        for file in map(self._lock_file, names) if self.home else ():
            if not file.exists():
                continue
            release: Release | None = None
            with suppress(StoreError):
                release = self._lock(file)
            if release is None:
                found.add(file.stem)
            else:
                release()
        return found

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """By `executemany` without SQLAlchemy's work on each value, which is half of staging."""
        if rows:
            names = [column.name for column in table.columns if column.name in rows[0]]
            statement = str(insert(table).compile(dialect=connection.dialect, column_keys=names))
            connection.exec_driver_sql(statement, list(map(itemgetter(*names), rows)))

    def size_bytes(self) -> int:
        """The file and its log."""
        if self.path is None:
            return 0
        files = (self.path, self.path.with_name(f"{FILE_NAME}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    def lost(self, error: BaseException) -> StoreError:
        """SQLite's and the disk's trouble."""
        name = getattr(getattr(error, "orig", error), "sqlite_errorname", "")
        said = self.said(error)
        if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            what, remedy = "Another window is busy with the store.", "Try again in a minute."
        elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            what = f"The store is damaged: {said}."
            remedy = "Restore the file from a backup. Do not delete it: it knows what was sent."
        elif name.startswith("SQLITE_FULL") or getattr(error, "errno", None) == 28:
            what, remedy = "The disk is full.", "Make room, then resume."
        else:
            what = f"The store could not be used: {said}."
            remedy = "Check that the disk has room and that the folder can be written, then resume."
        return StoreError(what, where=self.location, remedy=remedy)

    def overwrite(self) -> None:
        """Writes the file again without what was deleted, and cuts the log to nothing, which others who read
        hold up. Raises StoreError while they do."""
        if self.path is None:
            return
        until = time.monotonic() + WAIT_S
        with self.reading() as connection:
            connection.exec_driver_sql("VACUUM")
            while True:
                busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").scalar()
                if not busy:
                    return
                if time.monotonic() >= until:
                    raise StoreError(
                        "The data was removed, but another window reads: remains are in the store's log.",
                        where=f"{self.path}-wal",
                        remedy="End the other window, then erase the batch again.",
                    )
                time.sleep(BUSY_AGAIN_S)

    def expect_in_place(self) -> None:
        """On Unix a removed file can be written to for ever."""
        if self.path is not None and self.path.stat().st_ino != self._inode:
            raise OSError("the file was replaced by another")


def _begin(connection: Connection) -> None:
    if statement := connection.get_execution_options().get("importer_begin", "BEGIN"):
        connection.exec_driver_sql(statement)


def _prepare(path: Path) -> None:
    """The folder and the file for their owner alone, before SQLite sees them. Raises StoreUnusableError."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.is_symlink():
            remedy = "Put the file itself in its place."
            raise StoreUnusableError("The store is a link.", where=str(path), remedy=remedy)
        handle = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            _expect_ours(handle, path)
            if hasattr(os, "fchmod") and stat.S_IMODE(os.fstat(handle).st_mode) & 0o077:
                os.fchmod(handle, 0o600)
        finally:
            os.close(handle)
    except OSError as error:
        raise StoreUnusableError(
            f"The store cannot be opened ({error.strerror or error}).",
            where=str(path),
            remedy="Check that the folder can be written, or set IMPORTER_HOME to one that can.",
        ) from None


def _expect_ours(handle: int, path: Path) -> None:
    """From the first bytes, before anything is changed in a file that is not ours."""
    head = os.read(handle, 100)
    # SQLite's file format, "The Database Header": the application id is at offset 68. While the very first
    # transaction is still in the -wal file, it is 0.
    application = int.from_bytes(head[68:72], "big")
    if head and (head[:16] != b"SQLite format 3\0" or application not in {0, APPLICATION_ID}):
        raise StoreUnusableError(
            "The file is damaged, or not a store of the importer.",
            where=str(path),
            remedy="Restore it from a backup, or move it away. Nothing was changed.",
        )


def _connect(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(
        ":memory:" if path is None else path, isolation_level=None, check_same_thread=False, timeout=WAIT_S
    )
    if path is not None:
        _use_log(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: fsync alone stops at the drive's cache
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cache_size = -16000")
    return connection


def _use_log(connection: sqlite3.Connection) -> None:
    """Has the file kept with a write-ahead log.

    Of two processes that do this to a new file at the same moment, SQLite turns one away at once, whatever
    its timeout (observed: one pair of windows in six). That one tries again.
    """
    until = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() >= until:
                raise
            time.sleep(BUSY_AGAIN_S)
        else:
            return
