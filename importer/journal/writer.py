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
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from importer.errors import JournalError
from importer.journal.entries import Entry, Mark, apply, prepare
from importer.journal.file import connect, told_plainly
from importer.journal.journal import Journal

GROUP_MAX: Final = 1_000
HANDED_OVER: Final = 16
"""So many entries go to the thread at once, if they come that fast: each time costs loop and thread more than
writing an entry does. Half of 32 workers then wait for the disk while the other half wait for answers."""
ID_TAKEN: Final = "UNIQUE constraint failed: row.activity_id"
Told = Callable[[JournalError | None], None]
"""What is called in the loop, once, when an entry is on the disk (None), or is not and never will be."""
_Waiting = tuple[Entry, Told]


def iso(at: float) -> str:
    """Unix seconds as UTC, ISO 8601 with milliseconds and a Z, as `import_time` has it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class IdTakenError(JournalError):
    """This entry gives a row the Id that another row has. It was not written; whatever else is, can be."""


class JournalWriter:
    """Owns the journal's writes from `start` to `close`. To be used from one event loop."""

    def __init__(self, journal: Journal, wall: Callable[[], float] = time.time) -> None:
        self.path: Path = journal.path
        self.wall = wall
        self.failure: JournalError | None = None
        self.outstanding = 0
        self._attempt = journal.last_attempt_id()
        self._gathered: list[_Waiting] = []
        self._entries: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
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
        self._hand_over_all()
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
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def told(error: JournalError | None) -> None:
            if done.done():  # who was cancelled meanwhile still finds its entry whole on the disk
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        self.hand_in(entry, told)
        await done

    def hand_in(self, entry: Entry, told: Told) -> None:
        """Calls `told` once `entry`, and whatever was handed in before it, is on the disk, or never will be.
        Raises JournalError at once when something before it could not be written."""
        if self.failure is not None:
            raise self.failure
        if self._loop is None:
            raise RuntimeError("the writer was not started")
        self.outstanding += 1
        if not self._gathered:
            self._loop.call_soon(self._hand_over, 0)
        self._gathered.append((entry, told))

    def _hand_over(self, before: int) -> None:
        """Takes to the thread what has gathered; unless each turn of the loop, busy as it is, brings more.
        before: how many there were a turn ago."""
        if self._loop is not None and before < len(self._gathered) < HANDED_OVER:
            self._loop.call_soon(self._hand_over, len(self._gathered))
        else:
            self._hand_over_all()

    def _hand_over_all(self) -> None:
        if self._gathered:
            self._entries.put(self._gathered)
            self._gathered = []

    def _write(self) -> None:
        try:
            with told_plainly(self.path):
                connection = connect(self.path)
                prepare(connection)
        except JournalError as error:
            self._refuse([], error)
            return
        try:
            while (group := self._gather()) is not None:
                try:
                    self._commit(connection, group)
                except JournalError as error:
                    self._refuse(group, error)
                    return
        finally:
            with suppress(sqlite3.Error):
                connection.close()

    def _gather(self) -> list[_Waiting] | None:
        """All that has gathered, at most GROUP_MAX; waits for the first. None at the end."""
        first = self._entries.get()
        if first is None:
            return None
        group = first
        while len(group) < GROUP_MAX:
            try:
                following = self._entries.get_nowait()
            except queue.Empty:
                break
            if following is None:
                self._entries.put(None)
                break
            group += following
        return group

    def _commit(self, connection: sqlite3.Connection, group: list[_Waiting]) -> None:
        """Writes the group and tells those who wait. On an error, those who were not told are left in it."""
        with told_plainly(self.path):
            # On Unix a removed file can be written to for ever, and nobody will find what stands there.
            if self.path.stat().st_ino != self._inode:
                raise OSError("the file was replaced by another")
            try:
                _apply(connection, [entry for entry, _ in group])
            except sqlite3.IntegrityError as error:
                if ID_TAKEN not in str(error):
                    raise
                self._commit_apart(connection, group)
            else:
                self._tell(group, None)

    def _commit_apart(self, connection: sqlite3.Connection, group: list[_Waiting]) -> None:
        """One of the group gives a row the Id of another: the others are not to suffer for it."""
        while group:
            refused = None
            try:
                _apply(connection, [group[0][0]])
            except sqlite3.IntegrityError as error:
                if ID_TAKEN not in str(error):
                    raise
                refused = IdTakenError("Another row has this Id.", where=str(self.path))
            self._tell([group.pop(0)], refused)

    def _refuse(self, group: list[_Waiting], error: JournalError) -> None:
        self.failure = error
        self._tell(group, error)
        while True:  # ends with the None of close(); until then everything is refused
            following = self._entries.get()
            if following is None:
                return
            self._tell(following, error)

    def _tell(self, group: list[_Waiting], error: JournalError | None) -> None:
        loop = self._loop
        if loop is None or not group:
            return
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._told, group, error)

    def _told(self, group: list[_Waiting], error: JournalError | None) -> None:
        self.outstanding -= len(group)
        for _, told in group:
            told(error)


def _apply(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    try:
        apply(connection, entries)
    except BaseException:
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise
