"""How the runs on one tenant divide its allowance, whatever computers they are on.

Each run writes one line into a record in the store, once a second: what it takes, and what it has learnt. In
the same transaction it reads the others' lines and takes an even part, but never more than they leave: so the
parts never add up to more than the allowance, and a run that begins sends nothing until the others have made
room. A run that has nothing to send leaves; one that is silent for five seconds is dead.

Parts are whole calls in a period. Even flows of 13 and 12 calls never put more than 25 into a window, at
whatever moments they began; two flows of 12.5 put 26 into every seventh one.

Times in the record are the database's clock, and are handed over as differences: computers' clocks may be
minutes apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from importer.pacing.rules import ROUNDING, Rate, ceiling_of

BEAT_S: Final = 1.0
SILENT_S: Final = 5.0
"""A run that was not heard of for so long is dead, and its part is the others'."""
LEARNT_S: Final = 600.0
"""How long the record keeps what a run learnt after it was last heard of."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PaceEntry:
    """One run's line in the record.

    live: takes part in the division. asked: the most it may send. calls_per_s: the part that it takes now.
    stated: the limit that a refusal stated. pause_left_s: until when all must wait after a refusal. careful:
    calls arrive unevenly. share: the part (0 to 1) that integrations other than ours leave; None where none
    was noticed. silent_s: since when it was not heard of; only on lines that were read.
    """

    run: str
    live: bool
    asked: Rate
    calls_per_s: float = 0.0
    stated: Rate | None = None
    pause_left_s: float = 0.0
    careful: bool = False
    share: float | None = None
    silent_s: float = 0.0


class PaceRecord(Protocol):
    """The lines of all runs on one tenant. Used by one thread at a time, not always the same one."""

    def meet(self, run: str, change: Callable[[Sequence[PaceEntry]], PaceEntry]) -> None:
        """Read all lines (those silent for more than `LEARNT_S` are gone), and write what `change` makes of
        them as the line of `run`: one transaction that excludes every other `meet` of the tenant.

        Returns or raises within seconds; whatever is raised, the run goes on.
        """

    def close(self) -> None:
        """Gives up its connection; the next `meet` makes another."""


@dataclass(frozen=True, slots=True)
class Division:
    """What a run knows after it met the others.

    others: how many take part. part: its own part of the ceiling, 0 to 1; 0 also while the others are still
    to make room. The rest is what all ask for and have learnt.
    """

    others: int
    asked: Rate
    part: float
    stated: Rate | None
    pause_left_s: float
    careful: bool
    share: float | None


def divide(lines: Sequence[PaceEntry], mine: PaceEntry) -> tuple[PaceEntry, Division]:
    """The line to write for `mine` beside those that were read, and what it means."""
    before = [line for line in lines if line.run != mine.run]
    others = [line for line in before if line.live and line.silent_s < SILENT_S]
    asked = min([mine.asked, *(line.asked for line in others)], key=lambda rate: rate.per_s)
    limits = [line.stated for line in (mine, *before) if line.stated is not None]
    stated = min(limits, key=lambda rate: rate.per_s, default=None)
    ceiling = ceiling_of(asked, stated)
    calls = 0.0
    if mine.live:
        even = even_part(ceiling.calls, sum(line.run < mine.run for line in others), len(others) + 1)
        left = (ceiling.per_s - sum(line.calls_per_s for line in others)) * ceiling.period_s + ROUNDING
        calls = even if left >= even else max(0.0, float(int(left)))
    division = Division(
        others=len(others),
        asked=asked,
        part=calls / ceiling.calls,
        stated=stated,
        pause_left_s=max((line.pause_left_s for line in before), default=0.0),
        careful=any(line.careful for line in before),
        share=min((line.share for line in others or before if line.share is not None), default=None),
    )
    return replace(mine, calls_per_s=calls / ceiling.period_s), division


def even_part(calls: int, rank: int, runs: int) -> float:
    """Calls in a period for the run at `rank` (from 0) of so many: whole ones, fractions only if there are
    more runs than calls (then a window may hold one too many now and then)."""
    if calls < runs:
        return calls / runs
    least, rest = divmod(calls, runs)
    return float(least + (rank < rest))


class Heartbeat:
    """Meets the other runs once a second, in a thread, for as long as this run has something to send.

    line: our line as of now. wanted: whether there is something to send. heard: is given what came of it,
    None if the record could not be used. Only on one event loop.
    """

    def __init__(
        self,
        record: PaceRecord,
        line: Callable[[bool], PaceEntry],
        wanted: Callable[[], bool],
        heard: Callable[[Division | None], None],
    ) -> None:
        self._record = record
        self._line = line
        self._wanted = wanted
        self._heard = heard
        self._call = asyncio.Event()
        self._idle = True
        self._stopping = False
        self._beating: asyncio.Task[None] | None = None
        self._trouble_said = False
        self.others: int | None = None
        """How many there were when they last were met, silent ones too: they may be asleep. Known before they
        can know of our line. None while that is not known."""

    def take_part(self) -> None:
        """There is something to send: meet the others at once if that was not so before."""
        if self._idle:
            self._idle = False
            self.at_once()

    def at_once(self) -> None:
        """Meet the others now: there is something to say."""
        self._call.set()
        if self._beating is None:
            self._beating = asyncio.get_running_loop().create_task(self._beat())

    async def stop(self) -> None:
        """Leave, so that the others have the whole allowance at once."""
        if self._beating is None:
            return
        self._stopping = True
        self._call.set()
        try:
            await self._beating  # not cancelled: its thread would go on beside the next one
        finally:
            self._beating = None
            await self._meet(live=False)
            with suppress(Exception):
                await asyncio.to_thread(self._record.close)

    async def _beat(self) -> None:
        while not self._stopping:
            self._call.clear()
            live = self._wanted()
            self._idle = not live
            self._heard(await self._meet(live=live))
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S if live else None):
                    await self._call.wait()

    async def _meet(self, *, live: bool) -> Division | None:
        mine = self._line(live)
        met: list[Division] = []

        def change(lines: Sequence[PaceEntry]) -> PaceEntry:
            line, division = divide(lines, mine)
            self.others = sum(one.live and one.run != mine.run for one in lines)
            met[:] = [division]
            return line

        try:
            await asyncio.to_thread(self._record.meet, mine.run, change)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the record, the run goes on
            if not self._trouble_said:
                self._trouble_said = True
                _log.warning("The pace of other runs is not known: %s.", type(error).__name__)
            self.others = None
            return None
        return met[0]
