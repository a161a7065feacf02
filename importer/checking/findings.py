"""What `check` found, grouped as a person fixes it: by column, then by kind. Pure.

Memory stays bounded however bad the sheet is: a group counts everything, and keeps the first cells and a few
examples. Rows that would create the same activity are found by 64-bit hashes, 12 bytes a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from importer.findings import CellFinding
from importer.sheets.rows import column_letters

ROWS_KEPT: Final = 100
EXAMPLES_KEPT: Final = 3
CELLS_NAMED: Final = 2
REASONS_KEPT: Final = 200
REPEATED_GROUPS_KEPT: Final = 20
WHOLE_COLUMN: Final = 0
"""The row number of a finding about a column or a sheet as a whole."""
SEVERAL_REASONS: Final = frozenset(
    {"unusable-cell", "unreadable-row", "about-the-sheet", "unknown-field", "required-field", "not-an-option"}
)
"""Kinds whose few messages are different reasons (`#N/A`, 16 digits), each with its own remedy."""

_BUCKETS: Final = 256
_HASH_MASK: Final = (1 << 64) - 1


class Example(NamedTuple):
    """One cell of a finding: the row as Excel numbers it, and what the cell shows."""

    row: int
    value: str


@dataclass(frozen=True, slots=True)
class Finding(CellFinding):
    """What was found: one kind in one column, by its first cell, for people and for `--json`.

    rows: the first `ROWS_KEPT` row numbers, in order. count: how many cells in all. others: further cells
    with different contents.
    """

    rows: tuple[int, ...]
    count: int
    others: tuple[Example, ...]

    @property
    def cells(self) -> list[str]:
        """The first cells as Excel names them (`D17`; `row 17` where the whole row is meant)."""
        return [self.cell(row) for row in self.rows]

    def cell(self, row: int) -> str:
        """`D17`; `row 17` where the whole row is meant; `column D` where the whole column is."""
        if row == WHOLE_COLUMN:
            return "the sheet" if self.index is None else f"column {column_letters(self.index)}"
        return f"row {row}" if self.index is None else f"{column_letters(self.index)}{row}"

    def cells_text(self, shown: int = CELLS_NAMED) -> str:
        """`D17`, `D17 and D40`, `D17, D40 and 12 more`."""
        named = self.cells[:shown]
        more = self.count - len(named)
        if more > 0:
            return f"{', '.join(named)} and {more:,} more"
        return " and ".join(", ".join(named).rsplit(", ", 1))

    def as_json(self) -> dict[str, Any]:
        """For `--json`: the finding with its first cells and its first example."""
        return {
            "severity": self.severity.value,
            "kind": self.kind,
            "column": self.column,
            "count": self.count,
            "rows": [row for row in self.rows if row != WHOLE_COLUMN],
            "cells": self.cells,
            "example": self.value,
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(slots=True)
class Cells:
    """Cells that share a finding: all of them counted, the first ones kept."""

    count: int = 0
    rows: list[int] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def add(self, row: int, value: str) -> None:
        """One more, in row `row`, which shows `value`."""
        self.count += 1
        if self.count > ROWS_KEPT:
            return
        self.rows.append(row)
        if len(self.examples) < EXAMPLES_KEPT and all(each.value != value for each in self.examples):
            self.examples.append(Example(row, value))


class Findings:
    """Findings of one severity, gathered row by row."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int | None, str, str], tuple[CellFinding, Cells]] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def __repr__(self) -> str:
        return f"<Findings {sum(cells.count for _, cells in self._groups.values())} in {len(self)} groups>"

    def add(self, row: int, found: CellFinding) -> None:
        """Take in one finding of row `row` (`WHOLE_COLUMN`: of the column or sheet as a whole)."""
        key = _key(found)
        group = self._groups.get(key)
        if group is None and len(self._groups) >= REASONS_KEPT:
            key = (found.index, found.kind, "")  # each row may have a reason of its own
            group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = (found, Cells())
        group[1].add(row, found.value)

    def add_cells(self, found: CellFinding, cells: Cells) -> None:
        """Take in a finding whose cells were counted elsewhere."""
        self._groups[_key(found)] = (found, cells)

    def all(self) -> list[Finding]:
        """By column from left to right, whole rows last; the most frequent kind first."""
        findings = [
            Finding(
                found.severity, found.column, found.index, found.kind, found.value, found.message,
                found.remedy, tuple(cells.rows), cells.count, tuple(cells.examples[1:]),
            )
            for found, cells in self._groups.values()
        ]  # fmt: skip
        return sorted(
            findings,
            key=lambda each: (each.index is None, each.index or 0, -each.count, each.kind, each.rows[:1]),
        )


def _key(found: CellFinding) -> tuple[int | None, str, str]:
    return found.index, found.kind, found.message if found.kind in SEVERAL_REASONS else ""


class RepeatedRows:
    """Finds rows that would create the same activity, without keeping the rows.

    Hashes are Python's own of 64 bits: with a million different rows the chance of one false pair is one in
    thirty million, and all that follows from it is a sentence.
    """

    def __init__(self) -> None:
        self._hashes = [array("Q") for _ in range(_BUCKETS)]
        self._rows = [array("I") for _ in range(_BUCKETS)]

    def add(self, row: int, content: Hashable) -> None:
        """Row `row` would create `content`."""
        number = hash(content) & _HASH_MASK
        self._hashes[number % _BUCKETS].append(number)
        self._rows[number % _BUCKETS].append(row)

    def groups(self) -> tuple[int, list[list[int]]]:
        """How many rows repeat an earlier one, and the first groups of equal rows, in the sheet's order."""
        found = sorted(self._equal_rows())
        return sum(len(group) - 1 for group in found), found[:REPEATED_GROUPS_KEPT]

    def _equal_rows(self) -> Iterator[list[int]]:
        for hashes, rows in zip(self._hashes, self._rows, strict=True):
            by_hash: dict[int, list[int]] = {}
            for number, row in zip(hashes, rows, strict=True):
                by_hash.setdefault(number, []).append(row)
            yield from (group for group in by_hash.values() if len(group) > 1)
