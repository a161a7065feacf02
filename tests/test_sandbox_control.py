"""The control endpoint: the truth about the tenant, and its strings."""

from __future__ import annotations

import asyncio
import time

import pytest
from sandbox_caller import ACCOUNT, Caller, quick, until

from importer.sandbox import Sandbox


@pytest.mark.parametrize("token", [None, "", "wrong", "é"])
async def test_without_the_token_nothing_is_told(token: str | None) -> None:
    """Not even what was created."""
    async with quick() as sandbox, Caller(sandbox) as call:
        headers = {} if token is None else {"X-Sandbox-Token": token}
        reply = await call.send("GET", "/__sandbox__/activities", headers=headers)
    assert reply.status == 403


async def test_every_call_has_its_record() -> None:
    """Arrival by both clocks, kind, status, fault, and what it created, its caller knowing or not."""
    rules = {"faults": [{"do": "answer", "status": 504, "commit": True, "nth": 2}]}
    before = time.time()
    async with quick(rules) as sandbox, Caller(sandbox) as call:
        created = await call.create()
        await call.create()
        await call.retrieve()
        records = (await call.control("GET", "calls")).json
        later = (await call.control("GET", "calls?after=2")).json
        held = (await call.control("GET", "activities")).json
    assert [each["kind"] for each in records] == ["create", "create", "retrieve"]
    assert [each["status"] for each in records] == [200, 504, 200]
    assert [each["fault"] for each in records] == ["", "answer", ""]
    assert [each["activity_id"] for each in records] == [created.id, held[1]["id"], None]
    assert records[0]["arrived_s"] <= records[1]["arrived_s"] <= records[1]["ended_s"]
    assert before <= records[0]["at"] <= time.time()
    assert [each["number"] for each in later] == [3]


async def test_counts_tell_what_happened_in_numbers() -> None:
    """Calls by kind, refused, created, held, others."""
    async with (
        quick({"existing": [{"account": ACCOUNT, "event": 1}]}, rate="2/60") as sandbox,
        Caller(sandbox) as call,
    ):
        for _ in range(3):
            await call.create()
        counts = (await call.control("GET", "counts")).json
    assert counts == {"calls": {"create": 3}, "refused": 1, "created": 2, "held": 3, "others": 0}


async def held_back(sandbox: Sandbox, count: int) -> list[int]:
    """Waits until so many answers are held back; their numbers."""
    await until(lambda: len(sandbox.held_back) >= count)
    return list(sandbox.held_back)


@pytest.mark.parametrize(("commit", "meanwhile"), [("before", 1), ("after", 0)])
async def test_an_answer_is_held_until_told(commit: str, meanwhile: int) -> None:
    """The world stands still between send and reply."""
    async with quick({"faults": [{"do": "hold", "commit": commit}]}) as sandbox, Caller(sandbox) as call:
        task = asyncio.create_task(call.create())
        numbers = await held_back(sandbox, 1)
        assert (await call.control("GET", "held")).json == numbers == [1]
        assert len(sandbox.activities) == meanwhile
        assert (await call.control("POST", "release?number=1")).json == {"released": 1}
        assert (await task).json["Status"] == "Success"
        assert len(sandbox.activities) == 1


async def test_all_held_answers_go_at_once() -> None:
    """Without a number."""
    async with quick({"faults": [{"do": "hold"}]}) as sandbox, Caller(sandbox) as call:
        tasks = [asyncio.create_task(call.create()) for _ in range(5)]
        await held_back(sandbox, 5)
        assert (await call.control("POST", "release")).json == {"released": 5}
        assert {(await task).status for task in tasks} == {200}


async def test_a_held_answer_does_not_keep_the_sandbox_from_stopping() -> None:
    """Whoever leaves lets everything go."""
    async with Caller(quick()) as call:
        async with quick({"faults": [{"do": "hold"}]}) as call.sandbox:
            call.keys = {
                "x-LSQ-AccessKey": call.sandbox.access_key,
                "x-LSQ-SecretKey": call.sandbox.secret_key,
            }
            task = asyncio.create_task(call.create())
            await held_back(call.sandbox, 1)
        assert (await task).status == 200


async def test_faults_are_changed_while_it_runs() -> None:
    """Wrong ones are refused, and change nothing."""
    async with quick() as sandbox, Caller(sandbox) as call:
        before = (await call.create()).status
        changed = await call.control("POST", "faults", json={"faults": [{"do": "answer", "status": 503}]})
        wrong = await call.control("POST", "faults", json={"faults": [{"do": "explode"}]})
        after = (await call.create()).status
    assert (before, changed.status, wrong.status, after) == (200, 200, 400, 503)
    assert "faults[1]" in wrong.json["error"]


async def test_activities_are_added_behind_everybodys_back() -> None:
    """As another integration would."""
    async with quick() as sandbox, Caller(sandbox) as call:
        given = [{"account": ACCOUNT, "event": 10001, "note": "Visited", "age_s": 5, "copies": 2}]
        ids = (await call.control("POST", "activities", json=given)).json
        assert (await call.retrieve()).json["RecordCount"] == 2
        assert [held.id for held in sandbox.activities] == ids
        assert (await call.control("POST", "activities", json=[{"event": 1}])).status == 400


@pytest.mark.parametrize("what", ["", "nothing", "calls/"])
async def test_anything_else_is_not_found(what: str) -> None:
    """And no call of the API."""
    async with quick() as sandbox, Caller(sandbox) as call:
        assert (await call.control("GET", what)).status == 404
        assert len(sandbox.calls) == 0


async def test_others_fill_the_window_over_the_wire() -> None:
    """A burst of 20 at the start leaves five of 25."""
    async with (
        quick({"other_clients": [{"burst": 20, "every_s": 600}]}, rate="25/60", penalty_s=5) as sandbox,
        Caller(sandbox) as call,
    ):
        statuses = [(await call.create()).status for _ in range(7)]
        counts = (await call.control("GET", "counts")).json
    assert statuses == [200] * 5 + [429] * 2
    assert (counts["others"], counts["refused"]) == (20, 2)
