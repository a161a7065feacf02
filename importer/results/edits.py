"""What a person said in a results file: cells that they changed, and words in `import_status`.

The journal is the truth about what happened; the file is how a person speaks. A status counts only on a line
that still carries the `import_time` last written for its row: in an older copy everything was `pending` once.
Whatever else differs in our columns is ignored, and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from importer.errors import ResultsError
from importer.results.align import Alignment, align, in_row_order, row_number
from importer.results.respelling import is_respelling, may_be_meant
from importer.results.result_line import ResultLine, shown_error
from importer.results.results_reader import FileLine, ResultsFile
from importer.results.status_edits import Age, Said, StatusWord, age_of, meaning
from importer.sending.reconcile.normalise import id_key
from importer.sheets.rows import Cells, ErrorCell, column_letters
from importer.text import VALUE_LENGTH_MAX, listed, shown

PROGRESS_ROWS: Final = 1_000
NAMED_MAX: Final = 20


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
    counts if, and only if, the row is invalid with `cells` and valid with `typed`: then `meant` is what to
    show. With neither `changes` nor a valid `typed` nothing was edited. stale: of an older copy's line.
    """

    number: int
    cells: Cells
    changes: tuple[CellChange, ...]
    typed: Cells | None = None
    meant: tuple[CellChange, ...] = ()
    stale: bool = False

    def described(self, *, typed: bool = False) -> list[str]:
        """`row 17, Outcome: 'Wno' → 'Won'`, one line for each change. typed: `typed` is what counts."""
        return [f"row {self.number}, {change}" for change in (self.meant if typed else self.changes)]


@dataclass(slots=True)
class Named:
    """How many there were, and the first of them, as sentences."""

    total: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.total += 1
        if len(self.first) < NAMED_MAX:
            self.first.append(text)

    def listed(self) -> str:
        """`row 2, row 3 and 340 more`."""
        return listed(self.first, NAMED_MAX, total=self.total)


@dataclass(slots=True)
class Edits:
    """Everything that was found in a results file.

    ignored: edits of our columns, and of created rows' cells, that count for nothing. respelt: cells that a
    spreadsheet respelt, taken as they were. older: lines from before their row's last change. missing:
    created rows that are not in the file. notes: what to say of its columns. All for telling the person.
    """

    rows: list[RowEdit] = field(default_factory=list)
    words: list[StatusWord] = field(default_factory=list)
    ignored: Named = field(default_factory=Named)
    respelt: Named = field(default_factory=Named)
    older: int = 0
    missing: int = 0
    lines: int = 0
    notes: list[str] = field(default_factory=list)


def edits(
    file: ResultsFile,
    header: Cells,
    journal: Callable[[], Iterable[ResultLine]],
    *,
    progress: Callable[[int], None] | None = None,
) -> Edits:
    """What a person changed in `file` against what the journal would write now.

    header: the sheet's headings. journal: gives every row in source order, anew each time it is called (twice
    if the file was sorted). Neither is ever held in memory. Raises ResultsError, all faults in one, when rows
    are missing that are not created, or lines are doubled, without a number, unknown, or of another batch.
    """
    alignment = align(header, file.header, file.path.name)
    reading = _Reading(file, header, alignment, progress)
    try:
        return reading.compared(file.lines(), journal())
    except _OutOfOrderError:
        reading = _Reading(file, header, alignment, progress)
        return reading.compared(in_row_order(file.lines()), journal())


class _OutOfOrderError(Exception):
    """The lines are not in the order of their rows."""


class _Reading:
    """One pass over the file beside the journal."""

    def __init__(
        self, file: ResultsFile, header: Cells, alignment: Alignment, progress: Callable[[int], None] | None
    ) -> None:
        self.file = file
        self.header = header
        self.alignment = alignment
        self.progress = progress
        self.found = Edits(notes=alignment.notes())
        self.faults: dict[str, Named] = {}
        self.pasted: dict[str, int] = {}

    def compared(self, lines: Iterable[FileLine], journal: Iterable[ResultLine]) -> Edits:
        rows = iter(journal)
        row = next(rows, None)
        last = -1
        for line in self._counted(lines):
            number = row_number(line.ours.row)
            if number is None:
                self._fault("unnumbered", f"line {line.place}")
                continue
            if number < last:
                raise _OutOfOrderError
            if number == last:
                self._fault("doubled", f"row {number} (line {line.place})")
                continue
            last = number
            while row is not None and row.number < number:
                self._missing(row)
                row = next(rows, None)
            if row is None or row.number > number:
                self._fault("unknown", f"row {number} (line {line.place})")
                continue
            self._line(line, row)
            row = next(rows, None)
        while row is not None:
            self._missing(row)
            row = next(rows, None)
        self._raise_faults()
        return self.found

    def _counted(self, lines: Iterable[FileLine]) -> Iterator[FileLine]:
        for line in lines:
            self.found.lines += 1
            if self.progress is not None and self.found.lines % PROGRESS_ROWS == 0:
                self.progress(self.found.lines)
            yield line

    def _missing(self, row: ResultLine) -> None:
        if row.status == "created":
            self.found.missing += 1
        else:
            self._fault("missing", f"row {row.number}")

    def _line(self, line: FileLine, row: ResultLine) -> None:
        if line.ours.batch not in (None, "", self.file.batch):
            self._fault("foreign", f"row {row.number} (line {line.place})")
            return
        age = age_of(line.ours.time, row.time)
        if age is Age.OLDER:
            self.found.older += 1
            self._old_word(line, row)
        else:
            self._word(line, row, age)
        cells = self.alignment.cells(line.cells, row.cells)
        if cells != row.cells or row.status == "invalid":
            self._cells(cells, row, stale=age is Age.OLDER)

    def _cells(self, cells: Cells, row: ResultLine, *, stale: bool) -> None:
        taken, typed = list(row.cells), list(row.cells)
        changes: list[CellChange] = []
        meant: list[CellChange] = []
        for index, (before, after) in enumerate(zip(row.cells, cells, strict=True)):
            if before == after:
                if row.status == "invalid" and _other_kind(before, after):
                    typed[index] = after
                    meant.append(CellChange(self._heading(index), index, before, after))
                continue
            change = CellChange(self._heading(index), index, before, after)
            if not is_respelling(before, after):
                taken[index] = typed[index] = after
                changes.append(change)
                continue
            self.found.respelt.add(f"row {row.number}, {change}")
            if row.status == "invalid" and may_be_meant(before, after):
                typed[index] = after
                meant.append(change)
        if row.status == "created":
            for change in changes:
                self._ignore(row, f"{change}: the row was created, and stays as it was sent.")
        elif changes or meant:
            edit = RowEdit(row.number, tuple(taken), tuple(changes), stale=stale)
            if meant:
                both = (*changes, *meant)
                edit = RowEdit(row.number, edit.cells, edit.changes, tuple(typed), both, stale)
            self.found.rows.append(edit)

    def _heading(self, index: int) -> str:
        return self.header[index] or f"column {column_letters(index)}"

    def _old_word(self, line: FileLine, row: ResultLine) -> None:
        word = (line.ours.status or "").lower()
        if word in {"skipped", "created"} and word != row.status:
            self._ignore(row, f"import_status: '{word}' stands on a line from before the row's last change.")

    def _word(self, line: FileLine, row: ResultLine, age: Age) -> None:
        word = line.ours.status
        if word is not None and word.lower() != row.status:
            said = meaning(row.number, row.status, word, line.ours.activity_id or "", age)
            if isinstance(said, StatusWord):
                self._said(said)
                if said.said is Said.CREATED:
                    return
            else:
                self._ignore(row, f"import_status: {_value(word)} is not taken: {said}")
        self._other_columns(line, row)

    def _said(self, word: StatusWord) -> None:
        self.found.words.append(word)
        if word.said is Said.CREATED:
            earlier = self.pasted.setdefault(id_key(word.activity_id), word.number)
            if earlier != word.number:
                self._fault("pasted", f"rows {earlier} and {word.number}")

    def _other_columns(self, line: FileLine, row: ResultLine) -> None:
        ours = line.ours
        for name, kept, found in (
            ("import_activity_id", row.activity_id, ours.activity_id),
            ("import_error_code", row.error_code, ours.error_code),
            ("import_error", shown_error(row.error), ours.error),
            ("import_attempts", str(row.attempts), ours.attempts),
            ("import_batch", self.file.batch, ours.batch),
        ):
            if found is None or found == kept or is_respelling(kept.strip(), found):
                continue
            hint = "to say that the row was created, write created into import_status too."
            if name != "import_activity_id" or row.status != "uncertain":
                hint = "the journal knows what happened."
            self._ignore(row, f"{name}: {_value(found)} is not taken: {hint}")

    def _ignore(self, row: ResultLine, text: str) -> None:
        self.found.ignored.add(f"row {row.number}, {text}")

    def _fault(self, kind: str, text: str) -> None:
        self.faults.setdefault(kind, Named()).add(text)

    def _raise_faults(self) -> None:
        if not self.faults:
            return
        told = [f"{self.faults[kind].listed()} {_FAULTS[kind][0]}" for kind in _FAULTS if kind in self.faults]
        remedies = [_FAULTS[kind][1] for kind in _FAULTS if kind in self.faults]
        raise ResultsError(
            f"The file does not fit its batch: {'; '.join(told)}.",
            where=self.file.path.name,
            remedy=" ".join([*remedies, "Nothing was sent."]),
        )


_FAULTS: Final = {
    "missing": ("not in the file, though not created", "Put them back, or write skipped into import_status."),
    "doubled": ("there twice", "Leave one line for each row."),
    "unknown": ("not of this batch", "New rows belong into a sheet of their own."),
    "unnumbered": ("without a number in import_row", "Give them their number back, or delete them."),
    "foreign": ("of another batch", "Keep each batch's rows in its own results file."),
    "pasted": ("with the same Id in import_activity_id", "One activity is one row's only."),
}


def _other_kind(before: str, after: str) -> bool:
    """Whether the person made something else of the same text: a date of a text that looks like one."""
    return type(before) is not type(after) and not isinstance(after, ErrorCell) and type(after) is not str


def _value(text: str) -> str:
    return f"'{shown(text, VALUE_LENGTH_MAX)}'"
