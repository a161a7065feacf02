"""Starting the sandbox, and what it keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sandbox_caller import Caller, quick

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
    with pytest.raises(ValueError, match=r"rate|seconds|port"):
        Sandbox(SandboxOptions(**wrong))


async def test_latency_is_spent_around_the_commit() -> None:
    """Half of it before: whoever gives up in the second half has created all the same."""
    async with quick(latency_s=0.4) as sandbox, Caller(sandbox, timeout_s=0.3) as call:
        with pytest.raises(TimeoutError):
            await call.create()
        assert len(sandbox.activities) == 1
        assert sandbox.calls[0].activity_id == sandbox.activities[0].id
