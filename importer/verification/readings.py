"""What was read back of the created rows of a batch: compared, kept in the store, and summed up.

A *pass* reads every created row once. What a pass has read is kept row by row, so that one that was cut off
goes on; the next pass after a finished one begins from the start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from importer.activity import ACCOUNT, EVENT, NOTE, Activity, StoredActivity
from importer.leadsquared.outcomes import OutcomeKind
from importer.sending.reconcile.doubts import IN_DOUBT_OUTCOMES
from importer.sending.reconcile.matching import Comparison, compare
from importer.sending.reconcile.normalise import id_key, same_value
from importer.store.batch_rows import BatchRows
from importer.store.ownership import Ownership
from importer.store.records import CreatedRow, StoredAttempt

EXAMPLES_PER_FIELD: Final = 3
GOES_ON_FOR: Final = timedelta(days=1)
"""A pass that was cut off longer ago is begun again: LeadSquared has changed since."""

_PASS: Final = "read_back"  # noqa: S105 - the name of a fact of the batch, no password


class ReadingVerdict(StrEnum):
    """How a row or one of its fields came back."""

    EQUAL = "equal"
    MISSING = "missing"  # a field: sent, and empty there
    ALTERED = "altered"  # a field: it has another value there
    NOT_FOUND = "not found"  # a row: LeadSquared shows no activity of its Id
    NOT_READ = "not read"  # a row: LeadSquared gave no answer about it


class Difference(NamedTuple):
    """One field of one row. detail: in which way it was altered, if that is known, else ""."""

    field: str
    verdict: ReadingVerdict
    sent: str
    stored: str
    detail: str = ""


NOT_FOUND: Final = (Difference("", ReadingVerdict.NOT_FOUND, "", ""),)


@dataclass(frozen=True, slots=True)
class SentRow:
    """A created row, and what it should hold.

    sent: what its creating call sent, or what it holds since its last correction; several where a lookup
    found the activity and the attempts differed; none where it is not known any more. since, until: Unix
    seconds by the tenant's clock, between which it was created; None as well.
    """

    position: int
    number: int
    activity_id: str
    sent: tuple[Activity, ...]
    since: float | None
    until: float | None


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A created row as it was read back. differences: None when it was not read, () when all is equal.
    names: the fields that were sent with a value."""

    number: int
    activity_id: str
    read_at: str
    differences: tuple[Difference, ...] | None
    names: tuple[str, ...]

    @property
    def verdict(self) -> ReadingVerdict:
        if self.differences is None:
            return ReadingVerdict.NOT_READ
        if not self.differences:
            return ReadingVerdict.EQUAL
        return ReadingVerdict.NOT_FOUND if self.differences == NOT_FOUND else ReadingVerdict.ALTERED


# ---- comparing ----------------------------------------------------------------------------------------


def differences(sent: Iterable[Activity], stored: StoredActivity) -> tuple[Difference, ...]:
    """In what `stored` is not what was sent; of several possible contents, the one that is nearest to it.

    Fields that were not sent are no difference: LeadSquared fills in defaults of its own.
    """
    return min((tuple(_differences(each, stored)) for each in sent), key=len, default=())


def _differences(sent: Activity, stored: StoredActivity) -> Iterator[Difference]:
    if stored.company_id and id_key(stored.company_id) != id_key(sent.company_id):
        yield Difference(ACCOUNT, ReadingVerdict.ALTERED, sent.company_id, stored.company_id)
    if stored.event is not None and stored.event != sent.event:
        yield Difference(EVENT, ReadingVerdict.ALTERED, str(sent.event), str(stored.event))
    for one in compare(sent, stored):
        match one.verdict:
            case Comparison.EQUAL | Comparison.UNEXPECTED:
                continue
            case Comparison.MISSING:
                yield Difference(one.field, ReadingVerdict.MISSING, one.sent, one.stored)
            case Comparison.RESPELT if same_value(one.sent, one.stored):
                continue
            case Comparison.RESPELT | Comparison.CUT_SHORT:
                detail = "cut short" if one.verdict is Comparison.CUT_SHORT else "spelled differently"
                yield Difference(one.field, ReadingVerdict.ALTERED, one.sent, one.stored, detail)
            case Comparison.ALTERED:
                yield Difference(one.field, ReadingVerdict.ALTERED, one.sent, one.stored)


def sent_names(sent: Activity) -> tuple[str, ...]:
    """The fields that were sent with a value; the note is one."""
    note = (NOTE,) if (sent.note or "").strip() else ()
    return (*note, *(name for name, value in sent.fields if value.strip()))


# ---- the store ----------------------------------------------------------------------------------------


def begin(owned: Ownership, now: datetime) -> int:
    """Begins a pass, or goes on with one that was cut off; how many rows that had read already."""
    last = owned.rows.fact(_PASS, {})
    begun = last.get("begun")
    goes_on = begun and not last.get("ended") and now - datetime.fromisoformat(begun) < GOES_ON_FOR
    with owned.change() as change:
        if goes_on:
            # What was not found a moment ago may show by now.
            change.forget_readings(_plain(NOT_FOUND))
        else:
            change.forget_readings()
            change.keep_facts(**{_PASS: {"begun": now.isoformat(), "ended": None}})
    return owned.rows.readings_count()


def end(owned: Ownership, now: datetime) -> None:
    """Every created row was read."""
    begun = owned.rows.fact(_PASS, {}).get("begun")
    owned.keep_facts(**{_PASS: {"begun": begun, "ended": now.isoformat()}})


def ended_at(rows: BatchRows) -> str | None:
    """When the last pass was finished (UTC, ISO 8601); None if none was, or one is not finished."""
    ended: str | None = rows.fact(_PASS, {}).get("ended")
    return ended


def keep(owned: Ownership, read: dict[int, Sequence[Difference]], at: str) -> None:
    """Keeps what was read, by position. at: UTC, ISO 8601."""
    with owned.change() as change:
        change.keep_readings({position: _plain(found) for position, found in read.items()}, at)


def _plain(found: Sequence[Difference]) -> list[list[str]]:
    return [[str(part) for part in each] for each in found]


def _read(plain: list[list[str]]) -> tuple[Difference, ...]:
    return tuple(
        Difference(name, ReadingVerdict(verdict), sent, stored, *detail)
        for name, verdict, sent, stored, *detail in plain
    )


def sent_row(row: CreatedRow) -> SentRow:
    """What the row should hold in LeadSquared, markers included. Never what its cells say now."""
    making = _making(row.attempts)
    sent = tuple(map(Activity.decoded, dict.fromkeys(one.body for one in making)))
    if not making and row.activity is not None:  # another batch created it, or the batch was rebuilt
        sent = (Activity.decoded(row.activity),)
    if row.holds is not None:
        sent = (Activity.decoded(row.holds),)
    since = min((one.marked_at + one.clock_difference for one in making), default=None)
    until = max(((one.ended_at or one.marked_at) + one.clock_difference for one in making), default=None)
    return SentRow(row.position, row.number, row.activity_id, sent, since, until)


def _making(attempts: Sequence[StoredAttempt]) -> list[StoredAttempt]:
    """Those of a row's attempts that may have created it."""
    return [one for one in attempts if one.outcome == OutcomeKind.CREATED] or [
        one for one in attempts if one.outcome in IN_DOUBT_OUTCOMES
    ]


def read_rows(rows: BatchRows, only: Collection[int] | None = None) -> Iterator[ReadRow]:
    """Every created row (or those at the positions `only`), in the source's order, with what was read."""
    for row in rows.created_rows(only):
        sent = sent_row(row).sent
        yield ReadRow(
            row.number,
            row.activity_id,
            row.read_at or "",
            None if row.differences is None else _read(row.differences),
            sent_names(sent[-1]) if sent else (),
        )


# ---- summing up ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class FieldSummary:
    """How one field came back, over the rows that were found.

    examples: (row number, sent, stored, detail).
    """

    name: str
    sent: int = 0
    missing: int = 0
    altered: int = 0
    examples: list[tuple[int, str, str, str]] = field(default_factory=list)

    @property
    def equal(self) -> int:
        return self.sent - self.missing - self.altered

    def plain(self) -> dict[str, object]:
        """For `--json`."""
        examples = [
            {"row": number, "sent": sent, "stored": stored, "detail": detail}
            for number, sent, stored, detail in self.examples
        ]
        counts = {name: getattr(self, name) for name in ("sent", "equal", "missing", "altered")}
        return {"field": self.name, **counts, "examples": examples}


@dataclass(slots=True)
class VerificationSummary:
    """Rows by verdict, and every field that was sent, in the mapping's order."""

    rows: Counter[ReadingVerdict] = field(default_factory=Counter)
    fields: dict[str, FieldSummary] = field(default_factory=dict)
    not_found: list[int] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.rows.total()

    @property
    def all_equal(self) -> bool:
        return self.rows[ReadingVerdict.EQUAL] == self.total

    @property
    def differing(self) -> list[FieldSummary]:
        return [each for each in self.fields.values() if each.missing or each.altered]

    def add(self, row: ReadRow) -> None:
        self.rows[row.verdict] += 1
        if row.verdict is ReadingVerdict.NOT_FOUND and len(self.not_found) < EXAMPLES_PER_FIELD:
            self.not_found.append(row.number)
        if row.verdict in {ReadingVerdict.NOT_FOUND, ReadingVerdict.NOT_READ}:
            return
        for name in row.names:
            self._field(name).sent += 1
        for each in row.differences or ():
            summary = self._field(each.field)
            summary.sent += each.field in {ACCOUNT, EVENT}
            if each.verdict is ReadingVerdict.MISSING:
                summary.missing += 1
            else:
                summary.altered += 1
            if len(summary.examples) < EXAMPLES_PER_FIELD:
                summary.examples.append((row.number, each.sent, each.stored, each.detail))

    def _field(self, name: str) -> FieldSummary:
        return self.fields.setdefault(name, FieldSummary(name))


def summarise(rows: Iterable[ReadRow], each: Callable[[ReadRow], None] | None = None) -> VerificationSummary:
    """The summary of `rows`; `each` is called with every one of them on the way."""
    summary = VerificationSummary()
    for row in rows:
        summary.add(row)
        if each is not None:
            each(row)
    return summary


def utc_now() -> datetime:
    return datetime.now(UTC)
