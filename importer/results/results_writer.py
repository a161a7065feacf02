"""The results file, written: first our columns, then every source column as it was; and the files beside it,
`<stem>.verified.csv`, `<stem>.corrections.csv` and (by `report`) `<stem>.report.html`. Whole or not at all,
and never over what belongs to somebody else.

What is in a cell of the sheet is written as it is, `=1+1` too: a person must find in the file what is in the
sheet. In our own columns, and in the files beside, nothing can be read as a formula: values that LeadSquared
holds are strangers' words. CSV is UTF-8 with its mark, CRLF, for Excel.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO

from importer.atomic_file import Placed, draft_beside, put_in_place
from importer.errors import ResultsError
from importer.results.results_reader import COLUMNS, PROGRESS_ROWS, SHEET_NAME, batch_id_in, our_cells
from importer.sheets.rows import Cells, decode_cells
from importer.store.records import CorrectionStatus, StoredCorrection, StoredRow
from importer.text import no_formula

if TYPE_CHECKING:  # `check` needs this module, and nothing that calls LeadSquared
    from importer.verification.readings import ReadRow

TEXT_SUFFIXES: Final = (".csv", ".tsv", ".txt")
WORKBOOK_SUFFIX: Final = ".xlsx"
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


class Written(NamedTuple):
    """A results file in place. digest: of its bytes, as `digest_of` tells it. aside: when it is not at the
    path that was asked for, why not, as a sentence for the person; else empty."""

    path: Path
    digest: str
    aside: str


def results_path(source: Path, family: str, *, rehearsal: bool, explicit: Path | None = None) -> Path:
    """Where the results of `source` go: beside it, or where `--results` says (a folder, or a file).

    family: of the source's `Sheet`. Raises ResultsError when `explicit` cannot be a results file.
    """
    middle = ".sandbox.results" if rehearsal else ".results"
    name = source.stem + middle + (WORKBOOK_SUFFIX if family == "workbook" else ".csv")
    if explicit is None:
        return source.with_name(name)
    path, where = explicit / name if explicit.is_dir() else explicit, f"--results {explicit}"
    if path.suffix.lower() not in (*TEXT_SUFFIXES, WORKBOOK_SUFFIX):
        raise ResultsError(
            f'"{path.suffix}" is not a format for results.' if path.suffix else "The name has no ending.",
            where=where,
            remedy="Results are written as .csv or .xlsx: end the name with one of these.",
        )
    if not path.parent.is_dir():
        what, remedy = f"The folder {path.parent} does not exist.", "Create it, or choose another."
        raise ResultsError(what, where=where, remedy=remedy)
    if path.exists() and source.exists() and path.samefile(source):
        what, remedy = "The results would replace the sheet itself.", "Choose another name."
        raise ResultsError(what, where=where, remedy=remedy)
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

    written = 0

    def counted() -> Iterator[tuple[int | str, ...]]:
        nonlocal written
        for written, line in enumerate(lines, 1):
            yield (*our_cells(line, batch), *decode_cells(line.cells))
            if written % PROGRESS_ROWS == 0:
                progress(written)
        progress(written)

    with draft_beside(path, source=source) as draft:
        if path.suffix.lower() == WORKBOOK_SUFFIX:
            from importer.results.workbook import write_workbook

            write_workbook(draft.stream, SHEET_NAME, (*COLUMNS, *header), counted(), rows)
        else:
            text = draft.text("utf-8-sig")  # half surrogates, which UTF-8 cannot hold, are `?`
            writer = csv.writer(text, delimiter=delimiter or ",", lineterminator="\r\n")
            writer.writerows(chain([(*COLUMNS, *header)], counted()))
            text.detach()
        if written != rows:
            raise RuntimeError(f"{written} results for {rows} rows: this is a fault of the importer")
        draft.close()
        digest = digest_of(draft.path)
        placed = put_in_place(draft, path, partial(_objection, batch=batch, replaces=replaces, known=known))
    return Written(placed.path, digest, placed.aside)


def _objection(
    found: Path, *, batch: str, replaces: Collection[str], known: Collection[str | None] | None
) -> str:
    """Why something would be lost if results were put there, words that follow its name; else ""."""
    if known is not None and digest_of(found) in known:  # as we wrote it: it need not be read
        return ""
    whose = batch_id_in(found)
    if whose == batch:
        return "" if known is None else "was changed by somebody while the batch was at work"
    if whose is None:
        return "is not a results file"
    return "" if whose in replaces else f"belongs to batch {whose}"


def digest_of(path: Path) -> str:
    """SHA-256 of the file's bytes, hexadecimal: the same as we wrote means nobody changed anything."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# ---- beside it ------------------------------------------------------------------------------------------


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
            made = no_formula(row.activity_id)
            if not row.differences:
                yield (row.number, row.verdict, "", "", "", "", made, row.read_at, batch)
            for one in row.differences or ():
                texts = map(no_formula, (one.field, one.sent, one.stored, one.detail))
                yield (row.number, one.verdict, *texts, made, row.read_at, batch)
            if row.number % PROGRESS_ROWS == 0:
                progress(row.number)

    return _write_csv(path, VERIFIED_COLUMNS, records(), batch)


def write_corrections(path: Path, corrections: Iterable[StoredCorrection], batch: str) -> Placed:
    """Every change of a created row that was planned, and its outcome. Raises FileError."""

    def records() -> Iterator[_Record]:
        for one in corrections:
            texts = map(no_formula, (one.field, one.before, one.after))
            rest = map(no_formula, (one.replaced or "", one.error, one.activity_id))
            yield (one.number, *texts, OUTCOME_WORDS[one.status], one.changed_at, *rest, batch)

    return _write_csv(path, CORRECTIONS_COLUMNS, records(), batch)


def _write_csv(path: Path, columns: tuple[str, ...], records: Iterable[_Record], batch: str) -> Placed:
    """columns: the headings, by which a file of this kind is known, and which are never those of a results
    file; the last is that of the batch."""

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
