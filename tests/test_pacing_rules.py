"""What the pace makes of a tenant: the targets, against a strict model, over hours on a virtual clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from benchmarks.pacing_simulation import (
    ALONE,
    HANGING,
    HEAVY_TAILS,
    OTHERS,
    PENALTIES,
    PLAN,
    PLANS,
    Case,
    StrictTenant,
    bursts,
    none,
    simulate,
    steady,
    uniform,
)

from importer.pacing.pacing import Pace, Rate
from importer.pacing.rules import Window

SEEDS = (11, 12, 13)
seeds = pytest.mark.parametrize("seed", SEEDS)


def named(cases: tuple[Case, ...]) -> pytest.MarkDecorator:
    """One test for each case."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def most_in(window_s: float, times: list[float]) -> int:
    """The most arrivals in any window of that length."""
    return max(sum(first <= at < first + window_s for at in times[i:]) for i, first in enumerate(times))


@seeds
@named(ALONE[:2])
def test_alone_it_takes_the_allowance_and_is_never_refused(case: Case, seed: int) -> None:
    """500 rows, jitter up to 100 ms, 300 ms latency, strict window, 5 s penalty: 96.5 % and no refusal."""
    run = simulate(case, seed)
    assert [run.refused, len(run.created), run.share(case) >= 0.965] == [0, 500, True]


@seeds
def test_its_last_create_is_in_time(seed: int) -> None:
    """At most 1.05 × (n − 1) × 0.2 s after the first."""
    created = simulate(ALONE[1], seed).created
    assert created[-1] - created[0] <= 1.05 * 499 * 0.2


@seeds
@named(HEAVY_TAILS)
def test_heavy_tails_are_learnt_from_once(case: Case, seed: int) -> None:
    """2,000 rows: 90 % and at most 3 refusals, all of one breach."""
    run = simulate(case, seed)
    assert [run.refused <= 3, run.breaches <= 1, run.share(case) >= 0.90] == [True, True, True]


@seeds
@named(HANGING)
def test_a_hanging_call_takes_one_place_and_stops_nobody(case: Case, seed: int) -> None:
    """Nine tenths of the allowance, while one call hangs for 50 s after a breach of our own."""
    run = simulate(case, seed)
    assert [run.pace.throttled > 0, run.breaches, run.share(case) >= 0.90] == [True, 1, True]


@seeds
@named(OTHERS[1:3])
def test_what_another_client_leaves_is_used(case: Case, seed: int) -> None:
    """Three quarters of what 40 % leave, under 2 % refused, in 300 and in 600 rows."""
    run = simulate(case, seed)
    assert [run.share(case) >= 0.75, run.refused / (case.rows + run.refused) < 0.02] == [True, True]


@seeds
@named((OTHERS[0], OTHERS[3], OTHERS[4], *OTHERS[5:8]))
def test_other_clients_of_other_kinds_are_lived_with(case: Case, seed: int) -> None:
    """20 and 80 %, limits not stated, bursts, late beginners: half of what they leave, under 5 % refused."""
    run = simulate(case, seed)
    assert [run.share(case) >= 0.5, run.refused / (case.rows + run.refused) < 0.05] == [True, True]


@seeds
@named(OTHERS[8:])
def test_two_minutes_after_the_other_stopped_all_is_ours(case: Case, seed: int) -> None:
    """95 % of the allowance from then on, whether it took 40 or 80 %."""
    assert simulate(case, seed).share(case) >= 0.95


@seeds
@named((*PLANS[:3], *PLANS[4:]))
def test_a_smaller_plan_is_found(case: Case, seed: int) -> None:
    """90 % of the plan after the first minute; with and without the limit in the refusal."""
    assert simulate(case, seed).share(case) >= 0.90


@seeds
@named(PLANS[3:])
def test_a_smaller_plan_that_is_not_stated_costs_few_breaches(case: Case, seed: int) -> None:
    """It is looked for early, and then left alone: 300 rows at one a second meet three."""
    run = simulate(case, seed)
    assert [run.breaches <= 3, run.share(case) >= 0.915] == [True, True], (run.breaches, run.share(case))


@seeds
def test_what_others_break_into_does_not_put_off_what_we_try(seed: int) -> None:
    """Bursts of 20 every 20 s leave four fifths, of which two thirds are used."""
    assert simulate(OTHERS[6], seed).share(OTHERS[6]) >= 0.66


def test_a_call_is_counted_as_long_as_the_window_is() -> None:
    """Five seconds, not the 2 % more for which it is held: else what others leave would look like more."""
    window = Window(5.0)
    for at in (0.0, 0.1, 1.0, 5.05):
        window.leave(call := window.grant(at), at)
    assert call.left == 2


def test_a_stated_plan_costs_one_breach() -> None:
    """5 in 5 s under 25/5: the message is believed, and the ceiling is the plan."""
    run = simulate(PLANS[1], SEEDS[0])
    assert [run.breaches, run.pace.ceiling] == [1, Rate(5, 5.0)]


@seeds
@named(PENALTIES)
def test_every_penalty_is_survived(case: Case, seed: int) -> None:
    """Of 0, 5 and 60 s, stated or not, renewed by each refusal or not: all rows, under 2 % refused."""
    run = simulate(case, seed)
    assert [len(run.created), run.refused / (case.rows + run.refused) < 0.02] == [600, True]


def test_without_penalty_a_breach_costs_little() -> None:
    """Another client takes 40 %, and refusals end with the window."""
    assert simulate(PENALTIES[0], SEEDS[0]).share(PENALTIES[0]) >= 0.70


@seeds
def test_after_our_own_breach_the_bound_is_never_breached_again(seed: int) -> None:
    """Hours of 400 ms jitter: one breach, and then the window holds."""
    run = simulate(Case("hours", 8_000, jitter=uniform(0.4)), seed)
    assert [run.breaches, run.share(Case("hours")) >= 0.90] == [1, True]


def test_what_is_sent_never_exceeds_the_rate_that_was_asked_for() -> None:
    """A tenant of 1,000 in 5 s, and --rate 10/5."""
    run = simulate(Case("own rate", 200, lambda: StrictTenant(Rate(1000, 5.0)), rate=Rate(10, 5.0)), 1)
    assert [run.refused, most_in(5.0, run.created) <= 10] == [0, True]


@pytest.mark.parametrize("calls", [2, 3, 5, 10, 15, 20])
def test_every_plan_is_kept_without_a_refusal(calls: int) -> None:
    """The vendor's plans, named with --rate, jitter 100 ms."""
    rate = Rate(calls, 5.0)
    run = simulate(Case("plan", 150, lambda: StrictTenant(rate), rate=rate, jitter=uniform(0.1)), 1)
    assert run.refused == 0


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (steady(10), "Another integration uses about 40 % of your tenant's calls."),
        (steady(20), "Another integration uses about 80 % of your tenant's calls."),
    ],
)
def test_it_says_how_much_another_takes(others: Callable[..., object], said: str) -> None:
    """In words for the person who waits."""
    run = simulate(Case("said", 200, others=(others,)), 1)  # type: ignore[arg-type]
    assert said in [sentence for _, sentence in run.said]


def test_it_says_that_the_plan_is_smaller() -> None:
    """With both figures."""
    run = simulate(Case("said", 60, lambda: StrictTenant(Rate(5, 5.0))), 1)
    assert run.said[-1][1] == "Your tenant's plan allows 5 calls in 5 s, so that is the rate instead of 25/5."


def test_it_does_not_claim_to_know_who_takes_the_calls() -> None:
    """Where no refusal states the limit, a smaller plan looks the same."""
    run = simulate(Case("said", 60, lambda: StrictTenant(Rate(5, 5.0), states=False)), 1)
    assert "or its plan allows fewer than 25/5" in run.said[-1][1]


def test_two_others_with_bursts_do_not_starve_us() -> None:
    """A steady one and a bursty one: rows go on."""
    run = simulate(Case("two", 300, others=(steady(5), bursts(10, 30.0))), 1)
    assert [len(run.created), run.created[-1] < 300 * 2.0] == [300, True]


def test_the_arithmetic_has_no_clock_of_its_own() -> None:
    """A virtual day passes in a moment."""
    run = simulate(Case("a day", 200, rate=Rate(1, 400.0), jitter=none), 1)
    assert run.created[-1] - run.created[0] > 0.95 * 86_400 * 0.9
    assert isinstance(run.pace, Pace)
    assert Rate(25, 5.0) == PLAN
