"""What one run of a batch shares: its options, its counts, and whether and why it stops.

The worker pool and the reconciler both work on one `RunState`, in one event loop.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from importer.activity import Activity, Marker
from importer.errors import ImporterError, StoreError
from importer.leadsquared.calls import Tenant
from importer.pacing.description import quota_words
from importer.pacing.pacing import Pace
from importer.sending.breaker import Breaker
from importer.sending.in_flight import InFlight
from importer.sending.limits import IDENTICAL_ANSWERS, IdenticalRefusals, RowLimit, UnansweredCalls
from importer.sending.reconcile.account_lookup import AccountLookup
from importer.sending.reconcile.doubts import DOUBTS_MAX, Doubt, Doubts, LookupSchedule
from importer.sending.reconcile.matching import match_key
from importer.sending.row_queue import RowQueue
from importer.store.batch_rows import BatchRows
from importer.store.records import RowStatus, StoredRow
from importer.store.writer import StoreWriter

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How a run is to be done; the options of `run` and `resume`. limit: rows to send at most."""

    workers: int = 32
    settle_s: float = 5.0
    timeout_s: float = 60.0
    max_attempts: int = 5
    max_outage_s: float = 900.0
    keep_going: bool = False
    limit: int | None = None


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


@dataclass(slots=True)
class LiveCounts:
    """Rows by status, kept while the run goes on; the store has the last word. calls: Creates that left."""

    rows: list[int]
    calls: int = 0

    @classmethod
    def of(cls, counts: Mapping[RowStatus, int]) -> LiveCounts:
        return cls([counts.get(status, 0) for status in RowStatus])

    def moved(self, before: RowStatus, after: RowStatus) -> None:
        self.rows[before] -= 1
        self.rows[after] += 1

    def shown(self) -> Counter[str]:
        """Rows by the word that people read. A call under way is no doubt to them until the run ends."""
        shown: Counter[str] = Counter()
        for status, count in zip(RowStatus, self.rows, strict=True):
            shown["pending" if status is RowStatus.SENDING else status.shown] += count
        return +shown


class RunState:
    """The state of one run. Nothing in it survives the run: what must is in the store."""

    def __init__(
        self,
        *,
        rows: BatchRows,
        writer: StoreWriter,
        tenant: Tenant,
        pace: Pace,
        lookup: AccountLookup,
        options: SendOptions,
        marker: Marker | None,
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.rows = rows
        self.writer = writer
        self.tenant = tenant
        self.pace = pace
        self.lookup = lookup
        self.options = options
        self.marker = marker
        self.clock = clock
        self.wall = wall
        self.queue = RowQueue(rows, self.conflict_keys)
        self.doubts = Doubts()
        self.ready: deque[Doubt] = deque()
        self.breaker = Breaker(options.max_outage_s, clock)
        self.schedule = LookupSchedule(options.settle_s, options.timeout_s)
        self.unanswered = UnansweredCalls()
        self.row_limit = RowLimit(options.limit)
        self.identical_refusals = IdenticalRefusals()
        self.counts = LiveCounts.of(rows.counts())
        self.in_flight = InFlight()
        self.stopped: Stop | None = None
        self.fault: BaseException | None = None
        self.final_types: set[str] = set()
        self.last_account = ""
        self.unrecorded: list[tuple[int, str]] = []
        self.notices: list[str] = []
        self._changed = asyncio.Event()
        self._stop_called: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return (
            f"<RunState stopped={self.stopped!r} {self.queue!r} doubts={len(self.doubts)}"
            f" ready={len(self.ready)} in_flight={len(self.in_flight)} {self.breaker!r}>"
        )

    # ---- what may be sent ---------------------------------------------------------------------------

    @property
    def may_send_fresh(self) -> bool:
        """Whether asking for a row can give one that may be sent."""
        spent = self.row_limit.reached and not self.queue.returned
        return not spent and len(self.doubts) < DOUBTS_MAX

    def blocked(self, doubt: Doubt) -> bool:
        """Whether a row that is ready to be sent again must wait: a person made it equal to one that is being
        sent or in doubt."""
        conflicting = self.queue.conflicting(doubt.row.position)
        return bool(conflicting.difference(ready.row.position for ready in self.ready))

    @property
    def may_send_again(self) -> bool:
        """Whether one of the rows that are ready may go."""
        return any(not self.blocked(doubt) for doubt in self.ready)

    def conflict_keys(self, row: StoredRow) -> tuple[bytes, ...]:
        """Under which keys a lookup could take another row's activity for this one's."""
        return self.keys_of(Activity.decoded(row.activity or b""))

    def keys_of(self, activity: Activity) -> tuple[bytes, ...]:
        """None with a marker that is known to be kept. Rows that differ only in fields which read-backs have
        shown not to come back look the same too."""
        learned = self.lookup.learned.get(activity.event)
        if learned is None:
            return (match_key(activity),)
        if self.marker is not None and self.marker.schema_name in learned.kept:
            return ()
        if not learned.left_out:
            return (match_key(activity),)
        return (match_key(activity), match_key(activity, learned.left_out))

    # ---- stopping -----------------------------------------------------------------------------------

    @property
    def stopping(self) -> bool:
        return self.stopped is not None

    def stop(self, reason: StopReason, message: str, exit_code: int = 3) -> None:
        """No row is claimed and no lookup begun from here on. The first reason counts."""
        if self.stopped is None:
            self.stopped = Stop(reason, message, exit_code)
            self._stop_called.set_result(None)
        self.changed()

    def stop_for(self, error: ImporterError) -> None:
        self.stop(StopReason.STORE if isinstance(error, StoreError) else StopReason.ERROR, str(error))

    def met(self, fault: BaseException) -> None:
        """A fault of ours: the run ends in good order, and its caller gets the first one."""
        self.fault = self.fault or fault
        self.stop(StopReason.FAULT, f"Unexpected error: {fault!r}.")

    def refused(self, code: str, message: str, shown: str) -> None:
        """Counts a refusal towards *all refused alike*, and stops if it is one too many. shown: the message
        with columns and values."""
        if self.identical_refusals.refused(code, message) and not self.options.keep_going:
            self.stop(
                StopReason.REFUSED_ALIKE,
                f"The first {IDENTICAL_ANSWERS} answers were all the same refusal: {code}: {shown} The"
                " mapping is wrong rather than the rows. Correct the mapping, then `importer resume RESULTS"
                " -m MAPPING --remap` (or use --keep-going to have these rows refused one by one).",
            )

    def check_outage(self) -> None:
        """Stops the run once an outage has lasted for `--max-outage`."""
        if self.breaker.exhausted:
            self.stop(
                StopReason.OUTAGE,
                f"LeadSquared accepted no row for {spoken(self.breaker.trouble_s)} (--max-outage)."
                " Resume when it answers again.",
            )

    def check_quota(self) -> None:
        """Stops when an allowance of hours or days is used up: waiting for it would look like a hang."""
        refusal = self.pace.quota
        if refusal is None:
            return
        when = "when the tenant's allowance is renewed"
        if refusal.retry_after_s is not None:
            at = datetime.fromtimestamp(self.wall() + refusal.retry_after_s, UTC)
            when = f"after {at:%Y-%m-%d %H:%M} UTC"
        self.stop(StopReason.QUOTA, f"{quota_words(refusal)} Resume {when}.")

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
        """Until the run is stopped."""
        await asyncio.wait({self._stop_called})

    async def pause(self, seconds: float) -> None:
        """So long, or until the run is stopped."""
        until = self.clock() + seconds
        while not self.stopping and (left_s := until - self.clock()) > 0:
            await self.wait(left_s)

    async def unless_stopped(self, reading: Coroutine[Any, Any, _T]) -> _T | None:
        """What `reading` gives; None if the run is stopped before, and it is cancelled there."""
        work = asyncio.ensure_future(reading)
        try:
            either: set[asyncio.Future[Any]] = {work, self._stop_called}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)


def spoken(seconds: float) -> str:
    """Seconds for a person: "40 seconds", "15 minutes"."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes"
