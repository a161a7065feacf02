"""`erase`: a batch's customer data is removed; its fingerprints and Ids stay."""

from __future__ import annotations

import shutil
from pathlib import Path

from importer.app.batches import known_batch
from importer.app.connecting import remove_rehearsal_file
from importer.app.questions import Choice, Question, QuestionKind
from importer.app.records import EraseResult
from importer.home import home
from importer.report.page import REPORT_ENDING
from importer.results.beside import beside
from importer.results.corrections_file import CORRECTIONS_ENDING
from importer.results.results_reader import batch_id_in
from importer.results.verified_file import VERIFIED_ENDING
from importer.store.store import Store
from importer.wording import count


def erase_question(batch_id: str, store: Store) -> Question:
    """What has to be confirmed before `erase`. Raises ResultsError."""
    summary = known_batch(batch_id, store)
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
    batch = known_batch(batch_id, store).batch
    store.erase(batch_id)
    folder = Path(batch.source).parent
    if folder.parent == home().uploads:
        shutil.rmtree(folder, ignore_errors=True)
    if batch.rehearsal:
        remove_rehearsal_file(batch_id)
    results = Path(batch.results)
    beside_it = (
        results,
        *(beside(results, ending) for ending in (VERIFIED_ENDING, CORRECTIONS_ENDING, REPORT_ENDING)),
        Path(batch.source),
    )
    kept = [
        path for path in beside_it if path.is_file() and (path != results or batch_id_in(path) == batch_id)
    ]
    return EraseResult(batch_id, batch.rows, tuple(kept))
