"""Which of our calls a tenant may still be counting, and what is learnt from its refusals. Pure arithmetic.

On a refusal everyone waits. Then it matters who had filled the window:

- *We had*: our own calls reach the limit, so arrival times were uneven. From then on calls are held by the
  bound that no jitter can breach (`window`, by returning), at even spacing without a margin.
- *Others had*: what our calls took of the window is what is left to us. Go on at 93 % of that, climb slowly
  to 95 %, and try more after 40 s, then every 80 s (for a window of 5 s): every breach costs everyone on the
  tenant. (After 20, 40, 80 s, as was designed first, 300 rows met a third breach: 2 % of the calls refused.)

A tenant counts calls by their arrival, which we never see. We see when a call left and when it came back, and
have two bounds on how long it may lie in the tenant's window:

- *by leaving*: `left + period × 1.02`. Right as long as arrival times differ by less than 2 % of the period.
- *by returning*: `returned − quickest round trip + period`, and for as long as the call has not returned.
  What a call took beyond the quickest is the most by which it can have arrived late. This holds for any
  jitter, and pays for the tenant's uneven thinking time.

Times are seconds of one monotonic clock, given by the caller; random numbers from 0 to 1 too.
"""

from __future__ import annotations

import math
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

KEPT_BY_LEAVING: Final = 1.02
ROUND_TRIPS_KEPT: Final = 500
"""The quickest round trip is that of the last 500 calls: a slower route is learnt in time."""
UNSEEN: Final = 10
"""The quickest of n evenly spread round trips is within 10 / n of their mean excess in 99 cases of 100."""
_RATE: Final = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9}(?:\.\d{1,6})?)\s*", re.ASCII)
MARGIN: Final = 1.03
CAREFUL_MARGIN: Final = 0.8
"""With the bound by returning, spacing only keeps calls even."""
SHARE_START: Final = 0.93
SHARE_END: Final = 0.95
"""Climbing to 97 or 100 % was simulated too: others' calls are one more or less in a window, and each breach
costs more than the climb brings."""
COUNT_ERROR: Final = 0.5
SHARE_LESS: Final = 0.95
"""When even that was too much."""
CLIMB: Final = 4
"""Periods in which the share grows from its start to its end."""
PROBE_STEP: Final = 0.02
"""First step of a probe, as a part of the limit; doubled each period, so that 60 % are won back in 25 s."""
PAUSE_PERIODS: Final = 1.05
PAUSE_MAX_S: Final = 120.0
LATENESS_S: Final = 0.02
"""Lateness of a slot (timers, the mark on disk) that the next slots need not wait for."""
QUOTA_S: Final = 3600.0
"""A limit over an hour or more, or a wait that long, is a quota: nobody waits for it, the run stops."""
ROUNDING: Final = 1e-6


class Probes(NamedTuple):
    """Periods until a probe, at first and at last, and by how much each wait is longer than the one before
    it."""

    first: int
    longer: int
    last: int


PROBES: Final = Probes(8, 2, 16)
"""Where the limit is known: others fill it, and may stop."""
PROBES_UNSTATED: Final = Probes(4, 4, 512)
"""Where no refusal stated the limit, the plan is probably smaller: to be found out early, and then left
alone."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in so many seconds. `usable` if both are above zero."""

    calls: int
    period_s: float

    @classmethod
    def parse(cls, text: str) -> Rate:
        """`"25/5"` → 25 calls in 5 seconds. Raises ValueError for anything else, zeros included."""
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a rate: write calls/seconds, such as 25/5.")
        rate = cls(int(match[1]), float(match[2]))
        if not rate.usable:
            raise ValueError(f"{text!r} is not a rate: both numbers must be above zero, as in 25/5.")
        return rate

    @property
    def usable(self) -> bool:
        """Whether calls can be paced by it (an answer may state anything)."""
        return self.calls >= 1 and 0 < self.period_s < math.inf

    @property
    def per_s(self) -> float:
        """Calls a second."""
        return self.calls / self.period_s

    def __str__(self) -> str:
        return f"{self.calls}/{self.period_s:g}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that refused a call for the rate: the limit and the wait it states, where it does. quota: it
    says that it is about a quota of a day, whatever else it tells."""

    limit: Rate | None = None
    retry_after_s: float | None = None
    quota: bool = False


def ceiling_of(asked: Rate, stated: Rate | None) -> Rate:
    """The most that is ever sent: what was asked for, or what the tenant stated, if that is less."""
    return stated if stated is not None and stated.per_s <= asked.per_s else asked


def ends_quota(refusal: Refusal) -> bool:
    """Whether a refusal is about a quota of hours or a day, not about the rate."""
    long_limit = refusal.limit is not None and refusal.limit.period_s >= QUOTA_S
    return refusal.quota or long_limit or (refusal.retry_after_s or 0.0) >= QUOTA_S


def quota_words(quota: Refusal) -> str:
    """That a quota is used up, as a sentence."""
    limit = quota.limit
    if limit is None and quota.quota:
        return "Your tenant's quota of calls a day is used up."
    if limit is None:
        return "Your tenant's quota of calls is used up for some hours."
    if limit.period_s < 23 * QUOTA_S:
        return f"Your tenant's quota of {limit.calls:,} calls in {limit.period_s / 3600:g} h is used up."
    return f"Your tenant's quota of {limit.calls:,} calls a day is used up."


@dataclass(slots=True, eq=False)
class PacedCall:
    """A call of ours, from the slot that it was granted.

    left_at: None until it leaves. left: calls that left within one period before it. possible: calls that
    may have been in the tenant's window when it arrived, whatever the way took.
    """

    granted_at: float
    left_at: float | None = None
    left: int = 0
    possible: int = 0


@dataclass(slots=True)
class Window:
    """Our calls that may still count. Memory is bounded by what leaves in one period and what is under
    way."""

    period_s: float
    granted: set[PacedCall] = field(default_factory=set)
    away: set[PacedCall] = field(default_factory=set)
    lefts: deque[float] = field(default_factory=deque)
    returns: deque[float] = field(default_factory=deque)
    round_trips: deque[float] = field(default_factory=lambda: deque(maxlen=ROUND_TRIPS_KEPT))
    quickest_s: float = 0.0
    """The quickest round trip there can be: a little below the quickest seen, less so the more were."""

    def grant(self, now: float) -> PacedCall:
        """A slot was given out; its call has not left yet."""
        call = PacedCall(now)
        self.granted.add(call)
        return call

    def leave(self, call: PacedCall, now: float) -> float:
        """The call leaves now; when that is."""
        self.granted.discard(call)
        self._prune(now)
        call.left_at, call.left = now, sum(now - at < self.period_s for at in self.lefts)
        call.possible = len(self.away) + len(self.returns)
        self.away.add(call)
        self.lefts.append(now)
        return now

    def returned(self, call: PacedCall, now: float, *, refused: bool) -> None:
        """The call came back, or was given up."""
        left_at = call.left_at if call.left_at is not None else self.leave(call, call.granted_at)
        self.away.discard(call)
        if refused:  # it may have arrived late, after calls that left later: these count as well
            call.possible += sum(left_at < later < now - self.quickest_s for later in self.lefts)
        else:  # a refusal is quicker than any call that does its work
            self._learn(max(0.0, now - left_at))
        self.returns.append(now)

    def unused(self, call: PacedCall) -> None:
        """The slot's call never left: it counts nowhere."""
        self.granted.discard(call)

    def opens_at(self, now: float, limit: int, *, by_return: bool) -> float:
        """When fewer than `limit` calls may still count: `now`, later, or infinity (only a return helps)."""
        if self._count(by_return=by_return) < limit:  # even with what is over by now
            return now
        self._prune(now)
        place = self._count(by_return=by_return) - limit
        if place < 0:
            return now
        ends, kept_s = (
            (self.returns, self.period_s - self.quickest_s)
            if by_return
            else (self.lefts, self.period_s * KEPT_BY_LEAVING)
        )
        return ends[place] + kept_s if place < len(ends) else math.inf

    def _count(self, *, by_return: bool) -> int:
        return len(self.granted) + (len(self.away) + len(self.returns) if by_return else len(self.lefts))

    def _learn(self, round_trip_s: float) -> None:
        trips = self.round_trips
        trips.append(round_trip_s)
        least_s = min(trips)
        excess_s = sum(trips) / len(trips) - least_s
        self.quickest_s = min(max(0.0, least_s - excess_s * UNSEEN / len(trips)), self.period_s)

    def _prune(self, now: float) -> None:
        for ends, kept_s in (
            (self.lefts, self.period_s * KEPT_BY_LEAVING),
            (self.returns, self.period_s - self.quickest_s),
        ):
            while ends and ends[0] <= now - kept_s:
                ends.popleft()


@dataclass(slots=True)
class Share:
    """What others leave to us: `calls` in a period, as counted at the last breach.

    since: when we went on after it. probe_at: when to try more; probe_wait_s: how long that was put off;
    rest_s: what was left of that at the last breach. full_since: when a probe reached the whole limit.
    """

    calls: float
    since: float
    probe_at: float
    probe_wait_s: float
    rest_s: float
    full_since: float = math.inf


@dataclass(slots=True)
class Pause:
    """The breach that everyone waits for, and what earlier ones taught about the tenant's penalty."""

    until: float = -math.inf
    breach_at: float = -math.inf
    last_refusal_at: float = -math.inf
    over: bool = True
    """Whether a call has been answered since; until then one call at a time goes out, to try."""
    tried_at: float = -math.inf
    tried: PacedCall | None = None
    """When the last try was let go, and its call."""
    too_short_s: float = 0.0
    enough_s: float = 0.0


@dataclass(slots=True)
class Rules:
    """The state of one run's pace.

    asked: the most that may be sent; of several runs on the tenant, the lowest. part: of the ceiling, what is
    this run's (above 0, up to 1).
    """

    asked: Rate
    window: Window
    stated: Rate | None = None
    part: float = 1.0
    careful: bool = False
    share: Share | None = None
    pause: Pause = field(default_factory=Pause)

    @property
    def ceiling(self) -> Rate:
        """The most that all runs on the tenant ever send together."""
        return ceiling_of(self.asked, self.stated)

    @property
    def calls(self) -> float:
        """How many calls of a period are this run's: its part of the ceiling."""
        return self.ceiling.calls * self.part

    @property
    def share_part(self) -> float | None:
        """What others leave, as a part (0 to 1) of what is ours; None where no others were noticed."""
        return None if self.share is None else min(1.0, self.share.calls / self.calls)

    def take(self, part: float, asked: Rate, stated: Rate | None) -> None:
        """From now on this much of the ceiling is this run's; asked, stated: what all runs ask for, and what
        they were refused with."""
        if self.share is not None:
            self.share.calls *= part / self.part
        self.part, self.asked = part, asked
        self._limited(stated)

    def _limited(self, stated: Rate | None) -> None:
        """The lowest limit that was stated counts, whichever run was refused first."""
        if stated is not None and (self.stated is None or stated.per_s < self.stated.per_s):
            self.stated = stated
        self.window.period_s = self.ceiling.period_s

    def adopt_pause(self, now: float, left_s: float, chance: float) -> None:
        """Another run was refused: wait as it does, then try with one call."""
        pause = self.pause
        if left_s <= 0 or now + left_s <= pause.until:
            return
        if pause.over:
            pause.over = False
            pause.breach_at = now
        pause.last_refusal_at = now
        pause.tried_at = -math.inf
        pause.until = now + left_s * (1 + 0.02 * chance)

    def adopt_share(self, now: float, part: float) -> None:
        """Other runs have learnt that this part (0 to 1) of the ceiling is left: begin with ours of it."""
        if self.share is None:
            self.share = self._new_share(part * self.calls, now)
            self.share.probe_at = now + self.share.rest_s

    def spacing_s(self, now: float, margin: float = 0.0) -> float:
        """Seconds from one call to the next at present. margin: if it is to be wider than usual."""
        period_s = self.ceiling.period_s
        even_s = max(CAREFUL_MARGIN if self.careful else MARGIN, margin) * period_s / self.calls
        if self.share is None:
            return even_s
        return max(even_s, period_s / self._share_now(self.share, now))

    def opens_at(self, now: float) -> float:
        """When the next call may leave, spacing apart: `now`, later, or infinity (until a call returns)."""
        pause = self.pause
        if now < pause.until:
            return pause.until
        if not pause.over and pause.tried_at > pause.breach_at:
            try_again_at = pause.tried_at + self.ceiling.period_s
            if now < try_again_at:
                return try_again_at
        return self.window.opens_at(now, self._whole_calls(), by_return=self.careful)

    def grant(self, now: float) -> PacedCall:
        """Give a slot out."""
        call = self.window.grant(now)
        if not self.pause.over:
            self.pause.tried_at, self.pause.tried = now, call
        share = self.share
        if share is not None and self._share_now(share, now) >= self.calls / MARGIN:
            share.full_since = min(share.full_since, now)
            if now - share.full_since > 2 * self.ceiling.period_s:
                self.share = None  # the others have stopped
        return call

    def unused(self, call: PacedCall) -> None:
        """The call never left: it counts nowhere, and if it was to try, another one may at once."""
        self.window.unused(call)
        if call is self.pause.tried:
            self.pause.tried_at = -math.inf

    def answered(self, call: PacedCall, now: float) -> None:
        """The call came back, and was not refused for the rate."""
        self.window.returned(call, now, refused=False)
        pause = self.pause
        if not pause.over and call.granted_at > pause.breach_at:
            # Not what has passed since the pause was over: nobody had anything to send, or all was down.
            waited_s = min(call.granted_at, pause.until) - pause.breach_at
            if pause.too_short_s >= waited_s:
                pause.too_short_s = 0.0
            pause.over = True
            pause.enough_s = waited_s
            if self.share is not None:
                self._resume_share(self.share, now)

    def refused(self, call: PacedCall, now: float, refusal: Refusal, chance: float) -> None:
        """The call was refused: pause everyone, and learn.

        Calls that were under way when the pause began belong to the same breach. `chance` (0 to 1) lengthens
        the pause by up to 2 %, so that importers on several machines do not come back together.
        """
        self.window.returned(call, now, refused=True)
        quota_ended = ends_quota(refusal)
        if not quota_ended and refusal.limit is not None and refusal.limit.usable:
            self._limited(refusal.limit)
        pause = self.pause
        retry_after_s = refusal.retry_after_s or 0.0
        if retry_after_s >= QUOTA_S:
            retry_after_s = 0.0
        if call.granted_at <= pause.last_refusal_at:
            if retry_after_s:
                pause.until = max(pause.until, now + retry_after_s)
            return
        again = not pause.over
        wait_s = self._try_later(now) if again else self._breach(now, retry_after_s)
        pause.tried_at = -math.inf
        pause.last_refusal_at = now
        pause.until = now + max(wait_s, retry_after_s) * (1 + 0.02 * chance)
        if not again and not quota_ended:
            self._learn(call, now)

    def _try_later(self, now: float) -> float:
        """Seconds to wait after a try that came too early."""
        pause = self.pause
        window_s = self.ceiling.period_s * PAUSE_PERIODS
        waited_s = now - pause.breach_at
        pause.too_short_s = max(pause.too_short_s, waited_s)
        rest_s = pause.enough_s - waited_s
        return rest_s if rest_s > window_s / 4 else min(max(waited_s, window_s), max(PAUSE_MAX_S, window_s))

    def _breach(self, now: float, stated_s: float) -> float:
        """Seconds to wait after a breach: what is stated, else the window and a little, or what the tenant's
        penalty was seen to take."""
        pause = self.pause
        pause.over = False
        pause.breach_at = now
        if stated_s > 0:
            return 1 / self.ceiling.per_s
        learnt_s = pause.enough_s
        if pause.enough_s - pause.too_short_s > 0.2 * pause.enough_s:
            learnt_s = (pause.enough_s + pause.too_short_s) / 2
        pause.too_short_s *= 0.8  # penalties may become shorter: try that again in time
        return max(self.ceiling.period_s * PAUSE_PERIODS, learnt_s)

    def _whole_calls(self) -> int:
        return max(1, int(self.calls + ROUNDING))

    def _learn(self, call: PacedCall, now: float) -> None:
        """After a breach: it was ours (be careful from now on), or others' (take what they leave)."""
        if call.possible + 1 > self._whole_calls() and not self.careful:
            self.careful = True
        elif self.share is not None:
            self._learn_again(self.share, min(max(0.5, float(call.left)), self.calls), now)
        else:
            calls = min(call.left - min(COUNT_ERROR, call.left / 10), self.calls)
            if call.left == 0:  # refused at once: that others always take so much is not known
                calls = self.calls / 4
            self.share = self._new_share(calls, now)

    def _new_share(self, calls: float, now: float) -> Share:
        first_s = self._probes.first * self.ceiling.period_s
        return Share(calls, now, math.inf, first_s, first_s)

    def _learn_again(self, share: Share, counted: float, now: float) -> None:
        """Another breach while others took their part. Counts are whole numbers: one less may be chance."""
        much_less = counted < min(self._share_now(share, now), share.calls) - 1.5
        if now < share.probe_at:  # we had not asked for more: they did
            part_s = min(1.0, (now - share.since) / self.ceiling.period_s)  # of our window that was full
            calls = max(counted, share.calls / 2) if part_s < 1 else counted
            share.calls = calls if much_less else share.calls * SHARE_LESS
            share.rest_s = share.probe_at - now
            return
        if counted > share.calls * 1.15:
            share.probe_wait_s = self._probes.first * self.ceiling.period_s
        else:
            share.probe_wait_s *= self._probes.longer
        share.rest_s = share.probe_wait_s
        share.calls = counted if much_less else max(share.calls, counted)

    def _resume_share(self, share: Share, now: float) -> None:
        """The pause is over: climb, and try more the later, the longer the tenant's penalty is."""
        period_s = self.ceiling.period_s
        penalty_s = self.pause.enough_s if self.pause.enough_s > 1.5 * period_s else 0.0
        share.probe_wait_s = max(min(share.probe_wait_s, self._probes.last * period_s), 4 * penalty_s)
        share.since, share.full_since = now, math.inf
        share.probe_at = now + min(max(share.rest_s, 4 * penalty_s), share.probe_wait_s)

    @property
    def _probes(self) -> Probes:
        return PROBES if self.stated is not None else PROBES_UNSTATED

    def _share_now(self, share: Share, now: float) -> float:
        """Calls a period that are sent at present, in steps of one period."""
        period_s = self.ceiling.period_s
        steps = math.floor(max(0.0, now - share.since) / period_s)
        part = SHARE_START + (SHARE_END - SHARE_START) * min(1.0, steps / CLIMB)
        calls = share.calls * part
        if now >= share.probe_at:
            probing = 1 + math.floor((now - share.probe_at) / period_s)
            calls += self.calls * PROBE_STEP * (2.0 ** min(probing, 10) - 1)
        return min(max(calls, 0.5), self.calls)
