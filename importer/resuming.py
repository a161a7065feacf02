"""What `resume` changes in a batch before it sends: mended cells, another mapping, words of a person.

All of it happens in one transaction of the journal, so that a "no" at the question leaves the batch as it
was. A row that is created is never touched. What earlier attempts of a row sent is kept with them, since
that is what is looked for, whatever the sheet says now.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from importer.activity import Activity, Marker
from importer.errors import ResultsError
from importer.findings import CellFinding
from importer.journal.journal import IN_DOUBT, Journal, JournalRow, RowStatus
from importer.mapping.references import Resolved
from importer.mapping.row_mapper import RowMapper
from importer.results.edits import RowEdit
from importer.sheets.rows import Cells, Row, decode_cells, encode_cells
from importer.staging import described

SHOWN_MAX: Final = 20
JOURNAL_LOST: Final = (
    "The batch's journal was lost, so this row may have been created already; resume looks first."
)
OLDER: Final = " (from an older copy of the results file)"
WITHOUT_REFUSAL: Final = "gave-up"
"""How a row failed that LeadSquared never refused: it is sent again unasked."""


@dataclass(slots=True)
class Changes:
    """What was changed, counted, and the positions of rows that go back to be sent."""

    mended: int = 0
    invalid: int = 0
    skipped: int = 0
    to_send: set[int] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.mended or self.invalid or self.skipped or self.to_send)


class Reopening:
    """Changes one batch inside `journal.change()`. at: UTC, ISO 8601, the time of all changes."""

    def __init__(
        self, journal: Journal, connection: sqlite3.Connection, mapper: RowMapper, resolved: Resolved, at: str
    ) -> None:
        self.journal = journal
        self.changes = Changes()
        self._connection = connection
        self._mapper = mapper
        self._resolved = resolved
        self._at = at
        self._rebuilt: float | None = journal.fact("rebuilt")
        batch = journal.batch()
        self._marker = Marker(batch.marker, batch.id) if batch.marker else None

    def mend(self, edits: Iterable[RowEdit]) -> None:
        """Takes over cells that a person changed.

        Of an invalid row, a respelling that a person may have meant counts if it makes the row valid.
        """
        found = {edit.number: edit for edit in edits}
        for number, position in self.journal.positions(found).items():
            row, edit = self.journal.row(position), found[number]
            cells, lines = edit.cells, edit.described()
            if row.status is RowStatus.INVALID and edit.typed is not None:
                valid = isinstance(self._mapped(row, edit.cells, None), Activity)
                if not valid and isinstance(self._mapped(row, edit.typed, None), Activity):
                    cells, lines = edit.typed, edit.described(typed=True)
            if lines:
                self.changes.shown += [f"{line}{OLDER if edit.stale else ''}" for line in lines]
                # What stood beyond the last heading is not in the results file: who mends it sees it whole.
                self._connection.execute("UPDATE row SET problem = NULL WHERE position = ?", (position,))
                self._map(row, cells, None)

    def remap(self) -> None:
        """Maps every row that is not created or skipped with the mapper given."""
        for row in self.journal.rows():
            if row.status not in {RowStatus.CREATED, RowStatus.SKIPPED}:
                before = row.activity
                self._map(row, decode_cells(row.cells), row.problem)
                self._show_remapped(row, before)

    def map_invalid(self) -> None:
        """Invalid rows may be valid now: an account that was looked up may exist since."""
        for row in self.journal.rows(RowStatus.INVALID):
            self._map(row, decode_cells(row.cells), row.problem)

    def _show_remapped(self, row: JournalRow, before: bytes | None) -> None:
        after = self.journal.row(row.position).activity
        if after != before and len(self.changes.shown) < SHOWN_MAX:
            self.changes.shown.append(f"row {row.number}: {differences(before, after)}")

    def skip(self, positions: Iterable[int]) -> None:
        """Never to be sent, says a person; not for rows that are created or in doubt."""
        for position in positions:
            self._set(position, RowStatus.SKIPPED)
            self.changes.skipped += 1

    def unskip(self, positions: Iterable[int]) -> None:
        """To be sent after all."""
        for position in positions:
            row = self.journal.row(position)
            self._map(row, decode_cells(row.cells), row.problem, of_person=True)

    def release(self, positions: Iterable[int]) -> None:
        """A person looked and says that it is not there: a look that cannot tell stops the send no more."""
        for position in positions:
            self._connection.execute(
                "UPDATE row SET released = 1, changed_at = ? WHERE position = ?", (self._at, position)
            )
            self.changes.to_send.add(position)

    def created(self, position: int, activity_id: str) -> None:
        """A person looked and pasted the Id in."""
        self._connection.execute(
            "UPDATE row SET status = ?, activity_id = ?, released = 1, error_code = '', error = '',"
            " changed_at = ? WHERE position = ?",
            (RowStatus.CREATED, activity_id, self._at, position),
        )

    def retry(self, *, refused_too: bool) -> None:
        """Failed rows go back to be sent: those that were never refused, or all of them."""
        for row in self.journal.rows(RowStatus.FAILED):
            if (refused_too or row.error_code == WITHOUT_REFUSAL) and row.activity is not None:
                self._set(row.position, RowStatus.PENDING)
                self.changes.to_send.add(row.position)

    def _map(self, row: JournalRow, cells: Cells, problem: str | None, *, of_person: bool = False) -> None:
        mapped = self._mapped(row, cells, problem)
        encoded = encode_cells(cells)
        if isinstance(mapped, Activity):
            body = mapped.encoded()
            if encoded == row.cells and body == row.activity and not of_person:
                return
            self._keep_what_was_sent(row.position)
            status = _with_a_valid_activity(row.status, of_person=of_person)
            self._write(row, encoded, body, status)
            if self._rebuilt and status is RowStatus.PENDING and not row.doubted:
                doubt_since(self._connection, row, body, self._rebuilt, self._marker)
                status = RowStatus.DOUBTFUL
            self.changes.mended += 1
            if status in {RowStatus.PENDING, RowStatus.DOUBTFUL}:
                self.changes.to_send.add(row.position)
            return
        told = described(mapped)
        self.changes.problems.append(f"Row {row.number}: {told}")
        if row.status in IN_DOUBT:
            raise ResultsError(
                f"Row {row.number} may have been created already, and what was changed is not valid: {told}",
                remedy="Put the row's cells back, or mend them; nothing was sent.",
            )
        if row.status is RowStatus.SKIPPED and not of_person:
            return
        self._write(row, encoded, None, RowStatus.INVALID, told)
        self.changes.invalid += 1

    def _mapped(self, row: JournalRow, cells: Cells, problem: str | None) -> Activity | list[CellFinding]:
        return self._mapper.map(Row(row.number, cells, problem), self._resolved)

    def _write(
        self, row: JournalRow, cells: str, body: bytes | None, status: RowStatus, error: str = ""
    ) -> None:
        kept = status in IN_DOUBT
        code = "invalid" if status is RowStatus.INVALID else ""
        self._connection.execute(
            "UPDATE row SET cells = ?, activity = ?, status = ?, error_code = ?, error = ?, changed_at = ?"
            " WHERE position = ?",
            (
                cells,
                body,
                status,
                row.error_code if kept else code,
                row.error if kept else error,
                self._at,
                row.position,
            ),
        )

    def _set(self, position: int, status: RowStatus) -> None:
        self._connection.execute(
            "UPDATE row SET status = ?, error_code = '', error = '', changed_at = ? WHERE position = ?",
            (status, self._at, position),
        )

    def _keep_what_was_sent(self, position: int) -> None:
        self._connection.execute(
            "UPDATE attempt SET body = (SELECT activity FROM row WHERE row.position = attempt.position)"
            " WHERE position = ? AND body IS NULL",
            (position,),
        )


def doubt_since(
    connection: sqlite3.Connection, row: JournalRow, body: bytes, since: float, marker: Marker | None
) -> None:
    """A row of a batch whose journal was lost: it may have been sent at any time since the batch's start
    (Unix seconds, by the tenant's clock). body: its activity."""
    position = row.position
    sent = None if marker is None else marker.on(Activity.decoded(body), row.number).encoded()
    connection.execute(
        "INSERT INTO attempt (position, body, marked_at, clock_difference, detail) VALUES (?, ?, ?, 0, ?)",
        (position, sent, since, "the journal was lost: this row may have been sent"),
    )
    connection.execute(
        "UPDATE row SET status = ?, doubted = 1, error_code = 'journal-lost', error = ? WHERE position = ?",
        (RowStatus.DOUBTFUL, JOURNAL_LOST, position),
    )


def differences(before: bytes | None, after: bytes | None) -> str:
    """What differs between two activities, for a person."""
    one, two = _parts(before), _parts(after)
    changed = [
        f"{name}: {one.get(name, '(not sent)')!r} → {two.get(name, '(not sent)')!r}"
        for name in dict.fromkeys((*one, *two))
        if one.get(name) != two.get(name)
    ]
    return "; ".join(changed)


def _parts(body: bytes | None) -> dict[str, str]:
    if body is None:
        return {}
    activity = Activity.decoded(body)
    note = {} if activity.note is None else {"ActivityNote": activity.note}
    parts = {"RelatedCompanyId": activity.company_id, "ActivityEvent": str(activity.event)}
    return {**parts, **note, **dict(activity.fields)}


def _with_a_valid_activity(status: RowStatus, *, of_person: bool) -> RowStatus:
    if status in IN_DOUBT or (status is RowStatus.SKIPPED and not of_person):
        return status
    return RowStatus.PENDING
