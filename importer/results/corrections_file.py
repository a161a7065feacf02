"""`<stem>.corrections.csv`: every change of a created row that was planned, and its outcome. UTF-8 with its
mark, CRLF, for Excel. What could be read as a formula is behind an apostrophe: values are strangers'
words."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

from importer.atomic_file import Placed
from importer.results.beside import write_whole
from importer.store.records import CorrectionStatus, StoredCorrection
from importer.text import no_formula

CORRECTIONS_ENDING: Final = ".corrections.csv"
CORRECTIONS_COLUMNS: Final = (
    "row",
    "field",
    "before",
    "after",
    "outcome",
    "time",
    "found",
    "error",
    "activity_id",
    "batch",
)
OUTCOME_WORDS: Final = {
    CorrectionStatus.PLANNED: "not sent yet",
    CorrectionStatus.SENDING: "not finished",
    CorrectionStatus.CORRECTED: "corrected",
    CorrectionStatus.CONFLICT: "conflict",
    CorrectionStatus.FAILED: "failed",
    CorrectionStatus.WITHDRAWN: "replaced by a later change",
}


def write_corrections(path: Path, corrections: Iterable[StoredCorrection], batch: str) -> Placed:
    """Writes the file at `path` (or beside it). Raises FileError."""

    def write(stream: TextIO) -> None:
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(CORRECTIONS_COLUMNS)
        for one in corrections:
            texts = map(no_formula, (one.field, one.before, one.after))
            rest = map(no_formula, (one.replaced or "", one.error, one.activity_id))
            writer.writerow((one.number, *texts, OUTCOME_WORDS[one.status], one.changed_at, *rest, batch))

    return write_whole(path, write, batch=batch, batch_in=batch_of_corrections, encoding="utf-8-sig")


def batch_of_corrections(path: Path) -> str | None:
    """The batch of a file that was written here; None for any other."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            records = csv.reader(stream)
            if tuple(next(records, ())) != CORRECTIONS_COLUMNS:
                return None
            return next(records, [""])[-1] or None
    except (OSError, ValueError, csv.Error):
        return None
