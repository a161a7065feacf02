"""How much of a tenant's allowance the pace uses, on a virtual clock.

    python tests/benchmarks/pacing_simulation.py

The real `Pace`, with 32 workers, against a model of a strict tenant: a sliding window over arrivals,
everything refused for a while after a breach, and other clients that count too. Prints one line per case.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Final

from importer.pacing.pacing import Pace, Rate, Refusal
from importer.pacing.sharing import LEARNT_S, PaceEntry, PaceRecord

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the tests' own modules
from virtual_time import run_virtually

Jitter = Callable[[Random], float]
"""Draws the seconds from leaving to arriving."""
Others = Callable[[Random], Iterator[float]]
"""Times (seconds from the start) at which another client's calls arrive."""

PLAN: Final = Rate(25, 5.0)
WORKERS: Final = 32


@dataclass
class StrictTenant:
    """Counts arrivals in a sliding window; over the limit it refuses everything for `penalty_s`.

    states: whether a refusal states the limit. retry_after: whether it states the wait. harsh: refused calls
    count in the window and start the penalty anew.
    """

    plan: Rate = PLAN
    penalty_s: float = 5.0
    states: bool = True
    retry_after: bool = False
    harsh: bool = False
    counted: deque[float] = field(default_factory=deque)
    refused_until: float = -math.inf
    breaches: int = 0
    arrivals: int = 0

    def arrive(self, now: float) -> Refusal | None:
        """A call of anyone arrives."""
        self.arrivals += 1
        while self.counted and self.counted[0] <= now - self.plan.period_s:
            self.counted.popleft()
        punished = now < self.refused_until
        if not punished and len(self.counted) < self.plan.calls:
            self.counted.append(now)
            return None
        if not punished:
            self.breaches += 1
        if self.harsh:
            self.counted.append(now)
        if self.harsh or not punished:
            self.refused_until = now + self.penalty_s
        free_at = max([self.refused_until, *(at + self.plan.period_s for at in list(self.counted)[:1])])
        return Refusal(
            self.plan if self.states else None, math.ceil(free_at - now) if self.retry_after else None
        )


def none(_: Random) -> float:
    """Arrives at once."""
    return 0.0


def uniform(most_s: float) -> Jitter:
    """Evenly between 0 and `most_s`."""
    return lambda chance: chance.uniform(0.0, most_s)


def log_normal(median_s: float, sigma: float) -> Jitter:
    """A heavy tail; at most 10 s."""
    return lambda chance: min(10.0, chance.lognormvariate(math.log(median_s), sigma))


def pareto(least_s: float, alpha: float) -> Jitter:
    """A heavier tail; at most 10 s."""
    return lambda chance: min(10.0, least_s * chance.paretovariate(alpha))


def steady(calls: float, period_s: float = 5.0, *, until_s: float = math.inf, from_s: float = 0.0) -> Others:
    """Another client that takes `calls` in `period_s`, evenly but for 50 ms, also before we begin."""

    def times(chance: Random) -> Iterator[float]:
        at = from_s - period_s if from_s == 0.0 else from_s
        while at < until_s:
            yield at + chance.uniform(0.0, 0.05)
            at += period_s / calls

    return times


def bursts(calls: int, every_s: float, *, until_s: float = math.inf) -> Others:
    """Another client that sends `calls` within half a second, every `every_s`."""

    def times(chance: Random) -> Iterator[float]:
        at = every_s / 2
        while at < until_s:
            yield from sorted(at + chance.uniform(0.0, 0.5) for _ in range(calls))
            at += every_s

    return times


class MemoryRecord:
    """What the store keeps of the runs on a tenant, in memory. clock: the database's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lines: dict[str, tuple[PaceEntry, float]] = {}

    def meet(self, run: str, change: Callable[[Sequence[PaceEntry]], PaceEntry]) -> None:
        """One transaction."""
        now = self._clock()
        recent = {run: kept for run, kept in self._lines.items() if now - kept[1] <= LEARNT_S}
        lines = [
            replace(line, silent_s=now - at, pause_left_s=max(0.0, line.pause_left_s - (now - at)))
            for line, at in recent.values()
        ]
        self._lines = {**recent, run: (change(lines), now)}

    def close(self) -> None:
        """Nothing to give up."""


@dataclass
class Case:
    """One simulated import. `hangs`: call number → seconds that its answer takes."""

    name: str
    rows: int = 500
    tenant: Callable[[], StrictTenant] = StrictTenant
    rate: Rate = PLAN
    jitter: Jitter = none
    latency_s: float = 0.3
    mark_s: tuple[float, float] = (0.001, 0.02)
    others: tuple[Others, ...] = ()
    hangs: dict[int, float] = field(default_factory=dict)
    allowance: Callable[[float], float] | None = None
    """Calls a second that are ours at a time; the plan if none."""
    from_s: float = 0.0
    """The share is that after this time."""
    target: str = ""


@dataclass
class Figures:
    """What came of a case. start: the loop's time. created: when created rows arrived, from the start."""

    start: float
    created: list[float]
    refused: int
    breaches: int
    others_refused: int
    others_sent: int
    pace: Pace
    said: list[tuple[float, str]]

    @property
    def arrivals(self) -> list[float]:
        """When created rows arrived, by the loop's clock."""
        return [self.start + at for at in self.created]

    def share(self, case: Case, until_s: float = math.inf) -> float:
        """Created rows as a part of what could be created, between the first and the last after `from_s`."""
        times = [at for at in self.created if case.from_s <= at < until_s]
        if len(times) < 2:
            return 0.0
        allowance = case.allowance or (lambda _: case.tenant().plan.per_s)
        step = 0.1
        count = max(1, round((times[-1] - times[0]) / step))
        could = sum(allowance(times[0] + i * step) for i in range(count)) * step
        return (len(times) - 1) / could


class Simulation:
    """One run of a case with a seed; several may share a tenant and its record."""

    def __init__(
        self,
        case: Case,
        seed: int,
        tenant: StrictTenant | None = None,
        record: PaceRecord | None = None,
        clock_ahead_s: float = 0.0,
    ) -> None:
        self.case = case
        self.record = record
        self.clock_ahead_s = clock_ahead_s
        self.chance = Random(seed)
        self.tenant = tenant or case.tenant()
        self.rows = case.rows
        self.calls = 0
        self.created: list[float] = []
        self.refused = 0
        self.others_sent = 0
        self.others_refused = 0
        self.said: list[tuple[float, str]] = []

    async def run(self) -> Figures:
        """Send every row."""
        loop = asyncio.get_running_loop()
        self.start = loop.time() + 10.0
        randomness = Random(self.chance.random())
        self.pace = Pace(
            self.case.rate,
            self.record,
            clock=lambda: loop.time() + self.clock_ahead_s,
            randomness=randomness,
        )
        others = [asyncio.ensure_future(self._other(other)) for other in self.case.others]
        listener = asyncio.ensure_future(self._listen())
        await asyncio.sleep(10.0)
        await asyncio.gather(*(self._worker() for _ in range(WORKERS)))
        for task in (*others, listener):
            task.cancel()
        await self.pace.close()
        self.created.sort()
        return Figures(
            self.start,
            self.created,
            self.refused,
            self.tenant.breaches,
            self.others_refused,
            self.others_sent,
            self.pace,
            self.said,
        )

    async def _worker(self) -> None:
        loop, case = asyncio.get_running_loop(), self.case
        while self.rows > 0:
            self.rows -= 1
            slot = await self.pace.slot(ahead_s=1.0)
            await asyncio.sleep(self.chance.uniform(*case.mark_s))
            await slot.due()
            slot.left()
            self.calls += 1
            call = self.calls
            await asyncio.sleep(case.jitter(self.chance))
            arrived = loop.time()
            refusal = self.tenant.arrive(arrived)
            await asyncio.sleep(case.hangs.get(call, case.latency_s))
            if refusal is None:
                self.created.append(arrived - self.start)
            else:
                self.refused += 1
                self.rows += 1
            slot.returned(refusal)

    async def _other(self, other: Others) -> None:
        loop = asyncio.get_running_loop()
        for at in other(self.chance):
            await asyncio.sleep(self.start + at - loop.time())
            self.others_sent += 1
            if self.tenant.arrive(loop.time()) is not None:
                self.others_refused += 1

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1.0)
            said = self.pace.describe()
            if not self.said or self.said[-1][1] != said:
                self.said.append((loop.time() - self.start, said))


def simulate(case: Case, seed: int = 1) -> Figures:
    """Run a case on a virtual clock."""
    return run_virtually(Simulation(case, seed).run())


def _left(calls: float) -> Callable[[float], float]:
    return lambda _: calls / PLAN.period_s


HEAVY_TAILS: Final = (
    Case("log-normal arrival, median 50 ms, σ 1", 2000, jitter=log_normal(0.05, 1), target="≥ 90 %, ≤ 3"),
    Case("log-normal arrival, median 150 ms, σ 1", 2000, jitter=log_normal(0.15, 1)),
    Case("Pareto 1.5 arrival, from 20 ms", 2000, jitter=pareto(0.02, 1.5), target="≥ 90 %, ≤ 3"),
)
ALONE: Final = (
    Case("alone, no jitter", target="≥ 96.5 %, 0"),
    Case("alone, arrival jitter 100 ms", jitter=uniform(0.1), target="≥ 96.5 %, 0"),
    Case("alone, arrival jitter 100 ms, 150 rows", 150, jitter=uniform(0.1), target="0 refused"),
    Case("alone, arrival jitter 400 ms", 2000, jitter=uniform(0.4)),
)
HANGING: Final = (
    Case(
        "one call hangs for 50 s, after a breach of our own",
        600,
        jitter=lambda chance: 0.4 if chance.random() < 0.1 else 0.0,
        hangs={200: 50.0},
        target="≥ 90 %",
    ),
)
OTHERS: Final = (
    Case("another client takes 20 %", 600, others=(steady(5),), allowance=_left(20), jitter=uniform(0.1)),
    Case(
        "another client takes 40 %",
        600,
        others=(steady(10),),
        allowance=_left(15),
        jitter=uniform(0.1),
        target="≥ 75 %, < 2 %",
    ),
    Case(
        "another client takes 40 %, 300 rows",
        300,
        others=(steady(10),),
        allowance=_left(15),
        jitter=uniform(0.1),
        target="≥ 75 %, < 2 %",
    ),
    Case("another client takes 80 %", 300, others=(steady(20),), allowance=_left(5), jitter=uniform(0.1)),
    Case(
        "another client takes 40 %, limit not stated",
        600,
        lambda: StrictTenant(states=False),
        others=(steady(10),),
        allowance=_left(15),
        jitter=uniform(0.1),
    ),
    Case("bursts of 10 every 5 s", 600, others=(bursts(10, 5.0),), allowance=_left(15)),
    Case("bursts of 20 every 20 s", 600, others=(bursts(20, 20.0),), allowance=_left(20)),
    Case(
        "another client begins after 30 s",
        600,
        others=(steady(10, from_s=30.0),),
        allowance=lambda at: (25 if at < 30 else 15) / 5,
    ),
    Case(
        "another client (40 %) stops after 100 s",
        1500,
        others=(steady(10, until_s=100.0),),
        from_s=220.0,
        jitter=uniform(0.1),
        target="≥ 95 % after 120 s",
    ),
    Case(
        "another client (80 %) stops after 100 s",
        1500,
        others=(steady(20, until_s=100.0),),
        from_s=220.0,
        jitter=uniform(0.1),
        target="≥ 95 % after 120 s",
    ),
)


def _plan(calls: int, *, states: bool = True) -> Callable[[], StrictTenant]:
    return lambda: StrictTenant(Rate(calls, 5.0), states=states)


PLANS: Final = (
    Case("plan 10/5 under 25/5", 400, _plan(10), from_s=60, jitter=uniform(0.1)),
    Case("plan 5/5 under 25/5", 300, _plan(5), from_s=60, jitter=uniform(0.1), target="≥ 90 %"),
    Case("plan 2/5 under 25/5", 120, _plan(2), from_s=60, jitter=uniform(0.1)),
    Case("plan 10/5, limit not stated", 400, _plan(10, states=False), from_s=60, jitter=uniform(0.1)),
    Case(
        "plan 5/5, limit not stated",
        300,
        _plan(5, states=False),
        from_s=60,
        jitter=uniform(0.1),
        target="≥ 90 %",
    ),
    Case("plan 2/5, limit not stated", 120, _plan(2, states=False), from_s=60, jitter=uniform(0.1)),
)
PENALTIES: Final = tuple(
    Case(
        f"40 % another, penalty {penalty_s:g} s{', Retry-After' if retry_after else ''}{extra}",
        600,
        lambda p=penalty_s, r=retry_after, h=bool(extra): StrictTenant(  # type: ignore[misc]
            penalty_s=p, retry_after=r, harsh=h
        ),
        others=(steady(10),) if not extra else (),
        jitter=uniform(0.1) if not extra else uniform(0.4),
        allowance=_left(15) if not extra else None,
    )
    for penalty_s, retry_after, extra in [
        (0.0, False, ""),
        (5.0, True, ""),
        (60.0, False, ""),
        (60.0, True, ""),
        (60.0, False, ", alone, renewed by each refusal"),
    ]
)
GROUPS: Final = {
    "alone": ALONE,
    "tails": HEAVY_TAILS,
    "hang": HANGING,
    "others": OTHERS,
    "plans": PLANS,
    "penalties": PENALTIES,
}


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="The pace on a virtual clock, against a strict tenant.")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each case (default 5)")
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="some groups of cases only")
    options = parser.parse_args(arguments)
    print(f"{'case':<58} {'share':>15} {'refused of ours':>18} {'breaches':>9} {'real s':>7}  target")
    for group in options.groups or GROUPS:
        for case in GROUPS[group]:
            began = time.perf_counter()
            runs = [simulate(case, seed) for seed in range(1, options.seeds + 1)]
            shares = [run.share(case) for run in runs]
            refused = [run.refused for run in runs]
            part = sum(refused) / (len(runs) * case.rows)
            real_s = (time.perf_counter() - began) / len(runs)
            breaches = statistics.mean(run.breaches for run in runs)
            print(
                f"{case.name:<58} {min(shares):6.1%}…{max(shares):6.1%}  {min(refused):>4}…{max(refused):<4}"
                f" {part:>7.2%} {breaches:>9.1f} {real_s:>7.2f}  {case.target}"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
