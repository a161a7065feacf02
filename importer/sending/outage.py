"""When work on a tenant (sending, correcting, reading back) waits or stops, because the tenant, not a row, is
in trouble or for another reason. The clock is an argument.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final, TypeVar

from importer.errors import ImporterError, StoreError
from importer.pacing.pacing import Pace
from importer.pacing.rules import quota_words

FAILURES_TO_OPEN: Final = 5
ROWS_TO_OPEN: Final = 3
PROBE_FIRST_S: Final = 1.0
PROBE_LONGEST_S: Final = 60.0

_T = TypeVar("_T")


class Streak:
    """Calls of one kind that failed one after the other, for reasons that are not their rows'."""

    def __init__(self, failures_to_open: int, rows_to_open: int) -> None:
        self.failures = 0
        self._failures_to_open = failures_to_open
        self._rows_to_open = rows_to_open
        self._rows: set[int] = set()

    def failed(self, position: int) -> None:
        self.failures += 1
        self._rows.add(position)

    def end(self) -> None:
        self.failures = 0
        self._rows.clear()

    @property
    def is_outage(self) -> bool:
        """Too many, and of too many rows, to be theirs."""
        return self.failures >= self._failures_to_open and len(self._rows) >= self._rows_to_open


class Breaker:
    """Opens when calls of several different rows fail one after the other.

    While it is open nothing is claimed and nothing looked up; a read is tried at growing intervals, then one
    row, each time another, so that one bad row cannot keep it open. An answer to a Create closes it; if only
    reads had failed, an answer to a read does. Reading back, which has no Creates, opens it at once.
    """

    def __init__(
        self,
        max_outage_s: float,
        clock: Callable[[], float],
        *,
        failures_to_open: int = FAILURES_TO_OPEN,
        rows_to_open: int = ROWS_TO_OPEN,
    ) -> None:
        self.max_outage_s = max_outage_s
        self.is_open = False
        self.refused_for_rate = False
        self._costless = False
        self._clock = clock
        self._sends = Streak(failures_to_open, rows_to_open)
        self._reads = Streak(failures_to_open, rows_to_open)
        self._probes = 0
        self._trouble_since: float | None = None

    def __repr__(self) -> str:
        failures = f"sends={self._sends.failures} reads={self._reads.failures}"
        return f"<Breaker open={self.is_open} {failures} trouble_s={self.trouble_s:.1f}>"

    @property
    def trouble_s(self) -> float:
        """Seconds since the first failure after the last answer; 0 while all is well."""
        return 0.0 if self._trouble_since is None else self._clock() - self._trouble_since

    @property
    def exhausted(self) -> bool:
        """The outage has lasted longer than the person allows.

        One or two rows that fail are none: they cost attempts, and end when these are used up.
        """
        lasting = self.is_open or self.refused_for_rate or self._costless
        return lasting and self._trouble_since is not None and self.trouble_s >= self.max_outage_s

    def answered(self) -> None:
        """The tenant dealt with a row: it was created, or refused for what it is."""
        self._sends.end()
        self._reads.end()
        self._all_is_well()

    def read_answered(self) -> None:
        """A read was answered. That says nothing of Creates that fail."""
        self._reads.end()
        if not self._sends.failures and not self.refused_for_rate:
            self._all_is_well()

    def failed(self, position: int, *, costless: bool = False) -> None:
        """A Create for this row ended for a reason that is not the row's. costless: it spent no attempt."""
        self._costless = self._costless or costless
        self._sends.failed(position)
        self._failed()

    def read_failed(self, position: int) -> None:
        """A read of this row's account was not answered."""
        self._reads.failed(position)
        self._failed()

    def throttled(self) -> None:
        """Refused for the rate: no failure that counts, but no success either, and `max_outage_s` runs."""
        self._trouble()
        self.refused_for_rate = True

    def _failed(self) -> None:
        self._trouble()
        self.is_open = self.is_open or self._sends.is_outage or self._reads.is_outage

    def _trouble(self) -> None:
        if self._trouble_since is None:
            self._trouble_since = self._clock()

    def _all_is_well(self) -> None:
        self.is_open = False
        self.refused_for_rate = False
        self._costless = False
        self._probes = 0
        self._trouble_since = None

    def next_probe_s(self) -> float:
        """How long to wait before the next probe: 1, 2, 4 … 60 s, and never past `max_outage_s`."""
        wait_s = min(PROBE_FIRST_S * 2.0**self._probes, PROBE_LONGEST_S)
        self._probes = min(self._probes + 1, 16)
        return max(0.0, min(wait_s, self.max_outage_s - self.trouble_s))


class StopReason(StrEnum):
    """Why a run, or a pass of corrections, ended before its rows did."""

    INTERRUPTED = "interrupted"
    OUTAGE = "outage"
    QUOTA = "quota"
    UNAUTHORISED = "unauthorised"
    WRONG_ADDRESS = "wrong-address"
    REFUSED_ALIKE = "refused-alike"
    TRIAL = "trial"
    STORE = "store"
    ERROR = "error"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ends before its rows do. message: a sentence for the person, with the remedy."""

    reason: StopReason
    message: str
    exit_code: int = 3


class StoppedError(Exception):
    """The work was stopped: whatever is not finished stays as it is."""


class TenantWork:
    """Work that a person, a long outage or a fault of ours can stop. For one event loop.

    stopped: why it ends early, the first reason that came. fault: a fault of ours, which the caller of
    the work raises when everything under way has ended.
    """

    nothing: ClassVar = "No row was accepted"
    go_on: ClassVar = "Resume"
    """What an outage is to a person, and what to do after it."""

    def __init__(self, breaker: Breaker, pace: Pace, clock: Callable[[], float]) -> None:
        self.breaker = breaker
        self.pace = pace
        self.clock = clock
        self.stopped: Stop | None = None
        self.fault: BaseException | None = None
        self._changed = asyncio.Event()
        self._stop_called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended_by_stop: set[asyncio.Timeout] = set()
        self._one_at_a_time = asyncio.Lock()

    @property
    def in_trouble(self) -> bool:
        """LeadSquared gave no answer last time."""
        return self.breaker.is_open

    @property
    def stopping(self) -> bool:
        return self.stopped is not None

    def stop(self, reason: StopReason, message: str, exit_code: int = 3) -> None:
        """Nothing new is begun from here on. The first reason counts."""
        if self.stopped is None:
            self.stopped = Stop(reason, message, exit_code)
            self._stop_called.set_result(None)
            for waiting in self._ended_by_stop:
                waiting.reschedule(asyncio.get_running_loop().time())
        self.changed()

    def stop_for(self, error: ImporterError) -> None:
        self.stop(StopReason.STORE if isinstance(error, StoreError) else StopReason.ERROR, str(error))

    def met(self, fault: BaseException) -> None:
        """A fault: the work ends in good order, and its caller gets the first one."""
        self.fault = self.fault or fault
        self.stop(StopReason.FAULT, f"Unexpected error: {fault!r}.")

    def check_trouble(self) -> None:
        """Stops when an allowance of hours or days is used up (waiting for it would look like a hang), and
        once an outage has lasted for `--max-outage`."""
        if (quota := self.pace.quota) is not None:
            when = "when the tenant's allowance is renewed"
            if quota.retry_after_s is not None:
                at = datetime.now(UTC) + timedelta(seconds=quota.retry_after_s)
                when = f"after {at:%Y-%m-%d %H:%M} UTC"
            self.stop(StopReason.QUOTA, f"{quota_words(quota)} {self.go_on} {when}.")
        elif self.breaker.exhausted:
            trouble_s = self.breaker.trouble_s
            lasted = f"{trouble_s:.0f} seconds" if trouble_s < 120 else f"{trouble_s / 60:.0f} minutes"
            self.stop(
                StopReason.OUTAGE,
                f"{self.nothing} for {lasted} (--max-outage). {self.go_on} when it answers again.",
            )

    # ---- waiting ------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Wakes everyone who waits for something to do."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, longest_s: float | None = None) -> None:
        """Until something changes, or for so long."""
        changed = self._changed
        try:
            async with asyncio.timeout(longest_s):
                await changed.wait()
        except TimeoutError:
            return

    async def stop_called(self) -> None:
        """Until the work is stopped."""
        await asyncio.wait({self._stop_called})

    async def pause(self, seconds: float) -> None:
        """So long, or until the work is stopped."""
        await asyncio.wait({self._stop_called}, timeout=max(0.0, seconds))

    async def unless_stopped(self, reading: Coroutine[Any, Any, _T]) -> _T | None:
        """What `reading` gives; None if the work is stopped before, and it is cancelled there."""
        if self.stopping:
            reading.close()
            return None
        try:
            async with asyncio.timeout(None) as stopped:
                self._ended_by_stop.add(stopped)
                try:
                    return await reading
                finally:
                    self._ended_by_stop.discard(stopped)
        except TimeoutError:
            if not stopped.expired():
                raise
            return None

    async def may_call(self) -> None:
        """Until a call may be made: in an outage one at a time, at growing intervals. Raises StoppedError."""
        if self.breaker.is_open and not self.stopping:
            async with self._one_at_a_time:
                if self.breaker.is_open:
                    await self.pause(self.breaker.next_probe_s())
        if self.stopping:
            raise StoppedError

    # ---- item by item ---------------------------------------------------------------------------------

    async def each(
        self, items: Iterable[_T], work: Callable[[_T], Coroutine[Any, Any, None]], together: int
    ) -> None:
        """`work` for every item, so many at a time, until all is done or stopped."""
        waiting = iter(items)
        await asyncio.gather(*(self._some(waiting, work) for _ in range(together)))

    async def _some(self, waiting: Iterable[_T], work: Callable[[_T], Coroutine[Any, Any, None]]) -> None:
        for item in waiting:
            if self.stopping:
                return
            await self.in_good_order(work(item))

    async def in_good_order(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever it raises stops the rest, which then ends by itself."""
        try:
            await work
        except StoppedError:
            return
        except StoreError as error:
            self.stop_for(error)
        except Exception as fault:  # noqa: BLE001 - a fault of ours: the others end in good order first
            self.met(fault)
