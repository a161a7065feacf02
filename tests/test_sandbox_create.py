"""What the sandbox takes as a Create, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sandbox_caller import ACCOUNT, Caller, Reply, activity, quick

from importer.sandbox import FaultsFile

OTHER_ACCOUNT = "11111111-2222-3333-4444-555555555555"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    """A caller of a tenant without limit and latency."""
    async with quick() as sandbox, Caller(sandbox) as caller:
        yield caller


async def sent(call: Caller, body: bytes) -> Reply:
    """One Create with these bytes, called JSON."""
    path, headers = "/v2/CompanyActivity.svc/Create", {"Content-Type": "application/json"}
    return await call.send("POST", path, data=body, headers=headers)


async def test_a_create_answers_with_the_id_that_retrieve_knows(call: Caller) -> None:
    """The documented success."""
    reply = await call.create()
    assert reply.json == {"Status": "Success", "Message": {"Id": reply.id}}
    assert GUID.fullmatch(reply.id)
    (found,) = (await call.retrieve()).json["CompanyActivities"]
    assert found["CompanyActivityId"].lower() == reply.id


async def test_the_same_activity_twice_is_two_activities(call: Caller) -> None:
    """No idempotency key, no duplicate check."""
    first, second = await call.create(), await call.create()
    assert first.id != second.id
    assert (await call.retrieve()).json["RecordCount"] == 2


@pytest.mark.parametrize(
    ("changes", "exception"),
    [
        ({"RelatedCompanyId": None}, "MXMandatoryAttributeMissingException"),
        ({"RelatedCompanyId": "ACC-0001"}, "MXInvalidInputException"),
        ({"RelatedCompanyId": f"{{{ACCOUNT}}}"}, "MXInvalidInputException"),
        ({"ActivityEvent": None}, "MXInvalidActivityException"),
        ({"ActivityEvent": 0}, "MXInvalidActivityException"),
        ({"fields": {"mx_Visit": "x"}}, "MXInvalidActivityFieldsException"),
        ({"fields": {"mx_custom_1": "x"}}, "MXInvalidActivityFieldsException"),
        ({"fields": {"mx_Custom_101": "x"}}, "MXInvalidActivityFieldsException"),
        ({"fields": {"Owner": "asha.rao@example.com"}}, "MXInvalidInputException"),
    ],
)
async def test_wrong_content_is_a_500_with_an_mx_exception(
    call: Caller, changes: dict[str, Any], exception: str
) -> None:
    """Logic errors are 500s; only the body tells."""
    reply = await call.create(**changes)
    assert (reply.status, reply.json["Status"], reply.exception) == (500, "Error", exception)
    assert call.sandbox.activities == []


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(activity(ActivityEvent="10001")).encode(),
        json.dumps(activity(ActivityEvent=True)).encode(),
        json.dumps(activity(ActivityNote=5)).encode(),
        json.dumps(activity(Fields=[{"SchemaName": "mx_Custom_1", "Value": 5}])).encode(),
        json.dumps(activity(Fields=[{"SchemaName": "mx_Custom_1"}])).encode(),
    ],
)
async def test_a_body_not_as_documented_is_a_400(call: Caller, body: bytes) -> None:
    """The documentation: not as per API specification."""
    reply = await sent(call, body)
    assert reply.status == 400
    assert reply.exception.startswith("MX")
    assert call.sandbox.activities == []


NOT_PARSED = "Unexpected character encountered while parsing value"
OTHER_SHAPE = "Cannot deserialize the current JSON"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"", 400, NOT_PARSED),
        (b"{", 400, NOT_PARSED),
        (b"\xff\xfe", 400, NOT_PARSED),
        (json.dumps(activity(ActivityNote="Café"), ensure_ascii=False).encode("cp1252"), 400, NOT_PARSED),
        (b"[" * 100_000, 400, NOT_PARSED),
        (b"[]", 400, OTHER_SHAPE),
        (b'"text"', 400, OTHER_SHAPE),
        (json.dumps(activity(Fields={"mx_Custom_1": "x"})).encode(), 400, OTHER_SHAPE),
        (json.dumps(activity(ActivityDateTime="2026-07-31 05:33:50")).encode(), 412, "Unknown attribute"),
    ],
)
async def test_some_refusals_name_no_exception(call: Caller, body: bytes, status: int, says: str) -> None:
    """No JSON in UTF-8, JSON of another shape, an attribute that is not known (observed)."""
    reply = await sent(call, body)
    assert (reply.status, reply.json["Status"]) == (status, "Error")
    assert reply.json["ExceptionMessage"].startswith(says)
    assert "ExceptionType" not in reply.json
    assert call.sandbox.activities == []


async def test_a_body_that_is_not_called_json_is_a_400(call: Caller) -> None:
    """The documentation: make sure that the content type is application/json."""
    reply = await call.send(
        "POST",
        "/v2/CompanyActivity.svc/Create",
        data=json.dumps(activity()),
        headers={"Content-Type": "text/plain"},
    )
    assert reply.status == 400


async def test_a_field_given_twice_is_refused(call: Caller) -> None:
    """Which one would count is anybody's guess."""
    twice = [{"SchemaName": "Status", "Value": "A"}, {"SchemaName": "Status", "Value": "B"}]
    reply = await call.create(Fields=twice)
    assert reply.exception == "MXInvalidActivityFieldsException"


async def test_a_mandatory_field_is_named_with_its_type() -> None:
    """In the very words that integrators report."""
    rules = {"tenant": {"fields": {"mx_Custom_1": {"required": True}}}}
    async with quick(rules) as sandbox, Caller(sandbox) as call:
        replies = [await call.create(fields={}), await call.create(fields={"mx_Custom_1": "  "})]
    message = "Field name : 'mx_Custom_1' of datatype : 'String' is mandatory."
    assert [reply.json["ExceptionMessage"] for reply in replies] == [message, message]


async def test_an_unknown_activity_type_is_told_in_the_known_words() -> None:
    """It hits every row of that type."""
    async with quick({"tenant": {"events": [10001]}}) as sandbox, Caller(sandbox) as call:
        assert (await call.create()).status == 200
        reply = await call.create(ActivityEvent=10002)
    assert reply.json["ExceptionMessage"] == "Event Code is invalid or empty"


async def test_an_account_that_is_missing_is_refused_in_any_case() -> None:
    """GUIDs have no case; every other GUID is an account."""
    async with quick({"tenant": {"missing_accounts": [ACCOUNT.upper()]}}) as sandbox, Caller(sandbox) as call:
        assert (await call.create()).exception == "MXInvalidEntityReferenceException"
        assert (await call.create(RelatedCompanyId=OTHER_ACCOUNT)).status == 200


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        ({"type": "number"}, "1.50", "1,50"),
        ({"type": "date"}, "2026-07-31", "31/07/2026"),
        ({"type": "date"}, "2024-02-29", "2026-02-29"),
        ({"type": "datetime"}, "2026-07-31 05:33:50", "2026-07-31T05:33:50Z"),
        ({"type": "boolean"}, "true", "yes"),
        ({"type": "user"}, OTHER_ACCOUNT, "asha.rao@example.com"),
        ({"max_length": 3}, "abc", "abcd"),
    ],
)
async def test_a_value_must_fit_its_field(rule: dict[str, Any], good: str, bad: str) -> None:
    """Date-times of other shapes are errors."""
    async with quick({"tenant": {"fields": {"mx_Custom_1": rule}}}) as sandbox, Caller(sandbox) as call:
        assert (await call.create(fields={"mx_Custom_1": good})).status == 200
        assert (await call.create(fields={"mx_Custom_1": bad})).exception == "MXInvalidDataTypeException"


async def test_some_dropdowns_are_checked_without_regard_to_case() -> None:
    """As those of account records."""
    rule = {"type": "dropdown", "values": ["Won", "Lost"]}
    async with quick({"tenant": {"fields": {"mx_Custom_1": rule}}}) as sandbox, Caller(sandbox) as call:
        assert (await call.create(fields={"mx_Custom_1": "wON"})).status == 200
        reply = await call.create(fields={"mx_Custom_1": "Wno"})
    assert reply.exception == "MXInvalidEntityReferenceException"


@pytest.mark.parametrize("kind", ["text", "dropdown", "multi-select", "phone", "product", "file"])
async def test_some_fields_store_anything(kind: str) -> None:
    """A dropdown without a list of values, too."""
    async with (
        quick({"tenant": {"fields": {"mx_Custom_1": {"type": kind}}}}) as sandbox,
        Caller(sandbox) as call,
    ):
        assert (await call.create(fields={"mx_Custom_1": "Wno"})).status == 200


async def test_an_inactive_owner_is_refused() -> None:
    """By Create and Update; any other user's GUID is taken, and so is no owner."""
    async with quick({"tenant": {"former_users": ["old@acme.test"]}}) as sandbox, Caller(sandbox) as call:
        people = (await call.send("GET", "/v2/UserManagement.svc/Users.Get")).json
        (former,) = [each["ID"] for each in people if each["EmailAddress"] == "old@acme.test"]
        taken = [await call.create(fields=fields) for fields in ({"Owner": people[0]["ID"]}, {})]
        owner = [{"SchemaName": "Owner", "Value": former.upper()}]
        changed = {"CompanyActivityId": taken[0].id, "Fields": owner}
        refused = [
            await call.create(Fields=owner),
            await call.send("POST", "/v2/CompanyActivity.svc/Update", json=changed),
        ]
    assert [reply.status for reply in taken] == [200, 200]
    assert {reply.exception for reply in refused} == {"MXInvalidEntityReferenceException"}


async def test_keys_that_may_not_create_are_refused_and_their_permissions_say_so() -> None:
    """Only some roles may create activities."""
    path = f"/v2/PermissionTemplate.svc/User/GetPermissions?userId={OTHER_ACCOUNT}"
    async with quick({"tenant": {"creates": "refused"}}) as sandbox, Caller(sandbox) as call:
        reply, permissions = await call.create(), (await call.send("GET", path)).json
        sandbox.set_faults(FaultsFile())
        allowed = (await call.send("GET", path)).json
    assert reply.exception == "MXUnAuthorizedAccessException"
    assert [name for name, may in permissions.items() if not may] == ["CreateAccountActivity"]
    assert all(allowed.values())


async def test_a_set_of_fields_comes_back_as_a_json_text(call: Caller) -> None:
    """Custom field sets have fields of their own, one level deep."""
    inner = [{"SchemaName": "mx_CustomObject_121", "Value": "Blue"}]
    given = [{"SchemaName": "mx_Custom_4", "Value": "", "Fields": inner}]
    created = await call.create(Fields=given)
    shown = (await call.by_id(created.id)).json["ActivityFields"]["mx_Custom_4"]
    too_deep = await call.create(Fields=[{**given[0], "Fields": given}])
    assert json.loads(shown) == {"mx_CustomObject_121": "Blue"}
    assert too_deep.status == 400


async def test_unknown_fields_may_be_dropped_without_a_word() -> None:
    """Then the field arrives empty."""
    async with quick({"tenant": {"unknown_fields": "drop"}}) as sandbox, Caller(sandbox) as call:
        reply = await call.create(fields={"mx_Visit": "x", "mx_Custom_2": "y"})
        shown = (await call.by_id(reply.id)).json
    assert shown["ActivityFields"] == {"mx_Custom_2": "y"}


@pytest.mark.parametrize(
    ("shape", "status", "says"), [(400, 400, "Error"), (200, 200, "Error"), ("failed", 200, "Failed")]
)
async def test_refusals_come_in_other_shapes_too(shape: object, status: int, says: str) -> None:
    """Also with 200, as "Error", or as "Failed" with Message.Message."""
    async with quick({"tenant": {"refusals_as": shape}}) as sandbox, Caller(sandbox) as call:
        reply = await call.create(RelatedCompanyId="x")
    assert (reply.status, reply.json["Status"]) == (status, says)
    if says == "Failed":
        assert reply.json["Message"]["Message"].startswith("MXInvalidInputException")
