"""One process owns a batch at a time; what it may change between runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Self

from importer.store.batch_rows import BatchRows
from importer.store.records import PlannedCorrection, RowChange


class BatchChange:
    """One transaction on a batch that is owned: all of it, or nothing. See `Ownership.change`."""

    rows: BatchRows
    """Reads inside this transaction: sees what was changed in it."""

    def change_rows(self, changes: Iterable[RowChange]) -> int:
        """Applies them in chunks; how many. Raises StoreError where one fits no row or breaks a rule of the
        schema (a created row goes back, an Id that another row has: IdTakenError)."""
        raise NotImplementedError

    def keep_sent_bodies(self, positions: Iterable[int]) -> None:
        """What earlier attempts of these rows sent is kept with them. To be called before a row's activity
        changes; it is what is looked for, whatever the sheet says now."""
        raise NotImplementedError

    def assume_sent(
        self, sent: Mapping[int, bytes], since: float, *, detail: str, code: str, error: str
    ) -> None:
        """Rows of a batch that may have been sent without our knowledge: an attempt is assumed for each
        (position → body) at `since` (Unix seconds, by the tenant's clock), and the row is DOUBTFUL."""
        raise NotImplementedError

    def interrupted(self, *, code: str, error: str) -> int:
        """Rows that are marked while nobody sends: their calls were interrupted, and are in doubt. How
        many."""
        raise NotImplementedError

    def put_in_doubt(self, positions: Iterable[int], *, code: str, error: str) -> int:
        """Open rows (pending, or failed) that have attempts and may have been created elsewhere: DOUBTFUL."""
        raise NotImplementedError

    def deleted_by_hand(self, positions: Iterable[int], at: str) -> None:
        """Created rows whose activity is gone from LeadSquared: PENDING again; the old Id stays in
        `former_ids`. The only way back from created."""
        raise NotImplementedError

    def keep_facts(self, **facts: object) -> None:
        """Keeps facts (JSON values), each replacing the one of the same name."""
        raise NotImplementedError

    def keep_lookups(self, answers: Mapping[str, str]) -> None:
        """Adds what was looked up: question → Id."""
        raise NotImplementedError

    def keep_readings(self, read: Mapping[int, list[list[str]]], at: str) -> None:
        """What was read back, by position: differences as lists of texts, [] is equal. at: UTC, ISO 8601."""
        raise NotImplementedError

    def forget_readings(self, only: list[list[str]] | None = None) -> None:
        """All of them, or those that are exactly `only`."""
        raise NotImplementedError

    def plan_corrections(self, plans: Iterable[PlannedCorrection], *, at: str, undo: bool = False) -> int:
        """Adds a round; its number. What an earlier round planned for the same field and did not send is
        WITHDRAWN."""
        raise NotImplementedError


class Ownership:
    """A batch that this process owns until `close` or its end. A context manager.

    number: counts up with every owner; each write transaction checks it, so that a process that lost the
    batch can write nothing more (StoreError). To be used from one thread beside the writer's.
    """

    number: int
    rows: BatchRows
    taken_over_s: float | None
    """None when the earlier owner is known to have ended (embedded store), or left nothing marked. Else how
    long ago (seconds, the database's clock) the newest mark was made that was found without an outcome: its
    call may still leave until 10 s after it, and be answered until the time-out after that."""

    def change(self) -> AbstractContextManager[BatchChange]:
        """One transaction for changes while no call is under way. Hold it for computing and writing only,
        never while a person thinks."""
        raise NotImplementedError

    def keep_facts(self, **facts: object) -> None:
        """`change` with nothing but facts."""
        raise NotImplementedError

    def close(self) -> None:
        """Gives the batch back."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
