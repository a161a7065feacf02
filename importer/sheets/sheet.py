"""What every format family offers: a `Sheet` with a header and a restartable stream of rows; which one of a
workbook is read.
"""

from __future__ import annotations

import difflib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from importer.errors import SheetError
from importer.findings import CellFinding, Severity
from importer.sheets.rows import ErrorCell, Row, column_letters
from importer.text import listed, quoted

Family = Literal["text", "workbook"]

COLUMNS_MAX: Final = 16_384
"""Excel's own limit (XFD)."""

ROWS_MAX: Final = 1_048_576
"""Excel's own limit of a worksheet. Text files may be longer."""


UNTICKED: Final = frozenset(("", "FALSE"))
BLANK_ROWS_MAX: Final = 10_000
"""So many blank rows on end are the end of a worksheet's table."""


@dataclass(frozen=True, slots=True)
class SheetOptions:
    """How a spreadsheet is to be read; None means: find out, and refuse where that would be a guess.

    sheet: name of the worksheet (compared without regard to case and outer spaces).
    encoding: of a text file, a name that Python knows.
    delimiter: one character, or `tab`, `comma`, `semicolon`, `pipe`.
    header_row: row that holds the headings, as Excel numbers it (1 if None).
    hidden: whether rows that a filter hides are rows; None reads them, and `Sheet.hidden_rows` says how
        many there are, so that the caller can ask.
    """

    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header_row: int | None = None
    hidden: Literal["include", "skip"] | None = None


class Sheet(ABC):
    """One sheet of a file, opened and checked. A context manager; `close` ends every running `rows()`.

    path: the file. name: the worksheet's name, None for text. family: decides the results file's format.
    header: headings as shown, trimmed, one for each column from A on; empty and repeated ones are possible.
    header_row: its row number. delimiter, encoding: of a text file, as found or as specified.
    hidden_rows: rows with content below the header that a filter (or a person) hides.
    sheet_names: the visible worksheets. warnings: what a person should know before trusting the rows.
    """

    family: Family
    name: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    hidden_rows: int = 0
    sheet_names: tuple[str, ...] = ()

    def __init__(self, path: Path, how: SheetOptions) -> None:
        self.path = path
        self.how = how
        self.header: tuple[str, ...] = ()
        self.header_row = 1 if how.header_row is None else how.header_row
        if not 1 <= self.header_row <= ROWS_MAX:
            raise SheetError(
                f"The header cannot be in row {self.header_row}.",
                where=path.name,
                remedy="`header_row` is the row number as Excel shows it, 1 or more.",
            )
        self.warnings: list[str] = []
        self._unfilled: list[Row] = []
        self.computed: set[int] = set()
        """Rows in which only formulas have a value, and that is 0 or an error."""
        self._stamp = stamp(path)

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """Rows below the header, in order, blank ones left out. Each call begins again.

        Raises SheetError, possibly after thousands of rows, where the file turns out to be damaged.
        """

    def closing_findings(self) -> list[tuple[int, CellFinding]]:
        """What is known only once every row was read (`rows()` to its end): (row number, finding); 0 stands
        for
        the whole column or sheet."""
        if not self._unfilled:
            return []
        first, last = self._unfilled[0], self._unfilled[-1]
        index = next(at for at, cell in enumerate(first.cells) if cell)
        boxes = all({*row.cells, ""} == UNTICKED for row in self._unfilled)
        what, how = ("FALSE", "a checkbox was") if boxes else ("results of formulas", "formulas were")
        numbers = f"row {first.number}" if first is last else f"rows {first.number} to {last.number}"
        finding = CellFinding(
            Severity.NOTICE, None, None, kind="only-checkboxes", value=str(first.cells[index]),
            message=f"Below the data, in {numbers}, there is nothing but {what}, as in the column"
            f" {quoted(self.header[index])}: {how} filled down. They are not rows.",
            remedy="If they are, fill in their other cells.",
        )  # fmt: skip
        return [(0, finding)]

    def without_unfilled(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The rows without those at the end in which only checkboxes and formulas have a value, and that is
        FALSE, 0 or an error."""
        self._unfilled = []
        self.computed.clear()
        held: list[Row] = []
        any_row = False
        for row in rows:
            cells = row.cells
            if (
                cells[0] in UNTICKED
                and row.problem is None
                and (
                    (len(cells) > 1 and {*cells, ""} == UNTICKED) or (any_row and row.number in self.computed)
                )
            ):
                held.append(row)
                continue
            any_row = True
            if held:
                yield from held
                held.clear()
            yield row
        self._unfilled = held

    @abstractmethod
    def close(self) -> None:
        """Release every file handle; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.place()} header_row={self.header_row} columns={len(self.header)}>"
        )

    def place(self, row: int | None = None, column: int | None = None) -> str:
        """Where something is, for a message: file, sheet, row as Excel numbers it, column letters."""
        return place(self.path, self.name, row, column)

    def check_unchanged(self) -> None:
        """Raises SheetError when the file is no longer the one that was opened and checked."""
        if stamp(self.path) != self._stamp:
            raise SheetError(
                "The file was changed while it was being read.",
                where=self.path.name,
                remedy="Close it in other programs and start again.",
            )

    def adopt_header(self, cells: Sequence[str], first_filled: int | None) -> None:
        """Take `cells` as the header: trimmed, without empty ones at the end.

        first_filled: the first row of the sheet with content, named if the header's row is empty.
        """
        headings = [str(cell).strip() for cell in cells]
        while headings and not headings[-1]:
            headings.pop()
        if not headings:
            raise self._no_header(first_filled)
        if len(headings) > COLUMNS_MAX:
            raise SheetError(
                f"The header has {len(headings):,} columns; Excel's limit is {COLUMNS_MAX:,}.",
                where=self.place(self.header_row),
                remedy="Save the sheet again from the program it came from.",
            )
        self.header = tuple(headings)

    def _no_header(self, first_filled: int | None) -> SheetError:
        if first_filled is None:
            return SheetError(
                "The sheet is empty.",
                where=self.place(),
                remedy="Choose a file (or sheet) with a header and rows.",
            )
        if first_filled > self.header_row + BLANK_ROWS_MAX:
            remedy = f"There is something in row {first_filled:,} only: delete what is there by mistake."
        elif first_filled > self.header_row:
            remedy = (
                f"The first row with content is {first_filled}: set `header_row: {first_filled}` in the"
                " mapping."
            )
        else:
            remedy = "Set the row of the headings in the mapping, for example `header_row: 1`."
        return SheetError(
            f"Row {self.header_row}, where the headings should be, is empty.",
            where=self.place(),
            remedy=remedy,
        )

    def surplus(self, number: int, cells: Iterable[tuple[int, str]]) -> str | None:
        """The `Row.problem` of a row with content right of the last heading. cells: with their index, in
        order."""
        for index, cell in cells:
            if index >= len(self.header) and (cell.strip() or isinstance(cell, ErrorCell)):
                return (
                    f"Cell {column_letters(index)}{number} holds {quoted(cell)}, but the headings end at"
                    f" column {column_letters(len(self.header) - 1)}: the row's values may have moved. Put"
                    " each value under its heading, or give that column a heading."
                )
        return None

    def far_below(self, last: int, what: str) -> SheetError:
        """The error of content so far below the table that it may not belong to it."""
        return SheetError(
            f"The table ends in row {last}, but {what}, over {BLANK_ROWS_MAX:,} blank rows below it.",
            where=self.place(),
            remedy="Delete it if it is there by mistake (Ctrl+End shows it); if it belongs to the table,"
            " delete the blank rows.",
        )


def place(path: Path, sheet: str | None = None, row: int | None = None, column: int | None = None) -> str:
    """`visits.xlsx, sheet "Calls", cell D17`, with what of it is known."""
    parts = [path.name]
    if sheet is not None:
        parts.append(f'sheet "{sheet}"')
    if row is not None and column is not None:
        parts.append(f"cell {column_letters(column)}{row}")
    elif row is not None:
        parts.append(f"row {row}")
    return ", ".join(parts)


def stamp(path: Path) -> tuple[int, int]:
    """Size and time of change: differs once somebody saved the file again. Raises SheetError."""
    try:
        found = path.stat()
    except OSError as error:
        raise unreadable(path, error) from error
    return found.st_size, found.st_mtime_ns


def unreadable(path: Path, error: OSError | MemoryError) -> SheetError:
    """A clear error for what the operating system said about the file."""
    match error:
        case MemoryError():
            what, remedy = "The file needs more memory than there is.", "Save it as CSV UTF-8, or split it."
        case FileNotFoundError():
            what, remedy = "There is no such file.", "Check the name and the folder."
        case PermissionError():
            what = "The file may not be read."
            remedy = "Close it in other programs, or have the right to read it given to you."
        case IsADirectoryError():
            what, remedy = "This is a folder, not a file.", "Name the spreadsheet inside it."
        case _:
            reason = error.strerror or (os.strerror(error.errno) if error.errno else type(error).__name__)
            what = f"The file cannot be read ({reason})."
            remedy = "Copy it to a local disk and try again."
    return SheetError(what, where=str(path), remedy=remedy)


LISTED_MAX: Final = 20
PROBLEM_LIST: Final = "Importer problems"
"""The list of problems in a marked copy (`check --report`): no sheet to import, so that the copy can be."""


@dataclass(frozen=True, slots=True)
class Worksheet:
    """name: on its tab. visible: not hidden. part: the archive member that holds it (.xlsx), else empty."""

    name: str
    visible: bool
    part: str = ""


class SheetChoiceError(SheetError):
    """It takes a person to choose the worksheet. names: those to choose from, as on their tabs."""

    def __init__(self, what: str, *, where: str, remedy: str, names: tuple[str, ...]) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.names = names


def choose_sheet(path: Path, sheets: Sequence[Worksheet], wanted: str | None) -> Worksheet:
    """The worksheet to read. Raises SheetChoiceError, with the names there are, if that would be a guess.

    A hidden sheet is read only if it is named. Names match exactly, else without regard to case.
    """
    if not sheets:
        raise SheetError(
            "The workbook has no worksheet.",
            where=place(path),
            remedy="Choose a workbook with a table in it.",
        )
    visible = [sheet for sheet in sheets if sheet.visible and sheet.name != PROBLEM_LIST]
    remedy = "Name one with --sheet, or with `sheet:` in the mapping."
    if wanted is None:
        if len(visible) == 1:
            return visible[0]
        if visible:
            what = f"The workbook has {len(visible)} visible sheets: {_names(visible)}."
        else:
            what = f"Every sheet of the workbook is hidden: {_names(sheets)}."
        names = tuple(sheet.name for sheet in visible or sheets)
        raise SheetChoiceError(what, where=place(path), remedy=remedy, names=names)
    exact = [sheet for sheet in sheets if sheet.name == wanted]
    alike = [sheet for sheet in sheets if sheet.name.strip().casefold() == wanted.strip().casefold()]
    if exact or len(alike) == 1:
        return (exact or alike)[0]
    near = difflib.get_close_matches(wanted, [sheet.name for sheet in sheets], n=1)
    hint = f" Did you mean {quoted(near[0])}?" if near else ""
    raise SheetChoiceError(
        f"The workbook has no sheet {quoted(wanted)}, but {_names(visible or sheets)}.{hint}",
        where=place(path),
        remedy=remedy,
        names=tuple(sheet.name for sheet in visible or sheets),
    )


def _names(sheets: Sequence[Worksheet]) -> str:
    return listed([quoted(sheet.name) for sheet in sheets], LISTED_MAX)
