"""The first rows of a sheet, column by column: each distinct value once, bounded in rows and cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from importer.mapping.values import trimmed
from importer.sheets.rows import ErrorCell, Row
from importer.text import quoted

SAMPLE_ROWS: Final = 20_000
SAMPLE_ROWS_LEAST: Final = 100
SAMPLE_CELLS: Final = 2_000_000
SAMPLES_SHOWN: Final = 3
SAMPLE_LENGTH: Final = 30


class Seen(NamedTuple):
    """One distinct value: the cell, in how many rows it stands, and the first of them."""

    cell: str
    rows: int
    first: int


class ColumnValues:
    """The sample of one column. filled: cells that are not empty."""

    def __init__(self, heading: str) -> None:
        self.heading = heading
        self.filled = 0
        self._seen: dict[tuple[type, str], list[int]] = {}
        self._cells: dict[tuple[type, str], str] = {}

    def __repr__(self) -> str:
        return f"<ColumnValues {self.heading!r} filled={self.filled} distinct={len(self._seen)}>"

    def add(self, row: int, cell: str) -> None:
        """The cell of the next row."""
        text = trimmed(cell)
        if not text and not isinstance(cell, ErrorCell):
            return
        self.filled += 1
        key = (type(cell), str(text))
        known = self._seen.get(key)
        if known is None:
            self._seen[key] = [1, row]
            self._cells[key] = text
        else:
            known[0] += 1

    def seen(self) -> list[Seen]:
        """Each distinct value once, in the sheet's order."""
        return [Seen(self._cells[key], count, row) for key, (count, row) in self._seen.items()]

    def samples(self) -> list[str]:
        """Three values for a person to recognise the column by."""
        shown: list[str] = []
        for cell in self._cells.values():
            text = quoted(str(cell), SAMPLE_LENGTH)
            if text not in shown:
                shown.append(text)
            if len(shown) == SAMPLES_SHOWN:
                break
        return shown


def sampled(header: Sequence[str], rows: Iterable[Row]) -> tuple[list[ColumnValues], int, bool]:
    """The columns' values in the first rows, how many rows those are, and whether there are more."""
    columns = [ColumnValues(heading) for heading in header]
    most = max(SAMPLE_ROWS_LEAST, min(SAMPLE_ROWS, SAMPLE_CELLS // max(1, len(columns))))
    read = 0
    for row in rows:
        if read == most:
            return columns, read, True
        read += 1
        for column, cell in zip(columns, row.cells, strict=True):
            if cell or type(cell) is not str:
                column.add(row.number, cell)
    return columns, read, False
