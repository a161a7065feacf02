"""The results file, written: first our columns, then every source column as it was.

Always whole: to a temporary file in the same folder, fsynced, put in place by rename. What stands in a cell
is written as it is, `=1+1` too: a person must find in the file what stands in the sheet.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from importer.errors import ResultsError
from importer.journal.file import fsync_folder
from importer.results.result_line import COLUMNS, ResultLine, shown_error
from importer.results.results_reader import batch_id_in
from importer.sheets.rows import Cells

__all__ = ["COLUMNS", "ResultLine", "Written", "digest_of", "results_path", "shown_error", "write_results"]

TEXT_SUFFIXES: Final = (".csv", ".tsv", ".txt")
WORKBOOK_SUFFIX: Final = ".xlsx"
PROGRESS_ROWS: Final = 1_000
ASIDE_MAX: Final = 99

Progress = Callable[[int], None]
"""Told how many rows have been written (or read) so far, every thousand rows and at the end."""


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
            f'"{path.suffix}" is no format for results.' if path.suffix else "The name has no ending.",
            where=f"--results {explicit}",
            remedy="Results are written as .csv or .xlsx: end the name with one of these.",
        )
    if not path.parent.is_dir():
        raise ResultsError(
            f"There is no folder {path.parent}.",
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
    replaces: Collection[str] = (),
    known: Collection[str | None] | None = None,
    progress: Progress | None = None,
) -> Written:
    """Writes the results file of `batch` at `path` or, if that is not ours to overwrite, beside it.

    header: the source's headings. rows: how many `lines` there are; another count is a bug and ends loudly.
    delimiter: the source's, for text. replaces: further batches whose results file may be overwritten.
    known: digests of what this batch's own file may hold to be overwritten; with another one a person has
    changed it meanwhile, and it stays. None: whatever it holds.
    The suffix of `path` decides the format. Raises ResultsError when a file cannot hold the rows, or the disk
    refuses; then whatever stood at `path` still stands there, and no temporary file is left.
    """
    own = Own(batch, frozenset(replaces), None if known is None else frozenset(known))
    target, aside = _free_path(path, own)
    temporary = target.with_name(f".importer-{batch}.tmp")
    try:
        with _told_plainly(target):
            if target.suffix.lower() == WORKBOOK_SUFFIX:
                from importer.results.workbook import write_workbook

                written = write_workbook(temporary, counted(lines, progress), batch, header, rows)
            else:
                written = _write_text(temporary, counted(lines, progress), batch, header, delimiter or ",")
            if written != rows:
                raise RuntimeError(f"{written} results for {rows} rows: this is a fault of the importer")
            _sync(temporary)
            digest = digest_of(temporary)
            locked = ""
            if not (
                target.is_file() and digest_of(target) == digest
            ):  # else it may stay, and be open in Excel
                target, locked = _put_in_place(temporary, target, own)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return Written(target, digest, written, locked or aside)


@dataclass(frozen=True, slots=True)
class Own:
    """What may be overwritten: see `write_results`."""

    batch: str
    replaces: frozenset[str]
    known: frozenset[str | None] | None

    def may_have(self, path: Path) -> bool:
        """Whether nothing is lost if results are put at `path`."""
        if path.is_dir():
            return False
        if not path.exists():
            return True
        whose = batch_id_in(path)
        if whose != self.batch:
            return whose in self.replaces
        return self.known is None or digest_of(path) in self.known


def digest_of(path: Path) -> str:
    """SHA-256 of the file's bytes, hexadecimal: the same as we wrote means nobody changed anything."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def counted(lines: Iterable[ResultLine], progress: Progress | None) -> Iterator[ResultLine]:
    """The same lines, while `progress` is told of them."""
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


def _write_text(path: Path, lines: Iterable[ResultLine], batch: str, header: Cells, delimiter: str) -> int:
    """UTF-8 with its mark, so that Excel knows it; CRLF. Half surrogates, which it cannot hold, are `?`."""
    written = 0

    def records() -> Iterator[tuple[object, ...]]:
        nonlocal written
        for number, status, activity_id, code, error, attempts, time, cells in lines:
            written += 1
            text = shown_error(error) if error else ""
            yield (number, status, activity_id, code, text, attempts, time, batch, *cells)

    with path.open("w", encoding="utf-8-sig", errors="replace", newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\r\n")
        writer.writerow((*COLUMNS, *header))
        writer.writerows(records())
    return written


def _sync(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _put_in_place(temporary: Path, target: Path, own: Own) -> tuple[Path, str]:
    """Renames; where a program holds the target open (Excel on Windows does), to the next free name."""
    tried = {target}
    place = target
    aside = ""
    while True:
        try:
            os.replace(temporary, place)  # noqa: PTH105 - a whole file takes the name in one step
        except PermissionError:
            if len(tried) > ASIDE_MAX or os.access(target.parent, os.W_OK) is False:
                raise
            place = _next_to(target, own, tried)
            tried.add(place)
            aside = f"{target.name} is open in another program, so the results are in {place.name}."
        else:
            fsync_folder(place.parent)
            return place, aside


def _free_path(path: Path, own: Own) -> tuple[Path, str]:
    """`path`, or beside it if a file of somebody else's stands there, with the reason."""
    path = path.resolve()
    if own.may_have(path):
        return path, ""
    place = _next_to(path, own, {path})
    other = batch_id_in(path)
    whose = f"belongs to batch {other}" if other else "is no results file"
    if other == own.batch:
        whose = "was changed by somebody while the batch was at work"
    return place, f"{path.name} {whose}, so the results are in {place.name}."


def _next_to(path: Path, own: Own, tried: Collection[Path]) -> Path:
    for number in range(2, ASIDE_MAX + 2):
        place = path.with_name(f"{path.stem} ({number}){path.suffix}")
        if place not in tried and own.may_have(place):
            return place
    raise ResultsError(
        f"There are {ASIDE_MAX} results files of that name already.",
        where=str(path),
        remedy="Move the old ones away, or choose a name with --results.",
    )


@contextmanager
def _told_plainly(path: Path) -> Iterator[None]:
    """What the disk says, as a ResultsError about `path`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise ResultsError(
            f"The results file cannot be written ({reason}).",
            where=str(path),
            remedy="Make room or choose another place with --results.",
        ) from error
