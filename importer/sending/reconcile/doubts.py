"""Rows in doubt: what is known of each, when it may be looked up, and when it may be sent again.

"Not created" takes two lookups: the first when the tenant has had time to show what it created, and, unless
the tenant's answer was complete, one that comes no sooner than the call itself could still have arrived.
Arithmetic only; the lookups themselves are made by `Reconciler`. Times are the event loop's, seconds, but
`since`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from importer.activity import Activity, Marker
from importer.leadsquared.outcomes import Failure, OutcomeKind
from importer.store.records import StoredAttempt, StoredRow

UNREADABLE_LOOKUPS_MAX: Final = 8
DOUBTS_MAX: Final = 2_000
"""With so many rows in doubt no fresh one is sent: whatever is wrong, it is not getting better."""
LOOKUP_LASTS_S: Final = 60.0
BACKOFF_LONGEST_S: Final = 30.0
COMPLETE_STATUSES: Final = (200, 500)
IN_DOUBT_OUTCOMES: Final = (None, OutcomeKind.DOUBTFUL, OutcomeKind.UNKNOWN_REFUSAL)

_INCOMPLETE_CODES: Final = frozenset(Failure)
"""A status line arrived, and the rest of the answer did not."""


def backoff_s(attempt: int) -> float:
    """Exponential back-off with full jitter before call number `attempt + 1`: up to 1, 2, 4 … 30 s."""
    return random.uniform(0.0, min(BACKOFF_LONGEST_S, 2.0 ** (max(1, attempt) - 1)))


@dataclass(slots=True)
class Doubt:
    """One row of which it is not known whether it was created.

    sent: the distinct contents of its attempts in doubt. since: the mark of the first of them, Unix seconds
    by the tenant's clock. ended_at: when we gave up on the last, or opened the batch. complete: none of them
    can still be on its way. tried: its attempts in doubt, ever; calls: those of this run. lookup_lasts_s: how
    old a lookup may be when the row is sent on it. code, reason: of the last attempt; refused: the row fails
    with them, should it turn out not to be created, and is not sent again.
    """

    row: StoredRow
    sent: tuple[Activity, ...]
    since: float
    ended_at: float
    complete: bool
    due: float
    lookups_wanted: int = 2
    lookups: int = 0
    unreadable: int = 0
    tried: int = 0
    calls: int = 0
    lookup_lasts_s: float = LOOKUP_LASTS_S
    refused: bool = False
    unknown_refusals: set[str] = field(default_factory=set)
    code: str = ""
    reason: str = ""
    looked_up_at: float = float("-inf")
    being_looked_up: bool = False

    def too_old(self, now: float) -> bool:
        """Whether the last lookup is too long ago to send on it. The next one may be older: where slots are
        rare, every lookup would be too old by the time that one comes."""
        if now - self.looked_up_at <= self.lookup_lasts_s:
            return False
        self.lookup_lasts_s *= 2
        return True

    def arrived_by(self, settle_s: float, timeout_s: float) -> float:
        """When whatever its calls created can be seen."""
        return self.ended_at + (settle_s if self.complete else max(settle_s, timeout_s))

    @property
    def accounts(self) -> set[str]:
        return {activity.company_id.lower() for activity in self.sent}


def sent_body(row: StoredRow, marker: Marker | None) -> bytes:
    """What is sent for a row."""
    body = row.activity or b""
    return body if marker is None else marker.on(Activity.decoded(body), row.number).encoded()


def in_doubt(attempts: Iterable[StoredAttempt]) -> list[StoredAttempt]:
    """Those attempts of a row that may have created it."""
    return [attempt for attempt in attempts if attempt.outcome in IN_DOUBT_OUTCOMES]


def contents(attempts: Sequence[StoredAttempt]) -> tuple[Activity, ...]:
    """What the attempts of a row sent, each content once, oldest first."""
    return tuple(Activity.decoded(body) for body in dict.fromkeys(attempt.body for attempt in attempts))


def complete(attempts: Sequence[StoredAttempt]) -> bool:
    """Every one of them ended with a complete answer, so none can still be on its way."""
    return all(
        attempt.outcome is not None
        and attempt.http_status in COMPLETE_STATUSES
        and attempt.code not in _INCOMPLETE_CODES
        for attempt in attempts
    )


def waiting(doubts: Iterable[Doubt]) -> list[Doubt]:
    """Those that no lookup under way is about, the one that is due first at the front."""
    return sorted((doubt for doubt in doubts if not doubt.being_looked_up), key=lambda doubt: doubt.due)


def take_due(found: Sequence[Doubt], now: float) -> list[Doubt]:
    """Of what `waiting` found, the doubts of one account (several, where a row changed its own), if a look-up
    of one of them is due; they are being looked up from here."""
    if not found or found[0].due > now:
        return []
    together = [doubt for doubt in found if doubt.accounts & found[0].accounts]
    for doubt in together:
        doubt.being_looked_up = True
    return together
