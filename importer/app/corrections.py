"""What `correct` would change: the fields of created rows whose new values differ from what they hold. Pure.

Changed cells come from the results file or the screen; another mapping gives other values for the same cells;
undoing takes a round of corrections back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from importer.activity import NOTE, Activity
from importer.app.staging import described
from importer.mapping.references import Resolved
from importer.mapping.row_mapper import RowMapper
from importer.results.edits import RowEdit
from importer.sheets.rows import Row, decode_cells, encode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import CorrectionStatus, CreatedRow, PlannedCorrection, StoredCorrection
from importer.text import quoted

Changes = dict[str, tuple[str, str]]
"""Field → (before, after)."""


@dataclass(slots=True)
class PlannedChanges:
    """plans: one for each row. shown: sentences, one for each field. refused: what cannot be corrected."""

    plans: list[PlannedCorrection] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def add(self, row: CreatedRow, changes: Changes, cells: str, columns: dict[str, str]) -> None:
        """One row's."""
        if not changes:
            return
        now = Activity.decoded(row.holds or row.activity or b"")
        after = {name: value for name, (_, value) in changes.items()}
        self.plans.append(PlannedCorrection(row.position, changes, cells, _holding(now, after).encoded()))
        for name, (before, value) in changes.items():
            heading = f" (column {quoted(columns[name])})" if columns.get(name) else ""
            self.shown.append(f"row {row.number}, {name}{heading}: {quoted(before)} → {quoted(value)}")


def from_edits(
    rows: BatchRows, edits: Iterable[RowEdit], mapper: RowMapper, resolved: Resolved
) -> PlannedChanges:
    """Changed cells of created rows, through the batch's own mapping. Fields that the change of cells does
    not touch are left alone."""
    planned, columns = PlannedChanges(), _columns(mapper)
    by_number = {edit.number: edit for edit in edits}
    positions = rows.positions(by_number)
    for row in rows.created_rows(list(positions.values())) if positions else ():
        edit = by_number[row.number]
        stored = rows.row(row.position)
        before = mapper.map(Row(row.number, decode_cells(stored.cells)), resolved)
        after = mapper.map(Row(row.number, edit.cells), resolved)
        if not isinstance(after, Activity):
            planned.refused.append(f"Row {row.number}: {described(after)}")
            continue
        touched = None
        if isinstance(before, Activity):
            one, two = _values(before), _values(after)
            touched = {name for name in {*one, *two} if one.get(name, "") != two.get(name, "")}
        planned.add(row, _changes(row, after, touched, planned), encode_cells(edit.cells), columns)
    return planned


def from_mapping(rows: BatchRows, mapper: RowMapper, resolved: Resolved) -> PlannedChanges:
    """All created rows, through another mapping."""
    planned, columns = PlannedChanges(), _columns(mapper)
    for row in rows.created_rows():
        stored = rows.row(row.position)
        after = mapper.map(Row(row.number, decode_cells(stored.cells)), resolved)
        if isinstance(after, Activity):
            planned.add(row, _changes(row, after, None, planned), stored.cells, columns)
        else:
            planned.refused.append(f"Row {row.number}: {described(after)}")
    return planned


def taking_back(rows: BatchRows, mapper: RowMapper, resolved: Resolved) -> PlannedChanges:
    """What undoes the last round that was not an undoing itself: each field gets back what LeadSquared held
    before it, and each cell that shows the field its text."""
    planned, columns = PlannedChanges(), _columns(mapper)
    by_row: dict[int, list[StoredCorrection]] = {}
    for one in _last_round(rows):
        by_row.setdefault(one.position, []).append(one)
    for row in rows.created_rows(list(by_row)) if by_row else ():
        changes: Changes = {}
        for one in by_row[row.position]:
            back = one.before if one.replaced is None else one.replaced
            changes[one.field] = (one.after, back)
        cells = _cells_back(
            rows.row(row.position).cells, row.number, changes,
            mapper=mapper, resolved=resolved, header=rows.batch().header,
        )  # fmt: skip
        planned.add(row, changes, cells, columns)
    return planned


def _last_round(rows: BatchRows) -> list[StoredCorrection]:
    """The corrected fields of the last round; none if that one was an undoing."""
    for number in range(rows.last_round(), 0, -1):
        found = list(rows.corrections(in_round=number))
        if any(one.undo for one in found):
            return []
        corrected = [one for one in found if one.status is CorrectionStatus.CORRECTED]
        if corrected:
            return corrected
    return []


def _changes(row: CreatedRow, after: Activity, touched: set[str] | None, planned: PlannedChanges) -> Changes:
    """touched: only these fields; None: all."""
    now = Activity.decoded(row.holds or row.activity or b"")
    for what, one, two in (
        ("account", now.company_id.casefold(), after.company_id.casefold()),
        ("activity type", str(now.event), str(after.event)),
    ):
        if one != two:
            planned.refused.append(f"Row {row.number}: the {what} of a created row cannot be corrected.")
            return {}
    before, wanted = _values(now), _values(after)
    names = [name for name in dict.fromkeys((*before, *wanted)) if touched is None or name in touched]
    return {
        name: (before.get(name, ""), wanted.get(name, ""))
        for name in names
        if before.get(name, "") != wanted.get(name, "")
    }


def _values(activity: Activity) -> dict[str, str]:
    note = {} if activity.note is None else {NOTE: activity.note}
    return {**note, **dict(activity.fields)}


def _holding(now: Activity, after: dict[str, str]) -> Activity:
    fields = [(name, after.get(name, value)) for name, value in now.fields]
    known = {name for name, _ in fields}
    fields += [(name, value) for name, value in after.items() if name not in known and name != NOTE]
    return Activity(now.company_id, now.event, after.get(NOTE, now.note), tuple(fields))


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
    for preview in mapper.describe():
        if header.count(preview.source) == 1:
            yield preview.schema_name, header.index(preview.source)


def _columns(mapper: RowMapper) -> dict[str, str]:
    return {each.schema_name: each.source for each in mapper.describe()}
