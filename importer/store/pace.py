"""What the processes of a tenant share about the pace: who runs, and what was learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from importer.store.store import Store

Learnt = dict[str, Any]
"""The pacing room's own JSON object, one per tenant; {} when nothing was learnt yet."""


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
    time (`asyncio.to_thread` is fine). tenant: a name that all processes of the tenant share."""

    def __init__(self, store: Store, tenant: str, run: str, live_s: float = 10.0) -> None:
        raise NotImplementedError

    def exchange(
        self, body: dict[str, Any], learn: Callable[[Learnt, float], Learnt | None] | None = None
    ) -> PaceView:
        """One short transaction, tenants one at a time: keeps this process's heartbeat, drops members that
        were not heard of for `live_s`, and gives what is known. learn: gets what was learnt and the store's
        time (Unix seconds), and gives what it is from now on (None: unchanged). Raises StoreError."""
        raise NotImplementedError

    def leave(self) -> None:
        """Takes this process off the record; never raises."""
        raise NotImplementedError
