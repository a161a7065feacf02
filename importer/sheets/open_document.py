"""Error values and hidden rows of .ods sheets, which calamine does not tell, from the document's XML."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from importer.sheets.marks import Marks
from importer.sheets.xmlparts import parse
from importer.sheets.zip_safety import open_archive

REPEATED_MAX: Final = 100_000
"""Of an element that stands for many rows or cells, so many are looked at."""


class MarksReader:
    """Target of the parser of `content.xml`, for the table called `sheet`."""

    def __init__(self, sheet: str) -> None:
        self.marks = Marks()
        self._sheet = sheet
        self._inside = False
        self._row = self._column = 0
        self._rows = self._columns = 1
        self._error: list[str] | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """A tag begins. Raises ValueError if a number of repetitions is none."""
        tag = _local(tag)
        named = {_local(name): value for name, value in attributes.items()}
        if tag == "table":
            self._inside = named.get("name") == self._sheet
            self._row = 0
        elif not self._inside:
            return
        elif tag == "table-row":
            self._column, self._rows = 0, int(named.get("number-rows-repeated", "1"))
            if named.get("visibility", "visible") != "visible":
                self.marks.hidden.update(range(self._row, self._row + min(self._rows, REPEATED_MAX)))
        elif tag in ("table-cell", "covered-table-cell"):
            self._columns = int(named.get("number-columns-repeated", "1"))
            is_error = any(":calcext:" in name and value == "error" for name, value in attributes.items())
            self._error = [] if is_error else None

    def end(self, tag: str) -> None:
        """A tag ends."""
        tag = _local(tag)
        if tag == "table":
            self._inside = False
        elif not self._inside:
            return
        elif tag == "table-row":
            self._row += self._rows
        elif tag in ("table-cell", "covered-table-cell"):
            if self._error is not None:
                self._note_errors("".join(self._error) or "#ERROR!")
            self._column += self._columns
            self._error = None

    def data(self, text: str) -> None:
        """Text, of which only that of error cells matters."""
        if self._error is not None:
            self._error.append(text)

    def _note_errors(self, text: str) -> None:
        for row in range(self._row, self._row + min(self._rows, REPEATED_MAX)):
            for column in range(self._column, self._column + min(self._columns, REPEATED_MAX)):
                if len(self.marks.errors) > REPEATED_MAX:
                    raise ValueError("more errors than a sheet should have")
                self.marks.errors[row, column] = text


def marks_of_ods(path: Path, sheet: str) -> Marks:
    """The marks of that table. Raises ValueError or SheetError."""
    reader = MarksReader(sheet)
    with open_archive(path) as archive:
        for _ in parse(path, archive, "content.xml", reader):
            pass
    return reader.marks


def _local(name: str) -> str:
    """A tag's or attribute's name without its namespace."""
    return name.rpartition("}")[2]
