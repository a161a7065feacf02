"""Batches as people name them: a results file, an id, a sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from importer.errors import ResultsError
from importer.results.result_line import is_results_header
from importer.results.results_reader import batch_id_in
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import CellsDigest
from importer.store.records import REHEARSAL, is_batch_id
from importer.store.store import Store

RESULTS_SUFFIXES: Final = (".csv", ".xlsx", ".tsv", ".txt")


@dataclass(frozen=True, slots=True)
class NamedBatch:
    """What was named. results: the file that a person may have changed, None when there is none."""

    id: str
    results: Path | None

    @property
    def rehearsal(self) -> bool:
        """Whether it is one on the sandbox."""
        return self.id.startswith(REHEARSAL)


def find_batch(named: str, store: Store, *, rehearsal: bool = False) -> NamedBatch:
    """The batch that a person means; of a results file it may be one that the store does not have.

    rehearsal: of a sheet, its rehearsal. Raises ResultsError.
    """
    path = Path(named)
    if path.is_file():
        batch = batch_id_in(path)
        if batch is None:
            return _of_sheet(path, store, rehearsal=rehearsal)
        if not is_batch_id(batch):
            raise ResultsError(
                f"{batch[:60]!r} in the column import_batch is not a batch id.",
                where=str(path),
                remedy="Put the id back as it was written, or name the batch's id instead.",
                command=("status",),
            )
        return NamedBatch(batch, path)
    if path.is_dir():
        raise ResultsError("This is a folder.", where=named, remedy="Name the results file in it.")
    if is_batch_id(named) and store.summary(named) is not None:
        return NamedBatch(named, _results_of(named, store))
    raise ResultsError(
        "There is no such file, and no batch of that id in the store.",
        where=named,
        remedy="Name the results file, the batch's id, or the source sheet. This lists the batches:",
        command=("status",),
    )


def expect_kind(named: NamedBatch, *, sandbox: bool, remedy: str) -> None:
    """A rehearsal is on the sandbox only, and any other batch never is. Raises ResultsError.

    remedy: what to do with a rehearsal that was named without --sandbox.
    """
    if named.rehearsal and not sandbox:
        raise ResultsError(
            "This batch is a rehearsal on the sandbox; none of it is in LeadSquared.",
            where=named.id,
            remedy=remedy,
        )
    if sandbox and not named.rehearsal:
        raise ResultsError(
            "This batch was sent to LeadSquared; none of it is on the sandbox.",
            where=named.id,
            remedy="Leave --sandbox out.",
        )


def _results_of(batch_id: str, store: Store) -> Path | None:
    """The batch's results file where it was written last, if it is still there and still the batch's."""
    path = Path(store.open(batch_id).fact("results", ""))
    return path if path.is_file() and batch_id_in(path) == batch_id else None


def _of_sheet(source: Path, store: Store, *, rehearsal: bool) -> NamedBatch:
    """By the results file beside the sheet, else by what is in the sheet."""
    middle = ".sandbox.results" if rehearsal else ".results"
    for suffix in RESULTS_SUFFIXES:
        beside = source.with_name(f"{source.stem}{middle}{suffix}")
        batch = batch_id_in(beside) if beside.is_file() else None
        if batch is not None and is_batch_id(batch) and batch.startswith(REHEARSAL) == rehearsal:
            return NamedBatch(batch, beside)
    found = store.by_source_cells(_cells_digest(source, store, rehearsal=rehearsal), rehearsal=rehearsal)
    if found is None and rehearsal:
        found = store.by_source(source.absolute(), rehearsal=True)
    if found is not None:
        return NamedBatch(found.batch.id, _results_of(found.batch.id, store))
    raise ResultsError(
        "No batch of this sheet is known, and it is not a results file.",
        where=str(source),
        remedy="Name its results file, or start with `importer run`.",
    )


def _cells_digest(source: Path, store: Store, *, rehearsal: bool) -> str:
    """Of the sheet, read as the last batch of it was read, if the store knows one at this path."""
    known = store.by_source(source.absolute(), rehearsal=rehearsal)
    how = SheetOptions()
    if known is not None:
        batch = known.batch
        how = SheetOptions(batch.sheet, batch.encoding, batch.delimiter, batch.header_row, batch.hidden)
    with open_sheet(source, how) as sheet:
        if is_results_header(sheet.header):
            raise ResultsError(
                "This looks like a results file, but its column import_batch is empty.",
                where=str(source),
                remedy="Name the batch's id instead. This lists the batches:",
                command=("status",),
            )
        digest = CellsDigest()
        for row in sheet.rows():
            digest.add(row.cells)
        return digest.hexdigest()
