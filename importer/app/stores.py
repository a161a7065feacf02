"""The store and its batches: found by name, listed, copied, erased. Without LeadSquared."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from importer.app.observer import SILENT, Observer, Progress, Stage
from importer.app.questions import Choice, Question, QuestionKind
from importer.app.records import BatchStatus, EraseResult, StoreInfo
from importer.errors import ResultsError, SettingsError
from importer.home import Home, home
from importer.results.results_reader import batch_id_in, is_results_header
from importer.results.results_writer import (
    CORRECTIONS_ENDING,
    REPORT_ENDING,
    VERIFIED_ENDING,
    beside,
    digest_of,
)
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.rows import CellsDigest
from importer.store import store as stores
from importer.store.ownership import Ownership
from importer.store.records import REHEARSAL, BatchSummary, RowStatus, is_batch_id
from importer.store.store import Store
from importer.text import NOT_ANSWERING, count

STORE_VARIABLE: Final = "IMPORTER_STORE"


def open_store(*, create: bool = True, notice: Callable[[str], None] | None = None) -> Store:
    """The store in force: `IMPORTER_STORE`, else `IMPORTER_HOME/importer.db`. A context manager.

    create: False for what leaves nothing behind; where there is no store yet, an empty one stands in.
    notice: hears of folders that other users could read, and now cannot.
    Raises SettingsError, StoreUnusableError.
    """
    own = home()
    for text in own.prepare() if create else ():
        if notice is not None:
            notice(text)
    return stores.open_store(own.root, store_url(), create=create)


def store_url() -> str | None:
    """`IMPORTER_STORE`; never from `.env`: a downloaded folder must not choose where customer data goes."""
    return os.environ.get(STORE_VARIABLE, "").strip() or None


def store_info(store: Store) -> StoreInfo:
    """Where it is, its version, what it holds."""
    batches = store.batches()
    return StoreInfo(
        location=store.location,
        dialect=store.dialect,
        version=store.version(),
        batches=len(batches),
        rows=sum(one.counts["rows"] for one in batches),
        size_bytes=store.database.size_bytes(),
        latency_ms=round(store.latency_s() * 1_000, 1),
        running=tuple(f"{one.batch.id}, {one.running_on}" for one in batches if one.running),
        team=store.moved_to or "",
    )


def copy_store(store: Store, url: str, observer: Observer = SILENT) -> StoreInfo:
    """Copies an embedded store to the team's; from then on it is read-only. Raises SettingsError,
    ResultsError (a batch is in use), StoreError."""
    if store.dialect != "sqlite":
        raise SettingsError(
            f"{STORE_VARIABLE} is set, so the store in use is not the one of this computer.",
            remedy=f"Unset {STORE_VARIABLE}, then copy.",
        )
    from importer.store.postgresql import has_password  # a team's store alone needs its driver

    if has_password(url):
        raise SettingsError(
            "A password must not be part of the address: others can see options.",
            remedy="Leave it out, and keep it in the file that PGPASSFILE names (or ~/.pgpass).",
        )
    total = sum(one.counts["rows"] for one in store.batches())
    with stores.open_store(home().root, url, named="--to") as other:
        store.copy_to(other, lambda rows: observer.progress(Progress(Stage.COPYING, rows, total)))
        return store_info(other)


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
        batch = _batch_in(path, store)
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
    if is_batch_id(named) and store.knows(named):
        return NamedBatch(named, _results_of(named, store))
    raise ResultsError(
        "There is no such file, and no batch of that id in the store.",
        where=named,
        remedy="Name the results file, the batch's id, or the source sheet. This lists the batches:",
        command=("status",),
    )


def batch_to_call(named: str, store: Store, *, sandbox: bool, remedy: str) -> NamedBatch:
    """As `find_batch`, for calls: a rehearsal is on the sandbox only, and any other batch never is. Raises
    ResultsError.

    remedy: what to do with a rehearsal that was named without --sandbox.
    """
    batch = find_batch(named, store, rehearsal=sandbox)
    if batch.rehearsal and not sandbox:
        raise ResultsError(
            "This batch is a rehearsal on the sandbox; none of it is in LeadSquared.",
            where=batch.id,
            remedy=remedy,
        )
    if sandbox and not batch.rehearsal:
        raise ResultsError(
            "This batch was sent to LeadSquared; none of it is on the sandbox.",
            where=batch.id,
            remedy="Leave --sandbox out.",
        )
    return batch


def own_created(named: NamedBatch, store: Store, verb: str) -> Ownership:
    """A batch with created rows, owned, to `verb` them. Raises ResultsError."""
    if not store.knows(named.id):
        raise ResultsError(
            "This store does not have the batch, and so it is not known here what was sent.",
            where=named.id,
            remedy=f"{verb.capitalize()} on the computer that ran the import, or with the team's store.",
        )
    owned = store.own(named.id)
    if not owned.rows.has(RowStatus.CREATED):
        owned.close()
        raise ResultsError(
            f"No row of this batch is created, so there is nothing to {verb}.",
            where=named.id,
            remedy="See its progress:",
            command=("status", named.id),
        )
    return owned


def _batch_in(path: Path, store: Store) -> str | None:
    """`batch_id_in`, but at once where the file is as we wrote it: to read a million lines takes seconds."""
    written = None
    with suppress(OSError):
        written = store.by_results(digest_of(path))
    return written or batch_id_in(path)


def _results_of(batch_id: str, store: Store) -> Path | None:
    """The batch's results file where it was written last, if it is still there and still the batch's."""
    path = Path(store.open(batch_id).fact("results", ""))
    return path if path.is_file() and _batch_in(path, store) == batch_id else None


def _of_sheet(source: Path, store: Store, *, rehearsal: bool) -> NamedBatch:
    """By the results file beside the sheet, else by what is in the sheet."""
    middle = ".sandbox.results" if rehearsal else ".results"
    for suffix in RESULTS_SUFFIXES:
        beside = source.with_name(f"{source.stem}{middle}{suffix}")
        batch = _batch_in(beside, store) if beside.is_file() else None
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


RATE_OVER_S: Final = 30.0


def list_batches(store: Store) -> tuple[BatchStatus, ...]:
    """All batches, the latest first, rehearsals among them."""
    return tuple(_status(one, store) for one in store.batches())


def batch_status(named: str, store: Store, *, rehearsal: bool = False) -> BatchStatus:
    """One batch, also while it runs elsewhere. named: its results file, its id, or the source sheet (with
    `rehearsal`, that sheet's rehearsal). Raises ResultsError."""
    batch = find_batch(named, store, rehearsal=rehearsal)
    summary = known_batch(batch.id, store)
    rate = store.open(batch.id).calls_per_s(RATE_OVER_S) if summary.running else 0.0
    results = None if batch.results is None else str(batch.results.absolute())
    return _status(summary, store, rate=rate, results=results)


def known_batch(batch_id: str, store: Store) -> BatchSummary:
    """Raises ResultsError for one that the store does not have."""
    summary = store.summary(batch_id)
    if summary is None:
        raise ResultsError(
            "This store does not have the batch: another computer sent it, or the store was deleted.",
            where=batch_id,
            remedy="Ask where it was sent, or rebuild it here with `importer resume RESULTS -m MAPPING`.",
        )
    return summary


def _status(
    summary: BatchSummary, store: Store, *, rate: float = 0.0, results: str | None = None
) -> BatchStatus:
    batch, facts = summary.batch, summary.facts
    going_on: Mapping[str, Any] = (facts.get("going_on") or {}) if summary.running else {}
    already = int(facts.get("already", 0))
    return BatchStatus(
        batch=batch.id,
        tenant=batch.tenant,
        organisation=batch.organisation,
        user=batch.user,
        source=batch.source,
        created_at=batch.created_at,
        counts={**summary.counts, "created": summary.counts["created"] - already},
        results=results or batch.results,
        store=store.location,
        running=summary.running,
        started_on=f"{batch.os_user} on {batch.computer}" if batch.computer else "",
        running_on=summary.running_on,
        seconds=facts.get("seconds", 0.0),
        throttled=facts.get("throttled", 0) + going_on.get("throttled", 0),
        rate=rate,
        note=NOT_ANSWERING if going_on.get("outage") else str(going_on.get("pace", "")),
        already=already,
        erased=summary.erased_at is not None,
        rehearsal=batch.rehearsal,
    )


def rehearsal_file(own: Home, batch: str) -> Path:
    """Where the sandbox keeps what a rehearsal created."""
    return own.sandbox / f"{batch}.sqlite"


def remove_rehearsal_file(batch: str) -> None:
    """Forgets what the sandbox created in a rehearsal."""
    file = rehearsal_file(home(), batch)
    for end in ("", "-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)


def erase_question(batch_id: str, store: Store) -> Question:
    """What has to be confirmed before `erase`. Raises ResultsError."""
    summary = known_batch(batch_id, store)
    batch = summary.batch
    open_rows = (
        f" {count(summary.open_rows, 'row')} not finished can never be resumed." if summary.open_rows else ""
    )
    return Question(
        QuestionKind.ERASE,
        f"Remove all cells, messages and look-ups of batch {batch.id} ({batch.source_name},"
        f" {count(batch.rows, 'row')}) from {store.location}? This cannot be undone, and the batch can no"
        " longer"
        f" be resumed, verified or corrected.{open_rows} What is in LeadSquared stays.",
        (Choice("erase", "Erase", "--yes"),),
        rows=batch.rows,
        batch=batch.id,
    )


def erase(batch_id: str, store: Store) -> EraseResult:
    """Removes a batch's customer data; its fingerprints and Ids stay, so that the sheet is still recognised.

    To be confirmed before (`erase_question`). What is of it in our own folder goes too: the copy of a sheet
    that was brought on the screen, what a rehearsal created. Names the files that remain beside the sheet.
    Raises ResultsError, StoreError.
    """
    batch = known_batch(batch_id, store).batch
    store.erase(batch_id)
    uploaded = next((each for each in Path(batch.source).parents if each.parent == home().uploads), None)
    others = (one for one in store.batches() if one.batch.id != batch_id and one.erased_at is None)
    if uploaded is not None and all(one.batch.source != batch.source for one in others):
        shutil.rmtree(uploaded, ignore_errors=True)
    if batch.rehearsal:
        remove_rehearsal_file(batch_id)
    results = Path(batch.results)
    beside_it = (
        results,
        *(beside(results, ending) for ending in (VERIFIED_ENDING, CORRECTIONS_ENDING, REPORT_ENDING)),
        Path(batch.source),
    )
    kept = [
        path
        for path in dict.fromkeys(beside_it)
        if path.is_file() and (path != results or batch_id_in(path) == batch_id)
    ]
    return EraseResult(batch_id, batch.rows, tuple(kept))
