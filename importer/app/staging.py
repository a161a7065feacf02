"""From a sheet and its mapping to a staged batch: every row read, mapped, and counted.

What a batch *is* for the store is decided here: two digests, of the ordered activities and of the ordered
source cells as they are seen. Nothing here calls LeadSquared; lookups are answered by the caller.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from importer.activity import Activity, fingerprint
from importer.checking.survey import Survey
from importer.findings import CellFinding
from importer.mapping.references import Lookup, Resolved
from importer.mapping.row_mapper import RowMapper
from importer.sheets.rows import CellsDigest, Row, decode_cells, encode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import CHUNK_ROWS, REHEARSAL, RowChange, RowStatus, StagedRow, StoredRow
from importer.store.staging import Staging

Advance = Callable[[int], None]
"""Gets how many rows are done."""
AskedValues = dict[Lookup, dict[str, str]]
"""Lookup → key of a value → the value as the sheet spells it."""


@dataclass(frozen=True, slots=True)
class Digests:
    """What a sheet is, whatever it is called: hexadecimal, of its activities and of its cells, in order."""

    content: str
    source_cells: str


def new_batch_id(started: datetime, *, rehearsal: bool) -> str:
    """`b20261123-210501-7f3a9c`: a letter first, so that Excel leaves it be; then the UTC start."""
    prefix = REHEARSAL if rehearsal else "b"
    return f"{prefix}{started.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def described(problems: Iterable[CellFinding]) -> str:
    """A row's problems as one line for the results file."""
    return " ".join(str(problem) for problem in problems)


class ContentDigest:
    """Of ordered activities: what a re-saved or renamed copy of a sheet still has in common with it."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)

    def add(self, body: bytes) -> None:
        """The next activity."""
        self._hash.update(fingerprint(body))

    def hexdigest(self) -> str:
        """64 characters for what was added so far."""
        return self._hash.hexdigest()


def stage_rows(
    staging: Staging, rows: Iterable[Row], mapper: RowMapper, survey: Survey, *, at: str, advance: Advance
) -> Digests:
    """Reads and maps every row into `staging`. Lookups stay open (see `map_looked_up`).

    at: UTC, ISO 8601. Raises SheetError where the file turns out to be damaged.
    """
    cells_digest, content = CellsDigest(), ContentDigest()

    def staged() -> Iterator[StagedRow]:
        for row in rows:
            mapped = mapper.map(row)
            survey.take(row, mapped)
            one = staged_row(row, mapped)
            if one.activity is not None:
                content.add(one.activity)
            cells_digest.add(row.cells, one.cells)
            yield one
            if survey.rows % CHUNK_ROWS == 0:
                advance(survey.rows)

    staging.add(staged(), at)
    advance(survey.rows)
    return Digests(content.hexdigest(), cells_digest.hexdigest())


def staged_row(row: Row, mapped: Activity | list[CellFinding]) -> StagedRow:
    """A row on its way into a batch."""
    cells = encode_cells(row.cells)
    if isinstance(mapped, Activity):
        return StagedRow(row.number, cells, mapped.encoded(), None, RowStatus.PENDING)
    return StagedRow(row.number, cells, None, row.problem, RowStatus.INVALID, "invalid", described(mapped))


def source_row(row: StoredRow) -> Row:
    """The source's row, as the store keeps it."""
    return Row(row.number, decode_cells(row.cells), row.problem)


def asked_values(rows: Iterable[Row], mapper: RowMapper) -> AskedValues:
    """The distinct values that rows ask to be looked up, as they are spelt first."""
    values: AskedValues = {}
    if mapper.needs_lookups:
        for row in rows:
            for lookup, value in mapper.lookup_values(row):
                values.setdefault(lookup, {}).setdefault(lookup.key(value), value)
    return values


def map_looked_up(
    staging: Staging, mapper: RowMapper, resolved: Resolved, survey: Survey, *, at: str, advance: Advance
) -> str:
    """Maps the staged rows once more, now that their lookups are answered; the digest of their activities.

    A row that was invalid stays so: it has other problems than values to be looked up.
    """
    content = ContentDigest()
    done = after = 0
    while chunk := staging.rows.chunk(None, after, CHUNK_ROWS):
        after = chunk[-1].position
        changes = []
        for row in chunk:
            mapped = mapper.map(source_row(row), resolved)
            valid = row.status is RowStatus.PENDING
            survey.looked_up(row.number, mapped, was_valid=valid)
            if valid:
                changes.append(_looked_up(row, mapped, content, at))
        with staging.change() as change:
            change.change_rows(changes)
        done += len(chunk)
        advance(done)
    return content.hexdigest()


def _looked_up(
    row: StoredRow, mapped: Activity | list[CellFinding], content: ContentDigest, at: str
) -> RowChange:
    if isinstance(mapped, Activity):
        body = mapped.encoded()
        content.add(body)
        return RowChange(row.position, activity=body)
    return RowChange(
        row.position,
        activity=None,
        status=RowStatus.INVALID,
        error_code="invalid",
        error=described(mapped),
        changed_at=at,
    )


def pending_rows(rows: BatchRows) -> int:
    """How many rows are to be sent."""
    return rows.counts().get(RowStatus.PENDING, 0)
