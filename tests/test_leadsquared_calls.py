"""The tenant's calls: paced, answered or failed for a reason, complete or known not to be."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from email.utils import format_datetime
from typing import Any

import pytest
from hostile_server import Behaviour, Heard, HostileServer, hang, hostile_server, in_turn, raw, reply
from pydantic import SecretStr

from importer.credentials import Keys
from importer.errors import TenantError
from importer.leadsquared import calls
from importer.leadsquared.calls import ReadFailed, Tenant, Unauthorised, Unreachable
from importer.leadsquared.client import LeadSquared
from importer.leadsquared.outcomes import OutcomeKind
from importer.pacing.pacing import Pace, Rate

USER = {"Id": "U", "Name": "Ann", "OrgDisplayName": "Org", "OrgShortCode": "1", "LSQCommonServiceURLs": {}}


def guid(number: int) -> str:
    """An Id of LeadSquared's shape."""
    return f"{number:08x}-7a3f-4a39-9c63-5ad4f1a2b00f"


A1 = guid(1)
SUCCESS = {"Status": "Success", "Message": {"Id": A1}}
THROTTLED = {
    "Status": "Error",
    "ExceptionType": "MXAPIRateLimitExceededException",
    "ExceptionMessage": "API calls exceeded the limit of 1000 in 0.05 second(s)",
}
SINCE = dt.datetime(2026, 7, 31, tzinfo=dt.UTC)
UNTIL = SINCE + dt.timedelta(hours=1)


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between tries, a hundred times shorter."""
    monkeypatch.setattr(calls, "WHOAMI_PAUSES_S", (0.005, 0.01))


@asynccontextmanager
async def tenant_at(url: str, *, patience_s: float = 900.0, timeout_s: float = 2.0) -> AsyncIterator[Tenant]:
    keys = Keys(SecretStr("a"), SecretStr("s"))
    async with LeadSquared(url, keys, timeout_s=timeout_s) as api:
        yield Tenant(api, Pace(Rate(1000, 0.05)), patience_s=patience_s)


@asynccontextmanager
async def tenant_that(
    behave: Behaviour, *, patience_s: float = 900.0, timeout_s: float = 2.0
) -> AsyncIterator[tuple[Tenant, HostileServer]]:
    async with (
        hostile_server(behave) as server,
        tenant_at(server.url, patience_s=patience_s, timeout_s=timeout_s) as tenant,
    ):
        yield tenant, server


async def test_every_read_asks_as_documented() -> None:
    """Paths, parameters and bodies of the vendor's pages; date-times in UTC."""
    since = dt.datetime(2026, 7, 31, 7, 33, 50, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    async with hostile_server(reply(200, {})) as server, tenant_at(server.url) as tenant:
        for ask in (
            tenant.current_user(),
            tenant.users(),
            tenant.activity("a/b&c"),
            tenant.activities("c d", since, since),
            tenant.companies("Account", "mx_Code", value="00123", page=3),
        ):
            with suppress(ReadFailed):  # {} is no answer to any of them but one
                await ask

    asked = [(heard.method, heard.target) for heard in server.heard]
    bodies = [json.loads(heard.body or b"null") for heard in server.heard]
    assert asked == [
        ("GET", "/v2/Authentication.svc/UserByAccessKey.Get"),
        ("GET", "/v2/UserManagement.svc/Users.Get"),
        ("GET", "/v2/CompanyActivity.svc/RetrieveById?activityId=a/b%26c"),
        ("POST", "/v2/CompanyActivity.svc/Retrieve?companyId=c+d"),
        ("POST", "/v2/CompanyManagement.svc/Company.Get"),
    ]
    assert bodies[3] == {
        "Parameter": {"FromDate": "2026-07-31 05:33:50", "ToDate": "2026-07-31 05:33:50"},
        "Paging": {"PageIndex": "1", "PageSize": "100"},
    }
    assert bodies[4]["Query"] == {
        "CompanyType": {"CompanyTypeName": "Account"},
        "FilterBy": {"LookupName": "mx_Code", "LookupValue": "00123", "SqlOperator": "="},
    }
    assert bodies[4]["Columns"] == {"Include_CSV": "CompanyId,CompanyName,mx_Code"}
    assert bodies[4]["Paging"] == {"PageIndex": 3, "PageSize": 1000}


def activities(ids: list[str], count: int) -> dict[str, Any]:
    return {"RecordCount": count, "CompanyActivities": [{"CompanyActivityId": one} for one in ids]}


def paging(rows: Callable[[], list[str]], *, size_max: int = 1000) -> Behaviour:
    """Pages through what `rows` gives at each call."""

    async def behave(heard: Heard, writer: asyncio.StreamWriter) -> None:
        page = json.loads(heard.body)["Paging"]
        size = min(int(page["PageSize"]), size_max)
        start = (int(page["PageIndex"]) - 1) * size
        there = rows()
        await reply(200, activities(there[start : start + size], len(there)))(heard, writer)

    return behave


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250])
async def test_an_account_is_read_to_the_last_activity(count: int) -> None:
    """As many distinct Ids as RecordCount says."""
    ids = [guid(number) for number in range(count)]
    async with tenant_that(paging(lambda: ids)) as (tenant, _):
        reading = await tenant.activities("C", SINCE, UNTIL)

    assert reading.complete
    assert ids == [activity.id for activity in reading.activities]


async def test_an_order_that_changes_from_page_to_page_loses_nothing() -> None:
    """Observed: counting rows instead of distinct Ids would miss some."""
    ids = [guid(number) for number in range(250)]
    shuffle = random.Random(7)
    async with tenant_that(paging(lambda: shuffle.sample(ids, len(ids)))) as (tenant, _):
        readings = [await tenant.activities("C", SINCE, UNTIL) for _ in range(3)]

    for reading in readings:
        assert reading.complete == (len(reading.activities) == 250)


async def test_pages_smaller_than_asked_for_are_read_to_the_end() -> None:
    """The most that a page may hold is not documented."""
    ids = [guid(number) for number in range(60)]
    async with tenant_that(paging(lambda: ids, size_max=25)) as (tenant, _):
        reading = await tenant.activities("C", SINCE, UNTIL)

    assert (reading.complete, len(reading.activities)) == (True, 60)


async def test_a_count_of_the_page_alone_is_not_believed() -> None:
    """A full page is followed by the next one."""
    ids = [guid(number) for number in range(150)]

    async def counts_pages(heard: Heard, writer: asyncio.StreamWriter) -> None:
        start = (int(json.loads(heard.body)["Paging"]["PageIndex"]) - 1) * 100
        page = ids[start : start + 100]
        await reply(200, activities(page, len(page)))(heard, writer)

    async with tenant_that(counts_pages) as (tenant, _):
        reading = await tenant.activities("C", SINCE, UNTIL)

    assert (reading.complete, len(reading.activities)) == (True, 150)


async def test_fewer_than_counted_is_looked_at_again_and_then_incomplete() -> None:
    """A few times only; nothing follows from an absence then."""
    async with tenant_that(reply(200, activities([A1.upper(), A1], 2))) as (tenant, server):
        reading = await tenant.activities("C", SINCE, UNTIL)

    assert (reading.complete, reading.outcome, len(reading.activities)) == (False, None, 1)
    assert len(server.heard) <= 9


@pytest.mark.parametrize(
    ("behave", "kind"),
    [
        (
            reply(500, {"Status": "Error", "ExceptionType": "MXUnAuthorizedAccessException"}),
            OutcomeKind.REFUSED,
        ),
        (reply(200, {"Status": "Error", "ExceptionMessage": "no"}), OutcomeKind.REFUSED),
        (reply(503), OutcomeKind.DOUBTFUL),
        (reply(200, b"<html>"), OutcomeKind.DOUBTFUL),
        (reply(200, {}), OutcomeKind.DOUBTFUL),
        (reply(401), OutcomeKind.UNAUTHORISED),
        (raw(close=True), OutcomeKind.DOUBTFUL),
    ],
)
async def test_a_reading_that_fails_is_incomplete_and_says_why(behave: Behaviour, kind: OutcomeKind) -> None:
    """Never an empty account."""
    async with tenant_that(behave) as (tenant, _):
        reading = await tenant.activities("C", SINCE, UNTIL)

    assert not reading.complete
    assert reading.outcome is not None
    assert kind is reading.outcome.kind


async def test_a_reading_that_fails_on_page_two_keeps_page_one_and_is_incomplete() -> None:
    """Half an account is no account."""
    page = activities([guid(number) for number in range(100)], 150)
    async with tenant_that(in_turn(reply(200, page), reply(502))) as (tenant, _):
        reading = await tenant.activities("C", SINCE, UNTIL)

    assert (reading.complete, len(reading.activities)) == (False, 100)


async def test_reads_wait_out_refusals_for_the_rate() -> None:
    """As 429, 200 and 403; the pace counts them."""
    refusals = in_turn(reply(429), reply(200, THROTTLED), reply(403, THROTTLED), reply(200, USER))
    async with tenant_that(refusals) as (tenant, server):
        user = await tenant.current_user()

    assert user.name == "Ann"
    assert len(server.heard) == 4


async def test_a_read_that_is_refused_for_the_rate_for_ever_gives_up() -> None:
    """With patience, but not without end."""
    async with tenant_that(reply(200, THROTTLED), patience_s=0.0) as (tenant, _):
        with pytest.raises(Unreachable, match="limit of API calls"):
            await tenant.users()


@pytest.mark.parametrize(
    ("behave", "error", "words"),
    [
        (reply(401), Unauthorised, r"refused the keys\."),
        (
            reply(401, {"Status": "Error", "ExceptionMessage": "User is deactivated."}),
            Unauthorised,
            r"refused the keys: User is deactivated\.",
        ),
        (
            reply(500, {"Status": "Error", "ExceptionType": "MXInvalidAccessDetailsException"}),
            Unauthorised,
            "refused the keys",
        ),
        (reply(404, b"<html>"), ReadFailed, "no LeadSquared API at this address"),
        (
            reply(302, headers=("Location: https://login.example/?token=secret",)),
            ReadFailed,
            r"HTTP 302, to login\.example\)",
        ),
        (reply(200, b"<html>Sign in</html>"), ReadFailed, "not LeadSquared's"),
        (reply(200, {"hello": "world"}), ReadFailed, "not LeadSquared's"),
        (reply(503), Unreachable, "http-503"),
        (reply(500), Unreachable, "http-500"),
        (hang, Unreachable, "timeout"),
        (raw(close=True), Unreachable, "connection-lost"),
        (reply(407), Unreachable, "proxy"),
    ],
)
async def test_whoami_tells_wrong_keys_wrong_address_and_outage_apart(
    behave: Behaviour, error: type[TenantError], words: str
) -> None:
    """Each has its own remedy; the host is named."""
    async with tenant_that(behave, timeout_s=0.1) as (tenant, server):
        with pytest.raises(error, match=words) as raised:
            await tenant.current_user()

    assert error is type(raised.value)
    assert raised.value.where == f"127.0.0.1:{server.port}"
    assert raised.value.remedy
    assert "secret" not in str(raised.value)


async def test_whoami_of_a_host_that_does_not_listen() -> None:
    """Unreachable, so that `resume` can be tried again."""
    async with tenant_at("http://127.0.0.1:1") as tenant:
        with pytest.raises(Unreachable, match="No connection to the host"):
            await tenant.current_user()


async def test_whoami_survives_a_short_burst_of_trouble() -> None:
    """Closed connections come in bursts (observed)."""
    async with tenant_that(in_turn(raw(close=True), reply(200, USER))) as (tenant, _):
        user = await tenant.current_user()

    assert user.org_code == "1"


@pytest.mark.parametrize(
    "behave",
    [
        reply(200, b"null"),
        reply(200, {}),
        reply(404),
        reply(500, {"Status": "Error", "ExceptionType": "MXInvalidEntityReferenceException"}),
    ],
)
async def test_an_activity_that_is_not_there_is_none(behave: Behaviour) -> None:
    """How an unknown Id is refused is not documented."""
    async with tenant_that(behave) as (tenant, _):
        assert await tenant.activity("nobody") is None


async def test_an_activity_is_read_by_its_id() -> None:
    """And no answer is not "not there"."""
    async with tenant_that(in_turn(reply(200, {"CompanyActivityId": A1}), reply(503))) as (tenant, server):
        found = await tenant.activity(A1)
        with pytest.raises(Unreachable):
            await tenant.activity(A1)

    assert found is not None
    assert found.id == A1
    assert server.heard[0].target.endswith(f"?activityId={A1}")


async def test_a_create_ends_its_slot_and_tells_the_pace_of_a_refusal() -> None:
    """Whatever the answer; a call that never left gives its slot back."""
    pace = Pace(Rate(1000, 0.05))
    keys = Keys(SecretStr("a"), SecretStr("s"))
    async with (
        hostile_server(in_turn(reply(200, SUCCESS), reply(429), raw(close=True))) as server,
        LeadSquared(server.url, keys) as api,
    ):
        tenant = Tenant(api, pace)
        kinds = [(await tenant.create(b"{}", await pace.slot())).kind for _ in range(3)]
    async with LeadSquared("http://127.0.0.1:1", keys) as api:
        kinds.append((await Tenant(api, pace).create(b"{}", await pace.slot())).kind)

    assert kinds == [OutcomeKind.CREATED, OutcomeKind.THROTTLED, OutcomeKind.DOUBTFUL, OutcomeKind.NOT_SENT]
    assert pace.throttled == 1


@pytest.mark.parametrize("hours", [-1, 0, 1])
async def test_the_clock_difference_is_the_tenants_minus_ours(hours: int) -> None:
    """From the Date of its answers; one that lies (a cache) moves nothing."""
    offset = dt.timedelta(hours=hours)
    count = 0

    async def dated(heard: Heard, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        lie = dt.timedelta(days=-3) if count == 2 else dt.timedelta()
        date = format_datetime(dt.datetime.now(dt.UTC) + offset + lie, usegmt=True)
        await reply(200, USER, headers=(f"Date: {date}",))(heard, writer)

    async with tenant_that(dated) as (tenant, _):
        before = tenant.clock_difference_s
        for _ in range(5):
            await tenant.current_user()

    assert before == 0.0
    assert abs(tenant.clock_difference_s - offset.total_seconds()) <= 1.0


async def test_a_cancelled_read_gives_its_slot_back() -> None:
    """Others go on."""
    arrived = asyncio.Event()

    async def hangs(*_: object) -> None:
        arrived.set()
        await asyncio.sleep(30)

    async with tenant_that(in_turn(hangs, reply(200, []))) as (tenant, _):
        read = asyncio.create_task(tenant.users())
        await arrived.wait()
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        assert await tenant.users() == ()


async def test_a_call_that_may_not_leave_any_more_is_not_sent() -> None:
    """Asked on the connection, just before the first byte: a mark that is too old by then sends nothing."""
    pace = Pace(Rate(1000, 0.05))
    async with (
        hostile_server(reply(200, SUCCESS)) as server,
        LeadSquared(server.url, Keys(SecretStr("a"), SecretStr("s"))) as api,
    ):
        tenant = Tenant(api, pace)
        withheld = await tenant.create(b"{}", await pace.slot(), lambda: False)
        sent = await tenant.create(b"{}", await pace.slot(), lambda: True)

    assert (withheld.kind, sent.kind) == (OutcomeKind.NOT_SENT, OutcomeKind.CREATED)
    assert [heard.body for heard in server.heard] == [b"{}"]


async def test_the_pages_of_an_account_are_bounded_in_bytes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One page is small enough, all of them are not: incomplete, and said why."""
    monkeypatch.setattr(calls, "LOOK_MAX_BYTES", 20_000)
    ids = [guid(number) for number in range(1, 1000)]
    async with tenant_that(paging(lambda: ids)) as (tenant, server):
        reading = await tenant.activities("C", SINCE, UNTIL)

    assert (reading.complete, reading.outcome.code if reading.outcome else "") == (False, "too-large")
    assert len(server.heard) < 10


async def test_looking_again_at_an_account_is_not_another_allowance_of_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One look is small enough, and counts more activities than it shows; three looks are not."""
    shown = activities([guid(number) for number in range(1, 50)], 60)
    monkeypatch.setattr(calls, "LOOK_MAX_BYTES", 3 * len(json.dumps(shown)) + 100)
    async with tenant_that(reply(200, shown)) as (tenant, server):
        reading = await tenant.activities("C", SINCE, UNTIL)

    assert (reading.complete, reading.outcome.code if reading.outcome else "") == (False, "too-large")
    assert len(server.heard) == 4  # a look ends when three pages brought nothing more


async def test_an_update_names_the_activity_and_only_what_changed() -> None:
    """A note that did not change is not in it."""
    async with tenant_that(reply(200, SUCCESS)) as (tenant, server):
        first = await tenant.update(A1, None, (("mx_Custom_1", "Lost"),))
        await tenant.update(A1, "", (("mx_Custom_2", ""),))

    assert first.kind is OutcomeKind.CREATED
    assert [json.loads(heard.body) for heard in server.heard] == [
        {"CompanyActivityId": A1, "Fields": [{"SchemaName": "mx_Custom_1", "Value": "Lost"}]},
        {"CompanyActivityId": A1, "ActivityNote": "", "Fields": [{"SchemaName": "mx_Custom_2", "Value": ""}]},
    ]
    assert {heard.target for heard in server.heard} == {"/v2/CompanyActivity.svc/Update"}


async def test_what_an_activity_type_holds_is_known_where_leadsquared_says_so() -> None:
    """Documented for leads' activities only: options come as a list or as one text."""
    setting = {
        "DisplayName": "Site visit",
        "Fields": [
            {"SchemaName": "mx_Custom_1", "DisplayName": "Outcome", "DataType": "Dropdown", "IsMandatory": 1,
             "OptionSet": [{"Value": "Won"}, {"Value": "Lost"}]},
            {"SchemaName": "mx_Custom_2", "DisplayName": "City", "OptionSet": "Pune; Delhi"},
            {"DisplayName": "nameless"},
        ],
    }  # fmt: skip
    async with tenant_that(reply(200, setting)) as (tenant, server):
        found = await tenant.activity_fields(10001)

    assert found is not None
    assert [(one.schema_name, one.mandatory, one.options) for one in found] == [
        ("mx_Custom_1", True, ("Won", "Lost")),
        ("mx_Custom_2", False, ("Pune", "Delhi")),
    ]
    assert server.heard[0].target.endswith("GetActivitySetting?code=10001")


@pytest.mark.parametrize(
    "behave",
    [
        reply(404), reply(503), reply(401), raw(close=True), reply(200, b"<html>"), reply(200, {"Fields": 7}),
        reply(200, [7]), reply(429), reply(302, headers=("Location: http://127.0.0.1:1/",)),
    ],
)  # fmt: skip
async def test_what_need_not_be_known_never_stops_an_import(behave: Behaviour) -> None:
    """Whatever the answer, it is None; asked once."""
    async with tenant_that(behave) as (tenant, server):
        assert await tenant.activity_fields(10001) is None

    assert len(server.heard) == 1
