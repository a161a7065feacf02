"""When the next call may leave: slots for every call of ours, reads included.

    slot = await pace.slot(ahead_s=1.0)  # a turn that comes within a second: the row may be marked
    await slot.due()                     # first come, first served; now the call may leave
    slot.left()                          # just before the first byte leaves
    slot.returned(refusal)               # whatever became of it; or slot.unused()

`aiolimiter` with capacity 1 spaces the calls; `rules` holds them further when a refusal, the window or others
on the tenant demand it; `sharing` divides the allowance with the other runs on the tenant.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from random import Random
from typing import Final, Self

from aiolimiter import AsyncLimiter

from importer.pacing.rules import LATENESS_S, PacedCall, Rate, Refusal, Rules, Window, ends_quota, quota_words
from importer.pacing.sharing import SILENT_S, Division, Heartbeat, PaceEntry, PaceRecord

__all__ = ["Pace", "Rate", "Refusal", "Slot"]

OPENING_MARGIN: Final = 1.10
OPENING_CALLS: Final = 25
"""While connections open, arrival times are uneven: the first calls are a little further apart."""
NEAR_S: Final = 1e-4
"""Timers are coarser than this: a slot so near is now."""
LOOK_AGAIN_S: Final = 60.0
"""A waiter looks at the clock at least so often: it may have jumped."""
IDLE_S: Final = 2.0
"""A run that has wanted no slot for so long leaves its part to the others."""


class Slot:
    """The permission for one call to leave. `returned` or `unused` ends it; what is said first counts.

    at: when the call may leave; an estimate until it is due. call: what is counted of it, from then on.
    """

    def __init__(self, pace: Pace, at: float, *, ahead: bool) -> None:
        self._pace = pace
        self._ended = False
        self.call: PacedCall | None = None
        self.at = at
        self.ahead = ahead

    async def due(self) -> None:
        """Wait until the call may leave; at once if it is due already.

        May take long: another call may have been refused meanwhile, or another run may have begun.
        """
        if self.call is None and not self._ended:
            await self._pace.make_due(self)

    def left(self) -> None:
        """Just before the first byte leaves: from here the call may count."""
        if self._ended:
            return
        if self.call is None:
            raise RuntimeError("a call leaves before its slot is due")
        if self.call.left_at is None:
            self._pace.call_left(self.call)

    def returned(self, refusal: Refusal | None = None) -> None:
        """The call ended, in whatever way; `refusal` if it was refused for the rate."""
        if self.call is None:
            self.unused()
        elif not self._ended:
            self._ended = True
            self._pace.call_returned(self.call, refusal)

    def unused(self) -> None:
        """The call never left (no row was there, or no connection came about): it counts nowhere."""
        if not self._ended:
            self._ended = True
            self._pace.call_unused(self)


class Pace:
    """Gives out slots to the tasks of one event loop, and learns from what the calls report.

    rate: the most that is ever sent. record: what the runs on this tenant share; None for a run that is
    alone. clock: monotonic seconds; it may stand still or jump (a laptop that slept). Raises ValueError for a
    rate that cannot be kept.

    throttled: calls refused for the rate. quota: the refusal that says that a quota of hours or a day is used
    up; nobody should wait for that: the caller stops.
    """

    def __init__(
        self,
        rate: Rate,
        record: PaceRecord | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        randomness: Random | None = None,
    ) -> None:
        if not rate.usable:
            raise ValueError(f"{rate} is not a rate: both numbers must be above zero.")
        self.throttled = 0
        self.quota: Refusal | None = None
        self._rate = rate
        self._rules = Rules(rate, Window(rate.period_s))
        self._now = clock
        self._randomness = randomness or Random()
        self._turn = asyncio.Lock()
        self._admission = asyncio.Lock()
        self._change: asyncio.Future[None] | None = None
        self._limiter: AsyncLimiter | None = None
        self._spacing_s = 0.0
        self._spaced_at = -math.inf
        self._spare = False
        """The last slot came back unused at once: its place is still free."""
        self._granted = 0
        self._waiting = 0
        self._ahead = 0
        """Slots that were given out and are not due yet."""
        self._run = secrets.token_hex(8)
        self._heartbeat: Heartbeat | None = None
        self._taking_part = True
        """Whether a part of the allowance is ours; without other runs always."""
        self._met_at = math.inf
        self._hold_until = -math.inf
        self._others = 0
        self._paused_by_us_until = -math.inf
        if record is not None:
            self.join(record)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        rules = self._rules
        return (
            f"<Pace {rules.ceiling} part={rules.part:.2f} granted={self._granted} throttled={self.throttled} "
            f"away={len(rules.window.away)} careful={rules.careful} share={rules.share} "
            f"paused_s={self.paused_s():.1f} others={self._others}>"
        )

    @property
    def ceiling(self) -> Rate:
        """The most that is sent at present by all runs: `rate`, or the limit that a refusal stated."""
        return self._rules.ceiling

    @property
    def is_alone(self) -> bool:
        """Whether no other run on the tenant can send a call now: one that begins waits until we know of it.
        False where that cannot be known."""
        heartbeat = self._heartbeat
        fresh = self._taking_part and self._now() - self._met_at <= SILENT_S
        return heartbeat is not None and fresh and heartbeat.others == 0

    def paused_s(self) -> float:
        """Seconds until calls may leave again after a refusal; 0.0 when nothing is paused."""
        return max(0.0, self._rules.pause.until - self._now())

    def describe(self) -> str:
        """What goes on, as one plain sentence for operations staff; empty if nothing is notable."""
        if self.quota is not None:
            return quota_words(self.quota)
        sentence = _situation(self._rules, self._others)
        if wait_s := self.paused_s():
            wait = f"{math.ceil(wait_s)} s" if wait_s < 120 else f"{math.ceil(wait_s / 60)} min"
            pause = f"LeadSquared refused a call for the rate, so all calls wait {wait}"
            sentence = f"{pause}; {sentence}" if sentence else pause
        return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""

    # ---- slots ------------------------------------------------------------------------------------

    async def slot(self, ahead_s: float = 0.0) -> Slot:
        """Wait for this caller's turn. A waiter that is cancelled costs the others nothing.

        ahead_s: how long before its moment the slot is given out. Its holder then waits for `Slot.due`.
        """
        if ahead_s > 0:
            await self._admitted(ahead_s)
        slot = Slot(self, max(self._now(), self._next_at()), ahead=ahead_s > 0)
        if slot.ahead:
            self._ahead += 1
        else:
            await self.make_due(slot)
        return slot

    async def _admitted(self, ahead_s: float) -> None:
        """Wait until the next free moment is at most `ahead_s` away."""
        self._waiting += 1
        try:
            async with self._admission:
                while (wait_s := self._next_at() - ahead_s - self._now()) > NEAR_S:
                    await self._wait(wait_s)
        finally:
            self._waiting -= 1

    def _next_at(self) -> float:
        """When a slot that is given out now will probably be due; infinite if only an answer can tell."""
        now = self._now()
        spacing_s = self._spacing_now(now)
        spaced_at = self._spaced_at + spacing_s
        return max(self._opens_at(now), spaced_at) + self._ahead * spacing_s

    async def make_due(self, slot: Slot) -> None:
        """`Slot.due`."""
        self._waiting += 1
        try:
            async with self._turn:
                await self._held()
                if not self._spare:
                    await self._spaced()
                self._spare = False
                while self._opens_at(self._now()) > self._now() + NEAR_S:  # a refusal came in between
                    self._spacing_s = 0.0  # the next spacing is counted from the slot that comes of this
                    await self._held()
                self._grant(slot)
        finally:
            self._waiting -= 1

    async def _held(self) -> None:
        """Wait out pause, window and other runs."""
        while (wait_s := self._opens_at(now := self._now()) - now) > NEAR_S:
            await self._wait(wait_s)

    def _opens_at(self, now: float) -> float:
        if self._heartbeat is not None:
            self._heartbeat.take_part()
            if not self._taking_part or now - self._met_at > SILENT_S:  # the others have our part
                return math.inf
        return max(self._rules.opens_at(now), self._hold_until)

    async def _spaced(self) -> None:
        """Wait until our last call is a spacing ago.

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
        return self._rules.spacing_s(now, OPENING_MARGIN if self._granted < OPENING_CALLS else 0.0)

    def _grant(self, slot: Slot) -> None:
        now = self._now()
        self._granted += 1
        self._spaced_at = now
        self._no_longer_ahead(slot)
        slot.at = now
        slot.call = self._rules.grant(now)

    def _no_longer_ahead(self, slot: Slot) -> None:
        if slot.ahead:
            slot.ahead = False
            self._ahead -= 1

    async def _wait(self, wait_s: float) -> None:
        """Wait, but not beyond a change (a call that returned may open the window)."""
        if self._change is None:
            self._change = asyncio.get_running_loop().create_future()
        await asyncio.wait({self._change}, timeout=min(wait_s, LOOK_AGAIN_S))

    def _changed(self) -> None:
        if self._change is not None:
            self._change.set_result(None)
            self._change = None

    def call_left(self, call: PacedCall) -> None:
        """`Slot.left`."""
        self._rules.window.leave(call, self._now())

    def call_returned(self, call: PacedCall, refusal: Refusal | None) -> None:
        """`Slot.returned`."""
        if refusal is None:
            self._rules.answered(call, self._now())
        else:
            self.throttled += 1
            if ends_quota(refusal):
                self.quota = refusal
            self._rules.refused(call, self._now(), refusal, self._randomness.random())
            self._paused_by_us_until = self._rules.pause.until
            if self._heartbeat is not None:
                self._heartbeat.at_once()
        self._changed()

    def call_unused(self, slot: Slot) -> None:
        """`Slot.unused`."""
        self._no_longer_ahead(slot)
        if slot.call is not None:
            self._spare = slot.at == self._spaced_at and self._now() - slot.at < LATENESS_S
            self._rules.unused(slot.call)
        self._changed()

    # ---- other runs -------------------------------------------------------------------------------

    def join(self, record: PaceRecord) -> None:
        """From now on the allowance is divided with the other runs of this record."""
        self._heartbeat = Heartbeat(record, self._line, self._wants_calls, self._heard)
        self._taking_part = False

    async def close(self) -> None:
        """Leave our part to the other runs at once, instead of in some seconds."""
        heartbeat, self._heartbeat = self._heartbeat, None
        if heartbeat is not None:
            await heartbeat.stop()

    def _wants_calls(self) -> bool:
        return self._waiting > 0 or self._ahead > 0 or self._now() - self._spaced_at < IDLE_S

    def _line(self, live: bool) -> PaceEntry:
        if not live:
            self._taking_part = False
        return PaceEntry(
            run=self._run,
            live=live,
            asked=self._rate,
            stated=self._rules.stated,
            pause_left_s=max(0.0, self._paused_by_us_until - self._now()),
            careful=self._rules.careful,
            share=self._rules.share_part,
        )

    def _heard(self, division: Division | None) -> None:
        """What came of a meeting. Without an answer we go on with our last part, by ourselves."""
        self._met_at = self._now()
        if division is None:
            self._taking_part = True
        else:
            self._take(division, self._met_at)
            self._others = division.others
        self._changed()

    def _take(self, division: Division, now: float) -> None:
        """Take our part. If it grew, the calls of those who made room still count for a moment."""
        rules = self._rules
        had, had_spacing_s = rules.part if self._taking_part else 0.0, self._spacing_now(now)
        self._taking_part = division.part > 0
        if not self._taking_part:
            return
        rules.take(division.part, division.asked, division.stated)
        rules.careful = rules.careful or division.careful
        if self._granted < OPENING_CALLS and had == 0 and division.share is not None:
            rules.adopt_share(now, division.share)
        rules.adopt_pause(now, division.pause_left_s, self._randomness.random())
        if division.part > had and (division.others or self._others):
            self._hold_until = now + (had_spacing_s if had > 0 else self._spacing_now(now))


def _situation(rules: Rules, others: int) -> str:
    ceiling = rules.ceiling
    if rules.share is not None:
        tens = round(100 * (1 - rules.share.calls / rules.calls) / 10)  # the count is not better than that
        used = f"another integration uses about {10 * min(9, max(1, tens))} % of your tenant's calls"
        return used if rules.stated is not None else f"{used}, or its plan allows fewer than {ceiling}"
    if rules.stated is not None and rules.stated.per_s < rules.asked.per_s:
        calls = f"{ceiling.calls} call{'s' if ceiling.calls != 1 else ''} in {ceiling.period_s:g} s"
        return f"your tenant's plan allows {calls}, so that is the rate instead of {rules.asked}"
    if others:
        if others == 1:
            return "another import is running on this tenant and takes its part of the rate"
        return f"{others} other imports are running on this tenant and take their parts of the rate"
    if rules.careful:
        return "calls arrive unevenly, so their spacing follows the answers"
    return ""
