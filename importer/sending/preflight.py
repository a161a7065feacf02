"""What LeadSquared has already, looked up before anything is sent. Facts for a person's decision.

`run` looks at the account of its first row; `resume` at those of the first, a middle and the last open row:
an activity that is equal and that the store does not know was sent from somewhere else.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from importer.activity import GUID, Activity, Marker, StoredActivity
from importer.leadsquared.calls import Reading, Tenant, Unreachable
from importer.leadsquared.outcomes import REFUSALS, OutcomeKind
from importer.remedies import remedy_for
from importer.sending.reconcile.account_lookup import Claimed
from importer.sending.reconcile.doubts import contents, in_doubt, sent_body
from importer.sending.reconcile.matching import WINDOW_MARGIN, compare, match_key
from importer.sending.reconcile.normalise import Comparison, id_key
from importer.store.batch_rows import BatchRows
from importer.store.ownership import BatchChange
from importer.store.records import CHUNK_ROWS, IN_DOUBT, RowStatus, StoredRow

LOOK_BACK: Final = dt.timedelta(days=30)
LOOK_AHEAD: Final = dt.timedelta(days=1)
STILL_THERE: Final = "is still there"
NOT_LOOKED_UP: Final = "could not be looked up completely"
_AWAY: Final = frozenset({OutcomeKind.NOT_SENT, OutcomeKind.THROTTLED, OutcomeKind.DOUBTFUL})
"""An outage, which may be over soon; a bare 500 may also be this account's own, for good."""


@dataclass(frozen=True, slots=True)
class FoundActivity:
    """An activity in LeadSquared that is what a row would send, and that no batch of the store knows.

    created_on: when, for a person.
    """

    row_number: int
    activity_id: str
    created_on: str


@dataclass(frozen=True, slots=True)
class SentBeforeCheck:
    """cannot_read: why activities cannot be read, "" when they can."""

    found: tuple[FoundActivity, ...] = ()
    cannot_read: str = ""


async def look_at_first_row(rows: BatchRows, tenant: Tenant, claimed: Claimed) -> SentBeforeCheck:
    """Reads the account of the first row that is to be sent, 30 days back.

    Raises Unreachable when the tenant does not answer: then nothing should be sent either.
    """
    since = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=tenant.clock_difference_s) - LOOK_BACK
    return await _look(rows, rows.chunk(RowStatus.PENDING, 0, 1), tenant, claimed, since)


async def look_for_continuation(rows: BatchRows, tenant: Tenant, claimed: Claimed) -> SentBeforeCheck:
    """Reads the accounts of the first, a middle and the last open row, back to the batch's start.

    What is found means that the batch was continued elsewhere (another computer, a copy of its results file):
    `assume_all_sent` is what to do then. Raises Unreachable when the tenant does not answer.
    """
    started = dt.datetime.fromisoformat(rows.batch().created_at)
    since = started + dt.timedelta(seconds=tenant.clock_difference_s) - WINDOW_MARGIN
    return await _look(rows, _spread(rows), tenant, claimed, since)


def assume_all_sent(change: BatchChange, since: float, marker: Marker | None) -> int:
    """Every pending row is in doubt back to `since` (Unix seconds, tenant's clock); how many."""
    assumed = 0
    while pending := change.rows.chunk(RowStatus.PENDING, 0, CHUNK_ROWS):
        assume_sent(change, {row.position: sent_body(row, marker) for row in pending}, since)
        assumed += len(pending)
    return assumed


def assume_sent(
    change: BatchChange, sent: Mapping[int, bytes], since: float, code: str = "sent-elsewhere"
) -> None:
    """These rows (position → body) may have been sent without our knowledge, as `code` says."""
    entry = remedy_for(code)
    error = f"{entry.meaning} {entry.action}"
    change.assume_sent(sent, since, detail=entry.meaning, code=entry.code, error=error)


def _spread(rows: BatchRows) -> list[StoredRow]:
    """The first, a middle and the last pending row. By bisection: a batch may have a million rows."""

    def behind(position: int) -> list[StoredRow]:
        return rows.chunk(RowStatus.PENDING, max(0, position), 1)

    first = behind(0)
    if not first:
        return []
    last = bisect_left(range(rows.batch().rows), x=True, key=lambda position: not behind(position))
    chosen = (*first, *behind((first[0].position + last) // 2 - 1), *behind(last - 1))
    return list({row.position: row for row in chosen}.values())


async def _look(
    rows: BatchRows, chosen: list[StoredRow], tenant: Tenant, claimed: Claimed, since: dt.datetime
) -> SentBeforeCheck:
    marker = rows.batch().marker
    until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=tenant.clock_difference_s) + LOOK_AHEAD
    known = set(_keys_in_doubt(rows)) if chosen else set()
    found: list[FoundActivity] = []
    for row in chosen:
        activity = Activity.decoded(row.activity or b"")
        reading = await tenant.activities(activity.company_id, since, until)
        if reading.outcome is not None:
            if reading.outcome.kind in _AWAY and reading.outcome.code != "http-500":
                raise Unreachable(reading.outcome, reading.outcome.message, where=tenant.base_url)
            return SentBeforeCheck(tuple(found), cannot_read=reading.outcome.message)
        equal = [
            one for one in reading.activities
            if _equal(activity, one, marker) and (one.created_on is None or one.created_on >= since)
        ]  # fmt: skip
        ids = [one.id for one in equal]
        taken = {id_key(one) for one in claimed(ids)}
        if match_key(activity) not in known:
            found += [_found(row, one) for one in equal if id_key(one.id) not in taken][:1]
    return SentBeforeCheck(tuple(found))


def _keys_in_doubt(rows: BatchRows) -> Iterator[bytes]:
    """What rows in doubt may have created: that is looked up anyway, and is no stranger's."""
    for status in IN_DOUBT:
        for row in rows.rows(status):
            yield from map(match_key, contents(in_doubt(rows.attempts(row.position))))


def _found(row: StoredRow, stored: StoredActivity) -> FoundActivity:
    created_on = f"{stored.created_on:%Y-%m-%d %H:%M} UTC" if stored.created_on else "at an unknown time"
    return FoundActivity(row.number, stored.id, created_on)


def _equal(activity: Activity, stored: StoredActivity, marker: str | None) -> bool:
    if stored.event != activity.event:
        return False
    fields = [one for one in compare(activity, stored) if one.field != marker]
    return all(one.verdict is Comparison.EQUAL for one in fields)


# ---- one Id -------------------------------------------------------------------------------------------


async def why_not_this_rows(
    activity_id: str,
    row: StoredRow,
    tenant: Tenant,
    claimed: Callable[[Collection[str]], Collection[str]],
    *,
    marker: str | None = None,
    equal: bool,
) -> str:
    """Why an Id from a results file cannot be this row's, as the end of a sentence; "" when it can.

    claimed: of all batches, this one included. equal: note and fields must be equal (a line that is newer
    than the store); else the right account is enough (a person looked and pasted it). Where the keys may not
    read, a person's word counts, a newer line's does not. Raises ReadFailed when LeadSquared gives no answer.
    """
    if not GUID.fullmatch(activity_id.strip()):
        return f"'{activity_id}' is not an Id."
    if claimed([activity_id]):
        return f"another row has the Id {activity_id}."
    activity = Activity.decoded(row.activity or b"")
    stored = await tenant.activity(activity_id)
    if stored is None:
        if not equal and await _may_not_read(activity.company_id, tenant):
            return ""
        return f"LeadSquared has no activity {activity_id}."
    return _difference(activity, stored, marker, equal=equal)


def _difference(activity: Activity, stored: StoredActivity, marker: str | None, *, equal: bool) -> str:
    if id_key(stored.company_id) != id_key(activity.company_id):
        return f"activity {stored.id} is on another account ({stored.company_id})."
    if equal and stored.event not in {activity.event, None}:
        return f"activity {stored.id} is of another type ({stored.event})."
    if equal and not _equal(activity, stored, marker):
        return f"activity {stored.id} has other values than this row."
    return ""


async def _may_not_read(account: str, tenant: Tenant) -> bool:
    """An Id that is unknown and one that these keys may not see are refused alike; a whole account is not."""
    now = dt.datetime.now(dt.UTC)
    refusal = (await tenant.activities(account, now - dt.timedelta(days=1), now)).outcome
    return refusal is not None and refusal.kind in REFUSALS


async def why_not_gone(
    activity_id: str, account: str, created: tuple[dt.datetime, dt.datetime], tenant: Tenant, *, wait_s: float
) -> str:
    """Why an activity does not count as deleted by hand; "" when both Retrieve and RetrieveById have said
    twice, `wait_s` apart, that it is gone. created: between which times it was created (UTC, tenant's clock),
    with margins.

    Raises ReadFailed when LeadSquared gives no answer.
    """
    for again in (False, True):
        if again:
            await asyncio.sleep(wait_s)
        reading = await tenant.activities(account, *created)
        if _shows(reading, activity_id) or await tenant.activity(activity_id) is not None:
            return STILL_THERE
        if not reading.complete:
            return NOT_LOOKED_UP
    return ""


def _shows(reading: Reading, activity_id: str) -> bool:
    return any(id_key(one.id) == id_key(activity_id) for one in reading.activities)
