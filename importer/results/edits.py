"""What a person changed in a results file: cells, and words in `import_status`.

The store is the truth about what happened; the file is how a person speaks. A status counts only on a line
that still carries the `import_time` last written for its row: in an older copy everything was `pending` once.
A line that is newer than the store was written by another computer, which continued the batch; where it has
an Id, the activity is to be read back. Whatever else differs in our columns is ignored, and named.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import Final

from importer.activity import GUID
from importer.errors import ResultsError
from importer.results.respelling import is_respelling, may_be_meant
from importer.results.results_reader import (
    COLUMNS,
    PROGRESS_ROWS,
    FileLine,
    ResultsFile,
    align,
    our_cells,
    row_number,
)
from importer.sending.reconcile.normalise import id_key
from importer.sheets.rows import Cells, ErrorCell, column_letters, decode_cells
from importer.store.batch_rows import chunked
from importer.store.records import IN_DOUBT, RowStatus, Shown, StoredRow
from importer.text import QUOTED_LENGTH_MAX, listed, shown

FIRST_NAMED_MAX: Final = 20
_READ: Final = ("import_row", "import_status", "import_time")
"""Columns whose changes mean something, or were looked at before."""


class StatusEdit(StrEnum):
    """What a person said of a row."""

    SKIP = "skip"  # `skipped`: never send it
    TAKE_BACK = "take back"  # `pending` on a skipped row
    NOT_THERE = "not there"  # `pending` on an uncertain row: I looked
    CREATED = "created"  # on an uncertain row, with the Id pasted in
    DELETED = "deleted"  # `pending` on a created row: its activity was deleted in LeadSquared by hand


ACCEPTED: Final[dict[tuple[str, str], StatusEdit]] = {
    (Shown.PENDING, Shown.SKIPPED): StatusEdit.SKIP,
    (Shown.FAILED, Shown.SKIPPED): StatusEdit.SKIP,
    (Shown.INVALID, Shown.SKIPPED): StatusEdit.SKIP,
    (Shown.SKIPPED, Shown.PENDING): StatusEdit.TAKE_BACK,
    (Shown.UNCERTAIN, Shown.PENDING): StatusEdit.NOT_THERE,
    (Shown.UNCERTAIN, Shown.CREATED): StatusEdit.CREATED,
    (Shown.CREATED, Shown.PENDING): StatusEdit.DELETED,
}
"""What a word says of a row that is shown as such; only these mean anything."""
_LOOK_IT_UP: Final = "the row may have been created: look it up, then write created (with its Id) or pending."
_NOT_TAKEN: Final[dict[tuple[str, str], str]] = {
    (Shown.UNCERTAIN, Shown.SKIPPED): _LOOK_IT_UP,
    (Shown.FAILED, Shown.PENDING): "fix the row's cells, or resume with --retry-failed.",
    (Shown.INVALID, Shown.PENDING): "fix the row's cells; a row that is valid is sent.",
}
_CREATED: Final = "the row was created, which cannot be undone here."
_UNKNOWN: Final = "only skipped, pending and, on uncertain rows, created can be written there."
_NO_ID: Final = "paste the activity's Id into import_activity_id as well."
_NOT_SURE: Final = "import_time was changed when the file was saved, so this may be an older copy's word."


@dataclass(frozen=True, slots=True)
class StatusWord:
    """activity_id: as pasted, with StatusEdit.CREATED only."""

    number: int
    said: StatusEdit
    activity_id: str = ""


class Age(Enum):
    """What a line's `import_time` says of it."""

    LATEST = "as last written"
    RESPELT = "perhaps as last written: a program respelt it and lost its fractions of a second"
    OLDER = "of an older copy, or no time at all"
    NEWER = "newer than what this store knows: somebody continued the batch elsewhere"


def age_of(found: str | None, last: str) -> Age:
    """found: the line's `import_time`. last: the one last written for its row (UTC, ISO 8601)."""
    if found == last:
        return Age.LATEST
    if not found:
        return Age.OLDER
    try:
        ahead_s = (dt.datetime.fromisoformat(found) - dt.datetime.fromisoformat(last)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # no ISO time, or one without a zone
        pass
    else:
        if ahead_s >= 0:
            return Age.NEWER if ahead_s else Age.LATEST
    return Age.RESPELT if is_respelling(last.rstrip("Z").replace("T", " "), found) else Age.OLDER


def _meaning(row: StoredRow, word: str, pasted: str, age: Age) -> StatusWord | str:
    """What `word` says of the row; or why it says nothing, as an end of a sentence.

    pasted: what is in `import_activity_id`. age: LATEST or RESPELT; on other lines no word counts.
    """
    said = ACCEPTED.get((row.status.shown, word))
    if said is None:
        return (
            _CREATED
            if row.status is RowStatus.CREATED
            else _NOT_TAKEN.get((row.status.shown, word), _UNKNOWN)
        )
    if said in {StatusEdit.NOT_THERE, StatusEdit.DELETED} and age is not Age.LATEST:
        return _NOT_SURE  # every row was `pending` in some older copy, and this word lets a row be sent again
    if said is StatusEdit.CREATED:
        return StatusWord(row.number, said, pasted) if GUID.fullmatch(pasted) else _NO_ID
    return StatusWord(row.number, said)


@dataclass(frozen=True, slots=True)
class CellChange:
    """column: its heading. index: its place in the sheet's row."""

    column: str
    index: int
    before: str
    after: str

    def __str__(self) -> str:
        return f"{shown(self.column)}: {_value(self.before)} → {_value(self.after)}"


@dataclass(frozen=True, slots=True)
class RowEdit:
    """One row's changed cells.

    cells: the row with its `changes`, respellings undone. typed: of an invalid row, the same with those
    respellings that a person may have meant (a date retyped the local way); None if there are none. It
    counts if, and only if, the row is invalid with `cells` and valid with those of `typed`. With neither
    `changes` nor a valid `typed` nothing was edited. stale: of an older copy's line.
    """

    number: int
    cells: Cells
    changes: tuple[CellChange, ...]
    typed: RowEdit | None = None
    stale: bool = False

    def described(self) -> list[str]:
        """`row 17, Outcome: 'Wno' → 'Won'`, one line for each change."""
        return [f"row {self.number}, {change}" for change in self.changes]


@dataclass(frozen=True, slots=True)
class NewerLine:
    """A row that was created elsewhere, says the file: a claim to be read back, and no more. activity_id: a
    GUID. edit: the cells with which it was sent there, None if they are ours."""

    number: int
    activity_id: str
    edit: RowEdit | None = None


@dataclass(slots=True)
class Named:
    """How many there were, and the first of them, as sentences."""

    total: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.total += 1
        if len(self.first) < FIRST_NAMED_MAX:
            self.first.append(text)

    def sentences(self, what: str) -> Iterator[str]:
        """`Ignored: row 2, …`, and how many more there are."""
        yield from (f"{what}: {text}" for text in self.first)
        if self.total > len(self.first):
            yield f"… and {self.total - len(self.first):,} more."

    def listed(self) -> str:
        """`row 2, row 3 and 340 more`."""
        return listed(self.first, FIRST_NAMED_MAX, total=self.total)


@dataclass(slots=True)
class Edits:
    """Everything that was found in a results file.

    rows: changed cells of rows that are not created. corrections: those of created rows, for `correct`.
    newer: rows that were created elsewhere; newer_lines: how many lines are newer than the store in all.
    unknown_created: lines that name an activity which the store does not know for that row, of any age: such
    a file is never overwritten. ignored: edits of our columns that count for nothing. respelt: cells that a
    spreadsheet respelt, kept as they were. older: lines from before their row's last change; older_words:
    those of them with another status. notes: what to say of its columns. The last four are to be shown.
    """

    rows: list[RowEdit] = field(default_factory=list)
    words: list[StatusWord] = field(default_factory=list)
    corrections: list[RowEdit] = field(default_factory=list)
    newer: list[NewerLine] = field(default_factory=list)
    newer_lines: int = 0
    unknown_created: int = 0
    ignored: Named = field(default_factory=Named)
    respelt: Named = field(default_factory=Named)
    older: int = 0
    older_words: int = 0
    notes: list[str] = field(default_factory=list)


Stored = Callable[[Collection[int] | None], Iterable[StoredRow]]
"""The batch's rows of these numbers; None: all."""


def edits(
    file: ResultsFile,
    header: Cells,
    stored: Stored,
    total: int,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Edits:
    """What a person changed in `file` against what the store would write now, in the file's order.

    header: the sheet's headings. total: how many rows the batch has. Neither file nor batch is ever held in
    memory. Raises ResultsError, all faults in one, when rows are missing that are not created, or lines are
    there twice, without a number, unknown, or of another batch.
    """
    comparison = _Comparison(file, header)
    done = 0
    for lines in chunked(file.lines(), PROGRESS_ROWS):
        comparison.compare(lines, stored)
        done += len(lines)
        progress(done)
    if len(comparison.seen) < total:
        comparison.look_for_missing(stored(None))
    comparison.raise_faults()
    return comparison.found


class _Comparison:
    """Lines of the file, each beside its row in the store."""

    def __init__(self, file: ResultsFile, header: Cells) -> None:
        self.file = file
        self.header = header
        self.places, notes = align(header, file.header, file.path.name)
        self.found = Edits(notes=notes)
        self.seen: set[int] = set()
        self.faults: dict[str, Named] = {}
        self.pasted: dict[str, int] = {}

    def compare(self, lines: Iterable[FileLine], stored: Stored) -> None:
        numbered = [(row_number(line.ours.row), line) for line in lines]
        rows = {row.number: row for row in stored([each for each, _ in numbered if each is not None])}
        for number, line in numbered:
            if number is None:
                self._fault("unnumbered", f"line {line.place}")
            elif number in self.seen:
                self._fault("twice", f"row {number} (line {line.place})")
            elif number not in rows:
                self._fault("unknown", f"row {number} (line {line.place})")
            else:
                self.seen.add(number)
                self._line(line, rows[number])

    def look_for_missing(self, rows: Iterable[StoredRow]) -> None:
        for row in rows:
            if row.number not in self.seen and row.status is not RowStatus.CREATED:
                self._fault("missing", f"row {row.number}")

    def _line(self, line: FileLine, row: StoredRow) -> None:
        if line.ours.batch not in (None, "", self.file.batch):
            self._fault("foreign", f"row {row.number} (line {line.place})")
            return
        age = age_of(line.ours.time, row.changed_at)
        kept = decode_cells(row.cells)
        cells = tuple(
            [old if at is None else line.cells[at] for at, old in zip(self.places, kept, strict=True)]
        )
        changed = cells != kept or row.status is RowStatus.INVALID
        edit = self._edit(kept, cells, row, stale=age is Age.OLDER) if changed else None
        if self._created_elsewhere(line, row, age, edit):
            return
        word = row.status.shown if line.ours.status is None else line.ours.status.lower()
        if age is Age.OLDER:
            self.found.older += 1
            self.found.older_words += word != row.status.shown
            if word in {Shown.SKIPPED, Shown.CREATED} and word != row.status.shown:
                self._ignore(
                    row, f"import_status '{word}': it is on a line from before the row's last change."
                )
        elif age is not Age.NEWER:
            self._word(line, row, word, age)
        if edit is not None:
            (self.found.corrections if row.status is RowStatus.CREATED else self.found.rows).append(edit)

    def _created_elsewhere(self, line: FileLine, row: StoredRow, age: Age, edit: RowEdit | None) -> bool:
        """Whether the line says that the row was created, which the store does not know: it counts then, and
        on a newer line it is to be read back. An Id pasted on an uncertain row is a person's word instead."""
        self.found.newer_lines += age is Age.NEWER
        made = line.ours.activity_id or ""
        if (line.ours.status or "").lower() != Shown.CREATED or not GUID.fullmatch(made):
            return False
        if row.status is RowStatus.CREATED and id_key(made) == id_key(row.activity_id or ""):
            return False
        if row.status in IN_DOUBT and age in {Age.LATEST, Age.RESPELT}:
            return False
        self.found.unknown_created += 1
        if age is not Age.NEWER:
            return False
        self.found.newer.append(NewerLine(row.number, made, edit))
        return True

    def _edit(self, kept: Cells, cells: Cells, row: StoredRow, *, stale: bool) -> RowEdit | None:
        """The row's changed cells; None if nobody changed any."""
        taken, typed = list(kept), list(kept)
        changes: list[CellChange] = []
        meant: list[CellChange] = []
        invalid = row.status is RowStatus.INVALID
        for index, (before, after) in enumerate(zip(kept, cells, strict=True)):
            if before == after and not (invalid and _other_kind(before, after)):
                continue
            heading = self.header[index] or f"column {column_letters(index)}"
            change = CellChange(heading, index, before, after)
            if before != after and not is_respelling(before, after):
                taken[index] = typed[index] = after
                changes.append(change)
            elif invalid and (before == after or may_be_meant(before, after)):
                typed[index] = after
                meant.append(change)
            else:
                self.found.respelt.add(f"row {row.number}, {change}")
        edit = RowEdit(row.number, tuple(taken), tuple(changes), stale=stale)
        if meant:
            return replace(edit, typed=replace(edit, cells=tuple(typed), changes=(*changes, *meant)))
        return edit if changes else None

    def _word(self, line: FileLine, row: StoredRow, word: str, age: Age) -> None:
        """What the line's own columns say. word: its `import_status`."""
        ours = line.ours
        if word != row.status.shown:
            said = _meaning(row, word, ours.activity_id or "", age)
            if isinstance(said, str):
                self._ignore(row, f"import_status {_value(ours.status or '')}: {said}")
            else:
                self.found.words.append(said)
                if said.said is StatusEdit.CREATED:
                    earlier = self.pasted.setdefault(id_key(said.activity_id), row.number)
                    if earlier != row.number:
                        self._fault("pasted", f"rows {earlier} and {row.number}")
                    return
        for name, value, found in zip(COLUMNS, our_cells(row, self.file.batch), ours, strict=True):
            kept = str(value)
            if name in _READ or found is None or found == kept or is_respelling(kept.strip(), found):
                continue
            hint = "if the row was created, write created into import_status too."
            if name != "import_activity_id" or row.status not in IN_DOUBT:
                hint = "the importer writes this column, and reads no changes from it."
            self._ignore(row, f"{name} {_value(found)}: {hint}")

    def _ignore(self, row: StoredRow, text: str) -> None:
        self.found.ignored.add(f"row {row.number}, {text}")

    def _fault(self, kind: str, text: str) -> None:
        self.faults.setdefault(kind, Named()).add(text)

    def raise_faults(self) -> None:
        if self.faults:
            kinds = [kind for kind in _FAULTS if kind in self.faults]
            found = [f"{self.faults[kind].listed()} {_FAULTS[kind][0]}" for kind in kinds]
            raise ResultsError(
                f"The file does not fit its batch: {'; '.join(found)}.",
                where=self.file.path.name,
                remedy=" ".join([*(_FAULTS[kind][1] for kind in kinds), "Nothing was sent."]),
            )


_FAULTS: Final = {
    "missing": (
        "missing, though not created",
        "Put each line back; skipped in its import_status leaves a row out.",
    ),
    "twice": ("in more than one line", "Leave one line for each row."),
    "unknown": ("not of this batch", "New rows belong into a sheet of their own."),
    "unnumbered": ("without a number in import_row", "Give them their number back, or delete them."),
    "foreign": ("of another batch", "Keep each batch's rows in its own results file."),
    "pasted": ("with the same Id in import_activity_id", "One activity is one row's only."),
}


def _other_kind(before: str, after: str) -> bool:
    """Whether the person made something else of the same text: a date of a text that looks like one."""
    return type(before) is not type(after) and not isinstance(after, ErrorCell) and type(after) is not str


def _value(text: str) -> str:
    return f"'{shown(text, QUOTED_LENGTH_MAX)}'"
