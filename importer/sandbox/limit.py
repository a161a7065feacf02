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
from dataclasses import dataclass
from email.utils import formatdate
from math import inf
from typing import Final, Self

from aiohttp import web

from importer.sandbox.rules import FaultsFile, OtherClient
from importer.sandbox.wire import moment, throttled

_RATE: Final = re.compile(r"(\d+)/(\d+(?:\.\d+)?)")
_LOOK_BACK_PERIODS: Final = 20
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


class _Client:
    """Somebody else: when the next calls are due, and how many at once."""

    def __init__(self, rule: OtherClient, plan: Plan, start_s: float) -> None:
        self.next_s = start_s + rule.from_s
        self.until_s = inf if rule.until_s is None else start_s + rule.until_s
        self.at_once = rule.burst or 1
        self.step_s = rule.every_s if rule.burst else plan.period_s / (plan.calls * (rule.share or 1e-9))
        self.pause_s = plan.period_s if rule.polite else 0.0


class Gate:
    """Admits a call if fewer than `plan.calls` were admitted within the last `plan.period_s` seconds.

    A call exactly one period old no longer counts. A refused call does not count either, but it starts the
    penalty; refusals during a penalty do not prolong it. others: calls that other clients sent so far,
    refused ones too. Raises ValueError for a rate that is none.
    """

    def __init__(self, rate: str, penalty_s: float, file: FaultsFile, start_s: float) -> None:
        self.plan = Plan.parse(rate)
        self.penalty_s = penalty_s
        self._admitted: deque[float] = deque(maxlen=self.plan.calls)
        self._barred_until = -inf
        self._day = -1
        self._today = 0
        self.change(file, start_s)

    def __repr__(self) -> str:
        return f"<Gate {self.plan}, {len(self._admitted)} admitted, barred until {self._barred_until}>"

    def change(self, file: FaultsFile, start_s: float) -> None:
        """Other rules and other clients from `start_s` on; what fills the window stays in it."""
        self._rules = file.tenant
        self._clients = [_Client(rule, self.plan, start_s) for rule in file.other_clients if self.plan.calls]
        self.others = 0

    def refusal(self, now: float, tenant_now: float) -> web.Response | None:
        """None if the call is let in. now: monotonic; tenant_now: epoch seconds by the tenant's clock."""
        self._others_until(now)
        message, headers = "", {}
        if not self._admits(now):
            message = f"API calls exceeded the limit of {self.plan.calls} in {self.plan.period_s:g} second(s)"
            headers = self._retry_after(now)
        elif self._rules.daily_quota is not None:
            message = self._over_quota(self._rules.daily_quota, tenant_now)
        return throttled(message, self._rules.rate_refusals_as, headers) if message else None

    def _admits(self, now: float) -> bool:
        """Whether a call that arrives now is let in; counts it if so."""
        if not self.plan.calls:
            return True
        if now < self._barred_until:
            return False
        if len(self._admitted) == self.plan.calls and now - self._admitted[0] < self.plan.period_s:
            self._barred_until = now + self.penalty_s
            return False
        self._admitted.append(now)
        return True

    def _others_until(self, now: float) -> None:
        """Lets every other call arrive that was due by now, but for those that no window remembers."""
        earliest_s = now - _LOOK_BACK_PERIODS * max(self.plan.period_s, self.penalty_s)
        for client in self._clients:
            client.next_s += client.step_s * max(0, (earliest_s - client.next_s) // client.step_s)
        while due := [one for one in self._clients if one.next_s <= now and one.next_s < one.until_s]:
            client = min(due, key=lambda each: each.next_s)
            self.others += client.at_once
            admitted = sum(self._admits(client.next_s) for _ in range(client.at_once))
            client.next_s += client.step_s + (client.pause_s if admitted < client.at_once else 0)

    def _over_quota(self, quota: int, tenant_now: float) -> str:
        """Counts the call; what is said if it is one too many."""
        day = int(tenant_now // _DAY_S)
        if day != self._day:
            self._day, self._today = day, 0
        self._today += 1
        if self._today <= quota:
            return ""
        resets_at = moment((day + 1) * _DAY_S)
        return f"Daily API limit of {quota} calls exceeded. The limit resets at {resets_at} UTC."

    def _retry_after(self, now: float) -> dict[str, str]:
        given = self._rules.retry_after
        if given == "none":
            return {}
        free_at = self._admitted[0] + self.plan.period_s
        wait_s = math.ceil(max(self._barred_until, free_at) - now) if isinstance(given, str) else given
        if given == "date":
            return {"Retry-After": formatdate(time.time() + self._rules.clock_offset_s + wait_s, usegmt=True)}
        return {"Retry-After": f"{wait_s:g}"}
