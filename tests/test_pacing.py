"""Slots: when they are given, to whom, and what becomes of them. All on a virtual clock."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Coroutine
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import VirtualTimeLoop, run_virtually

from importer.pacing.pacing import Pace, Rate, Refusal, Slot

PLAN = Rate(25, 5.0)


def virtual_loop() -> VirtualTimeLoop:
    """The loop that the test runs on."""
    return cast("VirtualTimeLoop", asyncio.get_running_loop())


def new_pace(rate: Rate = PLAN) -> Pace:
    """A pace on the virtual clock, alone."""
    return Pace(rate, clock=virtual_loop().time)


async def take(pace: Pace, calls: int, answer_s: float = 0.0) -> list[float]:
    """The times at which so many calls left, one after the other; each answered at once or after a while."""
    loop, times = virtual_loop(), []
    for _ in range(calls):
        slot = await pace.slot()
        slot.left()
        times.append(loop.time())
        if answer_s:
            loop.call_later(answer_s, slot.returned)
        else:
            slot.returned()
    return times


def gaps(times: list[float]) -> list[float]:
    """Seconds between one and the next."""
    return [later - earlier for earlier, later in itertools.pairwise(times)]


def most_in(window_s: float, times: list[float]) -> int:
    """The most calls that lie in any window of that length."""
    return max(sum(first <= at < first + window_s for at in times) for first in times)


def virtually(test: Coroutine[Any, Any, None]) -> None:
    """Run the body of a test on a virtual clock."""
    run_virtually(test)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("25/5", PLAN), (" 1 / 60 ", Rate(1, 60.0)), ("100000/1", Rate(100000, 1.0)), ("3/0.5", Rate(3, 0.5))],
)
def test_a_rate_is_calls_in_seconds(text: str, rate: Rate) -> None:
    """As people write it, blanks allowed."""
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text",
    ["", "25", "25/", "/5", "0/5", "25/0", "-25/5", "25/5/1", "2.5/5", "25/1e3", "٢٥/5", "a/b", "inf/5"],
)
def test_anything_else_is_no_rate(text: str) -> None:
    """Each is refused with how to write it."""
    with pytest.raises(ValueError, match="25/5"):
        Rate.parse(text)


@given(st.integers(1, 999_999), st.integers(1, 86_400))
def test_a_rate_reads_as_it_is_written(calls: int, period_s: int) -> None:
    """`str` and `parse` are inverse."""
    rate = Rate(calls, float(period_s))
    assert Rate.parse(str(rate)) == rate


@pytest.mark.parametrize("rate", [Rate(0, 5.0), Rate(25, 0.0), Rate(-1, 5.0), Rate(5, float("inf"))])
def test_a_pace_refuses_a_rate_that_cannot_be_kept(rate: Rate) -> None:
    """Before anything waits."""
    with pytest.raises(ValueError, match="not a rate"):
        Pace(rate)


def test_calls_are_evenly_spaced_with_a_margin() -> None:
    """3 % over the plain spacing of 0.2 s, and never much less."""

    async def body() -> None:
        spaced = gaps((await take(new_pace(), 100))[26:])
        assert [min(spaced), max(spaced)] == pytest.approx([0.206, 0.206], abs=1e-4)

    virtually(body())


def test_the_first_calls_are_further_apart() -> None:
    """10 % while connections open."""

    async def body() -> None:
        spaced = gaps((await take(new_pace(), 25))[1:])
        assert spaced == pytest.approx([0.22] * 23, abs=1e-4)

    virtually(body())


def test_late_timers_do_not_add_up() -> None:
    """A caller that is 5 ms late each time still gets 100 calls in 100 spacings."""

    async def body() -> None:
        pace = new_pace()
        await take(pace, 30)
        loop, began = virtual_loop(), virtual_loop().time()
        for _ in range(100):
            slot = await pace.slot()
            loop.advance(0.005)  # the timer fires late, or the row is marked
            slot.left()
            slot.returned()
        assert loop.time() - began == pytest.approx(100 * 0.206, rel=0.002)

    virtually(body())


def test_a_slow_disk_does_not_push_calls_together() -> None:
    """Calls that leave late because a mark took a second are followed by no more than the window holds."""

    async def body() -> None:
        pace, loop, times = new_pace(), virtual_loop(), []

        async def call(number: int) -> None:
            slot = await pace.slot()
            if 40 <= number < 60:  # twenty marks wait for the same fsync
                await asyncio.sleep(max(0.0, 1010.0 - loop.time()))
            slot.left()
            times.append(loop.time())
            await asyncio.sleep(0.3)
            slot.returned()

        await asyncio.gather(*(call(number) for number in range(150)))
        assert most_in(5.05, sorted(times)) <= 25

    virtually(body())


def test_slots_are_given_first_come_first_served() -> None:
    """Also to those who wait while others come."""

    async def body() -> None:
        pace, order = new_pace(), []

        async def call(number: int) -> None:
            slot = await pace.slot()
            order.append(number)
            slot.returned()

        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(call(number))
                await asyncio.sleep(0.1)
        assert order == list(range(40))

    virtually(body())


def test_a_cancelled_waiter_costs_the_others_nothing() -> None:
    """Whether it waits in the queue or at its head."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()
        await take(pace, 30)
        began = loop.time()
        waiting = [asyncio.create_task(pace.slot()) for _ in range(10)]
        await asyncio.sleep(0.1)
        for task in (waiting[0], waiting[3], waiting[9]):
            task.cancel()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(slot, Slot) for slot in done].count(True) == 7
        assert loop.time() - began == pytest.approx(7 * 0.206, abs=0.01)

    virtually(body())


def test_a_laptop_that_slept_sends_no_burst() -> None:
    """Three hours at once, in the middle of waiting and of calls: spacing goes on from there."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()
        times = await take(pace, 40, answer_s=0.3)
        loop.call_later(0.1, loop.advance, 3 * 3600.0)
        times += await take(pace, 40, answer_s=0.3)
        assert [min(gaps(times)) > 0.18, most_in(5.0, times)] == [True, 25]

    virtually(body())


def test_a_refusal_pauses_everyone() -> None:
    """For the window and a little."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()
        slot = await pace.slot()
        slot.left()
        refused_at = loop.time()
        slot.returned(Refusal(PLAN, None))
        resumed = (await take(pace, 1))[0]
        assert [pace.throttled, resumed - refused_at] == [1, pytest.approx(5.3, abs=0.06)]

    virtually(body())


@pytest.mark.parametrize("retry_after_s", [2.0, 17.0, 300.0])
def test_the_stated_wait_is_honoured(retry_after_s: float) -> None:
    """Neither shorter nor much longer."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()
        slot = await pace.slot()
        slot.left()
        began = loop.time()
        slot.returned(Refusal(None, retry_after_s))
        waited_s = (await take(pace, 1))[0] - began
        assert retry_after_s <= waited_s <= retry_after_s * 1.03

    virtually(body())


def test_a_refusal_stops_a_waiter_that_was_about_to_go() -> None:
    """Also one that waits only for its spacing."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()
        slot = await pace.slot()
        slot.left()
        loop.call_later(0.1, slot.returned, Refusal(PLAN, None))
        began = loop.time()
        assert (await take(pace, 1))[0] - began > 5.1

    virtually(body())


def test_refusals_of_calls_under_way_are_one_breach() -> None:
    """They are counted, and do not lengthen the pause."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()
        slots = [await pace.slot() for _ in range(10)]
        for slot in slots:
            slot.left()
        began = loop.time()
        for delay_s, slot in enumerate(slots):
            loop.call_later(delay_s * 0.4, slot.returned, Refusal(PLAN, None))
        await asyncio.sleep(0.01)
        resumed = (await take(pace, 1))[0]
        assert [pace.throttled, resumed - began] == [10, pytest.approx(5.3, abs=0.06)]

    virtually(body())


def test_after_a_pause_one_call_tries_and_then_all_go_on_evenly() -> None:
    """Thirty-two waiters do not leave at once."""

    async def body() -> None:
        pace, loop, times = new_pace(), virtual_loop(), []
        slot = await pace.slot()
        slot.left()
        slot.returned(Refusal(PLAN, None))

        async def call() -> None:
            slot = await pace.slot()
            slot.left()
            times.append(loop.time())
            await asyncio.sleep(0.3)
            slot.returned()

        await asyncio.gather(*(call() for _ in range(32)))
        spaced = gaps(times)
        assert [spaced[0] >= 0.3, min(spaced) > 0.18, most_in(5.0, times) <= 25] == [True, True, True]

    virtually(body())


def test_a_try_that_hangs_does_not_stop_the_others_for_ever() -> None:
    """After one period the next one tries."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()
        slot = await pace.slot()
        slot.left()
        slot.returned(Refusal(PLAN, None))
        hanging = await pace.slot()
        hanging.left()
        began = loop.time()
        assert (await take(pace, 1))[0] - began == pytest.approx(5.0, abs=0.01)

    virtually(body())


def test_a_try_that_is_not_used_is_passed_on() -> None:
    """Thirty workers wait when an outage begins; the one that asks whether it is over comes after them."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()
        slot = await pace.slot()
        slot.left()
        slot.returned(Refusal(PLAN, None))
        began = loop.time()
        for _ in range(30):
            (await pace.slot()).unused()
        assert (await take(pace, 1))[0] - began < 5.4

    virtually(body())


def test_time_in_which_nobody_sends_is_no_penalty() -> None:
    """An outage of ten minutes after a refusal: the next refusal is waited out as the first one was."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()

        async def refused() -> float:
            slot = await pace.slot()
            slot.left()
            slot.returned(Refusal(PLAN, None))
            began = loop.time()
            (await pace.slot()).unused()
            return loop.time() - began

        await refused()
        await asyncio.sleep(600.0)
        await take(pace, 1)
        assert await refused() < 5.4

    virtually(body())


def test_a_long_penalty_is_waited_for_in_growing_pauses() -> None:
    """And the next one of the same tenant in fewer tries."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()

        async def penalty(until_s: float) -> int:
            tries = 0
            while True:
                slot = await pace.slot()
                slot.left()
                await asyncio.sleep(0.1)
                if loop.time() >= until_s:
                    slot.returned()
                    return tries
                tries += 1
                slot.returned(Refusal(PLAN, None))

        tries = [await penalty(loop.time() + 60.0) for _ in range(4)]
        assert [tries[0] <= 5, max(tries[2:]) <= 2] == [True, True], tries

    virtually(body())


def test_the_stated_limit_is_the_ceiling_at_once() -> None:
    """20 in 5 s under 25/5."""

    async def body() -> None:
        pace = new_pace()
        slot = await pace.slot()
        slot.left()
        slot.returned(Refusal(Rate(20, 5.0), None))
        assert pace.ceiling == Rate(20, 5.0)

    virtually(body())


@pytest.mark.parametrize("limit", [Rate(50, 5.0), Rate(0, 5.0), Rate(5, 0.0), Rate(5, float("nan"))])
def test_a_stated_limit_never_raises_the_rate_and_nonsense_is_ignored(limit: Rate) -> None:
    """What the person asked for stays the most."""

    async def body() -> None:
        pace = new_pace()
        slot = await pace.slot()
        slot.returned(Refusal(limit, None))
        await take(pace, 3)
        assert pace.ceiling == PLAN

    virtually(body())


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(Rate(10_000, 86_400.0), None),
        Refusal(None, 7 * 3600.0),
        Refusal(Rate(500, 3600.0), 1.0),
        Refusal(None, None, quota=True),
    ],
)
def test_a_quota_is_told_and_not_waited_for(refusal: Refusal) -> None:
    """The rate stays what it was, and nobody sleeps for hours."""

    async def body() -> None:
        pace, loop = new_pace(), virtual_loop()
        slot = await pace.slot()
        slot.left()
        slot.returned(refusal)
        began = loop.time()
        await take(pace, 1)
        assert [pace.quota, pace.ceiling, loop.time() - began < 10.0] == [refusal, PLAN, True]
        assert "quota" in pace.describe()

    virtually(body())


def test_an_unused_slot_is_the_next_ones() -> None:
    """At once, if it comes back at once; and however many come back, calls are as far apart as ever."""

    async def body() -> None:
        pace, times = new_pace(), []
        for number in range(60):
            slot = await pace.slot()
            await asyncio.sleep(0.15 if number == 42 else 0.0)
            if number % 3 == 0 and number != 0:
                slot.unused()
                continue
            slot.left()
            times.append(virtual_loop().time())
            slot.returned()
        spaced = gaps(times)
        assert [min(spaced) > 0.18, times[-1] - times[0] < 39 * 0.23 + 0.3] == [True, True]

    virtually(body())


def test_an_unused_slot_counts_nowhere() -> None:
    """Not even when its holder says more about it later."""

    async def body() -> None:
        pace = new_pace(Rate(1, 60.0))
        slot = await pace.slot()
        slot.unused()
        slot.left()
        slot.returned(Refusal(Rate(1, 600.0), None))
        assert [pace.throttled, pace.ceiling] == [0, Rate(1, 60.0)]

    virtually(body())


def test_a_call_that_is_said_twice_to_have_returned_is_counted_once() -> None:
    """The first word counts."""

    async def body() -> None:
        pace = new_pace()
        slot = await pace.slot()
        slot.returned(Refusal(PLAN, None))
        slot.returned(Refusal(PLAN, None))
        assert pace.throttled == 1

    virtually(body())


def test_one_call_a_minute_is_kept() -> None:
    """The smallest rates space as the others do."""

    async def body() -> None:
        assert gaps(await take(new_pace(Rate(1, 60.0)), 4)) == pytest.approx([66.0] * 3, abs=0.05)

    virtually(body())


def test_a_rate_far_above_the_tenant_costs_next_to_nothing() -> None:
    """The processor's time, a wide margin: 97,000 slots a second were measured, 5,000 are asked for."""

    async def body() -> float:
        pace = Pace(Rate(100_000, 1.0))
        began = time.process_time()
        for _ in range(5000):
            slot = await pace.slot()
            slot.left()
            slot.returned()
        return time.process_time() - began

    assert asyncio.run(body()) < 1.0


def test_memory_holds_what_may_still_count_and_no_more() -> None:
    """After 3,000 calls, one window of them."""

    async def body() -> None:
        pace = new_pace()
        await take(pace, 3000, answer_s=0.3)
        window = pace._rules.window
        assert [
            len(window.granted),
            len(window.away) <= 2,
            len(window.lefts) <= 26,
            len(window.returns) <= 26,
        ] == [
            0,
            True,
            True,
            True,
        ]

    virtually(body())


def test_nothing_notable_is_said_of_a_pace_that_simply_goes() -> None:
    """And a pause is told with its length."""

    async def body() -> None:
        pace = new_pace()
        before = pace.describe()
        slot = await pace.slot()
        slot.left()
        slot.returned(Refusal(Rate(5, 5.0), None))
        assert before == ""
        assert pace.describe().startswith("LeadSquared refused a call for the rate, so all calls wait 6 s")

    virtually(body())


def test_its_repr_tells_what_it_waits_for() -> None:
    """For whoever finds it hanging."""
    assert repr(Pace(PLAN)).startswith("<Pace 25/5 part=1.00 granted=0 throttled=0 away=0")
