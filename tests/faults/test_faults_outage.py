"""Outages: the tenant's quota and the rows' attempts are spared, one poisonous row is no outage."""

from __future__ import annotations

import itertools
import re
import threading
from typing import Any

import pytest
from conftest import StartTenant

from faults.batch import PATIENT, lines
from faults.conftest import Begin

FROM_THE_60TH_CALL = list(range(60, 5_000))
OUTAGES: dict[str, dict[str, Any]] = {
    "503 at once": {"do": "answer", "status": 503},
    "silence": {"do": "hang", "seconds": 60},
    "closed connections": {"do": "drop"},
}


@pytest.mark.parametrize("name", OUTAGES)
def test_an_outage_costs_few_calls_and_no_attempts(
    start_tenant: StartTenant, begin: Begin, name: str
) -> None:
    """At most 30 calls leave in an outage's first minute, reads included; then the run stops, exit 3."""
    tenant = start_tenant(latency_s=0.1)
    batch = begin(tenant)
    tenant.set_faults({"faults": [{**OUTAGES[name], "on": "any", "nth": FROM_THE_60TH_CALL}]})
    result = batch.run(lines(2000), "--max-outage", "6", "--timeout", "4", "--rate", "200/1")
    in_outage = [call for call in tenant.calls if call.fault]
    spent = [row.attempts for row in batch.rows() if row.status != "created"]
    assert (result.exit, batch.wrongs()) == (3, [])
    assert len(in_outage) <= 30
    assert max(spent) <= 1


def test_a_batch_goes_on_by_itself_when_an_outage_ends(start_tenant: StartTenant, begin: Begin) -> None:
    """A few seconds of 503, some of them created all the same: nobody has to do anything."""
    tenant = start_tenant(latency_s=0.05)
    batch = begin(tenant)
    outage = {"do": "answer", "status": 503, "on": "any", "from_s": 1.0, "until_s": 4.0}
    tenant.set_faults({"faults": [{**outage, "commit": True, "chance": 0.5}, outage]})
    result = batch.run(lines(300), "--rate", "100/1")
    assert (result.exit, batch.wrongs()) == (0, [])


def test_when_only_doubts_are_left_an_outage_ends_all_the_same(
    start_tenant: StartTenant, begin: Begin
) -> None:
    """Every row's answer was lost in the outage: once reads answer, what was created is found."""
    tenant = start_tenant()
    batch = begin(tenant)
    outage = {"do": "answer", "status": 504, "on": "any", "from_s": 1.0, "until_s": 3.5}
    tenant.set_faults(
        {"faults": [{"do": "answer", "status": 504, "commit": True, "on": "create", "attempt": 1}, outage]}
    )
    result = batch.run(lines(10), "--max-outage", "30")
    assert (result.exit, batch.statuses, batch.wrongs()) == (0, ["created"] * 10, [])


def test_a_poisonous_row_is_no_outage(start_tenant: StartTenant, begin: Begin) -> None:
    """One row that always ends in 503 uses up its own attempts, and nobody else's time."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"faults": [{"do": "answer", "status": 503, "note_has": "number 3"}]})
    result = batch.run(lines(9), "--max-attempts", "2", "--max-outage", "60")
    poisoned = batch.rows()[2]
    assert (result.exit, poisoned.status, poisoned.error_code, poisoned.attempts) == (
        1,
        "failed",
        "gave-up",
        2,
    )
    assert (batch.statuses.count("created"), batch.wrongs()) == (8, [])


def test_three_poisonous_rows_at_the_end_of_a_batch_give_up_too(
    start_tenant: StartTenant, begin: Begin
) -> None:
    """The breaker opens and tries them one by one, until they have used up their attempts."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {"faults": [{"do": "answer", "status": 500, "note_has": f"number {n}"} for n in (4, 5, 6)]}
    )
    result = batch.run(lines(6), "--max-attempts", "2", "--max-outage", "60")
    assert (result.exit, batch.statuses) == (1, ["created"] * 3 + ["failed"] * 3)
    assert (batch.codes[3:], batch.wrongs()) == (["gave-up"] * 3, [])


def test_throttled_for_ever_stops_after_max_outage(start_tenant: StartTenant, begin: Begin) -> None:
    """Refused for the rate without one success: exit 3, no attempt spent, nothing lost."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"faults": [{"do": "throttle", "status": 429, "retry_after": 1}]})
    result = batch.run(lines(5), "--max-outage", "3", *PATIENT)
    assert (result.exit, batch.statuses) == (3, ["pending"] * 5)
    assert [row.attempts for row in batch.rows()] == [0] * 5


def test_a_tenant_that_goes_away_leaves_the_batch_to_be_resumed(
    start_tenant: StartTenant, begin: Begin
) -> None:
    """Connection refused in mid-run: nothing left, so nothing is in doubt but what was under way."""
    tenant = start_tenant(latency_s=0.05)
    batch = begin(tenant)
    creates = itertools.count(1)

    def go_away(_: object) -> None:
        if next(creates) == 50:
            threading.Thread(target=tenant.stop).start()

    tenant.before_each_create(go_away)
    result = batch.run(lines(1000), "--rate", "100/1", "--max-outage", "3")
    again = batch.resume()
    assert (result.exit, again.exit) == (3, 3)
    assert "created" in batch.statuses
    assert "pending" in batch.statuses
    assert not {"failed", "invalid"} & set(batch.statuses)


@pytest.mark.parametrize("host", ["https://no-such-host.invalid", "https://127.0.0.1:{port}"])
def test_a_tenant_that_cannot_be_reached_at_the_start_is_told_plainly(
    start_tenant: StartTenant, begin: Begin, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """DNS and TLS failures: before the first POST exit 2 and nothing left behind, at resume exit 3."""
    tenant = start_tenant()
    batch = begin(tenant)
    assert batch.run(lines(3), "--limit", "1").exit == 3
    batch.results.rename(batch.folder / "kept.csv")
    monkeypatch.setenv("LEADSQUARED_HOST", host.format(port=tenant.url.rpartition(":")[2]))
    again = batch.run([*lines(3), *lines(4)])
    batch.results = batch.folder / "kept.csv"
    assert (again.exit, batch.resume().exit) == (2, 3)
    assert batch.statuses == ["created", "pending", "pending"]


def test_a_quota_of_a_day_ends_the_run_and_says_when_to_resume(
    start_tenant: StartTenant, begin: Begin
) -> None:
    """Nobody waits until midnight for it: exit 3 at once, no attempt spent, and the batch goes on later."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"tenant": {"daily_quota": 12}})
    result = batch.run(lines(40), *PATIENT)
    pending = [row for row in batch.rows() if row.status == "pending"]
    assert (result.exit, batch.wrongs(), len(pending) >= 28) == (3, [], True)
    assert [row.attempts for row in pending] == [0] * len(pending)
    said = r"Your tenant's quota of 12 calls a day is used up\. Resume after \d{4}-\d\d-\d\d 00:00 UTC\."
    assert re.search(said, result.stderr) is not None, result.stderr
    tenant.set_faults({})
    assert (batch.resume().exit, batch.statuses, batch.wrongs()) == (0, ["created"] * 40, [])


def test_a_quota_that_is_used_up_lets_nothing_begin(start_tenant: StartTenant, begin: Begin) -> None:
    """Before the first POST: exit 2, the quota named, and nothing left behind."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"faults": [{"do": "throttle", "on": "any", "message": "Daily API limit exceeded."}]})
    result = batch.run(lines(3))
    assert (result.exit, len(tenant.calls), batch.results.exists()) == (2, 1, False)
    assert "Your tenant's quota of calls a day is used up." in result.stderr
