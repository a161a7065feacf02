"""The index of all batches of all tenants, and of what they created: nothing is imported twice unasked.

The journals are the truth about their batches; the ledger is brought up to date from them before it is asked,
and made anew from them when it was lost. What it alone knows is what the journals of deleted batches told it:
their rows and Ids go on protecting against duplicates.

`run` lets a batch in like this (see `ledger_candidate`), with the draft of its journal staged:

    candidate = Candidate(ledger, draft.journal())
    candidate.same_sheet(), candidate.overlap()      # told, and asked about
    with ledger.registering():                       # one transaction; another run waits here
        candidate.same_sheet(), candidate.overlap()  # the same as before, or the question is void
        candidate.register()
        draft.publish()

Rehearsals never come here. Errors are ResultsError (nothing was sent), in mid-run JournalError.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from importer.errors import JournalError, ResultsError
from importer.journal.journal import Journal
from importer.journal.lock import batch_lock, is_free, lock_path
from importer.ledger.file import in_memory, open_file, told
from importer.ledger.journals import UnreadableJournalError, claimed_in, never_sent, reading, signature
from importer.ledger.rows import CHUNK_ROWS, Entry, delete, entries, insert, refresh

if TYPE_CHECKING:
    from filelock import BaseFileLock

REHEARSAL: Final = "sandbox-"  # how the ids of rehearsals begin


class Ledger:
    """Opened by `Ledger.open`; to be used from one thread."""

    def __init__(self, home: Path, connection: sqlite3.Connection, *, kept: bool) -> None:
        self.path = home / "ledger.sqlite"
        self.journals = home / "journals"
        self.connection = connection
        self.asking: object = None  # whose rows are in the connection's temporary tables
        self._kept = kept
        self._after: list[tuple[Path, BaseFileLock]] = []

    def __repr__(self) -> str:
        return f"<Ledger {self.path} kept={self._kept} in_transaction={self.connection.in_transaction}>"

    @classmethod
    def open(cls, home: Path) -> Self:
        """The ledger of `home`, IMPORTER_HOME; made anew from the journals when it was lost.

        While there is nothing to keep, no file is made. Raises ResultsError when it is damaged, of a newer
        importer, or cannot be read.
        """
        path = home / "ledger.sqlite"
        if path.exists():
            return cls(home, open_file(path), kept=True)
        ledger = cls(home, in_memory(), kept=False)
        try:
            ledger._adopt_unknown()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def close(self) -> None:
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- what is known ------------------------------------------------------------------------------

    def batches(self, tenant: str | None = None) -> list[Entry]:
        """All batches, or those of one tenant, the latest first."""
        return self._entries("true") if tenant is None else self._entries("tenant = ?", tenant)

    def batch(self, batch: str) -> Entry | None:
        return self._first("id = ?", batch)

    def by_source(self, source: Path) -> Entry | None:
        """The latest batch of the sheet at this path."""
        return self._first("source = ?", str(source.absolute()))

    def by_source_cells(self, digest: str) -> Entry | None:
        """The latest batch of a sheet with these ordered source cells, wherever it lies and is called now."""
        found = self._digested((digest,))
        return found[0] if found else None

    def same_sheet(self, tenant: str, content: str, source_cells: str) -> list[Entry]:
        """The tenant's batches with the same ordered activities or the same ordered source cells, now or
        before they were mended; the latest first. Some may be `is_batch` no more."""
        return [entry for entry in self._digested((content, source_cells)) if entry.tenant == tenant]

    def claimed(
        self, tenant: str, activity_ids: Iterable[str], apart_from: str | None = None
    ) -> dict[str, str]:
        """Those of the Ids that a row of another batch of the tenant holds, and that batch's id.

        Batches that were written since they were last read are asked themselves, so this is quick and holds
        at this moment. apart_from: a batch whose own claims its caller knows. Raises JournalError.
        """
        asked = {one.lower(): one for one in activity_ids}
        claims: dict[str, str] = {}
        with told(self.path, JournalError):
            found = self.connection.execute(
                "SELECT row.activity_id, batch.id FROM row JOIN batch ON batch.key = row.batch"
                " WHERE row.activity_id IN (SELECT value FROM json_each(?)) AND batch.tenant = ?"
                " AND batch.id IS NOT ?",
                (json.dumps(list(asked.values())), tenant, apart_from),
            )
            claims.update((asked[activity_id.lower()], batch) for activity_id, batch in found)
            others = [entry for entry in self.batches(tenant) if entry.id != apart_from]
        for entry in others:
            left = [one for one in asked.values() if one not in claims]
            if not left or entry.missing or (entry.seen and entry.seen == signature(entry.journal)):
                continue
            try:
                with reading(entry.journal) as journal:
                    claims.update((asked[one], entry.id) for one in claimed_in(journal, left))
            except UnreadableJournalError:
                continue  # what the ledger learnt of it before is all that can be known
        return claims

    def lost(self, journal: Journal) -> list[tuple[int, str]]:
        """(position, Id) of rows that were created and that this journal has not as created: then it is an
        older copy, put back from a backup, and what it would send stands in LeadSquared already."""
        entry = self.batch(journal.batch().id)
        if entry is None:
            return []
        # Named one by one, since an index serves "which" and not "which not".
        asked = "SELECT position FROM row WHERE status IN (0, 1, 2, 3, 5, 6, 7) ORDER BY position"
        positions = (position for (position,) in journal.connection.execute(asked))
        found: list[tuple[int, str]] = []
        with told(self.path):
            while chunk := list(islice(positions, CHUNK_ROWS)):
                found += self.connection.execute(
                    "SELECT position, activity_id FROM row WHERE batch = ? AND activity_id IS NOT NULL"
                    " AND position IN (SELECT value FROM json_each(?)) ORDER BY position",
                    (entry.key, json.dumps(chunk)),
                )
        return found

    def is_batch(self, entry: Entry) -> bool:
        """False for one that never sent a call and that nobody is at work on: a run may replace it.

        Where its journal is missing or cannot be read, it may have sent, and is a batch.
        """
        if entry.missing:
            return True
        try:
            with reading(entry.journal) as journal:
                # In this order: who owns the lock may mark a row at any moment.
                return not (is_free(entry.journal) and never_sent(journal))
        except UnreadableJournalError:
            return True

    # ---- keeping it up to date -----------------------------------------------------------------------

    def catch_up(self, tenant: str) -> None:
        """Reads what happened in the tenant's journals since the last time, and takes in unknown journals.

        Only rows that were not yet created are read again, and only of journals that were written since.
        Raises ResultsError when an unknown journal cannot be read: nobody could tell what it has sent.
        """
        self._adopt_unknown()
        for entry in self.batches(tenant):
            self._refresh(entry)

    def catch_up_batch(self, batch: str) -> None:
        """The same for one batch, at the end of its run."""
        entry = self.batch(batch)
        if entry is not None:
            self._refresh(entry)

    @contextmanager
    def registering(self) -> Iterator[None]:
        """One transaction for look-up and registration: of two runs, the second sees what the first has done.

        What is raised in it undoes it. Journals that were replaced are removed once it is durable.
        """
        self._keep()
        try:
            with self._transaction():
                yield
            for journal, _ in self._after:
                for file in (
                    journal,
                    *(journal.with_name(f"{journal.name}{end}") for end in ("-wal", "-shm")),
                ):
                    file.unlink(missing_ok=True)
        finally:
            for journal, lock in self._after:
                lock.release()
                if not journal.exists():
                    lock_path(journal).unlink(missing_ok=True)
            self._after.clear()

    def register(self, journal: Journal) -> None:
        """Takes a batch in with all its rows, inside `registering`. One that is known under this id, from a
        journal that is no more, keeps what it created."""
        batch = journal.batch()
        if batch.rehearsal:
            raise ValueError(f"{batch.id} is a rehearsal")
        with told(self.path):
            insert(self.connection, journal, batch)

    def forget(self, entry: Entry) -> None:
        """Removes a batch that is none (`is_batch`), inside `registering`: its rows here at once, its journal
        after the transaction. Raises ResultsError when it has become one in the meantime."""
        self._after.append((entry.journal, batch_lock(entry.journal)))
        try:
            with reading(entry.journal) as journal:
                unsent = never_sent(journal)
        except UnreadableJournalError:
            unsent = False
        if not unsent:
            self._after.pop()[1].release()
            raise ResultsError(
                "This batch has begun to send in another window.",
                where=entry.id,
                remedy="Try again when it has ended. Nothing was sent from here.",
            )
        with told(self.path):
            delete(self.connection, entry.key)

    # ---- inside --------------------------------------------------------------------------------------

    def _entries(self, condition: str, *values: object) -> list[Entry]:
        with told(self.path):
            return entries(self.connection, self.journals, condition, *values)

    def _first(self, condition: str, *values: object) -> Entry | None:
        found = self._entries(condition, *values)
        return found[0] if found else None

    def _digested(self, digests: tuple[str, ...]) -> list[Entry]:
        known = "SELECT batch FROM digest WHERE value IN (SELECT value FROM json_each(?))"
        return self._entries(f"key IN ({known})", json.dumps(digests))

    def _keep(self) -> None:
        """From now on there is something to keep: the ledger gets its file."""
        if not self._kept:
            self.connection.close()
            self.connection = open_file(self.path)
            self.asking = None
            self._kept = True

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self.connection.in_transaction:
            yield
            return
        with told(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            with told(self.path):
                self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def _unknown(self) -> list[Path]:
        files = sorted(self.journals.glob("*.journal"))
        with told(self.path):
            known = {batch for (batch,) in self.connection.execute("SELECT id FROM batch")}
        return [file for file in files if file.stem not in known and not file.stem.startswith(REHEARSAL)]

    def _adopt_unknown(self) -> None:
        """Takes in journals that the ledger does not know: it was lost, or they were put there by hand."""
        if not self._unknown():
            return
        self._keep()
        with self._transaction():
            for path in self._unknown():  # asked again: another process may have taken them in
                seen = signature(path)
                with reading(path) as journal:
                    batch = journal.batch()
                    if batch.id == path.stem and not batch.rehearsal:
                        with told(self.path):
                            insert(self.connection, journal, batch, seen)

    def _refresh(self, entry: Entry) -> None:
        """Brings one batch up to date. One whose journal is gone or damaged stays as it was known last."""
        seen = signature(entry.journal)
        if entry.missing or (seen and seen == entry.seen):
            return
        with suppress(UnreadableJournalError), self._transaction(), reading(entry.journal) as journal:
            batch = journal.batch()
            if batch.id == entry.id:
                with told(self.path):
                    refresh(self.connection, entry.key, journal, batch, seen)
