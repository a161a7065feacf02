"""The results file, read: which batch it belongs to, and its lines as a person left them.

A results file comes back through other programs: with another delimiter, in another encoding, with columns
moved or removed, rows sorted or filtered. Our columns are found by their names, rows by `import_row`.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from importer.errors import ResultsError, SheetError
from importer.results.result_line import COLUMNS, NEEDED, SHEET_NAME, is_results_header
from importer.results.workbook_cells import ERROR_WORDS
from importer.sheets import open_sheet
from importer.sheets.detect import find_kind
from importer.sheets.dialect import separator_line
from importer.sheets.encoding import UnknownEncodingError
from importer.sheets.kinds import Kind
from importer.sheets.rows import Cells, ErrorCell
from importer.sheets.sheet import Sheet, SheetOptions
from importer.store.records import is_batch_id
from importer.text import quoted

PEEK_BYTES: Final = 1 << 20
PEEK_ROWS: Final = 1_000

_MARKS: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_BESIDE_OURS: Final = re.compile(
    rf"(?:^|[^a-z_])(?:{'|'.join(COLUMNS)})\"?([^a-z0-9_\"\s]|\t)"
    rf"|(?:^|([^a-z0-9_\"\s]|\t))\"?(?:{'|'.join(COLUMNS)})\b",
    re.IGNORECASE,
)


class OurCells(NamedTuple):
    """What a line holds in our columns, trimmed; None where the file no longer has the column."""

    row: str | None
    status: str | None
    activity_id: str | None
    error_code: str | None
    error: str | None
    attempts: str | None
    time: str | None
    batch: str | None


class FileLine(NamedTuple):
    """One line. place: the row number of the line in this file. cells: as long as `ResultsFile.header`."""

    place: int
    ours: OurCells
    cells: Cells


class ResultsFile:
    """A results file, opened. A context manager; `lines()` can be asked for again and again.

    header: headings of the columns that are not ours, in the file's order. batch: the first one named.
    absent: those of our columns that the file no longer has.
    """

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self.path = sheet.path
        self.family = sheet.family
        self.delimiter = sheet.delimiter
        self._places = _places(sheet.header)
        ours = set(self._places.values())
        self._rest = tuple(index for index in range(len(sheet.header)) if index not in ours)
        self.header = tuple(sheet.header[index] for index in self._rest)
        self.absent = tuple(name for name in COLUMNS if name not in self._places)
        self.batch = self._first_batch()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._sheet.close()

    def place(self, row: int) -> str:
        """Where a line is, for a message."""
        return self._sheet.place(row)

    def lines(self) -> Iterator[FileLine]:
        """The lines in the file's order. Raises ResultsError for one whose values may have moved."""
        places = [self._places.get(name) for name in COLUMNS]
        rest = self._rest
        in_order = rest == tuple(range(len(COLUMNS), len(COLUMNS) + len(rest)))
        workbook = self.family == "workbook"
        for row in self._sheet.rows():
            if row.problem is not None:
                raise ResultsError(row.problem, where=self.place(row.number))
            ours = OurCells._make(None if at is None else row.cells[at].strip() for at in places)
            cells = row.cells[len(COLUMNS) :] if in_order else tuple(row.cells[at] for at in rest)
            if workbook and ours.status == "invalid":
                cells = tuple(_error_again(cell) for cell in cells)
            yield FileLine(row.number, ours, cells)

    def _first_batch(self) -> str:
        if not is_results_header(self._sheet.header):
            missing = " or ".join(name for name in NEEDED if name in self.absent)
            raise ResultsError(
                f"This is not a results file: it has no column {missing}.",
                where=self.path.name,
                remedy="Name the results file that `run` wrote, the batch's id, or the sheet itself.",
            )
        for line in itertools.islice(self.lines(), PEEK_ROWS):
            if line.ours.batch and is_batch_id(line.ours.batch):
                return line.ours.batch
            if line.ours.batch:
                raise ResultsError(
                    f"{quoted(line.ours.batch)} in import_batch is not a batch's id.",
                    where=self.place(line.place),
                    remedy="Use the results file as it was written.",
                )
        raise ResultsError(
            "No line of this results file names its batch in import_batch.",
            where=self.path.name,
            remedy="Name the batch's id instead (`importer status` lists them).",
        )


def read_results(path: Path) -> ResultsFile:
    """Opens a results file as any program may have saved it; text that is not UTF-8 is cp1252, unasked.

    Raises SheetError when it cannot be read at all, ResultsError when it is not one of ours.
    """
    sheet = _open(path)
    try:
        return ResultsFile(sheet)
    except BaseException:
        sheet.close()
        raise


def batch_id_in(path: Path) -> str | None:
    """The batch that a results file names in its first lines; None for any other file. Reads only those."""
    try:
        if find_kind(path) is Kind.TEXT:
            return _batch_among(_first_records(path))
        with _open(path) as sheet:
            return ResultsFile(sheet).batch
    except (SheetError, ResultsError, OSError, csv.Error, ValueError):
        return None


def _open(path: Path) -> Sheet:
    kind = find_kind(path)
    if kind is not Kind.TEXT:
        try:
            return open_sheet(path, SheetOptions(sheet=SHEET_NAME, hidden="include"))
        except SheetError:  # renamed, or the only one
            return open_sheet(path, SheetOptions(hidden="include"))
    delimiter = _delimiter(_head(path))
    try:
        return open_sheet(path, SheetOptions(delimiter=delimiter))
    except UnknownEncodingError:
        pass
    try:
        return open_sheet(path, SheetOptions(delimiter=delimiter, encoding="cp1252"))
    except SheetError:  # five bytes mean nothing in cp1252: another Windows code page, see `respelling`
        return open_sheet(path, SheetOptions(delimiter=delimiter, encoding="iso-8859-1"))


def _error_again(cell: str) -> str:
    """An error value as the source had it: it was written as the text that is seen."""
    if cell in ERROR_WORDS and not isinstance(cell, ErrorCell):
        return ErrorCell(cell, "Excel shows an error in this cell. Put a value there.")
    return cell


def _places(header: Sequence[str]) -> dict[str, int]:
    """Our columns by name, the first of each name: a source may have headings of the same name."""
    places: dict[str, int] = {}
    for index, heading in enumerate(header):
        name = heading.strip().lower()
        if name in COLUMNS:
            places.setdefault(name, index)
    return places


def _batch_among(records: Iterable[Sequence[object]]) -> str | None:
    """The first batch in the records, of which the first is the header."""
    reader = iter(records)
    places = _places([str(heading or "") for heading in next(reader, ())])
    if not is_results_header(places):
        return None
    at = places["import_batch"]
    found = (
        str(record[at] or "").strip() for record in itertools.islice(reader, PEEK_ROWS) if len(record) > at
    )
    batch = next(filter(None, found), "")
    return batch if is_batch_id(batch) else None


def _head(path: Path) -> list[str]:
    """The first lines of a text file, `sep=` left out; good enough to find ASCII in, in any encoding."""
    with path.open("rb") as stream:
        head = stream.read(PEEK_BYTES)
    codec = next((name for mark, name in _MARKS if head.startswith(mark)), "latin-1")
    lines = head.decode(codec, "replace").splitlines(keepends=True)
    return lines[1:] if lines and separator_line(lines[0]) else lines


def _delimiter(lines: Sequence[str]) -> str | None:
    """What is beside our own headings; None if none of them is in the first line."""
    found = _BESIDE_OURS.search(lines[0]) if lines else None
    return None if found is None else found.group(1) or found.group(2)


def _first_records(path: Path) -> Iterator[list[str]]:
    lines = _head(path)
    return csv.reader(lines, delimiter=_delimiter(lines) or ",")
