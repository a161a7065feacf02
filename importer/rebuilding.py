"""A batch whose journal is not on this computer, made anew from its results file and a mapping.

Rows that the file has as created are never sent again. Every other row is in doubt, back to the start of the
batch: it may have been sent after the file was written. Nothing in the file is then a person's word but
`skipped`, since an edited cell cannot be told from one that was always so.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from importer.activity import Activity, Marker
from importer.errors import ResultsError
from importer.journal.draft import JournalDraft
from importer.journal.journal import RowStatus, StagedRow
from importer.mapping.references import Lookup, Resolved
from importer.mapping.row_mapper import RowMapper
from importer.results.align import row_number
from importer.results.results_reader import FileLine, ResultsFile
from importer.resuming import doubt_since
from importer.sending.reconcile.normalise import id_key
from importer.sheets.rows import CellsDigest, Row, encode_cells
from importer.staging import Asked, ContentDigest, Digests, described

_STARTED: Final = re.compile(r"[a-z]+-?(\d{8}-\d{6})-[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was made: how many rows, how many of them created or in doubt."""

    digests: Digests
    rows: int
    created: int
    in_doubt: int


def started_at(batch: str) -> float:
    """When a batch was begun, from its id: Unix seconds. Raises ResultsError for an id of another shape."""
    found = _STARTED.fullmatch(batch)
    if found is None:
        raise ResultsError(
            f"{batch!r} is no batch id.",
            where="column import_batch",
            remedy="Put the id back as it was written; the run showed it, and so does its log.",
        )
    moment = dt.datetime.strptime(found[1], "%Y%m%d-%H%M%S").replace(tzinfo=dt.UTC)
    return moment.timestamp()


def asked(file: ResultsFile, mapper: RowMapper) -> Asked:
    """The distinct values that the rows ask for."""
    values: dict[Lookup, dict[str, str]] = {}
    for line in file.lines():
        for lookup, value in mapper.lookup_values(Row(line.place, line.cells)):
            values.setdefault(lookup, {}).setdefault(lookup.key(value), value)
    return values


def rebuild(
    draft: JournalDraft,
    file: ResultsFile,
    mapper: RowMapper,
    resolved: Resolved,
    *,
    marker: Marker | None,
    at: str,
    clock_s: float,
) -> Rebuilt:
    """Fills `draft` from a results file. at: UTC, ISO 8601. clock_s: the tenant's clock minus ours.

    Raises ResultsError for lines without a row number, or with one that another line has.
    """
    content, cells_digest = ContentDigest(), CellsDigest()
    seen: dict[int, int] = {}
    claimed: set[str] = set()
    since = started_at(file.batch) + clock_s

    def staged() -> Iterator[StagedRow]:
        for line in file.lines():
            number = _number(line, seen)
            mapped = mapper.map(Row(number, line.cells), resolved)
            cells_digest.add(line.cells)
            body = mapped.encoded() if isinstance(mapped, Activity) else None
            if body is not None:
                content.add(body)
            told = "" if isinstance(mapped, Activity) else described(mapped)
            yield _row(line, number, body, told, claimed)

    draft.add(staged(), at)
    journal = draft.journal()
    in_doubt = 0
    with journal.change() as connection:
        for row in journal.rows(RowStatus.PENDING):
            doubt_since(connection, row, row.activity or b"", since, marker)
            in_doubt += 1
    counts = journal.counts()
    return Rebuilt(
        Digests(content.hexdigest(), cells_digest.hexdigest()),
        sum(counts.values()),
        counts.get(RowStatus.CREATED, 0),
        in_doubt,
    )


def _number(line: FileLine, seen: dict[int, int]) -> int:
    number = row_number(line.ours.row)
    if number is None:
        raise ResultsError("This line has no row number in import_row.", where=f"line {line.place}")
    if number in seen:
        raise ResultsError(
            f"Row {number} stands in two lines ({seen[number]} and {line.place}).",
            remedy="Delete one of them.",
        )
    seen[number] = line.place
    return number


def _row(line: FileLine, number: int, body: bytes | None, told: str, claimed: set[str]) -> StagedRow:
    cells = encode_cells(line.cells)
    said = (line.ours.status or "").casefold()
    made = (line.ours.activity_id or "").strip()
    if said == "created" and made and id_key(made) not in claimed:
        claimed.add(id_key(made))
        return StagedRow(number, cells, body, None, RowStatus.CREATED, activity_id=made, attempts=1)
    if said == "skipped":
        return StagedRow(number, cells, body, None, RowStatus.SKIPPED)
    if body is None:
        return StagedRow(number, cells, None, None, RowStatus.INVALID, "invalid", told)
    return StagedRow(number, cells, body, None, RowStatus.PENDING)
