"""A batch beside what was imported before: the same sheet, rows in common."""

from __future__ import annotations

from collections.abc import Iterator

from importer.store.records import BatchSummary, Earlier, ImportedBefore, Overlap


class DuplicateCheck:
    """A staged batch, or rows of one that `resume` would send, compared with the tenant's other batches. Rows
    to be sent are those that are pending at the time of each call. Rehearsals are compared with nothing."""

    def same_sheet(self) -> list[BatchSummary]:
        """Batches with the same ordered activities or the same ordered source cells, the latest first."""
        raise NotImplementedError

    def overlap(self) -> Overlap:
        """How many rows other batches of the tenant have created, or hold open."""
        raise NotImplementedError

    def earlier(self) -> Iterator[Earlier]:
        """The rows that were created before, in source order, each with an Id of its own."""
        raise NotImplementedError

    def replaced(self) -> list[BatchSummary]:
        """Batches that never sent and that nobody owns, of the same sheet or with rows of it: publishing
        removes them. Their results files have become meaningless."""
        raise NotImplementedError


class Recognition:
    """For `check`: which batches, of any tenant, have rows of a sheet that is only read. Not for
    rehearsals."""

    def add(self, fingerprint: bytes) -> None:
        """The next row's `activity.fingerprint`."""
        raise NotImplementedError

    def found(self, content: str, source_cells: str) -> list[ImportedBefore]:
        """The digests as in `Batch`. The latest batch first."""
        raise NotImplementedError
