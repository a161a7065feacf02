"""Who is let in: the tenant's window, which everybody's calls fill, and its calls a day."""

from __future__ import annotations

import math
import time
from email.utils import formatdate
from typing import Final

from importer.sandbox.limit import Plan, SlidingWindow
from importer.sandbox.options import SandboxOptions
from importer.sandbox.rules import FaultsFile, TenantRules
from importer.sandbox.spelling import moment
from importer.sandbox.traffic import Traffic
from importer.sandbox.wire import Answer, throttled

_DAY_S: Final = 86_400


class Gate:
    """Admits or refuses calls. Raises ValueError for a rate or a penalty that is none."""

    def __init__(self, options: SandboxOptions, file: FaultsFile, start_s: float) -> None:
        self.plan = Plan.parse(options.rate)
        self.window = SlidingWindow(self.plan, options.penalty_s)
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
