"""The last lookups of a run: by now more is known, and what came late has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from importer.remedies import remedy_for
from importer.sending.reconcile.doubts import Doubt, backoff_s
from importer.sending.reconcile.reconciler import Reconciler
from importer.sending.run_state import RunState
from importer.store.records import RowStatus

ROUNDS_MAX: Final = 2
TRIES_MAX: Final = 3


class FinalLookup:
    """Rows that ended uncertain are looked up once more. Rows that were sent again are looked up for a
    duplicate, and those that failed after a doubt for having been created after all."""

    def __init__(self, run: RunState, reconciler: Reconciler) -> None:
        self._run = run
        self._reconciler = reconciler
        self._rounds = 0

    async def again(self) -> bool:
        """True when rows are to be worked on once more."""
        if self._rounds >= ROUNDS_MAX:
            return False
        self._rounds += 1
        await self._resent()
        if self._run.stopping or self._rounds == ROUNDS_MAX:
            return False
        uncertain, self._reconciler.uncertain = self._reconciler.uncertain, {}
        for doubt in uncertain.values():
            doubt.lookups, doubt.unreadable, doubt.due = 0, 0, self._run.clock()
            self._reconciler.add(doubt)
        return bool(uncertain)

    async def _resent(self) -> None:
        """Several rows of one account share one lookup."""
        resent, self._reconciler.resent = self._reconciler.resent, {}
        accounts: dict[frozenset[str], list[Doubt]] = {}
        for doubt in resent.values():
            accounts.setdefault(frozenset(doubt.accounts), []).append(doubt)
        unread = 0
        for group in accounts.values():
            if self._run.stopping:
                return
            if not await self._look_for_duplicates(group):
                unread += len(group)
        if unread:
            self._run.notices.append(_not_looked_up(unread))

    async def _look_for_duplicates(self, group: Sequence[Doubt]) -> bool:
        """Whether their account could be read."""
        run = self._run
        latest = max(run.schedule.first_lookup(doubt.ended_at) for doubt in group)
        for attempt in range(TRIES_MAX):
            await run.pause(max(0.0, latest - run.clock()) if attempt == 0 else backoff_s(attempt))
            if run.stopping:
                return False
            found = await run.unless_stopped(run.lookup.duplicates(group))
            if found is not None:
                taken: set[str] = set()
                for doubt in group:
                    ids = [one for one in found[doubt.row.position] if one not in taken]
                    await self._report_duplicate(doubt, ids)
                    taken.update(ids)
                return True
        return False

    async def _report_duplicate(self, doubt: Doubt, found: Sequence[str]) -> None:
        """found: Ids of activities that are this row's, besides the one it has."""
        if not found:
            return
        row = doubt.row
        if row.status is RowStatus.FAILED and len(found) == 1:
            await self._reconciler.resolve(doubt, RowStatus.CREATED, activity_id=found[0])
            return
        ids = ", ".join(([row.activity_id] if row.activity_id else []) + list(found))
        duplicate = remedy_for("duplicate")
        message = f"{duplicate.meaning} Ids: {ids}. {duplicate.action}"
        self._run.notices.append(f"Row {row.number}: {message}")
        status = RowStatus.CREATED if row.status is RowStatus.CREATED else RowStatus.UNCERTAIN
        await self._reconciler.resolve(
            doubt, status, activity_id=row.activity_id, code="duplicate", message=message
        )


def _not_looked_up(rows: int) -> str:
    return (
        f"{rows:,} rows that were sent after a doubt could not be looked up once more, because LeadSquared"
        " did not return their accounts' activities. `importer verify RESULTS` reads them back."
    )
