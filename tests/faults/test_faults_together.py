"""Faults in random sequences on the same rows, with lag, clocks, twins and a tenant that alters values."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from conftest import StartTenant

from faults.batch import Line, lines
from faults.conftest import Begin
from faults.test_faults_alone import PASSING


def storm(seed: int, *, every: float = 0.12) -> list[dict[str, Any]]:
    """Each fault has its chance at each of the first two attempts of a row, and reads fail as well."""
    chance = Random(seed)
    rules = list(PASSING.values())
    chance.shuffle(rules)
    sends: list[dict[str, Any]] = [
        {**rule, "on": "create", "chance": every, "attempt": 1 if rule["do"] == "refuse" else [1, 2]}
        for rule in rules[:8]
    ]
    reads = [
        {"do": "incomplete", "chance": 0.05},
        {"do": "answer", "status": 503, "on": "retrieve", "chance": 0.05},
    ]
    return [*sends, *reads]


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_of_faults_leaves_each_row_created_once(
    start_tenant: StartTenant, begin: Begin, seed: int
) -> None:
    """Eight kinds of faults at once, a lag, a clock an hour off: all rows are created, none is uncertain."""
    tenant = start_tenant(seed=seed)
    batch = begin(tenant)
    clock = [0, 3600, -3600][seed % 3]
    tenant.set_faults(
        {"seed": seed, "tenant": {"lag_s": [0, 0.5], "clock_offset_s": clock}, "faults": storm(seed)}
    )
    result = batch.run(lines(40, accounts=5), "--settle", "0.8", "--max-outage", "60")
    again = result
    for _ in range(2):
        again = batch.resume("--settle", "0.8") if again.exit != 0 else again
    assert (again.exit, batch.wrongs(), set(batch.statuses)) == (0, [], {"created"})


def test_three_seconds_of_lag_are_waited_for(start_tenant: StartTenant, begin: Begin) -> None:
    """What is created shows up within the settling time: found, not sent again."""
    tenant = start_tenant(lag_s=3.0)
    batch = begin(tenant)
    tenant.set_faults(
        {"tenant": {"lag_s": 3.0}, "faults": [{"do": "answer", "status": 500, "commit": True, "nth": [1, 4]}]}
    )
    result = batch.run(lines(6), "--settle", "3.5")
    assert (result.exit, len(tenant.creates), batch.wrongs()) == (0, 6, [])


@pytest.mark.parametrize("commit", [True, False])
def test_identical_rows_are_never_in_flight_or_in_doubt_together(
    start_tenant: StartTenant, begin: Begin, commit: bool
) -> None:
    """Six rows that a match could not tell apart, half of their calls doubtful: six activities, six Ids."""
    tenant = start_tenant(latency_s=0.05)
    batch = begin(tenant)
    tenant.set_faults({"faults": [{"do": "answer", "status": 500, "commit": commit, "nth": [1, 3, 4]}]})
    result = batch.run([Line("The same")] * 6)
    calls = [(call.arrived_s, call.ended_s or 0.0) for call in tenant.creates]
    overlapping = [two for one, two in pairwise(calls) if two[0] < one[1]]
    assert (result.exit, batch.statuses, batch.wrongs(), overlapping) == (0, ["created"] * 6, [], [])


def test_a_row_that_looks_like_an_uncertain_one_stays_pending(
    start_tenant: StartTenant, begin: Begin
) -> None:
    """The doubt does not end, so the second row is not sent: exit 3."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {"tenant": {"reads": "refused"}, "faults": [{"do": "answer", "status": 500, "commit": True}]}
    )
    result = batch.run([Line("The same"), Line("The same"), Line("THE  SAME")])
    assert (result.exit, batch.statuses) == (3, ["uncertain", "pending", "pending"])
    assert "2 rows were not sent: they look the same as rows that are uncertain" in result.stderr
    tenant.set_faults({})
    assert (batch.resume().exit, batch.statuses, len(tenant.creates)) == (0, ["created"] * 3, 3)


ALTERED: dict[str, dict[str, Any]] = {
    "trimmed": {"field": "mx_Custom_2", "change": "trim"},
    "upper": {"field": "mx_Custom_2", "change": "upper"},
    "cut": {"field": "mx_Custom_2", "change": "truncate", "length": 4},
    "dropped": {"field": "mx_Custom_2", "change": "drop"},
    "note upper": {"field": "note", "change": "upper"},
}


@pytest.mark.parametrize("name", ALTERED)
@pytest.mark.parametrize("commit", [True, False])
def test_a_tenant_that_alters_a_field_is_understood(
    start_tenant: StartTenant, begin: Begin, name: str, commit: bool
) -> None:
    """The read-back shows which field returns otherwise: it is named, and matching does without it."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {
            "tenant": {"read_back": [ALTERED[name]]},
            "faults": [{"do": "answer", "status": 500, "commit": commit, "nth": [3, 4]}],
        }
    )
    result = batch.run(lines(8, accounts=2))
    assert (result.exit, set(batch.statuses), batch.wrongs()) == (0, {"created"}, [])
    named = "ActivityNote" if name == "note upper" else "mx_Custom_2"
    assert named in result.stderr or name == "trimmed"


@pytest.mark.parametrize("commit", [True, False])
def test_a_marker_makes_the_match_exact(start_tenant: StartTenant, begin: Begin, commit: bool) -> None:
    """Equal rows, and somebody else who writes the same: with a marker ours are told apart."""
    tenant = start_tenant()
    batch = begin(tenant)
    batch.mapping.write_text(batch.mapping.read_text() + "marker: mx_Custom_9\n")
    without = {"mx_Custom_9": None}
    tenant.set_faults(
        {
            "faults": [
                {"do": "foreign", "by": "self", "fields": without, "nth": [3, 4]},
                {"do": "answer", "status": 500, "commit": commit, "nth": [3, 4]},
            ]
        }
    )
    result = batch.run([*lines(2), *[Line("The same")] * 4])
    assert (result.exit, set(batch.statuses), batch.wrongs()) == (0, {"created"}, [])


def test_stale_and_incomplete_reads_are_no_proof(start_tenant: StartTenant, begin: Begin) -> None:
    """A reading that lacks what RecordCount counts says nothing: looked at again."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {
            "faults": [
                {"do": "answer", "status": 500, "commit": True, "nth": [2, 5]},
                {"do": "incomplete", "on": "retrieve", "times": 4},
            ]
        }
    )
    result = batch.run(lines(6, accounts=1))
    assert (result.exit, len(tenant.creates), batch.wrongs()) == (0, 6, [])
