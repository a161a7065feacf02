"""What a sheet looks like through a mapping: rows counted, and what was found, grouped as a person fixes it:
by column, then by kind. Pure.

`check` and `run` look at each row with this same code, so that they never disagree. Memory stays bounded
however bad the sheet is: a group counts everything, and keeps the first cells and a few examples. Rows that
would create the same activity are found by 64-bit hashes, 12 bytes a row.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from importer.activity import Activity
from importer.checking.columns import ROWS_KEPT, Cells, Example, Watch, watches
from importer.findings import CellFinding, Severity
from importer.mapping.row_mapper import RowMapper
from importer.sheets.rows import Row, column_letters
from importer.sheets.sheet import Sheet

FIRST_KEPT: Final = 2
REPEATED_SHOWN: Final = 5
LOOKUP_KINDS: Final = frozenset({"not-found", "found-twice", "inactive", "not-looked-up"})
LEFT_OUT_KINDS: Final = frozenset({"total-row", "repeated-headings", "footer-row"})
"""Rows that are not records: nobody wants them sent, so they do not stop a trial with `--limit`."""
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


class Survey:
    """Counts and findings of the rows taken in so far; complete after `close`.

    first: the first `FIRST_KEPT` valid rows with their activities, for a preview.
    records_invalid: invalid rows without those that only look like totals, headings or footers.
    `rows` is always `valid + invalid`.
    """

    def __init__(self, mapper: RowMapper, accepted: Collection[str] = (), also: Sequence[Watch] = ()) -> None:
        """accepted: kinds of questions that a person has answered with "fine as it is". also: further columns
        to watch (`columns.option_watches`)."""
        self.rows = 0
        self.valid = 0
        self.records_invalid = 0
        self.problems = Findings()
        self.questions = Findings()
        self.notices = Findings()
        self.repeated = RepeatedRows()
        self.first: list[tuple[int, Activity]] = []
        self._mapper = mapper
        self._accepted = frozenset(accepted)
        self._watches = [*watches(mapper), *also]

    def __repr__(self) -> str:
        return f"<Survey {self.valid} of {self.rows} rows valid, {self.problems!r}, {self.questions!r}>"

    @property
    def invalid(self) -> int:
        """Rows with at least one problem."""
        return self.rows - self.valid

    def take(self, row: Row, mapped: Activity | Sequence[CellFinding]) -> None:
        """The row became `mapped`: an activity, or its problems. What will merely look different is not
        counted for rows that have problems, since fixing those comes first."""
        self.rows += 1
        number = row.number
        for watch in self._watches:
            watch.see(row)
        problems = () if isinstance(mapped, Activity) else mapped
        is_record = any(problem.kind not in LEFT_OUT_KINDS for problem in problems)
        if row.findings:
            for found in self._mapper.file_findings(row):
                asked = found.severity is Severity.QUESTION and (is_record or found.index is None)
                if asked or not problems:
                    self._add(number, found)
        if not isinstance(mapped, Activity):
            self._invalid(number, mapped)
            return
        self.valid += 1
        self.repeated.add(number, mapped)
        if len(self.first) < FIRST_KEPT:
            self.first.append((number, mapped))
        for notice in self._mapper.notices(row, mapped):
            self.notices.add(number, notice)

    def add_whole(self, found: CellFinding) -> None:
        """A finding about the mapping, a column or the sheet as a whole."""
        self._add(WHOLE_COLUMN, found)

    def looked_up(self, number: int, mapped: Activity | Sequence[CellFinding], *, was_valid: bool) -> None:
        """A row that was taken in before its lookups were answered, mapped once more with the answers."""
        if isinstance(mapped, Activity):
            self.first = [(at, mapped if at == number else activity) for at, activity in self.first]
            return
        if was_valid:
            self.valid -= 1
            self.first = [(at, activity) for at, activity in self.first if at != number]
            self._invalid(number, mapped)
            return
        for problem in mapped:
            if problem.kind in LOOKUP_KINDS:
                self.problems.add(number, problem)

    def close(self, sheet: Sheet) -> None:
        """Add what only the sheet as a whole shows. To be called once, after its last row."""
        for row, found in sheet.closing_findings():
            if self._mapper.uses(found.index):
                self._add(row, found)
        for watch in self._watches:
            for found, cells in watch.findings():
                self._add(WHOLE_COLUMN, found, cells)
        for text in sheet.warnings:
            about = CellFinding(Severity.NOTICE, None, None, "about-the-sheet", "", text, "")
            self.notices.add(WHOLE_COLUMN, about)
        if sheet.hidden_rows and sheet.how.hidden is None:
            rows = "1 row is" if sheet.hidden_rows == 1 else f"{sheet.hidden_rows:,} rows are"
            hidden = CellFinding(
                Severity.QUESTION, None, None, "hidden-rows", "",
                f"{rows} hidden in Excel, by a filter or by hand.",
                "Use --hidden include to send hidden rows too, or --hidden skip to leave them out.",
            )  # fmt: skip
            self._add(WHOLE_COLUMN, hidden)
        self._add_repeated()

    def _invalid(self, number: int, problems: Sequence[CellFinding]) -> None:
        self.records_invalid += any(problem.kind not in LEFT_OUT_KINDS for problem in problems)
        for problem in problems:
            self.problems.add(number, problem)

    def _add(self, row: int, found: CellFinding, cells: Cells | None = None) -> None:
        """cells: all that share the finding, if counted elsewhere. An accepted question is a notice."""
        group = self.notices
        if found.severity is Severity.QUESTION and found.kind in self._accepted:
            found = replace(found, severity=Severity.NOTICE)
        elif found.severity is Severity.QUESTION:
            group = self.questions
        if cells is None:
            group.add(row, found)
        else:
            group.add_cells(found, cells)

    def _add_repeated(self) -> None:
        surplus, groups = self.repeated.groups()
        if not surplus:
            return
        shown = "; ".join(" and ".join(f"{row}" for row in rows[:3]) for rows in groups[:REPEATED_SHOWN])
        more = " …" if len(groups) > REPEATED_SHOWN or any(len(rows) > 3 for rows in groups) else ""
        rows = "1 row repeats" if surplus == 1 else f"{surplus:,} rows repeat"
        found = CellFinding(
            Severity.NOTICE, None, None, "same-activity", "",
            f"{rows} another one: the same activity would be created more than once (rows {shown}{more}).",
            "Delete the repetition if it is not meant.",
        )  # fmt: skip
        repeats = sorted(row for rows in groups for row in rows[1:])[:ROWS_KEPT]
        self.notices.add_cells(found, Cells(surplus, repeats, []))
