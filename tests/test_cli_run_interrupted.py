"""What `run` leaves in the middle of its work: the results file is there from before the first POST, and
every way out writes it again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import visits
from conftest import Importer, RunningTenant, child_environment, importer_command
from visits import RUN_KEYS, results_of, statuses, write_csv, write_mapping

RESULTS = Path("visits.results.csv")
SAID = Path("stderr.txt")
PATIENCE_S = 180.0
posix = pytest.mark.skipif(os.name == "nt", reason="signals as Unix has them")


@pytest.fixture
def sheet(home: Path) -> Path:
    write_mapping(Path("visits.yaml"))
    return write_csv(Path("visits.csv"), visits.visits(30))


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def running(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """What it says on stderr goes to SAID."""
    with SAID.open("wb") as said:
        process = subprocess.Popen(
            importer_command(*arguments), env=child_environment(), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=PATIENCE_S)


def held(tenant: RunningTenant) -> int:
    return tenant.ask(lambda sandbox: len(sandbox.held_back))


def test_before_the_first_post_every_row_stands_in_the_file_as_pending(
    tenant: RunningTenant, home: Path, sheet: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "hold"}]})
    with running("run", sheet, "-m", "visits.yaml", "--yes", "--workers", "1", "--json") as process:
        until(lambda: held(tenant) == 1)
        lines = results_of(RESULTS)
        tenant.set_faults({})
        tenant.ask(lambda sandbox: sandbox.release())
        process.communicate(timeout=PATIENCE_S)
    assert [line["import_status"] for line in lines] == ["pending"] * 30
    assert {line["import_attempts"] for line in lines} == {"0"}
    assert len({line["import_batch"] for line in lines}) == 1
    assert process.returncode == 0
    assert statuses(RESULTS) == ["created"] * 30


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_waits_for_the_calls_under_way_writes_the_file_and_ends_with_130(
    tenant: RunningTenant, home: Path, sheet: Path, number: signal.Signals
) -> None:
    tenant.set_faults({"faults": [{"do": "hold", "nth": [5]}]})
    with running("run", sheet, "-m", "visits.yaml", "--yes", "--workers", "1", "--json") as process:
        until(lambda: held(tenant) == 1)
        process.send_signal(number)
        until(lambda: "Stopping:" in SAID.read_text())
        assert process.poll() is None  # the call is under way, and is waited for
        tenant.ask(lambda sandbox: sandbox.release())
        out, _ = process.communicate(timeout=PATIENCE_S)
    told = json.loads(out)
    assert (process.returncode, told["exit"]) == (130, 130)
    assert set(told) >= RUN_KEYS
    assert (told["created"], told["pending"]) == (5, 25)
    assert "importer resume" in SAID.read_text()
    assert statuses(RESULTS) == ["created"] * 5 + ["pending"] * 25


@posix
def test_ctrl_c_twice_leaves_at_once(tenant: RunningTenant, home: Path, sheet: Path) -> None:
    tenant.set_faults({"faults": [{"do": "hold", "nth": [3]}]})
    options = ("--yes", "--workers", "1", "--timeout", "600")
    with running("run", sheet, "-m", "visits.yaml", *options) as process:
        until(lambda: held(tenant) == 1)
        process.send_signal(signal.SIGINT)
        until(lambda: "Stopping:" in SAID.read_text())  # two signals at the same instant are one
        process.send_signal(signal.SIGINT)
        until(lambda: process.poll() is not None)
    assert process.returncode == 130


@posix
def test_a_killed_run_is_resumed_and_no_row_is_sent_twice(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "hold", "nth": [7]}]})
    with running("run", sheet, "-m", "visits.yaml", "--yes", "--workers", "1") as process:
        until(lambda: held(tenant) == 1)
        process.kill()
        process.wait(timeout=PATIENCE_S)
    tenant.set_faults({})
    stands = importer("status", RESULTS, "--json").json
    assert (stands["created"], stands["uncertain"], stands["pending"]) == (6, 1, 23)
    options = ("--settle", "0.1", "--timeout", "0.5")
    result = importer("resume", RESULTS, "--yes", "--json", *options)
    assert (result.exit, result.json["created"]) == (0, 30), result.stderr
    assert len(tenant.activities) == len(tenant.creates) == 30


@posix
def test_ctrl_c_while_the_sheet_is_read_ends_at_once_and_leaves_nothing(
    tenant: RunningTenant, home: Path, sheet: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "hold", "on": "whoami"}]})  # should it be read already
    write_csv(sheet, visits.visits(60_000))
    with running("run", sheet, "-m", "visits.yaml", "--yes") as process:
        until((home / "importer.db").exists)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, SAID.read_text()
    assert tenant.creates == []
    assert visits.left_behind(home) == []


def test_an_unexpected_fault_in_mid_run_still_writes_the_results_file(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importer.sending.worker_pool import WorkerPool

    run = WorkerPool.run

    async def run_and_break(self: WorkerPool) -> object:
        await run(self)
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(WorkerPool, "run", run_and_break)
    result = importer("run", sheet, "-m", "visits.yaml", "--yes", "--json")
    assert (result.exit, result.json["exit"]) == (3, 3)
    assert set(result.json) >= RUN_KEYS
    assert statuses(RESULTS) == ["created"] * 30


def test_a_results_file_that_cannot_be_written_at_the_end_is_said_and_the_store_named(
    importer: Importer, tenant: RunningTenant, home: Path, sheet: Path
) -> None:
    """The folder went away in mid-run (a network drive)."""
    Path("share").mkdir()

    def take_away(_: object) -> None:
        Path("share/visits.results.csv").unlink(missing_ok=True)
        if Path("share").is_dir():
            Path("share").rmdir()

    tenant.before_each_create(take_away)
    result = importer("run", sheet, "-m", "visits.yaml", "--yes", "--results", "share", "--json")
    assert (result.exit, result.json["created"]) == (3, 30)
    assert "is in the store" in result.stderr
    resumed = importer("resume", result.json["batch"], "--results", "visits.results.csv", "--json")
    assert resumed.exit == 0
    assert statuses(RESULTS) == ["created"] * 30
