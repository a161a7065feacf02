"""Every fault alone: whatever the tenant does to a few calls, each row is there once and its Id is right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import StartTenant

from faults.batch import PATIENT, lines
from faults.conftest import Begin

PASSING: dict[str, dict[str, Any]] = {
    "429": {"do": "throttle", "status": 429},
    "429 with Retry-After": {"do": "throttle", "status": 429, "retry_after": 1},
    "429 with a date in Retry-After": {"do": "throttle", "status": 429, "retry_after": "date"},
    "rate refusal as 200": {"do": "throttle", "status": 200},
    "rate refusal as 403": {"do": "throttle", "status": 403},
    "unknown MX once": {"do": "refuse", "exception": "MXDatabaseBusyException"},
    "bare 500": {"do": "answer", "status": 500},
    "bare 500, created": {"do": "answer", "status": 500, "commit": True},
    "502": {"do": "answer", "status": 502},
    "502, created": {"do": "answer", "status": 502, "commit": True},
    "503": {"do": "answer", "status": 503},
    "503, created": {"do": "answer", "status": 503, "commit": True},
    "504": {"do": "answer", "status": 504},
    "504, created": {"do": "answer", "status": 504, "commit": True},
    "403 without a body": {"do": "answer", "status": 403, "text": ""},
    "created after our timeout": {"do": "slow", "seconds": 1.6, "commit": "after"},
    "answered after our timeout": {"do": "slow", "seconds": 1.6, "commit": "before"},
    "dropped before": {"do": "drop"},
    "dropped after": {"do": "drop", "commit": True},
    "closed before": {"do": "drop", "reset": False},
    "closed after": {"do": "drop", "commit": True, "reset": False},
    "hang before": {"do": "hang", "seconds": 2},
    "hang after": {"do": "hang", "seconds": 2, "commit": True},
    "drip": {"do": "drip", "seconds": 2},
    "garbage": {"do": "answer", "body": "garbage"},
    "garbage, not created": {"do": "answer", "body": "garbage", "commit": False},
    "garbage called gzip": {"do": "answer", "body": "gzip"},
    "truncated": {"do": "answer", "body": "truncated"},
    "truncated, not created": {"do": "answer", "body": "truncated", "commit": False},
    "broken chunk": {"do": "answer", "body": "cut-chunk"},
    "empty": {"do": "answer", "body": "empty"},
    "empty, not created": {"do": "answer", "body": "empty", "commit": False},
    "without Id": {"do": "answer", "body": "no-id"},
    "without Id, not created": {"do": "answer", "body": "no-id", "commit": False},
    "byte order mark": {"do": "answer", "body": "bom"},
    "no HTTP": {"do": "answer", "body": "not-http", "commit": True},
    "html as 200": {"do": "answer", "body": "html", "commit": False},
    "407": {"do": "answer", "status": 407, "text": "", "headers": {"Proxy-Authenticate": "Basic"}},
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_fault_leaves_every_row_created_once(
    start_tenant: StartTenant, begin: Begin, name: str
) -> None:
    """Two calls in a row meet it; nothing is ambiguous, so nothing may end otherwise than created."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"faults": [{**PASSING[name], "on": "create", "nth": [2, 3]}]})
    result = batch.run(lines(5))
    assert (batch.statuses, batch.wrongs(), result.exit) == (["created"] * 5, [], 0)
    throttled = PASSING[name]["do"] == "throttle"
    assert not throttled or [row.attempts for row in batch.rows()] == [1] * 5


REFUSALS: dict[str, dict[str, Any]] = {
    "MX as 500": {"do": "refuse", "exception": "MXInvalidInputException", "as": 500},
    "MX as 400": {"do": "refuse", "exception": "MXDuplicateEntryException", "as": 400},
    "MX as 200": {"do": "refuse", "exception": "MXInvalidDataTypeException", "as": 200},
    "failed as 200": {"do": "refuse", "exception": "MXMandatoryAttributeMissingException", "as": "failed"},
    "unknown MX as 200": {"do": "refuse", "exception": "MXSomethingNewException", "as": 200},
    "unknown MX as 400": {"do": "refuse", "exception": "MXSomethingNewException", "as": 400},
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_final(start_tenant: StartTenant, begin: Begin, name: str) -> None:
    """A refused row fails with the tenant's reason, and is sent once."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"faults": [{**REFUSALS[name], "note_has": "number 2"}]})
    result = batch.run(lines(4), *PATIENT)
    refused = batch.rows()[1]
    assert (batch.statuses, result.exit) == (["created", "failed", "created", "created"], 1)
    assert (refused.attempts, len(tenant.creates), batch.wrongs()) == (1, 4, [])
    assert "MX" in refused.error_code + refused.error


@pytest.mark.parametrize("commit", [True, False])
def test_an_id_that_another_row_has_says_nothing(
    start_tenant: StartTenant, begin: Begin, *, commit: bool
) -> None:
    """The row that comes with it is looked for, and rows that are written with it do not suffer."""
    tenant = start_tenant()
    batch = begin(tenant)
    told = {"Status": "Success", "Message": {"Id": "1c9f0f4e-5b39-11e9-826a-0622360da6ff"}}
    fault = {"do": "answer", "status": 200, "text": json.dumps(told), "commit": commit, "on": "create"}
    tenant.set_faults({"faults": [{**fault, "nth": [2, 5]}]})
    result = batch.run(lines(12, accounts=12), *PATIENT)
    rows = batch.rows()
    wrong_at = [row for row in rows if row.activity_id == told["Message"]["Id"]]  # type: ignore[index]
    assert (batch.statuses, result.exit, len(wrong_at)) == (["created"] * 12, 0, 1)
    assert len(tenant.creates) == (12 if commit else 13)
    # The row that was looked for has its Id as Retrieve spelt it, in either case.
    right = {activity.id.lower(): activity.note for activity in tenant.activities}
    told_right = [
        right[str(row.activity_id).lower()] == row.content[1] for row in rows if row not in wrong_at
    ]
    assert told_right == [True] * 11


STOPS: dict[str, dict[str, Any]] = {
    "404": {"do": "answer", "status": 404},
    "405": {"do": "answer", "status": 405},
    "redirect": {"do": "redirect", "to": "https://login.example.com/", "status": 302},
    "moved": {"do": "redirect", "to": "https://login.example.com/", "status": 308},
    "401": {"do": "answer", "status": 401, "text": ""},
    "revoked keys": {"do": "revoke"},
}


@pytest.mark.parametrize("name", STOPS)
def test_nothing_more_leaves_once_nothing_can_succeed(
    start_tenant: StartTenant, begin: Begin, name: str
) -> None:
    """Wrong address or revoked keys stop the run; at most as many calls follow as there are workers."""
    tenant = start_tenant(latency_s=0.05)
    batch = begin(tenant)
    tenant.set_faults({"faults": [{**STOPS[name], "note_has": "number 20"}]})
    result = batch.run(lines(200), "--workers", "4", *PATIENT)
    calls = tenant.calls
    first = next(index for index, call in enumerate(calls) if call.fault)
    after = calls[first + 1 :]
    assert (result.exit, batch.wrongs()) == (3, [])
    assert len(after) <= 4
    assert set(batch.statuses) == {"created", "pending"}
    tenant.set_faults({})
    if name != "revoked keys":
        assert batch.resume().exit == 0
        assert (batch.statuses, batch.wrongs()) == (["created"] * 200, [])
