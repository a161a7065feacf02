"""`report`: the HTML page about a batch, beside its results file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from importer.app.batches import known_batch
from importer.app.named import find_batch
from importer.app.observer import SILENT, Observer, Progress, Stage
from importer.app.results_file import place_here
from importer.report.facts import gather
from importer.report.page import REPORT_ENDING
from importer.report.page import write_report as write_page
from importer.report.search import rows_for_search
from importer.results.beside import beside
from importer.store.store import Store


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
    summary = known_batch(batch.id, store)
    rows = store.open(batch.id)
    facts = gather(rows, running=summary.running)
    found = rows_for_search(rows, facts.counts["rows"])
    observer.progress(Progress(Stage.WRITING, facts.counts["rows"]))
    path = beside(batch.results or place_here(rows), REPORT_ENDING).absolute()
    placed = write_page(path, facts, found)
    return WrittenReport(batch.id, placed.path, facts.counts, placed.aside, found.note)
