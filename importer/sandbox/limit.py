"""The tenant's rate limit: a strict sliding window, and a penalty after a breach.

Plans allow 2, 5, 10, 15, 20 or 25 calls in 5 seconds for the whole tenant; over it, calls are refused "until
a certain amount of time has passed" (the vendor's documentation, rate limits). The strictest reading: no
period of that length, wherever it starts, holds more accepted calls than allowed; and a breach bars every
call for a while, others' calls too.

The clock is an argument throughout, in seconds, and must never run backwards.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from math import inf
from typing import Final, Self

_RATE: Final = re.compile(r"(\d+)/(\d+(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Plan:
    """So many calls in so many seconds; `calls` 0 means that there is no limit."""

    calls: int
    period_s: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """`25/5`, or `none`. Raises ValueError on anything else."""
        if text == "none":
            return cls(0, 1.0)
        match = _RATE.fullmatch(text)
        if not match or int(match[1]) < 1 or float(match[2]) <= 0:
            raise ValueError(f"'{text}' is not a rate: write calls/seconds, such as 25/5, or none")
        return cls(int(match[1]), float(match[2]))

    def __str__(self) -> str:
        return f"{self.calls}/{self.period_s:g}" if self.calls else "none"


class SlidingWindow:
    """Admits a call if fewer than `plan.calls` were admitted within the last `plan.period_s` seconds.

    A call exactly one period old no longer counts. A refused call does not count either, but it starts the
    penalty; refusals during a penalty do not prolong it.
    """

    def __init__(self, plan: Plan, penalty_s: float = 0.0) -> None:
        if penalty_s < 0:
            raise ValueError(f"a penalty of {penalty_s} seconds makes no sense")
        self.plan = plan
        self.penalty_s = penalty_s
        self.refused = 0
        self._admitted: deque[float] = deque(maxlen=plan.calls or 1)
        self._barred_until = -inf

    def admit(self, now: float) -> bool:
        """Whether a call that arrives now is let in; counts it if so."""
        if not self.plan.calls:
            return True
        if now < self._barred_until:
            self.refused += 1
            return False
        oldest = self._admitted[0] if len(self._admitted) == self.plan.calls else -inf
        if now - oldest < self.plan.period_s:
            self.refused += 1
            self._barred_until = now + self.penalty_s
            return False
        self._admitted.append(now)
        return True

    def retry_after_s(self, now: float) -> float:
        """Seconds until a call would be admitted, 0 if at once."""
        full = self.plan.calls and len(self._admitted) == self.plan.calls
        free_at = self._admitted[0] + self.plan.period_s if full else -inf
        return max(0.0, self._barred_until - now, free_at - now)

    def __repr__(self) -> str:
        return (
            f"<SlidingWindow {self.plan}, {len(self._admitted)} admitted, {self.refused} refused, "
            f"barred until {self._barred_until}>"
        )
