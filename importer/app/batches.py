"""How far batches are, running ones too; without LeadSquared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from importer.app.named import find_batch
from importer.app.records import BatchStatus
from importer.app.results_file import taken_over
from importer.errors import ResultsError
from importer.store.records import BatchSummary
from importer.store.store import Store
from importer.wording import NOT_ANSWERING

RATE_OVER_S: Final = 30.0


def list_batches(store: Store) -> tuple[BatchStatus, ...]:
    """All batches, the latest first, rehearsals among them."""
    return tuple(_status(one, store) for one in store.batches())


def batch_status(named: str, store: Store, *, rehearsal: bool = False) -> BatchStatus:
    """One batch, also while it runs elsewhere. named: its results file, its id, or the source sheet (with
    `rehearsal`, that sheet's rehearsal). Raises ResultsError."""
    batch = find_batch(named, store, rehearsal=rehearsal)
    summary = known_batch(batch.id, store)
    rate = store.open(batch.id).calls_per_s(RATE_OVER_S) if summary.running else 0.0
    results = None if batch.results is None else str(batch.results.absolute())
    return _status(summary, store, rate=rate, results=results)


def known_batch(batch_id: str, store: Store) -> BatchSummary:
    """Raises ResultsError for one that the store does not have."""
    summary = store.summary(batch_id)
    if summary is None:
        raise ResultsError(
            "This store does not have the batch: another computer sent it, or the store was deleted.",
            where=batch_id,
            remedy="Ask where it was sent, or rebuild it here with `importer resume RESULTS -m MAPPING`.",
        )
    return summary


def _status(
    summary: BatchSummary, store: Store, *, rate: float = 0.0, results: str | None = None
) -> BatchStatus:
    batch, facts = summary.batch, summary.facts
    going_on: Mapping[str, Any] = (facts.get("going_on") or {}) if summary.running else {}
    already = taken_over(summary)
    return BatchStatus(
        batch=batch.id,
        tenant=batch.tenant,
        organisation=batch.organisation,
        user=batch.user,
        source=batch.source,
        created_at=batch.created_at,
        counts={**summary.counts, "created": summary.counts["created"] - already},
        results=results or batch.results,
        store=store.location,
        running=summary.running,
        started_on=f"{batch.os_user} on {batch.computer}" if batch.computer else "",
        running_on=summary.running_on,
        seconds=facts.get("seconds", 0.0),
        throttled=facts.get("throttled", 0) + going_on.get("throttled", 0),
        rate=rate,
        note=NOT_ANSWERING if going_on.get("outage") else str(going_on.get("pace", "")),
        already=already,
        erased=summary.erased_at is not None,
        rehearsal=batch.rehearsal,
    )
