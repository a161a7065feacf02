"""What can be asked of batches without LeadSquared: their progress, a report, removal of their data."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from importer.app.connecting import remove_rehearsal_file
from importer.app.named import find_batch
from importer.app.observer import SILENT, Observer, Progress, Stage
from importer.app.questions import Choice, Question, QuestionKind
from importer.app.records import BatchStatus, EraseResult
from importer.app.results_file import place_here, taken_over
from importer.errors import ResultsError
from importer.home import home
from importer.report.facts import gather
from importer.report.page import REPORT_ENDING
from importer.report.page import write_report as write_page
from importer.report.search import rows_for_search
from importer.results.beside import beside
from importer.results.results_reader import batch_id_in
from importer.results.verified_file import VERIFIED_ENDING
from importer.sending.run_state import NOT_ANSWERING
from importer.store.records import BatchSummary
from importer.store.store import Store
from importer.wording import count

RATE_OVER_S: Final = 30.0


def list_batches(store: Store) -> tuple[BatchStatus, ...]:
    """All batches, the latest first, rehearsals among them."""
    return tuple(_status(one, store) for one in store.batches())


def batch_status(named: str, store: Store, *, rehearsal: bool = False) -> BatchStatus:
    """One batch, also while it runs elsewhere. named: its results file, its id, or the source sheet (with
    `rehearsal`, that sheet's rehearsal). Raises ResultsError."""
    batch = find_batch(named, store, rehearsal=rehearsal)
    summary = _known(batch.id, store)
    rate = store.open(batch.id).calls_per_s(RATE_OVER_S) if summary.running else 0.0
    results = None if batch.results is None else str(batch.results.absolute())
    return _status(summary, store, rate=rate, results=results)


def _known(batch_id: str, store: Store) -> BatchSummary:
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
        running_on=summary.running_on,
        seconds=facts.get("seconds", 0.0),
        throttled=facts.get("throttled", 0) + going_on.get("throttled", 0),
        rate=rate,
        note=NOT_ANSWERING if going_on.get("outage") else str(going_on.get("pace", "")),
        already=already,
        erased=summary.erased_at is not None,
        rehearsal=batch.rehearsal,
    )


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """path: where it is. counts: rows by shown status. aside: why it is not where one would look for it, ""
    else. note: what it lacks, "" if nothing."""

    batch: str
    path: Path
    counts: Mapping[str, int]
    aside: str
    note: str

    def as_json(self) -> dict[str, Any]:
        """The object that `report --json` prints."""
        return {"batch": self.batch, **self.counts, "report": str(self.path)}


def write_report(
    named: str, store: Store, observer: Observer = SILENT, *, rehearsal: bool = False
) -> WrittenReport:
    """Writes the HTML report beside the results file. Makes no calls. Raises ResultsError, FileError."""
    batch = find_batch(named, store, rehearsal=rehearsal)
    summary = _known(batch.id, store)
    rows = store.open(batch.id)
    facts = gather(rows, running=summary.running)
    found = rows_for_search(rows, facts.counts["rows"])
    observer.progress(Progress(Stage.WRITING, facts.counts["rows"]))
    path = beside(batch.results or place_here(rows), REPORT_ENDING).absolute()
    placed = write_page(path, facts, found)
    return WrittenReport(batch.id, placed.path, facts.counts, placed.aside, found.note)


def erase_question(batch_id: str, store: Store) -> Question:
    """What has to be confirmed before `erase`. Raises ResultsError."""
    summary = _known(batch_id, store)
    batch = summary.batch
    open_rows = (
        f" {count(summary.open_rows, 'row')} not finished can never be resumed." if summary.open_rows else ""
    )
    return Question(
        QuestionKind.ERASE,
        f"Remove all cells, messages and look-ups of batch {batch.id} ({batch.source_name},"
        f" {count(batch.rows, 'row')}) from {store.location}? This cannot be undone, and the batch can no"
        " longer"
        f" be resumed, verified or corrected.{open_rows} What is in LeadSquared stays.",
        (Choice("erase", "Erase", "--yes"),),
        "--yes",
        rows=batch.rows,
        batch=batch.id,
    )


def erase(batch_id: str, store: Store) -> EraseResult:
    """Removes a batch's customer data; its fingerprints and Ids stay, so that the sheet is still recognised.

    To be confirmed before (`erase_question`). What is of it in our own folder goes too: the copy of a sheet
    that was brought on the screen, what a rehearsal created. Names the files that remain beside the sheet.
    Raises ResultsError, StoreError.
    """
    batch = _known(batch_id, store).batch
    store.erase(batch_id)
    folder = Path(batch.source).parent
    if folder.parent == home().uploads:
        shutil.rmtree(folder, ignore_errors=True)
    if batch.rehearsal:
        remove_rehearsal_file(batch_id)
    results = Path(batch.results)
    beside_it = (
        results,
        beside(results, VERIFIED_ENDING),
        beside(results, REPORT_ENDING),
        Path(batch.source),
    )
    kept = [
        path for path in beside_it if path.is_file() and (path != results or batch_id_in(path) == batch_id)
    ]
    return EraseResult(batch_id, batch.rows, tuple(kept))
