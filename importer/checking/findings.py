"""What `check` found, grouped as a person mends it: by column, then by kind of problem. Pure.

Memory stays bounded however bad the sheet is: a group counts everything, and keeps the first cells and a few
examples. Twins (rows that would create the same activity) are found by 64-bit hashes, 12 bytes a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from importer.sheets.rows import column_letters

ROWS_KEPT: Final = 100
EXAMPLES_KEPT: Final = 3
CELLS_SHOWN: Final = 2
TWINS_LOOKED_FOR_MOST: Final = 5_000_000
TWIN_GROUPS_KEPT: Final = 20
SEVERAL_REASONS: Final = "unusable-cell"
"""A kind whose few messages are different reasons (`#N/A`, 16 digits), each with its own remedy."""

_BUCKETS: Final = 256
_HASH_MASK: Final = (1 << 64) - 1


class Problem(Protocol):
    """What the mapping says of one cell (`mapping.Problem`), or of a row as a whole (column None)."""

    @property
    def column(self) -> str | None: ...
    @property
    def index(self) -> int | None: ...
    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def message(self) -> str: ...
    @property
    def remedy(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Example:
    """One cell's problem in words."""

    row: int
    value: str
    message: str
    remedy: str


@dataclass(slots=True)
class Group:
    """All problems of one kind in one column. rows: the first `ROWS_KEPT` row numbers, in order."""

    column: str | None
    index: int | None
    kind: str
    count: int = 0
    rows: list[int] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def add(self, row: int, problem: Problem) -> None:
        """One more."""
        self.count += 1
        if len(self.rows) < ROWS_KEPT:
            self.rows.append(row)
        if len(self.examples) < EXAMPLES_KEPT and all(each.value != problem.value for each in self.examples):
            self.examples.append(Example(row, problem.value, problem.message, problem.remedy))

    def cell(self, row: int) -> str:
        """`D17` as Excel says it; `row 17` where the whole row is meant."""
        return f"row {row}" if self.index is None else f"{column_letters(self.index)}{row}"

    def cells(self, shown: int = CELLS_SHOWN) -> str:
        """`D17`, `D17 and D40`, `D17, D40 and 12 more`."""
        named = [self.cell(row) for row in self.rows[:shown]]
        more = self.count - len(named)
        if more > 0:
            return f"{', '.join(named)} and {more:,} more"
        return " and ".join(", ".join(named).rsplit(", ", 1))

    def as_json(self) -> dict[str, Any]:
        """For `check --json`: the group with its first cells and its first example."""
        first = self.examples[0]
        return {
            "column": self.column,
            "kind": self.kind,
            "count": self.count,
            "rows": self.rows,
            "cells": [self.cell(row) for row in self.rows],
            "value": first.value,
            "message": first.message,
            "remedy": first.remedy,
        }


class Findings:
    """Problems (or notices) of a sheet, gathered row by row."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int | None, str, str], Group] = {}

    def __len__(self) -> int:
        return len(self._groups)

    def __repr__(self) -> str:
        return f"<Findings {sum(group.count for group in self._groups.values())} in {len(self)} groups>"

    def add(self, row: int, problem: Problem) -> None:
        """Take in one problem of row `row`."""
        reason = problem.message if problem.kind == SEVERAL_REASONS else ""
        key = (problem.index, problem.kind, reason)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(problem.column, problem.index, problem.kind)
        group.add(row, problem)

    def groups(self) -> list[Group]:
        """By column from left to right, whole rows last; the most frequent kind first."""
        return sorted(
            self._groups.values(),
            key=lambda group: (
                group.index is None,
                group.index or 0,
                -group.count,
                group.kind,
                group.rows[:1],
            ),
        )


class Twins:
    """Finds rows that would create the same activity, without keeping the rows.

    Hashes are Python's own of 64 bits: with a million different rows the chance of one false pair is one in
    thirty million, and all that follows from it is a sentence.
    """

    def __init__(self) -> None:
        self._hashes = [array("Q") for _ in range(_BUCKETS)]
        self._rows = [array("L") for _ in range(_BUCKETS)]
        self._taken = 0

    def __repr__(self) -> str:
        return f"<Twins among {self._taken} rows>"

    @property
    def complete(self) -> bool:
        """False when the sheet had more rows than are remembered."""
        return self._taken <= TWINS_LOOKED_FOR_MOST

    def add(self, row: int, content: Hashable) -> None:
        """Row `row` would create `content`."""
        self._taken += 1
        if self._taken > TWINS_LOOKED_FOR_MOST:
            return
        number = hash(content) & _HASH_MASK
        bucket = number % _BUCKETS
        self._hashes[bucket].append(number)
        self._rows[bucket].append(row)

    def groups(self) -> tuple[int, list[list[int]]]:
        """How many rows repeat an earlier one, and the first groups of equal rows, in the sheet's order."""
        surplus = 0
        found: list[list[int]] = []
        for group in self._equal_rows():
            surplus += len(group) - 1
            found.append(group)
        return surplus, sorted(found)[:TWIN_GROUPS_KEPT]

    def _equal_rows(self) -> Iterator[list[int]]:
        for hashes, rows in zip(self._hashes, self._rows, strict=True):
            by_hash: dict[int, list[int]] = {}
            for number, row in zip(hashes, rows, strict=True):
                by_hash.setdefault(number, []).append(row)
            yield from (group for group in by_hash.values() if len(group) > 1)
