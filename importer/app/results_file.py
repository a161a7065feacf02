"""The results file of a batch, written from the store."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Final

from importer.app.observer import Observer, Progress, Stage
from importer.app.options import ScreenChanges
from importer.errors import FileError, ResultsError
from importer.results.edits import ACCEPTED, CellChange, Edits, RowEdit, StatusEdit, StatusWord, edits
from importer.results.results_reader import batch_id_in, read_results
from importer.results.results_writer import digest_of, write_results
from importer.sheets.rows import Cells, column_letters, decode_cells, encode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import Batch, RowStatus, StoredRow
from importer.store.store import Store, computer
from importer.text import be, count, shown

CHANGED: Final = "results_changed"
"""A fact of a batch: its results file, as it was written, is not what the store would write: it holds changes
for `correct`, or a correction has begun since."""


def _shown(rows: BatchRows, typed: Mapping[int, Cells]) -> Iterator[StoredRow]:
    for row in rows.rows():
        yield row._replace(cells=encode_cells(typed[row.number])) if row.number in typed else row


def place_here(rows: BatchRows) -> Path:
    """Where a batch's results file goes on this computer: where it was written last, if that was here; beside
    the sheet, if the batch was started here; else into the working folder."""
    batch, here = rows.batch(), computer()
    written = Path(batch.results)
    if rows.fact("results_on", batch.computer) == here:
        return written
    name = re.split(r"[\\/]", batch.results)[-1]  # another computer may have another system
    return Path(batch.source).with_name(name) if batch.computer == here else Path.cwd() / name


def write_results_file(
    rows: BatchRows,
    keep_facts: Callable[..., None],
    observer: Observer,
    path: Path | None = None,
    *,
    replaces: Collection[str] = (),
    read: str | None = None,
    typed: Mapping[int, Cells] = MappingProxyType({}),
) -> Path:
    """Writes the results file of a batch, at `path` or where it was last, and keeps where and its digest.

    replaces: further batches whose results file may be overwritten. read: digest of the file as it was when
    its changes were taken over. A file that is neither that nor as we wrote it last was changed since by a
    person, or by a colleague's run: it stays, and the results go beside it; the observer is given notice.
    typed: by row number, cells of created rows as a person changed them: they stay so, for `correct`.

    Raises ResultsError, FileError when it cannot be written, StoreError when the counts do not add up.
    """
    batch = rows.batch()
    total = rows.shown_counts()["rows"]
    written = write_results(
        path or place_here(rows),
        _shown(rows, typed),
        batch=batch.id,
        header=batch.header,
        rows=total,
        delimiter=batch.delimiter,
        source=Path(batch.source),
        replaces=replaces,
        known=(read, batch.results_digest),
        progress=lambda done: observer.progress(Progress(Stage.WRITING, done)),
    )
    if written.aside:
        observer.notice(written.aside, warning=True)
    keep_facts(
        results=str(written.path),
        results_digest=written.digest,
        results_on=computer(),
        **{CHANGED: bool(typed)},
    )
    return written.path


def edits_of_file(
    path: Path | None, batch: Batch, rows: BatchRows, observer: Observer
) -> tuple[Edits, str | None]:
    """What a results file says that differs from what we wrote, and the file's digest; what does not count is
    given notice of. Raises ResultsError for a file that does not fit its batch."""
    if path is None or not path.is_file():
        return Edits(), None
    digest = digest_of(path)
    if digest == batch.results_digest and not rows.fact(CHANGED, default=False):
        return Edits(), digest

    def advance(done: int) -> None:
        observer.progress(Progress(Stage.COMPARING, done))

    with read_results(path) as file:
        found = edits(file, batch.header, rows.numbered, batch.rows, progress=advance)
    said = (found.ignored.sentences("Ignored"), found.respelt.sentences("Kept the original value"))
    for note in chain(found.notes, *said):
        observer.notice(note)
    if found.older_words:
        lines = f"{count(found.older_words, 'line')} of this file {be(found.older_words)}"
        observer.notice(f"{lines} from an older copy: import_status is ignored there.")
    return found, digest


def from_screen(changes: ScreenChanges, rows: BatchRows, header: Cells) -> Edits:
    """What was changed on the screen, as if it had been read from a results file. Raises ResultsError for
    rows that do not exist."""
    by_row: dict[int, dict[int, str]] = {}
    for (number, index), text in changes.cells.items():
        by_row.setdefault(number, {})[index] = text
    positions = rows.positions({*by_row, *changes.statuses})
    unknown = ({*by_row, *changes.statuses} - set(positions)) or None
    if unknown:
        raise ResultsError(f"This batch has no row {min(unknown)}.")
    edits = Edits()
    for number, by_index in by_row.items():
        row = rows.row(positions[number])
        before = decode_cells(row.cells)
        after = tuple(by_index.get(index, cell) for index, cell in enumerate(before))
        found = tuple(
            CellChange(header[index] or f"column {column_letters(index)}", index, before[index], text)
            for index, text in sorted(by_index.items())
            if before[index] != text
        )
        if found:
            edit = RowEdit(number, after, found)
            (edits.corrections if row.status is RowStatus.CREATED else edits.rows).append(edit)
    for number, word in changes.statuses.items():
        said = _said(word, rows.row(positions[number]).status)
        edits.words.append(StatusWord(number, said, changes.ids.get(number, "")))
    return edits


def _said(word: str, status: RowStatus) -> StatusEdit:
    said = ACCEPTED.get((status.shown, word.strip().lower()))
    if said is None:
        raise ResultsError(f"A row that is {status.shown} cannot be set to {shown(word)}.")
    return said


def remove_results(path: Path, batch_id: str) -> None:
    """What was written of a batch that is none after all, at `path` or beside it."""
    for found in path.parent.glob(f"*{path.suffix}"):
        if found.name.startswith(path.stem) and batch_id_in(found) == batch_id:
            found.unlink(missing_ok=True)


def replaceable(path: Path, store: Store) -> tuple[str, ...]:
    """With `--replace`: the finished batch whose results file is at `path`; () where there is none.

    Raises ResultsError where that batch is not finished, or unknown: its results may be needed.
    """
    if not path.is_file():
        return ()
    batch_id = batch_id_in(path)
    if batch_id is None:
        raise FileError(
            "This file is not a results file, and is not replaced.",
            where=str(path),
            remedy="Choose another path with --results.",
        )
    summary = store.summary(batch_id)
    if summary is None:
        raise ResultsError(
            f"This file belongs to batch {batch_id}, which this store does not have; it may not be finished.",
            where=str(path),
            remedy="Move the file away, or choose another path with --results.",
        )
    if summary.open_rows or summary.running:
        raise ResultsError(
            f"This file belongs to batch {batch_id}, which is not finished.",
            where=str(path),
            remedy="Finish it first:",
            command=("resume", str(path)),
        )
    return (batch_id,)
