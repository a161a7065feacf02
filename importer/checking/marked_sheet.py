"""A copy of a sheet with the bad cells coloured and the reasons as comments: `check --report FILE.xlsx`.

Rows keep their numbers and cells their kinds, so that the copy can be corrected and imported; a second
worksheet lists what was found, and both have a filter. It is written beside its place and renamed when it is
whole; it never replaces anything but an earlier copy of this kind.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import xlsxwriter

from importer.atomic_file import Draft, absolute, draft_beside
from importer.checking.survey import Survey
from importer.errors import SettingsError, SheetError
from importer.findings import CellFinding
from importer.results.workbook import CELL_MAX_CHARACTERS, FITTED_ROWS, CellWriter, ColumnWidths
from importer.sheets.rows import ErrorCell, Row, column_letters
from importer.sheets.sheet import COLUMNS_MAX, PROBLEM_LIST, ROWS_MAX, Sheet

SUFFIX: Final = ".xlsx"
MARK: Final = "importer check: marked copy"
BAD_COLOUR: Final = "#FFC7CE"
COMMENTS_MOST: Final = 20_000
LISTED_MOST: Final = 20_000
LIST_HEADINGS: Final = ("Row", "Cell", "Severity", "Column", "Shows", "What was found", "What to do", "Kind")
COMMENT_LENGTH_MOST: Final = 1_000


@contextmanager
def marked_sheet(path: Path, sheet: Sheet) -> Iterator[MarkedSheet]:
    """The copy while it is written; without `finish` nothing is left behind.

    Raises SettingsError or FileError for a place that cannot be used, SheetError for a sheet that no
    worksheet can hold.
    """
    _check_place(path, sheet.path)
    with (
        tempfile.TemporaryDirectory(prefix="importer-") as folder,
        draft_beside(path, source=sheet.path) as draft,
    ):
        yield MarkedSheet(path, sheet, draft, folder)


class MarkedSheet:
    """What `marked_sheet` gives. folder: for temporary files."""

    def __init__(self, path: Path, sheet: Sheet, draft: Draft, folder: str) -> None:
        self._path, self._source, self._draft = path, sheet, draft
        self._widths = ColumnWidths()
        self._rows = self._comments = self._last_row = 0
        self._listed: list[tuple[str, ...]] = []
        options = {"constant_memory": True, "tmpdir": folder, "strings_to_urls": False}
        self._book = xlsxwriter.Workbook(draft.stream, options)
        self._book.set_properties({"comments": MARK})
        self._sheet = self._book.add_worksheet(_sheet_name(sheet.name))
        self._cells = CellWriter(self._book, self._sheet)
        self._bold = self._book.add_format({"bold": True})
        self._sheet.freeze_panes(sheet.header_row, 0)
        self._widths.see(sheet.header)
        for column, heading in enumerate(sheet.header):
            self._sheet.write_string(sheet.header_row - 1, column, heading[:CELL_MAX_CHARACTERS], self._bold)

    def __repr__(self) -> str:
        return f"<MarkedSheet {self._path}, {self._comments} comments>"

    def write(self, row: Row, problems: Sequence[CellFinding]) -> None:
        """The next row, its bad cells marked; a problem of the whole row stands right of the last heading,
        where it keeps the row from being imported until somebody has looked."""
        if row.number > ROWS_MAX:
            raise SheetError(
                f"The sheet has more than the {ROWS_MAX:,} rows that a workbook can hold.",
                where=self._source.place(row.number),
                remedy="Split the sheet, or check it without --report.",
            )
        reasons: dict[int, list[str]] = {}
        beside = min(len(self._source.header), COLUMNS_MAX - 1)
        for problem in problems:
            at = beside if problem.index is None else problem.index
            reasons.setdefault(at, []).append(f"{problem.message} {problem.remedy}".strip())
        cells = row.cells if row.problem is None else (*row.cells[:beside], row.problem)
        for problem in problems[: LISTED_MOST - len(self._listed)]:
            place = "" if problem.index is None else f"{column_letters(problem.index)}{row.number}"
            about = (problem.column or "", problem.value, problem.message, problem.remedy, problem.kind)
            self._listed.append((str(row.number), place, "problem", *about))
        self._last_row = row.number
        self._rows += 1
        if self._rows <= FITTED_ROWS:
            self._widths.see(row.cells)
        for column, cell in enumerate(cells):
            if cell or column in reasons:
                self._cell(row.number - 1, column, cell, bad=column in reasons)
        for column, texts in reasons.items():
            self._comment(row.number - 1, column, "\n".join(texts))

    def finish(self, survey: Survey) -> None:
        """Add the list of what was found, and put the copy in its place."""
        self._widths.apply(self._sheet)
        columns = max(len(self._source.header), 1)
        # Excel's filter goes by colour, too: "Filter by colour" shows the marked cells alone.
        self._sheet.autofilter(self._source.header_row - 1, 0, max(self._last_row - 1, 1), columns - 1)
        self._write_list(survey)
        self._book.close()
        try:
            self._draft.put(absolute(self._path))
        except PermissionError as error:
            raise SettingsError(
                "The earlier marked copy cannot be replaced.",
                where=str(self._path),
                remedy="Close it in Excel, or choose another place for --report.",
            ) from error

    def _write_list(self, survey: Survey) -> None:
        """One line for each problem, and for the first cells of each question and notice."""
        lines = self._listed
        for findings in (survey.questions, survey.notices):
            for found in findings.all():
                about = (found.column or "", found.value, found.message, found.remedy, found.kind)
                for row, cell in zip(found.rows, found.cells, strict=True):
                    lines.append((str(row or ""), cell, found.severity.value, *about))
        page = self._book.add_worksheet(PROBLEM_LIST)
        widths = ColumnWidths()
        for number, texts in enumerate((LIST_HEADINGS, *lines[:LISTED_MOST])):
            if number <= FITTED_ROWS:
                widths.see(texts)
            for column, text in enumerate(texts):
                look = self._bold if number == 0 else None
                if column == 0 and text.isdecimal():
                    page.write_number(number, column, int(text))
                else:
                    page.write_string(number, column, text[:CELL_MAX_CHARACTERS], look)
        page.freeze_panes(1, 0)
        page.autofilter(0, 0, max(len(lines), 1), len(LIST_HEADINGS) - 1)
        widths.apply(page)

    def _cell(self, row: int, column: int, cell: str, *, bad: bool) -> None:
        look = BAD_COLOUR if bad else ""
        if isinstance(cell, ErrorCell):
            self._cells.error(row, column, cell, look)
        elif cell:
            self._cells.write(row, column, cell, look)
        else:
            self._sheet.write_blank(row, column, None, self._cells.format("", "General", look))

    def _comment(self, row: int, column: int, text: str) -> None:
        # Comments are held in memory until the end, and a file with a million of them opens nowhere.
        self._comments += 1
        if self._comments <= COMMENTS_MOST:
            shown = text[:COMMENT_LENGTH_MOST]
            height = 18 * (2 + len(shown) // 40)
            self._sheet.write_comment(
                row, column, shown, {"author": "importer", "width": 280, "height": height}
            )


def _check_place(path: Path, source: Path) -> None:
    """Raises SettingsError unless the copy may be written to `path`."""
    where = str(path)
    if path.suffix.casefold() != SUFFIX:
        raise SettingsError(
            "The marked copy is a workbook.", where=where, remedy=f"Give --report a name in {SUFFIX}."
        )
    if source.exists() and path.exists() and path.samefile(source):
        raise SettingsError(
            "That is the file that is being checked.", where=where, remedy="Give --report another name."
        )
    if path.exists() and not _is_ours(path):
        raise SettingsError(
            "There is a file already, and it is not an earlier marked copy.",
            where=where,
            remedy="Give --report another name, or move that file away.",
        )


def _is_ours(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive, archive.open("docProps/core.xml") as part:
            return MARK.encode("ascii") in part.read(100_000)
    except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return False


def _sheet_name(name: str | None) -> str:
    """As in the source; a text file's has none, and what Excel would refuse is replaced."""
    kept = "".join("_" if character in "[]:*?/\\" else character for character in name or "Sheet1")
    return kept[:31].strip("'") or "Sheet1"
