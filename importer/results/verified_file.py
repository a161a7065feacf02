"""`<stem>.verified.csv`: what was read back of every created row. UTF-8 with its mark, CRLF, for Excel.

One line for a row that is all equal, one for each field that differs, so that a filter on `verdict` or
`field` shows what one looks for. What could be read as a formula is behind an apostrophe: values that
LeadSquared holds are strangers' words. The headings are not those of a results file, since this file is never
to be taken for one.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, TextIO

from importer.atomic_file import Placed
from importer.results.beside import write_whole
from importer.results.result_line import PROGRESS_ROWS
from importer.text import no_formula
from importer.verification.readings import Difference, ReadRow, VerificationSummary, summarise

VERIFIED_ENDING: Final = ".verified.csv"
VERIFIED_COLUMNS: Final = (
    "row",
    "verdict",
    "field",
    "sent",
    "stored",
    "detail",
    "activity_id",
    "read_at",
    "batch",
)


def write_verified(
    path: Path, rows: Iterable[ReadRow], batch: str, progress: Callable[[int], None]
) -> tuple[Placed, VerificationSummary]:
    """Writes the file at `path` (or beside it), and sums up on the way. Raises FileError."""
    summary = VerificationSummary()

    def write(stream: TextIO) -> None:
        nonlocal summary
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(VERIFIED_COLUMNS)

        def line(row: ReadRow) -> None:
            writer.writerows(_lines(row, batch))
            if row.number % PROGRESS_ROWS == 0:
                progress(row.number)

        summary = summarise(rows, line)

    placed = write_whole(path, write, batch=batch, batch_in=batch_in, encoding="utf-8-sig")
    return placed, summary


def _lines(row: ReadRow, batch: str) -> Iterator[tuple[object, ...]]:
    for one in row.differences or (Difference("", row.verdict, "", ""),):
        yield (
            row.number, one.verdict, *map(no_formula, (one.field, one.sent, one.stored, one.detail)),
            no_formula(row.activity_id), row.read_at, batch,
        )  # fmt: skip


def batch_in(path: Path) -> str | None:
    """The batch of a file that was written here; None for any other."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            records = csv.reader(stream)
            if tuple(next(records, ())) != VERIFIED_COLUMNS:
                return None
            return next(records, [""])[-1] or None
    except (OSError, ValueError, csv.Error):
        return None
