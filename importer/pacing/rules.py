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
FORGOTTEN_AFTER_S: Final = 900.0
"""A call that has not come back by then is given up: no time-out of ours is that long."""
ROUND_TRIPS_KEPT: Final = 500
"""The quickest round trip is that of the last 500 to 1,000 calls: a slower route is learnt in time."""
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
PROBE_FIRST: Final = 8
PROBE_LONGER: Final = 2
PROBE_LAST: Final = 16
"""Periods until a probe, at first and at last, where the limit is known: others fill it, and may stop."""
PROBE_FIRST_UNSTATED: Final = 4
PROBE_LONGER_UNSTATED: Final = 4
PROBE_LAST_UNSTATED: Final = 512
"""Where no refusal stated the limit and every probe ends at the same count, the plan is probably smaller: to
be found out early, and then left alone."""
PROBE_STEP: Final = 0.02
"""First step of a probe, as a part of the limit; doubled each period, so that 60 % are won back in 25 s."""
PAUSE_PERIODS: Final = 1.05
PAUSE_MAX_S: Final = 120.0
LATENESS_S: Final = 0.02
"""Lateness of a slot (timers, the mark on disk) that the next slots need not wait for."""
QUOTA_S: Final = 3600.0
"""A limit over an hour or more, or a wait that long, is a quota: nobody waits for it, the run stops."""
ROUNDING: Final = 1e-6


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


class CallsInWindow(NamedTuple):
    """What of ours was in the window when a call left, itself not counted.

    left: calls that left within one period before it.
    possible: calls that may have been in the tenant's window when it arrived, whatever the way took.
    """

    left: int
    possible: int


@dataclass(slots=True)
class _Away:
    left_at: float
    traffic: CallsInWindow


@dataclass(slots=True)
class Window:
    """Our calls that may still count. Memory is bounded by what leaves in one period and what is under
    way."""

    period_s: float
    granted: dict[int, float] = field(default_factory=dict)
    away: dict[int, _Away] = field(default_factory=dict)
    lefts: deque[float] = field(default_factory=deque)
    returns: deque[float] = field(default_factory=deque)
    quickest_s: float = math.inf
    quickest_before_s: float = math.inf
    excess_s: float = 0.0
    """Mean of what round trips take beyond the quickest."""
    round_trips: int = 0
    measured: int = 0
    older: int = 0
    """How many of `lefts` are older than one period."""

    def grant(self, number: int, now: float) -> None:
        """A slot was given out; its call has not left yet."""
        self.granted[number] = now

    def left(self, number: int, now: float) -> None:
        """The call of slot `number` leaves now; unknown numbers (given up meanwhile) are nothing."""
        slot = self.granted.pop(number, None)
        if slot is None:
            return
        self._prune(now)
        traffic = CallsInWindow(len(self.lefts) - self.older, len(self.away) + len(self.returns))
        self.away[number] = _Away(now, traffic)
        self.lefts.append(max(now, self.lefts[-1]) if self.lefts else now)

    def returned(self, number: int, now: float, *, refused: bool) -> CallsInWindow | None:
        """The call came back, or was given up; gives what was in the window when it left, None if unknown."""
        if number in self.granted:
            self.left(number, self.granted[number])
        call = self.away.pop(number, None)
        if call is None:
            return None
        if not refused:  # a refusal is quicker than any call that does its work
            self._learn(max(0.0, now - call.left_at))
        self.returns.append(now)
        return self._overtaken(call, now) if refused else call.traffic

    def unused(self, number: int) -> None:
        """The slot's call never left: it counts nowhere."""
        self.granted.pop(number, None)

    def opens_at(self, now: float, limit: int, *, by_return: bool) -> float:
        """When fewer than `limit` calls may still count: `now`, later, or infinity (only a return helps)."""
        if self._count(by_return=by_return) < limit:  # even with what is over by now
            return now
        self._prune(now)
        count = self._count(by_return=by_return)
        if count >= limit and self._give_up(now):
            count = self._count(by_return=by_return)
        if count < limit:
            return now
        ends, kept_s = self._ends(by_return=by_return)
        place = count - limit
        return ends[place] + kept_s if place < len(ends) else math.inf

    def _count(self, *, by_return: bool) -> int:
        return len(self.granted) + (len(self.away) + len(self.returns) if by_return else len(self.lefts))

    def _overtaken(self, call: _Away, now: float) -> CallsInWindow:
        """A refused call may have arrived late, after calls that left later: these count as well."""
        arrived = now - self._quickest()
        overtook = 0
        for left_at in reversed(self.lefts):
            if left_at <= call.left_at:
                break
            overtook += left_at < arrived
        return CallsInWindow(call.traffic.left, call.traffic.possible + overtook)

    def _ends(self, *, by_return: bool) -> tuple[deque[float], float]:
        if by_return:
            return self.returns, self.period_s - self._quickest()
        return self.lefts, self.period_s * KEPT_BY_LEAVING

    def _quickest(self) -> float:
        """The quickest round trip there can be: a little below the quickest seen, less so the more were."""
        if not self.measured:
            return 0.0
        seen_s = min(self.quickest_s, self.quickest_before_s)
        return min(max(0.0, seen_s - self.excess_s * UNSEEN / self.measured), self.period_s)

    def _learn(self, round_trip_s: float) -> None:
        self.quickest_s = min(self.quickest_s, round_trip_s)
        self.measured = min(self.measured + 1, ROUND_TRIPS_KEPT)
        excess_s = round_trip_s - min(self.quickest_s, self.quickest_before_s)
        self.excess_s += (excess_s - self.excess_s) / min(self.measured, 50)
        self.round_trips += 1
        if self.round_trips >= ROUND_TRIPS_KEPT:
            self.quickest_before_s, self.quickest_s, self.round_trips = self.quickest_s, math.inf, 0

    def _prune(self, now: float) -> None:
        lefts, returns = self.lefts, self.returns
        gone = now - self.period_s * KEPT_BY_LEAVING
        while lefts and lefts[0] <= gone:
            lefts.popleft()
            self.older = max(0, self.older - 1)
        older = now - self.period_s
        while self.older < len(lefts) and lefts[self.older] <= older:
            self.older += 1
        gone = older + self._quickest()
        while returns and returns[0] <= gone:
            returns.popleft()

    def _give_up(self, now: float) -> bool:
        """Give up calls nobody will report any more; whether there were any."""
        oldest = now - FORGOTTEN_AFTER_S
        slots = [number for number, at in self.granted.items() if at < oldest]
        calls = [number for number, call in self.away.items() if call.left_at < oldest]
        for number in slots:
            del self.granted[number]
        for number in calls:
            del self.away[number]
        return bool(slots or calls)


@dataclass(slots=True)
class Share:
    """What others leave to us: `calls` in a period, as counted at the last breach.

    since: when we went on after it. rest_s: what was left of the wait for a probe when others broke in.
    full_since: when a probe reached the whole limit.
    """

    calls: float
    since: float
    probe_at: float
    probe_wait_s: float
    rest_s: float = 0.0
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
    tried: int = 0
    """When the last try was let go, and the number of its slot."""
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
    numbers: int = 0

    @classmethod
    def of(cls, rate: Rate) -> Rules:
        """Nothing learnt yet."""
        return cls(rate, Window(rate.period_s))

    @property
    def ceiling(self) -> Rate:
        """The most that all runs on the tenant ever send together."""
        return ceiling_of(self.asked, self.stated)

    @property
    def calls(self) -> float:
        """How many calls of a period are this run's: its part of the ceiling."""
        return self.ceiling.calls * self.part

    def limit(self, asked: Rate, stated: Rate | None) -> None:
        """What other runs ask for, and what they were refused with."""
        self.asked, self.stated = asked, stated
        self.window.period_s = self.ceiling.period_s

    def take(self, part: float) -> None:
        """From now on this much of the ceiling is this run's."""
        if self.share is not None:
            self.share.calls *= part / self.part
        self.part = part

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
        """Other integrations leave this part (0 to 1) of the ceiling to all runs, as these have counted."""
        calls = part * self.calls
        if self.share is not None:
            self.share.calls = calls
            return
        self.share = self._new_share(calls, now)
        if self.pause.over:
            self._resume_share(self.share, now)

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

    def grant(self, now: float) -> int:
        """Give a slot out; its number."""
        self.numbers += 1
        self.window.grant(self.numbers, now)
        if not self.pause.over:
            self.pause.tried_at, self.pause.tried = now, self.numbers
        share = self.share
        if share is not None and self._share_now(share, now) >= self.calls / MARGIN:
            share.full_since = min(share.full_since, now)
            if now - share.full_since > 2 * self.ceiling.period_s:
                self.share = None  # the others have stopped
        return self.numbers

    def unused(self, number: int) -> None:
        """The call of a slot never left: it counts nowhere, and if it was to try, another one may at once."""
        self.window.unused(number)
        if number == self.pause.tried:
            self.pause.tried_at = -math.inf

    def answered(self, number: int, granted_at: float, now: float) -> None:
        """The call of a slot came back, and was not refused for the rate."""
        self.window.returned(number, now, refused=False)
        pause = self.pause
        if not pause.over and granted_at > pause.breach_at:
            # Not what has passed since the pause was over: nobody had anything to send, or all was down.
            waited_s = min(granted_at, pause.until) - pause.breach_at
            if pause.too_short_s >= waited_s:
                pause.too_short_s = 0.0
            pause.over = True
            pause.enough_s = waited_s
            if self.share is not None:
                self._resume_share(self.share, now)

    def refused(self, number: int, granted_at: float, now: float, refusal: Refusal, chance: float) -> None:
        """The call of a slot was refused: pause everyone, and learn.

        Calls that were under way when the pause began belong to the same breach. `chance` (0 to 1) lengthens
        the pause by up to 2 %, so that importers on several machines do not come back together.
        """
        traffic = self.window.returned(number, now, refused=True)
        quota_ended = ends_quota(refusal)
        if not quota_ended and refusal.limit is not None and refusal.limit.usable:
            if self.stated is None or refusal.limit.per_s < self.stated.per_s:
                self.stated = refusal.limit
            self.window.period_s = self.ceiling.period_s
        pause = self.pause
        retry_after_s = refusal.retry_after_s or 0.0
        if granted_at <= pause.last_refusal_at:
            if 0 < retry_after_s < QUOTA_S:
                pause.until = max(pause.until, now + retry_after_s)
            return
        again = not pause.over
        wait_s = self._lengthen(now, again=again, retry_after_s=retry_after_s)
        pause.last_refusal_at = now
        pause.until = now + wait_s * (1 + 0.02 * chance)
        if not again and traffic is not None and not quota_ended:
            self._learn(now, traffic.left, traffic.possible)

    def _lengthen(self, now: float, *, again: bool, retry_after_s: float) -> float:
        """Seconds to wait after a breach, or after a try that came too early (`again`)."""
        pause = self.pause
        window_s = self.ceiling.period_s * PAUSE_PERIODS
        stated_s = retry_after_s if retry_after_s < QUOTA_S else 0.0
        if again:
            waited_s = now - pause.breach_at
            pause.too_short_s = max(pause.too_short_s, waited_s)
            pause.tried_at = -math.inf
            rest_s = pause.enough_s - waited_s
            longest_s = max(PAUSE_MAX_S, window_s)
            return max(rest_s if rest_s > window_s / 4 else min(max(waited_s, window_s), longest_s), stated_s)
        pause.over = False
        pause.breach_at = now
        pause.tried_at = -math.inf
        if stated_s > 0:
            return max(stated_s, 1 / self.ceiling.per_s)
        learnt_s = pause.enough_s
        if pause.enough_s - pause.too_short_s > 0.2 * pause.enough_s:
            learnt_s = (pause.enough_s + pause.too_short_s) / 2
        pause.too_short_s *= 0.8  # penalties may become shorter: try that again in time
        return max(window_s, learnt_s)

    def _learn(self, now: float, left: int, possible: int) -> None:
        """After a breach: it was ours (be careful from now on), or others' (take what they leave)."""
        if possible + 1 > self._whole_calls() and not self.careful:
            self.careful = True
            return
        if self.share is None:
            calls = min(left - min(COUNT_ERROR, left / 10), self.calls)
            if left == 0:  # refused at once: that others always take so much is not known
                calls = self.calls / 4
            self.share = self._new_share(calls, now)
        else:
            self._learn_again(self.share, min(max(0.5, float(left)), self.calls), now)

    def _new_share(self, calls: float, now: float) -> Share:
        wait_s = self._first_probe_s()
        return Share(calls, now, math.inf, wait_s, wait_s)

    def _whole_calls(self) -> int:
        return max(1, int(self.calls + ROUNDING))

    def _learn_again(self, share: Share, counted: float, now: float) -> None:
        """Another breach while others took their part. Counts are whole numbers: one less may be chance."""
        limit = self.ceiling
        sent = self._share_now(share, now)
        much_less = counted < min(sent, share.calls) - 1.5
        if now < share.probe_at:  # we had not asked for more: they did
            part_s = min(1.0, (now - share.since) / limit.period_s)  # of our window that was full
            calls = max(counted, share.calls / 2) if part_s < 1 else counted
            share.calls = calls if much_less else share.calls * SHARE_LESS
            share.rest_s = max(0.0, share.probe_at - now)
            return
        if counted > share.calls * 1.15:
            share.probe_wait_s = self._first_probe_s()
        else:
            same = self.stated is None and abs(counted - share.calls) <= 1
            share.probe_wait_s *= PROBE_LONGER_UNSTATED if same else PROBE_LONGER
        share.rest_s = share.probe_wait_s
        share.calls = counted if much_less else max(share.calls, counted)

    def _resume_share(self, share: Share, now: float) -> None:
        """The pause is over: climb, and try more the later, the longer the tenant's penalty is."""
        period_s = self.ceiling.period_s
        penalty_s = self.pause.enough_s if self.pause.enough_s > 1.5 * period_s else 0.0
        longest_s = PROBE_LAST * period_s if self.stated is not None else math.inf
        wait_s = max(self._first_probe_s(), 4 * penalty_s, share.probe_wait_s)
        share.probe_wait_s = min(wait_s, max(longest_s, 8 * penalty_s), PROBE_LAST_UNSTATED * period_s)
        share.since, share.full_since = now, math.inf
        share.probe_at = now + min(max(share.rest_s, 4 * penalty_s), share.probe_wait_s)

    def _first_probe_s(self) -> float:
        return (PROBE_FIRST if self.stated is not None else PROBE_FIRST_UNSTATED) * self.ceiling.period_s

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
