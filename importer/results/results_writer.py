"""The results file, written: first our columns, then every source column as it was.

Always whole (`atomic_file`). What is in a cell of the sheet
is written as it is, `=1+1` too: a person must find in the file what is in the sheet. In our own columns
nothing can be read as a formula.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from importer.atomic_file import Draft, draft_beside, put_in_place
from importer.errors import ResultsError
from importer.results.result_line import COLUMNS, PROGRESS_ROWS, ResultLine, shown_code, shown_error
from importer.results.results_reader import batch_id_in
from importer.sheets.rows import Cells

__all__ = ["COLUMNS", "ResultLine", "Written", "digest_of", "results_path", "shown_error", "write_results"]

TEXT_SUFFIXES: Final = (".csv", ".tsv", ".txt")
WORKBOOK_SUFFIX: Final = ".xlsx"

Progress = Callable[[int], None]
"""Hears how many rows have been written (or read) so far, every thousand rows and at the end."""


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
    lines: Iterable[ResultLine],
    *,
    batch: str,
    header: Cells,
    rows: int,
    delimiter: str | None = None,
    source: Path | None = None,
    replaces: Collection[str] = (),
    known: Collection[str | None] | None = None,
    progress: Progress | None = None,
) -> Written:
    """Writes the results file of `batch` at `path` or, if that is not ours to overwrite, beside it.

    header: the source's headings. rows: how many `lines` there are; another count is a bug and ends loudly.
    delimiter: the source's, for text. source: the sheet, whose mode is followed if it is stricter than 0600.
    replaces: further batches whose results file may be overwritten.
    known: digests of what this batch's own file may hold to be overwritten; with another one a person has
    changed it meanwhile, and it stays. None: whatever it holds.
    The suffix of `path` decides the format. Raises ResultsError when a file cannot hold the rows, FileError
    when the disk refuses or `path` is a link; then whatever was at `path` is still there, and nothing else.
    """
    own = Own(batch, frozenset(replaces), None if known is None else frozenset(known))
    with draft_beside(path, source=source) as draft:
        if path.suffix.lower() == WORKBOOK_SUFFIX:
            from importer.results.workbook import write_workbook

            written = write_workbook(draft.stream, counted(lines, progress), batch, header, rows)
        else:
            written = _write_text(draft, counted(lines, progress), batch, header, delimiter or ",")
        if written != rows:
            raise RuntimeError(f"{written} results for {rows} rows: this is a fault of the importer")
        draft.close()
        digest = digest_of(draft.path)
        placed = put_in_place(draft, path, own.objection)
    return Written(placed.path, digest, written, placed.aside)


@dataclass(frozen=True, slots=True)
class Own:
    """What may be overwritten: see `write_results`."""

    batch: str
    replaces: frozenset[str]
    known: frozenset[str | None] | None

    def objection(self, path: Path) -> str:
        """Why something would be lost if results were put at `path`, words that follow its name; else ""."""
        unchanged = self.known is not None and digest_of(path) in self.known
        if unchanged:  # as we wrote it: it need not be read
            return ""
        whose = batch_id_in(path)
        if whose == self.batch:
            return "" if self.known is None else "was changed by somebody while the batch was at work"
        if whose is None:
            return "is not a results file"
        return "" if whose in self.replaces else f"belongs to batch {whose}"


def digest_of(path: Path) -> str:
    """SHA-256 of the file's bytes, hexadecimal: the same as we wrote means nobody changed anything."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def counted(lines: Iterable[ResultLine], progress: Progress | None) -> Iterator[ResultLine]:
    """The same lines, while `progress` hears of them."""
    if progress is None:
        yield from lines
        return
    done = 0
    for line in lines:
        yield line
        done += 1
        if done % PROGRESS_ROWS == 0:
            progress(done)
    progress(done)


def _write_text(draft: Draft, lines: Iterable[ResultLine], batch: str, header: Cells, delimiter: str) -> int:
    """UTF-8 with its mark, so that Excel knows it; CRLF. Half surrogates, which it cannot hold, are `?`."""
    written = 0

    def records() -> Iterator[tuple[object, ...]]:
        nonlocal written
        for number, status, activity_id, code, error, attempts, time, cells in lines:
            written += 1
            text = shown_error(error) if error else ""
            yield (number, status, activity_id, shown_code(code), text, attempts, time, batch, *cells)

    stream = draft.text("utf-8-sig")
    writer = csv.writer(stream, delimiter=delimiter, lineterminator="\r\n")
    writer.writerow((*COLUMNS, *header))
    writer.writerows(records())
    stream.detach()
    return written
