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

from importer.activity import Activity
from importer.errors import ResultsError
from importer.journal import IN_DOUBT, Journal, JournalRow, RowStatus
from importer.references import Resolved
from importer.row_mapper import RowMapper
from importer.source.rows import Cells, Row, decode_cells, encode_cells
from importer.staging import described

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

    def mend(self, rows: Iterable[tuple[JournalRow, Cells]]) -> None:
        """Takes over cells that a person changed."""
        for row, cells in rows:
            self._map(row, cells, row.problem)

    def remap(self) -> None:
        """Maps every row that is not created or skipped with the mapper given."""
        for row in self.journal.rows():
            if row.status not in {RowStatus.CREATED, RowStatus.SKIPPED}:
                self._map(row, decode_cells(row.cells), row.problem)

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

    def retry(self, *, refused_too: bool) -> None:
        """Failed rows go back to be sent: those that were never refused, or all of them."""
        for row in self.journal.rows(RowStatus.FAILED):
            if (refused_too or row.error_code == WITHOUT_REFUSAL) and row.activity is not None:
                self._set(row.position, RowStatus.PENDING)
                self.changes.to_send.add(row.position)

    def _map(self, row: JournalRow, cells: Cells, problem: str | None, *, of_person: bool = False) -> None:
        mapped = self._mapper.map(Row(row.number, cells, problem), self._resolved)
        encoded = encode_cells(cells)
        if isinstance(mapped, Activity):
            body = mapped.encoded()
            if encoded == row.cells and body == row.activity and not of_person:
                return
            self._keep_what_was_sent(row.position)
            status = _with_a_valid_activity(row.status, of_person=of_person)
            self._write(row, encoded, body, status)
            self.changes.mended += 1
            if status is RowStatus.PENDING:
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


def _with_a_valid_activity(status: RowStatus, *, of_person: bool) -> RowStatus:
    if status in IN_DOUBT or (status is RowStatus.SKIPPED and not of_person):
        return status
    return RowStatus.PENDING


def is_finished(counts: dict[str, int]) -> bool:
    """Nothing is left that could be sent or looked up."""
    return not counts["pending"] and not counts["uncertain"]
