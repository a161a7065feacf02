"""From what was asked for to a staged batch: a sheet opened, every row read, mapped, and counted."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from importer.activity import Activity, fingerprint
from importer.app.options import SheetInput
from importer.atomic_file import draft_beside
from importer.checking.survey import Survey
from importer.errors import MappingError, SheetError
from importer.findings import CellFinding
from importer.mapping.choices import Lookup, Resolved
from importer.mapping.mapping import Mapping, load_mapping
from importer.mapping.row_mapper import RowMapper
from importer.results.results_reader import is_results_header
from importer.sheets import Sheet, SheetOptions, open_sheet
from importer.sheets.rows import Cells, CellsDigest, Row, decode_cells, encode_cells
from importer.store.ownership import Staging
from importer.store.records import CHUNK_ROWS, REHEARSAL, RowStatus, StoredRow

if TYPE_CHECKING:
    from pandas import DataFrame


def loaded_mapping(mapping: Path | Mapping) -> Mapping:
    """The mapping itself. Raises MappingError."""
    return mapping if isinstance(mapping, Mapping) else load_mapping(mapping)


def reading_options(sheet: SheetInput, mapping: Mapping | None) -> SheetOptions:
    """How the sheet is to be read: what was asked for first, then what the mapping has decided for good."""
    return SheetOptions(
        sheet=sheet.sheet or (mapping.sheet if mapping else None),
        encoding=sheet.encoding or (mapping.encoding if mapping else None),
        delimiter=sheet.delimiter or (mapping.delimiter if mapping else None),
        header_row=sheet.header_row or (mapping.header_row if mapping else None),
        hidden=sheet.hidden,
    )


@contextmanager
def opened_sheet(sheet: SheetInput, mapping: Mapping | None) -> Iterator[Sheet]:
    """The sheet, opened. Raises SheetError, also for a results file of ours, which belongs to a batch, and
    for what this kind of file does not have (the mapping may name it: it may serve both formats)."""
    with open_sheet(sheet.path, reading_options(sheet, mapping)) as opened:
        _refuse_unused(sheet, opened)
        if is_results_header(opened.header):
            raise SheetError(
                "This is a results file: its rows belong to a batch already.",
                where=str(sheet.path),
                remedy="Continue that batch:",
                command=("resume", str(sheet.path)),
            )
        yield opened


def _refuse_unused(sheet: SheetInput, opened: Sheet) -> None:
    is_text = opened.name is None
    for option, given, of_text in (
        ("--sheet", sheet.sheet, False),
        ("--encoding", sheet.encoding, True),
        ("--delimiter", sheet.delimiter, True),
    ):
        if given is not None and is_text is not of_text:
            here, there = ("text file", "workbook") if is_text else ("workbook", "text file")
            lacks = f"{option[2:]}s" if is_text else option[2:]
            raise SheetError(
                f"This is a {here}, which has no {lacks}: {option} is for {there}s.",
                where=str(sheet.path),
                remedy=f"Leave out {option}, or name the {there}.",
                code="usage",
            )


def bound(mapping: Mapping, opened: Sheet, sheet: SheetInput) -> RowMapper:
    """The mapper for the sheet's headings. Raises MappingError, which names the row that has them if another
    one does."""
    try:
        return mapping.bind(opened.header)
    except MappingError as error:
        row = _row_of_headings(mapping, opened, reading_options(sheet, mapping))
        if row is None:
            raise
        raise MappingError(
            f"The headings that the mapping names are in row {row}, and not in row {opened.header_row}.",
            where=opened.path.name,
            remedy=f"Set `header_row: {row}` in the mapping.",
        ) from error


def _row_of_headings(mapping: Mapping, opened: Sheet, how: SheetOptions) -> int | None:
    from importer.starter.header import find_header_row  # needed where something is wrong only

    with suppress(SheetError, MappingError):
        row = find_header_row(opened.path, replace(how, header_row=None)).row
        if row != opened.header_row:
            with open_sheet(opened.path, replace(how, header_row=row)) as other:
                mapping.bind(other.header)
            return row
    return None


def rows_of(opened: Sheet, sheet: SheetInput) -> Iterator[Row]:
    """The sheet's rows, with what was corrected on the screen in place of what the file says."""
    if not sheet.cells:
        yield from opened.rows()
        return
    corrected: dict[int, dict[int, str]] = {}
    for (number, index), text in sheet.cells.items():
        corrected.setdefault(number, {})[index] = text
    for row in opened.rows():
        yield _corrected(row, corrected[row.number]) if row.number in corrected else row


def _corrected(row: Row, by_index: dict[int, str]) -> Row:
    cells = tuple(by_index.get(index, cell) for index, cell in enumerate(row.cells))
    findings = tuple(found for found in row.findings if found.index not in by_index)
    # A row that was not understood as a whole was seen as a whole by the person who corrected it.
    return row._replace(cells=cells, problem=None, findings=findings)


def no_rows(sheet: Sheet) -> SheetError:
    """A sheet that has a header and nothing else."""
    return SheetError(
        "There are no rows below the header.",
        where=sheet.place(),
        remedy="Choose a sheet with rows, or set header_row in the mapping to the row with the headings.",
    )


def save_frame(frame: DataFrame, path: Path) -> SheetInput:
    """Writes a DataFrame as a CSV file (UTF-8), to be checked or imported like any other sheet; its results
    file goes beside it. Missing values are empty cells, dates are ISO. Raises FileError."""
    text = frame.to_csv(index=False, lineterminator="\r\n", date_format="%Y-%m-%d %H:%M:%S")
    with draft_beside(path) as draft:
        draft.stream.write(text.encode("utf-8-sig"))
        draft.put(path)
    return SheetInput(path=path)


Advance = Callable[[int], None]
"""Gets how many rows are done."""
AskedValues = dict[Lookup, dict[str, str]]
"""Lookup → key of a value → the value as the sheet spells it."""


class Digests:
    """What a sheet is, whatever it is called: of its activities and of its cells, each in order. A copy that
    was saved again, or renamed, still has them."""

    def __init__(self) -> None:
        self._content, self._cells = hashlib.blake2b(digest_size=32), CellsDigest()

    def add(self, cells: Cells, body: bytes | None, encoded: str | None = None) -> bytes | None:
        """The next row, and its activity if it has one, whose fingerprint is returned. encoded: the cells as
        `encode_cells` made them."""
        self._cells.add(cells, encoded)
        known_by = None if body is None else fingerprint(body)
        self._content.update(known_by or b"")
        return known_by

    @property
    def content(self) -> str:
        """64 characters for the activities so far."""
        return self._content.hexdigest()

    @property
    def source_cells(self) -> str:
        """64 characters for the cells so far."""
        return self._cells.hexdigest()


def new_batch_id(started: datetime, *, rehearsal: bool) -> str:
    """`b20261123-210501-7f3a9c`: a letter first, so that Excel leaves it be; then the UTC start."""
    prefix = REHEARSAL if rehearsal else "b"
    return f"{prefix}{started.astimezone(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def described(problems: Iterable[CellFinding]) -> str:
    """A row's problems as one line for the results file."""
    return " ".join(str(problem) for problem in problems)


def stage_rows(
    staging: Staging, rows: Iterable[Row], mapper: RowMapper, survey: Survey, *, at: str, advance: Advance
) -> Digests:
    """Reads and maps every row into `staging`. Lookups stay open (see `map_looked_up`).

    at: UTC, ISO 8601. Raises SheetError where the file turns out to be damaged.
    """
    digests = Digests()

    def staged() -> Iterator[StoredRow]:
        for row in rows:
            mapped = mapper.map(row)
            survey.take(row, mapped)
            one = staged_row(row, mapped)
            digests.add(row.cells, one.activity, one.cells)
            yield one
            if survey.rows % CHUNK_ROWS == 0:
                advance(survey.rows)

    staging.add(staged(), at)
    advance(survey.rows)
    return digests


def staged_row(row: Row, mapped: Activity | list[CellFinding]) -> StoredRow:
    """A row on its way into a batch."""
    cells = encode_cells(row.cells)
    if isinstance(mapped, Activity):
        return StoredRow(row.number, cells, mapped.encoded(), None, RowStatus.PENDING)
    return StoredRow(row.number, cells, None, row.problem, RowStatus.INVALID, "invalid", described(mapped))


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
) -> Digests:
    """Maps the staged rows once more, now that their lookups are answered.

    A row that was invalid stays so: it has other problems than values to be looked up.
    """
    digests = Digests()
    done = after = 0
    while chunk := staging.rows.chunk(None, after, CHUNK_ROWS):
        after = chunk[-1].position
        changes = []
        for row in chunk:
            source = source_row(row)
            mapped = mapper.map(source, resolved)
            valid = row.status is RowStatus.PENDING
            survey.looked_up(row.number, mapped, was_valid=valid)
            body = mapped.encoded() if valid and isinstance(mapped, Activity) else None
            digests.add(source.cells, body, row.cells)
            if valid:
                changes.append(_looked_up(row, mapped, body, at))
        with staging.change() as change:
            change.change_rows(changes)
        done += len(chunk)
        advance(done)
    return digests


def _looked_up(
    row: StoredRow, mapped: Activity | list[CellFinding], body: bytes | None, at: str
) -> StoredRow:
    if isinstance(mapped, Activity):
        return row._replace(activity=body)
    invalid = row._replace(activity=None, status=RowStatus.INVALID, error_code="invalid")
    return invalid._replace(error=described(mapped), changed_at=at)
