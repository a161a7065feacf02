"""A copy of a sheet with the bad cells coloured and the reasons as comments: `check --report FILE.xlsx`.

Rows keep their numbers and cells their kinds, so that the copy can be mended and imported. It is written
beside its place and renamed when it is whole; it never replaces anything but an earlier copy of this kind.
"""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import xlsxwriter

from importer.errors import SettingsError, SheetError
from importer.findings import Problem
from importer.source.rows import BooleanCell, DateCell, DurationCell, NumberCell, Row
from importer.source.sheet import ROWS_MAX, Sheet

SUFFIX: Final = ".xlsx"
MARK: Final = "importer check: marked copy"
BAD_COLOUR: Final = "#FFC7CE"
COMMENTS_MOST: Final = 20_000
COMMENT_LENGTH_MOST: Final = 1_000
CELL_LENGTH_MOST: Final = 32_767
FORMATS_MOST: Final = 200
SECONDS_A_DAY: Final = 86_400
_FIRST_DATE: Final = dt.date(1900, 3, 1)  # before it Excel's calendar has a day that never was


class MarkedSheet:
    """The copy while it is written. A context manager; without `finish` nothing is left behind.

    keep: files that must not be replaced. Raises SettingsError for a place that cannot be used, SheetError
    for a sheet that no worksheet can hold.
    """

    def __init__(self, path: Path, sheet: Sheet, *, keep: Iterable[Path]) -> None:
        _check_place(path, keep)
        self._path = path
        self._source = sheet
        self._folder = tempfile.TemporaryDirectory(prefix="importer-")
        self._part = path.with_name(f".{path.stem}.{os.getpid()}.part")
        self._comments = 0
        self._formats: dict[tuple[str, bool], Any] = {}

    def __repr__(self) -> str:
        return f"<MarkedSheet {self._path}, {self._comments} comments>"

    def __enter__(self) -> Self:
        try:
            self._part.open("wb").close()
        except OSError as error:
            self._folder.cleanup()
            raise SettingsError(
                f"The marked copy cannot be written ({error.strerror or error}).",
                where=str(self._path),
                remedy="Choose another place for --report.",
            ) from error
        options = {"constant_memory": True, "tmpdir": self._folder.name, "strings_to_urls": False}
        self._book = xlsxwriter.Workbook(str(self._part), options)
        self._book.set_properties({"comments": MARK})
        self._sheet = self._book.add_worksheet(_sheet_name(self._source.name))
        header = self._source.header_row - 1
        bold = self._book.add_format({"bold": True})
        self._sheet.freeze_panes(header + 1, 0)
        self._sheet.set_column(0, max(0, len(self._source.header) - 1), 18)
        for column, heading in enumerate(self._source.header):
            self._sheet.write_string(header, column, heading[:CELL_LENGTH_MOST], bold)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._part.unlink(missing_ok=True)
        self._folder.cleanup()

    def write(self, row: Row, problems: Sequence[Problem]) -> None:
        """The next row, its bad cells marked; a problem of the whole row marks its first cell."""
        if row.number > ROWS_MAX:
            raise SheetError(
                f"The sheet has more than the {ROWS_MAX:,} rows that a workbook can hold.",
                where=self._source.place(row.number),
                remedy="Split the sheet, or check it without --report.",
            )
        reasons: dict[int, list[str]] = {}
        for problem in problems:
            reasons.setdefault(problem.index or 0, []).append(f"{problem.message} {problem.remedy}".strip())
        for column, cell in enumerate(row.cells):
            if cell or column in reasons:
                self._cell(row.number - 1, column, cell, bad=column in reasons)
        for column, texts in reasons.items():
            self._comment(row.number - 1, column, "\n".join(texts))

    def finish(self) -> None:
        """Put the copy in its place."""
        self._book.close()
        try:
            os.replace(self._part, self._path)  # noqa: PTH105 - Path.replace does the same, less plainly
        except PermissionError as error:
            raise SettingsError(
                "The earlier marked copy cannot be replaced.",
                where=str(self._path),
                remedy="Close it in Excel, or choose another place for --report.",
            ) from error

    def _cell(self, row: int, column: int, cell: str, *, bad: bool) -> None:
        sheet = self._sheet
        match cell:
            case NumberCell():
                sheet.write_number(row, column, cell.value, self._format(cell.code, bad=bad))
            case DateCell() if _has_serial(cell.value):
                code = cell.code or _date_code(cell.value)
                sheet.write_datetime(row, column, cell.value, self._format(code, bad=bad))
            case DurationCell():
                days = cell.seconds / SECONDS_A_DAY
                sheet.write_number(row, column, days, self._format(cell.code, bad=bad))
            case BooleanCell():
                sheet.write_boolean(row, column, cell == "TRUE", self._format("General", bad=bad))
            case "":
                sheet.write_blank(row, column, None, self._format("General", bad=bad))
            case _:
                text = str(cell).encode("utf-8", "replace").decode("utf-8")[:CELL_LENGTH_MOST]
                if text.startswith("<r>"):  # xlsxwriter would take it for finished XML
                    text = f" {text}"
                sheet.write_string(row, column, text, self._format("General", bad=bad))

    def _comment(self, row: int, column: int, text: str) -> None:
        # Comments are held in memory until the end, and a file with a million of them opens nowhere.
        self._comments += 1
        if self._comments <= COMMENTS_MOST:
            shown = text[:COMMENT_LENGTH_MOST]
            height = 18 * (2 + len(shown) // 40)
            self._sheet.write_comment(
                row, column, shown, {"author": "importer", "width": 280, "height": height}
            )

    def _format(self, code: str, *, bad: bool) -> Any:  # noqa: ANN401 - xlsxwriter has no types
        code = code or "General"
        if not bad and code == "General":
            return None
        key = (code, bad)
        if key not in self._formats:
            if len(self._formats) >= FORMATS_MOST:  # Excel refuses workbooks with too many
                return self._formats.get(("General", bad))
            look = {"num_format": code} | ({"bg_color": BAD_COLOUR} if bad else {})
            self._formats[key] = self._book.add_format(look)
        return self._formats[key]


def _check_place(path: Path, keep: Iterable[Path]) -> None:
    """Raises SettingsError unless the copy may be written to `path`."""
    where = str(path)
    if path.suffix.casefold() != SUFFIX:
        raise SettingsError(
            "The marked copy is a workbook.", where=where, remedy=f"Give --report a name in {SUFFIX}."
        )
    if any(kept.exists() and path.exists() and path.samefile(kept) for kept in keep):
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


def _has_serial(value: dt.date | dt.time) -> bool:
    if isinstance(value, dt.time):
        return True
    day = value.date() if isinstance(value, dt.datetime) else value
    return day >= _FIRST_DATE


def _date_code(value: dt.date | dt.time) -> str:
    if isinstance(value, dt.datetime):
        return "yyyy-mm-dd hh:mm:ss"
    return "yyyy-mm-dd" if isinstance(value, dt.date) else "hh:mm:ss"
