"""What other batches of the tenant have in LeadSquared, or on its way there.

Rows of two batches that run at the same time, on one computer or on two, are kept apart as rows of one batch
are: never two at once that a match could not tell apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from importer.activity import Activity
from importer.store.records import Batch
from importer.store.store import Store

ASK_AGAIN_S: Final = 1.0
"""Rows in doubt of batches that nobody works on change when a person decides about them, no oftener."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row of another batch that is being sent or in doubt, and looks the same. running: it is being worked
    on, so that waiting helps."""

    batch: str
    running: bool


class OtherBatches:
    """The batches of one tenant but `batch`. A rehearsal has a tenant of its own, and no others."""

    def __init__(self, store: Store, batch: Batch) -> None:
        self._store = store
        self._batch = batch
        self._in_doubt: set[str] = set()
        self._asked_at = float("-inf")

    def quiet(self, account: str) -> bool:
        """Whether no row of another batch is in doubt on the account; known once a second. Only for a run
        that is alone on its tenant: rows that are being sent come and go more quickly."""
        if self._batch.rehearsal:
            return True
        now = time.monotonic()
        if now - self._asked_at > ASK_AGAIN_S:
            self._asked_at = now
            self._in_doubt = self._store.accounts_in_doubt_elsewhere(
                self._batch.tenant, apart_from=self._batch.id
            )
        return account.lower() not in self._in_doubt

    def claimed(self, activity_ids: Collection[str]) -> Collection[str]:
        """Those of the Ids that their rows hold, or held."""
        if self._batch.rehearsal:
            return ()
        return self._store.claimed(self._batch.tenant, activity_ids, apart_from=self._batch.id)

    def conflict(
        self, activity: Activity, keys_of: Callable[[Activity], Collection[bytes]]
    ) -> Conflict | None:
        """A row that could be taken for one which sends `activity`; of several, one whose batch is running.

        keys_of: an activity's conflict keys.
        """
        keys = set() if self._batch.rehearsal else set(keys_of(activity))
        if not keys:
            return None
        account = activity.company_id
        there = self._store.in_doubt_elsewhere(self._batch.tenant, account, apart_from=self._batch.id)
        batches = {batch for batch, body in there if not keys.isdisjoint(keys_of(Activity.decoded(body)))}
        conflicts = [Conflict(batch, self._running(batch)) for batch in sorted(batches)]
        return max(conflicts, key=lambda one: one.running, default=None)

    def _running(self, batch: str) -> bool:
        summary = self._store.summary(batch)
        return summary is not None and summary.running
