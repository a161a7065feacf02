"""What the store holds, as records. All SQL that fills them is in this room; nothing here touches a database.

Times of attempts are Unix seconds by the sender's clock; times of rows are UTC, ISO 8601, with milliseconds.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

from pydantic import NonNegativeInt, TypeAdapter, ValidationError

CHUNK_ROWS: Final = 1_000
"""Rows are read and staged in chunks of this size."""
REHEARSAL: Final = "sandbox-"
"""How the ids of rehearsals begin."""
_BATCH_ID: Final = re.compile(r"(?:b|sandbox-)\d{8}-\d{6}-[0-9a-f]{6}")


def is_batch_id(text: str) -> bool:
    """Whether `text` has the one shape of a batch's id: it may come from any file, and becomes part of
    names."""
    return _BATCH_ID.fullmatch(text) is not None


def iso(at: float) -> str:
    """Unix seconds as UTC, ISO 8601 with milliseconds and a Z, as `import_time` has it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Shown(enum.StrEnum):
    """What people read of a row, in the results file and everywhere else; in the order of a summary."""

    CREATED = "created"
    FAILED = "failed"
    INVALID = "invalid"
    UNCERTAIN = "uncertain"
    PENDING = "pending"
    SKIPPED = "skipped"


class RowStatus(enum.IntEnum):
    """What is known of a row: the number in the store, and the word that people read (`shown`)."""

    shown: Shown

    PENDING = 0, Shown.PENDING
    SENDING = 1, Shown.UNCERTAIN  # marked: a call may be under way
    DOUBTFUL = 2, Shown.UNCERTAIN  # a call ended without an answer about the row; looks are due
    UNCERTAIN = 3, Shown.UNCERTAIN  # looking could not decide
    CREATED = 4, Shown.CREATED
    FAILED = 5, Shown.FAILED
    INVALID = 6, Shown.INVALID
    SKIPPED = 7, Shown.SKIPPED

    def __new__(cls, number: int, shown: Shown) -> Self:
        member = int.__new__(cls, number)
        member._value_ = number
        member.shown = shown
        return member


IN_DOUBT: Final = tuple(status for status in RowStatus if status.shown is Shown.UNCERTAIN)
MAY_BE_SENT: Final = (RowStatus.PENDING, *IN_DOUBT)
"""A row in one of these has an activity."""


class StoredRow(NamedTuple):
    """One row as it is now, or is to be. The names are those of the columns. cells: as
    `sheets.rows.encode_cells` wrote them. activity: a request body; None while the row is invalid (its
    problems are the error then). problem: why the record cannot be trusted as a whole, if so. holds: what its
    activity holds after corrections, None while nothing was corrected. position: 1, 2, 3 … in the source's
    order; it is given when the row is staged, as the first `changed_at` is.
    """

    number: int
    cells: str
    activity: bytes | None
    problem: str | None
    status: RowStatus
    error_code: str = ""
    error: str = ""
    activity_id: str | None = None
    attempts: int = 0
    doubted: bool = False
    released: bool = False
    holds: bytes | None = None
    changed_at: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """One import of one sheet, as its facts describe it. Paths are absolute, digests hexadecimal.

    tenant: API host and organisation's short code, or `sandbox`. content: digest of the ordered mapped
    activities. source_cells: digest of the ordered source cells. mapping: `Mapping.record()`. os_user,
    computer: who staged it, and where. rebuilt: start of the batch (Unix seconds) when it was rebuilt from a
    results file, else None.
    """

    id: str
    created_at: str
    tenant: str
    host: str
    organisation: str
    user: str
    rehearsal: bool
    source: str
    family: Literal["text", "workbook"]
    header: tuple[str, ...]
    mapping: dict[str, Any]
    content: str
    source_cells: str
    rows: NonNegativeInt
    results: str
    sheet: str | None = None
    header_row: int = 1
    delimiter: str | None = None
    encoding: str | None = None
    hidden: Literal["include", "skip"] | None = None
    results_digest: str | None = None
    marker: str | None = None
    os_user: str = ""
    computer: str = ""
    rebuilt: float | None = None

    def __post_init__(self) -> None:
        """Raises ValueError."""
        datetime.fromisoformat(self.created_at)
        if not is_batch_id(self.id):
            raise ValueError("the batch's id is not one")

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Batch:
        """From `BatchRows.facts()`. Raises ValueError when one is missing or of another kind."""
        try:
            return _BATCH.validate_python(facts)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None

    def facts(self) -> dict[str, Any]:
        """Name → JSON value."""
        return asdict(self)

    @property
    def source_name(self) -> str:
        """The sheet's file name. A batch that was rebuilt knows its results file alone, which is named after
        the sheet."""
        name = Path(self.source).name
        if self.rebuilt is None:
            return name
        return name.replace(".sandbox.results.", ".").replace(".results.", ".")


_BATCH: Final = TypeAdapter(Batch)


@dataclass(frozen=True, slots=True)
class BatchSummary:
    """A batch for lists and messages. key: for this room. counts: rows by the word that people read, and
    `rows`, their sum (a row that is being sent counts as uncertain, unless `running`: then as pending).

    running_on: which process owns it now ("ana on desk-4"), "" if none does. erased_at: when its customer
    data was removed, UTC; None if it was not. facts: what is known of its runs (`seconds`, `throttled`,
    `going_on` …).
    """

    key: int
    batch: Batch
    counts: dict[str, int]
    running_on: str = ""
    erased_at: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether a process owns it now."""
        return bool(self.running_on)

    @property
    def open_rows(self) -> int:
        """Rows that may still be created by it."""
        return self.counts["pending"] + self.counts["uncertain"]


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """One Create call. `outcome` None: the process was interrupted while it was under way.

    id: counts up within the batch. body: what it sent, marker and all. clock_difference: the tenant's clock
    minus the sender's, seconds. assumed: no call of ours is known; a batch that was rebuilt has to reckon
    with one. marked_ago_s: how long ago it was marked, by the clock of the store.
    """

    id: int
    position: int
    body: bytes
    marked_at: float
    clock_difference: float
    ended_at: float | None
    http_status: int | None
    outcome: str | None
    code: str | None
    detail: str | None
    assumed: bool = False
    marked_ago_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CreatedRow:
    """A created row with what reading back needs: its attempts, and what was read last. differences: as
    `keep_readings` got them; None when it was not read."""

    row: StoredRow
    attempts: tuple[StoredAttempt, ...]
    read_at: str | None
    differences: list[list[str]] | None


# ---- what the writer takes ------------------------------------------------------------------------------


class AttemptResult(NamedTuple):
    """How a marked call ended, and what its row is from now on. at: Unix seconds. spent: it counts as an
    attempt. doubted: it leaves the row in doubt. left_at: Unix seconds of its first byte."""

    attempt: int
    position: int
    at: float
    http_status: int | None
    outcome: str
    code: str
    detail: str
    status: RowStatus
    activity_id: str | None = None
    error_code: str = ""
    error: str = ""
    spent: bool = True
    doubted: bool = False
    left_at: float | None = None


class Resolution(NamedTuple):
    """What a look at the tenant, or the end of its patience, made of a row that was in doubt."""

    position: int
    at: float
    status: RowStatus
    activity_id: str | None = None
    error_code: str = ""
    error: str = ""


class Fact(NamedTuple):
    """A fact about the whole batch, replacing the one of the same name: a JSON value."""

    name: str
    value: object


# ---- comparing with what was imported before ------------------------------------------------------------


class Earlier(NamedTuple):
    """A row that was created before: by which row of which batch, with which Id."""

    position: int
    activity_id: str
    batch: str
    batch_position: int


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many rows other batches have, counted as a multiset: 3 equal rows beside 2 known ones overlap by 2.

    created: rows that are in LeadSquared already, `created_by` the batches that created them. held: rows that
    other batches still hold open, `held_by` which ones: they have to be finished first. The latest batch
    first.
    """

    created: int = 0
    created_by: tuple[tuple[BatchSummary, int], ...] = ()
    held: int = 0
    held_by: tuple[tuple[BatchSummary, int], ...] = ()


class ImportedBefore(NamedTuple):
    """A batch that has a sheet, or some of its rows. rows: how many, as a multiset. whole: it is the same
    sheet, in the same order."""

    summary: BatchSummary
    rows: int
    whole: bool

    def as_json(self) -> dict[str, Any]:
        """One entry of `imported_before`."""
        batch = self.summary.batch
        when = {"batch": batch.id, "source": batch.source_name, "created_at": batch.created_at}
        return {**when, "rows": self.rows, "whole": self.whole, "results": batch.results}


# ---- corrections ----------------------------------------------------------------------------------------


class CorrectionStatus(enum.IntEnum):
    """What became of the change of one field of one created row."""

    PLANNED = 0
    SENDING = 1  # the Update may be under way; it can be repeated safely
    CORRECTED = 2
    CONFLICT = 3  # somebody changed the field in LeadSquared: left alone
    FAILED = 4
    WITHDRAWN = 5  # a later change of the same field replaced it before it was sent


class PlannedCorrection(NamedTuple):
    """The changes of one created row: field → (before, after). before: what we sent, or what it holds since
    the last correction. cells: the row's cells as they are once all of it is corrected."""

    position: int
    fields: Mapping[str, tuple[str, str]]
    cells: str


@dataclass(frozen=True, slots=True)
class StoredCorrection:
    """The change of one field of one row. round: which `correct` planned it, 1, 2, …; undo: it takes back.

    replaced: what LeadSquared held just before the Update (a stranger's value, if one was overwritten); None
    until it was read. attempts: Updates that left. changed_at: UTC, ISO 8601.
    """

    round: int
    position: int
    number: int
    activity_id: str
    field: str
    before: str
    after: str
    replaced: str | None
    status: CorrectionStatus
    code: str
    error: str
    attempts: int
    changed_at: str
    undo: bool


class CorrectionChange(NamedTuple):
    """What becomes of fields of a row that were planned or are being sent; before an Update leaves, they are
    SENDING. fields: field → what LeadSquared holds now (None: not asked). Of what is CORRECTED the row holds
    the planned value; once that is all that was planned, it has the planned cells too."""

    position: int
    at: float
    status: CorrectionStatus
    fields: Mapping[str, str | None]
    code: str = ""
    error: str = ""


Entry = AttemptResult | Resolution | Fact | CorrectionChange
"""What can be written while a batch is sent or corrected."""
