"""What the report says of a batch, gathered from the store in a few passes, whatever its size."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from importer.leadsquared.outcomes import OutcomeKind
from importer.pacing.pacing import Rate
from importer.remedies import remedy_for
from importer.report.ranges import RowNumbers
from importer.report.traffic import TimedOutcome, Traffic, traffic
from importer.settings import DEFAULT_RATE
from importer.store.batch_rows import BatchRows
from importer.store.records import Batch, CorrectionStatus, RowStatus, Shown, StoredCorrection
from importer.text import one_line
from importer.verification import readings
from importer.verification.readings import VerificationSummary

MESSAGES_MAX: Final = 5
MESSAGES_COUNTED_MAX: Final = 200
MESSAGE_MAX: Final = 400
EVENTS_MAX: Final = 20
CORRECTIONS_MAX: Final = 200

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
class RowMessage:
    """One message and the rows that have it."""

    text: str
    rows: RowNumbers = field(default_factory=RowNumbers)


@dataclass(slots=True)
class ErrorGroup:
    """Rows of one status and code. messages: the most frequent ones; others: how many rows have another."""

    status: Shown
    code: str
    rows: RowNumbers = field(default_factory=RowNumbers)
    by_text: dict[str, RowMessage] = field(default_factory=dict)

    @property
    def meaning(self) -> str:
        return remedy_for(self.code).meaning

    @property
    def action(self) -> str:
        """Of rows in doubt, whatever brought them there, a person has to decide."""
        return remedy_for("uncertain" if self.status == Shown.UNCERTAIN else self.code).action

    @property
    def messages(self) -> list[RowMessage]:
        return sorted(self.by_text.values(), key=lambda each: -each.rows.count)[:MESSAGES_MAX]

    @property
    def others(self) -> int:
        return self.rows.count - sum(each.rows.count for each in self.messages)

    def add(self, number: int, error: str) -> None:
        self.rows.add(number)
        text = one_line(error, MESSAGE_MAX)
        if text in self.by_text or len(self.by_text) < MESSAGES_COUNTED_MAX:
            self.by_text.setdefault(text, RowMessage(text)).rows.add(number)


@dataclass(frozen=True, slots=True)
class Corrections:
    """Changes of single fields of created rows. shown: the latest ones, at most CORRECTIONS_MAX."""

    counts: Counter[str]
    shown: tuple[StoredCorrection, ...]

    @property
    def total(self) -> int:
        return self.counts.total()


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All that is on the page but the rows for its search box (`search.py`). events: activity type's code →
    rows. Times are UTC, ISO 8601."""

    batch: Batch
    counts: dict[str, int]
    events: dict[int, int]
    seconds: float
    throttled: int
    last_change: str
    written_at: str
    running: bool
    erased_at: str | None
    groups: tuple[ErrorGroup, ...]
    traffic: Traffic
    rate: Rate
    rate_known: bool
    read_back: VerificationSummary | None
    read_back_at: str | None
    corrections: Corrections


def gather(rows: BatchRows, *, running: bool) -> ReportFacts:
    """running: a run of the batch goes on in another window. Raises StoreError."""
    batch = rows.batch()
    known = rows.fact("rate")
    rate = DEFAULT_RATE if known is None else Rate.parse(known)
    read = rows.readings_count() > 0
    return ReportFacts(
        batch=batch,
        counts=rows.shown_counts(),
        events=dict(list(rows.event_counts().items())[:EVENTS_MAX]),
        seconds=rows.fact("seconds", 0.0),
        throttled=rows.fact("throttled", 0),
        last_change=rows.last_change() or batch.created_at,
        written_at=datetime.now(UTC).isoformat(timespec="seconds"),
        running=running,
        erased_at=rows.erased_at(),
        groups=_groups(rows),
        traffic=traffic(lambda: _calls(rows), rate.period_s),
        rate=rate,
        rate_known=known is not None,
        read_back=readings.summarise(readings.read_rows(rows)) if read else None,
        read_back_at=readings.ended_at(rows) if read else None,
        corrections=_corrections(rows),
    )


def moment(iso: str) -> str:
    """`2026-11-23 22:18:26 (UTC+05:30)`, this computer's time, for an ISO 8601 time; any other text stays."""
    try:
        local = datetime.fromisoformat(iso).astimezone()
    except (ValueError, OverflowError, OSError):
        return iso
    return f"{local:%Y-%m-%d %H:%M:%S} ({zone_of(iso)})"


def zone_of(iso: str) -> str:
    """`UTC`, `UTC+05:30`: this computer's zone at that time; names of zones are not the same everywhere."""
    offset = datetime.fromisoformat(iso).astimezone().strftime("%z")
    return "UTC" if offset == "+0000" else f"UTC{offset[:3]}:{offset[3:5]}"


def source_name(batch: Batch) -> str:
    """The sheet's file name. A batch that was rebuilt knows its results file alone, which is named after the
    sheet."""
    name = Path(batch.source).name
    if batch.rebuilt is None:
        return name
    return name.replace(".sandbox.results.", ".").replace(".results.", ".")


def _groups(rows: BatchRows) -> tuple[ErrorGroup, ...]:
    """Rows with something to say, those that need a person first."""
    groups: dict[tuple[RowStatus, str], ErrorGroup] = {}
    for number, status, code, error in rows.problems():
        group = groups.get((status, code))
        if group is None:
            group = groups[status, code] = ErrorGroup(status.shown, code)
        group.add(number, error)
    order = (Shown.UNCERTAIN, Shown.FAILED, Shown.INVALID, Shown.PENDING, Shown.CREATED, Shown.SKIPPED)
    return tuple(sorted(groups.values(), key=lambda each: (order.index(each.status), -each.rows.count)))


def _calls(rows: BatchRows) -> Iterator[TimedOutcome]:
    """Create calls in the order of their times. One that was interrupted is in doubt."""
    for at, outcome in rows.calls():
        yield at, _WORDS.get(outcome, "in doubt")


def _corrections(rows: BatchRows) -> Corrections:
    counts: Counter[str] = Counter()
    latest: deque[StoredCorrection] = deque(maxlen=CORRECTIONS_MAX)
    for one in rows.corrections():
        if one.status is not CorrectionStatus.WITHDRAWN:
            counts[one.status.name.lower()] += 1
            latest.append(one)
    return Corrections(counts, tuple(latest))
