"""What was read back of created rows: how each field came back, kept in the journal, and summed up.

A *pass* reads every created row once. What a pass has read is kept row by row, so that one that was cut off
goes on; the next pass after a finished one begins anew.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

from importer.activity import Activity, StoredActivity
from importer.journal.journal import Journal, JournalRow
from importer.leadsquared.outcomes import OutcomeKind
from importer.sending.reconcile.doubts import IN_DOUBT_OUTCOMES
from importer.sending.reconcile.matching import Comparison, compare
from importer.sending.reconcile.normalise import id_key

ACCOUNT: Final = "RelatedCompanyId"
EVENT: Final = "ActivityEvent"
EXAMPLES_MAX: Final = 3
GOES_ON_FOR: Final = timedelta(days=1)
"""A pass that was cut off longer ago is begun anew: LeadSquared has changed since."""

_PASS: Final = "read_back"  # noqa: S105 - the name of a fact of the batch, no password
_TRUTH: Final = ({"1", "true"}, {"0", "false"})


class Verdict(StrEnum):
    """How a row or one of its fields came back."""

    EQUAL = "equal"
    MISSING = "missing"  # a field: sent, and empty there
    ALTERED = "altered"  # a field: something else stands there
    NOT_FOUND = "not found"  # a row: LeadSquared shows no activity of its Id
    NOT_READ = "not read"  # a row: LeadSquared gave no answer about it


class Difference(NamedTuple):
    """One field of one row. detail: in which way it was altered, if that can be told, else ""."""

    field: str
    verdict: Verdict
    sent: str
    stored: str
    detail: str = ""


NOT_FOUND: Final = (Difference("", Verdict.NOT_FOUND, "", ""),)


class SentRow(NamedTuple):
    """A created row, and what its creating call sent.

    sent: several where a look found the activity and the attempts differed; none where nobody knows any
    more. since, until: Unix seconds by the tenant's clock, between which it was created; None as well.
    """

    position: int
    number: int
    activity_id: str
    sent: tuple[Activity, ...]
    since: float | None
    until: float | None


class ReadRow(NamedTuple):
    """A created row as it was read back. differences: None when it was not read, () when all is equal.
    names: the fields that were sent with a value."""

    number: int
    activity_id: str
    read_at: str
    differences: tuple[Difference, ...] | None
    names: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        if self.differences is None:
            return Verdict.NOT_READ
        if not self.differences:
            return Verdict.EQUAL
        return Verdict.NOT_FOUND if self.differences == NOT_FOUND else Verdict.ALTERED


# ---- comparing ----------------------------------------------------------------------------------------


def differences(sent: Iterable[Activity], stored: StoredActivity) -> tuple[Difference, ...]:
    """In what `stored` is not what was sent; of several possible contents, the one that is nearest to it.

    Fields that were not sent are no difference: LeadSquared fills in defaults of its own.
    """
    return min((tuple(_differences(each, stored)) for each in sent), key=len, default=())


def _differences(sent: Activity, stored: StoredActivity) -> Iterator[Difference]:
    if stored.company_id and id_key(stored.company_id) != id_key(sent.company_id):
        yield Difference(ACCOUNT, Verdict.ALTERED, sent.company_id, stored.company_id)
    if stored.event is not None and stored.event != sent.event:
        yield Difference(EVENT, Verdict.ALTERED, str(sent.event), str(stored.event))
    for one in compare(sent, stored):
        match one.verdict:
            case Comparison.EQUAL | Comparison.UNEXPECTED:
                continue
            case Comparison.MISSING:
                yield Difference(one.field, Verdict.MISSING, one.sent, one.stored)
            case Comparison.RESPELT if _same_truth(one.sent, one.stored):
                continue
            case Comparison.RESPELT | Comparison.CUT_SHORT:
                detail = "cut short" if one.verdict is Comparison.CUT_SHORT else "spelt otherwise"
                yield Difference(one.field, Verdict.ALTERED, one.sent, one.stored, detail)
            case Comparison.ALTERED:
                yield Difference(one.field, Verdict.ALTERED, one.sent, one.stored)


def _same_truth(sent: str, stored: str) -> bool:
    """Yes and no come back as 1 and 0 or as true and false (observed by integrators)."""
    both = {sent.strip().lower(), stored.strip().lower()}
    return any(both <= truth for truth in _TRUTH)


def sent_names(sent: Activity) -> tuple[str, ...]:
    """The fields that were sent with a value; the note is one."""
    note = ("ActivityNote",) if (sent.note or "").strip() else ()
    return (*note, *(name for name, value in sent.fields if value.strip()))


# ---- the journal --------------------------------------------------------------------------------------


def begin(journal: Journal, now: datetime) -> int:
    """Begins a pass, or goes on with one that was cut off; how many rows that had read already."""
    at = journal.fact(_PASS, {})
    begun = at.get("begun")
    goes_on = begun and not at.get("ended") and now - datetime.fromisoformat(begun) < GOES_ON_FOR
    with journal.change() as connection:
        if goes_on:
            # What was not found a moment ago may show by now.
            connection.execute("DELETE FROM reading WHERE differences = ?", (_encoded(NOT_FOUND),))
        else:
            connection.execute("DELETE FROM reading")
            journal.state(**{_PASS: {"begun": now.isoformat(), "ended": None}})
    (kept,) = journal.connection.execute("SELECT count(*) FROM reading").fetchone()
    return int(kept)


def end(journal: Journal, now: datetime) -> None:
    """Every created row was read."""
    begun = journal.fact(_PASS, {}).get("begun")
    journal.state(**{_PASS: {"begun": begun, "ended": now.isoformat()}})


def ended_at(journal: Journal) -> str | None:
    """When the last pass was finished (UTC, ISO 8601); None if none was, or one is not finished."""
    ended: str | None = journal.fact(_PASS, {}).get("ended")
    return ended


def keep(journal: Journal, read: Mapping[int, Sequence[Difference]], at: str) -> None:
    """Keeps what was read, by position. at: UTC, ISO 8601."""
    with journal.change() as connection:
        connection.executemany(
            "INSERT OR REPLACE INTO reading VALUES (?, ?, ?)",
            [(position, at, _encoded(found)) for position, found in read.items()],
        )


def _encoded(found: Sequence[Difference]) -> str:
    return json.dumps([list(each) for each in found], ensure_ascii=False)


def _decoded(text: str) -> tuple[Difference, ...]:
    return tuple(
        Difference(name, Verdict(verdict), sent, stored, *detail)
        for name, verdict, sent, stored, *detail in json.loads(text)
    )


def sent_row(journal: Journal, row: JournalRow) -> SentRow:
    """What the call that created the row sent, markers included. Never what its cells say now."""
    attempts = journal.attempts(row.position)
    making = [one for one in attempts if one.outcome == OutcomeKind.CREATED] or [
        one for one in attempts if one.outcome in IN_DOUBT_OUTCOMES
    ]
    bodies = dict.fromkeys(one.body for one in making)
    sent = tuple(map(Activity.decoded, bodies))
    if not making and row.activity is not None:  # another batch created it, or a journal that was lost
        sent = (Activity.decoded(row.activity),)
    since = min((one.marked_at + one.clock_difference for one in making), default=None)
    until = max(((one.ended_at or one.marked_at) + one.clock_difference for one in making), default=None)
    return SentRow(row.position, row.number, row.activity_id or "", sent, since, until)


def read_rows(journal: Journal, only: Iterable[int] | None = None) -> Iterator[ReadRow]:
    """Every created row (or those at the positions `only`), in the source's order, with what was read.

    One statement for all of it: asked row by row, a million rows would take minutes.
    """
    wanted = None if only is None else json.dumps(list(only))
    found = journal.connection.execute(
        "SELECT position, number, activity_id, read_at, differences, coalesce(attempt.body, activity),"
        " attempt.id, outcome"
        " FROM row LEFT JOIN reading USING (position) LEFT JOIN attempt USING (position)"
        " WHERE status = 4 AND (? IS NULL OR position IN (SELECT value FROM json_each(?)))"
        " ORDER BY position, attempt.id",
        (wanted, wanted),
    )
    for _, attempts in groupby(found, key=itemgetter(0)):
        # What the creating call sent; where a look found the activity, what the last one in doubt did.
        making = max(reversed([*attempts]), key=_makes)
        _, number, activity_id, read_at, encoded, body, _, _ = making
        sent = None if body is None else Activity.decoded(body)
        yield ReadRow(
            number,
            activity_id or "",
            read_at or "",
            None if encoded is None else _decoded(encoded),
            () if sent is None else sent_names(sent),
        )


def _makes(found: tuple[Any, ...]) -> int:
    """How likely an attempt is to be the one that created its row; 0 for none at all."""
    attempt, outcome = found[-2:]
    if attempt is None:
        return 0
    return 2 if outcome == OutcomeKind.CREATED else int(outcome in IN_DOUBT_OUTCOMES)


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
class ReadBackSummary:
    """Rows by verdict, and every field that was sent, in the mapping's order."""

    rows: Counter[Verdict] = field(default_factory=Counter)
    fields: dict[str, FieldSummary] = field(default_factory=dict)
    not_found: list[int] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.rows.total()

    @property
    def all_equal(self) -> bool:
        return self.rows[Verdict.EQUAL] == self.total

    @property
    def differing(self) -> list[FieldSummary]:
        return [each for each in self.fields.values() if each.missing or each.altered]

    def add(self, row: ReadRow) -> None:
        self.rows[row.verdict] += 1
        if row.verdict is Verdict.NOT_FOUND and len(self.not_found) < EXAMPLES_MAX:
            self.not_found.append(row.number)
        if row.verdict in {Verdict.NOT_FOUND, Verdict.NOT_READ}:
            return
        for name in row.names:
            self._field(name).sent += 1
        for each in row.differences or ():
            summary = self._field(each.field)
            summary.sent += each.field in {ACCOUNT, EVENT}
            if each.verdict is Verdict.MISSING:
                summary.missing += 1
            else:
                summary.altered += 1
            if len(summary.examples) < EXAMPLES_MAX:
                summary.examples.append((row.number, each.sent, each.stored, each.detail))

    def _field(self, name: str) -> FieldSummary:
        return self.fields.setdefault(name, FieldSummary(name))


def summarise(rows: Iterable[ReadRow], each: Callable[[ReadRow], None] | None = None) -> ReadBackSummary:
    """The summary of `rows`; `each` is called with every one of them on the way."""
    summary = ReadBackSummary()
    for row in rows:
        summary.add(row)
        if each is not None:
            each(row)
    return summary


def utc_now() -> datetime:
    return datetime.now(UTC)
