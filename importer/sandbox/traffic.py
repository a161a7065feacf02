"""Everybody else on the tenant: their calls fill the same window.

Nothing runs in the background: whenever a call of ours arrives, the others' calls that were due before it are
put to the window first, in order of time. Times are seconds on the caller's clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from importer.sandbox.limit import Plan, SlidingWindow
from importer.sandbox.rules import OtherClient

_LOOK_BACK_PERIODS = 20


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
