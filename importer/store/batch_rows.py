"""Reading one batch: its facts, rows, attempts, lookups, readings and corrections."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from importer.activity import Activity
from importer.store.records import (
    Batch,
    Call,
    CorrectionStatus,
    CreatedRow,
    FormerId,
    Problem,
    RowStatus,
    StoredAttempt,
    StoredCorrection,
    StoredRow,
)


class BatchRows:
    """What the store holds of one batch, read as it is at the moment of each call; also beside its owner.

    Every method raises StoreError when the store cannot be read, or what it holds is damaged. Generators read
    in chunks and hold no transaction between them: rows that change meanwhile may be seen before or after.
    To be used from any one thread at a time.
    """

    id: str

    # ---- the batch as a whole -----------------------------------------------------------------------

    def batch(self) -> Batch:
        """Raises StoreError when its facts are damaged."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Everything that is known of the batch as a whole: name → JSON value."""
        raise NotImplementedError

    def fact(self, name: str, default: Any = None) -> Any:  # noqa: ANN401  (JSON, as it was kept)
        """One fact. Run facts in use: seconds, throttled, rate, going_on, read_back."""
        raise NotImplementedError

    def erased_at(self) -> str | None:
        """When its customer data was removed (UTC); None if it was not."""
        raise NotImplementedError

    def lookups(self) -> dict[str, str]:
        """What was looked up: question → Id (see `lookups.to_plain`)."""
        raise NotImplementedError

    # ---- rows ---------------------------------------------------------------------------------------

    def counts(self) -> dict[RowStatus, int]:
        """Rows by status, from the index alone; statuses without rows are absent."""
        raise NotImplementedError

    def shown_counts(self) -> dict[str, int]:
        """Rows by the word that people read; every word is there, and `rows` is their sum.

        Raises StoreError when they do not add up to the rows that the batch was staged with.
        """
        raise NotImplementedError

    def row(self, position: int) -> StoredRow:
        """Raises StoreError when there is none."""
        raise NotImplementedError

    def rows(self, status: RowStatus | None = None, after: int = 0) -> Iterator[StoredRow]:
        """Rows behind position `after` in source order, streamed; of one status only, if it is given."""
        raise NotImplementedError

    def chunk(self, status: RowStatus | None, after: int, limit: int) -> list[StoredRow]:
        """At most `limit` rows behind position `after`, in source order."""
        raise NotImplementedError

    def rows_at(self, positions: Iterable[int]) -> list[StoredRow]:
        """The rows at these positions, in source order."""
        raise NotImplementedError

    def positions(self, numbers: Iterable[int]) -> dict[int, int]:
        """Row number → position, in source order, of those numbers that there are."""
        raise NotImplementedError

    def search(
        self, *, statuses: Collection[RowStatus] = (), text: str = "", after: int = 0, limit: int = 100
    ) -> list[StoredRow]:
        """A page of rows behind position `after`: of these statuses (all, if none is given), with `text` in
        a cell, the Id, the code or the error (any case), or as the row number. For the screen."""
        raise NotImplementedError

    def problems(self) -> Iterator[Problem]:
        """Rows with an error code, in source order."""
        raise NotImplementedError

    def event_counts(self, status: RowStatus | None = None) -> dict[int, int]:
        """Activity type's code → rows that have an activity of it (of one status only, if it is given)."""
        raise NotImplementedError

    def last_change(self, status: RowStatus | None = None) -> str | None:
        """The latest `changed_at` (of rows of one status, if it is given); None without rows."""
        raise NotImplementedError

    def claimed(self, activity_ids: Iterable[str]) -> set[str]:
        """Those of the Ids that a row of this batch holds, or held before its activity was deleted by hand;
        as they were asked for (GUIDs are compared in any case)."""
        raise NotImplementedError

    def former_ids(self) -> list[FormerId]:
        """Ids of activities that were deleted in LeadSquared by hand, oldest first."""
        raise NotImplementedError

    # ---- attempts -----------------------------------------------------------------------------------

    def attempts(self, position: int) -> list[StoredAttempt]:
        """Every Create call of a row, oldest first, with what each one sent, marker and all."""
        raise NotImplementedError

    def last_attempt_id(self) -> int:
        """0 before the first one."""
        raise NotImplementedError

    def rows_attempted_since(self, attempt_id: int) -> list[StoredRow]:
        """Rows of which a call was marked after that attempt, in source order."""
        raise NotImplementedError

    def never_sent(self) -> bool:
        """No Create call was ever marked, here or on the computer that the batch was taken over from."""
        raise NotImplementedError

    def calls(self) -> Iterator[Call]:
        """Create calls in the order of their times, assumed ones left out."""
        raise NotImplementedError

    def calls_per_s(self, over_s: float) -> float:
        """Create calls a second, over the last seconds before the newest one."""
        raise NotImplementedError

    def created_of(self, event: int) -> tuple[StoredRow, Activity, float] | None:
        """Any created row of an event of which it is known what the call that created it sent, that content
        and the time of its first mark by the tenant's clock (Unix seconds); None if there is none.

        Known: the call said so, or all calls sent the same and a look found it (not a person, who may have
        pasted the Id of an activity that looks otherwise).
        """
        raise NotImplementedError

    # ---- reading back and corrections ----------------------------------------------------------------

    def created_rows(self, positions: Collection[int] | None = None) -> Iterator[CreatedRow]:
        """Every created row (or those at `positions`) in source order, with attempts and reading."""
        raise NotImplementedError

    def unread(self, positions: Collection[int] | None = None) -> Iterator[tuple[str, int]]:
        """(account in lower case, position) of created rows that were not read back yet, by account."""
        raise NotImplementedError

    def readings_count(self) -> int:
        """How many created rows were read back."""
        raise NotImplementedError

    def differing(self, limit: int) -> dict[int, list[list[str]]]:
        """Position → differences, of the first `limit` rows that were not returned as they were sent."""
        raise NotImplementedError

    def corrections(
        self,
        *,
        in_round: int | None = None,
        status: CorrectionStatus | None = None,
    ) -> Iterator[StoredCorrection]:
        """By round, position and field."""
        raise NotImplementedError

    def last_round(self) -> int:
        """The number of the last round of corrections; 0 before the first one."""
        raise NotImplementedError
