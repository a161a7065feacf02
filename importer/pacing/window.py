"""Which of our calls a tenant may still be counting: pure bookkeeping, no clock of its own.

A tenant counts calls by their arrival, which we never see. We see when a call left and when it came back, and
have two bounds on how long it may lie in the tenant's window:

- *by leaving*: `left + period × 1.02`. Right as long as arrival times differ by less than 2 % of the period.
- *by returning*: `returned − quickest round trip + period`, and for as long as the call has not returned. A
  call needs at least the quickest round trip for the way and the work, so whatever it took beyond that is the
  most by which it can have arrived late. This one holds for any jitter, and pays for the tenant's uneven
  thinking time.

All times are seconds of one monotonic clock, given by the caller.
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
_RATE = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{1,9}(?:\.\d{1,6})?)\s*", re.ASCII)


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
