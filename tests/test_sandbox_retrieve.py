"""What the sandbox gives back, and how it spells it."""

from __future__ import annotations

import asyncio
import calendar
import time
from collections.abc import AsyncIterator

import pytest
from sandbox_caller import ACCOUNT, Caller, quick

OTHER_ACCOUNT = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    """A caller of a tenant without limit and latency."""
    async with quick() as sandbox, Caller(sandbox) as caller:
        yield caller


async def test_the_list_is_absent_when_there_is_nothing(call: Caller) -> None:
    """RecordCount alone."""
    assert (await call.retrieve()).json == {"RecordCount": 0}


async def test_an_activity_comes_back_with_the_documented_keys(call: Caller) -> None:
    """Names as in the documentation's sample."""
    await call.create()
    (found,) = (await call.retrieve()).json["CompanyActivities"]
    assert found.keys() == {
        "CompanyActivityId", "RelatedCompanyId", "ActivityEvent", "ActivityNote", "ActivityDateTime",
        "ActivityType", "ActivityDisplayName", "CreatedOn", "ModifiedOn", "CreatedBy", "CreatedByName",
        "ModifiedBy", "ModifiedByName", "ActivityFields",
    }  # fmt: skip
    assert found["ActivityFields"] == {"Status": "Active", "mx_Custom_1": "Won"}


async def test_retrieve_by_id_gives_one_activity_in_the_same_shape(call: Caller) -> None:
    """The Id may be asked in either case; an unknown one is refused."""
    created = await call.create()
    (listed,) = (await call.retrieve()).json["CompanyActivities"]
    shown = (await call.by_id(created.id.upper())).json
    assert shown.keys() == listed.keys()
    assert (await call.by_id(OTHER_ACCOUNT)).exception == "MXInvalidEntityReferenceException"


async def test_values_are_trimmed_and_empty_fields_absent(call: Caller) -> None:
    """As Retrieve does with whatever was sent."""
    created = await call.create(
        ActivityNote="  two\nlines ", fields={"mx_Custom_1": " Won ", "mx_Custom_2": "", "mx_Custom_3": "  "}
    )
    shown = (await call.by_id(created.id)).json
    assert shown["ActivityNote"] == "two\nlines"
    assert shown["ActivityFields"] == {"mx_Custom_1": "Won"}


async def test_values_are_respelt_now_so_now_so(call: Caller) -> None:
    """Date-times in four spellings, GUIDs in either case, numbers without their last zeros."""
    created = await call.create(
        fields={
            "mx_Custom_1": "2026-07-31 05:33:50",
            "Owner": OTHER_ACCOUNT[:-1] + "a",
            "mx_Custom_2": "1.50",
        }
    )
    seen = [(await call.by_id(created.id)).json for _ in range(60)]
    fields = [shown["ActivityFields"] for shown in seen]
    assert {each["mx_Custom_1"] for each in fields} == {
        "2026-07-31 05:33:50", "7/31/2026 5:33:50 AM", "2026-07-31 05:33:50.000",
        "/Date(1785476030000+0000)/",
    }  # fmt: skip
    assert len({each["CreatedOn"] for each in seen}) == 4
    assert len({each["Owner"] for each in fields}) == len({each["CompanyActivityId"] for each in seen}) == 2
    assert {each["mx_Custom_2"] for each in fields} == {"1.5"}


async def test_a_text_field_keeps_its_text() -> None:
    """Where the field is known to be text, 1.50 stays 1.50."""
    async with (
        quick({"tenant": {"fields": {"mx_Custom_1": {"type": "text"}}}}) as sandbox,
        Caller(sandbox) as call,
    ):
        created = await call.create(fields={"mx_Custom_1": "1.50", "mx_Custom_2": "007"})
        shown = (await call.by_id(created.id)).json
    assert shown["ActivityFields"] == {"mx_Custom_1": "1.50", "mx_Custom_2": "007"}


async def test_booleans_come_back_as_digits_or_words() -> None:
    """Read as "1"/"0" and as "true"/"false"."""
    async with (
        quick({"tenant": {"fields": {"mx_Custom_1": {"type": "boolean"}}}}) as sandbox,
        Caller(sandbox) as call,
    ):
        created = await call.create(fields={"mx_Custom_1": "true"})
        seen = {(await call.by_id(created.id)).json["ActivityFields"]["mx_Custom_1"] for _ in range(30)}
    assert seen == {"1", "true"}


async def test_the_window_is_inclusive_and_sub_seconds_are_hidden() -> None:
    """From is met by the second that is shown; To is not, since the hidden fraction lies beyond it."""
    async with quick({"tenant": {"spelling": "plain"}}) as sandbox, Caller(sandbox) as call:
        await call.create()
        held = sandbox.activities[0]
        held.modified_on = 1_785_476_030.25
        second, before, after = (f"2026-07-31 05:33:{each}" for each in (50, 49, 51))
        counts = [
            (await call.retrieve(start, end)).json["RecordCount"]
            for start, end in ((second, after), (before, second), (after, after), (before, before))
        ]
        held.modified_on = 1_785_476_030.0
        exact = (await call.retrieve(second, second)).json["RecordCount"]
    assert (counts, exact) == ([1, 0, 0, 0], 1)


async def test_from_after_to_is_a_500(call: Caller) -> None:
    """Not an empty answer."""
    assert (await call.retrieve("2026-02-01 00:00:00", "2026-01-01 00:00:00")).status == 500


@pytest.mark.parametrize("start", ["2026-01-01", "2026-01-01T00:00:00", "01/01/2026 00:00:00", ""])
async def test_a_window_in_another_shape_is_refused(call: Caller, start: str) -> None:
    """Date-times are `YYYY-MM-DD HH:MM:SS`."""
    assert (await call.retrieve(start)).exception == "MXInvalidInputException"


async def test_modified_on_is_what_is_filtered() -> None:
    """An update moves an old activity into a new window; CreatedOn stays."""
    old = {"existing": [{"account": ACCOUNT, "event": 10001, "note": "old", "age_s": 7200}]}
    async with quick(old) as sandbox, Caller(sandbox) as call:
        activity_id = sandbox.activities[0].id
        hour_ago = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 3600))
        assert (await call.retrieve(hour_ago)).json == {"RecordCount": 0}
        body = {"CompanyActivityId": activity_id, "ActivityNote": "new", "Fields": []}
        reply = await call.send("POST", "/v2/CompanyActivity.svc/Update", json=body)
        assert reply.json["Message"] == {"Id": activity_id, "IsSuccessful": True}
        (found,) = (await call.retrieve(hour_ago)).json["CompanyActivities"]
    assert found["ActivityNote"] == "new"
    assert sandbox.activities[0].modified_on - sandbox.activities[0].created_on > 7000


async def test_pages_hold_at_most_1000() -> None:
    """A larger page size is cut down without a word."""
    many = {"existing": [{"account": ACCOUNT, "event": 10001, "copies": 1500}]}
    async with quick(many) as sandbox, Caller(sandbox) as call:
        reply = (await call.retrieve(size=5000)).json
    assert (reply["RecordCount"], len(reply["CompanyActivities"])) == (1500, 1000)


async def test_equal_times_are_reshuffled_from_call_to_call() -> None:
    """Which is why counting rows instead of distinct Ids misses some."""
    many = {"existing": [{"account": ACCOUNT, "event": 10001, "copies": 50}]}
    async with quick(many) as sandbox, Caller(sandbox) as call:
        first, second = [(await call.retrieve()).json["CompanyActivities"] for _ in range(2)]
        page_1, page_2 = [(await call.retrieve(index=index, size=25)).json for index in (1, 2)]
    orders = [[each["CompanyActivityId"].lower() for each in reply] for reply in (first, second)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    pages = [
        each["CompanyActivityId"].lower() for page in (page_1, page_2) for each in page["CompanyActivities"]
    ]
    assert len(pages) == 50
    assert len(set(pages)) < 50


@pytest.mark.parametrize(
    "paging", [{"PageIndex": "0"}, {"PageSize": "x"}, {"PageIndex": -1}, {"PageSize": True}]
)
async def test_paging_must_be_numbers_from_1(call: Caller, paging: dict[str, object]) -> None:
    """Strings or numbers, as the documentation has both."""
    window = {"FromDate": "2000-01-01 00:00:00", "ToDate": "2100-01-01 00:00:00"}
    path = f"/v2/CompanyActivity.svc/Retrieve?companyId={ACCOUNT}"
    bad = await call.send("POST", path, json={"Parameter": window, "Paging": paging})
    good = await call.send(
        "POST", path, json={"Parameter": window, "Paging": {"PageIndex": 1, "PageSize": "10"}}
    )
    assert [bad.status, good.status] == [500, 200]


async def test_reads_lag_behind() -> None:
    """What was created is not seen at once, by list or by Id."""
    async with quick(lag_s=2.0) as sandbox, Caller(sandbox) as call:
        created = await call.create()
        at_once = [(await call.retrieve()).json["RecordCount"], (await call.by_id(created.id)).status]
        await asyncio.sleep(2.1)
        later = [(await call.retrieve()).json["RecordCount"], (await call.by_id(created.id)).status]
    assert (at_once, later) == ([0, 500], [1, 200])


async def test_keys_that_may_not_read_are_refused() -> None:
    """Then doubt cannot be ended."""
    async with quick({"tenant": {"reads": "refused"}}) as sandbox, Caller(sandbox) as call:
        assert (await call.create()).status == 200
        assert (await call.retrieve()).exception == "MXUnAuthorizedAccessException"


async def test_a_clock_an_hour_off_shows_in_date_and_created_on() -> None:
    """Both tell the same wrong time."""
    rules = {"tenant": {"clock_offset_s": 3600, "spelling": "plain"}}
    async with quick(rules) as sandbox, Caller(sandbox) as call:
        before = time.time()
        created = await call.create()
        shown = (await call.by_id(created.id)).json
    on = time.strptime(shown["CreatedOn"] + " GMT", "%Y-%m-%d %H:%M:%S %Z")
    date = time.strptime(created.headers["Date"], "%a, %d %b %Y %H:%M:%S %Z")
    offsets = [calendar.timegm(each) - before for each in (on, date)]
    assert all(3595 < offset < 3610 for offset in offsets)


async def test_a_parameter_that_is_not_documented_is_refused(call: Caller) -> None:
    """Filtering by event is documented for leads only: nobody shall come to rely on it."""
    window = {"FromDate": "2000-01-01 00:00:00", "ToDate": "2100-01-01 00:00:00", "ActivityEvent": "10001"}
    path = f"/v2/CompanyActivity.svc/Retrieve?companyId={ACCOUNT}"
    reply = await call.send("POST", path, json={"Parameter": window})
    assert (reply.status, reply.exception) == (400, "MXInvalidInputException")
