"""A batch that one computer began and another one finishes: nothing is lost, nothing is created twice."""

from __future__ import annotations

import os
import random
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from computers import Team, answer, ended, goes_on, killed, stopped, team
from stores import Wire

pytestmark = pytest.mark.crash
LONG = os.environ.get("IMPORTER_LONG") == "1"
ROWS = 400
"""More than a run sends in the moments in which it is stopped."""


def begun(mates: Team, rows: int, calls: int, timeout_s: float = 2) -> subprocess.Popen[str]:
    """Ana's run, once so many activities are there."""
    name = mates.sheet(rows)
    process = mates.ana.start("run", name, "-m", "mapping.yaml", timeout_s=timeout_s)
    mates.until(lambda: mates.created() >= calls, process)
    return process


def batch(mates: Team) -> str:
    """The one batch that there is."""
    with mates.ben.store() as store:
        (one,) = store.batches()
    return one.batch.id


def test_a_run_that_was_killed_is_finished_on_another_computer(tmp_path: Path) -> None:
    """Rows of which a call was under way are looked up first."""
    with team(tmp_path, {"do": "hold", "nth": [20, 21, 22]}) as mates:
        process = begun(mates, 60, 19)
        mates.until(lambda: len(mates.tenant.ask("held")) >= 3, process)
        killed(process)
        mates.tenant.ask("release", "POST")
        result = mates.ben.run("resume", batch(mates))
        assert (result.exit, mates.truth()) == (0, (0, 0, 0)), result.stderr
        assert mates.statuses() == {"created": 60}


def test_while_it_runs_nobody_else_gets_in(tmp_path: Path) -> None:
    """And the other computer says who works on it."""
    with team(tmp_path, {"do": "hold", "nth": 10}) as mates:
        process = begun(mates, 60, 5, timeout_s=60)
        result = mates.ben.run("resume", batch(mates))
        assert (result.exit, answer(result)["error_code"]) == (2, "in-use")
        assert "ana on" in answer(result)["error"]
        mates.tenant.ask("release", "POST")
        assert ended(process).exit == 0
        assert mates.truth() == (0, 0, 0)


def test_a_run_whose_connection_is_cut_ends_and_is_finished_on_another_computer(tmp_path: Path) -> None:
    """Rule 8: exit 3; what was created and could not be recorded is printed with its Id."""
    with team(tmp_path, {"do": "hold", "nth": [20, 21, 22]}) as mates:
        process = begun(mates, 60, 19)
        mates.until(lambda: len(mates.tenant.ask("held")) >= 3, process)
        before = {one["id"] for one in mates.tenant.ask("activities")}
        mates.cut()
        mates.tenant.ask("release", "POST")
        first = ended(process)
        assert first.exit == 3, first.stderr
        with mates.ben.store() as store:
            recorded = {(row.activity_id or "").lower() for row in store.open(batch(mates)).rows()}
        unrecorded = {one["id"] for one in mates.tenant.ask("activities")} - before - recorded
        assert all(one in first.stderr.lower() for one in unrecorded), first.stderr
        result = mates.ben.run("resume", batch(mates))
        assert (result.exit, mates.truth()) == (0, (0, 0, 0)), result.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot stop a process")
def test_a_computer_that_sleeps_in_mid_run_sends_nothing_twice_when_it_wakes(tmp_path: Path) -> None:
    """Stopped at a random instant, its connection ended, the batch finished elsewhere; then it goes on. A
    mark is good for 10 seconds only, and whoever takes over waits for that."""
    chance = random.Random(7)
    for number in range(50 if LONG else 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        with team(folder) as mates:
            process = begun(mates, ROWS, 5)
            time.sleep(chance.uniform(0, 0.25))
            stopped(process)
            mates.cut()
            result = mates.ben.run("resume", batch(mates))
            assert result.exit == 0, result.stderr
            goes_on(process)
            first = ended(process)
            assert first.exit == 3, first.stderr
            assert (mates.truth(), mates.created()) == ((0, 0, 0), ROWS), number


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot stop a process")
def test_a_process_that_is_frozen_between_its_mark_and_its_call_does_not_send_when_it_is_thawed(
    tmp_path: Path,
) -> None:
    """The instant: a row is `sending` in the store, and the first byte of its call has not left. Marks are
    made up to a second ahead; with a call a second, that is how long the instant lasts. Nothing tells the
    process that its store is lost: only the age of its mark can keep it from sending."""

    def frozen() -> bool:
        """Stops the process; whether that instant is now. Else it goes on."""
        stopped(process)
        counts = mates.created(), mates.calls()
        time.sleep(1.0)  # longer than a call takes: nothing was on its way
        found = counts == (mates.created(), mates.calls()) == (counts[0], (counts[0], 1))
        if not found:
            goes_on(process)
        return found

    with team(tmp_path) as mates, closing(Wire(mates.url)) as wire:
        mates.ana.url = wire.url
        name = mates.sheet(30)
        options = ("--yes", "--json", "--rate", "5/5", "--timeout", "2", "--settle", "0.3")
        process = mates.ana.start("run", name, "-m", "mapping.yaml", *options, quick=False)
        mates.until(lambda: mates.created() >= 2, process)
        mates.until(frozen, process)
        wire.silent.set()
        mates.cut()
        result = mates.ben.run("resume", batch(mates))
        assert (result.exit, mates.created()) == (0, 30), result.stderr
        goes_on(process)
        first = ended(process)
        mates.ana.url = mates.url
        assert (first.exit, mates.truth(), mates.created()) == (3, (0, 0, 0), 30), first.stderr
