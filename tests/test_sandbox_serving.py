"""Starting the sandbox, and what it keeps."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sandbox_caller import Caller, Reply, activity, quick, until

from importer.sandbox import Sandbox, SandboxOptions


async def test_what_was_created_is_found_by_the_next_sandbox(tmp_path: Path) -> None:
    """A rehearsal's resume finds what it had created, updates too; only its owner can read the file."""
    store = tmp_path / "rehearsals" / "sandbox.sqlite"
    async with quick(store=store) as sandbox, Caller(sandbox) as call:
        created = await call.create(ActivityNote="übrig \U0001f600", fields={"mx_Custom_1": "a"})
        body = {"CompanyActivityId": created.id, "Fields": [{"SchemaName": "mx_Custom_2", "Value": "b"}]}
        await call.send("POST", "/v2/CompanyActivity.svc/Update", json=body)
        before = sandbox.activities
    async with quick(store=store) as sandbox, Caller(sandbox) as call:
        assert sandbox.activities == before
        assert (await call.by_id(created.id)).json["ActivityFields"] == {
            "mx_Custom_1": "a",
            "mx_Custom_2": "b",
        }
    assert store.stat().st_mode & 0o077 == 0


async def test_a_create_is_in_the_file_before_it_is_answered(tmp_path: Path) -> None:
    """A second reader sees it while the first sandbox still runs: killing it would lose nothing."""
    store = tmp_path / "sandbox.sqlite"
    async with quick(store=store) as first, Caller(first) as call:
        created = await call.create()
        async with quick(store=store) as second:
            assert [held.id for held in second.activities] == [created.id]


async def test_a_port_that_is_taken_is_an_oserror() -> None:
    """And leaves nothing running."""
    async with quick() as sandbox:
        with pytest.raises(OSError, match="address already in use"):
            async with quick(port=sandbox.port):
                raise AssertionError("two sandboxes on one port")


@pytest.mark.parametrize(
    "wrong", [{"rate": "5"}, {"penalty_s": -1.0}, {"latency_s": 1e9}, {"port": 70_000}, {"lag_s": -0.1}]
)
def test_impossible_options_are_told_before_anything_is_opened(wrong: dict[str, Any]) -> None:
    """A ValueError at once."""
    with pytest.raises(ValueError, match=r"rate|_s|port"):
        Sandbox(SandboxOptions(**wrong))


async def test_latency_is_spent_around_the_commit() -> None:
    """Half of it before: whoever gives up in the second half has created all the same."""
    async with quick(latency_s=0.4) as sandbox, Caller(sandbox) as call:
        task = asyncio.create_task(call.create())
        await until(lambda: sandbox.activities)
        assert (sandbox.calls[0].activity_id, task.done()) == (sandbox.activities[0].id, False)
        assert sandbox.calls[0].ended_s is None
        assert (await task).status == 200


SERVER = """
import asyncio
import sys
from contextlib import closing
from pathlib import Path
from importer.sandbox import SandboxOptions, serve

options = SandboxOptions(latency_s=0, jitter_s=0, store=Path(sys.argv[1]), secret_key="s", access_key="u$r")
asyncio.run(serve(options, on_ready=lambda sandbox: print(sandbox.url, flush=True)))
"""


def started(store: Path) -> tuple[subprocess.Popen[str], str]:
    """A sandbox in a process of its own, and its URL."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(store)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


async def created_at(url: str) -> str:
    """The Id of an activity created there."""
    headers = {"x-LSQ-AccessKey": "u$r", "x-LSQ-SecretKey": "s"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/v2/CompanyActivity.svc/Create", json=activity()) as response,
    ):
        return str((await response.json())["Message"]["Id"])


async def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    """The next sandbox on the same file holds it."""
    store = tmp_path / "store.sqlite"
    process, url = started(store)
    ids = [await created_at(url) for _ in range(3)]
    process.kill()
    process.communicate(timeout=180)
    async with quick(store=store) as sandbox:
        assert [held.id for held in sandbox.activities] == ids


def test_it_imports_nothing_of_the_importer() -> None:
    """It would agree with its mistakes; and the other way round it stays out of what starts quickly."""
    code = "import sys, importer.sandbox; print(*sorted(n for n in sys.modules if n.startswith('importer.')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert [name for name in out.split() if not name.startswith("importer.sandbox")] == []


async def test_calls_take_time_to_arrive() -> None:
    """A little more or less each time."""
    async with quick(jitter_s=0.001) as sandbox, Caller(sandbox) as call:
        await call.create()
        assert len(sandbox.calls) == 1


async def test_many_callers_at_once_leave_nothing_untold() -> None:
    """200 calls over many connections, some hit by faults: log and tenant agree on every activity."""
    faults = [
        {"do": "answer", "status": 500, "commit": True, "chance": 0.2},
        {"do": "drop", "commit": True, "chance": 0.2},
        {"do": "drop", "chance": 0.2},
    ]
    async with quick({"faults": faults}) as sandbox, Caller(sandbox) as call:
        replies = await asyncio.gather(*(call.create() for _ in range(200)), return_exceptions=True)
        told = {reply.id for reply in replies if isinstance(reply, Reply) and reply.status == 200}
        logged = [each.activity_id for each in sandbox.calls if each.activity_id]
        held = [each.id for each in sandbox.activities]
    assert len(sandbox.calls) == 200
    assert sorted(logged) == sorted(held)
    assert told < set(held)
    assert len(told) == sum(each.fault == "" for each in sandbox.calls)


async def test_a_store_that_cannot_be_written_is_a_bare_500(tmp_path: Path) -> None:
    """Nothing is created, and the sandbox goes on."""
    store = tmp_path / "store.sqlite"
    async with quick(store=store) as sandbox, Caller(sandbox) as call:
        with closing(sqlite3.connect(store, isolation_level=None)) as other:
            other.execute("DROP TABLE activity")
        reply = await call.create()
        assert (reply.status, reply.body[:6], sandbox.activities) == (500, b"<html>", [])
        assert (await call.whoami()).status == 200
