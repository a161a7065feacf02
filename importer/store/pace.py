"""What the processes of a tenant share about the pace: who runs, and what was learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from importer.errors import StoreError
from importer.store import schema
from importer.store.store import Store

Learnt = dict[str, Any]
"""The pacing room's own JSON object, one per tenant; {} when nothing was learnt yet."""
_pace: Final = schema.pace.c
_member: Final = schema.pace_member.c


@dataclass(frozen=True, slots=True)
class Member:
    """A process that sends to the tenant. body: its last heartbeat, the pacing room's own JSON object. age_s:
    how long ago that was, by the store's clock. number: counts up with arrival, so members have one order."""

    run: str
    number: int
    body: dict[str, Any]
    age_s: float


@dataclass(frozen=True, slots=True)
class PaceView:
    """now: Unix seconds by the store's clock (never compare it with a computer's own). members: those heard
    of within `live_s`, this process among them, by number. learnt: as it is now."""

    now: float
    members: tuple[Member, ...]
    learnt: Learnt


class PaceRecord:
    """One process's part in the pace of one tenant. A connection of its own; to be used from one thread at a
    time (`asyncio.to_thread` is fine). tenant: a name that all processes of the tenant share. run: this
    process's."""

    def __init__(self, store: Store, tenant: str, run: str, live_s: float = 10.0) -> None:
        self.tenant = tenant
        self.run = run
        self.live_s = live_s
        self._database = store.database
        self._connection: Connection | None = None

    def __repr__(self) -> str:
        return f"<PaceRecord {self.tenant} as {self.run}>"

    def exchange(
        self, body: dict[str, Any], learn: Callable[[Learnt, float], Learnt | None] | None = None
    ) -> PaceView:
        """One short transaction, tenants one at a time: keeps this process's heartbeat, drops members that
        were not heard of for `live_s`, and gives what is known. learn: gets what was learnt and the store's
        time (Unix seconds), and gives what it is from now on (None: unchanged). Raises StoreError."""
        if self._connection is None:
            self._connection = self._database.connection(durable=False)
        with self._database.writing(self._connection) as connection:
            self._database.insert_missing(
                connection, schema.pace, [{"tenant": self.tenant, "members": 0, "learnt": "{}"}]
            )
            kept = connection.execute(
                select(_pace.members, _pace.learnt).where(_pace.tenant == self.tenant).with_for_update()
            ).one()
            now = self._database.now(connection)
            learnt = _object(kept.learnt)
            changed = None if learn is None else learn(learnt, now)
            arrived = self._beat(connection, body, now, kept.members + 1)
            if changed is not None or arrived:
                learnt = learnt if changed is None else changed
                connection.execute(
                    update(schema.pace)
                    .where(_pace.tenant == self.tenant)
                    .values(members=kept.members + int(arrived), learnt=json.dumps(learnt))
                )
            connection.execute(
                delete(schema.pace_member).where(
                    _member.tenant == self.tenant, _member.seen_at < now - self.live_s
                )
            )
            asked = select(_member.run, _member.number, _member.body, _member.seen_at).where(
                _member.tenant == self.tenant
            )
            found = connection.execute(asked.order_by(_member.number)).all()
        members = tuple(Member(run, number, _object(text), now - at) for run, number, text, at in found)
        return PaceView(now, members, learnt)

    def _beat(self, connection: Connection, body: dict[str, Any], now: float, number: int) -> bool:
        """Keeps the heartbeat; True for the first one of a process, or after it was dropped."""
        values = {"body": json.dumps(body), "seen_at": now}
        mine = (_member.tenant == self.tenant, _member.run == self.run)
        if connection.execute(update(schema.pace_member).where(*mine).values(values)).rowcount:
            return False
        values |= {"tenant": self.tenant, "run": self.run, "number": number}
        connection.execute(insert(schema.pace_member).values(values))
        return True

    def leave(self) -> None:
        """Takes this process off the record; never raises."""
        if self._connection is None:
            return
        mine = (_member.tenant == self.tenant, _member.run == self.run)
        with suppress(StoreError), self._database.writing(self._connection) as connection:
            connection.execute(delete(schema.pace_member).where(*mine))
        with suppress(Exception):
            self._connection.close()
        self._connection = None


def _object(text: str) -> dict[str, Any]:
    """What was written; {} for what was damaged: pace is learnt again."""
    with suppress(ValueError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    return {}
