"""A batch while it is staged: rows that nobody sees until they are published."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Self

from importer.store.batch_rows import BatchRows
from importer.store.ownership import BatchChange
from importer.store.records import StagedRow


class Staging:
    """Rows on their way to a batch, invisible until `Store.publish`. A context manager: what was not
    published at its end is discarded. What a killed process leaves is removed by the next command that
    stages."""

    id: str
    rows: BatchRows
    """Reads what was staged so far (`fact` and `batch` are empty until it is published)."""

    def add(self, rows: Iterable[StagedRow], at: str) -> int:
        """Appends rows in the source's order, committed in chunks; how many. No transaction is open while the
        iterable computes. at: UTC, ISO 8601."""
        raise NotImplementedError

    def change(self) -> AbstractContextManager[BatchChange]:
        """Changes to staged rows (mapped again, taken over), lookups and facts, as one transaction."""
        raise NotImplementedError

    def discard(self) -> None:
        """Leaves nothing; of what was published, everything."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()
