"""Who is let in: a strict sliding window with a penalty after a breach, filled by everybody's calls.

Plans allow 2, 5, 10, 15, 20 or 25 calls in 5 seconds for the whole tenant; over it, calls are refused "until
a certain amount of time has passed" (the vendor's documentation, rate limits). The strictest reading: no
period of that length, wherever it starts, holds more accepted calls than allowed; and a breach bars every
call for a while, others' calls too. One edition of the plans counts calls a day as well.

Nothing runs in the background: whenever a call of ours arrives, the others' calls that were due before it are
put to the window first, in order of time. The clock is an argument throughout, in seconds, and must never run
backwards.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from math import inf
from typing import Final, Self

from importer.sandbox.rules import FaultsFile, OtherClient, TenantRules
from importer.sandbox.wire import Answer, moment, throttled

_RATE: Final = re.compile(r"(\d+)/(\d+(?:\.\d+)?)")
_LOOK_BACK_PERIODS = 20
_DAY_S: Final = 86_400


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


class _Client:
    def __init__(self, rule: OtherClient, plan: Plan, start_s: float) -> None:
        self._polite_for_s = plan.period_s if rule.polite else 0.0
        if rule.burst is not None:
            self.step_s, self.at_once = rule.every_s, rule.burst
        else:
            calls = (rule.share or 0.0) * plan.calls
            self.step_s, self.at_once = (plan.period_s / calls if calls else 1e9), 1
        self.next_s = start_s + rule.from_s
        self._until_s = None if rule.until_s is None else start_s + rule.until_s

    def due(self, now: float) -> bool:
        return self.next_s <= now and (self._until_s is None or self.next_s < self._until_s)

    def went(self, *, admitted: bool) -> None:
        self.next_s += self.step_s
        if not admitted:
            self.next_s += self._polite_for_s

    def skip_to(self, earliest_s: float) -> None:
        """Leaves out calls so old that no window remembers them, in whole steps."""
        if self.next_s < earliest_s:
            self.next_s += self.step_s * ((earliest_s - self.next_s) // self.step_s)


class Traffic:
    """The other clients of one tenant. `calls`: what they sent so far, refused ones too."""

    def __init__(self, rules: Sequence[OtherClient], window: SlidingWindow, start_s: float) -> None:
        self._window = window
        self._clients = [_Client(rule, window.plan, start_s) for rule in rules] if window.plan.calls else []
        self.calls = 0

    def up_to(self, now: float) -> None:
        """Lets every other call arrive that was due by `now`."""
        look_back_s = _LOOK_BACK_PERIODS * max(self._window.plan.period_s, self._window.penalty_s)
        for client in self._clients:
            client.skip_to(now - look_back_s)
        while due := [client for client in self._clients if client.due(now)]:
            client = min(due, key=lambda each: each.next_s)
            admitted = True
            for _ in range(client.at_once):
                self.calls += 1
                admitted = self._window.admit(client.next_s) and admitted
            client.went(admitted=admitted)


class Gate:
    """Admits or refuses calls. Raises ValueError for a rate or a penalty that is none."""

    def __init__(self, rate: str, penalty_s: float, file: FaultsFile, start_s: float) -> None:
        self.plan = Plan.parse(rate)
        self.window = SlidingWindow(self.plan, penalty_s)
        self._day = -1
        self._today = 0
        self.change(file, start_s)

    def change(self, file: FaultsFile, start_s: float) -> None:
        """Other rules and other clients from `start_s` on; what fills the window stays in it."""
        self._rules: TenantRules = file.tenant
        self.traffic = Traffic(file.other_clients, self.window, start_s)

    def refusal(self, now: float, tenant_now: float) -> Answer | None:
        """None if the call is let in. now: monotonic; tenant_now: epoch seconds by the tenant's clock."""
        self.traffic.up_to(now)
        if not self.window.admit(now):
            message = f"API calls exceeded the limit of {self.plan.calls} in {self.plan.period_s:g} second(s)"
            return throttled(message, self._rules.rate_refusals_as, self._retry_after(now))
        if self._rules.daily_quota is not None:
            return self._over_quota(self._rules.daily_quota, tenant_now)
        return None

    def _over_quota(self, quota: int, tenant_now: float) -> Answer | None:
        day = int(tenant_now // _DAY_S)
        if day != self._day:
            self._day, self._today = day, 0
        self._today += 1
        if self._today <= quota:
            return None
        resets_at = moment((day + 1) * _DAY_S)
        message = f"Daily API limit of {quota} calls exceeded. The limit resets at {resets_at} UTC."
        return throttled(message, self._rules.rate_refusals_as, None)

    def _retry_after(self, now: float) -> str | None:
        given = self._rules.retry_after
        if given == "none":
            return None
        wait_s = math.ceil(self.window.retry_after_s(now)) if isinstance(given, str) else given
        if given == "date":
            return formatdate(time.time() + self._rules.clock_offset_s + wait_s, usegmt=True)
        return f"{wait_s:g}"
