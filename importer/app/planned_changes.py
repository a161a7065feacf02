"""What `correct` is to change: fields of created rows, from changed cells, another mapping, or an undo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from importer.activity import ACCOUNT, EVENT, Activity
from importer.app.staging import described
from importer.mapping.choices import Resolved
from importer.mapping.row_mapper import RowMapper
from importer.results.edits import CellChange, Named, RowEdit
from importer.sheets.rows import Cells, Row, decode_cells, encode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import (
    CorrectionStatus,
    PlannedCorrection,
    RowStatus,
    StoredCorrection,
    StoredRow,
)
from importer.text import quoted

Changes = dict[str, tuple[str, str]]
"""Field → (before, after)."""
UNFINISHED: Final = (CorrectionStatus.PLANNED, CorrectionStatus.SENDING)


@dataclass(slots=True)
class PlannedChanges:
    """plans: one for each row. shown: sentences, one for each field. refused: what cannot be corrected.
    takes_back: the round that is undone, 0 if none is. unsent: by row number, changed cells that change no
    field, as in a column that is not mapped: they stay in the results file."""

    plans: list[PlannedCorrection] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    takes_back: int = 0
    unsent: dict[int, Cells] = field(default_factory=dict)

    def add(self, row: StoredRow, changes: Changes, cells: str, columns: dict[str, str]) -> None:
        """One row's."""
        if not changes:
            return
        self.plans.append(PlannedCorrection(row.position, changes, cells))
        for name, (before, value) in changes.items():
            heading = f" (column {quoted(columns[name])})" if columns.get(name) else ""
            self.shown.append(f"row {row.number}, {name}{heading}: {quoted(before)} → {quoted(value)}")


def from_edits(
    rows: BatchRows, edits: Iterable[RowEdit], mapper: RowMapper, resolved: Resolved
) -> PlannedChanges:
    """Changed cells of created rows, through the batch's own mapping. Fields that the change of cells does
    not touch are left alone."""
    planned, columns = PlannedChanges(), mapper.columns()
    by_number = {edit.number: edit for edit in edits}
    positions = rows.positions(by_number)
    for row in map(rows.row, positions.values()):
        edit = by_number[row.number]
        before = mapper.map(Row(row.number, decode_cells(row.cells)), resolved)
        after = mapper.map(Row(row.number, edit.cells), resolved)
        if not isinstance(after, Activity):
            planned.refused.append(f"Row {row.number}: {described(after)}")
            continue
        touched = set(_differing(before, after)) if isinstance(before, Activity) else None
        changes = _changes(row, after, touched, planned)
        if not changes:
            planned.unsent[row.number] = edit.cells
        planned.add(row, changes, encode_cells(edit.cells), columns)
    return planned


class FormerValues:
    """What rows held, or were to hold, before their last corrections.

    A process that is killed once the store knows a correction, and before the results file shows it, leaves
    such values in the file, and nobody typed them. So on a line from before its row's last change they are
    no edits. Any other value is one: the file may have been open in a spreadsheet meanwhile.
    """

    def __init__(self, rows: BatchRows, mapper: RowMapper, resolved: Resolved) -> None:
        self._rows, self._mapper, self._resolved = rows, mapper, resolved
        self._values: dict[tuple[int, str], set[str]] = {}
        last: dict[tuple[int, str], StoredCorrection] = {}
        for one in rows.corrections():
            self._values.setdefault((one.position, one.field), set()).update((one.before, one.after))
            last[one.position, one.field] = one
        for key, one in last.items():  # what was not taken back is wanted still, as after a conflict
            if one.status is not CorrectionStatus.WITHDRAWN:
                self._values[key].discard(one.after)

    def without(self, edits: Sequence[RowEdit]) -> tuple[list[RowEdit], Named]:
        """The edits that count, and by name the cells that do not."""
        kept: list[RowEdit] = []
        ignored = Named()
        positions = self._rows.positions(edit.number for edit in edits if edit.stale)
        for edit in edits:
            former: list[CellChange] = []
            if edit.number in positions:
                row = self._rows.row(positions[edit.number])
                if self._are_former(row, edit.changes):
                    former = list(edit.changes)
                else:
                    former = [change for change in edit.changes if self._are_former(row, (change,))]
            for change in former:
                ignored.add(f"row {edit.number}, {change}")
            changes = tuple(change for change in edit.changes if change not in former)
            if changes:
                before = {change.index: change.before for change in former}
                cells = tuple(before.get(index, cell) for index, cell in enumerate(edit.cells))
                kept.append(replace(edit, cells=cells, changes=changes))
        return kept, ignored

    def _are_former(self, row: StoredRow, changes: Sequence[CellChange]) -> bool:
        """Whether the row with these cells is to hold nothing but former values, where it differs."""
        stored = decode_cells(row.cells)
        after = {change.index: change.after for change in changes}
        changed = tuple(after.get(index, cell) for index, cell in enumerate(stored))
        one, two = (self._mapper.map(Row(row.number, cells), self._resolved) for cells in (stored, changed))
        if not (isinstance(one, Activity) and isinstance(two, Activity)):
            return False
        found = _differing(one, two)
        return bool(found) and all(
            value in self._values.get((row.position, name), ()) for name, (_, value) in found.items()
        )


def from_mapping(rows: BatchRows, mapper: RowMapper, resolved: Resolved) -> PlannedChanges:
    """All created rows, through another mapping."""
    planned, columns = PlannedChanges(), mapper.columns()
    for row in rows.rows(RowStatus.CREATED):
        after = mapper.map(Row(row.number, decode_cells(row.cells)), resolved)
        if isinstance(after, Activity):
            planned.add(row, _changes(row, after, None, planned), row.cells, columns)
        else:
            planned.refused.append(f"Row {row.number}: {described(after)}")
    return planned


def taking_back(rows: BatchRows, mapper: RowMapper, resolved: Resolved) -> PlannedChanges:
    """What undoes the last round that was not an undoing itself: each field gets back what LeadSquared held
    before it, and each cell that shows the field its text."""
    planned, columns = PlannedChanges(), mapper.columns()
    by_row: dict[int, list[StoredCorrection]] = {}
    for one in _last_round(rows):
        planned.takes_back = one.round
        by_row.setdefault(one.position, []).append(one)
    for row in map(rows.row, sorted(by_row)):
        changes: Changes = {}
        for one in by_row[row.position]:
            back = one.before if one.replaced is None else one.replaced
            changes[one.field] = (one.after, back)
        cells = _cells_back(
            row.cells, row.number, changes,
            mapper=mapper, resolved=resolved, header=rows.batch().header,
        )  # fmt: skip
        planned.add(row, changes, cells, columns)
    return planned


def _last_round(rows: BatchRows) -> list[StoredCorrection]:
    """The fields that the last round corrected, and those whose Update may have arrived; none if that round
    was an undoing."""
    for number in range(rows.last_round(), 0, -1):
        found = list(rows.corrections(in_round=number))
        if any(one.undo for one in found):
            return []
        corrected = [one for one in found if one.status is CorrectionStatus.CORRECTED]
        if corrected or any(one.status in UNFINISHED for one in found):
            return corrected + list(rows.corrections(status=CorrectionStatus.SENDING))
    return []


def _changes(row: StoredRow, after: Activity, touched: set[str] | None, planned: PlannedChanges) -> Changes:
    """touched: only these fields; None: all."""
    now = Activity.decoded(row.holds or row.activity or b"")
    for what, one, two in (
        ("account", now.company_id.casefold(), after.company_id.casefold()),
        ("activity type", str(now.event), str(after.event)),
    ):
        if one != two:
            planned.refused.append(f"Row {row.number}: the {what} of a created row cannot be corrected.")
            return {}
    found = _differing(now, after)
    return {name: change for name, change in found.items() if touched is None or name in touched}


def _differing(before: Activity, after: Activity) -> Changes:
    one, two = _values(before), _values(after)
    found = {name: (one.get(name, ""), two.get(name, "")) for name in (*one, *two)}
    return {name: change for name, change in found.items() if change[0] != change[1]}


def _values(activity: Activity) -> dict[str, str]:
    """What can be corrected."""
    return {name: value for name, value in activity.parts().items() if name not in {ACCOUNT, EVENT}}


def _cells_back(
    cells: str, number: int, changes: Changes, *, mapper: RowMapper, resolved: Resolved, header: Sequence[str]
) -> str:
    """The row's cells with the texts that give the fields' old values, where one can tell which they are."""
    texts = list(decode_cells(cells))
    for name, index in _single_cells(mapper, header):
        if name not in changes:
            continue
        tried = [*texts]
        tried[index] = changes[name][1]
        mapped = mapper.map(Row(number, tuple(tried)), resolved)
        if isinstance(mapped, Activity) and _values(mapped).get(name, "") == changes[name][1]:
            texts = tried
    return encode_cells(texts)


def _single_cells(mapper: RowMapper, header: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Fields that one column fills: (schema name, the column's place)."""
    for filled in mapper.fields:
        if header.count(filled.source) == 1:
            yield filled.name, header.index(filled.source)
