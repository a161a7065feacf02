"""What the use cases give back: frozen records, and the JSON that the command line prints of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from importer.activity import Activity
from importer.app.questions import Question
from importer.checking.survey import Finding
from importer.mapping.row_mapper import MappedField
from importer.pacing.rules import MARGIN, Rate
from importer.store.records import Batch, ImportedBefore
from importer.text import count, expected, shown


def _plain(record: object, *names: str) -> dict[str, Any]:
    """These fields of a record, in this order, as JSON has them."""
    return {name: _json(getattr(record, name)) for name in names}


def _json(value: Any) -> Any:  # noqa: ANN401 - whatever a field holds
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return [_json(each) for each in value]
    return round(value, 3) if isinstance(value, float) else value


def spoken_rate(rate: Rate) -> str:
    """`25 calls in 5 seconds`."""
    seconds = "second" if rate.period_s == 1 else "seconds"
    return f"{count(rate.calls, 'call')} in {rate.period_s:g} {seconds}"


def expected_s(rows: int, rate: Rate) -> float:
    """How long it takes to send so many rows, spaced as the pace spaces them, in seconds."""
    return rows / rate.per_s * MARGIN


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a person can do next. text: a sentence. command: the command line that does it, its words without
    `importer`; () where it is no command. For pasting, the command line quotes it; the screen has buttons."""

    text: str
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SheetFindings:
    """What was found in a sheet, grouped by column and kind (`importer.findings` says what the three are)."""

    problems: tuple[Finding, ...] = ()
    questions: tuple[Finding, ...] = ()
    notices: tuple[Finding, ...] = ()

    def as_json(self) -> dict[str, list[dict[str, Any]]]:
        """`problems`, `questions`, `notices` of `--json`."""
        return {name: [found.as_json() for found in getattr(self, name)] for name in self.__slots__}


NOTHING_FOUND: Final = SheetFindings()


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first valid rows as they would be sent. sources: what fills each field, in the mapping's order."""

    sources: tuple[MappedField, ...] = ()
    rows: tuple[tuple[int, Activity], ...] = ()


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A sheet, read and mapped; nothing was sent.

    place: file and sheet, for people. seconds: how long sending the valid rows takes at `rate`. rate: as
    people read it. questions: those that are open; invalid_question: what `run` will ask about invalid rows.
    looked_up: False while accounts and users are still to be
    looked up. marked_copy: where it was written.
    """

    place: str
    rows: int
    valid: int
    seconds: float
    rate: str
    findings: SheetFindings
    questions: tuple[Question, ...]
    invalid_question: Question | None
    first: FirstRows
    imported_before: tuple[ImportedBefore, ...]
    looked_up: bool
    marked_copy: Path | None = None

    @property
    def invalid(self) -> int:
        """Rows with at least one problem."""
        return self.rows - self.valid

    @property
    def exit_code(self) -> int:
        """0: every row is valid and no question is open; 1 otherwise."""
        return 1 if self.invalid or self.questions else 0

    def as_json(self) -> dict[str, Any]:
        """The object that `check --json` prints."""
        before = [one.as_json() for one in self.imported_before]
        counts = _plain(self, "rows", "valid", "invalid")
        return {**counts, **self.findings.as_json(), "imported_before": before}


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What a person sees before anything is sent.

    host, keys_from: where the calls go and where host and keys came from. user: whose keys they are. rate: of
    calls at most. events: (activity type, rows of it that are to be sent). to_send: rows that would be sent
    now (after `limit`) of those that are pending; in_doubt: rows that are looked up first; left_out: invalid
    rows that are not sent; already: rows that earlier batches sent. results: where the results file will be.
    """

    batch: Batch
    user: str
    host: str
    keys_from: str
    rate: Rate
    events: tuple[tuple[int, int], ...]
    to_send: int
    pending: int
    in_doubt: int
    left_out: int
    already: int
    results: Path

    @property
    def organisation(self) -> str:
        """Whose keys they are."""
        return self.batch.organisation or self.batch.tenant

    def lines(self) -> tuple[tuple[str, str], ...]:
        """(label, value) in the order of a question, each value on one line: `("Organisation", "Acme")`, …"""
        events = ", ".join(f"{code} ({count(rows, 'row')})" for code, rows in self.events)
        source, sheet = self.batch.source_name, self.batch.sheet
        takes = expected(expected_s(self.to_send, self.rate))
        lines = [
            ("Organisation", self.organisation),
            ("User", self.user),
            ("Host", f"{self.host} (keys from {self.keys_from})"),
            ("Sheet", f"{source}, sheet {sheet}" if sheet else source),
            ("Batch", self.batch.id),
            ("Activity type" if len(self.events) < 2 else "Activity types", events),
            (
                "Rows to send",
                f"{self.to_send:,}" + (f" of {self.pending:,}" if self.pending > self.to_send else ""),
            ),
            (
                "Rows in doubt",
                f"{self.in_doubt:,}: looked up first, sent only if not found" if self.in_doubt else "",
            ),
            ("Left out", count(self.left_out, "invalid row") if self.left_out else ""),
            ("Sent before", count(self.already, "row") if self.already else ""),
            ("Rate", f"{spoken_rate(self.rate)}, so {takes}" if self.to_send else ""),
            ("Results", str(self.results)),
        ]
        return tuple((label, shown(value)) for label, value in lines if value)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchEnd:
    """How work on a batch ended. stopped: why before it was done, "" if it was not stopped; stop_code: the
    same as one of `errors.ERROR_CODES`."""

    batch: str
    exit_code: int
    stopped: str = ""
    stop_code: str = ""
    next_steps: tuple[NextStep, ...] = ()

    def _stop_json(self) -> dict[str, str]:
        return {"error": self.stopped, "error_code": self.stop_code} if self.stopped else {}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult(BatchEnd):
    """How a run or a resume ended.

    counts: `rows`, `created`, `failed`, `invalid`, `uncertain`, `pending`, `skipped`; `created` counts what
    this batch created, `already` the rows that earlier batches sent. seconds: spent sending. results: the
    results file; written: whether it could be. reasons: why rows were not created, sentences. findings: of
    the sheet; none of a resume.
    """

    counts: Mapping[str, int]
    already: int
    throttled: int
    seconds: float
    results: Path
    store: str
    written: bool
    reasons: tuple[str, ...]
    rehearsal: bool
    findings: SheetFindings

    def as_json(self) -> dict[str, Any]:
        """The object that `run --json` and `resume --json` print."""
        found = self.findings.as_json()
        del found["problems"]
        names = ("already", "throttled", "seconds", "results", "store")
        return {"batch": self.batch, **self.counts, **_plain(self, *names), **found, **self._stop_json()}


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """A batch's progress. created_at: UTC, ISO 8601. started_on: `ana on desk-4`, where it was started.
    running_on: the computer that runs it, "" if none does. rate: rows a second lately, while it runs. note:
    what goes on, a sentence. erased: its data was removed."""

    batch: str
    tenant: str
    organisation: str
    user: str
    source: str
    created_at: str
    counts: Mapping[str, int]
    results: str
    store: str
    running: bool
    started_on: str = ""
    running_on: str = ""
    seconds: float = 0.0
    throttled: int = 0
    rate: float = 0.0
    note: str = ""
    already: int = 0
    erased: bool = False
    rehearsal: bool = False

    def as_json(self) -> dict[str, Any]:
        """The object that `status --json` prints, or one entry of `batches`."""
        what = _plain(self, "batch", "tenant", "user", "started_on", "source", "created_at")
        runs = _plain(self, "already", "throttled", "seconds", "results", "store", "running", "running_on")
        rest = {**runs, **_plain(self, "rate", "note", "erased")}
        return {**what, **self.counts, **rest, "rate": round(self.rate, 2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyResult(BatchEnd):
    """Created activities compared with what was sent. missing: rows that LeadSquared does not show; unread:
    rows without an answer. fields: one entry per field, as in `--json`. differences: sentences for people.
    verified: the file with every row and difference; None where it was not written."""

    rows: int
    equal: int
    differing: int
    missing: int
    unread: int
    fields: tuple[dict[str, Any], ...]
    differences: tuple[str, ...]
    verified: Path | None

    def as_json(self) -> dict[str, Any]:
        """The object that `verify --json` prints."""
        names = ("batch", "rows", "equal", "differing", "missing", "unread", "fields", "verified")
        return {**_plain(self, *names), **self._stop_json()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionOutcome(BatchEnd):
    """Created rows, corrected in LeadSquared. changed: rows that were to be corrected; conflicts: rows in
    which somebody changed a field in LeadSquared, left alone; corrections: the file with every field, None
    where nothing was ever corrected. left: rows still to be sent. reasons: why fields were not corrected,
    sentences."""

    changed: int
    corrected: int
    conflicts: int
    failed: int
    left: int
    corrections: Path | None
    reasons: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The object that `correct --json` prints."""
        names = ("batch", "changed", "corrected", "conflicts", "failed", "corrections")
        return {**_plain(self, *names), **self._stop_json()}


@dataclass(frozen=True, slots=True)
class Account:
    """Whose keys these are, and where they and the host came from."""

    user: str
    email: str
    user_id: str
    role: str
    organisation: str
    org_code: str
    time_zone: str
    host: str
    keys_from: str

    def as_json(self) -> dict[str, Any]:
        """The object that `whoami --json` prints."""
        return _plain(self, *self.__slots__)


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """location: never with a password. version: of the schema. latency_ms: of one small question. running:
    batches that a process works on now, with who does and where. team: the store that an embedded one was
    copied to, "" if it is in use itself."""

    location: str
    dialect: str
    version: str
    batches: int
    rows: int
    size_bytes: int
    latency_ms: float
    running: tuple[str, ...] = ()
    team: str = ""

    def as_json(self) -> dict[str, Any]:
        """The object that `store --json` prints."""
        return _plain(self, *self.__slots__)


@dataclass(frozen=True, slots=True)
class EraseResult:
    """files: those that remain beside the sheet and hold the same data; they are the person's own."""

    batch: str
    rows: int
    files: tuple[Path, ...] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """The object that `erase --json` prints."""
        return _plain(self, *self.__slots__)
