"""What the report tells of a batch, gathered from the store in a few passes, whatever its size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from importer.leadsquared.outcomes import OutcomeKind
from importer.pacing.pacing import Rate
from importer.remedies import remedy_for
from importer.report.ranges import RowNumbers
from importer.report.traffic import Call, Traffic, traffic
from importer.store.batch_rows import BatchRows
from importer.store.records import Batch, RowStatus
from importer.text import one_line
from importer.verification import readings
from importer.verification.readings import VerificationSummary

MESSAGES_MAX: Final = 5
MESSAGES_COUNTED_MAX: Final = 200
MESSAGE_MAX: Final = 400
EVENTS_MAX: Final = 20
DEFAULT_RATE: Final = Rate(25, 5.0)

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
class Message:
    """One message and the rows that have it."""

    text: str
    rows: RowNumbers = field(default_factory=RowNumbers)


@dataclass(slots=True)
class ErrorGroup:
    """Rows of one status and code. messages: the most frequent ones; others: how many rows have another."""

    status: str
    code: str
    rows: RowNumbers = field(default_factory=RowNumbers)
    by_text: dict[str, Message] = field(default_factory=dict)

    @property
    def meaning(self) -> str:
        return remedy_for(self.code).meaning

    @property
    def action(self) -> str:
        """Of rows in doubt, whatever brought them there, it is for a person to say what became of them."""
        return remedy_for("uncertain" if self.status == "uncertain" else self.code).action

    @property
    def messages(self) -> list[Message]:
        return sorted(self.by_text.values(), key=lambda each: -each.rows.count)[:MESSAGES_MAX]

    @property
    def others(self) -> int:
        return self.rows.count - sum(each.rows.count for each in self.messages)

    def add(self, number: int, error: str) -> None:
        self.rows.add(number)
        text = one_line(error, MESSAGE_MAX)
        if text in self.by_text or len(self.by_text) < MESSAGES_COUNTED_MAX:
            self.by_text.setdefault(text, Message(text)).rows.add(number)


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All that stands on the page but the rows for its search box (`search.py`)."""

    batch: Batch
    counts: dict[str, int]
    events: tuple[str, ...]
    seconds: float
    throttled: int
    last_change: str
    written_at: str
    running: bool
    groups: tuple[ErrorGroup, ...]
    traffic: Traffic
    rate: Rate
    rate_known: bool
    read_back: VerificationSummary | None
    read_back_at: str | None


def gather(rows: BatchRows, *, running: bool) -> ReportFacts:
    """running: a run of the batch goes on in another window."""
    batch = rows.batch()
    known = rows.fact("rate")
    rate = DEFAULT_RATE if known is None else Rate.parse(known)
    read = rows.readings_count() > 0
    return ReportFacts(
        batch=batch,
        counts=rows.shown_counts(),
        events=tuple(str(event) for event in sorted(rows.event_counts())[:EVENTS_MAX]),
        seconds=rows.fact("seconds", 0.0),
        throttled=rows.fact("throttled", 0),
        last_change=rows.last_change() or batch.created_at,
        written_at=datetime.now(UTC).isoformat(timespec="seconds"),
        running=running,
        groups=_groups(rows),
        traffic=traffic(lambda: _calls(rows), rate.period_s),
        rate=rate,
        rate_known=known is not None,
        read_back=readings.summarise(readings.read_rows(rows)) if read else None,
        read_back_at=readings.ended_at(rows) if read else None,
    )


def moment(iso: str) -> str:
    """`2026-11-23 22:18:26 UTC` for an ISO 8601 time; what is none stays as it is."""
    try:
        return f"{datetime.fromisoformat(iso).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    except ValueError:
        return iso


def _groups(rows: BatchRows) -> tuple[ErrorGroup, ...]:
    """Rows with something to say, those that need a person first."""
    groups: dict[tuple[RowStatus, str], ErrorGroup] = {}
    for problem in rows.problems():
        group = groups.get((problem.status, problem.code))
        if group is None:
            group = groups[problem.status, problem.code] = ErrorGroup(problem.status.shown, problem.code)
        group.add(problem.number, problem.error)
    order = ("uncertain", "failed", "invalid", "pending", "created", "skipped")
    return tuple(sorted(groups.values(), key=lambda each: (order.index(each.status), -each.rows.count)))


def _calls(rows: BatchRows) -> Iterator[Call]:
    """Create calls in the order of their times. One that was interrupted is in doubt."""
    for call in rows.calls():
        yield call.at, _WORDS.get(call.outcome or "", "in doubt")


def source_name(batch: Batch) -> str:
    """The sheet's file name; of a batch that was rebuilt only its results file is known."""
    return f"rebuilt from {batch.source_name}" if batch.rebuilt is not None else batch.source_name
