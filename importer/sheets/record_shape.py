"""The shape of a text file's records: which have another shape than their neighbours, and what that may mean.

`csv` accepts a note that was cut in two by a line break, values that an unquoted comma moved by a column,
and a quotation mark that swallows the rows after it. A first reading of the whole file learns what is usual
in it, so that the second finds what is not. Files that leave out empty cells at the end of rows, files
with a delimiter behind every row, and texts of several lines are usual.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from importer.activity import GUID
from importer.sheets.rows import column_letters
from importer.sheets.text_damage import EMPTY_WORDS, POINT_ZERO
from importer.text import quoted
from importer.wording import count as counted

PROFILE_ROWS: Final = 300
PROFILE_SHAPES_MAX: Final = 3
PATTERN_CHARACTERS: Final = 80
USUAL_SHARE_LEAST: Final = 0.8
"""Of the values of a column have one pattern, if it is the usual one."""
MOVED_LEAST: Final = 2
"""So many columns hold another's values, if a delimiter moved them."""
EXCEL_BLOCK_ROWS: Final = 16
"""Excel looks at so many rows at a time, and leaves out columns that are empty in all of them (KB 77295)."""

LINE_ENDS: Final = re.compile(r"\r\n|\n|\r")
LONG_ID: Final = re.compile(r"(?=.*\d)[0-9A-Za-z]{15,40}", re.ASCII)
EMAIL: Final = re.compile(r"\S+@\S+\.\w+")
UNIQUE: Final = frozenset(("guid", "id", "email"))
ESCAPED_END: Final = re.compile(r"[^\\]*\w[^\\]*\\")
"""A text with one backslash, at its end: no path of folders."""
SAVE_AGAIN: Final = "Correct it in the file, or export the sheet again with quotation marks around its texts."
CUT_IN_TWO: Final = (
    f"A line break inside of a text seems to cut the row in two; this is one half. {SAVE_AGAIN}"
)
CUT_LINES_MAX: Final = 50
CUTS_MAX: Final = 10_000
FULL_LEAST: Final = 3
"""After so many complete records a last one that is cut off is no habit of the file."""
NO_TEXT_GOES_ON: Final = re.compile(
    r"\W*#|\W{3,}|.*\b(?:totals?|summe|sum|subtotals?)\b|page \d|report\b", re.IGNORECASE
)
"""How lines of a report begin that stand between its rows."""


class Record(NamedTuple):
    """number: as Excel counts it. first_line: from 1. lines: how many physical lines it has. raw: these
    lines,
    their ends included, if they were kept."""

    number: int
    cells: list[str]
    first_line: int
    lines: int
    raw: str = ""


def read_records(stream: Iterable[str], delimiter: str, *, keep_raw: bool = False) -> Iterator[Record]:
    """The records of a text, one after the other. Raises csv.Error where quotation marks do not fit."""
    taken: list[str] = []

    def physical() -> Iterator[str]:
        for line in stream:
            taken.append(line)
            yield line

    reader = csv.reader(physical() if keep_raw else stream, delimiter=delimiter, strict=True)
    before = 0
    raw = ""
    for number, cells in enumerate(reader, 1):
        end = reader.line_num
        if keep_raw:
            raw = "".join(taken)
            taken.clear()
        yield Record(number, cells, before + 1, end - before, raw)
        before = end


def _line_end(raw: str) -> str:
    return "\r\n" if raw.endswith("\r\n") else raw[-1:] if raw[-1:] in ("\n", "\r") else ""


def _pattern(text: str) -> str:
    """What a value looks like: `a-9` for `C-17`. Its beginning is enough, and bounds the work."""
    text = text[:PATTERN_CHARACTERS]
    for name, known in (("guid", GUID), ("email", EMAIL), ("id", LONG_ID)):
        if known.fullmatch(text):
            return name
    return re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", text))


def _is_telling(pattern: str) -> bool:
    """Whether values of this pattern differ from those of most other columns."""
    return "9" in pattern or pattern in UNIQUE


def blank_start(cells: Sequence[str]) -> int | None:
    """The index of the one cell but the first that begins with a blank, as the second half of an unquoted
    `Pune, West` does; None if there are several, or none."""
    found = [index for index, cell in enumerate(cells) if index and cell[:1] == " "]
    return found[0] if len(found) == 1 else None


@dataclass(slots=True)
class Shape:
    """What is usual in a file.

    width: cells of the record with the headings. usual: greater numbers of cells that most records have.
    writes_empty: records with an empty last cell write it. blocks: the number of cells that all rows of one
    of Excel's blocks have. end: the usual line end; mixed_ends: there are others. profile: of each column,
    the few patterns that its values have, or nothing; looks: the one that nearly all have, or "".
    point_zero: columns in which every number ends in `.0`; maybe_zero: there may be such, or columns without
    any value. full, short: how many records have all cells, and too few. cut: numbers of complete records
    whose last text goes on in the next lines, and theirs.
    """

    width: int
    delimiter: str = ","
    usual: frozenset[int] = frozenset()
    writes_empty: bool = False
    blocks: dict[int, int] = field(default_factory=dict)
    end: str = "\n"
    mixed_ends: bool = False
    profile: tuple[frozenset[str], ...] = ()
    looks: tuple[str, ...] = ()
    point_zero: tuple[int, ...] = ()
    maybe_zero: bool = False
    full: int = 0
    short: int = 0
    cut: set[int] = field(default_factory=set)

    def fault(
        self, record: Record, before: Record | None, after: Record | None, *, unfinished: bool = False
    ) -> str | None:
        """Why the record cannot be trusted as a row; None if its number of cells is nobody's mistake.
        unfinished: the file does not end with a line end."""
        count = len(record.cells)
        known = self._cut_off(record, after, unfinished=unfinished) or self._moved(record)
        if known is not None:
            return known
        if self.mixed_ends and (
            self._broken_by_end(record, after) or (before is not None and self._broken_by_end(before, record))
        ):
            return (
                "A line break of another kind than the file's others cuts the row in two; this is one half."
                f" {SAVE_AGAIN}"
            )
        if count == self.width or count in self.usual or self._excel_left_out(record):
            return None
        if count > self.width:
            if count - self.width > self.width - 2 or any(map(str.strip, record.cells[self.width :])):
                # A text of so many pieces does not fit between the first cell and the empty ones; of content
                # right of the headings its own problem speaks.
                return None
            return (
                f"The row has {count} cells, its neighbours have {self.width}: a delimiter inside of a text"
                f" may have moved its values. {SAVE_AGAIN}"
            )
        return self._short(record, before, after)

    def _moved(self, record: Record) -> str | None:
        """A cell that begins with a blank belongs to the text before it, so that the values behind it are
        under the next headings. The row has no cell too many, since its last one is empty and left out."""
        cells, at = record.cells, blank_start(record.cells)
        if at is None or not cells[-1] or len(cells) != self.width:
            return None
        delimiter = self.delimiter
        meant = [*cells[: at - 1], f"{cells[at - 1]}{delimiter}{cells[at]}", *cells[at + 1 :], ""]
        moved = self._unlike(cells) - self._unlike(meant)
        if len(moved) < MOVED_LEAST or self._unlike(meant):
            return None
        return (
            f"Cell {column_letters(at)}{record.number} ({quoted(cells[at])}) seems to belong to the text"
            f" before it: a delimiter inside of that text moved the values after it. {SAVE_AGAIN}"
        )

    def _unlike(self, cells: Sequence[str]) -> set[int]:
        """The columns whose values nearly all look alike, and whose cell here looks otherwise."""
        return {
            index
            for index, (look, cell) in enumerate(zip(self.looks, cells, strict=True))
            if look and cell.strip() and _pattern(cell.strip()) != look
        }

    def _cut_off(self, record: Record, after: Record | None, *, unfinished: bool) -> str | None:
        if record.number in self.cut:
            return CUT_IN_TWO
        is_last = unfinished and after is None and self.full >= FULL_LEAST
        if is_last and len(record.cells) < self.width and self.short == 1:
            return "The file ends in the middle of this row: it was not copied to its end. Get it again."
        return None

    def _short(self, record: Record, before: Record | None, after: Record | None) -> str | None:
        count = len(record.cells)
        if count == 1 and self.width > 1 and (divided := self._divided_otherwise(record)):
            if not record.raw.startswith('"') and divided != self.delimiter:
                return (
                    f"The row is divided by {quoted(divided)}, the headings are divided by"
                    f" {quoted(self.delimiter)}. Export the sheet again with one delimiter throughout."
                )
            return (
                "The whole line is in quotation marks, so that it is one cell. Delete the quotation marks at"
                " its beginning and end and halve those inside, or export the sheet again from its origin."
            )
        if self._is_foreign(record) and (
            before is None or len(before.cells) >= self.width or self._is_foreign(before)
        ):
            return None  # a total or a footer of a report
        if self.writes_empty:
            return (
                f"The row has {counted(count, 'cell')}, its neighbours have {self.width}, also where the last"
                f" ones are empty: a line break may have cut it off. {SAVE_AGAIN}"
            )
        for first, second in ((before, record), (record, after)):
            if first is not None and second is not None and self._halves(first, second):
                return CUT_IN_TWO
        return None

    def _is_foreign(self, record: Record) -> bool:
        """Whether a record is blank, a line of dashes, or does not begin as rows of this file do."""
        return not any(map(str.isalnum, "".join(record.cells))) or self.fits(0, record.cells[0]) is False

    def _excel_left_out(self, record: Record) -> bool:
        return self.blocks.get((record.number - 1) // EXCEL_BLOCK_ROWS) == len(record.cells)

    def _broken_by_end(self, record: Record, after: Record | None) -> bool:
        """Whether the record's line end is not the file's, and it or the next record is too short."""
        end = _line_end(record.raw)
        if after is None or end in ("", self.end) or after.raw == "\r\n":
            return False
        return min(len(record.cells), len(after.cells)) < self.width

    def _halves(self, first: Record, second: Record) -> bool:
        """Whether two records have the cells of one, and the second does not begin as rows here do."""
        counts = len(first.cells), len(second.cells)
        return (
            min(counts) > 0
            and max(counts) < self.width
            and sum(counts) == self.width + 1
            and self._is_foreign(second)
        )

    def _divided_otherwise(self, record: Record) -> str | None:
        """The delimiter that divides a cell into as many as there are headings."""
        text = record.cells[0]
        return next((mark for mark in ",;\t|" if text.count(mark) >= self.width - 1), None)

    def fits(self, column: int, text: str) -> bool | None:
        """Whether a value looks like those of its column; None where they have no look of their own."""
        known = self.profile[column] if column < len(self.profile) else frozenset()
        return _pattern(text.strip()) in known if known else None

    def swallowed(self, record: Record, delimiter: str) -> tuple[int, str] | None:
        """The index of a cell that holds lines which look like rows, and the first of them."""
        for index, cell in enumerate(record.cells):
            if delimiter not in cell:
                continue
            first, *inner = LINE_ENDS.split(cell)
            if not inner:
                continue
            whole = self._in_rows(record, index, first, inner, delimiter)
            for at, line in enumerate(inner, 1):
                cells = line.split(delimiter)
                if len(cells) > self.width or self.fits(0, cells[0]) is False:
                    continue
                complete = cells if at < len(inner) else cells[:-1]  # the last cell of the last line is cut
                fitting = {self.fits(column, text) for column, text in enumerate(complete)} - {None}
                begins = len(cells) > 1 and fitting == {True} and _pattern(cells[0].strip()) in UNIQUE
                if begins or (whole and fitting == {True}):
                    return index, line
            rest = first.split(delimiter)[1:]
            if whole and any(
                self.fits(column, text) and _pattern(text.strip()) in UNIQUE
                for column, text in enumerate(rest, index + 1)
            ):
                return index, first
        return None

    def _in_rows(self, record: Record, index: int, first: str, inner: Sequence[str], delimiter: str) -> bool:
        """Whether the lines of a cell have exactly the cells of rows, of which two are cut by it."""
        last = index + self.width - len(record.cells)
        return (
            first.count(delimiter) == self.width - 1 - index
            and inner[-1].count(delimiter) == last
            and all(line.count(delimiter) == self.width - 1 for line in inner[:-1])
        )


def moved_by_quotes(record: Record, delimiter: str, width: int) -> str | None:
    """Why quotation marks do not mean what was meant: a backslash or a blank before them. width: cells of
    the record with the headings."""
    raw, cells = record.raw, record.cells
    cut = len(cells) != width  # a text that was cut at an escaped delimiter makes a cell too many
    ends = ("\r", "\n", delimiter)
    escaped = False
    for index, cell in enumerate(cells):
        # A text goes on with a blank; `C:\,x` is a text that ends so.
        if cut and cell.endswith("\\") and ESCAPED_END.fullmatch(cell) and f"{cell}{delimiter} " in raw:
            return (
                f"Cell {column_letters(index)}{record.number} ends with a backslash ({quoted(cell)}), which"
                " seems to escape the delimiter after it: the text was cut there, and the values moved."
                f" {SAVE_AGAIN}"
            )
        if escaped and cell.endswith('"') and any(f"{delimiter}{cell}{end}" in raw for end in ends):
            return (
                f"Cell {column_letters(index)}{record.number}: the quotation marks seem to be escaped by"
                " a backslash, so that the text was cut at a delimiter and the values moved. Export the"
                ' sheet again with quotation marks in texts written twice (`"5"" pipe"`).'
            )
        escaped = escaped or (cell.endswith("\\") and f'\\"{delimiter}' in raw)
        blank = cell[:1] in (" ", "\t") and cell.lstrip(" \t").startswith('"')
        closed = blank and any(later.rstrip().endswith('"') for later in cells[index:])
        if closed and (f"{delimiter}{cell}" in raw or raw.startswith(cell)):
            return (
                f"Cell {column_letters(index)}{record.number} begins with a blank before a quotation mark"
                f" ({quoted(cell)}), so that the mark does not quote and values may have moved. Delete"
                " the blanks after the delimiters, or export the sheet again without them."
            )
    return None


class ShapeSurvey:
    """Learns what is usual, record by record."""

    def __init__(self, width: int, delimiter: str) -> None:
        """width: cells of the record with the headings."""
        self._shape = Shape(width, delimiter)
        self._rows = 0
        self._last_full = -1, ""
        self._parted = False  # a line above the first row: such lines part the rows below, and cut none
        self._open: tuple[str, list[int], str] | None = None
        self._maybe_cut: list[tuple[str, list[int], str]] = []
        self._wide: Counter[int] = Counter()
        self._blocks: dict[int, Counter[int]] = {}
        self._patterns: list[Counter[str]] = [Counter() for _ in range(width)]
        self._profiled = 0
        self._zeros: Counter[int] = Counter(dict.fromkeys(range(width), 0))

    def learn(self, records: Iterable[Record], *, mixed_ends: bool, point_zero: bool) -> Shape:
        """The file's shape. records: those below the headings, their raw lines kept if ends are mixed."""
        shape = self._shape
        width = shape.width
        ends: Counter[str] = Counter()
        if not point_zero:
            self._zeros.clear()
        number = 0
        for number, cells, _, _, raw in records:
            count = len(cells)
            if count == 1 or self._open is not None:
                self._follow_text(number, cells)
            if count == width:
                shape.full += 1
                self._last_full = number, cells[-1]
                if not cells[-1]:
                    shape.writes_empty = True
                if self._profiled < PROFILE_ROWS:
                    self._profile(cells)
            else:
                self._count_odd(number, cells)
            if self._zeros:
                self._drop_other_columns(cells)
            if mixed_ends and cells:
                ends[_line_end(raw)] += 1
            self._rows += 1
        self._finish(number)
        ends.pop("", None)
        if len(ends) > 1:
            shape.end, shape.mixed_ends = ends.most_common(1)[0][0], True
        return shape

    def _follow_text(self, number: int, cells: list[str]) -> None:
        """Single cells right below a complete record whose last cell is a text, and above another one."""
        width = self._shape.width
        if len(cells) == 1 < width:
            if self._open is not None:
                if len(self._open[1]) <= CUT_LINES_MAX:
                    self._open[1].append(number)
            elif not self._rows:
                self._parted = True
            elif self._last_full[0] == number - 1 and any(map(str.isalpha, self._last_full[1])):
                start = self._last_full[1][:PATTERN_CHARACTERS], cells[0][:PATTERN_CHARACTERS]
                self._open = start[0], [number - 1, number], start[1]
            return
        room = len(self._maybe_cut) < CUTS_MAX
        if self._open is not None and room and len(cells) == width and len(self._open[1]) <= CUT_LINES_MAX:
            self._maybe_cut.append(self._open)
        self._open = None

    def _count_odd(self, number: int, cells: list[str]) -> None:
        count, width = len(cells), self._shape.width
        self._shape.short += 0 < count < width
        self._blocks.setdefault((number - 1) // EXCEL_BLOCK_ROWS, Counter())[count] += 1
        if count > width:
            if not cells[width - 1]:
                self._shape.writes_empty = True
            if not any(map(str.strip, cells[width:])):
                self._wide[count] += 1

    def _profile(self, cells: list[str]) -> None:
        self._profiled += 1
        for cell, patterns in zip(cells, self._patterns, strict=True):
            text = cell.strip()
            if text and len(patterns) <= PROFILE_SHAPES_MAX:
                patterns[_pattern(text)] += 1

    def _drop_other_columns(self, cells: list[str]) -> None:
        for index in tuple(self._zeros):
            text = cells[index] if index < len(cells) else ""
            if text and text not in EMPTY_WORDS:
                if POINT_ZERO.fullmatch(text):
                    self._zeros[index] += 1
                else:
                    del self._zeros[index]

    def _finish(self, last: int) -> None:
        """last: number of the last record."""
        shape = self._shape
        for block, widths in self._blocks.items():
            rows = min(EXCEL_BLOCK_ROWS, last - block * EXCEL_BLOCK_ROWS) - widths.pop(0, 0)
            if block and len(widths) == 1 and rows > 1 and widths.total() == rows:
                shape.blocks[block] = next(iter(widths))
        shape.usual = frozenset(count for count, found in self._wide.items() if 2 * found > self._rows)
        shape.profile = tuple(
            frozenset(patterns)
            if len(patterns) <= PROFILE_SHAPES_MAX and all(map(_is_telling, patterns))
            else frozenset()
            for patterns in self._patterns
        )
        most = [patterns.most_common(1)[0] if patterns else ("", 0) for patterns in self._patterns]
        shape.looks = tuple(
            look if _is_telling(look) and found >= USUAL_SHARE_LEAST * patterns.total() else ""
            for (look, found), patterns in zip(most, self._patterns, strict=True)
        )
        for cut, numbers, text in () if self._parted else self._maybe_cut:
            goes_on = shape.fits(0, text) is False and shape.fits(shape.width - 1, cut) is None
            if goes_on and not NO_TEXT_GOES_ON.match(text):
                shape.cut.update(numbers)
        shape.point_zero = tuple(index for index, found in self._zeros.items() if found > 1)
        shape.maybe_zero = bool(self._zeros)
