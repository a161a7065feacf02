"""One pace for all processes of a tenant on this machine: a small record on disk.

The record is the whole state of `rules.Rules`, the calls that may still count included. Each slot,
departure and return is one short transaction on it (0.2 ms), so that two windows are to the tenant as one.
At rates where that costs too much, `books` has each process keep its own state and only meet the record.

SQLite holds it, without waiting for the disk: a transaction is whole or not there if a process dies in it,
its lock dies with the process, and after a power failure a damaged record is begun anew. Times in it are the
machine's monotonic clock, which all processes share and nobody can set; a record of an earlier boot is known
by times that lie in the future.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final, TypeVar

from filelock import FileLock, Timeout

from importer.pacing.rules import Rules
from importer.pacing.window import Rate
from importer.write_ahead import switch_on

T = TypeVar("T")
VERSION: Final = 1
BUSY_S: Final = 0.25
"""Another process holds the record for a fraction of a millisecond, unless it was stopped in there."""
SILENT_S: Final = 5.0
"""A process that has not been heard of for so long is looked after."""
NEIGHBOUR_S: Final = 60.0
"""Whoever sent within this time counts as another window."""
FORGOTTEN_S: Final = 600.0
"""What was learnt is worth something for so long after the last process went."""
FUTURE_S: Final = 1.0


class RecordUnavailableError(Exception):
    """The record cannot be used now (a process stopped while holding it, no space, no permission)."""


class SharedPace:
    """The record at `path`, for one process; its folder must exist. Not for use from several threads.

    neighbours: how many other processes use the tenant, as of the last transaction.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.neighbours = 0
        self._random = Random()
        self._token = f"{os.getpid()}-{self._random.getrandbits(32):08x}"
        self._alive = FileLock(self._lock_path(self._token))
        self._connection: sqlite3.Connection | None = None
        self._looked_at = float("-inf")

    def __repr__(self) -> str:
        return f"<SharedPace {self.path} as {self._token} neighbours={self.neighbours}>"

    @property
    def owner(self) -> str:
        """Under which name this process's calls stand in the record."""
        return self._token

    def change(self, now: float, rate: Rate, change: Callable[[Rules], T]) -> tuple[Rules, T]:
        """Read the rules, change them, write them back, as one; gives them and what `change` gave.

        `rate` is what this process asks for; of all, the lowest holds. Raises RecordUnavailableError.
        """
        try:
            try:
                return self._change(now, rate, change)
            except sqlite3.OperationalError:  # locked, full, read-only: nothing is wrong with the file
                raise
            except sqlite3.DatabaseError:  # damaged: begin anew
                self._disconnect()
                self._remove_files()
                return self._change(now, rate, change)
        except (sqlite3.Error, OSError, Timeout) as error:
            self._disconnect()
            raise RecordUnavailableError(f"{self.path}: {error}") from error

    def close(self) -> None:
        """Leave: the others have the whole rate from now on, and whoever comes next counts no neighbour."""
        self._resign()
        self._disconnect()
        if self._alive.is_locked:
            self._alive.release()
            Path(self._alive.lock_file).unlink(missing_ok=True)

    def _resign(self) -> None:
        """As if we had been silent for long: whoever looks next takes us off the record."""
        connection = self._connection
        if connection is None:
            return
        try:
            connection.execute("BEGIN IMMEDIATE")
            (text,) = connection.execute("SELECT body FROM record").fetchone()
            body = json.loads(text)
            body["members"][self._token][2] -= NEIGHBOUR_S + SILENT_S
            connection.execute("UPDATE record SET body = ?", (json.dumps(body),))
            connection.execute("COMMIT")
        except (sqlite3.Error, KeyError, TypeError, ValueError):
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _change(self, now: float, rate: Rate, change: Callable[[Rules], T]) -> tuple[Rules, T]:
        connection = self._connected()
        connection.execute("BEGIN IMMEDIATE")
        try:
            row = connection.execute("SELECT body FROM record").fetchone()
            members, rules = self._understood(row[0] if row is not None else "", now, rate)
            members[self._token] = [rate.calls, rate.period_s, now]
            if now - self._looked_at > 1.0:
                self._looked_at = now
                self._bury(members, rules, now)
            others = [seen for token, (_, _, seen) in members.items() if token != self._token]
            self.neighbours = sum(now - seen < NEIGHBOUR_S for seen in others)
            rules.ask(min((Rate(int(c), float(p)) for c, p, _ in members.values()), key=lambda r: r.per_s))
            answer = change(rules)
            body = {"version": VERSION, "touched": now, "members": members, "rules": rules.to_record()}
            connection.execute("INSERT OR REPLACE INTO record (id, body) VALUES (1, ?)", (json.dumps(body),))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return rules, answer

    def _understood(self, text: str, now: float, rate: Rate) -> tuple[dict[str, list[Any]], Rules]:
        """Members and rules of a record; fresh ones if it is of another boot, old, or none that we know."""
        try:
            body = json.loads(text)
            members = {
                str(token): [int(c), float(p), float(seen)] for token, (c, p, seen) in body["members"].items()
            }
            sound = all(Rate(int(c), float(p)).usable for c, p, _ in members.values())
            recent = -FUTURE_S < now - float(body["touched"]) < FORGOTTEN_S
            if sound and recent and body["version"] == VERSION:
                return members, Rules.from_record(body["rules"], rate)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        # numbers begin anywhere, so that a slot of a former record is not taken for one of this
        return {}, Rules.of(rate, numbers=self._random.getrandbits(48))

    def _bury(self, members: dict[str, list[Any]], rules: Rules, now: float) -> None:
        """Drop processes that are gone, and what they had under way."""
        for token in [t for t, (_, _, seen) in members.items() if t != self._token and now - seen > SILENT_S]:
            lock = FileLock(self._lock_path(token))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue  # it lives, and only waits
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
            del members[token]
            rules.window.forget(token, now)

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            if not self._alive.is_locked:
                self._alive.acquire(timeout=0)
            self._connection = self._opened()
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        try:
            switch_on(connection, BUSY_S)
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY, body TEXT NOT NULL)"
            )
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _remove_files(self) -> None:
        for ending in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)

    def _lock_path(self, token: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{token}.lock")
