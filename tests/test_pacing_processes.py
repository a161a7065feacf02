"""Real processes on one tenant: they divide its allowance through the store, on both databases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from benchmarks.measuring import csv_sheet, importer, mapping, measure, tenant
from stores import Place

RUN = """
import asyncio, sys
from pathlib import Path
from importer.pacing.pacing import Pace, Rate
from importer.store.store import open_store

async def main():
    store = open_store(Path(sys.argv[1]), sys.argv[2] or None)
    async with Pace(Rate.parse(sys.argv[3]), store.pace("a tenant")) as pace:
        print("ready", flush=True)
        sys.stdin.readline()
        until = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        while not until.done():
            slot = await pace.slot(ahead_s=1.0)
            await slot.due()
            slot.left()
            print(slot.call.left_at, flush=True)
            slot.returned()

asyncio.run(main())
"""


class _Run:
    """A process that takes slots until it is told to end, and says when."""

    def __init__(self, place: Place, rate: str = "40/2") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(place.home), place.url or "", rate],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(self) -> None:
        """Once it has opened the store."""
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        assert self.process.stdout.readline() == "ready\n"
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def times(self) -> list[float]:
        """Ends it; when its calls left, by the clock that all processes of a computer share."""
        output, _ = self.process.communicate("\n", timeout=180)
        return [float(line) for line in output.split()]


def most_in(window_s: float, times: list[float]) -> int:
    """The most calls in any window of that length."""
    times = sorted(times)
    return max(sum(first <= at < first + window_s for at in times[i:]) for i, first in enumerate(times))


def _together(place: Place, meanwhile: Callable[[list[_Run]], None]) -> list[float]:
    with place.open():
        runs = [_Run(place) for _ in range(2)]
    for run in runs:
        run.begin()
    meanwhile(runs)
    return [at for run in runs for at in run.times()]


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="Windows cannot stop a process for a while")
def test_a_process_that_was_stopped_does_not_send_with_a_part_that_it_lost(place: Place) -> None:
    """Seven seconds of SIGSTOP: the other takes all, and the one that wakes asks first."""

    def stop(runs: list[_Run]) -> None:
        time.sleep(3.0)
        os.kill(runs[0].process.pid, signal.SIGSTOP)
        time.sleep(8.0)
        os.kill(runs[0].process.pid, signal.SIGCONT)
        time.sleep(2.0)

    assert most_in(2.0, _together(place, stop)) <= 40


def test_two_real_processes_divide_the_allowance_until_one_is_killed(place: Place) -> None:
    """40 in 2 s: no window holds more of both, and more than a half of it is used; the one that is left has
    more than its half within seconds."""
    killed: list[float] = []

    def kill(runs: list[_Run]) -> None:
        time.sleep(5.0)
        runs[0].process.kill()
        killed.append(time.monotonic())
        time.sleep(9.0)

    times = _together(place, kill)
    both = [at for at in times if at < killed[0]]
    last = [at for at in times if at > killed[0] + 7.0]
    assert [
        most_in(2.0, times) <= 40,
        len(both) > 0.6 * 20 * (max(both) - min(both)),
        len(last) > 0.6 * 20 * (max(last) - min(last)),
    ] == [True, True, True]


def test_a_question_beside_a_run_takes_part_in_its_pace(tmp_path: Path) -> None:
    """`whoami` in another window, six times: a strict tenant refuses nothing. Its period is long: its margin
    has to hold whatever this computer adds to the time of a call."""
    with tenant(rate="50/10", penalty_s=5.0, latency_s=0.02, jitter_s=0.0) as served:
        sheet, plan = csv_sheet(tmp_path / "visits.csv", 60), mapping(tmp_path)
        environment = {**served.environment, "IMPORTER_HOME": str(tmp_path / "home")}

        def ask(number: int) -> None:
            time.sleep(4.0 + 1.2 * number)
            own = tmp_path / f"window-{number}"
            own.mkdir()
            measure(importer("whoami"), cwd=own, environment=environment).expect(0)

        with ThreadPoolExecutor() as pool:
            asked = [pool.submit(ask, number) for number in range(6)]
            run = importer("run", sheet, "-m", plan, "--yes", "--json")
            found = measure(run, cwd=tmp_path, environment=environment).expect(0)
            for each in asked:
                each.result()
        counts = served.ask("counts")
    assert [found.json["created"], counts["refused"], counts["calls"]["whoami"]] == [60, 0, 7]
