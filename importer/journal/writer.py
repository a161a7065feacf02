"""The one writer of a journal while a run is under way: many rows, one fsync.

A thread takes whatever has gathered since its last commit, writes it in one transaction, and only then are
those who wait for it told. When calls are slower than the disk, every group has one member; when they are
faster, the groups grow by themselves.

A failure is final: nothing that was not on the disk is ever said to be, and nothing more is taken. So no
further call can leave, since none leaves without its mark.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from importer.errors import JournalError
from importer.journal.file import connect, told_plainly
from importer.journal.journal import Journal, RowStatus

GROUP_MAX: Final = 1_000
STATEMENT_ROWS_MAX: Final = 32
"""As many as there are workers by default; each number of rows is a statement that SQLite prepares once."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A call for this row is about to leave. body: what it sends, None when that is the row's activity."""

    attempt: int
    position: int
    body: bytes | None
    at: float
    clock_difference: float


@dataclass(frozen=True, slots=True)
class Ending:
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


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a look at the tenant, or the end of its patience, made of a row that was in doubt."""

    position: int
    at: float
    status: RowStatus
    activity_id: str | None = None
    error_code: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    """A fact about the whole batch, as `Journal.state` keeps it: a JSON value."""

    name: str
    value: str


Entry = Mark | Ending | Ruling | Note
_Waiting = tuple[Entry, "asyncio.Future[None]"]


def iso(at: float) -> str:
    """Unix seconds as UTC, ISO 8601 with milliseconds and a Z, as `import_time` has it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JournalWriter:
    """Owns the journal's writes from `start` to `close`. To be used from one event loop."""

    def __init__(self, journal: Journal, wall: Callable[[], float] = time.time) -> None:
        self.path: Path = journal.path
        self.wall = wall
        self.failure: JournalError | None = None
        self.outstanding = 0
        self._attempt = journal.last_attempt_id()
        self._entries: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="journal", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<JournalWriter {self.path.name} outstanding={self.outstanding} failure={self.failure!r}>"

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._inode = self.path.stat().st_ino
        self._thread.start()

    async def close(self) -> bool:
        """Returns when all that was handed in is on the disk (True), or has failed."""
        self._entries.put(None)
        while self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # those who wait are told in the loop
        whole = self.failure is None
        if whole:
            self.failure = JournalError("Nothing more is written: the run is over.", where=str(self.path))
        return whole

    async def mark(self, position: int, body: bytes | None, clock_difference: float) -> tuple[int, float]:
        """Durably marks a row as being sent. Gives the attempt's id and the time of the mark."""
        self._attempt += 1
        mark = Mark(self._attempt, position, body, self.wall(), clock_difference)
        await self.write(mark)
        return mark.attempt, mark.at

    async def write(self, entry: Entry) -> None:
        """Returns once `entry` is on the disk. Raises JournalError when it is not and never will be."""
        if self.failure is not None:
            raise self.failure
        if self._loop is None:
            raise RuntimeError("the writer was not started")
        done: asyncio.Future[None] = self._loop.create_future()
        self.outstanding += 1
        self._entries.put((entry, done))
        await done  # who is cancelled meanwhile still finds its entry whole on the disk

    def _write(self) -> None:
        try:
            with told_plainly(self.path):
                connection = connect(self.path)
        except JournalError as error:
            self._refuse([], error)
            return
        try:
            while (group := self._gather()) is not None:
                try:
                    self._commit(connection, [entry for entry, _ in group])
                except JournalError as error:
                    self._refuse(group, error)
                    return
                self._tell(group, None)
        finally:
            with suppress(sqlite3.Error):
                connection.close()

    def _gather(self) -> list[_Waiting] | None:
        """All that has gathered, at most GROUP_MAX; waits for the first. None at the end."""
        first = self._entries.get()
        if first is None:
            return None
        group = [first]
        while len(group) < GROUP_MAX:
            try:
                following = self._entries.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._entries.put(None)
                break
            group.append(following)
        return group

    def _commit(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        with told_plainly(self.path):
            # On Unix a removed file can be written to for ever, and nobody will find what stands there.
            if self.path.stat().st_ino != self._inode:
                raise OSError("the file was replaced by another")
            connection.execute("BEGIN IMMEDIATE")
            try:
                _apply(connection, entries)
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _refuse(self, group: list[_Waiting], error: JournalError) -> None:
        self.failure = error
        self._tell(group, error)
        while True:  # ends with the None of close(); until then everything is refused
            following = self._entries.get()
            if following is None:
                return
            self._tell([following], error)

    def _tell(self, group: list[_Waiting], error: JournalError | None) -> None:
        loop = self._loop
        if loop is None or not group:
            return
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._told, group, error)

    def _told(self, group: list[_Waiting], error: JournalError | None) -> None:
        self.outstanding -= len(group)
        for _, done in group:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
                done.exception()  # its waiter may have gone; that is no warning


def _apply(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """One group of entries, each of another row: a row's next entry is handed in when its last is durable."""
    marks = [entry for entry in entries if isinstance(entry, Mark)]
    endings = [entry for entry in entries if isinstance(entry, Ending)]
    rulings = [entry for entry in entries if isinstance(entry, Ruling)]
    notes = [entry for entry in entries if isinstance(entry, Note)]
    _ATTEMPT_MARKED.run(
        connection,
        [(mark.attempt, mark.position, mark.body, mark.at, mark.clock_difference) for mark in marks],
    )
    _ROW_MARKED.run(connection, [(mark.position, iso(mark.at)) for mark in marks])
    _ATTEMPT_ENDED.run(
        connection,
        [(end.attempt, end.at, end.http_status, end.outcome, end.code, end.detail) for end in endings],
    )
    _ROW_ENDED.run(
        connection,
        [
            (end.position, end.status, end.activity_id, end.error_code, end.error, end.spent, end.doubted,
             iso(end.at))
            for end in endings
        ],
    )  # fmt: skip
    _NOTED.run(connection, [(note.name, note.value) for note in notes])
    _RULED.run(
        connection,
        [
            (rule.position, rule.status, rule.activity_id, rule.error_code, rule.error, iso(rule.at))
            for rule in rulings
        ],
    )


class _Grouped:
    """One statement for many rows of values.

    `executemany` would do, but it asks for the interpreter's lock once a row, and the loop that sends holds
    that for milliseconds at a time: the commits of an unthrottled run took eight times their own work.
    """

    def __init__(self, columns: int, before: str, after: str = "") -> None:
        self._before = before
        self._after = after
        self._one = f"({', '.join('?' * columns)})"

    def run(self, connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> None:
        """Raises IntegrityError unless every one of `rows` changed one row of the table."""
        for start in range(0, len(rows), STATEMENT_ROWS_MAX):
            some = rows[start : start + STATEMENT_ROWS_MAX]
            values = ", ".join([self._one] * len(some))
            statement = f"{self._before} VALUES {values} {self._after}"
            changed = connection.execute(statement, [value for row in some for value in row]).rowcount
            if changed != len(some):
                raise sqlite3.IntegrityError(
                    f"{len(some)} changes were to be written, {changed} fitted the rows"
                )


_ATTEMPT_MARKED: Final = _Grouped(
    5, "INSERT INTO attempt (id, position, body, marked_at, clock_difference)"
)  # fmt: skip
_ROW_MARKED: Final = _Grouped(
    2,
    "UPDATE row SET status = 1, attempts = attempts + 1, changed_at = new.column2 FROM (",
    ") AS new WHERE position = new.column1",
)
_ATTEMPT_ENDED: Final = _Grouped(
    6,
    "UPDATE attempt SET ended_at = new.column2, http_status = new.column3, outcome = new.column4,"
    " code = new.column5, detail = new.column6 FROM (",
    ") AS new WHERE id = new.column1",
)
_ROW_ENDED: Final = _Grouped(
    8,
    "UPDATE row SET status = new.column2, activity_id = new.column3, error_code = new.column4,"
    " error = new.column5, attempts = attempts - (NOT new.column6), doubted = max(doubted, new.column7),"
    # What a person saw was seen before this call: of what it may have created they know nothing.
    " released = released AND NOT new.column7, changed_at = new.column8 FROM (",
    ") AS new WHERE position = new.column1 AND status = 1",
)
_RULED: Final = _Grouped(
    6,
    "UPDATE row SET status = new.column2, activity_id = new.column3, error_code = new.column4,"
    " error = new.column5, changed_at = new.column6 FROM (",
    ") AS new WHERE position = new.column1",
)
_NOTED: Final = _Grouped(2, "INSERT OR REPLACE INTO batch")
