"""What one run of a batch shares: its orders, its counts, and whether and why it stops.

The pool (`poster.py`) and the looks (`looks.py`) both work on one `Posting`, in one event loop.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from importer.activity import Activity, Marker, addressed
from importer.errors import ImporterError, JournalError
from importer.journal.journal import Journal, JournalRow, RowStatus
from importer.journal.writer import JournalWriter
from importer.leadsquared.calls import Tenant
from importer.pacing.description import quota_words
from importer.pacing.pacing import Pace
from importer.sending.breaker import Breaker
from importer.sending.in_flight import Flight, Flights
from importer.sending.reconcile.doubts import DOUBTS_MAX, Doubt, Doubts, Patience
from importer.sending.reconcile.matching import match_key
from importer.sending.reconcile.normalise import id_key
from importer.sending.reconcile.verifier import Verifier
from importer.sending.row_queue import Claims

ALIKE_ANSWERS: Final = 20
SILENT_CALLS_MAX: Final = 24
"""With the reads that try whether it is over, less than 30 calls in an outage's first minute."""
T = TypeVar("T")
_VALUES: Final = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9a-fA-F-]{32,36}|\d+")


@dataclass(frozen=True, slots=True)
class Orders:
    """How a run is to be done; the options of `run` and `resume`. limit: rows to send at most."""

    workers: int = 32
    settle_s: float = 5.0
    timeout_s: float = 60.0
    max_attempts: int = 5
    max_outage_s: float = 900.0
    keep_going: bool = False
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a run ends before its rows do. message: a sentence for the person, with the remedy."""

    reason: str
    message: str
    exit_code: int = 3


@dataclass(slots=True)
class Tally:
    """Rows by shown status, kept while the run goes on; the journal has the last word."""

    rows: list[int]
    calls: int = 0

    @classmethod
    def of(cls, counts: Mapping[RowStatus, int]) -> Tally:
        return cls([counts.get(status, 0) for status in RowStatus])

    def moved(self, before: RowStatus, after: RowStatus) -> None:
        self.rows[before] -= 1
        self.rows[after] += 1

    def shown(self) -> Counter[str]:
        shown: Counter[str] = Counter()
        for status, count in zip(RowStatus, self.rows, strict=True):
            # A call under way is no doubt to a person until the run ends with it.
            shown["pending" if status is RowStatus.SENDING else status.shown] += count
        return +shown


class Alike:
    """Whether a run's first answers are all the same refusal: then the mapping is wrong, not the rows."""

    def __init__(self) -> None:
        self._answers = 0
        self._kinds: set[tuple[str, str]] = set()
        self._over = False

    def created(self) -> None:
        self._over = True

    def refused(self, code: str, said: str) -> bool:
        """One more refusal; True when it completes ALIKE_ANSWERS that are alike (values masked)."""
        if self._over:
            return False
        self._answers += 1
        self._kinds.add((code, _VALUES.sub("…", said)))
        self._over = len(self._kinds) > 1 or self._answers >= ALIKE_ANSWERS
        return len(self._kinds) == 1 and self._answers >= ALIKE_ANSWERS


class Silence:
    """How many calls left after the newest one that LeadSquared dealt with. A tenant that says nothing, or
    nothing of use (a gateway that answers after half a minute), gets no more than a few before their ends
    have been seen."""

    def __init__(self) -> None:
        self._left = 0
        self._answered = 0
        self._under_way = 0

    @property
    def too_long(self) -> bool:
        return self._left - self._answered >= SILENT_CALLS_MAX and self._under_way > 0

    def left(self) -> int:
        """The number of a call that leaves now."""
        self._left += 1
        self._under_way += 1
        return self._left

    def ended(self, number: int, *, answered: bool) -> None:
        self._under_way -= 1
        if answered:
            self._answered = max(self._answered, number)


class Allowance:
    """Which rows may be sent under `--limit`: the first so many that come, and those again."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._granted: set[int] = set()

    @property
    def spent(self) -> bool:
        return self._limit is not None and len(self._granted) >= self._limit

    def grant(self, position: int) -> bool:
        """Whether the row may be sent."""
        if self._limit is None or position in self._granted:
            return True
        if self.spent:
            return False
        self._granted.add(position)
        return True


class Posting:
    """The state of one run. Nothing in it survives the run: what must is in the journal."""

    def __init__(
        self,
        *,
        journal: Journal,
        writer: JournalWriter,
        tenant: Tenant,
        pace: Pace,
        verifier: Verifier,
        orders: Orders,
        marker: Marker | None,
        clock: Callable[[], float],
    ) -> None:
        self.journal = journal
        self.writer = writer
        self.tenant = tenant
        self.pace = pace
        self.verifier = verifier
        self.orders = orders
        self.marker = marker
        self.clock = clock
        self.claims = Claims(journal, self.twins_of, self.account_of)
        self.doubts = Doubts()
        self.ready: deque[Doubt] = deque()
        self.breaker = Breaker(orders.max_outage_s, clock)
        self.patience = Patience(orders.settle_s, orders.timeout_s)
        self.silence = Silence()
        self.allowance = Allowance(orders.limit)
        self.alike = Alike()
        self.tally = Tally.of(journal.counts())
        self.stopped: Stop | None = None
        self.fault: BaseException | None = None
        self.final_types: set[str] = set()
        self.last_account = ""
        self.unrecorded: list[tuple[int, str]] = []
        self.notices: list[str] = []
        self.flights = Flights()
        self._changed = asyncio.Event()
        self._stopped = asyncio.Event()
        self._waiters = 0
        self._idle: deque[asyncio.Future[None]] = deque()
        self._situation = (False, False)

    def __repr__(self) -> str:
        return (
            f"<Posting stopped={self.stopped!r} {self.claims!r} doubts={len(self.doubts)}"
            f" ready={len(self.ready)} flying={len(self.flights)} {self.breaker!r}>"
        )

    @property
    def stopping(self) -> bool:
        return self.stopped is not None

    @property
    def may_send_fresh(self) -> bool:
        """Whether asking for a row can give one that may be sent."""
        spent = self.allowance.spent and not self.claims.returned
        return not spent and len(self.doubts) < DOUBTS_MAX

    def blocked(self, doubt: Doubt) -> bool:
        """Whether a row that is ready to be sent again must wait: a person made it equal to one that is on
        its way or in doubt."""
        rivals = self.claims.rivals(doubt.row.position)
        return bool(rivals.difference(ready.row.position for ready in self.ready))

    @property
    def may_send_again(self) -> bool:
        """Whether one of the rows that are ready may go."""
        return any(not self.blocked(doubt) for doubt in self.ready)

    def stop(self, reason: str, message: str, exit_code: int = 3) -> None:
        """No row is claimed and no look begun from here on. The first reason stands."""
        if self.stopped is None:
            self.stopped = Stop(reason, message, exit_code)
            self._stopped.set()
        self.changed()

    def stop_for(self, error: ImporterError) -> None:
        reason = "journal" if isinstance(error, JournalError) else "error"
        self.stop(reason, str(error))

    def met(self, fault: BaseException) -> None:
        """A fault of ours: the run ends in good order, and whoever runs it hears of the first one."""
        self.fault = self.fault or fault
        self.stop("fault", f"The importer met a fault of its own: {fault!r}.")

    def changed(self) -> None:
        """Wakes everyone who waits for something to do."""
        self._situation = self._situation_now()
        while self.next_worker():
            pass
        if self._waiters:
            self._changed.set()
            self._changed = asyncio.Event()

    def call_ended(self) -> None:
        """The worker that made the call looks for the next row itself. Others are woken only when more has
        changed than that: thousands of calls may end in a second, and each could wake them all."""
        if self._situation_now() != self._situation:
            self.changed()
        elif self.claims.returned or not self.flights:
            self.next_worker()

    def _situation_now(self) -> tuple[bool, bool]:
        """What those who `wait` depend on: whether rows may be sent, and rows in doubt looked at."""
        return self.breaker.is_open, len(self.doubts) > 0 and self.silence.too_long

    async def wait(self, longest_s: float | None = None) -> None:
        """Until something changes, or for so long."""
        changed = self._changed
        self._waiters += 1
        try:
            if longest_s is None:
                await changed.wait()
                return
            async with asyncio.timeout(longest_s):
                await changed.wait()
        except TimeoutError:
            return
        finally:
            self._waiters -= 1

    async def idle(self) -> None:
        """A worker's wait for something to do: until a change, or until `next_worker` calls it."""
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._idle.append(called)
        await called

    def next_worker(self) -> bool:
        """Wakes the idle worker who has waited longest, if there is one."""
        while self._idle:
            called = self._idle.popleft()
            if not called.done():
                called.set_result(None)
                return True
        return False

    async def stop_called(self) -> None:
        """Until the run is stopped."""
        await self._stopped.wait()

    async def pause(self, seconds: float) -> None:
        """So long, or until the run is stopped."""
        until = self.clock() + seconds
        while not self.stopping and (left_s := until - self.clock()) > 0:
            await self.wait(left_s)

    async def unless_stopped(self, reading: Coroutine[Any, Any, T]) -> T | None:
        """What `reading` gives; None if the run is stopped before, and it is cut off there."""
        work = asyncio.ensure_future(reading)
        stop = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            for task in (work, stop):
                task.cancel()
            await asyncio.gather(work, stop, return_exceptions=True)

    async def quiet(self, accounts: set[str]) -> None:
        """Until the calls that are under way on these accounts now have ended, and are recorded."""
        await self.flights.landed(accounts)

    def landed(self, flight: Flight) -> None:
        """The call has ended and is recorded (or cannot be)."""
        self.flights.land(flight)
        self.call_ended()

    def refused(self, code: str, message: str) -> None:
        """Counts a refusal towards *all refused alike*, and stops if it is one too many."""
        if self.alike.refused(code, message) and not self.orders.keep_going:
            self.stop(
                "refused-alike",
                f"The first {ALIKE_ANSWERS} answers were all the same refusal: {code}: {message} The mapping"
                " is wrong rather than the rows. Mend the mapping, then `importer resume RESULTS -m MAPPING"
                " --remap` (or --keep-going, if these rows really are to be refused one by one).",
            )

    def trouble(self) -> None:
        """Stops the run once the person's patience with an outage is over."""
        if self.breaker.exhausted:
            self.stop(
                "outage",
                f"LeadSquared has accepted nothing for {self.breaker.trouble_s:.0f} seconds (--max-outage)."
                " Resume when it answers again.",
            )

    def quota(self) -> None:
        """Stops when an allowance of hours or days is used up: waiting for it would look like hanging."""
        refusal = self.pace.quota
        if refusal is None:
            return
        when = "when the tenant's allowance is renewed"
        if refusal.retry_after_s is not None:
            at = datetime.fromtimestamp(self.writer.wall() + refusal.retry_after_s, UTC)
            when = f"after {at:%Y-%m-%d %H:%M} UTC"
        self.stop("quota", f"{quota_words(refusal)} Resume {when}.")

    def account_of(self, row: JournalRow) -> str:
        """The account that a row would be sent to, in one spelling."""
        return id_key(addressed(row.activity or b"")[0])

    def twins_of(self, row: JournalRow) -> tuple[bytes, ...]:
        """Under which keys a look could take another row's activity for this one's.

        None with a marker that is known to be kept. Rows that differ only in fields that read-backs have
        shown not to come back are twins too.
        """
        activity = Activity.decoded(row.activity or b"")
        learned = self.verifier.learned.get(activity.event)
        if learned is None:
            return (match_key(activity),)
        if self.marker is not None and self.marker.schema_name in learned.kept:
            return ()
        if not learned.left_out:
            return (match_key(activity),)
        return (match_key(activity), match_key(activity, learned.left_out))
