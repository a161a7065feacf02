"""Which row of a sheet holds the headings: the first that names the columns used below it."""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from importer.errors import SheetError
from importer.mapping.values import IdValue, NumberValue, trimmed
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.detect import Kind, find_kind
from importer.sheets.encoding import find_encoding
from importer.sheets.sheet import COLUMNS_MAX, unreadable
from importer.sheets.text import delimiter_named, separator_line, sniff_delimiter
from importer.starter.date_guesses import reads_as_date
from importer.starter.heading_words import HEADING_WORDS, words

SEARCHED_ROWS: Final = 30
TOP_ROWS: Final = 80
SAMPLE_LINES: Final = 600
SAMPLE_CHARACTERS: Final = 1 << 20
HEADING_CHARACTERS_MAX: Final = 120
COVERED_LEAST: Final = 0.75
TEXT_LEAST: Final = 0.75
ADDRESS: Final = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s.,;<>]{2,}")

TopRow = tuple[int, Sequence[str]]
"""A row's number as Excel shows it, and its cells."""


@dataclass(frozen=True, slots=True)
class HeaderGuess:
    """row: as Excel numbers it. certain: it looks like headings. score: higher names more of the columns."""

    row: int
    certain: bool
    score: float = 0.0


def find_header_row(path: Path, how: SheetOptions) -> HeaderGuess:
    """The row that holds the headings. Raises SheetError for a file that cannot be opened."""
    if find_kind(path) is Kind.TEXT:
        return _in_text(path, how)
    return likely_header(_top_of_workbook(path, how))


def likely_header(top: Sequence[TopRow]) -> HeaderGuess:
    """The header among the first rows that have content, the title rows above it left aside."""
    if not top:
        return HeaderGuess(1, certain=False)
    scored = [
        (_score(top, at), _known_words(cells), number)
        for at, (number, cells) in enumerate(top[:SEARCHED_ROWS])
    ]
    best: tuple[float, int, int] | None = None
    for each in scored:
        # Two cells `Printed by | Müller` above a table of two columns look like headings, too.
        if each[0] > 0.0 and (best is None or each[1] >= best[1] + 2):
            best = each
    if best is None:
        return HeaderGuess(top[0][0], certain=len(top) == 1)
    return HeaderGuess(best[2], certain=True, score=best[0])


def _score(top: Sequence[TopRow], at: int) -> float:
    """How much of the columns that are used below it the row names; 0 if it cannot be the header."""
    heads = {index: cell for index, cell in enumerate(top[at][1]) if cell.strip()}
    below = [cells for _, cells in top[at + 1 : at + 1 + SEARCHED_ROWS]]
    if not heads or not below or any(map(_is_value, heads.values())):
        return 0.0
    counts = Counter(index for cells in below for index, cell in enumerate(cells) if cell.strip())
    used = {index for index, count in counts.items() if 4 * count >= len(below)}
    if not used:
        return 0.0
    covered = len(heads.keys() & used) / len(used)
    texts = sum(map(_could_head, heads.values())) / len(heads)
    return covered * texts if covered >= COVERED_LEAST and texts >= TEXT_LEAST else 0.0


def _is_value(cell: str) -> bool:
    """Whether a cell holds what nobody calls a column: an Id, an e-mail address, a date."""
    text = trimmed(str(cell))
    return isinstance(IdValue().read(text), str) or bool(ADDRESS.fullmatch(text)) or reads_as_date(text)


def _could_head(cell: str) -> bool:
    """Whether a cell reads like a heading rather than a number or a note."""
    text = trimmed(str(cell))
    return (
        type(cell) is str
        and len(text) <= HEADING_CHARACTERS_MAX
        and any(char.isalpha() for char in text)
        and not isinstance(NumberValue().read(text), str)
    )


def _known_words(cells: Sequence[str]) -> int:
    """How many cells hold a word that headings usually have."""
    short = (words(cell) for cell in cells if 0 < len(cell) <= 40)
    return sum(not HEADING_WORDS.isdisjoint(text.split()) for text in short)


def _in_text(path: Path, how: SheetOptions) -> HeaderGuess:
    """The header of a text file, whose delimiter is not known yet and shows below the title rows only."""
    lines = _first_lines(path, how)
    separator = separator_line(lines[0]) if lines else None
    lines = lines if separator is None else lines[1:]
    if how.delimiter is not None or separator is not None:
        return likely_header(_records(lines, separator or delimiter_named(how.delimiter or "", path)))
    found: list[tuple[float, HeaderGuess]] = []
    for delimiter in ",;\t|":
        records = _records(lines, delimiter)
        guess = likely_header(records)
        # The sheet will be opened with that row as its header, and has to see the same columns then.
        if guess.row <= SEARCHED_ROWS and sniff_delimiter(lines, guess.row) == delimiter:
            width = next((len(cells) for number, cells in records if number == guess.row), 0)
            even = [len(cells) == width for number, cells in records if number > guess.row]
            found.append((guess.score * (sum(even) / len(even) if even else 1.0), guess))
    return max(found, key=lambda each: each[0])[1] if found else likely_header(_records(lines, ","))


def _first_lines(path: Path, how: SheetOptions) -> list[str]:
    encoding, _ = find_encoding(path, how.encoding)
    try:
        with path.open("rb") as raw:
            raw.seek(encoding.skip_bytes)
            sample = raw.read(SAMPLE_CHARACTERS)
    except OSError as error:
        raise unreadable(path, error) from error
    # What cannot be decoded is refused, with its line, when the sheet is opened.
    text = sample.decode(encoding.codec, "replace")
    return re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", text)[:SAMPLE_LINES]


def _records(lines: Sequence[str], delimiter: str) -> list[TopRow]:
    """The first records with content, numbered as they will be."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    found: list[TopRow] = []
    with contextlib.suppress(csv.Error):  # the sample may end inside a quoted cell
        for number, record in enumerate(reader, 1):
            if any(cell.strip() for cell in record):
                found.append((number, record))
            if len(found) == TOP_ROWS:
                break
    return found


def _top_of_workbook(path: Path, how: SheetOptions) -> list[TopRow]:
    """The first rows with content, as wide as they are."""
    try:
        return _rows_from(path, replace(how, header_row=1))
    except SheetError as error:
        first = re.search(r"first row with content is (\d+)", error.remedy)
        if first is None:
            raise
    return _rows_from(path, replace(how, header_row=int(first.group(1))))


def _rows_from(path: Path, how: SheetOptions) -> list[TopRow]:
    with open_sheet(path, how) as sheet:
        first: TopRow = (sheet.header_row, sheet.header)
        # Below a title of one cell, rows would be cut to one cell.
        sheet.adopt_header(["any"] * COLUMNS_MAX, None)
        return [first, *((row.number, row.cells) for row in itertools.islice(sheet.rows(), TOP_ROWS))]
