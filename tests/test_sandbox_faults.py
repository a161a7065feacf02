"""What goes wrong on demand, seen by a caller and in the tenant."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import pytest
from sandbox_caller import ACCOUNT, Caller, Reply, quick, until

from importer.sandbox import FaultsFile, Sandbox


async def once(fault: dict[str, Any]) -> tuple[Reply | None, int]:
    """One Create under a fault: the reply, None if there was none; and how many activities there are then."""
    async with quick({"faults": [fault]}) as sandbox, Caller(sandbox) as call:
        try:
            reply = await call.create()
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            reply = None
        return reply, len(sandbox.activities)


async def given_up(sandbox: Sandbox) -> None:
    """A Create whose caller gives up as soon as the fault has hit it."""
    async with Caller(sandbox) as call:
        task = asyncio.create_task(call.create())
        await until(lambda: sandbox.calls and sandbox.calls[0].fault)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 520])
async def test_a_bad_gateway_may_or_may_not_have_created(status: int, *, commit: bool) -> None:
    """The same page either way."""
    reply, created = await once({"do": "answer", "status": status, "commit": commit})
    assert reply is not None
    assert (reply.status, created) == (status, int(commit))
    assert reply.body.startswith(b"<html>")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 429])
async def test_any_other_status_creates_nothing_unless_said(status: int) -> None:
    """The whole row of the matrix."""
    reply, created = await once({"do": "answer", "status": status, "body": "empty"})
    assert reply is not None
    assert (reply.status, reply.body, created) == (status, b"", 0)


@pytest.mark.parametrize(
    ("body", "begins"),
    [
        ("no-id", b'{"Status":"Success","Message":{}}'),
        ("empty", b""),
        ("garbage", b"\x00\x07"),
        ("html", b"<html>"),
        ("bom", b'\xef\xbb\xbf{"Status":"Success"'),
        ("mx", b'{"Status":"Error","ExceptionType":"MXInvalidInputException"'),
    ],
)
async def test_a_strange_body_of_a_200_has_created(body: str, begins: bytes) -> None:
    """All that its caller knows is that it does not know."""
    reply, created = await once({"do": "answer", "body": body})
    assert reply is not None
    assert (reply.status, created) == (200, 1)
    assert reply.body.startswith(begins)


async def test_an_error_may_say_that_it_is_one_of_leadsquareds_own() -> None:
    """A key that some error bodies have."""
    reply, created = await once({"do": "answer", "status": 400, "body": "mx"})
    assert reply is not None
    assert (reply.json["IsMXException"], created) == (True, 0)


async def test_a_success_may_have_changed_nothing() -> None:
    """A 200 with an Id, and nothing there: by Create and by Update."""
    faults = [{"do": "answer", "commit": False, "nth": 1, "on": kind} for kind in ("create", "update")]
    async with quick({"faults": faults}) as sandbox, Caller(sandbox) as call:
        lost, kept = await call.create(), await call.create()
        body = {"CompanyActivityId": kept.id, "ActivityNote": "Changed"}
        update = await call.send("POST", "/v2/CompanyActivity.svc/Update", json=body)
        held = [(each.id, each.note) for each in sandbox.activities]
    assert [reply.json["Status"] for reply in (lost, kept, update)] == ["Success"] * 3
    assert held == [(kept.id, "Visited")]
    assert lost.id != kept.id


async def test_an_activity_type_may_be_deactivated() -> None:
    """Every Create of it is refused, with a 200 that says Failed."""
    fault = {"do": "refuse", "event": 10002, "as": "failed", "message": "Activity type is inactive."}
    async with quick({"faults": [fault]}) as sandbox, Caller(sandbox) as call:
        replies = [await call.create(ActivityEvent=event) for event in (10002, 10002, 10001)]
        events = [each.event for each in sandbox.activities]
    said = [(reply.status, reply.json["Status"]) for reply in replies]
    assert said == [(200, "Failed"), (200, "Failed"), (200, "Success")]
    assert events == [10001]


@pytest.mark.parametrize("body", ["truncated", "cut-chunk", "not-http", "gzip"])
async def test_a_body_that_cannot_be_read_is_an_error_of_the_client_library(body: str) -> None:
    """The activity is there all the same."""
    assert await once({"do": "answer", "body": body}) == (None, 1)


async def test_a_huge_body_is_sent_in_pieces() -> None:
    """64 MiB of blanks before the right answer; who stops reading does not harm the tenant."""
    async with (
        quick({"faults": [{"do": "answer", "body": "huge", "nth": 1}]}) as sandbox,
        Caller(sandbox) as call,
    ):
        url = f"{sandbox.url}/v2/CompanyActivity.svc/Create"
        body = {"RelatedCompanyId": ACCOUNT, "ActivityEvent": 1}
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, json=body, headers=call.keys) as response,
        ):
            assert await response.content.readexactly(1000) == b" " * 1000
            response.close()
        assert (await call.create()).status == 200


@pytest.mark.parametrize("commit", [False, True])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_connection_is_dropped_before_or_after_the_commit(*, commit: bool, reset: bool) -> None:
    """With RST or with FIN."""
    assert await once({"do": "drop", "commit": commit, "reset": reset}) == (None, int(commit))


@pytest.mark.parametrize("commit", [False, True])
async def test_a_call_hangs_until_its_caller_gives_up(*, commit: bool) -> None:
    """Before or after the commit; the sandbox itself stops without waiting for it."""
    async with asyncio.timeout(60), quick({"faults": [{"do": "hang", "commit": commit}]}) as sandbox:
        await given_up(sandbox)
        assert len(sandbox.activities) == int(commit)


async def test_a_hang_is_bounded() -> None:
    """After its seconds the connection is dropped."""
    assert await once({"do": "hang", "seconds": 0.05}) == (None, 0)


async def test_a_late_commit_comes_after_its_caller_gave_up() -> None:
    """Nothing is there at first; then it is."""
    fault = {"do": "slow", "seconds": 0.4, "commit": "after"}
    async with quick({"faults": [fault]}) as sandbox:
        await given_up(sandbox)
        assert len(sandbox.activities) == 0
        await until(lambda: sandbox.activities)


async def test_a_slow_answer_is_right() -> None:
    """It is only late."""
    reply, created = await once({"do": "slow", "seconds": 0.05})
    assert reply is not None
    assert (reply.json["Status"], created) == ("Success", 1)


async def test_a_dripping_answer_is_right_too() -> None:
    """Byte by byte, from the status line on."""
    reply, created = await once({"do": "drip", "seconds": 0.2})
    assert reply is not None
    assert (reply.status, reply.json["Status"], created) == (200, "Success", 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_names_another_address(status: int) -> None:
    """Nothing is created."""
    reply, created = await once({"do": "redirect", "to": "https://login.example.com/", "status": status})
    assert reply is not None
    assert (reply.status, reply.headers["Location"], created) == (status, "https://login.example.com/", 0)


@pytest.mark.parametrize("exception", ["MXInvalidInputException", "MXSomethingNewException"])
@pytest.mark.parametrize(("shape", "status"), [(500, 500), (400, 400), (200, 200), ("failed", 200)])
async def test_a_refusal_of_choice_in_every_shape(exception: str, shape: object, status: int) -> None:
    """Known and unknown exceptions."""
    reply, created = await once({"do": "refuse", "exception": exception, "message": "No.", "as": shape})
    assert reply is not None
    assert (reply.status, created) == (status, 0)
    assert exception.encode() in reply.body


@pytest.mark.parametrize("status", [429, 200, 403])
async def test_a_refusal_for_a_rate_of_choice(status: int) -> None:
    """It states another limit than the one in force."""
    reply, created = await once({"do": "throttle", "status": status, "limit": "20/5", "retry_after": 3})
    assert reply is not None
    assert (reply.status, reply.headers["Retry-After"], created) == (status, "3", 0)
    assert reply.json["ExceptionMessage"] == "API calls exceeded the limit of 20 in 5 second(s)"


async def test_retry_after_may_be_a_date_or_absent() -> None:
    """Both shapes of the header, and none."""
    dated, _ = await once({"do": "throttle", "retry_after": "date"})
    plain, _ = await once({"do": "throttle", "message": "API calls exceeded the limit of 5 in 1 second(s)"})
    assert dated is not None
    assert plain is not None
    assert abs(parsedate_to_datetime(dated.headers["Retry-After"]).timestamp() - time.time() - 5) < 3
    assert "Retry-After" not in plain.headers


async def test_revoked_keys_stay_revoked() -> None:
    """From the second Create on, every call is a 401."""
    async with quick({"faults": [{"do": "revoke", "nth": 2}]}) as sandbox, Caller(sandbox) as call:
        statuses = [(await call.create()).status for _ in range(3)]
        statuses.append((await call.whoami()).status)
        sandbox.set_faults(FaultsFile())
        statuses.append((await call.whoami()).status)
    assert statuses == [200, 401, 401, 401, 200]
    assert len(sandbox.activities) == 1


async def test_a_user_may_be_deactivated() -> None:
    """A 401 like that of wrong keys: only its message tells, then and later."""
    fault = {"do": "revoke", "message": "User is deactivated.", "times": 1}
    async with quick({"faults": [fault]}) as sandbox, Caller(sandbox) as call:
        replies = [await call.create(), await call.whoami()]
    assert [(reply.status, reply.json["ExceptionMessage"]) for reply in replies] == [
        (401, "User is deactivated.")
    ] * 2


async def test_another_integration_writes_the_same_and_nearly_the_same() -> None:
    """Before or after ours, under another user; a fault of our own call still applies."""
    faults = [
        {"do": "foreign", "nth": 1},
        {"do": "foreign", "nth": 2, "when": "after", "note": "visited", "fields": {"Status": None}},
        {"do": "answer", "status": 500, "commit": True, "nth": 2},
    ]
    async with quick({"faults": faults}) as sandbox, Caller(sandbox) as call:
        statuses = [(await call.create()).status for _ in range(2)]
        held = sandbox.activities
    assert statuses == [200, 500]
    assert [each.origin for each in held] == ["foreign", "api", "api", "foreign"]
    assert (held[0].note, held[0].fields) == (held[1].note, held[1].fields)
    assert (held[3].note, held[3].fields) == ("visited", {"mx_Custom_1": "Won"})
    assert len({each.created_by for each in held}) == 2


async def test_nothing_is_copied_from_a_create_that_is_refused() -> None:
    """There is nothing to copy."""
    async with quick({"faults": [{"do": "foreign"}]}) as sandbox, Caller(sandbox) as call:
        await call.create(RelatedCompanyId="x")
        assert sandbox.activities == []


async def test_a_reading_may_lack_what_it_counts() -> None:
    """RecordCount says three, two are listed."""
    rules = {
        "existing": [{"account": ACCOUNT, "event": 10001, "copies": 3}],
        "faults": [{"do": "incomplete", "times": 1}],
    }
    async with quick(rules) as sandbox, Caller(sandbox) as call:
        bad, good = [(await call.retrieve()).json for _ in range(2)]
    assert [(each["RecordCount"], len(each["CompanyActivities"])) for each in (bad, good)] == [(3, 2), (3, 3)]


async def test_a_reading_may_be_old() -> None:
    """As the tenant was some seconds ago."""
    async with quick({"faults": [{"do": "stale", "seconds": 60}]}) as sandbox, Caller(sandbox) as call:
        created = await call.create()
        assert (await call.retrieve()).json == {"RecordCount": 0}
        assert (await call.by_id(created.id)).status == 500


@pytest.mark.parametrize(
    ("change", "sent", "shown"),
    [
        ({"change": "upper"}, "Won", "WON"),
        ({"change": "lower"}, "Won", "won"),
        ({"change": "truncate", "length": 2}, "Won", "Wo"),
        ({"change": "trim"}, " Won", "Won"),
        ({"change": "drop"}, "Won", None),
        ({"change": "set", "value": "Open"}, "Won", "Open"),
    ],
)
async def test_a_field_comes_back_otherwise_than_sent(
    change: dict[str, Any], sent: str, shown: str | None
) -> None:
    """Only in what reads give: the tenant's own record keeps what was received."""
    rules = {"tenant": {"read_back": [{"field": "mx_Custom_1", **change}]}}
    async with quick(rules) as sandbox, Caller(sandbox) as call:
        created = await call.create(fields={"mx_Custom_1": sent})
        fields = (await call.by_id(created.id)).json["ActivityFields"]
    assert fields.get("mx_Custom_1") == shown
    assert sandbox.activities[0].fields == {"mx_Custom_1": sent}


async def test_the_note_can_be_changed_too() -> None:
    """By the name `note`."""
    rules = {"tenant": {"read_back": [{"field": "note", "change": "truncate", "length": 3}]}}
    async with quick(rules) as sandbox, Caller(sandbox) as call:
        created = await call.create(ActivityNote="Visited")
        assert (await call.by_id(created.id)).json["ActivityNote"] == "Vis"


@pytest.mark.parametrize(
    "fault", [{"do": "drip", "seconds": 0.01}, {"do": "answer", "status": 500}, {"do": "slow", "seconds": 0}]
)
async def test_a_wrong_clock_is_wrong_under_faults_too(fault: dict[str, Any]) -> None:
    """The Date of every answer is the tenant's."""
    rules = {"tenant": {"clock_offset_s": -3600}, "faults": [fault]}
    async with quick(rules) as sandbox, Caller(sandbox) as call:
        date = parsedate_to_datetime((await call.create()).headers["Date"]).timestamp()
    assert -3610 < date - time.time() < -3590


# Which calls


async def statuses_of(rule: dict[str, Any], calls: list[dict[str, Any]], **changes: Any) -> list[int]:
    """Statuses of some Creates under one rule that answers 503."""
    rules = {"faults": [{"do": "answer", "status": 503, **rule}]}
    async with quick(rules, **changes) as sandbox, Caller(sandbox) as call:
        return [(await call.create(**each)).status for each in calls]


@pytest.mark.parametrize(
    ("rule", "hit"),
    [
        ({"nth": 2}, [2]),
        ({"nth": [1, 3]}, [1, 3]),
        ({"every": 2}, [2, 4]),
        ({"every": 1, "times": 2}, [1, 2]),
        ({"note_has": "b"}, [2, 4]),
        ({"note_has": "b", "nth": 2}, [4]),
        ({"attempt": 2}, [3, 4]),
        ({"event": 7}, [1, 3]),
        ({"field": {"Status": "x"}}, [1, 2]),
        ({"account": ACCOUNT.upper(), "chance": 1}, [1, 2, 3, 4]),
        ({"chance": 0}, []),
        ({"from_s": 60}, []),
        ({"until_s": 60}, [1, 2, 3, 4]),
        ({"on": "retrieve"}, []),
        ({"on": "any"}, [1, 2, 3, 4]),
        ({"on": ["whoami", "create"]}, [1, 2, 3, 4]),
    ],
)
async def test_a_rule_hits_the_calls_that_it_says(rule: dict[str, Any], hit: list[int]) -> None:
    """All that is given must hold; nth and every count what the rest leaves."""
    one = {"ActivityNote": "a", "ActivityEvent": 7, "fields": {"Status": "x"}}
    two = {"ActivityNote": "b", "ActivityEvent": 8, "fields": {"Status": "x"}}
    if "attempt" in rule:
        calls = [one, two, one, two]
    else:
        calls = [one, two, {**one, "fields": {"Status": "y"}}, {**two, "fields": {}}]
    statuses = await statuses_of(rule, calls)
    assert [number for number, status in enumerate(statuses, 1) if status == 503] == hit


async def test_the_same_seed_gives_the_same_faults() -> None:
    """And another seed others."""
    runs = [await statuses_of({"chance": 0.5}, [{}] * 30, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert 5 < runs[0].count(503) < 25


async def test_the_first_rule_that_matches_decides() -> None:
    """Order is meaning."""
    rules = {"faults": [{"do": "answer", "status": 502, "nth": 1}, {"do": "answer", "status": 503}]}
    async with quick(rules) as sandbox, Caller(sandbox) as call:
        assert [(await call.create()).status for _ in range(2)] == [502, 503]
        assert [each.fault for each in sandbox.calls] == ["answer", "answer"]
