"""What one run of a batch shares: its options, its counts, its limits, and what is under way.

The worker pool and the reconciler both work on one `RunState`, in one event loop.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from importer.activity import Activity, Marker
from importer.leadsquared.calls import Tenant
from importer.pacing.pacing import Pace
from importer.sending.outage import Breaker, StopReason, TenantWork
from importer.sending.reconcile.account_lookup import AccountLookup, OtherBatches
from importer.sending.reconcile.doubts import DOUBTS_MAX, Doubt
from importer.sending.reconcile.matching import match_key
from importer.sending.row_queue import RowQueue
from importer.store.ownership import Ownership
from importer.store.records import RowStatus, StoredRow
from importer.store.store import Store
from importer.store.writer import StoreWriter

IDENTICAL_ANSWERS: Final = 20
UNANSWERED_MAX: Final = 24
"""With the reads that test whether the outage is over, fewer than 30 calls in an outage's first minute."""
_VALUES: Final = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9a-fA-F-]{32,36}|\d+")


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


@dataclass(frozen=True, slots=True)
class TenantConnection:
    """An open connection to a tenant: its calls, and the pace that all of them pass."""

    tenant: Tenant
    pace: Pace


@dataclass(slots=True)
class LiveCounts:
    """Rows by status, kept while the run goes on; the store has the last word. calls: Creates that left."""

    rows: Counter[RowStatus]
    calls: int = 0

    def moved(self, before: RowStatus, after: RowStatus) -> None:
        self.rows[before] -= 1
        self.rows[after] += 1

    def shown(self) -> Counter[str]:
        """Rows by the word that people read. A call under way is no doubt to them until the run ends."""
        shown: Counter[str] = Counter()
        for status in RowStatus:
            shown["pending" if status is RowStatus.SENDING else status.shown] += self.rows[status]
        return +shown


class UnansweredCalls:
    """How many calls left after the newest one that LeadSquared answered.

    A tenant that answers nothing, or nothing of use (a gateway that gives up after half a minute), gets no
    more than a few calls before it is seen how these end.
    """

    def __init__(self) -> None:
        self._left = 0
        self._answered = 0
        self._under_way = 0

    @property
    def too_many(self) -> bool:
        return self._left - self._answered >= UNANSWERED_MAX and self._under_way > 0

    def begin(self) -> int:
        """The number of a call that leaves now."""
        self._left += 1
        self._under_way += 1
        return self._left

    def end(self, number: int, *, answered: bool) -> None:
        self._under_way -= 1
        if answered:
            self._answered = max(self._answered, number)


class RunState(TenantWork):
    """The state of one run. Nothing in it survives the run: what must is in the store."""

    def __init__(
        self,
        store: Store,
        owned: Ownership,
        writer: StoreWriter,
        connection: TenantConnection,
        options: SendOptions,
        *,
        wall: Callable[[], float],
    ) -> None:
        clock = asyncio.get_running_loop().time
        super().__init__(Breaker(options.max_outage_s, clock), connection.pace, clock)
        self.rows = owned.rows
        self.writer = writer
        self.tenant = connection.tenant
        self.options = options
        self.wall = wall
        batch = owned.rows.batch()
        self.marker = Marker(batch.marker, batch.id) if batch.marker else None
        self.others = OtherBatches(store, batch)
        self.lookup = AccountLookup(
            self.tenant, self.rows, self.others.claimed,
            marker=self.marker, proves=batch.rebuilt is None, wall=wall,
        )  # fmt: skip
        self.queue = RowQueue(self.rows, self.conflict_keys)
        self.doubts: dict[int, Doubt] = {}
        self.ready: deque[Doubt] = deque()
        self.unanswered = UnansweredCalls()
        self.first_refusals: list[tuple[str, str]] | None = []
        """The run's first answers, as long as all are refusals; None once that is no longer asked."""
        self.counts = LiveCounts(Counter(self.rows.counts()))
        self.in_flight: dict[asyncio.Future[None], str] = {}
        """The account of each call, from before the mark until the outcome is recorded, or cannot be."""
        self.final_types: set[str] = set()
        self.last_account = ""
        self.unrecorded: list[tuple[int, str]] = []
        self.notices: list[str] = []
        self._granted: set[int] = set()

    def __repr__(self) -> str:
        return (
            f"<RunState stopped={self.stopped!r} {self.queue!r} doubts={len(self.doubts)}"
            f" ready={len(self.ready)} in_flight={len(self.in_flight)} {self.breaker!r}>"
        )

    # ---- calls under way ----------------------------------------------------------------------------

    @contextmanager
    def call_to(self, account: str) -> Iterator[None]:
        """A call for a row of this account is under way inside this block."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.in_flight[ended] = account
        try:
            yield
        finally:
            del self.in_flight[ended]
            ended.set_result(None)

    async def calls_ended(
        self, accounts: Collection[str] | None = None, longest_s: float | None = None
    ) -> None:
        """Until the calls that are under way now on these accounts (None: all) have ended, or for so long."""
        calls = [call for call, on in self.in_flight.items() if accounts is None or on in accounts]
        if calls:
            await asyncio.wait(calls, timeout=longest_s)

    # ---- what may be sent ---------------------------------------------------------------------------

    @property
    def limit_reached(self) -> bool:
        """Whether as many rows were granted as `--limit` allows."""
        return self.options.limit is not None and len(self._granted) >= self.options.limit

    def grant(self, position: int) -> bool:
        """Whether the row may be sent under `--limit`: the first so many that come, and those again."""
        granted = position in self._granted or not self.limit_reached
        if granted and self.options.limit is not None:
            self._granted.add(position)
        return granted

    @property
    def may_send_fresh(self) -> bool:
        """Whether asking for a row can give one that may be sent."""
        spent = self.limit_reached and not self.queue.returned
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
        if learned and self.marker and self.marker.schema_name in learned.kept:
            return ()
        key = match_key(activity)
        return (key, match_key(activity, learned.left_out)) if learned and learned.left_out else (key,)

    # ---- when it stops by itself -----------------------------------------------------------------------

    def refused(self, code: str, message: str, shown: str) -> None:
        """Counts a refusal towards *all refused alike*, and stops if it is one too many: then the mapping is
        wrong, not the rows. shown: the message with columns and values."""
        if self.first_refusals is None:
            return
        self.first_refusals.append((code, _VALUES.sub("…", message)))
        alike = len(set(self.first_refusals)) == 1
        if alike and len(self.first_refusals) < IDENTICAL_ANSWERS:
            return
        self.first_refusals = None
        if alike and not self.options.keep_going:
            self.stop(
                StopReason.REFUSED_ALIKE,
                f"The first {IDENTICAL_ANSWERS} answers were all the same refusal: {code}: {shown} The"
                " mapping is wrong rather than the rows. Correct the mapping, then `importer resume RESULTS"
                " -m MAPPING --remap` (or use --keep-going to have these rows refused one by one).",
            )
