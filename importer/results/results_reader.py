"""The results file: what its lines are, and how they are read back.

It comes back through other programs: with another delimiter, in another encoding, with columns moved or
removed, rows sorted or filtered. Our columns are found by their names, the sheet's by their headings, rows by
`import_row`.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from importer.errors import ResultsError, SheetError
from importer.mapping.choices import folded
from importer.results.respelling import is_respelling
from importer.sheets import open_sheet
from importer.sheets.detect import Kind, find_kind
from importer.sheets.encoding import UnknownEncodingError
from importer.sheets.rows import ERROR_WORDS, Cells, ErrorCell
from importer.sheets.sheet import Sheet, SheetOptions
from importer.sheets.text import separator_line
from importer.store.records import StoredRow, is_batch_id
from importer.text import no_formula, one_line, quoted


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


COLUMNS: Final = tuple(f"import_{name}" for name in OurCells._fields)
"""Our columns, in the order in which they are written, before the source's."""
NEEDED: Final = ("import_row", "import_batch")
"""Without these two a line belongs to no row; people delete the others."""

SHEET_NAME: Final = "Results"
PROGRESS_ROWS: Final = 1_000
"""Progress is reported so often."""
ERROR_MAX_CHARACTERS: Final = 2_000
CODE_MAX_CHARACTERS: Final = 200
PEEK_BYTES: Final = 1 << 20
PEEK_ROWS: Final = 1_000

_MARKS: Final = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_BESIDE_OURS: Final = re.compile(
    rf"(?:^|[^a-z_])(?:{'|'.join(COLUMNS)})\"?([^a-z0-9_\"\s]|\t)"
    rf"|(?:^|([^a-z0-9_\"\s]|\t))\"?(?:{'|'.join(COLUMNS)})\b",
    re.IGNORECASE,
)
_WHOLE: Final = re.compile(r"(\d{1,9})(?:[.,]0+)?", re.ASCII)
_GROUPED: Final = re.compile(r"\d{1,3}(?:[.,' \u00a0\u202f]\d{3}){1,2}")


class FileLine(NamedTuple):
    """One line. place: the row number of the line in this file. cells: as long as `ResultsFile.header`."""

    place: int
    ours: OurCells
    cells: Cells


def our_cells(row: StoredRow, batch: str) -> tuple[int | str, ...]:
    """What is written in our columns: texts are one line of bounded length that is not a formula."""
    return (
        row.number,
        row.status.shown,
        row.activity_id or "",
        no_formula(one_line(row.error_code, CODE_MAX_CHARACTERS)),
        no_formula(one_line(row.error, ERROR_MAX_CHARACTERS)),
        row.attempts,
        row.changed_at,
        batch,
    )


def is_results_header(header: Iterable[str]) -> bool:
    """Whether a sheet with these headings is a results file: the one rule. `run`, `check` and `init` refuse
    it and name `resume`; `resume` demands it."""
    return {heading.strip().lower() for heading in header}.issuperset(NEEDED)


class ResultsFile:
    """A results file, opened by `read_results`; `lines()` can be asked for again and again.

    header: headings of the columns that are not ours, in the file's order. batch: the first one named.
    """

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self.path = sheet.path
        self.family = sheet.family
        self.delimiter = sheet.delimiter
        names = [heading.strip().lower() for heading in sheet.header]
        # The first of each name: a source may have headings of the same name.
        self._places = [names.index(name) if name in names else None for name in COLUMNS]
        self._rest = tuple(index for index in range(len(names)) if index not in self._places)
        self.header = tuple(sheet.header[index] for index in self._rest)
        self.batch = self._first_batch()

    def place(self, row: int) -> str:
        """Where a line is, for a message."""
        return self._sheet.place(row)

    def lines(self) -> Iterator[FileLine]:
        """The lines in the file's order. Raises ResultsError for one whose values may have moved."""
        rest = self._rest
        for row in self._sheet.rows():
            if row.problem is not None:
                raise ResultsError(row.problem, where=self.place(row.number))
            ours = OurCells._make(None if at is None else row.cells[at].strip() for at in self._places)
            cells = tuple([row.cells[at] for at in rest])
            if self.family == "workbook" and ours.status == "invalid":
                cells = tuple(map(_error_again, cells))
            yield FileLine(row.number, ours, cells)

    def _first_batch(self) -> str:
        if not is_results_header(self._sheet.header):
            missing = " or ".join(name for name in NEEDED if self._places[COLUMNS.index(name)] is None)
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


@contextmanager
def read_results(path: Path) -> Iterator[ResultsFile]:
    """Opens a results file as any program may have saved it; text that is not UTF-8 is cp1252, unasked.

    Raises SheetError when it cannot be read at all, ResultsError when it is not one of ours.
    """
    with _open(path) as sheet:
        yield ResultsFile(sheet)


def batch_id_in(path: Path) -> str | None:
    """The batch that a results file names in its first lines; None for any other file."""
    try:
        with read_results(path) as file:
            return file.batch
    except (SheetError, ResultsError, OSError):
        return None


def _open(path: Path) -> Sheet:
    if find_kind(path) is not Kind.TEXT:
        try:
            return open_sheet(path, SheetOptions(sheet=SHEET_NAME, hidden="include"))
        except SheetError:  # renamed, or the only one
            return open_sheet(path, SheetOptions(hidden="include"))
    delimiter = _delimiter(path)
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


def _delimiter(path: Path) -> str | None:
    """What is beside our own headings in a text's first line (`sep=` left out), whatever its encoding: they
    are ASCII. None if none of them is there."""
    with path.open("rb") as stream:
        head = stream.read(PEEK_BYTES)
    codec = next((name for mark, name in _MARKS if head.startswith(mark)), "latin-1")
    lines = [line for line in head.decode(codec, "replace").splitlines()[:2] if not separator_line(line)]
    found = _BESIDE_OURS.search(lines[0]) if lines else None
    return None if found is None else found.group(1) or found.group(2)


def align(
    header: Sequence[str], found: Sequence[str], where: str
) -> tuple[tuple[int | None, ...], list[str]]:
    """Which column of the file holds each of the sheet's, None where it is gone; and what to say of columns
    that went, and that came.

    header: the sheet's headings. found: the file's, without ours; moved, respelt, removed or added ones.
    Raises ResultsError where a heading that the sheet has several times is there less often in the file: it
    is not known which column was removed.
    """
    wanted, offered = list(map(folded, header)), list(map(folded, found))
    for name, count in Counter(wanted).items():
        if count > 1 and offered.count(name) < count:
            shown, left = header[wanted.index(name)], offered.count(name)
            raise ResultsError(
                f'The sheet has {count} columns headed "{shown}", the file {left}: which is which?',
                where=where,
                remedy="Put the missing one back, or start from the results file as it was written.",
            )
    places: dict[str, list[int]] = {}
    for index, name in enumerate(offered):
        places.setdefault(name, []).append(index)
    at: list[int | None] = [places[name].pop(0) if places.get(name) else None for name in wanted]
    free = sorted(index for indices in places.values() for index in indices)
    for column, place in enumerate(at):
        respelt = (index for index in free if found[index] and is_respelling(header[column], found[index]))
        if place is None and (near := next(respelt, None)) is not None:
            at[column] = near
            free.remove(near)
    gone = [
        f'The column "{header[column]}" is gone: its cells stay as they were.'
        for column, place in enumerate(at)
        if place is None
    ]
    new = [
        f'The column "{found[index]}" is not of the sheet: it is not looked at.'
        for index in free
        if found[index]
    ]
    return tuple(at), gone + new


def row_number(text: str | None) -> int | None:
    """The row that `import_row` names, however a spreadsheet writes it (`17`, `17.0`, `1,017`); else None."""
    if not text:
        return None
    if match := _WHOLE.fullmatch(text):
        return int(match.group(1))
    return int(re.sub(r"\D", "", text)) if _GROUPED.fullmatch(text) else None
