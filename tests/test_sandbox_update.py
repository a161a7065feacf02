"""CompanyActivity.svc/Update, and what people do to activities by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from sandbox_caller import ACCOUNT, Caller, Reply, quick

FIELDS = {"Status": "Active", "mx_Custom_1": "Won"}


async def update(call: Caller, activity_id: str, fields: dict[str, str], **more: Any) -> Reply:
    """One Update with the documented body."""
    pairs = [{"SchemaName": name, "Value": value} for name, value in fields.items()]
    body = {"CompanyActivityId": activity_id, "Fields": pairs, **more}
    return await call.send("POST", "/v2/CompanyActivity.svc/Update", json=body)


async def test_what_is_named_changes_and_the_rest_stays() -> None:
    """The answer has the Id, the note stays, and it is in the store of the tenant."""
    async with quick() as sandbox, Caller(sandbox) as call:
        created = (await call.create()).id
        reply = await update(call, created, {"mx_Custom_1": "Lost"})
        held = sandbox.activities[0]
    assert reply.json == {"Status": "Success", "Message": {"Id": created, "IsSuccessful": True}}
    assert [held.fields, held.note] == [{"Status": "Active", "mx_Custom_1": "Lost"}, "Visited"]


async def test_an_empty_value_empties_a_field() -> None:
    """It is read back as absent."""
    async with quick({"tenant": {"spelling": "plain"}}) as sandbox, Caller(sandbox) as call:
        created = (await call.create()).id
        await update(call, created, {"mx_Custom_1": ""})
        shown = (await call.by_id(created)).json
    assert shown["ActivityFields"] == {"Status": "Active"}


async def test_a_tenant_may_empty_what_an_update_leaves_out() -> None:
    """Whether it does is not documented, so that a rehearsal can try both."""
    async with quick({"tenant": {"update_leaves_out": "empty"}}) as sandbox, Caller(sandbox) as call:
        created = (await call.create()).id
        await update(call, created, {"mx_Custom_1": "Lost"})
        held = sandbox.activities[0]
    assert [held.fields, held.note] == [{"mx_Custom_1": "Lost"}, ""]


async def test_an_activity_that_does_not_exist_cannot_be_changed() -> None:
    """Refused as documented for other entities."""
    async with quick() as sandbox, Caller(sandbox) as call:
        reply = await update(call, ACCOUNT, {"Status": "Active"})
    assert [reply.status, reply.exception] == [500, "MXInvalidEntityReferenceException"]


@pytest.mark.parametrize(
    ("fault", "status", "changed"),
    [
        ({"do": "throttle"}, 429, False),
        ({"do": "answer", "status": 500}, 500, False),
        ({"do": "answer", "status": 503, "commit": True}, 503, True),
        ({"do": "drop"}, None, False),
        ({"do": "drop", "commit": True}, None, True),
        ({"do": "hang", "seconds": 0.1}, None, False),
        ({"do": "hang", "seconds": 0.1, "commit": True}, None, True),
        ({"do": "refuse", "exception": "MXInvalidActivityFieldsException"}, 500, False),
    ],
)
async def test_every_fault_can_hit_an_update(
    fault: dict[str, Any],
    status: int | None,
    changed: bool,
) -> None:
    """Before the change or after it; Creates are left alone."""
    async with quick({"faults": [{"on": "update", **fault}]}) as sandbox, Caller(sandbox) as call:
        created = (await call.create()).id
        try:
            reply: int | None = (await update(call, created, {"mx_Custom_1": "Lost"})).status
        except (aiohttp.ClientError, ConnectionError):
            reply = None
        held = sandbox.activities[0]
    assert [reply, held.fields["mx_Custom_1"] == "Lost"] == [status, changed]


async def test_who_changed_it_and_when_is_read_back() -> None:
    """ModifiedBy is the last one; CreatedBy stays."""
    async with quick({"tenant": {"spelling": "plain"}}) as sandbox, Caller(sandbox) as call:
        created = (await call.create()).id
        edited = {"id": created, "fields": {"mx_Custom_1": "Open", "Status": None}, "by": "colleague"}
        await call.control("POST", "edit", json=edited)
        shown = (await call.by_id(created)).json
    assert [shown["CreatedByName"], shown["ModifiedByName"]] == ["Asha Rao", "Tomás Núñez"]
    assert [shown["ActivityFields"], shown["ActivityNote"]] == [{"mx_Custom_1": "Open"}, "Visited"]
    assert shown["ModifiedOn"] >= shown["CreatedOn"]


async def test_an_activity_that_is_deleted_by_hand_is_gone() -> None:
    """From Retrieve, from RetrieveById, and from the file that the tenant keeps."""
    async with quick() as sandbox, Caller(sandbox) as call:
        first, second = (await call.create()).id, (await call.create()).id
        deleted = await call.control("POST", f"delete?id={first.upper()}")
        left = (await call.retrieve()).json
        by_id = await call.by_id(first)
        again = await call.control("POST", f"delete?id={first}")
    assert [deleted.json, left["RecordCount"]] == [{"deleted": first}, 1]
    assert left["CompanyActivities"][0]["CompanyActivityId"].lower() == second
    assert [by_id.exception, again.status] == ["MXInvalidEntityReferenceException", 404]


async def test_what_was_deleted_stays_deleted_after_a_restart(tmp_path: Any) -> None:  # noqa: ANN401
    """A rehearsal's next command finds what people did."""
    async with quick(store=tmp_path / "kept") as sandbox, Caller(sandbox) as call:
        first, second = (await call.create()).id, (await call.create()).id
        await call.control("POST", f"delete?id={first}")
        await call.control("POST", "edit", json={"id": second, "note": "Visited again"})
    async with quick(store=tmp_path / "kept") as sandbox:
        assert [(held.id, held.note) for held in sandbox.activities] == [(second, "Visited again")]


@pytest.mark.parametrize("given", [{"id": "1"}, {"fields": {}}, {"id": ACCOUNT, "event": 1}])
async def test_a_mistake_in_an_edit_is_reported(given: dict[str, Any]) -> None:
    """400, with what is wrong; 404 for an activity that does not exist."""
    async with quick() as sandbox, Caller(sandbox) as call:
        assert (await call.control("POST", "edit", json=given)).status == 400
        assert (await call.control("POST", "edit", json={"id": ACCOUNT})).status == 404


async def test_a_slow_update_changes_nothing_twice() -> None:
    """Two at once on one activity: both fields are there."""
    faults = {"faults": [{"do": "slow", "on": "update", "seconds": 0.05, "commit": "after"}]}
    async with quick(faults) as sandbox, Caller(sandbox) as call:
        created = (await call.create()).id
        await asyncio.gather(
            update(call, created, {"mx_Custom_1": "Lost"}), update(call, created, {"mx_Custom_2": "Late"})
        )
        held = sandbox.activities[0]
    assert held.fields == {**FIELDS, "mx_Custom_1": "Lost", "mx_Custom_2": "Late"}
