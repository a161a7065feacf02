"""The sandbox's rate limit, on a clock that is only a number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.sandbox import read_faults
from importer.sandbox.limit import Gate, Plan, SlidingWindow, Traffic
from importer.sandbox.rules import OtherClient

MOMENTS = st.lists(st.integers(0, 60_000), max_size=200).map(lambda given: sorted(ms / 1000 for ms in given))
PLANS = st.builds(Plan, st.integers(1, 25), st.sampled_from([0.5, 1.0, 5.0]))


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
    window = SlidingWindow(plan)
    admitted = [now for now in moments if window.admit(now)]
    fullest = max(
        (sum(start <= now and now - start < plan.period_s for now in admitted) for start in admitted),
        default=0,
    )
    assert fullest <= plan.calls


@given(MOMENTS, PLANS)
def test_nothing_is_refused_that_the_window_has_room_for(moments: list[float], plan: Plan) -> None:
    """Without a penalty, a refusal means that the window was full at that moment."""
    window, admitted = SlidingWindow(plan), list[float]()
    for now in moments:
        room = sum(now - before < plan.period_s for before in admitted) < plan.calls
        assert window.admit(now) is room
        if room:
            admitted.append(now)


def test_a_breach_bars_every_call_for_the_penalty_and_no_longer() -> None:
    """5 s after the breach the next call is let in; refusals meanwhile do not prolong it."""
    window = SlidingWindow(Plan(2, 1.0), penalty_s=5.0)
    answers = [window.admit(now) for now in (0.0, 0.1, 0.2, 3.0, 5.1, 5.2)]
    assert answers == [True, True, False, False, False, True]
    assert window.refused == 3


def test_a_call_exactly_one_period_old_no_longer_counts() -> None:
    """25 in 5 seconds: the 26th may come at the very end of the fifth second."""
    window = SlidingWindow(Plan(25, 5.0))
    assert all(window.admit(0.0) for _ in range(25))
    assert [window.admit(4.999), window.admit(5.0)] == [False, True]


def test_retry_after_tells_when_there_is_room() -> None:
    """The larger of what the penalty and what the window want."""
    window = SlidingWindow(Plan(1, 5.0), penalty_s=1.0)
    window.admit(0.0)
    window.admit(3.5)
    assert [window.retry_after_s(now) for now in (3.5, 4.25, 5.0)] == [1.5, 0.75, 0.0]


def test_a_steady_client_takes_its_share_of_the_plan() -> None:
    """40 % of 25 in 5 s are 2 calls a second."""
    window = SlidingWindow(Plan(25, 5.0))
    traffic = Traffic([OtherClient(share=0.4)], window, 0.0)
    traffic.up_to(60.0)
    assert traffic.calls == 121


def test_a_burst_fills_the_window_at_once_and_others_are_refused() -> None:
    """20 of 25 places are gone: five are left to us."""
    window = SlidingWindow(Plan(25, 5.0))
    traffic = Traffic([OtherClient(burst=20, every_s=100)], window, 0.0)
    traffic.up_to(0.5)
    assert sum(window.admit(0.5) for _ in range(25)) == 5


def test_a_client_that_stops_leaves_the_window_to_us() -> None:
    """After `until_s` nothing more arrives."""
    window = SlidingWindow(Plan(25, 5.0))
    traffic = Traffic([OtherClient(share=0.8, until_s=10.0)], window, 0.0)
    for now in range(0, 1001, 5):
        traffic.up_to(float(now))
    assert traffic.calls == 40
    assert sum(window.admit(1000.0) for _ in range(30)) == 25


def test_a_long_silence_costs_nothing() -> None:
    """Calls that no window remembers are left out: a laptop that slept for a year is no endless loop."""
    window = SlidingWindow(Plan(25, 5.0))
    traffic = Traffic([OtherClient(share=0.5)], window, 0.0)
    traffic.up_to(3e7)
    assert traffic.calls < 2000
    assert sum(window.admit(3e7) for _ in range(25)) in (12, 13)


def test_a_daily_quota_ends_and_begins_again_at_midnight_utc() -> None:
    """The message says when; the next day starts from nothing."""
    file = read_faults({"tenant": {"daily_quota": 2}}, "faults")
    gate = Gate("none", 5.0, file, 0.0)
    noon, tomorrow = 1_785_499_200.0, 1_785_542_400.0
    answers = [gate.refusal(float(number), noon) for number in range(3)]
    assert answers[:2] == [None, None]
    assert answers[2] is not None
    assert b"resets at 2026-08-01 00:00:00 UTC" in answers[2].body
    assert gate.refusal(4.0, tomorrow) is None


@pytest.mark.parametrize(("retry_after", "shown"), [("none", None), ("seconds", "5"), (7, "7"), (2.5, "2.5")])
def test_retry_after_comes_as_the_tenant_has_it(retry_after: object, shown: str | None) -> None:
    """Absent, real seconds, or a fixed number."""
    gate = Gate("1/5", 5.0, read_faults({"tenant": {"retry_after": retry_after}}, "faults"), 0.0)
    gate.refusal(0.0, 0.0)
    answer = gate.refusal(0.5, 0.0)
    assert answer is not None
    assert answer.headers.get("Retry-After") == shown


def test_retry_after_may_be_a_date() -> None:
    """RFC 9110 allows both shapes."""
    gate = Gate("1/5", 5.0, read_faults({"tenant": {"retry_after": "date"}}, "faults"), 0.0)
    gate.refusal(0.0, 0.0)
    answer = gate.refusal(0.5, 0.0)
    assert answer is not None
    assert answer.headers["Retry-After"].endswith(" GMT")
