"""What `resume` changes in a batch before it sends, computed as data while nothing is changed: corrected
cells, another mapping, what a person wrote into `import_status`.

Shown and asked about, then applied in one transaction. A row that is created is never touched. What earlier
attempts of a row sent is kept with them, since that is what is looked for, whatever the sheet says now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from importer.activity import Activity, Marker
from importer.app.options import ScreenChanges
from importer.app.staging import described
from importer.errors import ResultsError
from importer.findings import CellFinding
from importer.mapping.references import Resolved
from importer.mapping.row_mapper import RowMapper
from importer.remedies import remedy_for
from importer.results.edits import CellChange, Edits, NewerLine, RowEdit
from importer.results.status_edits import StatusEdit, StatusWord, said_by
from importer.sheets.rows import Cells, Row, column_letters, decode_cells, encode_cells
from importer.store.batch_rows import BatchRows
from importer.store.ownership import BatchChange
from importer.store.records import IN_DOUBT, Batch, RowChange, RowStatus, StoredRow
from importer.text import shown

SHOWN_MAX: Final = 40
OLDER: Final = " (from an older copy of the results file)"
WITHOUT_REFUSAL: Final = "gave-up"
"""How a row failed that LeadSquared never refused: it is sent again unasked."""
REBUILT: Final = "rebuilt"
SENT_ELSEWHERE: Final = "sent-elsewhere"
MAY_BE_SENT_AGAIN: Final = (RowStatus.PENDING, *IN_DOUBT)


class BatchChanges:
    """Changes of one batch, gathered; `apply` makes them. Reads see what was gathered so far.

    shown: sentences on what changes; problems: on rows that are still invalid (the first `SHOWN_MAX` of each,
    counted in `shown_total`, `problems_total`). at: UTC, ISO 8601, the time of all changes. clock_s: the
    tenant's clock minus ours.
    """

    def __init__(
        self,
        rows: BatchRows,
        batch: Batch,
        mapper: RowMapper,
        resolved: Resolved,
        *,
        at: str,
        clock_s: float = 0.0,
    ) -> None:
        self._clock_s = clock_s
        self.shown: list[str] = []
        self.problems: list[str] = []
        self.shown_total = self.problems_total = 0
        self.to_send: set[int] = set()
        self._rows, self._batch, self._mapper, self._resolved, self._at = rows, batch, mapper, resolved, at
        self._marker = Marker(batch.marker, batch.id) if batch.marker else None
        self._now: dict[int, StoredRow] = {}
        self._before: dict[int, StoredRow] = {}
        self._assumed: dict[int, bytes] = {}
        self._elsewhere: dict[int, bytes] = {}
        self._deleted: list[int] = []

    def __repr__(self) -> str:
        return f"<BatchChanges of {len(self._now)} rows, {len(self.to_send)} to send>"

    @property
    def numbers_to_send(self) -> dict[int, int]:
        """Position → row number of the rows that go back to be sent."""
        return {position: self.row(position).number for position in self.to_send}

    def row(self, position: int) -> StoredRow:
        """As it will be."""
        return self._now.get(position) or self._rows.row(position)

    def counts(self) -> dict[RowStatus, int]:
        """Rows by status, as they will be."""
        counts = dict(self._rows.counts())
        for position, row in self._now.items():
            before = self._before[position].status
            counts[before] = counts.get(before, 0) - 1
            counts[row.status] = counts.get(row.status, 0) + 1
        counts[RowStatus.CREATED] = counts.get(RowStatus.CREATED, 0) - len(self._deleted)
        counts[RowStatus.PENDING] = counts.get(RowStatus.PENDING, 0) + len(self._deleted)
        return counts

    def events_pending(self) -> dict[int, int]:
        """Activity type → rows of it that are to be sent, as they will be."""
        events = Counter(self._rows.event_counts(RowStatus.PENDING))
        for position, row in self._now.items():
            before = self._before[position]
            if before.status is RowStatus.PENDING and before.activity is not None:
                events[Activity.decoded(before.activity).event] -= 1
            if row.status is RowStatus.PENDING and row.activity is not None:
                events[Activity.decoded(row.activity).event] += 1
        return dict(+events)

    # ---- what a person said -----------------------------------------------------------------------

    def correct(self, edits: Iterable[RowEdit]) -> None:
        """Takes over cells that a person changed.

        Of an invalid row, a respelling that a person may have meant counts if it makes the row valid.
        """
        found = {edit.number: edit for edit in edits}
        for number, position in self._rows.positions(found).items():
            row, edit = self.row(position), found[number]
            cells, lines = edit.cells, edit.described()
            if row.status is RowStatus.INVALID and edit.typed is not None:
                valid = isinstance(self._mapped(row, edit.cells, None), Activity)
                if not valid and isinstance(self._mapped(row, edit.typed, None), Activity):
                    cells, lines = edit.typed, edit.described(typed=True)
            if lines:
                for line in lines:
                    self._show(f"{line}{OLDER if edit.stale else ''}")
                # Content beyond the last heading is not in the results file: who corrects it sees it whole.
                self._map(row._replace(problem=None), cells)

    def remap(self) -> None:
        """Maps every row that is neither created nor skipped with the mapper given."""
        for stored in self._rows.rows():
            row = self._now.get(stored.position, stored)
            if row.status not in {RowStatus.CREATED, RowStatus.SKIPPED}:
                before = row.activity
                self._map(row, decode_cells(row.cells))
                after = self.row(row.position).activity
                if after != before:
                    self._show(f"row {row.number}: {differences(before, after)}")

    def map_invalid(self) -> None:
        """Invalid rows may be valid now: an account that was looked up may exist since."""
        for stored in self._rows.rows(RowStatus.INVALID):
            row = self._now.get(stored.position, stored)
            if row.status is RowStatus.INVALID:
                self._map(row, decode_cells(row.cells))

    def skip(self, position: int) -> None:
        """Never to be sent; not for rows that are created or in doubt."""
        self._put(self._settled(self.row(position), RowStatus.SKIPPED))

    def take_back(self, position: int) -> None:
        """A skipped row is to be sent after all."""
        row = self.row(position)
        self._map(row, decode_cells(row.cells), of_person=True)

    def not_there(self, position: int) -> None:
        """A person looked: a look-up that cannot decide stops the row no more."""
        self._put(self.row(position)._replace(released=True, changed_at=self._at))
        self.to_send.add(position)

    def created(self, position: int, activity_id: str) -> None:
        """A person looked and pasted the Id in."""
        row = self._settled(self.row(position), RowStatus.CREATED)
        self._put(row._replace(activity_id=activity_id, released=True))
        self.to_send.discard(position)

    def as_sent_elsewhere(self, position: int, edit: RowEdit | None) -> StoredRow:
        """The row as a colleague's run sent it: with the cells that the file shows."""
        row = self.row(position)
        if edit is None:
            return row
        mapped = self._mapped(row, edit.cells, None)
        body = mapped.encoded() if isinstance(mapped, Activity) else row.activity
        return row._replace(cells=encode_cells(edit.cells), activity=body, problem=None)

    def created_elsewhere(self, position: int, line: NewerLine) -> None:
        """A colleague's run created the row, and LeadSquared has confirmed it."""
        self._put(self._settled(self.as_sent_elsewhere(position, line.edit), RowStatus.CREATED))
        self.created(position, line.activity_id)

    def deleted(self, position: int) -> None:
        """A created row whose activity was deleted in LeadSquared by hand is sent again."""
        self._deleted.append(position)
        self.to_send.add(position)

    def sent_elsewhere(self, position: int) -> None:
        """A colleague's run says that it created the row, which could not be confirmed: it is looked for."""
        row = self.row(position)
        if row.activity is not None and row.status not in {RowStatus.CREATED, *IN_DOUBT}:
            self._elsewhere[position] = _as_sent(row.activity, row.number, self._marker)

    def retry(self, *, refused_too: bool) -> None:
        """Failed rows go back to be sent: those that were never refused, or all of them."""
        for stored in self._rows.rows(RowStatus.FAILED):
            row = self._now.get(stored.position, stored)
            again = refused_too or row.error_code == WITHOUT_REFUSAL
            if again and row.status is RowStatus.FAILED and row.activity is not None:
                self._put(self._settled(row, RowStatus.PENDING))
                self.to_send.add(row.position)

    # ---- applying ---------------------------------------------------------------------------------

    def apply(self, change: BatchChange) -> None:
        """Makes the changes, inside of `Ownership.change`."""
        changed = [position for position, row in self._now.items() if row != self._before[position]]
        bodies = [one for one in changed if self._now[one].activity != self._before[one].activity]
        change.keep_sent_bodies(bodies)
        change.change_rows(self._as_change(position) for position in sorted(changed))
        if self._deleted:
            change.deleted_by_hand(self._deleted, self._at)
        started = datetime.fromisoformat(self._batch.created_at).timestamp() + self._clock_s
        for sent, since, code in (
            (self._assumed, self._batch.rebuilt or started, REBUILT),
            (self._elsewhere, started, SENT_ELSEWHERE),
        ):
            entry = remedy_for(code)
            error = f"{entry.meaning} {entry.action}"
            if sent:
                change.assume_sent(sent, since, detail=entry.meaning, code=entry.code, error=error)

    def _as_change(self, position: int) -> RowChange:
        before, after = self._before[position], self._now[position]
        names = ("cells", "activity", "problem", "status", "released", "activity_id", "error_code", "error")
        fields = {
            name: getattr(after, name) for name in names if getattr(after, name) != getattr(before, name)
        }
        return RowChange(position, changed_at=self._at, **fields)

    # ---- one row ----------------------------------------------------------------------------------

    def _map(self, row: StoredRow, cells: Cells, *, of_person: bool = False) -> None:
        mapped = self._mapped(row, cells, row.problem)
        encoded = encode_cells(cells)
        if isinstance(mapped, Activity):
            self._map_valid(row, encoded, mapped.encoded(), of_person=of_person)
            return
        text = described(mapped)
        self._problem(f"Row {row.number}: {text}")
        if row.status in IN_DOUBT:
            raise ResultsError(
                f"Row {row.number} may have been created already, and what was changed is not valid: {text}",
                remedy="Put the row's cells back, or correct them; nothing was sent.",
            )
        if row.status is RowStatus.SKIPPED and not of_person:
            return
        invalid = row._replace(cells=encoded, activity=None, status=RowStatus.INVALID)
        self._put(invalid._replace(error_code="invalid", error=text, changed_at=self._at))
        self.to_send.discard(row.position)

    def _map_valid(self, row: StoredRow, cells: str, body: bytes, *, of_person: bool) -> None:
        if cells == row.cells and body == row.activity and not of_person:
            return
        status = row.status
        if status not in IN_DOUBT and (status is not RowStatus.SKIPPED or of_person):
            status = RowStatus.PENDING
        changed = row._replace(cells=cells, activity=body, status=status, changed_at=self._at)
        if status not in IN_DOUBT:
            changed = changed._replace(error_code="", error="")
        self._put(changed)
        if self._batch.rebuilt is not None and status is RowStatus.PENDING and not row.doubted:
            self._assumed[row.position] = _as_sent(body, row.number, self._marker)
        if status in MAY_BE_SENT_AGAIN:
            self.to_send.add(row.position)

    def _mapped(self, row: StoredRow, cells: Cells, problem: str | None) -> Activity | list[CellFinding]:
        return self._mapper.map(Row(row.number, cells, problem), self._resolved)

    def _settled(self, row: StoredRow, status: RowStatus) -> StoredRow:
        return row._replace(status=status, error_code="", error="", changed_at=self._at)

    def _put(self, row: StoredRow) -> None:
        if row.position not in self._before:
            self._before[row.position] = self._rows.row(row.position)
        self._now[row.position] = row

    def _show(self, text: str) -> None:
        self.shown_total += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(text)

    def _problem(self, text: str) -> None:
        self.problems_total += 1
        if len(self.problems) < SHOWN_MAX:
            self.problems.append(text)


def from_screen(changes: ScreenChanges, rows: BatchRows, header: Cells) -> Edits:
    """What was changed on the screen, as if it had been read from a results file. Raises ResultsError for
    rows that do not exist."""
    by_row: dict[int, dict[int, str]] = {}
    for (number, index), text in changes.cells.items():
        by_row.setdefault(number, {})[index] = text
    positions = rows.positions({*by_row, *changes.statuses})
    unknown = ({*by_row, *changes.statuses} - set(positions)) or None
    if unknown:
        raise ResultsError(f"This batch has no row {min(unknown)}.")
    edits = Edits()
    for number, by_index in by_row.items():
        row = rows.row(positions[number])
        before = decode_cells(row.cells)
        after = tuple(by_index.get(index, cell) for index, cell in enumerate(before))
        found = tuple(
            CellChange(header[index] or f"column {column_letters(index)}", index, before[index], text)
            for index, text in sorted(by_index.items())
            if before[index] != text
        )
        if found:
            edit = RowEdit(number, after, found)
            (edits.corrections if row.status is RowStatus.CREATED else edits.rows).append(edit)
    for number, word in changes.statuses.items():
        said = _said(word, rows.row(positions[number]).status)
        edits.words.append(StatusWord(number, said, changes.ids.get(number, "")))
    return edits


def _said(word: str, status: RowStatus) -> StatusEdit:
    said = said_by(status.shown, word)
    if said is None:
        raise ResultsError(f"A row that is {status.shown} cannot be set to {shown(word)}.")
    return said


def _as_sent(body: bytes, number: int, marker: Marker | None) -> bytes:
    return body if marker is None else marker.on(Activity.decoded(body), number).encoded()


def differences(before: bytes | None, after: bytes | None) -> str:
    """What differs between two activities, for a person."""
    one, two = _parts(before), _parts(after)
    changed: Iterator[str] = (
        f"{name}: {one.get(name, '(not sent)')!r} → {two.get(name, '(not sent)')!r}"
        for name in dict.fromkeys((*one, *two))
        if one.get(name) != two.get(name)
    )
    return "; ".join(changed)


def _parts(body: bytes | None) -> dict[str, str]:
    if body is None:
        return {}
    activity = Activity.decoded(body)
    note = {} if activity.note is None else {"ActivityNote": activity.note}
    parts = {"RelatedCompanyId": activity.company_id, "ActivityEvent": str(activity.event)}
    return {**parts, **note, **dict(activity.fields)}
