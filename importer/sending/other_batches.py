"""What other batches of the tenant have in LeadSquared, or on its way there.

Rows of two batches that run at the same time, on one computer or on two, are kept apart as rows of one batch
are: never two at once that a match could not tell apart.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from importer.activity import Activity
from importer.store.records import Batch
from importer.store.store import Store


class OtherBatches:
    """The batches of one tenant but `batch`. A rehearsal has a tenant of its own, and no others."""

    def __init__(self, store: Store, batch: Batch) -> None:
        self._store = store
        self._batch = batch

    def claimed(self, activity_ids: Collection[str]) -> Collection[str]:
        """Those of the Ids that their rows hold, or held."""
        if self._batch.rehearsal:
            return ()
        return self._store.claimed(self._batch.tenant, activity_ids, apart_from=self._batch.id)

    def conflict(self, activity: Activity, keys_of: Callable[[Activity], Collection[bytes]]) -> bool:
        """Whether a running batch has a row, being sent or in doubt, that could be taken for one which sends
        `activity`. keys_of: an activity's conflict keys."""
        keys = set() if self._batch.rehearsal else set(keys_of(activity))
        if not keys:
            return False
        there = self._store.in_doubt_elsewhere(
            self._batch.tenant, activity.company_id, apart_from=self._batch.id
        )
        batches = {batch for batch, body in there if not keys.isdisjoint(keys_of(Activity.decoded(body)))}
        return any(self._running(batch) for batch in batches)

    def _running(self, batch: str) -> bool:
        summary = self._store.summary(batch)
        return summary is not None and summary.running
