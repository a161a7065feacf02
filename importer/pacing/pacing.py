"""When the next call may leave: slots for every call of ours, reads included.

    slot = await pace.slot()     # first come, first served
    …                            # mark the row on disk
    slot.left()                  # just before the first byte leaves
    slot.returned(refusal)       # whatever became of it; or slot.unused()

`aiolimiter` with capacity 1 spaces the calls of this process; `rules` holds them further when a refusal,
the window or others on the tenant demand it; `shared` does so for all processes of a machine together.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

from aiolimiter import AsyncLimiter

from importer.pacing.books import OwnBook, SharedBook
from importer.pacing.description import describe
from importer.pacing.rules import LATENESS_S, Rules, ends_quota
from importer.pacing.shared import SharedPace
from importer.pacing.window import Rate, Refusal

__all__ = ["Pace", "Rate", "Refusal", "SharedPace", "Slot"]

OPENING_MARGIN: Final = 1.10
OPENING_CALLS: Final = 25
"""While connections open, arrival times are uneven: the first calls are a little further apart."""
NEAR_S: Final = 1e-4
"""Timers are coarser than this: a slot so near is now."""
LOOK_AGAIN_S: Final = 0.25
"""How often a waiter looks whether another process has changed the rules."""
LOOK_AGAIN_ALONE_S: Final = 60.0


class Slot:
    """The permission for one call to leave now. `returned` or `unused` ends it; what is said first counts."""

    __slots__ = ("_ended", "_left", "_pace", "granted_at", "number")

    def __init__(self, pace: Pace, number: int, granted_at: float) -> None:
        self._pace = pace
        self._left = False
        self._ended = False
        self.number = number
        self.granted_at = granted_at

    def left(self) -> None:
        """Just before the first byte leaves: from here the call may count."""
        if not (self._left or self._ended):
            self._left = True
            self._pace.call_left(self)

    def returned(self, refusal: Refusal | None = None) -> None:
        """The call ended, in whatever way; `refusal` if it was refused for the rate."""
        if not self._ended:
            self._ended = True
            self._pace.call_returned(self, refusal)

    def unused(self) -> None:
        """The call never left (no row was there, or no connection came about): it counts nowhere."""
        if not self._ended:
            self._ended = True
            self._pace.call_unused(self)


class Pace:
    """Gives out slots to the tasks of one event loop, and learns from what the calls report.

    rate: the most that is ever sent. clock: monotonic seconds; it may stand still or jump (a laptop that
    slept), and a step back is taken as no time at all. shared: the record of all processes of this tenant.
    Raises ValueError for a rate that cannot be kept.

    throttled: calls refused for the rate. quota: the refusal that says that a quota of hours or a day is used
    up; nobody should wait for that: the caller stops.
    """

    def __init__(
        self,
        rate: Rate,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        randomness: Random | None = None,
        shared: SharedPace | None = None,
    ) -> None:
        if not rate.usable:
            raise ValueError(f"{rate} is not a rate: both numbers must be above zero.")
        self.throttled = 0
        self.quota: Refusal | None = None
        self._raw_clock = clock
        self._latest_raw = -math.inf
        self._set_back_s = 0.0
        self._sleep = sleep
        self._randomness = randomness or Random()
        self._turn = asyncio.Lock()
        self._wake: asyncio.Future[None] | None = None
        self._limiter: AsyncLimiter | None = None
        self._spacing_s = 0.0
        self._spaced_at = -math.inf
        self._spare = False
        """The last slot came back unused at once: its place is still free."""
        self._granted = 0
        self._book: OwnBook | SharedBook = OwnBook(rate) if shared is None else SharedBook(rate, shared)
        self._look_again_s = LOOK_AGAIN_ALONE_S if shared is None else LOOK_AGAIN_S

    def __repr__(self) -> str:
        rules = self._book.rules
        return (
            f"<Pace {rules.ceiling} granted={self._granted} throttled={self.throttled} "
            f"away={len(rules.window.away)} careful={rules.careful} share={rules.share} "
            f"paused_s={self.paused_s():.1f} neighbours={self._book.neighbours}>"
        )

    @property
    def ceiling(self) -> Rate:
        """The most that is sent at present: `rate`, or the tenant's own limit once a refusal stated it."""
        return self._book.rules.ceiling

    def paused_s(self) -> float:
        """Seconds until calls may leave again after a refusal; 0.0 when nothing is paused."""
        return max(0.0, self._book.rules.pause.until - self._now())

    def describe(self) -> str:
        """One plain sentence about what is going on; empty if nothing is notable."""
        return describe(self._book.rules, self._now(), self._book.neighbours, self.quota)

    async def slot(self) -> Slot:
        """Wait for this caller's turn. A waiter that is cancelled costs the others nothing."""
        async with self._turn:
            self._book.look(self._now())
            await self._held()
            if not self._spare:
                await self._spaced()
            self._spare = False
            slot = self._try()
            while slot is None:  # a refusal, or another process, came in between
                self._spacing_s = 0.0  # the next spacing is counted from the slot that comes of this
                await self._held()
                slot = self._try()
            return slot

    async def _held(self) -> None:
        """Wait out pause, window and other processes, as far as this process knows them."""
        while (wait_s := self._opens_at(self._book.rules, now := self._now()) - now) > NEAR_S:
            await self._wait(wait_s)

    def _opens_at(self, rules: Rules, now: float) -> float:
        opens_at = rules.opens_at(now)
        return max(opens_at, rules.next_slot_at) if self._book.neighbours else opens_at

    async def _spaced(self) -> None:
        """Wait until this process's last call is a spacing ago.

        A bucket of one spacing and `LATENESS_S`, of which a call takes one spacing: slots are absolute, a
        timer that fires late by less than that does not push the ones after it.
        """
        now = self._now()
        spacing_s = self._spacing_now(now)
        bucket_s = spacing_s + LATENESS_S
        if self._limiter is None or spacing_s != self._spacing_s:
            first = self._limiter is None
            self._limiter, self._spacing_s = AsyncLimiter(1, bucket_s), spacing_s
            if not first:  # what the last call still takes of the new bucket
                await self._limiter.acquire(max(0.0, 1 - (now - self._spaced_at) / bucket_s))
        await self._limiter.acquire(spacing_s / bucket_s)

    def _spacing_now(self, now: float) -> float:
        rules = self._book.rules
        spacing_s = rules.spacing_s(now)
        if self._granted < OPENING_CALLS:
            spacing_s = max(spacing_s, OPENING_MARGIN / rules.ceiling.per_s)
        return spacing_s * self._book.parts

    def _try(self) -> Slot | None:
        """A slot, if nothing came in between."""
        now = self._now()
        spacing_s = self._spacing_now(now)

        def grant(rules: Rules) -> int | None:
            if self._opens_at(rules, now) > now + NEAR_S:
                return None
            return rules.grant(now, self._book.owner, spacing_s)

        number = self._book.change(now, grant)
        if number is None:
            return None
        self._granted += 1
        self._spaced_at = now
        return Slot(self, number, now)

    async def _wait(self, wait_s: float) -> None:
        """Wait, but not beyond a change (a call that returned may open the window)."""
        self._wake = asyncio.get_running_loop().create_future()
        sleeper = asyncio.ensure_future(self._sleep(min(wait_s, self._look_again_s)))
        try:
            await asyncio.wait({sleeper, self._wake}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            self._wake = None

    def _changed(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def call_left(self, slot: Slot) -> None:
        """`Slot.left`."""
        now = self._now()
        self._book.change(now, lambda rules: rules.window.left(slot.number, now))

    def call_returned(self, slot: Slot, refusal: Refusal | None) -> None:
        """`Slot.returned`."""
        now = self._now()
        if refusal is None:
            self._book.change(now, lambda rules: rules.answered(slot.number, slot.granted_at, now))
        else:
            self.throttled += 1
            if ends_quota(refusal):
                self.quota = refusal
            chance = self._randomness.random()
            self._book.change(
                now, lambda rules: rules.refused(slot.number, slot.granted_at, now, refusal, chance)
            )
            self._book.look(now, at_once=True)
        self._changed()

    def call_unused(self, slot: Slot) -> None:
        """`Slot.unused`."""
        self._spare = slot.granted_at == self._spaced_at and self._now() - slot.granted_at < LATENESS_S
        self._book.change(self._now(), lambda rules: rules.unused(slot.number))
        self._changed()

    def _now(self) -> float:
        raw = self._raw_clock()
        if raw < self._latest_raw:
            self._set_back_s += self._latest_raw - raw
        self._latest_raw = raw
        return raw + self._set_back_s
