"""Rows in doubt: what is known of each, when it may be looked at, and when it may be sent again.

"Not created" takes two looks: the first when the tenant has had time to show what it created, and, unless
the tenant's answer was complete, one that comes no sooner than the call itself could still have arrived.
Arithmetic only; the looks themselves are in `verify.py`. Times are the event loop's, seconds, but `since`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from tenacity import RetryCallState, Retrying, wait_random_exponential

from importer.activity import Activity
from importer.journal.journal import Attempt, JournalRow
from importer.leadsquared.outcomes import Failure, Kind

UNREADABLE_LOOKS_MAX: Final = 8
DOUBTS_MAX: Final = 2_000
"""So many rows in doubt, and no fresh one is sent: whatever is wrong, it is not getting better."""
LOOK_LASTS_S: Final = 60.0
BACKOFF_LONGEST_S: Final = 30.0
COMPLETE_STATUSES: Final = (200, 500)
IN_DOUBT_OUTCOMES: Final = (None, Kind.DOUBTFUL, Kind.UNKNOWN_REFUSAL)

_INCOMPLETE_CODES: Final = frozenset(Failure)
"""A status line arrived, and the rest of the answer did not."""

_full_jitter = wait_random_exponential(multiplier=1, max=BACKOFF_LONGEST_S)


def backoff_s(attempt: int) -> float:
    """Exponential back-off with full jitter before call number `attempt + 1`: up to 1, 2, 4 … 30 s."""
    state = RetryCallState(Retrying(), None, (), {})
    state.attempt_number = max(1, attempt)
    return float(_full_jitter(state))


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the row fails with, should it turn out not to be created; without one it is sent again."""

    code: str
    message: str


@dataclass(slots=True)
class Doubt:
    """One row of which it is not known whether it was created.

    sent: the distinct contents of its attempts in doubt. since: the mark of the first of them, Unix seconds
    by the tenant's clock. ended_at: when we gave up on the last, or opened the batch. tried: its attempts in
    doubt, ever; calls: those of this run. look_lasts_s: how old a look may be when the row is sent on it.
    """

    row: JournalRow
    sent: tuple[Activity, ...]
    since: float
    ended_at: float
    complete: bool
    due: float
    looks_wanted: int = 2
    looks: int = 0
    unreadable: int = 0
    tried: int = 1
    calls: int = 0
    look_lasts_s: float = LOOK_LASTS_S
    refusal: Refusal | None = None
    unknown_refusals: set[str] = field(default_factory=set)
    code: str = ""
    reason: str = ""
    looked_at: float = float("-inf")

    @property
    def account(self) -> str:
        return self.sent[0].company_id

    def too_old(self, now: float) -> bool:
        """Whether the last look is too long ago to send on it. The next one may be older: where slots are
        rare, every look would be too old by the time that one comes."""
        if now - self.looked_at <= self.look_lasts_s:
            return False
        self.look_lasts_s *= 2
        return True

    @property
    def accounts(self) -> set[str]:
        return {activity.company_id.lower() for activity in self.sent}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long looks wait: `--settle`, `--timeout`, both seconds."""

    settle_s: float
    timeout_s: float

    def first_look(self, ended_at: float) -> float:
        return ended_at + self.settle_s

    def last_look(self, doubt: Doubt, now: float) -> float:
        """When the look may be that settles "not created", another one having been at `now`."""
        apart = max(backoff_s(doubt.calls), min(1.0, self.settle_s))
        earliest = now + apart
        if doubt.complete:
            return earliest
        return max(earliest, doubt.ended_at + max(self.settle_s, self.timeout_s))

    def settled(self, doubt: Doubt, now: float) -> bool:
        """A look at `now` that finds nothing settles it: looks enough, and late enough."""
        late_enough = doubt.complete or now >= doubt.ended_at + max(self.settle_s, self.timeout_s)
        return doubt.looks + 1 >= doubt.looks_wanted and late_enough


def in_doubt(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Those attempts of a row that may have created it."""
    return [attempt for attempt in attempts if attempt.outcome in IN_DOUBT_OUTCOMES]


def contents(attempts: Sequence[Attempt]) -> tuple[Activity, ...]:
    """What the attempts of a row sent, each content once, oldest first."""
    return tuple(Activity.decoded(body) for body in dict.fromkeys(attempt.body for attempt in attempts))


def complete(attempts: Sequence[Attempt]) -> bool:
    """Every one of them ended with a complete answer, so none can still be on its way."""
    return all(
        attempt.outcome is not None
        and attempt.http_status in COMPLETE_STATUSES
        and attempt.code not in _INCOMPLETE_CODES
        for attempt in attempts
    )


class Doubts:
    """The rows in doubt, by account, so that several rows share one look."""

    def __init__(self) -> None:
        self._doubts: dict[int, Doubt] = {}
        self._looking: set[int] = set()

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
        self._looking.discard(doubt.row.position)

    def together(self, position: int, doubt: Doubt) -> bool:
        """Whether these two rows are being looked at in one look."""
        other = self._doubts[position]
        return {position, doubt.row.position} <= self._looking and bool(other.accounts & doubt.accounts)

    def next_due(self) -> float | None:
        """When the next look is due; None while none waits."""
        waiting = (doubt.due for position, doubt in self._doubts.items() if position not in self._looking)
        return min(waiting, default=None)

    def take_due(self, now: float) -> list[Doubt]:
        """The doubts of one account (of several, where a row changed its own), if a look at one of them is
        due; they are being looked at from here."""
        waiting = [doubt for position, doubt in self._doubts.items() if position not in self._looking]
        due = min((doubt for doubt in waiting if doubt.due <= now), key=lambda doubt: doubt.due, default=None)
        if due is None:
            return []
        together = [doubt for doubt in waiting if doubt.accounts & due.accounts]
        self._looking.update(doubt.row.position for doubt in together)
        return together

    def looked(self, doubts: Iterable[Doubt]) -> None:
        """The look is over for those that are still in doubt."""
        self._looking.difference_update(doubt.row.position for doubt in doubts)


def again(doubt: Doubt, ended_at: float, first_look: float, *, answer_complete: bool) -> Doubt:
    """The doubt after one more attempt of the row that did not tell."""
    return replace(
        doubt,
        ended_at=ended_at,
        due=first_look,
        complete=doubt.complete and answer_complete,
        looks_wanted=2,
        looks=0,
        unreadable=0,
    )
