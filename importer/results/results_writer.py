"""The results file, written: first our columns, then every source column as it was. Always whole.

What is in a cell of the sheet is written as it is, `=1+1` too: a person must find in the file what is in the
sheet. In our own columns nothing can be read as a formula.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from importer.atomic_file import Draft, draft_beside, put_in_place
from importer.errors import ResultsError
from importer.results.results_reader import (
    COLUMNS,
    PROGRESS_ROWS,
    batch_id_in,
    shown_code,
    shown_error,
)
from importer.sheets.rows import Cells, decode_cells
from importer.store.records import StoredRow

TEXT_SUFFIXES: Final = (".csv", ".tsv", ".txt")
WORKBOOK_SUFFIX: Final = ".xlsx"


class Written(NamedTuple):
    """A results file in place. digest: of its bytes, as `digest_of` tells it. aside: when it is not at the
    path that was asked for, why not, as a sentence for the person; else empty."""

    path: Path
    digest: str
    rows: int
    aside: str


def results_path(source: Path, family: str, *, rehearsal: bool, explicit: Path | None = None) -> Path:
    """Where the results of `source` go: beside it, or where `--results` says (a folder, or a file).

    family: of the source's `Sheet`. Raises ResultsError when `explicit` cannot be a results file.
    """
    middle = ".sandbox.results" if rehearsal else ".results"
    name = source.stem + middle + (WORKBOOK_SUFFIX if family == "workbook" else ".csv")
    if explicit is None:
        return source.with_name(name)
    path = explicit / name if explicit.is_dir() else explicit
    if path.suffix.lower() not in (*TEXT_SUFFIXES, WORKBOOK_SUFFIX):
        raise ResultsError(
            f'"{path.suffix}" is not a format for results.' if path.suffix else "The name has no ending.",
            where=f"--results {explicit}",
            remedy="Results are written as .csv or .xlsx: end the name with one of these.",
        )
    if not path.parent.is_dir():
        raise ResultsError(
            f"The folder {path.parent} does not exist.",
            where=f"--results {explicit}",
            remedy="Create it, or choose another.",
        )
    if path.exists() and source.exists() and path.samefile(source):
        raise ResultsError(
            "The results would replace the sheet itself.",
            where=f"--results {explicit}",
            remedy="Choose another name.",
        )
    return path


def write_results(
    path: Path,
    lines: Iterable[StoredRow],
    *,
    batch: str,
    header: Cells,
    rows: int,
    delimiter: str | None = None,
    source: Path | None = None,
    replaces: Collection[str] = (),
    known: Collection[str | None] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Written:
    """Writes the results file of `batch` at `path` or, if that is not ours to overwrite, beside it.

    header: the source's headings. rows: how many `lines` there are; another count is a bug and ends loudly.
    delimiter: the source's, for text. source: the sheet, whose mode is followed if it is stricter than 0600.
    replaces: further batches whose results file may be overwritten.
    known: digests of what this batch's own file may hold to be overwritten; with another one a person has
    changed it meanwhile, and it stays. None: whatever it holds. progress: hears how many rows have been
    written, every thousand rows and at the end.
    The suffix of `path` decides the format. Raises ResultsError when a file cannot hold the rows, FileError
    when the disk refuses or `path` is a link; then whatever was at `path` is still there, and nothing else.
    """

    def objection(found: Path) -> str:
        """Why something would be lost if results were put there, words that follow its name; else ""."""
        if known is not None and digest_of(found) in known:  # as we wrote it: it need not be read
            return ""
        whose = batch_id_in(found)
        if whose == batch:
            return "" if known is None else "was changed by somebody while the batch was at work"
        if whose is None:
            return "is not a results file"
        return "" if whose in replaces else f"belongs to batch {whose}"

    with draft_beside(path, source=source) as draft:
        if path.suffix.lower() == WORKBOOK_SUFFIX:
            from importer.results.workbook import write_workbook

            written = write_workbook(draft.stream, _counted(lines, progress), batch, header, rows)
        else:
            written = _write_text(draft, _counted(lines, progress), batch, header, delimiter or ",")
        if written != rows:
            raise RuntimeError(f"{written} results for {rows} rows: this is a fault of the importer")
        draft.close()
        digest = digest_of(draft.path)
        placed = put_in_place(draft, path, objection)
    return Written(placed.path, digest, written, placed.aside)


def digest_of(path: Path) -> str:
    """SHA-256 of the file's bytes, hexadecimal: the same as we wrote means nobody changed anything."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _counted(lines: Iterable[StoredRow], progress: Callable[[int], None]) -> Iterator[StoredRow]:
    done = 0
    for done, line in enumerate(lines, 1):
        yield line
        if done % PROGRESS_ROWS == 0:
            progress(done)
    progress(done)


def _write_text(draft: Draft, lines: Iterable[StoredRow], batch: str, header: Cells, delimiter: str) -> int:
    """UTF-8 with its mark, so that Excel knows it; CRLF. Half surrogates, which it cannot hold, are `?`."""
    stream = draft.text("utf-8-sig")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow((*COLUMNS, *header))
    written = 0
    for row in lines:
        written += 1
        writer.writerow(
            (
                row.number, row.status.shown, row.activity_id or "", shown_code(row.error_code),
                shown_error(row.error), row.attempts, row.changed_at, batch, *decode_cells(row.cells),
            )
        )  # fmt: skip
    stream.detach()
    return written
