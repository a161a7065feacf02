"""Batches as people name them (a results file, an id, a sheet), and the results file that tells of one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from importer.errors import ResultsError
from importer.home import Home
from importer.journal.journal import Batch, Journal, peek
from importer.journal.telling import told_rows
from importer.ledger.ledger import REHEARSAL, Ledger
from importer.results.result_line import ResultLine, is_results_header
from importer.results.results_reader import batch_id_in
from importer.results.results_writer import Written, write_results
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import CellsDigest, decode_cells

RESULTS_SUFFIXES: Final = (".csv", ".xlsx", ".tsv", ".txt")


@dataclass(frozen=True, slots=True)
class Named:
    """What was named. journal: where the batch's journal is, or would be. results: the file that a person
    may have changed, None when there is none."""

    batch: str
    journal: Path
    results: Path | None


def find(named: str, home: Home, *, rehearsal: bool = False) -> Named:
    """The batch that a person means. rehearsal: of a sheet, its rehearsal. Raises ResultsError."""
    path = Path(named)
    if path.is_file():
        batch = batch_id_in(path)
        if batch is not None:
            return Named(batch, _journal(home, batch), path)
        return _of_sheet(path, home, rehearsal=rehearsal)
    if path.is_dir():
        raise ResultsError("This is a folder.", where=named, remedy="Name the results file in it.")
    journal = _journal(home, named)
    if path.name == named and journal.is_file():
        return Named(named, journal, _results_of(journal))
    raise ResultsError(
        "There is no such file, and no batch of that id on this computer.",
        where=named,
        remedy="Name the results file, the batch's id (importer status lists them), or the source sheet.",
    )


def expect_kind(named: Named, *, sandbox: bool, remedy: str) -> None:
    """A rehearsal stands on the sandbox only, and any other batch never does. Raises ResultsError.

    remedy: what to say to a rehearsal without --sandbox.
    """
    rehearsal = named.batch.startswith(REHEARSAL)
    if rehearsal and not sandbox:
        raise ResultsError(
            "This batch is a rehearsal on the sandbox; none of it is in LeadSquared.",
            where=named.batch,
            remedy=remedy,
        )
    if sandbox and not rehearsal:
        raise ResultsError(
            "This batch was sent to LeadSquared; none of it is on the sandbox.",
            where=named.batch,
            remedy="Leave --sandbox out.",
        )


def _journal(home: Home, batch: str) -> Path:
    return home.journals / f"{batch}.journal"


def _results_of(journal: Path) -> Path | None:
    """The batch's results file where it was written last, if it is still there and still the batch's."""
    facts = peek(journal)
    path = Path(facts.get("results", ""))
    return path if path.is_file() and batch_id_in(path) == facts.get("id") else None


def _of_sheet(source: Path, home: Home, *, rehearsal: bool) -> Named:
    """By the results file beside the sheet, else by what stands in the sheet."""
    middle = ".sandbox.results" if rehearsal else ".results"
    for suffix in RESULTS_SUFFIXES:
        beside = source.with_name(f"{source.stem}{middle}{suffix}")
        batch = batch_id_in(beside) if beside.is_file() else None
        if batch is not None and batch.startswith(REHEARSAL) == rehearsal:
            return Named(batch, _journal(home, batch), beside)
    found = _rehearsal_of(source, home) if rehearsal else _known_by_cells(source, home)
    if found is not None:
        return Named(found, _journal(home, found), _results_of(_journal(home, found)))
    raise ResultsError(
        "No batch of this sheet is known, and it is no results file.",
        where=str(source),
        remedy="Name its results file, or start with `importer run`.",
    )


def _known_by_cells(source: Path, home: Home) -> str | None:
    digest = _cells_digest(source, home)
    with Ledger.open(home.root) as ledger:
        entry = None if digest is None else ledger.by_source_cells(digest)
    return None if entry is None else entry.id


def _cells_digest(source: Path, home: Home) -> str | None:
    """Of the sheet read as the batches of it were read, so far as the ledger knows one at this path."""
    with Ledger.open(home.root) as ledger:
        entry = ledger.by_source(source)
    facts = {} if entry is None else peek(entry.journal)
    how = SheetOptions(
        sheet=facts.get("sheet"), encoding=facts.get("encoding"), delimiter=facts.get("delimiter"),
        header_row=facts.get("header_row"), hidden=facts.get("hidden"),
    )  # fmt: skip
    with open_sheet(source, how) as sheet:
        if is_results_header(sheet.header):
            raise ResultsError(
                "This looks like a results file, but its column import_batch is empty.",
                where=str(source),
                remedy="Name the batch's id instead: importer status lists them.",
            )
        digest = CellsDigest()
        for row in sheet.rows():
            digest.add(row.cells)
        return digest.hexdigest()


def rehearsals(home: Home) -> Iterator[tuple[Path, Batch]]:
    """The journals of rehearsals that can be read."""
    for journal in sorted(home.journals.glob(f"{REHEARSAL}*.journal"), reverse=True):
        try:
            yield journal, Batch.of(peek(journal))
        except KeyError:
            continue


def _rehearsal_of(source: Path, home: Home) -> str | None:
    wanted = str(source.absolute())
    return next((batch.id for _, batch in rehearsals(home) if batch.source == wanted), None)


def result_lines(journal: Journal) -> Iterator[ResultLine]:
    """Every row of a batch, as its results file tells it."""
    for number, shown, activity_id, code, error, attempts, changed_at, cells in told_rows(journal):
        line = (number, shown, activity_id, code, error, attempts, changed_at, decode_cells(cells))
        yield ResultLine._make(line)


def write(
    journal: Journal,
    path: Path | None = None,
    *,
    replaces: Collection[str] = (),
    read: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Written:
    """Writes the results file of a batch, at `path` or where it was last, and keeps where and its digest.

    read: digest of the file as it was when its changes were taken over. One that is neither that nor as we
    wrote it last was changed since by a person: it stays, and the results go beside it.

    Raises ResultsError when it cannot be written, JournalError when the counts do not add up to the rows.
    """
    batch = journal.batch()
    counts = journal.shown_counts()
    written = write_results(
        path or Path(batch.results),
        result_lines(journal),
        batch=batch.id,
        header=batch.header,
        rows=counts["rows"],
        delimiter=batch.delimiter,
        replaces=replaces,
        known=(read, batch.results_digest),
        progress=progress,
    )
    journal.state(results=str(written.path), results_digest=written.digest)
    return written
