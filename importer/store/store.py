"""The store of all batches: where everything that must be known again is kept.

store = open_store(home().root, url)                  # url: IMPORTER_STORE, None for the embedded store
with store.stage(batch_id) as staging:
    staging.add(rows, at)
    store.duplicates(batch).overlap()               # shown, asked about
    with store.publish(staging, batch, check=…) as owned:
        writer = StoreWriter(owned) …
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Self

from importer.store.batch_rows import BatchRows
from importer.store.duplicates import DuplicateCheck, Recognition
from importer.store.ownership import Ownership
from importer.store.records import Batch, BatchSummary
from importer.store.staging import Staging


def open_store(home: Path, url: str | None = None, *, create: bool = True) -> Store:
    """The store at `url` (`postgresql://…`), else the embedded one in the folder `home`.

    Applies the steps that an older schema lacks, under a lock. create: False for commands that leave nothing
    behind; where there is no embedded store yet, an empty one in memory stands in.

    Raises StoreUnusableError when it cannot be reached, is damaged, of a newer importer, or cannot be
    written.
    """
    raise NotImplementedError


class Store:
    """Opened by `open_store`. Methods raise StoreError for trouble with the database, and ResultsError for a
    batch that is not there, in use, erased, or in a store that was moved. Methods may be called from any
    thread, one at a time."""

    location: str
    """For a person: the file, or the URL without its password."""
    dialect: str
    """`sqlite` or `postgresql`."""
    moved_to: str | None
    """Where the embedded store was copied to (without password): it is read-only from then on."""

    def now(self) -> float:
        """Unix seconds by the database's clock (the computer's, for the embedded store)."""
        raise NotImplementedError

    def close(self) -> None:
        """Idempotent."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- which batches there are --------------------------------------------------------------------

    def batches(self, tenant: str | None = None, *, rehearsals: bool = True) -> list[BatchSummary]:
        """Published batches, of all tenants or of one, the latest first."""
        raise NotImplementedError

    def summary(self, batch_id: str) -> BatchSummary | None:
        """None when there is no such batch."""
        raise NotImplementedError

    def by_source(self, source: Path, *, rehearsal: bool = False) -> BatchSummary | None:
        """The latest batch (or rehearsal) of the sheet at this path."""
        raise NotImplementedError

    def by_source_cells(self, digest: str, *, rehearsal: bool = False) -> BatchSummary | None:
        """The latest batch of a sheet with these ordered source cells, wherever it is and is called now."""
        raise NotImplementedError

    def open(self, batch_id: str) -> BatchRows:
        """For reading, also beside the batch's owner. Raises ResultsError when there is no such batch."""
        raise NotImplementedError

    def claimed(
        self, tenant: str, activity_ids: Iterable[str], apart_from: str | None = None
    ) -> dict[str, str]:
        """Those of the Ids (as asked for) that a row of a batch of the tenant holds or held, and the batch's
        id. apart_from: a batch whose own claims its caller knows."""
        raise NotImplementedError

    def in_doubt_elsewhere(self, tenant: str, account: str, apart_from: str) -> list[tuple[str, bytes]]:
        """(batch id, body) of other batches' rows on an account that are being sent or in doubt: what could
        be taken for a row of ours."""
        raise NotImplementedError

    # ---- a new batch --------------------------------------------------------------------------------

    def stage(self, batch_id: str) -> Staging:
        """Begins to stage a batch; removes what dead processes left staged. Raises ResultsError when the
        batch exists already."""
        raise NotImplementedError

    def duplicates(self, batch: Batch, positions: Collection[int] | None = None) -> DuplicateCheck:
        """A staged or published batch's pending rows (or those of them at `positions`) compared with the
        tenant's other batches."""
        raise NotImplementedError

    def recognition(self) -> Recognition:
        """For `check`: nothing is staged."""
        raise NotImplementedError

    def publish(
        self, staging: Staging, batch: Batch, check: Callable[[DuplicateCheck], None] | None = None
    ) -> Ownership:
        """In one transaction, one tenant at a time: `check` compares once more (what it raises undoes all),
        batches that never sent are removed, and the batch is there, owned by this process."""
        raise NotImplementedError

    def withdraw(self, owned: Ownership) -> None:
        """Takes back a batch that never sent a call (its results file could not be written)."""
        raise NotImplementedError

    # ---- a batch that there is ----------------------------------------------------------------------

    def own(self, batch_id: str) -> Ownership:
        """Raises ResultsError when another process owns it (with who and where), when there is no such batch,
        when it was erased, or when the store was moved."""
        raise NotImplementedError

    def replace_rehearsals(self, source: str, apart_from: str) -> list[Batch]:
        """Removes rehearsals of this sheet that nobody owns; what they were."""
        raise NotImplementedError

    def erase(self, batch_id: str) -> None:
        """Removes a batch's customer data: cells, bodies, messages, lookups, readings, corrections, the names
        of its sheet's columns and values in its mapping. Fingerprints, digests, Ids and counts stay.
        Afterwards no byte of the data is in any file of the embedded store.

        Raises ResultsError as `own`, StoreError when another process reads and the log cannot be emptied."""
        raise NotImplementedError

    def copy_to(self, other: Store, progress: Callable[[int], None] | None = None) -> int:
        """Copies every batch with all that belongs to it to another store; how many rows. Can be repeated: a
        batch that is whole there is left, one that is half there is copied again. Afterwards this (embedded)
        store is read-only and names the other. Raises ResultsError when a batch is in use, or exists there
        with other contents."""
        raise NotImplementedError

    # ---- for `importer store` ------------------------------------------------------------------------

    def size_bytes(self) -> int:
        """On disk."""
        raise NotImplementedError

    def version(self) -> str:
        """The schema's version, as a person may report it."""
        raise NotImplementedError

    def latency_s(self) -> float:
        """Of one small question, the median of five."""
        raise NotImplementedError
