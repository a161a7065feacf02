"""The last looks of a run: by now more is known, and what came late has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from importer.journal.journal import RowStatus
from importer.remedies import remedy_for
from importer.sending.reconcile.doubts import Doubt, backoff_s
from importer.sending.reconcile.lookups import Looks
from importer.sending.run_state import Posting

SWEEPS_MAX: Final = 2
TRIES_MAX: Final = 3


class Sweep:
    """Rows that ended uncertain get one more look. Rows that were sent again are looked at for a double, and
    those that failed after a doubt for having been created after all."""

    def __init__(self, posting: Posting, looks: Looks) -> None:
        self._posting = posting
        self._looks = looks
        self._sweeps = 0

    async def again(self) -> bool:
        """True when rows are to be worked on once more."""
        if self._sweeps >= SWEEPS_MAX:
            return False
        self._sweeps += 1
        await self._resent()
        if self._posting.stopping or self._sweeps == SWEEPS_MAX:
            return False
        uncertain, self._looks.uncertain = self._looks.uncertain, {}
        for doubt in uncertain.values():
            doubt.looks, doubt.unreadable, doubt.due = 0, 0, self._posting.clock()
            self._looks.add(doubt)
        return bool(uncertain)

    async def _resent(self) -> None:
        """Several rows of one account share one look."""
        resent, self._looks.resent = self._looks.resent, {}
        accounts: dict[frozenset[str], list[Doubt]] = {}
        for doubt in resent.values():
            accounts.setdefault(frozenset(doubt.accounts), []).append(doubt)
        unread = 0
        for group in accounts.values():
            if self._posting.stopping:
                return
            if not await self._look_for_doubles(group):
                unread += len(group)
        if unread:
            self._posting.notices.append(_not_looked_at(unread))

    async def _look_for_doubles(self, group: Sequence[Doubt]) -> bool:
        """Whether their account could be read."""
        posting = self._posting
        latest = max(posting.patience.first_look(doubt.ended_at) for doubt in group)
        for attempt in range(TRIES_MAX):
            await posting.pause(max(0.0, latest - posting.clock()) if attempt == 0 else backoff_s(attempt))
            if posting.stopping:
                return False
            found = await posting.unless_stopped(posting.verifier.doubles(group))
            if found is not None:
                taken: set[str] = set()
                for doubt in group:
                    ids = [one for one in found[doubt.row.position] if one not in taken]
                    await self._tell_double(doubt, ids)
                    taken.update(ids)
                return True
        return False

    async def _tell_double(self, doubt: Doubt, found: Sequence[str]) -> None:
        """found: Ids of activities that are this row's, besides the one it has."""
        if not found:
            return
        row = doubt.row
        if row.status is RowStatus.FAILED and len(found) == 1:
            await self._looks.rule(doubt, RowStatus.CREATED, made=found[0])
            return
        ids = ", ".join(([row.activity_id] if row.activity_id else []) + list(found))
        double = remedy_for("double")
        message = f"{double.meaning} Ids: {ids}. {double.action}"
        self._posting.notices.append(f"Row {row.number}: {message}")
        status = RowStatus.CREATED if row.status is RowStatus.CREATED else RowStatus.UNCERTAIN
        await self._looks.rule(doubt, status, made=row.activity_id, code="double", message=message)


def _not_looked_at(rows: int) -> str:
    return (
        f"{rows:,} rows that were sent after a doubt could not be looked at once more, since LeadSquared did"
        " not give their accounts' activities. `importer verify RESULTS` reads them back."
    )
