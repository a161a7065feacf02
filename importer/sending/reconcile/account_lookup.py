""" "Was this row created?" asked of Retrieve, and what a created row shows about how values come back.

One lookup of an account serves every row of it that is in doubt. What a lookup means is decided in
`matching.py`; here it is read, and held against what other rows and batches have claimed.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from importer.activity import Activity, Marker, StoredActivity
from importer.leadsquared.calls import Reading, Tenant
from importer.leadsquared.outcomes import OutcomeKind
from importer.sending.reconcile.doubts import Doubt
from importer.sending.reconcile.matching import (
    Created,
    Learned,
    MatchResult,
    NotCreated,
    Uncertain,
    UncertainReason,
    candidates,
    judge,
)
from importer.store.batch_rows import BatchRows
from importer.store.records import Batch, StoredRow
from importer.store.store import Store

MARGIN_BEFORE: Final = dt.timedelta(minutes=5)
MARGIN_AFTER: Final = dt.timedelta(days=1)
"""Which date column Retrieve filters by is unknown, and clocks differ: a wide window, a narrow match."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Retrieve was refused, failed, or stayed incomplete (kind None). message: a sentence for the person."""

    message: str
    kind: OutcomeKind | None = None


@dataclass(frozen=True, slots=True)
class NotYet:
    """What was found may be this row's or another one's: a look-up that begins `until` then (the event loop's
    time) can tell."""

    until: float


Finding = MatchResult | NotYet
CallsEnded = Callable[[set[str]], Awaitable[None]]
"""Waits until the calls that are under way on these accounts have ended and are recorded."""
ClaimableFrom = Callable[[Doubt, StoredActivity], float]
"""From when on (the event loop's time) a look-up may give a row the activity that it matches exactly."""
Claimed = Callable[[Collection[str]], Collection[str]]
"""Those of the Ids that rows of any batch of the tenant hold, or held."""


class AccountLookup:
    """Looks accounts up for one run of one batch.

    marker: the mapping's marker field. proves: False for a rebuilt batch (a cell may have been
    edited since it was sent, so a difference proves nothing). wall: Unix seconds by our clock.
    """

    def __init__(
        self,
        tenant: Tenant,
        rows: BatchRows,
        claimed: Claimed,
        *,
        marker: Marker | None,
        proves: bool,
        wall: Callable[[], float],
    ) -> None:
        self._tenant = tenant
        self._rows = rows
        self._claimed = claimed
        self._marker = marker
        self.proves = proves
        self._wall = wall
        self.learned: dict[int, Learned] = {}

    async def read(self, account: str, since: float) -> Reading:
        """The account's activities from `since` (Unix seconds, tenant's clock) to now, with wide margins."""
        begin = dt.datetime.fromtimestamp(since, dt.UTC) - MARGIN_BEFORE
        return await self._tenant.activities(account, begin, self._now() + MARGIN_AFTER)

    async def _read_all(self, doubts: Sequence[Doubt]) -> list[Reading]:
        """One reading of each of their accounts."""
        since = min(doubt.since for doubt in doubts)
        return [await self.read(account, since) for account in _accounts(doubts)]

    async def look_up(
        self, doubts: Sequence[Doubt], calls_ended: CallsEnded, claimable_from: ClaimableFrom, now: float
    ) -> dict[int, Finding] | Unread:
        """What one lookup of their account, begun `now`, says of each doubt, by position.

        An activity that might be a row's is judged once the calls that were under way on the account have
        ended: it may be theirs. One activity that is what two rows sent is neither's.
        """
        readings = await self._read_all(doubts)
        for failed in (reading for reading in readings if not reading.complete):
            return _unread(failed)
        stored = [activity for reading in readings for activity in reading.activities]
        for event in {activity.event for doubt in doubts for activity in doubt.sent}:
            await self._learn_from_store(event)
        unclaimed = self.unclaimed(stored)
        if all(isinstance(self._judge(doubt, unclaimed), NotCreated) for doubt in doubts):
            return {doubt.row.position: NotCreated() for doubt in doubts}
        await calls_ended(_accounts(doubts))
        return self._judge_all(doubts, self.unclaimed(stored), claimable_from, now)

    def _judge_all(
        self,
        doubts: Sequence[Doubt],
        unclaimed: Sequence[StoredActivity],
        claimable_from: ClaimableFrom,
        now: float,
    ) -> dict[int, Finding]:
        """Exact matches first: what one row sent is no near miss of another, once it may be claimed."""
        findings: dict[int, Finding] = {one.row.position: self._judge(one, unclaimed) for one in doubts}
        by_id = {activity.id: activity for activity in unclaimed}
        open_until: dict[str, float] = {}
        for doubt in doubts:
            finding = findings[doubt.row.position]
            if isinstance(finding, Created):
                until = claimable_from(doubt, by_id[finding.id])
                if now < until:
                    findings[doubt.row.position] = NotYet(until)
                    open_until[finding.id] = max(until, open_until.get(finding.id, until))
        taken = {finding.id for finding in findings.values() if isinstance(finding, Created)}
        left = [activity for activity in unclaimed if activity.id not in taken]
        for doubt in doubts:
            if isinstance(findings[doubt.row.position], Uncertain):
                finding = self._judge(doubt, left)
                waits = [open_until[one] for one in _candidates(finding) if one in open_until]
                findings[doubt.row.position] = NotYet(max(waits)) if waits else finding
        return _each_once(findings)

    def may_be(self, doubt: Doubt, activity: StoredActivity) -> bool:
        """Whether an activity could be what the row's attempts in doubt sent."""
        return not isinstance(self._judge(doubt, [activity]), NotCreated)

    def unclaimed(self, stored: Iterable[StoredActivity]) -> list[StoredActivity]:
        """Those that no row of this batch or of another one holds."""
        found = list(stored)
        ids = [activity.id for activity in found]
        taken = {identifier.lower() for identifier in self._claimed(ids)}
        return [activity for activity in found if activity.id.lower() not in taken]

    def _judge(self, doubt: Doubt, unclaimed: Sequence[StoredActivity]) -> MatchResult:
        marked_at = dt.datetime.fromtimestamp(doubt.since, dt.UTC)
        pool = {
            activity.id: activity
            for account, event in {(sent.company_id, sent.event) for sent in doubt.sent}
            for activity in candidates(unclaimed, company_id=account, event=event, marked_at=marked_at)
        }
        learned = self.learned.get(doubt.sent[0].event) if self.proves else None
        return judge(doubt.sent, pool.values(), learned, self._marker.schema_name if self._marker else None)

    async def _learn_from_store(self, event: int) -> None:
        """On `resume`: any row that the store has as created shows how this event's values come back."""
        if event in self.learned:
            return
        found = self._rows.created_of(event)
        if found is not None:
            await self.learn(*found)

    async def learn(self, row: StoredRow, sent: Activity, marked_at: float) -> Learned | None:
        """Reads a created row back; None while it cannot be seen. marked_at: Unix s, tenant's clock."""
        reading = await self.read(sent.company_id, marked_at)
        for stored in reading.activities:
            if row.activity_id is not None and stored.id.lower() == row.activity_id.lower():
                learned = Learned.from_read_back(sent, stored)
                earlier = self.learned.get(sent.event)
                self.learned[sent.event] = learned if earlier is None else earlier | learned
                return self.learned[sent.event]
        return None

    async def probe(self, account: str) -> Reading:
        """One small read, to see whether the tenant answers."""
        now = self._now()
        return await self._tenant.activities(account, now - dt.timedelta(minutes=1), now)

    def _now(self) -> dt.datetime:
        """By the tenant's clock."""
        return dt.datetime.fromtimestamp(self._wall() + self._tenant.clock_difference_s, dt.UTC)

    async def duplicates(self, doubts: Sequence[Doubt]) -> dict[int, list[str]] | None:
        """By position, Ids of further activities that are exactly what a row's attempts sent, and that no
        row holds.

        For rows whose doubt has ended. None when their accounts could not be read whole.
        """
        readings = await self._read_all(doubts)
        if not all(reading.complete for reading in readings):
            return None
        unclaimed = self.unclaimed(activity for reading in readings for activity in reading.activities)
        found: dict[int, list[str]] = {}
        for doubt in doubts:
            match self._judge(doubt, unclaimed):
                case Created(id=identifier):
                    found[doubt.row.position] = [identifier]
                case Uncertain(reason=UncertainReason.SEVERAL, candidates=identifiers):
                    found[doubt.row.position] = list(identifiers)
                case _:
                    found[doubt.row.position] = []
        return found


def _accounts(doubts: Iterable[Doubt]) -> set[str]:
    return {account for doubt in doubts for account in doubt.accounts}


def _unread(reading: Reading) -> Unread:
    if reading.outcome is None:
        return Unread("The account's activities could not be read whole.")
    return Unread(
        f"The account's activities could not be read: {reading.outcome.message}", reading.outcome.kind
    )


def _candidates(finding: Finding) -> tuple[str, ...]:
    return finding.candidates if isinstance(finding, Uncertain) else ()


def _each_once(findings: dict[int, Finding]) -> dict[int, Finding]:
    found = Counter(finding.id for finding in findings.values() if isinstance(finding, Created))
    return {
        position: Uncertain(
            UncertainReason.SEVERAL,
            (finding.id,),
            f"Activity {finding.id} is what this row sent, and what another row in doubt sent too.",
        )
        if isinstance(finding, Created) and found[finding.id] > 1
        else finding
        for position, finding in findings.items()
    }


class OtherBatches:
    """The batches of one tenant but `batch`. A rehearsal has a tenant of its own, and no others.

    Rows of two batches that run at the same time, on one computer or on two, are kept apart as rows of one
    batch are: never two at once that a match could not tell apart.
    """

    def __init__(self, store: Store, batch: Batch) -> None:
        self._store = store
        self._batch = batch

    def claimed(self, activity_ids: Collection[str]) -> Collection[str]:
        """Those of the Ids that their rows or the batch's own hold, or held."""
        return self._store.holders(self._batch.tenant, activity_ids)

    def conflict(self, activity: Activity, keys_of: Callable[[Activity], Collection[bytes]]) -> bool:
        """Whether a running batch has a row, being sent or in doubt, that could be taken for one which sends
        `activity`. keys_of: an activity's conflict keys."""
        keys = set() if self._batch.rehearsal else set(keys_of(activity))
        if not keys:
            return False
        there = self._store.in_doubt_elsewhere(
            self._batch.tenant, activity.company_id, apart_from=self._batch.id
        )
        batches = {batch for batch, body in there if not keys.isdisjoint(keys_of(Activity.decoded(body)))}
        return any(self._store.running(batch) for batch in batches)
