"""What the runs on a tenant share about the pace: one line for each, read and written as one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from threading import RLock
from typing import Any

from sqlalchemy import Connection, delete, select

from importer.pacing.rules import Rate
from importer.pacing.sharing import LEARNT_S, PaceEntry
from importer.store.database import Database, close_quietly
from importer.store.schema import pace


class StoredPace:
    """The `PaceRecord` of one tenant. A connection of its own; from any thread, one at a time: a meeting that
    was cancelled may still be under way when the next one begins.

    Whatever goes wrong is raised as StoreError, and the next `meet` begins with another connection.
    """

    def __init__(self, database: Database, tenant: str) -> None:
        self._database = database
        self._tenant = tenant
        self._connection: Connection | None = None
        self._one_at_a_time = RLock()

    def meet(self, run: str, change: Callable[[Sequence[PaceEntry]], PaceEntry]) -> None:
        """See `PaceRecord`. Need not be on the disk: what it says is worth seconds."""
        with self._one_at_a_time, ExitStack() as failed:
            failed.callback(self.close)
            if self._connection is None:
                self._connection = self._database.connection(durable=False)
            self._meet(self._connection, change)
            failed.pop_all()

    def _meet(self, connection: Connection, change: Callable[[Sequence[PaceEntry]], PaceEntry]) -> None:
        with self._database.writing(connection):
            self._database.one_at_a_time(connection, f"pace {self._tenant}")
            now = self._database.now(connection)
            ours = pace.c.tenant == self._tenant
            connection.execute(delete(pace).where(ours, pace.c.seen_at < now - LEARNT_S))
            lines = connection.execute(select(pace.c.entry, now - pace.c.seen_at).where(ours)).all()
            entry = change([_aged(json.loads(written), max(0.0, silent_s)) for written, silent_s in lines])
            line = {"tenant": self._tenant, "run": entry.run, "seen_at": now}
            self._database.upsert(connection, pace, [{**line, "entry": json.dumps(asdict(entry))}])

    def close(self) -> None:
        """Idempotent."""
        with self._one_at_a_time:
            connection, self._connection = self._connection, None
            if connection is not None:
                close_quietly(connection)


def _aged(line: dict[str, Any], silent_s: float) -> PaceEntry:
    """A line as it was written so long ago."""
    rates = {name: Rate(**line[name]) if line[name] else None for name in ("asked", "stated")}
    pause_left_s = max(0.0, line["pause_left_s"] - silent_s)
    return PaceEntry(**{**line, **rates, "pause_left_s": pause_left_s, "silent_s": silent_s})
