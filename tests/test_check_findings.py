"""Findings are grouped as a person fixes them, and however many there are, memory stays bounded."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.checking.columns import EXAMPLES_KEPT, ROWS_KEPT
from importer.checking.survey import Findings, RepeatedRows
from importer.findings import CellFinding, Severity


def _found(
    *, column: str | None = "Outcome", index: int | None = 3, kind: str = "not-listed", value: str = "Wno"
) -> CellFinding:
    """A problem as the mapping reports it."""
    message, remedy = '"Wno" is not in the list.', "Correct it."
    return CellFinding(Severity.PROBLEM, column, index, kind, value, message, remedy)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([17], "D17"),
        ([17, 40], "D17 and D40"),
        ([17, 40, 41], "D17, D40 and 1 more"),
        (list(range(2, 1_402)), "D2, D3 and 1,398 more"),
    ],
)
def test_cells_are_named_as_excel_shows_them(rows: list[int], said: str) -> None:
    """The first two by name, the others by number."""
    findings = Findings()
    for row in rows:
        findings.add(row, _found())

    assert findings.all()[0].cells_text() == said


def test_a_problem_of_a_whole_row_names_the_row() -> None:
    """There is no cell to point at."""
    findings = Findings()
    for row in (3, 9, 12):
        findings.add(row, _found(column=None, index=None))

    assert findings.all()[0].cells_text() == "row 3, row 9 and 1 more"


def test_rows_that_cannot_be_read_are_counted_together_when_there_are_many() -> None:
    """Each of their messages names another cell: a million of them are no million groups."""
    findings = Findings()
    for row in range(2, 10_002):
        message = f'Cell C{row} holds "{row}", but the headings end at column B.'
        findings.add(row, CellFinding(Severity.PROBLEM, None, None, "unreadable-row", "", message, ""))

    counts = [group.count for group in findings.all()]
    assert (len(counts) <= 201, sum(counts), max(counts)) == (True, 10_000, 9_800)


def test_groups_stand_in_the_sheets_order() -> None:
    """Columns from left to right, the most frequent kind first, whole rows last."""
    findings = Findings()
    findings.add(2, _found(column=None, index=None, kind="surplus"))
    findings.add(2, _found(index=5, kind="missing"))
    findings.add(2, _found(index=3, kind="missing"))
    findings.add(3, _found(index=3, kind="not-listed"))
    findings.add(4, _found(index=3, kind="not-listed"))

    order = [(group.index, group.kind) for group in findings.all()]
    assert order == [(3, "not-listed"), (3, "missing"), (5, "missing"), (None, "surplus")]


def test_a_million_problems_take_no_more_room_than_a_hundred() -> None:
    """Everything is counted, the first are kept."""
    findings = Findings()
    for row in range(5_000):
        findings.add(row, _found(value=str(row)))
    group = findings.all()[0]

    assert (group.count, len(group.rows), len(group.others)) == (5_000, ROWS_KEPT, EXAMPLES_KEPT - 1)


@given(st.lists(st.integers(0, 8)))
def test_repeated_rows_are_those_that_are_equal(contents: list[int]) -> None:
    """As a plain count of equal contents would say."""
    repeated = RepeatedRows()
    for row, content in enumerate(contents, start=2):
        repeated.add(row, ("activity", content))
    surplus, groups = repeated.groups()

    times = Counter(contents)
    expected = sorted(
        [row for row, content in enumerate(contents, start=2) if content == each]
        for each, number in times.items()
        if number > 1
    )
    assert (surplus, groups) == (sum(number - 1 for number in times.values()), expected)
