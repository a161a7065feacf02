"""From a sheet and its mapping to a journal that is whole: every row read, mapped, and counted.

What a batch *is* for the ledger is decided here: two digests, of the ordered activities and of the ordered
source cells as they are seen. Nothing here knows of the network; lookups are answered by whoever stages.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from importer.activity import Activity, fingerprint
from importer.checking.survey import Survey
from importer.findings import CellFinding
from importer.journal.draft import JournalDraft
from importer.journal.journal import Journal, JournalRow, RowStatus, StagedRow
from importer.mapping.references import Lookup, Resolved
from importer.mapping.row_mapper import RowMapper
from importer.sheets.rows import CellsDigest, Row, decode_cells, encode_cells
from importer.sheets.sheet import Sheet

CHUNK_ROWS: Final = 1_000
REHEARSAL: Final = "sandbox-"
Progress = Callable[[int], None]
Asked = dict[Lookup, dict[str, str]]
"""Lookup → key of a value → the value as the sheet spells it."""


@dataclass(frozen=True, slots=True)
class Digests:
    """What a sheet is, whatever it is called: hexadecimal, of its activities and of its cells, in order."""

    content: str
    source_cells: str


def batch_id(started: datetime, *, rehearsal: bool) -> str:
    """`b20261123-210501-7f3a9c`: a letter first, so that Excel leaves it be; then the UTC start."""
    prefix = REHEARSAL if rehearsal else "b"
    return f"{prefix}{started.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def described(problems: Iterable[CellFinding]) -> str:
    """A row's problems as one line for the results file."""
    return " ".join(str(problem) for problem in problems)


def stage(
    draft: JournalDraft, sheet: Sheet, mapper: RowMapper, survey: Survey, *, at: str, progress: Progress
) -> Digests:
    """Reads and maps every row into `draft`. Lookups stay open (see `map_again`).

    at: UTC, ISO 8601. Raises SheetError where the file turns out to be damaged.
    """
    cells_digest = CellsDigest()
    content = ContentDigest()

    def staged() -> Iterator[StagedRow]:
        for row in sheet.rows():
            mapped = mapper.map(row)
            survey.take(row, mapped)
            staged_row = _staged(row, mapped, content)
            cells_digest.add(row.cells, staged_row.cells)
            yield staged_row
            if survey.rows % CHUNK_ROWS == 0:
                progress(survey.rows)

    draft.add(staged(), at)
    survey.close(sheet)
    progress(survey.rows)
    return Digests(content.hexdigest(), cells_digest.hexdigest())


class ContentDigest:
    """Of ordered activities: what a re-saved or renamed copy of a sheet still has in common with it."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=32)

    def add(self, body: bytes) -> None:
        self._hash.update(fingerprint(body))

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _staged(row: Row, mapped: Activity | list[CellFinding], content: ContentDigest) -> StagedRow:
    cells = encode_cells(row.cells)
    if isinstance(mapped, Activity):
        body = mapped.encoded()
        content.add(body)
        return StagedRow(row.number, cells, body, None, RowStatus.PENDING)
    return StagedRow(row.number, cells, None, row.problem, RowStatus.INVALID, "invalid", described(mapped))


def asked(journal: Journal, mapper: RowMapper) -> Asked:
    """The distinct values that the rows of a draft ask for, as they are spelt first."""
    values: Asked = {}
    for row in journal.rows():
        for lookup, value in mapper.lookup_values(source_row(row)):
            values.setdefault(lookup, {}).setdefault(lookup.key(value), value)
    return values


def map_again(
    journal: Journal, mapper: RowMapper, resolved: Resolved, survey: Survey, *, at: str, progress: Progress
) -> Digests:
    """Maps the rows of a draft once more, now that its lookups are answered. survey: of their staging.

    A row that was invalid stays invalid: what its file showed of it is not kept with the row.
    """
    content = ContentDigest()
    cells_digest = CellsDigest()
    after = 0
    while chunk := journal.chunk(None, after, CHUNK_ROWS):
        changes = []
        after = chunk[-1].position
        for row in chunk:
            source = source_row(row)
            cells_digest.add(source.cells, row.cells)
            mapped = mapper.map(source, resolved)
            was_valid = row.status is RowStatus.PENDING
            survey.looked_up(row.number, mapped, was_valid=was_valid)
            if isinstance(mapped, Activity) and not was_valid:
                continue
            one = _staged(source, mapped, content)
            changes.append((one.activity, one.status, one.error_code, one.error, at, row.position))
        with journal.change() as connection:
            connection.executemany(
                "UPDATE row SET activity = ?, status = ?, error_code = ?, error = ?, changed_at = ?"
                " WHERE position = ?",
                changes,
            )
        progress(after)
    return Digests(content.hexdigest(), cells_digest.hexdigest())


def source_row(row: JournalRow) -> Row:
    """The source's row, as the journal keeps it."""
    return Row(row.number, decode_cells(row.cells), row.problem)
