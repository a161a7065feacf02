"""Two windows on one machine: one pace for both, whatever becomes of either."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from benchmarks.pacing_simulation import Case, Figures, Simulation, StrictTenant, uniform
from virtual_time import VirtualTimeLoop, run_virtually

from importer.pacing.pacing import Pace, Rate, Refusal, SharedPace

PLAN = Rate(25, 5.0)
WINDOW = """
import asyncio, sys
from pathlib import Path
from importer.pacing.pacing import Pace, Rate, SharedPace

async def main():
    shared = SharedPace(Path(sys.argv[1]))
    pace = Pace(Rate.parse(sys.argv[2]), shared=shared)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[3])):
        slot = await pace.slot()
        slot.left()
        print(slot.granted_at, flush=True)
        await asyncio.sleep(0.01)
        slot.returned()
    shared.close()

asyncio.run(main())
"""


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Where the record is kept."""
    return tmp_path / "pace.sqlite"


@pytest.fixture
def windows(record: Path) -> Iterator[list[SharedPace]]:
    """Three processes' hold on it, closed at the end."""
    opened = [SharedPace(record) for _ in range(3)]
    yield opened
    for shared in opened:
        shared.close()


def together(
    case: Case, shared: list[SharedPace], delays_s: tuple[float, ...]
) -> tuple[StrictTenant, list[Figures]]:
    """Run one import per window on the same virtual clock and tenant."""
    tenant = case.tenant()

    async def late(simulation: Simulation, delay_s: float) -> Figures:
        await asyncio.sleep(delay_s)
        return await simulation.run()

    async def body() -> list[Figures]:
        return await asyncio.gather(
            *(late(Simulation(case, i + 1, tenant, shared[i]), delay_s) for i, delay_s in enumerate(delays_s))
        )

    return tenant, run_virtually(body())


def most_in(window_s: float, times: list[float]) -> int:
    """The most calls in any window of that length."""
    return max(sum(first <= at < first + window_s for at in times[i:]) for i, first in enumerate(times))


@pytest.mark.parametrize("delays_s", [(0.0, 0.0), (0.0, 7.3), (0.0, 0.05, 12.0)])
def test_windows_together_breach_nothing(windows: list[SharedPace], delays_s: tuple[float, ...]) -> None:
    """A strict tenant with 100 ms of jitter refuses neither, however they begin."""
    tenant, runs = together(Case("shared", 150, jitter=uniform(0.1)), windows, delays_s)
    assert [tenant.breaches, sum(len(run.created) for run in runs)] == [0, 150 * len(delays_s)]


def test_windows_share_the_allowance_between_them(windows: list[SharedPace]) -> None:
    """Neither starves, and nearly all of it is used."""
    _, runs = together(Case("shared", 200, jitter=uniform(0.1)), windows, (0.0, 0.0))
    seconds = [run.created[-1] - run.created[0] for run in runs]
    assert [max(seconds) / min(seconds) < 1.15, 400 * 0.2 / max(seconds) > 0.90] == [True, True]


def test_the_one_that_stays_has_the_whole_rate_again(windows: list[SharedPace]) -> None:
    """After the other has finished and left."""
    short, long = Case("short", 50), Case("long", 500)
    tenant = StrictTenant()

    async def body() -> Figures:
        async def first() -> None:
            await Simulation(short, 1, tenant, windows[0]).run()
            windows[0].close()

        figures, _ = await asyncio.gather(Simulation(long, 2, tenant, windows[1]).run(), first())
        return figures

    created = run_virtually(body()).created
    tail = created[-200:]
    assert 199 * 0.2 / (tail[-1] - tail[0]) >= 0.96


def test_a_refusal_of_one_pauses_the_other(windows: list[SharedPace]) -> None:
    """And what it stated holds for both."""

    async def body() -> tuple[Rate, float, float]:
        loop = asyncio.get_running_loop()
        one, other = (Pace(PLAN, clock=loop.time, shared=shared) for shared in windows[:2])
        (await other.slot()).returned()
        slot = await one.slot()
        slot.left()
        refused_at = loop.time()
        slot.returned(Refusal(Rate(5, 5.0), None))
        await other.slot()
        return other.ceiling, loop.time() - refused_at, other.throttled

    ceiling, waited_s, throttled = run_virtually(body())
    assert [ceiling, waited_s > 5.2, throttled] == [Rate(5, 5.0), True, 0]


def test_a_refusal_reaches_a_window_that_waits_already(windows: list[SharedPace]) -> None:
    """It looks again before it goes."""

    async def body() -> float:
        loop = asyncio.get_running_loop()
        one, other = (Pace(PLAN, clock=loop.time, shared=shared) for shared in windows[:2])
        slot = await one.slot()
        slot.left()
        waiting = asyncio.create_task(other.slot())
        await asyncio.sleep(0.05)
        refused_at = loop.time()
        slot.returned(Refusal(PLAN, None))
        await waiting
        return loop.time() - refused_at

    assert run_virtually(body()) > 5.2


def test_the_lowest_rate_that_was_asked_for_holds(windows: list[SharedPace]) -> None:
    """--rate 5/5 in one window is a reason to keep to it in both."""

    async def body() -> Rate:
        loop = asyncio.get_running_loop()
        one = Pace(PLAN, clock=loop.time, shared=windows[0])
        other = Pace(Rate(5, 5.0), clock=loop.time, shared=windows[1])
        (await other.slot()).returned()
        (await one.slot()).returned()
        return one.ceiling

    assert run_virtually(body()) == Rate(5, 5.0)


def test_it_says_that_another_window_is_there(windows: list[SharedPace]) -> None:
    """So that nobody wonders about half the rate."""

    async def body() -> list[str]:
        loop = asyncio.get_running_loop()
        paces = [Pace(PLAN, clock=loop.time, shared=shared) for shared in windows[:2]]
        for pace in (*paces, paces[0]):
            (await pace.slot()).returned()
        return [pace.describe() for pace in paces]

    said = "Another window on this computer imports too, and shares the rate."
    assert run_virtually(body()) == [said, said]


def test_two_real_processes_keep_one_pace(record: Path) -> None:
    """Twenty slots each of 20 in 1 s, by the machine's own clock: no window holds more than 20 of both."""
    processes = [_window(record, "20/1", 20) for _ in range(2)]
    for process in processes:
        _go(process)
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    times = sorted(float(line) for output in outputs for line in output.split())
    assert [[process.returncode for process in processes], len(times)] == [[0, 0], 40]
    assert most_in(1.0, times) <= 20


def _window(record: Path, rate: str, slots: int) -> subprocess.Popen[str]:
    """A process that waits for a line before it takes slots, and tells when each was granted."""
    command = [sys.executable, "-c", WINDOW, str(record), rate, str(slots)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def _go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_a_killed_process_leaves_no_trace_that_slows_the_next(record: Path) -> None:
    """Its calls are given up, its lock file is removed, and the whole rate is there again."""
    process = _window(record, "200/1", 100_000)
    _go(process)
    assert process.stdout is not None
    for _ in range(20):
        process.stdout.readline()
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    process.communicate(timeout=30)
    with closing(SharedPace(record)) as shared:
        later = time.monotonic() + 10.0
        rules, _ = shared.change(later, Rate(200, 1.0), lambda _: None)
        locks = list(record.parent.glob("*.lock"))
        assert [shared.neighbours, len(rules.window.away), len(locks)] == [0, 0, 1]


def test_a_window_that_closes_leaves_nothing_but_the_record(record: Path) -> None:
    """No lock files pile up."""
    for _ in range(3):
        with closing(SharedPace(record)) as shared:
            shared.change(1.0, PLAN, lambda _: None)
    assert [path.name for path in record.parent.iterdir()] == [record.name]


def test_a_window_that_closed_is_no_neighbour_of_the_next(record: Path) -> None:
    """`resume` right after `run` has the whole rate, and nobody is told of another window."""
    with closing(SharedPace(record)) as first:
        first.change(1.0, PLAN, lambda _: None)
    with closing(SharedPace(record)) as second:
        second.change(1.1, PLAN, lambda _: None)
        assert second.neighbours == 0


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"not a database at all, but text that somebody wrote there",
        b"SQLite format 3\x00" + os.urandom(4096),
    ],
    ids=["empty", "text", "half_a_database"],
)
def test_a_damaged_record_is_begun_anew(record: Path, damage: bytes) -> None:
    """A power failure costs what was learnt, not the import."""
    record.write_bytes(damage)
    with closing(SharedPace(record)) as shared:
        rules, _ = shared.change(5.0, PLAN, lambda _: None)
        assert rules.ceiling == PLAN


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{}",
        "[]",
        '{"version": 99}',
        '{"version": 1, "touched": 5, "members": {"a": [0, 5, 5]}, "rules": {}}',
    ],
)
def test_a_record_that_makes_no_sense_is_begun_anew(record: Path, body: str) -> None:
    """Also one that a later version wrote."""
    with closing(SharedPace(record)) as shared:
        shared.change(5.0, PLAN, lambda _: None)
        with closing(sqlite3.connect(record)) as connection:
            connection.execute("UPDATE record SET body = ?", (body,))
            connection.commit()
        rules, _ = shared.change(5.0, PLAN, lambda _: None)
        assert rules.ceiling == PLAN


def _refused(record: Path, at: float) -> None:
    with closing(SharedPace(record)) as shared:
        shared.change(at, PLAN, lambda rules: rules.refused(0, at, at, Refusal(Rate(5, 5.0), 3000.0), 0.0))


@pytest.mark.parametrize("later_s", [-100_000.0, 700.0], ids=["before_a_reboot", "ten_minutes_ago"])
def test_a_record_of_another_time_is_begun_anew(record: Path, later_s: float) -> None:
    """The monotonic clock begins anew with the machine; and a pause of yesterday is none today."""
    _refused(record, 200_000.0)
    with closing(SharedPace(record)) as shared:
        rules, _ = shared.change(200_000.0 + later_s, PLAN, lambda _: None)
        assert [rules.ceiling, rules.opens_at(200_000.0 + later_s)] == [PLAN, 200_000.0 + later_s]


def test_what_was_learnt_a_minute_ago_is_still_known(record: Path) -> None:
    """`resume` right after `run` does not run into the same limit again."""
    _refused(record, 200_000.0)
    with closing(SharedPace(record)) as shared:
        rules, _ = shared.change(200_060.0, PLAN, lambda _: None)
        assert rules.ceiling == Rate(5, 5.0)


def test_a_record_that_is_held_stops_nobody(record: Path, windows: list[SharedPace]) -> None:
    """A process that was stopped in the middle of a transaction: the others go on by themselves."""
    with closing(SharedPace(record)) as shared:
        shared.change(1000.0, PLAN, lambda _: None)
    holder = sqlite3.connect(record, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    async def body() -> list[float]:
        loop = asyncio.get_running_loop()
        pace = Pace(PLAN, clock=loop.time, shared=windows[0])
        times = []
        for _ in range(5):
            slot = await pace.slot()
            slot.left()
            times.append(loop.time())
            slot.returned()
        return times

    times = run_virtually(body())
    holder.close()
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) > 0.18


def test_a_folder_that_is_not_there_stops_nobody(tmp_path: Path) -> None:
    """Without a record each process is by itself."""

    async def body() -> None:
        shared = SharedPace(tmp_path / "missing" / "pace.sqlite")
        pace = Pace(PLAN, clock=asyncio.get_running_loop().time, shared=shared)
        for _ in range(3):
            (await pace.slot()).returned()
        shared.close()

    run_virtually(body())


def test_very_fast_windows_take_their_parts(windows: list[SharedPace]) -> None:
    """2,000 in 1 s: too quick for the record, and still no more than that together."""

    async def body() -> list[float]:
        loop = asyncio.get_running_loop()
        times: list[float] = []

        async def window(shared: SharedPace, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            pace = Pace(Rate(2000, 1.0), clock=loop.time, shared=shared)
            while loop.time() < 1006.0:
                slot = await pace.slot()
                slot.left()
                times.append(loop.time())
                slot.returned()

        await asyncio.gather(window(windows[0], 0.0), window(windows[1], 2.0))
        return times

    times = sorted(run_virtually(body()))
    counts = [
        sum(start <= at < start + 1.0 for at in times) for start in (1000.5 + i * 0.1 for i in range(45))
    ]
    assert [max(counts) <= 2000, min(counts[30:]) >= 1500] == [True, True]


def test_a_very_fast_window_learns_a_limit_from_another(windows: list[SharedPace]) -> None:
    """Within a moment, and then keeps it with the other."""

    async def body() -> Rate:
        loop = asyncio.get_running_loop()
        one, other = (Pace(Rate(2000, 1.0), clock=loop.time, shared=shared) for shared in windows[:2])
        (await other.slot()).returned()
        slot = await one.slot()
        slot.left()
        slot.returned(Refusal(PLAN, 1.0))
        await asyncio.sleep(0.1)
        (await other.slot()).returned()
        return other.ceiling

    assert run_virtually(body()) == PLAN


def test_the_record_is_for_its_owner_only(record: Path) -> None:
    """As everything under the importer's home."""
    with closing(SharedPace(record)) as shared:
        shared.change(1.0, PLAN, lambda _: None)
        assert os.name == "nt" or record.stat().st_mode & 0o077 == 0


def test_the_record_stays_small(record: Path) -> None:
    """One window of calls and no history."""

    async def body() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        with closing(SharedPace(record)) as shared:
            pace = Pace(PLAN, clock=loop.time, shared=shared)
            for _ in range(300):
                slot = await pace.slot()
                slot.left()
                slot.returned()

    run_virtually(body())
    with closing(sqlite3.connect(record)) as connection:
        (body_text,) = connection.execute("SELECT body FROM record").fetchone()
    assert [len(body_text) < 4000, json.loads(body_text)["version"]] == [True, 1]
