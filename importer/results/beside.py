"""Files that are written beside a results file: `<stem>.verified.csv`, `<stem>.corrections.csv`, and (by
`report`) `<stem>.report.html`. Like the results file itself: whole or not at all, and never over what belongs
to somebody else.

The CSV files are UTF-8 with its mark, CRLF, for Excel. What could be read as a formula is behind an
apostrophe: values that LeadSquared holds are strangers' words. Their headings are not those of a results
file, since they are never to be taken for one.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from importer.atomic_file import Placed, draft_beside, put_in_place
from importer.results.results_reader import PROGRESS_ROWS
from importer.store.records import CorrectionStatus, StoredCorrection
from importer.text import no_formula

if TYPE_CHECKING:
    from importer.verification.readings import ReadRow

REPORT_ENDING: Final = ".report.html"
VERIFIED_ENDING: Final = ".verified.csv"
VERIFIED_COLUMNS: Final = (
    "row", "verdict", "field", "sent", "stored", "detail", "activity_id", "read_at", "batch",
)  # fmt: skip
CORRECTIONS_ENDING: Final = ".corrections.csv"
CORRECTIONS_COLUMNS: Final = (
    "row", "field", "before", "after", "outcome", "time", "found", "error", "activity_id", "batch",
)  # fmt: skip
OUTCOME_WORDS: Final = {
    CorrectionStatus.PLANNED: "not sent yet",
    CorrectionStatus.SENDING: "not finished",
    CorrectionStatus.CORRECTED: "corrected",
    CorrectionStatus.CONFLICT: "conflict",
    CorrectionStatus.FAILED: "failed",
    CorrectionStatus.WITHDRAWN: "replaced by a later change",
}

_Record = tuple[object, ...]


def beside(results: Path, ending: str) -> Path:
    """`visits.results.csv` and `.verified.csv` give `visits.verified.csv`, in the same folder."""
    return results.with_name(results.stem.replace(".results", "", 1) + ending)


def write_whole(
    path: Path,
    write: Callable[[TextIO], None],
    *,
    batch: str,
    batch_in: Callable[[Path], str | None],
    encoding: str = "utf-8",
    source: Path | None = None,
) -> Placed:
    """Writes a text file of `batch` at `path`; if another batch's is there, at the next free name.

    batch_in: the batch that an existing file belongs to, None if it is not one of ours. source: the sheet,
    for the file's mode. Raises FileError when the disk refuses; then nothing is left behind.
    """
    with draft_beside(path, source=source) as draft:
        text = draft.text(encoding)
        write(text)
        text.detach()
        return put_in_place(
            draft, path, lambda found: "" if batch_in(found) == batch else "is not of this batch"
        )


def write_verified(
    path: Path, rows: Iterable[ReadRow], batch: str, progress: Callable[[int], None]
) -> Placed:
    """What was read back of every created row: one line for a row that is all equal, one for each field that
    differs. Raises FileError."""

    def records() -> Iterator[_Record]:
        for row in rows:
            yield from _verified(row, batch)
            if row.number % PROGRESS_ROWS == 0:
                progress(row.number)

    return _write_csv(path, VERIFIED_COLUMNS, records(), batch)


def _verified(row: ReadRow, batch: str) -> Iterator[_Record]:
    if not row.differences:
        yield (row.number, row.verdict, "", "", "", "", no_formula(row.activity_id), row.read_at, batch)
    for one in row.differences or ():
        texts = map(no_formula, (one.field, one.sent, one.stored, one.detail, row.activity_id))
        yield (row.number, one.verdict, *texts, row.read_at, batch)


def write_corrections(path: Path, corrections: Iterable[StoredCorrection], batch: str) -> Placed:
    """Every change of a created row that was planned, and its outcome. Raises FileError."""

    def records() -> Iterator[_Record]:
        for one in corrections:
            texts = map(no_formula, (one.field, one.before, one.after))
            rest = map(no_formula, (one.replaced or "", one.error, one.activity_id))
            yield (one.number, *texts, OUTCOME_WORDS[one.status], one.changed_at, *rest, batch)

    return _write_csv(path, CORRECTIONS_COLUMNS, records(), batch)


def _write_csv(path: Path, columns: tuple[str, ...], records: Iterable[_Record], batch: str) -> Placed:
    """columns: the headings, by which a file of this kind is known; the last is that of the batch."""

    def write(stream: TextIO) -> None:
        csv.writer(stream, lineterminator="\r\n").writerows(chain([columns], records))

    def batch_in(found: Path) -> str | None:
        try:
            with found.open(encoding="utf-8-sig", newline="") as stream:
                records = csv.reader(stream)
                return next(records, [""])[-1] or None if tuple(next(records, ())) == columns else None
        except (OSError, ValueError, csv.Error):
            return None

    return write_whole(path, write, batch=batch, batch_in=batch_in, encoding="utf-8-sig")
