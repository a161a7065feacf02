"""Rows in doubt: what is known of each, when it may be looked up, and when it may be sent again.

"Not created" takes two lookups: the first when the tenant has had time to show what it created, and, unless
the tenant's answer was complete, one that comes no sooner than the call itself could still have arrived.
Arithmetic only; the lookups themselves are made by `Reconciler`. Times are the event loop's, seconds, but
`since`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
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

    def too_old(self, now: float) -> bool:
        """Whether the last lookup is too long ago to send on it. The next one may be older: where slots are
        rare, every lookup would be too old by the time that one comes."""
        if now - self.looked_up_at <= self.lookup_lasts_s:
            return False
        self.lookup_lasts_s *= 2
        return True

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


class Doubts:
    """The rows in doubt, by account, so that several rows share one lookup."""

    def __init__(self) -> None:
        self._doubts: dict[int, Doubt] = {}
        self._being_looked_up: set[int] = set()

    def __len__(self) -> int:
        return len(self._doubts)

    def __iter__(self) -> Iterator[Doubt]:
        return iter(self._doubts.values())

    def __contains__(self, position: int) -> bool:
        return position in self._doubts

    def add(self, doubt: Doubt) -> None:
        self._doubts[doubt.row.position] = doubt

    def end(self, doubt: Doubt) -> None:
        self._doubts.pop(doubt.row.position, None)
        self._being_looked_up.discard(doubt.row.position)

    def together(self, position: int, doubt: Doubt) -> bool:
        """Whether these two rows are part of one lookup under way."""
        other = self._doubts[position]
        return {position, doubt.row.position} <= self._being_looked_up and bool(
            other.accounts & doubt.accounts
        )

    def next_due(self) -> float | None:
        """When the next lookup is due; None while none waits."""
        waiting = (
            doubt.due for position, doubt in self._doubts.items() if position not in self._being_looked_up
        )
        return min(waiting, default=None)

    def take_due(self, now: float) -> list[Doubt]:
        """The doubts of one account (of several, where a row changed its own), if a lookup of one of them is
        due; they are being looked up from here."""
        waiting = [doubt for position, doubt in self._doubts.items() if position not in self._being_looked_up]
        due = min((doubt for doubt in waiting if doubt.due <= now), key=lambda doubt: doubt.due, default=None)
        if due is None:
            return []
        together = [doubt for doubt in waiting if doubt.accounts & due.accounts]
        self._being_looked_up.update(doubt.row.position for doubt in together)
        return together

    def looked_up(self, doubts: Iterable[Doubt]) -> None:
        """The lookup is over for those that are still in doubt."""
        self._being_looked_up.difference_update(doubt.row.position for doubt in doubts)
