"""`report`: a self-contained HTML page about a batch, from what the store knows of it. Makes no calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from importer.app.observer import SILENT, Observer, Progress, Stage
from importer.app.results_file import place_here
from importer.app.stores import find_batch, known_batch
from importer.report.page import write_report as write_page
from importer.results.results_writer import REPORT_ENDING, beside
from importer.store.store import Store, erased_error


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
    """Writes the HTML report beside the results file. Makes no calls. Raises ResultsError (also for a batch
    that was erased), FileError."""
    batch = find_batch(named, store, rehearsal=rehearsal)
    summary = known_batch(batch.id, store)
    if summary.erased_at is not None:
        raise erased_error(batch.id, summary.erased_at)
    rows = store.open(batch.id)
    observer.progress(Progress(Stage.WRITING, summary.counts["rows"]))
    path = beside(batch.results or place_here(rows), REPORT_ENDING).absolute()
    placed, note = write_page(path, rows, summary)
    return WrittenReport(batch.id, placed.path, summary.counts, placed.aside, note)
