"""A batch that asks to be let in, beside what the ledger knows. All of it is SQL: a million rows are compared
without being held in memory, and many identical ones without being paired one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from importer.journal.journal import Journal
from importer.ledger.file import told
from importer.ledger.journals import claimed_ids, to_be_sent
from importer.ledger.ledger import Ledger
from importer.ledger.rows import Entry


class Earlier(NamedTuple):
    """A row of the candidate that was created before: by which batch, with which Id."""

    position: int
    activity_id: str
    batch: str


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many rows another batch has, counted as a multiset: 3 equal rows beside 2 known ones overlap by 2.

    created: rows that stand in LeadSquared already, `created_by` the batches that created them.
    held: rows that other batches still hold open, `held_by` which ones: they have to be finished first.
    A batch whose journal is `missing` cannot be finished.
    """

    created: int = 0
    created_by: tuple[tuple[Entry, int], ...] = ()
    held: int = 0
    held_by: tuple[tuple[Entry, int], ...] = ()


# Rows of the candidate are `asked`; Ids that others of its rows have already are `own`. `hit` holds the
# fingerprints that the ledger knows at all, mostly none; what is counted and paired is counted and paired
# among those. `other`: batches that count.
_TABLES: Final = {
    "asked": "(position INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL)",
    "own": "(activity_id TEXT PRIMARY KEY) WITHOUT ROWID",
    "hit": "(fingerprint BLOB PRIMARY KEY) WITHOUT ROWID",
    "other": "(key INTEGER PRIMARY KEY, id TEXT NOT NULL)",
    "mine": "(fingerprint BLOB, nth INTEGER, position INTEGER, PRIMARY KEY (fingerprint, nth)) WITHOUT ROWID",
    "paired": "(position INTEGER PRIMARY KEY, activity_id TEXT, batch INTEGER)",
    "held": "(fingerprint BLOB, batch INTEGER, theirs INTEGER, mine INTEGER)",
}
_HITS: Final = (
    "INSERT OR IGNORE INTO hit SELECT fingerprint FROM asked"
    " WHERE EXISTS (SELECT 1 FROM main.row WHERE main.row.fingerprint = asked.fingerprint)"
)
_HOLDING: Final = (
    "SELECT DISTINCT row.batch FROM hit CROSS JOIN main.row ON row.fingerprint = hit.fingerprint"
    " WHERE row.state = 1"
)
_COUNTED: Final = (
    """
    INSERT INTO mine
        SELECT fingerprint, row_number() OVER (PARTITION BY fingerprint ORDER BY position), position
        FROM asked WHERE fingerprint IN (SELECT fingerprint FROM hit)
    """,
    # One Id may stand in several batches (`--only-new` takes earlier ones over): it was created once.
    """
    INSERT INTO paired
        SELECT mine.position, activity_id, batch
        FROM (SELECT fingerprint, activity_id, batch,
                row_number() OVER (PARTITION BY fingerprint ORDER BY batch, activity_id) AS nth
            FROM (SELECT row.fingerprint, row.activity_id, min(row.batch) AS batch
                FROM hit CROSS JOIN main.row ON row.fingerprint = hit.fingerprint
                CROSS JOIN other ON other.key = row.batch
                WHERE row.activity_id IS NOT NULL AND row.activity_id NOT IN (SELECT activity_id FROM own)
                GROUP BY row.fingerprint, row.activity_id)) AS created
        CROSS JOIN mine ON mine.fingerprint = created.fingerprint AND mine.nth = created.nth
    """,
    """
    INSERT INTO held
        SELECT fingerprint, batch, theirs,
            (SELECT max(nth) FROM mine WHERE mine.fingerprint = known.fingerprint)
        FROM (SELECT row.fingerprint, row.batch, count(*) AS theirs
            FROM hit CROSS JOIN main.row ON row.fingerprint = hit.fingerprint
            CROSS JOIN other ON other.key = row.batch
            WHERE row.state = 1 GROUP BY row.fingerprint, row.batch) AS known
    """,
)
_CREATED: Final = "SELECT count(*) FROM paired"
_CREATED_BY: Final = "SELECT batch, count(*) FROM paired GROUP BY batch"
_HELD: Final = (
    "SELECT coalesce(sum(least), 0)"
    " FROM (SELECT min(mine, sum(theirs)) AS least FROM held GROUP BY fingerprint)"
)
_HELD_BY: Final = "SELECT batch, sum(min(mine, theirs)) FROM held GROUP BY batch"
_EARLIER: Final = (
    "SELECT position, activity_id, other.id FROM paired JOIN other ON other.key = batch ORDER BY position"
)


class Candidate:
    """A batch that asks to be let in; or, with `positions`, rows of one that `resume` would send again
    (failed, mended, remapped ones), to be compared with every other batch.

    Rows to be sent are those that are pending when it is asked first; when they change (`--only-new` takes
    over Ids), a new candidate is needed. Of several, each may be asked.
    """

    def __init__(self, ledger: Ledger, journal: Journal, positions: Collection[int] | None = None) -> None:
        self.ledger = ledger
        self.journal = journal
        self.positions = positions
        self.batch = journal.batch()

    def same_sheet(self) -> list[Entry]:
        """Batches of the same sheet, the latest first."""
        found = self.ledger.same_sheet(self.batch.tenant, self.batch.content, self.batch.source_cells)
        return [entry for entry in found if entry.id != self.batch.id and self.ledger.is_batch(entry)]

    def overlap(self) -> Overlap:
        """How many rows other batches of the tenant have created, or hold open."""
        self._compare()
        with told(self.ledger.path):
            return Overlap(
                created=self._one(_CREATED),
                created_by=self._each(_CREATED_BY),
                held=self._one(_HELD),
                held_by=self._each(_HELD_BY),
            )

    def earlier(self) -> Iterator[Earlier]:
        """The rows that were created before, in the source's order, each with an Id of its own."""
        self._compare()
        with told(self.ledger.path):
            for values in self.ledger.connection.execute(_EARLIER):
                yield Earlier(*values)

    def register(self) -> list[Entry]:
        """Lets the batch in, inside `Ledger.registering`. Gives the batches that it replaces: they never sent
        a call. Their results files, if they are still there, have become meaningless."""
        replaced = self._void()
        for entry in replaced:
            self.ledger.forget(entry)
        self.ledger.register(self.journal)
        return replaced

    def _void(self) -> list[Entry]:
        """Batches that are none, of the same sheet or with rows of it: they must not be resumed later."""
        self._compare()
        batch = self.batch
        same = self.ledger.same_sheet(batch.tenant, batch.content, batch.source_cells)
        found = {entry.key: entry for entry in (*same, *self._holding()) if entry.id != batch.id}
        return [entry for entry in found.values() if not self.ledger.is_batch(entry)]

    def _compare(self) -> None:
        """Fills the temporary tables: `asked` and `own` once, the others anew each time, as batches go on."""
        connection = self.ledger.connection
        with told(self.ledger.path):
            if self.ledger.asking is not self:
                self._ask()
            for table in tuple(_TABLES)[2:]:
                connection.execute(f"DELETE FROM temp.{table}")  # noqa: S608  (names are above)
            connection.execute(_HITS)
            connection.execute(
                "INSERT INTO other SELECT key, id FROM batch WHERE tenant = ? AND id <> ?",
                (self.batch.tenant, self.batch.id),
            )
            for entry in self._holding():
                if not self.ledger.is_batch(entry):
                    connection.execute("DELETE FROM other WHERE key = ?", (entry.key,))
            for statement in _COUNTED:
                connection.execute(statement)

    def _ask(self) -> None:
        connection = self.ledger.connection
        self.ledger.asking = None
        for table, columns in _TABLES.items():
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
            connection.execute(f"CREATE TEMP TABLE {table} {columns}")
        if not self._one("SELECT EXISTS (SELECT 1 FROM main.row)"):
            return  # nothing is known yet, so nothing can be met; it is asked again when something is
        rows = to_be_sent(self.journal, self.positions)
        taken = claimed_ids(self.journal)
        # One transaction of some kind, or each row would be one; a savepoint fits into that of `registering`.
        connection.execute("SAVEPOINT asking")
        try:
            connection.executemany("INSERT INTO asked VALUES (?, ?)", rows)
            connection.executemany("INSERT OR IGNORE INTO own VALUES (?)", taken)
        finally:
            connection.execute("RELEASE asking")
        self.ledger.asking = self

    def _holding(self) -> list[Entry]:
        with told(self.ledger.path):
            keys = [key for (key,) in self.ledger.connection.execute(_HOLDING)]
        tenants = {entry.key: entry for entry in self.ledger.batches(self.batch.tenant)}
        return [tenants[key] for key in keys if key in tenants and tenants[key].id != self.batch.id]

    def _one(self, query: str) -> int:
        (found,) = self.ledger.connection.execute(query).fetchone()
        return int(found)

    def _each(self, query: str) -> tuple[tuple[Entry, int], ...]:
        entries = {entry.key: entry for entry in self.ledger.batches(self.batch.tenant)}
        found = self.ledger.connection.execute(query).fetchall()
        return tuple((entries[key], count) for key, count in sorted(found, reverse=True))
