"""Several runs on one tenant: they divide its allowance, whatever becomes of any of them."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from benchmarks.pacing_simulation import Case, Figures, MemoryRecord, Simulation, StrictTenant, uniform
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import VirtualTimeLoop, run_virtually

from importer.pacing.pacing import Pace, Rate, Refusal, Slot
from importer.pacing.sharing import SILENT_S, PaceEntry, divide, even_part

T = TypeVar("T")
PLAN = Rate(25, 5.0)


class BrokenRecord:
    """A store that is lost while `broken`."""

    def __init__(self, clock: Callable[[], float], *, broken: bool) -> None:
        self.record = MemoryRecord(clock)
        self.broken = broken
        self.tries = 0

    def meet(self, run: str, change: Callable[[Sequence[PaceEntry]], PaceEntry]) -> None:
        """As the record does, or an error."""
        self.tries += 1
        if self.broken:
            raise OSError("the server closed the connection")
        self.record.meet(run, change)

    def close(self) -> None:
        """Nothing to give up."""


def virtually(body: Callable[[VirtualTimeLoop, MemoryRecord], Coroutine[Any, Any, T]]) -> T:
    """Run a test on a virtual clock, with a record that keeps the same time."""
    loop = VirtualTimeLoop()
    return run_virtually(body(loop, MemoryRecord(loop.time)), loop=loop)


def together(
    case: Case, delays_s: tuple[float, ...], *, clocks_apart_s: float = 0.0
) -> tuple[StrictTenant, list[Figures]]:
    """One import per delay, on the same virtual clock and tenant."""
    tenant = case.tenant()

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[Figures]:
        async def late(simulation: Simulation, delay_s: float) -> Figures:
            await asyncio.sleep(delay_s)
            return await simulation.run()

        return await asyncio.gather(
            *(
                late(Simulation(case, i + 1, tenant, record, clock_ahead_s=i * clocks_apart_s), delay_s)
                for i, delay_s in enumerate(delays_s)
            )
        )

    return tenant, virtually(body)


def used(runs: list[Figures], *, until: float = float("inf")) -> float:
    """What part of 25 in 5 s all runs together took, from the first row to the first run's last one."""
    times = sorted(at for run in runs for at in run.arrivals)
    end = min(max(run.arrivals) for run in runs)
    times = [at for at in times if at <= min(end, until)]
    return (len(times) - 1) * 0.2 / (times[-1] - times[0])


async def sends_until(pace: Pace, end: float, times: list[float]) -> None:
    """Takes slots until then; what it took in `times`."""
    loop = asyncio.get_running_loop()
    while loop.time() < end:
        slot = await pace.slot()
        slot.left()
        times.append(loop.time())
        slot.returned()


def most_in(window_s: float, times: list[float]) -> int:
    """The most calls in any window of that length."""
    times = sorted(times)
    return max(sum(first <= at < first + window_s for at in times[i:]) for i, first in enumerate(times))


def between(times: list[float], begin: float, end: float) -> int:
    """How many of them lie there."""
    return sum(begin <= at < end for at in times)


@pytest.mark.parametrize(
    "delays_s", [(0.0, 0.0), (0.0, 7.3), (0.0, 0.05, 12.0), (0.0, 0.0, 0.0), (0.0, 3.1, 3.3)]
)
def test_runs_together_take_the_allowance_and_are_never_refused(delays_s: tuple[float, ...]) -> None:
    """A strict tenant with 100 ms of jitter refuses none, however they begin; together they take 90 %."""
    tenant, runs = together(Case("shared", 300, jitter=uniform(0.1)), delays_s)
    assert [tenant.breaches, sum(len(run.created) for run in runs)] == [0, 300 * len(delays_s)]
    assert used(runs) >= 0.90


@pytest.mark.parametrize("runs", [5, 7, 9])
def test_many_runs_are_never_refused_either(runs: int) -> None:
    """Whatever 25 calls divided by their number is."""
    tenant, figures = together(Case("shared", 60, jitter=uniform(0.1)), tuple(0.7 * i for i in range(runs)))
    assert [tenant.breaches, used(figures) >= 0.85] == [0, True]


def test_clocks_that_are_minutes_apart_change_nothing() -> None:
    """Three computers, 200 s from one to the next."""
    tenant, runs = together(Case("shared", 200, jitter=uniform(0.1)), (0.0, 0.0, 5.0), clocks_apart_s=200.0)
    assert [tenant.breaches, used(runs) >= 0.90] == [0, True]


def test_runs_that_begin_together_finish_together() -> None:
    """Each has an even part."""
    _, runs = together(Case("shared", 300, jitter=uniform(0.1)), (0.0, 0.0, 0.0))
    seconds = [run.created[-1] - run.created[0] for run in runs]
    assert max(seconds) / min(seconds) < 1.15


def test_a_run_that_begins_sends_nothing_before_the_other_has_made_room() -> None:
    """It takes the other a second to hear of it."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[float]:
        first, second = Pace(PLAN, record, clock=loop.time), Pace(PLAN, record, clock=loop.time)
        taken: list[float] = []
        sending = asyncio.create_task(sends_until(first, 1030.0, taken))
        await asyncio.sleep(10.1)
        slot = await second.slot()
        await sending
        return [slot.at - 1010.1, between(taken, slot.at, slot.at + 5.0)]

    waited_s, of_the_other = virtually(body)
    assert [0.3 < waited_s < 2.0, of_the_other <= 13] == [True, True]


def test_two_that_begin_at_the_same_moment_do_not_both_take_all() -> None:
    """One of them is first in the record; the other waits for its room."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> int:
        taken: list[float] = []
        paces = [Pace(PLAN, record, clock=loop.time) for _ in range(2)]
        await asyncio.gather(*(sends_until(pace, 1008.0, taken) for pace in paces))
        return most_in(5.0, taken)

    assert virtually(body) <= 25


def test_a_run_that_closes_leaves_its_part_at_once() -> None:
    """The other has the whole rate within a second and a half."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> int:
        taken: list[float] = []
        first, second = Pace(PLAN, record, clock=loop.time), Pace(PLAN, record, clock=loop.time)
        await asyncio.gather(sends_until(first, 1010.0, []), sends_until(second, 1010.0, []))
        await first.close()
        await sends_until(second, 1030.0, taken)
        return between(taken, 1012.0, 1022.0)

    assert virtually(body) >= 48


def test_a_run_that_dies_is_forgotten_within_seconds() -> None:
    """It says nothing any more; five seconds later its part is the other's."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> int:
        taken: list[float] = []
        first, second = Pace(PLAN, record, clock=loop.time), Pace(PLAN, record, clock=loop.time)
        await asyncio.gather(sends_until(first, 1010.0, []), sends_until(second, 1010.0, []))
        assert first._heartbeat is not None
        assert first._heartbeat._beating is not None
        first._heartbeat._beating.cancel()  # SIGKILL
        await sends_until(second, 1030.0, taken)
        return between(taken, 1017.0, 1027.0)

    assert virtually(body) >= 48


def test_a_run_that_waits_for_a_person_leaves_its_part_to_the_others() -> None:
    """A question is open for minutes; then it takes part again."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[float]:
        asking, sending = Pace(PLAN, record, clock=loop.time), Pace(PLAN, record, clock=loop.time)
        taken: list[float] = []
        (await asking.slot()).returned()
        task = asyncio.create_task(sends_until(sending, 1070.0, taken))
        await asyncio.sleep(60.0 - 0.001)
        answered = loop.time()
        slot = await asking.slot()
        task.cancel()
        return [between(taken, 1040.0, 1050.0), slot.at - answered]

    calls, waited_s = virtually(body)
    assert [calls >= 48, waited_s < 2.0] == [True, True]


def test_a_run_that_slept_asks_before_it_goes_on() -> None:
    """A suspended computer: the others have taken its part meanwhile."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[float]:
        now = [0.0]
        sleeper, other = (
            Pace(PLAN, record, clock=lambda: loop.time() + now[0]),
            Pace(PLAN, record, clock=loop.time),
        )
        taken: list[float] = []
        await asyncio.gather(sends_until(sleeper, 1010.0, taken), sends_until(other, 1010.0, taken))
        beating = sleeper._heartbeat
        assert beating is not None
        assert beating._beating is not None
        beating._beating.cancel()
        await sends_until(other, 1020.0, taken)
        now[0] = 10.0
        beating._beating, beating._idle = None, True
        await asyncio.gather(sends_until(sleeper, 1030.0, taken), sends_until(other, 1030.0, taken))
        return [most_in(5.0, taken)]

    assert virtually(body) <= [25]


def test_a_refusal_of_one_pauses_the_other_and_what_it_stated_holds_for_both() -> None:
    """Within a second: a run that waits already waits longer, and the lower limit is divided."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> tuple[Rate, list[float]]:
        one, other = Pace(PLAN, record, clock=loop.time), Pace(PLAN, record, clock=loop.time)
        taken: list[float] = []
        task = asyncio.create_task(sends_until(other, 1040.0, taken))
        await sends_until(one, 1010.0, [])
        slot = await one.slot()
        slot.left()
        refused_at = loop.time()
        slot.returned(Refusal(Rate(10, 5.0), None))
        await sends_until(one, 1040.0, taken)
        await task
        after = [at for at in taken if at > refused_at + 1.0]
        return other.ceiling, [between(after, 0.0, refused_at + 5.2), most_in(5.0, after)]

    ceiling, (in_the_pause, most) = virtually(body)
    assert [ceiling, in_the_pause, most <= 10] == [Rate(10, 5.0), 0, True]


def test_what_others_leave_is_divided_too() -> None:
    """Another client takes 40 %: two runs learn of it, and go on with what is left, under 2 % refused."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[Figures]:
        case = Case("shared", 300, others=(), jitter=uniform(0.1))
        tenant = case.tenant()
        other = asyncio.create_task(_other_client(loop, tenant, 10))
        runs = await asyncio.gather(*(Simulation(case, i, tenant, record).run() for i in (1, 2)))
        other.cancel()
        return runs

    runs = virtually(body)
    refused = sum(run.refused for run in runs)
    seconds = max(run.created[-1] for run in runs) - min(run.created[0] for run in runs)
    assert [refused / (600 + refused) < 0.03, 600 / seconds / 3.0 >= 0.70] == [True, True], (refused, seconds)


async def _other_client(loop: VirtualTimeLoop, tenant: StrictTenant, calls: int) -> None:
    while True:
        await asyncio.sleep(5.0 / calls)
        tenant.arrive(loop.time())


def test_the_lowest_rate_that_was_asked_for_holds() -> None:
    """--rate 5/5 in one run is a reason to keep to it in all."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> Rate:
        fast, slow = Pace(PLAN, record, clock=loop.time), Pace(Rate(5, 5.0), record, clock=loop.time)
        await asyncio.gather(sends_until(fast, 1010.0, []), sends_until(slow, 1010.0, []))
        return fast.ceiling

    assert virtually(body) == Rate(5, 5.0)


def test_a_run_that_follows_knows_the_limit_that_was_stated() -> None:
    """`resume` a minute after `run` does not meet the same refusal; ten minutes later it may try."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[Rate]:
        first = Pace(PLAN, record, clock=loop.time)
        slot = await first.slot()
        slot.left()
        slot.returned(Refusal(Rate(5, 5.0), None))
        await first.close()
        found = []
        for wait_s in (60.0, 1000.0):
            await asyncio.sleep(wait_s)
            pace = Pace(PLAN, record, clock=loop.time)
            (await pace.slot()).returned()
            found.append(pace.ceiling)
            await pace.close()
        return found

    assert virtually(body) == [Rate(5, 5.0), PLAN]


def test_a_limit_that_is_stated_while_the_runs_meet_is_not_forgotten() -> None:
    """What the meeting brings is older than the refusal."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> Rate:
        class Slow(MemoryRecord):
            def meet(self, run: str, change: Callable[[Sequence[PaceEntry]], PaceEntry]) -> None:
                record.meet(run, change)
                meeting.set()
                refused.wait()

        meeting, refused = threading.Event(), threading.Event()
        refused.set()
        pace = Pace(PLAN, Slow(loop.time), clock=loop.time)
        slot = await pace.slot()
        slot.left()
        refused.clear()
        meeting.clear()
        with loop.hold():
            while not meeting.is_set():  # the next beat
                await asyncio.sleep(0)
                loop.advance(0.01)
            slot.returned(Refusal(Rate(5, 5.0), None))
            refused.set()
        (await pace.slot()).unused()
        await pace.close()
        return pace.ceiling

    assert virtually(body) == Rate(5, 5.0)


@pytest.mark.parametrize("refused", [24, 9])
def test_a_run_that_begins_knows_what_the_others_have_learnt(refused: int) -> None:
    """Calls that arrive unevenly, or others that take a part: it does not have to be refused itself."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[str]:
        first, second = (Pace(PLAN, record, clock=loop.time) for _ in range(2))
        for _ in range(refused):
            slot = await first.slot()
            slot.left()
            if refused < 20:
                slot.returned()
        slot = await first.slot()
        slot.left()
        slot.returned(Refusal(PLAN, None))
        await asyncio.sleep(8.0)
        (await first.slot()).returned()
        await sends_until(second, loop.time() + 2.0, [])
        return [pace.describe() for pace in (first, second)]

    said, learnt = virtually(body)
    assert learnt == said != ""


def test_a_run_that_was_idle_goes_on_as_it_knows_it_can() -> None:
    """What another run noticed, minutes ago, does not slow it down: it would have been refused itself."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> str:
        first, second = (Pace(PLAN, record, clock=loop.time) for _ in range(2))
        await sends_until(first, loop.time() + 10.0, [])
        slot = await second.slot()
        slot.left()
        slot.returned(Refusal(PLAN, None))
        await second.close()
        await asyncio.sleep(60.0)
        await sends_until(first, loop.time() + 2.0, [])
        return first.describe()

    assert virtually(body) == ""


def test_it_says_that_another_import_is_running() -> None:
    """So that nobody wonders about half the rate."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[str]:
        paces = [Pace(PLAN, record, clock=loop.time) for _ in range(3)]
        sentences = []
        for count in (2, 3):
            end = loop.time() + 6.0
            await asyncio.gather(*(sends_until(pace, end, []) for pace in paces[:count]))
            sentences.append(paces[0].describe())
        return sentences

    assert virtually(body) == [
        "Another import is running on this tenant and takes its part of the rate.",
        "2 other imports are running on this tenant and take their parts of the rate.",
    ]


def test_trouble_with_the_record_stops_nobody() -> None:
    """From the start: the whole rate. In the middle: the last part."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[int]:
        del record
        lost = BrokenRecord(loop.time, broken=True)
        alone: list[float] = []
        await sends_until(Pace(PLAN, lost, clock=loop.time), 1010.0, alone)
        lost.broken = False
        one, other = Pace(PLAN, lost, clock=loop.time), Pace(PLAN, lost, clock=loop.time)
        await asyncio.gather(sends_until(one, 1020.0, []), sends_until(other, 1020.0, []))
        lost.broken = True
        taken: list[float] = []
        await asyncio.gather(sends_until(one, 1040.0, taken), sends_until(other, 1040.0, taken))
        return [between(alone, 1002.0, 1010.0), between(taken, 1030.0, 1040.0), most_in(5.0, taken)]

    alone, divided, most = virtually(body)
    assert [alone >= 36, divided >= 46, most <= 25] == [True, True, True]


def test_a_pace_without_calls_leaves_the_record_alone() -> None:
    """A screen that is open all day asks the store nothing."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> int:
        del record
        counting = BrokenRecord(loop.time, broken=False)
        pace = Pace(PLAN, counting, clock=loop.time)
        (await pace.slot()).returned()
        await asyncio.sleep(10.0)
        tries = counting.tries
        await asyncio.sleep(3600.0)
        return counting.tries - tries

    assert virtually(body) == 0


def test_very_fast_runs_take_their_parts() -> None:
    """2,000 in 1 s: no window holds more than that, and nearly all is used."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[float]:
        taken: list[float] = []
        first, second = (Pace(Rate(2000, 1.0), record, clock=loop.time) for _ in range(2))
        task = asyncio.create_task(sends_until(first, 1008.0, taken))
        await asyncio.sleep(2.0)
        await sends_until(second, 1008.0, taken)
        await task
        return taken

    taken = virtually(body)
    counts = [between(taken, 1000.5 + i * 0.1, 1001.5 + i * 0.1) for i in range(60)]
    assert [max(counts) <= 2000, min(counts[40:]) >= 1800] == [True, True]


# ---- slots given ahead ------------------------------------------------------------------------------


def test_slots_are_given_up_to_a_second_ahead_and_due_evenly() -> None:
    """A store that takes 300 ms to mark a row costs nothing of the rate."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> tuple[list[float], list[float]]:
        del record
        pace, early, times = Pace(PLAN, clock=loop.time), [], []

        async def worker() -> None:
            for _ in range(10):
                slot = await pace.slot(ahead_s=1.0)
                given = loop.time()
                await asyncio.sleep(0.3)
                await slot.due()
                slot.left()
                early.append(slot.at - given)
                times.append(loop.time())
                await asyncio.sleep(0.3)
                slot.returned()

        await asyncio.gather(*(worker() for _ in range(32)))
        return early, [later - earlier for earlier, later in itertools.pairwise(times)]

    early, spaced = virtually(body)
    assert [max(early) <= 1.35, min(spaced[30:]) > 0.19] == [True, True]
    assert sum(spaced[30:]) / len(spaced[30:]) == pytest.approx(0.206, abs=0.0005)


def test_a_slow_mark_delays_nobody_else() -> None:
    """Who is ready first leaves first."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[int]:
        del record
        pace, order = Pace(PLAN, clock=loop.time), []

        async def call(number: int) -> None:
            slot = await pace.slot(ahead_s=1.0)
            await asyncio.sleep(3.0 if number == 1 else 0.01)
            await slot.due()
            slot.left()
            order.append(number)
            slot.returned()

        await asyncio.gather(*(call(number) for number in range(12)))
        return order

    assert virtually(body) == [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1]


def test_no_slot_is_given_ahead_in_a_long_pause() -> None:
    """A row that is marked now could not be sent for minutes."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[float]:
        del record
        pace = Pace(PLAN, clock=loop.time)
        marked = await pace.slot(ahead_s=1.0)
        slot = await pace.slot()
        slot.left()
        refused_at = loop.time()
        slot.returned(Refusal(None, 100.0))
        given = await pace.slot(ahead_s=1.0)
        given_s = loop.time() - refused_at
        await marked.due()
        due_s = loop.time() - refused_at
        given.unused()
        return [given_s, due_s]

    given_s, due_s = virtually(body)
    assert [99.0 <= given_s <= 102.0, 100.0 <= due_s <= 102.1] == [True, True]


@pytest.mark.parametrize("ends", ["unused", "returned", "cancelled"])
def test_a_slot_given_ahead_that_is_not_used_is_free_again(ends: str) -> None:
    """Nobody waits for its holder."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[float]:
        del record
        pace = Pace(PLAN, clock=loop.time)
        for _ in range(20):
            slot = await pace.slot(ahead_s=1.0)
            if ends == "cancelled":
                await pace.slot()
                waiting = asyncio.create_task(slot.due())
                await asyncio.sleep(0.01)
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)
                slot.unused()
            else:
                getattr(slot, ends)()
        before = loop.time()
        await (await pace.slot(ahead_s=1.0)).due()
        return [loop.time() - before]

    assert virtually(body)[0] < 0.25


def test_a_call_that_leaves_before_its_slot_is_due_is_a_mistake() -> None:
    """It would not be paced at all."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> Slot:
        del record
        return await Pace(PLAN, clock=loop.time).slot(ahead_s=1.0)

    with pytest.raises(RuntimeError, match="before its slot is due"):
        virtually(body).left()


# ---- the arithmetic ---------------------------------------------------------------------------------


@given(st.integers(1, 200), st.integers(1, 40))
def test_parts_add_up_to_the_allowance(calls: int, runs: int) -> None:
    """And no two differ by more than one call."""
    parts = [even_part(calls, rank, runs) for rank in range(runs)]
    assert [sum(parts), max(parts) - min(parts) <= 1] == [pytest.approx(calls), True]


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([2, 5, 10, 25]), st.floats(0, 8)), min_size=1, max_size=6
    ),
    st.lists(st.integers(0, 5), max_size=60),
)
def test_claims_never_add_up_to_more_than_the_allowance(
    runs: list[tuple[bool, int, float]], order: list[int]
) -> None:
    """Whoever meets whom in whatever order, as long as the limit itself does not fall."""
    calls = min(calls for _, calls, _ in runs)
    lines = [
        PaceEntry(f"{number}", live, Rate(calls, 5.0), silent_s=silent_s)
        for number, (live, _, silent_s) in enumerate(runs)
    ]
    record: dict[str, PaceEntry] = {}
    for number in order:
        line, _ = divide(list(record.values()), lines[number % len(lines)])
        record[line.run] = replace(line, silent_s=0.0)
        assert sum(entry.calls_per_s for entry in record.values()) <= calls / 5.0 + 1e-9


def test_a_rate_far_above_the_tenant_costs_next_to_nothing_with_a_record() -> None:
    """The processor's time, a wide margin: 5,000 slots in under a second beside a record."""

    async def body() -> float:
        async with Pace(Rate(100_000, 1.0), MemoryRecord(time.monotonic)) as pace:
            began = time.process_time()
            for _ in range(5000):
                slot = await pace.slot(ahead_s=1.0)
                await slot.due()
                slot.left()
                slot.returned()
            return time.process_time() - began

    assert asyncio.run(body()) < 1.0


def test_a_run_knows_that_it_is_not_alone_before_the_other_may_send() -> None:
    """What is asked of the store only beside other runs is asked in time."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[bool]:
        first, second = Pace(PLAN, record, clock=loop.time), Pace(PLAN, record, clock=loop.time)
        found = [first.is_alone]
        sending = asyncio.create_task(sends_until(first, 1030.0, []))
        await asyncio.sleep(1.0)
        found.append(first.is_alone)
        (await second.slot()).returned()
        found.append(first.is_alone)
        await second.close()
        await asyncio.sleep(2.0)
        found.append(first.is_alone)
        await sending
        await asyncio.sleep(60.0)
        return [*found, first.is_alone]

    assert virtually(body) == [False, True, False, True, False]


def test_a_run_beside_one_that_may_be_asleep_does_not_think_that_it_is_alone() -> None:
    """What was marked there may still leave when it wakes."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> bool:
        record.meet("asleep", lambda _: PaceEntry("asleep", live=True, asked=PLAN))
        await asyncio.sleep(2 * SILENT_S)
        pace = Pace(PLAN, record, clock=loop.time)
        await sends_until(pace, loop.time() + 3.0, [])
        return pace.is_alone

    assert virtually(body) is False


def test_a_run_without_a_record_or_with_a_lost_one_does_not_think_that_it_is_alone() -> None:
    """It cannot know."""

    async def body(loop: VirtualTimeLoop, record: MemoryRecord) -> list[bool]:
        del record
        found = []
        for pace in (
            Pace(PLAN, clock=loop.time),
            Pace(PLAN, BrokenRecord(loop.time, broken=True), clock=loop.time),
        ):
            await sends_until(pace, loop.time() + 3.0, [])
            found.append(pace.is_alone)
        return found

    assert virtually(body) == [False, False]


def test_a_run_closes_between_two_meetings_and_never_beside_one() -> None:
    """The record is used by one thread at a time, also by a run that ends while it meets the others."""

    async def body() -> int:
        most = [0, 0]

        class Slow(MemoryRecord):
            def meet(self, run: str, change: Callable[[Sequence[PaceEntry]], PaceEntry]) -> None:
                most[0] += 1
                most[1] = max(most)
                time.sleep(0.05)
                super().meet(run, change)
                most[0] -= 1

        for delay_s in (0.0, 0.01, 0.06, 0.2):
            pace = Pace(Rate(1000, 1.0), Slow(time.monotonic))
            waiting = asyncio.create_task(pace.slot())
            await asyncio.sleep(delay_s)
            await pace.close()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        return most[1]

    assert asyncio.run(body()) == 1
