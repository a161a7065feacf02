"""When the next call may leave.

Every call of ours, reads included, takes a `Slot` first. Slots are spaced evenly with a margin, since a tenant
that counts in a strict sliding window refuses what arrives in bursts. A refusal pauses everyone.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from aiolimiter import AsyncLimiter

MARGIN: Final = 1.03
OPENING_MARGIN: Final = 1.10
OPENING_CALLS: Final = 25
LATENESS_S: Final = 0.02
QUOTA_PERIOD_S: Final = 3600.0
_RATE = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9}(?:\.\d{1,6})?)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in so many seconds."""

    calls: int
    period_s: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`"25/5"` → 25 calls in 5 seconds; ValueError for anything else, zeros included."""
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a rate such as 25/5 (calls/seconds)")
        rate = cls(int(match[1]), float(match[2]))
        if rate.calls < 1 or rate.period_s <= 0:
            raise ValueError(f"{text!r} is not a rate: both numbers must be above zero")
        return rate

    @property
    def per_s(self) -> float:
        return self.calls / self.period_s

    def __str__(self) -> str:
        return f"{self.calls}/{self.period_s:g}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call was refused for the rate: the limit and the wait that the answer states, where it does."""

    limit: Rate | None = None
    retry_after_s: float | None = None


class Slot:
    """The permission for one call to leave now. Exactly one of `returned` and `unused` ends it."""

    __slots__ = ("_ended", "_pace", "granted_at", "left_at")

    def __init__(self, pace: Pace, granted_at: float) -> None:
        self._pace = pace
        self._ended = False
        self.granted_at = granted_at
        self.left_at: float | None = None

    def left(self) -> None:
        """Just before the first byte leaves."""
        if self.left_at is None:
            self.left_at = self._pace.clock()

    def returned(self, refusal: Refusal | None = None) -> None:
        """The call ended, however; `refusal` if it was refused for the rate."""
        if not self._ended:
            self._ended = True
            if refusal is not None:
                self._pace.refused(self, refusal)

    def unused(self) -> None:
        """The call never left."""
        self._ended = True


class Pace:
    """Gives out slots, first come, first served."""

    def __init__(
        self,
        rate: Rate,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        randomness: Random | None = None,
        shared: object | None = None,
    ) -> None:
        self.clock = clock
        self.ceiling = rate
        self.throttled = 0
        self.quota: Refusal | None = None
        self._sleep = sleep
        self._randomness = randomness or Random()
        self._turn = asyncio.Lock()
        self._limiter: AsyncLimiter | None = None
        self._spacing_s = 0.0
        self._granted = 0
        self._paused_until = float("-inf")
        self._breach_at = float("-inf")

    async def slot(self) -> Slot:
        """Wait for this caller's turn. A waiter that is cancelled costs the others nothing."""
        async with self._turn:
            while True:
                while (wait_s := self._paused_until - self.clock()) > 0:
                    await self._sleep(wait_s)
                await self._spaced()
                if self._paused_until <= self.clock():
                    break
            self._granted += 1
            return Slot(self, self.clock())

    async def _spaced(self) -> None:
        margin = OPENING_MARGIN if self._granted < OPENING_CALLS else MARGIN
        spacing_s = margin / self.ceiling.per_s
        if self._limiter is None or spacing_s != self._spacing_s:
            first = self._limiter is None
            self._limiter = AsyncLimiter(1, spacing_s + LATENESS_S)
            self._spacing_s = spacing_s
            if not first:
                await self._limiter.acquire(1)
        await self._limiter.acquire(spacing_s / (spacing_s + LATENESS_S))

    def refused(self, slot: Slot, refusal: Refusal) -> None:
        """Pause everyone; refusals of calls that were under way already belong to the same breach."""
        now = self.clock()
        self.throttled += 1
        if refusal.limit is not None and refusal.limit.period_s >= QUOTA_PERIOD_S:
            self.quota = refusal
        elif refusal.limit is not None and refusal.limit.per_s < self.ceiling.per_s:
            self.ceiling = refusal.limit
        wait_s = refusal.retry_after_s
        if wait_s is None:
            if slot.granted_at <= self._breach_at:
                return
            wait_s = self.ceiling.period_s * 1.05
        self._breach_at = now
        self._paused_until = max(self._paused_until, now + wait_s)

    def describe(self) -> str:
        """One plain sentence about what is going on; empty if nothing is notable."""
        if self._paused_until > self.clock():
            return "LeadSquared refused calls for the rate: all calls are paused for a moment"
        return ""
