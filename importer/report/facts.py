"""What the report says of a batch, gathered from the store in a few passes, whatever its size; and the rows
that its search box knows, bounded: a page has to open in a browser."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from importer.leadsquared.outcomes import OutcomeKind
from importer.pacing.pacing import Rate
from importer.remedies import remedy_for
from importer.report.charts import TimedOutcome, traffic
from importer.settings import DEFAULT_RATE
from importer.sheets.rows import decode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import BatchSummary, CorrectionStatus, RowStatus, Shown, StoredCorrection
from importer.text import one_line
from importer.verification import readings

MESSAGES_MAX: Final = 5
MESSAGES_COUNTED_MAX: Final = 200
MESSAGE_MAX: Final = 400
EVENTS_MAX: Final = 20
CORRECTIONS_MAX: Final = 200
ROWS_NAMED_MAX: Final = 24
SEARCHED_MAX: Final = 20_000
RANGES_MAX: Final = 50_000
CELLS_MAX: Final = 12
CELL_MAX: Final = 80
CELLS_BYTES_MAX: Final = 4_000_000

_WORDS: Final[dict[str, str]] = {
    OutcomeKind.CREATED: "created",
    OutcomeKind.THROTTLED: "throttled",
    OutcomeKind.REFUSED: "refused",
    OutcomeKind.UNAUTHORISED: "refused",
    OutcomeKind.UNKNOWN_REFUSAL: "in doubt",
    OutcomeKind.DOUBTFUL: "in doubt",
    OutcomeKind.WRONG_ADDRESS: "not sent",
    OutcomeKind.NOT_SENT: "not sent",
}


@dataclass(slots=True)
class RowNumbers:
    """Ascending row numbers as people write them, `5, 9–12 and 340 more`: ranges, and beyond `most` of them
    a count."""

    most: int = ROWS_NAMED_MAX
    count: int = 0
    ranges: list[list[int]] = field(default_factory=list)
    beyond: int = 0

    def add(self, number: int) -> None:
        self.count += 1
        if not self.beyond and self.ranges and number == self.ranges[-1][1] + 1:
            self.ranges[-1][1] = number
        elif len(self.ranges) < self.most:
            self.ranges.append([number, number])
        else:
            self.beyond += 1

    def __str__(self) -> str:
        named = ", ".join(f"{first}" if first == last else f"{first}–{last}" for first, last in self.ranges)
        return f"{named} and {self.beyond:,} more" if self.beyond else named


@dataclass(slots=True)
class ErrorGroup:
    """Rows of one status and code. messages: the most frequent ones, each with its rows; others: how many
    rows have another."""

    status: Shown
    code: str
    rows: RowNumbers = field(default_factory=RowNumbers)
    by_text: dict[str, RowNumbers] = field(default_factory=dict)

    @property
    def meaning(self) -> str:
        return remedy_for(self.code).meaning

    @property
    def action(self) -> str:
        """Of rows in doubt, whatever brought them there, a person has to decide."""
        return remedy_for("uncertain" if self.status == Shown.UNCERTAIN else self.code).action

    @property
    def messages(self) -> list[tuple[str, RowNumbers]]:
        return sorted(self.by_text.items(), key=lambda each: -each[1].count)[:MESSAGES_MAX]

    @property
    def others(self) -> int:
        return self.rows.count - sum(rows.count for _, rows in self.messages)

    def add(self, number: int, error: str) -> None:
        self.rows.add(number)
        text = one_line(error, MESSAGE_MAX)
        if text in self.by_text or len(self.by_text) < MESSAGES_COUNTED_MAX:
            self.by_text.setdefault(text, RowNumbers()).add(number)


@dataclass(frozen=True, slots=True)
class Corrections:
    """Changes of single fields of created rows. shown: the latest ones, at most CORRECTIONS_MAX."""

    counts: Counter[str]
    shown: tuple[StoredCorrection, ...]

    @property
    def total(self) -> int:
        return self.counts.total()


def gather(rows: BatchRows, summary: BatchSummary) -> dict[str, Any]:
    """What the template (`page.html`) says of a batch, but for the rows of its search box. Times are UTC, ISO
    8601. Raises StoreError."""
    known = summary.facts.get("rate")
    rate = DEFAULT_RATE if known is None else Rate.parse(known)
    read = rows.readings_count() > 0

    def calls() -> Iterator[TimedOutcome]:
        """Create calls in the order of their times. One that was interrupted is in doubt."""
        return ((at, _WORDS.get(outcome, "in doubt")) for at, outcome in rows.calls())

    return {
        "batch": summary.batch,
        "counts": summary.counts,
        "running": summary.running,
        "seconds": summary.facts.get("seconds", 0.0),
        "throttled": summary.facts.get("throttled", 0),
        "events": dict(list(rows.event_counts().items())[:EVENTS_MAX]),
        "last_change": rows.last_change() or summary.batch.created_at,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "groups": _groups(rows),
        "traffic": traffic(calls, rate.period_s),
        "rate": rate,
        "rate_known": known is not None,
        "read_back": readings.summarise(readings.read_rows(rows)) if read else None,
        "read_back_at": readings.ended_at(rows) if read else None,
        "corrections": _corrections(rows),
    }


def _groups(rows: BatchRows) -> tuple[ErrorGroup, ...]:
    """Rows with something to say, those that need a person first."""
    groups: dict[tuple[RowStatus, str], ErrorGroup] = {}
    for row in rows.problems():
        group = ErrorGroup(row.status.shown, row.error_code)
        groups.setdefault((row.status, row.error_code), group).add(row.number, row.error)
    order = (Shown.UNCERTAIN, Shown.FAILED, Shown.INVALID, Shown.PENDING, Shown.CREATED, Shown.SKIPPED)
    return tuple(sorted(groups.values(), key=lambda each: (order.index(each.status), -each.rows.count)))


def _corrections(rows: BatchRows) -> Corrections:
    counts: Counter[str] = Counter()
    latest: deque[StoredCorrection] = deque(maxlen=CORRECTIONS_MAX)
    for one in rows.corrections():
        if one.status is not CorrectionStatus.WITHDRAWN:
            counts[one.status.name.lower()] += 1
            latest.append(one)
    return Corrections(counts, tuple(latest))


@dataclass(frozen=True, slots=True)
class RowsForSearch:
    """data: for the page's script (see `search.js`). note: what it lacks, a sentence; "" if nothing."""

    data: dict[str, Any]
    note: str


def rows_for_search(stored: BatchRows, rows: int) -> RowsForSearch:
    """Every row of a batch of at most SEARCHED_MAX rows; of a larger one the rows that need attention, and
    which status the others have, without their Ids."""
    every = rows <= SEARCHED_MAX
    differing = _differing(stored)
    known: list[list[Any]] = []
    ranges: list[list[Any]] = []
    texts: dict[str, int] = {}
    cut = 0
    room = CELLS_BYTES_MAX
    for row in stored.rows():
        status = row.status.shown
        if not every and not cut and not _extend(ranges, row.number, status):
            cut = row.number
        different = differing.get(row.position, [])
        plain = row.status is RowStatus.CREATED and not row.error_code and not different
        if (plain and not every) or len(known) >= SEARCHED_MAX:
            continue
        cells = [one_line(cell, CELL_MAX) for cell in decode_cells(row.cells)[:CELLS_MAX]] if room > 0 else []
        room -= sum(map(len, cells)) + 3 * len(cells)
        error = texts.setdefault(one_line(row.error, MESSAGE_MAX), len(texts)) if row.error else -1
        known.append(
            [
                row.number, status, row.activity_id or "", row.error_code, error, row.attempts,
                row.changed_at, cells, different,
            ]
        )  # fmt: skip
    header = [one_line(heading, CELL_MAX) for heading in stored.batch().header[:CELLS_MAX]]
    data = {
        "header": header, "texts": list(texts), "rows": known, "ranges": ranges, "every": every,
        "cut": cut,
    }  # fmt: skip
    return RowsForSearch(data, _lacks(every=every, full=len(known) >= SEARCHED_MAX, cut=cut))


def _extend(ranges: list[list[Any]], number: int, status: str) -> bool:
    """Adds a row to the ranges; False when there is no room for another one."""
    if ranges and ranges[-1][2] == status and ranges[-1][1] == number - 1:
        ranges[-1][1] = number
        return True
    if len(ranges) >= RANGES_MAX:
        return False
    ranges.append([number, number, status])
    return True


def _differing(stored: BatchRows) -> dict[int, list[list[str]]]:
    """What was returned with another value, by position."""
    return {
        position: [
            [one_line(name, CELL_MAX), verdict, one_line(sent, CELL_MAX), one_line(held, CELL_MAX)]
            for name, verdict, sent, held, *_ in differences
        ]
        for position, differences in stored.differing(SEARCHED_MAX).items()
    }


def _lacks(*, every: bool, full: bool, cut: int) -> str:
    if every:
        return ""
    lacks = (
        f"This batch has more than {SEARCHED_MAX:,} rows, so the search knows only those that need attention"
        " in detail; of the others it knows the status. The results file has every row and Id."
    )
    if full:
        lacks += f" Of the former it has the first {SEARCHED_MAX:,}."
    if cut:
        lacks += f" From row {cut:,} on it knows only the former."
    return lacks
