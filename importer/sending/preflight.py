"""One look before the first POST: may these keys read, and does row one stand there already?"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from importer.activity import Activity, StoredActivity
from importer.journal.journal import Journal, RowStatus
from importer.leadsquared.calls import Tenant, Unreachable
from importer.leadsquared.outcomes import OutcomeKind
from importer.sending.reconcile.matching import Comparison, compare
from importer.sending.reconcile.verifier import Claimed

LOOK_BACK: Final = dt.timedelta(days=30)
LOOK_AHEAD: Final = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class RowOne:
    """What the look found. cannot_read: why activities cannot be read, "" when they can. equal: the Id of an
    activity that is what the row would send and that no batch here knows; created_on: when, for a person."""

    row_number: int = 0
    cannot_read: str = ""
    equal: str = ""
    created_on: str = ""


async def look_at_row_one(journal: Journal, tenant: Tenant, claimed: Claimed) -> RowOne:
    """Reads the account of the first row that is to be sent, 30 days back.

    Raises Unreachable when the tenant does not answer: then nothing should be sent either.
    """
    first = next(journal.rows(RowStatus.PENDING), None)
    if first is None:
        return RowOne()
    activity = Activity.decoded(first.activity or b"")
    now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=tenant.clock_difference_s)
    reading = await tenant.activities(activity.company_id, now - LOOK_BACK, now + LOOK_AHEAD)
    outcome = reading.outcome
    if outcome is not None:
        if outcome.kind in {OutcomeKind.NOT_SENT, OutcomeKind.THROTTLED}:
            raise Unreachable(outcome, outcome.message, where=tenant.base_url)
        return RowOne(first.number, cannot_read=outcome.message)
    marker = journal.batch().marker
    equal = [one for one in reading.activities if _equal(activity, one, marker)]
    taken = {identifier.lower() for identifier in claimed([one.id for one in equal])}
    for one in equal:
        if one.id.lower() not in taken:
            created_on = f"{one.created_on:%Y-%m-%d %H:%M} UTC" if one.created_on else "at an unknown time"
            return RowOne(first.number, equal=one.id, created_on=created_on)
    return RowOne(first.number)


def _equal(activity: Activity, stored: StoredActivity, marker: str | None) -> bool:
    if stored.event != activity.event:
        return False
    fields = [one for one in compare(activity, stored) if one.field != marker]
    return all(one.verdict is Comparison.EQUAL for one in fields)
