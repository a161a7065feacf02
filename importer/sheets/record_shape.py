"""The shape of a text file's records: which have another shape than their neighbours, and what that may mean.

`csv` accepts a note that was cut in two by a line break, values that an unquoted comma moved by a column,
and a quotation mark that swallows the rows after it. A first reading of the whole file learns what is usual
in it, so that the second finds what is not. Files that leave out empty cells at the end of rows, files
with a delimiter behind every row, and texts of several lines are usual.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from importer.activity import GUID
from importer.sheets.rows import column_letters
from importer.text import count as counted
from importer.text import quoted

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
NUMBER: Final = re.compile(r"[-+]?9(?:[.,]9)?")
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


def blank_start(cells: Sequence[str]) -> int | None:
    """The index of the one cell but the first that begins with a blank, as the second half of an unquoted
    `Pune, West` does; None if there are several, or none."""
    found = [index for index, cell in enumerate(cells) if index and cell[:1] == " "]
    return found[0] if len(found) == 1 else None


def _is_telling(pattern: str) -> bool:
    """Whether values of this pattern differ from those of most other columns."""
    return "9" in pattern or pattern in UNIQUE


def _add_patterns(patterns: Sequence[Counter[str]], cells: Sequence[str]) -> None:
    for cell, known in zip(cells, patterns, strict=True):
        text = cell.strip()
        if text and len(known) <= PROFILE_SHAPES_MAX:
            known[_pattern(text)] += 1


def _few_patterns(patterns: Counter[str]) -> Collection[str]:
    return patterns if len(patterns) <= PROFILE_SHAPES_MAX and all(map(_is_telling, patterns)) else ()


def _look(pattern: str) -> str:
    """A pattern, with one for whole numbers and those with decimals, which share columns."""
    return "9" if NUMBER.fullmatch(pattern) else pattern


def _usual_look(patterns: Counter[str]) -> str:
    """The look of nearly all values, "" without one."""
    looks: Counter[str] = Counter()
    for pattern, found in patterns.items():
        looks[_look(pattern)] += found
    for look, found in looks.most_common(1):
        if _is_telling(look) and found >= USUAL_SHARE_LEAST * looks.total():
            return look
    return ""


def _even_blocks(blocks: Mapping[int, Counter[int]], last: int) -> Iterator[tuple[int, int]]:
    """The blocks whose rows have all the same number of cells. last: number of the last record."""
    for block, widths in blocks.items():
        rows = min(EXCEL_BLOCK_ROWS, last - block * EXCEL_BLOCK_ROWS) - widths.pop(0, 0)
        if block and len(widths) == 1 and rows > 1 and widths.total() == rows:
            yield block, next(iter(widths))


class _CutTexts:
    """Finds single cells right below a complete record whose last cell is a text, and above another one.

    found: how the last cell and the first single one begin, and the numbers of all these records.
    """

    def __init__(self, width: int) -> None:
        self.found: list[tuple[str, str, range]] = []
        self._width = width
        self._last_full = 0, ""
        self._open: tuple[str, str, int] | None = None
        self._parted: bool | None = None  # by lines such as one above the first row: then nothing is cut

    def see(self, number: int, cells: list[str]) -> None:
        """The next record."""
        single, full = len(cells) == 1 < self._width, len(cells) == self._width
        if self._parted is None:
            self._parted = single
        if not single:
            if self._open is not None and full and number - self._open[2] <= CUT_LINES_MAX:
                self.found.append((self._open[0], self._open[1], range(self._open[2], number)))
            self._open = None
        elif self._open is None and not self._parted and len(self.found) < CUTS_MAX:
            before, text = self._last_full
            if before == number - 1 and any(map(str.isalpha, text)):
                self._open = text, cells[0][:PATTERN_CHARACTERS], before
        if full:
            self._last_full = number, cells[-1]


class Shape:
    """What is usual in a file, learnt by a reading of all its records; and which records differ from it."""

    def __init__(self, width: int, delimiter: str, records: Iterable[Record], *, mixed_ends: bool) -> None:
        """width: cells of the record with the headings. records: those below it. mixed_ends: the file holds
        line ends of several kinds, perhaps inside of cells; the records have their raw lines then."""
        self._width, self._delimiter = width, delimiter
        self._full = self._short = number = 0
        self._writes_empty = False  # records with an empty last cell have one
        ends: Counter[str] = Counter()
        wide: Counter[int] = Counter()
        blocks: defaultdict[int, Counter[int]] = defaultdict(Counter)
        patterns: list[Counter[str]] = [Counter() for _ in range(width)]
        texts = _CutTexts(width)
        for number, cells, _, _, raw in records:
            count = len(cells)
            texts.see(number, cells)
            if count >= width and not cells[width - 1]:
                self._writes_empty = True
            if count == width:
                self._full += 1
                if self._full <= PROFILE_ROWS:
                    _add_patterns(patterns, cells)
            else:
                self._short += 0 < count < width
                blocks[(number - 1) // EXCEL_BLOCK_ROWS][count] += 1
                wide[count] += count > width and not any(map(str.strip, cells[width:]))
            if mixed_ends and cells:
                ends[_line_end(raw)] += 1
        ends.pop("", None)
        self.mixed_ends = len(ends) > 1
        self._end = ends.most_common(1)[0][0] if ends else ""
        rows = self._full + sum(map(Counter.total, blocks.values()))
        # Greater numbers of cells that most records have, and those of all rows of one of Excel's blocks.
        self._usual = {count for count, found in wide.items() if 2 * found > rows}
        self._blocks = dict(_even_blocks(blocks, number))
        # The few patterns that the values of each column have, and the look that nearly all have.
        self._profile = [_few_patterns(each) for each in patterns]
        self._looks = [_usual_look(each) for each in patterns]
        # Complete records whose last text goes on in the next lines, and theirs.
        self._cut = {
            number
            for text, more, numbers in texts.found
            if self._fits(0, more) is False and self._fits(width - 1, text) is None
            if not NO_TEXT_GOES_ON.match(more)
            for number in numbers
        }

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
        by_excel = self._blocks.get((record.number - 1) // EXCEL_BLOCK_ROWS)
        if count in (self._width, by_excel) or count in self._usual:
            return None
        if count > self._width:
            if count - self._width > self._width - 2 or any(map(str.strip, record.cells[self._width :])):
                # A text of so many pieces does not fit between the first cell and the empty ones; of content
                # right of the headings its own problem speaks.
                return None
            return (
                f"The row has {count} cells, its neighbours have {self._width}: a delimiter inside of a text"
                f" may have moved its values. {SAVE_AGAIN}"
            )
        return self._too_short(record, before, after)

    def _moved(self, record: Record) -> str | None:
        """A cell that begins with a blank belongs to the text before it, so that the values behind it are
        under the next headings. The row has no cell too many, since its last one is empty and left out."""
        cells, at = record.cells, blank_start(record.cells)
        if at is None or not cells[-1] or not cells[at - 1].strip() or len(cells) != self._width:
            return None
        meant = [*cells[: at - 1], cells[at - 1] + self._delimiter + cells[at], *cells[at + 1 :], ""]
        (as_usual, other), (then_as_usual, then_other) = self._compared(cells), self._compared(meant)
        # Words such as n/a are unlike their column, too, but are no other column's values.
        if then_other or min(len(other), len(then_as_usual - as_usual)) < MOVED_LEAST:
            return None
        return (
            f"Cell {column_letters(at)}{record.number} ({quoted(cells[at])}) seems to belong to the text"
            f" before it: a delimiter inside of that text moved the values after it. {SAVE_AGAIN}"
        )

    def _compared(self, cells: Sequence[str]) -> tuple[set[int], set[int]]:
        """Of the columns whose values nearly all look alike: those whose cell here looks so, and those whose
        cell looks otherwise."""
        found: tuple[set[int], set[int]] = set(), set()
        for index, (look, cell) in enumerate(zip(self._looks, cells, strict=True)):
            if look and (text := cell.strip()):
                found[_look(_pattern(text)) != look].add(index)
        return found

    def _cut_off(self, record: Record, after: Record | None, *, unfinished: bool) -> str | None:
        if record.number in self._cut:
            return CUT_IN_TWO
        is_last = unfinished and after is None and self._full >= FULL_LEAST
        if is_last and len(record.cells) < self._width and self._short == 1:
            return "The file ends in the middle of this row: it was not copied to its end. Get it again."
        return None

    def _too_short(self, record: Record, before: Record | None, after: Record | None) -> str | None:
        count = len(record.cells)
        if count == 1 and self._width > 1 and (divided := self._divided_otherwise(record)):
            if not record.raw.startswith('"') and divided != self._delimiter:
                return (
                    f"The row is divided by {quoted(divided)}, the headings are divided by"
                    f" {quoted(self._delimiter)}. Export the sheet again with one delimiter throughout."
                )
            return (
                "The whole line is in quotation marks, so that it is one cell. Delete the quotation marks at"
                " its beginning and end and halve those inside, or export the sheet again from its origin."
            )
        if self._is_foreign(record) and (
            before is None or len(before.cells) >= self._width or self._is_foreign(before)
        ):
            return None  # a total or a footer of a report
        if self._writes_empty:
            return (
                f"The row has {counted(count, 'cell')}, its neighbours have {self._width}, also where the"
                f" last ones are empty: a line break may have cut it off. {SAVE_AGAIN}"
            )
        for first, second in ((before, record), (record, after)):
            if first is not None and second is not None and self._halves(first, second):
                return CUT_IN_TWO
        return None

    def _is_foreign(self, record: Record) -> bool:
        """Whether a record is blank, a line of dashes, or does not begin as rows of this file do."""
        return not any(map(str.isalnum, "".join(record.cells))) or self._fits(0, record.cells[0]) is False

    def _broken_by_end(self, record: Record, after: Record | None) -> bool:
        """Whether the record's line end is not the file's, and it or the next record is too short."""
        end = _line_end(record.raw)
        if after is None or end in ("", self._end) or after.raw == "\r\n":
            return False
        return min(len(record.cells), len(after.cells)) < self._width

    def _halves(self, first: Record, second: Record) -> bool:
        """Whether two records have the cells of one, and the second does not begin as rows here do."""
        counts = len(first.cells), len(second.cells)
        return (
            min(counts) > 0
            and max(counts) < self._width
            and sum(counts) == self._width + 1
            and self._is_foreign(second)
        )

    def _divided_otherwise(self, record: Record) -> str | None:
        """The delimiter that divides a cell into as many as there are headings."""
        text = record.cells[0]
        return next((mark for mark in ",;\t|" if text.count(mark) >= self._width - 1), None)

    def _fits(self, column: int, text: str) -> bool | None:
        """Whether a value looks like those of its column; None where they have no look of their own."""
        known = self._profile[column] if column < self._width else ()
        return _pattern(text.strip()) in known if known else None

    def swallowed(self, record: Record) -> tuple[int, str] | None:
        """The index of a cell that holds lines which look like rows, and the first of them."""
        delimiter = self._delimiter
        for index, cell in enumerate(record.cells):
            first, *inner = LINE_ENDS.split(cell)
            if delimiter not in cell or not inner:
                continue
            whole = self._in_rows(record, index, first, inner)
            for at, line in enumerate(inner, 1):
                cells = line.split(delimiter)
                if len(cells) > self._width or self._fits(0, cells[0]) is False:
                    continue
                complete = cells if at < len(inner) else cells[:-1]  # the last cell of the last line is cut
                fitting = {self._fits(column, text) for column, text in enumerate(complete)} - {None}
                begins = len(cells) > 1 and fitting == {True} and _pattern(cells[0].strip()) in UNIQUE
                if begins or (whole and fitting == {True}):
                    return index, line
            rest = first.split(delimiter)[1:]
            if whole and any(
                self._fits(column, text) and _pattern(text.strip()) in UNIQUE
                for column, text in enumerate(rest, index + 1)
            ):
                return index, first
        return None

    def _in_rows(self, record: Record, index: int, first: str, inner: Sequence[str]) -> bool:
        """Whether the lines of a cell have exactly the cells of rows, of which two are cut by it."""
        counts = [line.count(self._delimiter) for line in (first, *inner)]
        between = [self._width - 1] * (len(inner) - 1)
        return counts == [self._width - 1 - index, *between, index + self._width - len(record.cells)]


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
