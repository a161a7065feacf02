"""The rows that the report's search box knows, bounded: a page has to open in a browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from importer.report.facts import MESSAGE_MAX
from importer.sheets.rows import decode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import RowStatus
from importer.text import one_line

SEARCHED_MAX: Final = 20_000
RANGES_MAX: Final = 50_000
CELLS_MAX: Final = 12
CELL_MAX: Final = 80
CELLS_BYTES_MAX: Final = 4_000_000


@dataclass(frozen=True, slots=True)
class RowsForSearch:
    """data: for the page's script (see `search.js`). note: what it lacks, a sentence; "" if nothing."""

    data: dict[str, Any]
    note: str


def rows_for_search(stored: BatchRows, rows: int) -> RowsForSearch:
    """Every row of a batch of at most SEARCHED_MAX rows; of a larger one the rows that need attention, and
    which status the others have, without their Ids. Bounded: a page has to open in a browser."""
    every = rows <= SEARCHED_MAX
    differing = _differing(stored)
    known: list[list[Any]] = []
    ranges: list[list[Any]] = []
    texts: dict[str, int] = {}
    cut = 0
    room = CELLS_BYTES_MAX
    for row in stored.rows():
        status = row.status.shown
        if not every and not cut and not _extend(ranges, row.number, status):
            cut = row.number
        different = differing.get(row.position, [])
        plain = row.status is RowStatus.CREATED and not row.error_code and not different
        if (plain and not every) or len(known) >= SEARCHED_MAX:
            continue
        cells = [one_line(cell, CELL_MAX) for cell in decode_cells(row.cells)[:CELLS_MAX]] if room > 0 else []
        room -= sum(map(len, cells)) + 3 * len(cells)
        error = texts.setdefault(one_line(row.error, MESSAGE_MAX), len(texts)) if row.error else -1
        known.append(
            [
                row.number, status, row.activity_id or "", row.error_code, error, row.attempts,
                row.changed_at, cells, different,
            ]
        )  # fmt: skip
    header = [one_line(heading, CELL_MAX) for heading in stored.batch().header[:CELLS_MAX]]
    data = {
        "header": header, "texts": list(texts), "rows": known, "ranges": ranges, "every": every,
        "cut": cut,
    }  # fmt: skip
    return RowsForSearch(data, _lacks(every=every, full=len(known) >= SEARCHED_MAX, cut=cut))


def _extend(ranges: list[list[Any]], number: int, status: str) -> bool:
    """Adds a row to the ranges; False when there is no room for another one."""
    if ranges and ranges[-1][2] == status and ranges[-1][1] == number - 1:
        ranges[-1][1] = number
        return True
    if len(ranges) >= RANGES_MAX:
        return False
    ranges.append([number, number, status])
    return True


def _differing(stored: BatchRows) -> dict[int, list[list[str]]]:
    """What was returned with another value, by position."""
    return {
        position: [
            [one_line(name, CELL_MAX), verdict, one_line(sent, CELL_MAX), one_line(held, CELL_MAX)]
            for name, verdict, sent, held, *_ in differences
        ]
        for position, differences in stored.differing(SEARCHED_MAX).items()
    }


def _lacks(*, every: bool, full: bool, cut: int) -> str:
    if every:
        return ""
    lacks = (
        f"This batch has more than {SEARCHED_MAX:,} rows, so the search knows only those that need attention"
        " in detail; of the others it knows the status. The results file has every row and Id."
    )
    if full:
        lacks += f" Of the former it has the first {SEARCHED_MAX:,}."
    if cut:
        lacks += f" From row {cut:,} on it knows only the former."
    return lacks
