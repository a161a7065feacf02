"""What `resume` changes in a batch before it sends, computed as data while nothing is changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

from importer.activity import Activity, Marker
from importer.app.staging import described
from importer.errors import ResultsError
from importer.findings import CellFinding
from importer.mapping.choices import Resolved
from importer.mapping.row_mapper import RowMapper
from importer.results.edits import (
    Named,
    NewerLine,
    RowEdit,
)
from importer.sending.preflight import assume_sent
from importer.sending.reconcile.doubts import sent_body
from importer.sheets.rows import Cells, Row, decode_cells, encode_cells
from importer.store.batch_rows import BatchRows
from importer.store.ownership import BatchChange
from importer.store.records import IN_DOUBT, Batch, RowStatus, StoredRow

OLDER: Final = " (from an older copy of the results file)"
WITHOUT_REFUSAL: Final = "gave-up"
"""How a row failed that LeadSquared never refused: it is sent again unasked."""
REBUILT: Final = "rebuilt"


class BatchChanges:
    """Changes of one batch, gathered; `apply` makes them. Reads see what was gathered so far.

    at: UTC, ISO 8601, the time of all changes. clock_s: the tenant's clock minus ours.
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
        self._changed, self._invalid = Named(), Named()
        self._rows, self._batch, self._mapper, self._resolved, self._at = rows, batch, mapper, resolved, at
        self.marker = Marker(batch.marker, batch.id) if batch.marker else None
        self._now: dict[int, StoredRow] = {}
        self._before: dict[int, StoredRow] = {}
        self._elsewhere: dict[int, bytes] = {}

    def __repr__(self) -> str:
        return f"<BatchChanges of {len(self._now)} rows>"

    @property
    def changed(self) -> dict[int, StoredRow]:
        """Position → row as it will be, of those that change."""
        return {position: row for position, row in self._now.items() if row != self._before[position]}

    def described(self) -> Iterator[str]:
        """What changes, and which rows are still invalid: the first of each, and how many more there are."""
        yield from self._changed.sentences("Changed")
        yield from self._invalid.sentences("Still invalid")

    def row(self, position: int) -> StoredRow:
        """As it will be."""
        return self._now.get(position) or self._rows.row(position)

    def counts(self) -> Counter[RowStatus]:
        """Rows by status, as they will be."""
        counts = Counter(self._rows.counts())
        counts.subtract(row.status for row in self._before.values())
        counts.update(row.status for row in self._now.values())
        return counts

    def events_pending(self) -> dict[int, int]:
        """Activity type → rows of it that are to be sent, as they will be."""
        events = Counter(self._rows.event_counts(RowStatus.PENDING))
        events.subtract(_events_pending(self._before.values()))
        events.update(_events_pending(self._now.values()))
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
                if not valid and isinstance(self._mapped(row, edit.typed.cells, None), Activity):
                    cells, lines = edit.typed.cells, edit.typed.described()
            if lines:
                for line in lines:
                    self._changed.add(f"{line}{OLDER if edit.stale else ''}")
                # Content beyond the last heading is not in the results file: who corrects it sees it whole.
                self._map(row._replace(problem=None), cells)

    def remap(self) -> None:
        """Maps every row that is neither created nor skipped with the mapper given."""
        for row in self._rows_now():
            if row.status not in {RowStatus.CREATED, RowStatus.SKIPPED}:
                before = row.activity
                self._map(row, decode_cells(row.cells))
                after = self.row(row.position).activity
                if after != before:
                    self._changed.add(f"row {row.number}: {differences(before, after)}")

    def map_invalid(self) -> None:
        """Invalid rows may be valid now: an account that was looked up may exist since."""
        for row in self._rows_now(RowStatus.INVALID):
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

    def created(self, position: int, activity_id: str) -> None:
        """A person looked and pasted the Id in."""
        row = self._settled(self.row(position), RowStatus.CREATED)
        self._put(row._replace(activity_id=activity_id, released=True))

    def as_sent_elsewhere(self, position: int, edit: RowEdit | None) -> StoredRow:
        """The row as a colleague's run sent it: with the cells that the file shows."""
        row = self.row(position)
        if edit is None and row.activity is not None:
            return row
        cells = decode_cells(row.cells) if edit is None else edit.cells
        mapped = self._mapped(row, cells, None)
        if not isinstance(mapped, Activity) and row.activity is None:
            why = described(mapped)
            raise ResultsError(
                f"Row {row.number}: the file says created, and here the row is not valid: {why}",
                remedy="Use the mapping that was used there (-m MAPPING --remap). Nothing was sent.",
            )
        body = mapped.encoded() if isinstance(mapped, Activity) else row.activity
        return row._replace(cells=encode_cells(cells), activity=body, problem=None)

    def created_elsewhere(self, position: int, line: NewerLine) -> None:
        """A colleague's run created the row, and LeadSquared has confirmed it."""
        self._put(self._settled(self.as_sent_elsewhere(position, line.edit), RowStatus.CREATED))
        self.created(position, line.activity_id)

    def deleted(self, position: int) -> None:
        """A created row whose activity was deleted in LeadSquared by hand is sent again."""
        self._put(self._settled(self.row(position), RowStatus.PENDING)._replace(activity_id=None))

    def sent_elsewhere(self, position: int, line: NewerLine) -> None:
        """A colleague's run says that it created the row, which could not be confirmed: it is looked for."""
        if self.row(position).status not in {RowStatus.CREATED, *IN_DOUBT}:
            self._elsewhere[position] = sent_body(self.as_sent_elsewhere(position, line.edit), self.marker)

    def retry(self, *, refused_too: bool) -> None:
        """Failed rows go back to be sent: those that were never refused, or all of them."""
        for row in self._rows_now(RowStatus.FAILED):
            again = refused_too or row.error_code == WITHOUT_REFUSAL
            if again and row.activity is not None:
                self._put(self._settled(row, RowStatus.PENDING))

    # ---- applying ---------------------------------------------------------------------------------

    def apply(self, change: BatchChange) -> None:
        """Makes the changes, inside of `Ownership.change`."""
        changed = self.changed
        deleted = [
            one
            for one, row in changed.items()
            if self._before[one].status is RowStatus.CREATED and row.status is RowStatus.PENDING
        ]
        bodies = [one for one, row in changed.items() if row.activity != self._before[one].activity]
        change.keep_sent_bodies(bodies)
        kept = sorted(changed.keys() - set(deleted))
        change.change_rows(changed[one]._replace(changed_at=self._at) for one in kept)
        change.deleted_by_hand(deleted, self._at)

    def assume(self, change: BatchChange) -> None:
        """After `apply`: what may have been sent elsewhere is in doubt."""
        started = datetime.fromisoformat(self._batch.created_at).timestamp() + self._clock_s
        if self._batch.rebuilt is not None:
            assumed = {
                position: sent_body(row, self.marker)
                for position, row in self.changed.items()
                if row.status is RowStatus.PENDING and not row.doubted
            }
            assume_sent(change, assumed, started, REBUILT)
        valid = {one: body for one, body in self._elsewhere.items() if self.row(one).activity is not None}
        assume_sent(change, valid, started)

    # ---- one row ----------------------------------------------------------------------------------

    def _map(self, row: StoredRow, cells: Cells, *, of_person: bool = False) -> None:
        mapped = self._mapped(row, cells, row.problem)
        encoded = encode_cells(cells)
        if isinstance(mapped, Activity):
            self._map_valid(row, encoded, mapped.encoded(), of_person=of_person)
            return
        text = described(mapped)
        self._invalid.add(f"Row {row.number}: {text}")
        if row.status in IN_DOUBT:
            raise ResultsError(
                f"Row {row.number} may have been created already, and what was changed is not valid: {text}",
                remedy="Put the row's cells back, or correct them; nothing was sent.",
            )
        if row.status is RowStatus.SKIPPED and not of_person:
            return
        invalid = row._replace(cells=encoded, activity=None, status=RowStatus.INVALID)
        self._put(invalid._replace(error_code="invalid", error=text, changed_at=self._at))

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

    def _mapped(self, row: StoredRow, cells: Cells, problem: str | None) -> Activity | list[CellFinding]:
        return self._mapper.map(Row(row.number, cells, problem), self._resolved)

    def _settled(self, row: StoredRow, status: RowStatus) -> StoredRow:
        return row._replace(status=status, error_code="", error="", changed_at=self._at)

    def _rows_now(self, status: RowStatus | None = None) -> Iterator[StoredRow]:
        """Rows (None: all) that have this status and keep it, as they will be."""
        for stored in self._rows.rows(status):
            row = self._now.get(stored.position, stored)
            if status in {None, row.status}:
                yield row

    def _put(self, row: StoredRow) -> None:
        if row.position not in self._before:
            self._before[row.position] = self._rows.row(row.position)
        self._now[row.position] = row


def _events_pending(rows: Iterable[StoredRow]) -> Iterator[int]:
    for row in rows:
        if row.status is RowStatus.PENDING and row.activity is not None:
            yield Activity.decoded(row.activity).event


def differences(before: bytes | None, after: bytes | None) -> str:
    """What differs between two activities, for a person."""
    one, two = ({} if body is None else Activity.decoded(body).parts() for body in (before, after))
    changed: Iterator[str] = (
        f"{name}: {one.get(name, '(not sent)')!r} → {two.get(name, '(not sent)')!r}"
        for name in dict.fromkeys((*one, *two))
        if one.get(name) != two.get(name)
    )
    return "; ".join(changed)
