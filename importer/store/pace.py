"""What the runs on a tenant share about the pace: one line for each, read and written as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import RLock
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select

from importer.pacing.rules import Rate
from importer.pacing.sharing import LEARNT_S, PaceEntry
from importer.store.database import Database
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
        with self._one_at_a_time:
            try:
                if self._connection is None:
                    self._connection = self._database.connection(durable=False)
                self._meet(self._connection, change)
            except BaseException:
                self.close()
                raise

    def _meet(self, connection: Connection, change: Callable[[Sequence[PaceEntry]], PaceEntry]) -> None:
        with self._database.writing(connection):
            self._database.one_at_a_time(connection, f"pace {self._tenant}")
            now = self._database.now(connection)
            ours = pace.c.tenant == self._tenant
            connection.execute(delete(pace).where(ours, pace.c.seen_at < now - LEARNT_S))
            lines = connection.execute(select(pace).where(ours)).mappings().all()
            entry = change([_entry(line, now) for line in lines])
            self._database.upsert(connection, pace, [self._line(entry, now)])

    def close(self) -> None:
        """Idempotent."""
        with self._one_at_a_time:
            connection, self._connection = self._connection, None
            if connection is not None:
                with self._database.trouble():
                    connection.invalidate()
                    connection.close()

    def _line(self, entry: PaceEntry, now: float) -> Mapping[str, Any]:
        stated = entry.stated
        return {
            "tenant": self._tenant,
            "run": entry.run,
            "live": entry.live,
            "asked_calls": entry.asked.calls,
            "asked_period_s": entry.asked.period_s,
            "calls_per_s": entry.calls_per_s,
            "stated_calls": stated.calls if stated else None,
            "stated_period_s": stated.period_s if stated else None,
            "pause_until": now + entry.pause_left_s,
            "careful": entry.careful,
            "share": entry.share,
            "seen_at": now,
        }


def _entry(line: RowMapping, now: float) -> PaceEntry:
    stated = Rate(line["stated_calls"], line["stated_period_s"]) if line["stated_calls"] is not None else None
    return PaceEntry(
        run=line["run"],
        live=line["live"],
        asked=Rate(line["asked_calls"], line["asked_period_s"]),
        calls_per_s=line["calls_per_s"],
        stated=stated,
        pause_left_s=max(0.0, line["pause_until"] - now),
        careful=line["careful"],
        share=line["share"],
        silent_s=max(0.0, now - line["seen_at"]),
    )
