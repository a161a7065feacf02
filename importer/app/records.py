"""What the use cases give back: frozen records, and the JSON that the command line prints of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from importer.activity import Activity
from importer.app.questions import Question
from importer.checking.findings import Finding
from importer.mapping.row_mapper import Preview
from importer.text import shown
from importer.wording import count, expected


@dataclass(frozen=True, slots=True)
class NextStep:
    """What a person can do next. text: a sentence. command: the command line that does it, its words without
    `importer`; () where it is no command. For pasting, the command line quotes it; the screen has buttons."""

    text: str
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EarlierImport:
    """An earlier batch that has this sheet, or some of its rows.

    created_at: UTC, ISO 8601. rows: how many are the same, counted as a multiset. whole: the whole sheet, in
    the same order. open_rows: rows of it that are not finished. results: its results file as last written.
    """

    batch: str
    source: str
    created_at: str
    rows: int
    whole: bool
    open_rows: int
    results: str

    def as_json(self) -> dict[str, Any]:
        """One entry of `imported_before`."""
        return {
            "batch": self.batch,
            "source": self.source,
            "created_at": self.created_at,
            "rows": self.rows,
            "whole": self.whole,
            "results": self.results,
        }


@dataclass(frozen=True, slots=True)
class SheetFindings:
    """What was found in a sheet, grouped by column and kind (`importer.findings` says what the three are)."""

    problems: tuple[Finding, ...] = ()
    questions: tuple[Finding, ...] = ()
    notices: tuple[Finding, ...] = ()

    def as_json(self) -> dict[str, list[dict[str, Any]]]:
        """`problems`, `questions`, `notices` of `--json`."""
        return {
            "problems": [found.as_json() for found in self.problems],
            "questions": [found.as_json() for found in self.questions],
            "notices": [found.as_json() for found in self.notices],
        }


NOTHING_FOUND: Final = SheetFindings()


@dataclass(frozen=True, slots=True)
class FirstRows:
    """The first valid rows as they would be sent. sources: what fills each field, in the mapping's order."""

    sources: tuple[Preview, ...] = ()
    rows: tuple[tuple[int, Activity], ...] = ()


NO_ROWS: Final = FirstRows()


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
    imported_before: tuple[EarlierImport, ...]
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
        return {
            "rows": self.rows,
            "valid": self.valid,
            "invalid": self.invalid,
            **self.findings.as_json(),
            "imported_before": [one.as_json() for one in self.imported_before],
        }


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """What a person sees before anything is sent.

    batch: its id. host, keys_from: where the calls go and where host and keys came from. user, organisation:
    whose keys they are. events: (activity type, rows of it that are to be sent). to_send: rows that would be
    sent now (after `limit`) of those that are pending; in_doubt: rows that are looked up first; left_out:
    invalid rows that are not sent; already: rows that earlier batches sent. seconds: how long it takes.
    rate: as people read it. results: where the results file will be.
    """

    batch: str
    source: str
    sheet: str | None
    organisation: str
    user: str
    host: str
    keys_from: str
    events: tuple[tuple[int, int], ...]
    to_send: int
    pending: int
    in_doubt: int
    left_out: int
    already: int
    seconds: float
    rate: str
    results: Path
    rehearsal: bool

    def lines(self) -> tuple[tuple[str, str], ...]:
        """(label, value) in the order of a question, each value on one line: `("Organisation", "Acme")`, …"""
        events = ", ".join(f"{code} ({count(rows, 'row')})" for code, rows in self.events)
        lines = [
            ("Organisation", self.organisation),
            ("User", self.user),
            ("Host", f"{self.host} (keys from {self.keys_from})"),
            ("Sheet", f"{self.source}, sheet {self.sheet}" if self.sheet else self.source),
            ("Batch", self.batch),
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
            ("Rate", f"{self.rate}, so {expected(self.seconds)}" if self.to_send else ""),
            ("Results", str(self.results)),
        ]
        return tuple((label, shown(value)) for label, value in lines if value)


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run or a resume ended.

    counts: `rows`, `created`, `failed`, `invalid`, `uncertain`, `pending`, `skipped`; `created` counts what
    this batch created, `already` the rows that earlier batches sent. seconds: spent sending. results: the
    results file; written: whether it could be. stopped: why it stopped before its rows did, "" if it did not;
    stop_code: the same as one of `errors.ERROR_CODES`. reasons: why rows were not created, sentences.
    questions, notices: of the sheet, as in `CheckReport.as_json`.
    """

    batch: str
    counts: Mapping[str, int]
    already: int
    throttled: int
    seconds: float
    results: Path
    store: str
    exit_code: int
    written: bool = True
    stopped: str = ""
    stop_code: str = ""
    reasons: tuple[str, ...] = ()
    rehearsal: bool = False
    next_steps: tuple[NextStep, ...] = ()
    notices: tuple[dict[str, Any], ...] = ()
    questions: tuple[dict[str, Any], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object that `run --json` and `resume --json` print."""
        told: dict[str, Any] = {
            "batch": self.batch,
            **self.counts,
            "already": self.already,
            "throttled": self.throttled,
            "seconds": round(self.seconds, 3),
            "results": str(self.results),
            "store": self.store,
            "questions": list(self.questions),
            "notices": list(self.notices),
        }
        if self.stopped:
            told |= {"error": self.stopped, "error_code": self.stop_code}
        return told


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
        return {
            "batch": self.batch,
            "tenant": self.tenant,
            "user": self.user,
            "started_on": self.started_on,
            "source": self.source,
            "created_at": self.created_at,
            **self.counts,
            "already": self.already,
            "throttled": self.throttled,
            "seconds": round(self.seconds, 3),
            "results": self.results,
            "store": self.store,
            "running": self.running,
            "running_on": self.running_on,
            "rate": round(self.rate, 2),
            "note": self.note,
            "erased": self.erased,
        }


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Created activities compared with what was sent. missing: rows that LeadSquared does not show; unread:
    rows without an answer. fields: one entry per field, as in `--json`. differences: sentences for people.
    verified: the file with every row and difference; None where it was not written."""

    batch: str
    rows: int
    equal: int
    differing: int
    missing: int
    unread: int
    fields: tuple[dict[str, Any], ...]
    differences: tuple[str, ...]
    verified: Path | None
    exit_code: int
    next_steps: tuple[NextStep, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object that `verify --json` prints."""
        return {
            "batch": self.batch,
            "rows": self.rows,
            "equal": self.equal,
            "differing": self.differing,
            "missing": self.missing,
            "unread": self.unread,
            "fields": list(self.fields),
            "verified": None if self.verified is None else str(self.verified),
        }


@dataclass(frozen=True, slots=True)
class CorrectionOutcome:
    """Created rows, corrected in LeadSquared. changed: rows that were to be corrected; conflicts: rows in
    which somebody changed a field in LeadSquared, left alone; corrections: the file with every field, None
    where nothing was ever corrected. refused: what could not be planned, sentences. left: rows still to be
    sent."""

    batch: str
    changed: int
    corrected: int
    conflicts: int
    failed: int
    left: int
    corrections: Path | None
    exit_code: int
    refused: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    stopped: str = ""
    stop_code: str = ""
    next_steps: tuple[NextStep, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The object that `correct --json` prints."""
        shown: dict[str, Any] = {
            "batch": self.batch,
            "changed": self.changed,
            "corrected": self.corrected,
            "conflicts": self.conflicts,
            "failed": self.failed,
            "corrections": None if self.corrections is None else str(self.corrections),
        }
        if self.stopped:
            shown |= {"error": self.stopped, "error_code": self.stop_code}
        return shown


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
        return {name: getattr(self, name) for name in self.__slots__}


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
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class EraseResult:
    """files: those that remain beside the sheet and hold the same data; they are the person's own."""

    batch: str
    rows: int
    files: tuple[Path, ...] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """The object that `erase --json` prints."""
        return {"batch": self.batch, "rows": self.rows, "files": [str(path) for path in self.files]}
