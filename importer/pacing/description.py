"""What the pace is doing, in a sentence for operations staff."""

from __future__ import annotations

import math

from importer.pacing.rules import QUOTA_S, Rules
from importer.pacing.window import Rate, Refusal


def describe(rules: Rules, now: float, others: int, quota: Refusal | None) -> str:
    """The most notable thing that goes on, as a sentence; empty if there is none."""
    if quota is not None:
        return quota_words(quota)
    sentence = _situation(rules, others)
    wait_s = rules.pause.until - now
    if wait_s > 0:
        pause = f"LeadSquared refused a call for the rate, so all calls wait {_seconds(wait_s)}"
        sentence = f"{pause}; {sentence}" if sentence else pause
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""


def _situation(rules: Rules, others: int) -> str:
    ceiling = rules.ceiling
    if rules.share is not None:
        percent = 100 * (1 - rules.share.calls / rules.calls)
        used = f"another integration uses about {_round(percent)} % of your tenant's calls"
        return used if rules.stated is not None else f"{used}, or its plan allows fewer than {ceiling}"
    if rules.stated is not None and rules.stated.per_s < rules.asked.per_s:
        return f"your tenant's plan allows {_calls(ceiling)}, so that is the rate instead of {rules.asked}"
    if others:
        if others == 1:
            return "another import is running on this tenant and takes its part of the rate"
        return f"{others} other imports are running on this tenant and take their parts of the rate"
    if rules.careful:
        return "calls arrive unevenly, so their spacing follows the answers"
    return ""


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


def _calls(rate: Rate) -> str:
    return f"{rate.calls} call{'s' if rate.calls != 1 else ''} in {rate.period_s:g} s"


def _seconds(wait_s: float) -> str:
    return f"{math.ceil(wait_s)} s" if wait_s < 120 else f"{math.ceil(wait_s / 60)} min"


def _round(percent: float) -> int:
    """To the nearest ten; the count is not better than that."""
    return min(90, max(10, 10 * round(percent / 10)))
