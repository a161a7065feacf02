"""The sandbox's rate limit, on a clock that is only a number."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.sandbox import read_faults
from importer.sandbox.traffic import Gate, Plan

MOMENTS = st.lists(st.integers(0, 60_000), max_size=200).map(lambda given: sorted(ms / 1000 for ms in given))
PLANS = st.builds(Plan, st.integers(1, 25), st.sampled_from([0.5, 1.0, 5.0]))


def gate(
    rate: str, penalty_s: float = 0.0, *, others: tuple[dict[str, Any], ...] = (), **tenant: Any
) -> Gate:
    """A tenant's limit, from the moment 0 on."""
    return Gate(rate, penalty_s, read_faults({"tenant": tenant, "other_clients": others}, "faults"), 0.0)


def admits(tenant: Gate, now: float) -> bool:
    """Whether a call that arrives now is let in."""
    return tenant.refusal(now, 0.0) is None


@pytest.mark.parametrize("text", ["", "25", "25/", "0/5", "25/0", "-1/5", "25/5s", "x", "25/ 5"])
def test_a_rate_that_is_none_is_refused(text: str) -> None:
    """Misuse is told before anything is served."""
    with pytest.raises(ValueError, match="is not a rate"):
        Plan.parse(text)


@pytest.mark.parametrize("text", ["25/5", "2/0.5", "none"])
def test_a_rate_is_shown_as_it_is_written(text: str) -> None:
    """What one reads is what one may type."""
    assert str(Plan.parse(text)) == text


@given(MOMENTS, PLANS)
def test_no_window_wherever_it_starts_holds_more_than_the_plan(moments: list[float], plan: Plan) -> None:
    """The limit is strict: every window that begins with an admitted call is looked at."""
    tenant = gate(str(plan))
    admitted = [now for now in moments if admits(tenant, now)]
    fullest = max(
        (sum(start <= now and now - start < plan.period_s for now in admitted) for start in admitted),
        default=0,
    )
    assert fullest <= plan.calls


@given(MOMENTS, PLANS)
def test_nothing_is_refused_that_the_window_has_room_for(moments: list[float], plan: Plan) -> None:
    """Without a penalty, a refusal means that the window was full at that moment."""
    tenant, admitted = gate(str(plan)), list[float]()
    for now in moments:
        room = sum(now - before < plan.period_s for before in admitted) < plan.calls
        assert admits(tenant, now) is room
        if room:
            admitted.append(now)


def test_a_breach_bars_every_call_for_the_penalty_and_no_longer() -> None:
    """5 s after the breach the next call is let in; refusals meanwhile do not prolong it."""
    tenant = gate("2/1", 5.0)
    answers = [admits(tenant, now) for now in (0.0, 0.1, 0.2, 3.0, 5.1, 5.2)]
    assert answers == [True, True, False, False, False, True]


def test_a_call_exactly_one_period_old_no_longer_counts() -> None:
    """25 in 5 seconds: the 26th may come at the very end of the fifth second."""
    tenant = gate("25/5")
    assert all(admits(tenant, 0.0) for _ in range(25))
    assert [admits(tenant, 4.999), admits(tenant, 5.0)] == [False, True]


def test_a_steady_client_takes_its_share_of_the_plan() -> None:
    """40 % of 25 in 5 s are 2 calls a second."""
    tenant = gate("25/5", others=({"share": 0.4},))
    tenant.refusal(60.0, 0.0)
    assert tenant.others == 121


def test_a_burst_fills_the_window_at_once_and_others_are_refused() -> None:
    """20 of 25 places are gone: five are left to us."""
    tenant = gate("25/5", others=({"burst": 20, "every_s": 100},))
    assert sum(admits(tenant, 0.5) for _ in range(25)) == 5


def test_a_client_that_stops_leaves_the_window_to_us() -> None:
    """After `until_s` nothing more arrives."""
    tenant = gate("25/5", others=({"share": 0.8, "until_s": 10.0},))
    for now in range(0, 1001, 5):
        tenant.refusal(float(now), 0.0)
    assert tenant.others == 40
    assert sum(admits(tenant, 2000.0) for _ in range(30)) == 25


def test_a_long_silence_costs_nothing() -> None:
    """Calls that no window remembers are left out: a laptop that slept for a year is no endless loop."""
    tenant = gate("25/5", others=({"share": 0.5},))
    let_in = sum(admits(tenant, 3e7) for _ in range(25))
    assert tenant.others < 2000
    assert let_in in (12, 13)


def test_a_daily_quota_ends_and_begins_again_at_midnight_utc() -> None:
    """The message says when; the next day starts from nothing."""
    tenant = gate("none", daily_quota=2)
    noon, tomorrow = 1_785_499_200.0, 1_785_542_400.0
    answers = [tenant.refusal(float(number), noon) for number in range(3)]
    assert answers[:2] == [None, None]
    assert answers[2] is not None
    assert "resets at 2026-08-01 00:00:00 UTC" in str(answers[2].body)
    assert tenant.refusal(4.0, tomorrow) is None


@pytest.mark.parametrize(
    ("retry_after", "now", "shown"),
    [
        ("none", 0.5, None),
        ("seconds", 0.5, "5"),
        ("seconds", 3.25, "2"),
        ("seconds", 4.5, "1"),
        (7, 0.5, "7"),
        (2.5, 0.5, "2.5"),
    ],
)
def test_retry_after_comes_as_the_tenant_has_it(retry_after: object, now: float, shown: str | None) -> None:
    """Absent, a fixed number, or real seconds: the larger of what the penalty and what the window want."""
    tenant = gate("1/5", 1.0, retry_after=retry_after)
    tenant.refusal(0.0, 0.0)
    answer = tenant.refusal(now, 0.0)
    assert answer is not None
    assert answer.headers.get("Retry-After") == shown


def test_retry_after_may_be_a_date() -> None:
    """RFC 9110 allows both shapes."""
    tenant = gate("1/5", 5.0, retry_after="date")
    tenant.refusal(0.0, 0.0)
    answer = tenant.refusal(0.5, 0.0)
    assert answer is not None
    assert answer.headers["Retry-After"].endswith(" GMT")
