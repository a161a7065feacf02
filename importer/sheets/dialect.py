"""Which character divides the columns of a text file, and where a quotation mark went wrong.

`csv.Sniffer` is not asked: it looks for a delimiter beside any pair of quotation marks or apostrophes, so
that one note like `it's, 'so', fine` in a file divided by `;` makes it answer `,`. Here the header decides: a
delimiter that does not divide it is out, and the rows below have to agree with it.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from importer.errors import SheetError

CANDIDATES: Final = (",", ";", "\t", "|")
SAMPLE_RECORDS: Final = 100
NAMES: Final = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
FAULT_SEARCH_CHARACTERS: Final = 1 << 20
SUSPICIOUS: Final = frozenset(",;\t|:^~\x1f¦§")


def delimiter_named(text: str, path: Path) -> str:
    """The character that `--delimiter` or the mapping asks for. Raises SheetError."""
    char = NAMES.get(text.strip().lower(), text)
    if len(char) != 1 or char in '"\r\n \0' or char.isalnum():
        raise SheetError(
            f'"{text}" cannot divide columns.',
            where=path.name,
            remedy="Name one character, such as `,` or `;`, or one of: tab, comma, semicolon, pipe.",
        )
    return char


def separator_line(line: str) -> str | None:
    """The delimiter that a first line `sep=;` names, as Excel understands it; None for any other line.

    Programs that save such a file again pad the line with delimiters, as long as the others: `sep=;;;`.
    """
    text = line.rstrip("\r\n").strip('"')
    if len(text) < 5 or text[:4].lower() != "sep=" or text[4] in '"\0':
        return None
    padding = text[5:].strip('"')
    return text[4] if len(set(padding)) < 2 and padding[:1] in ("", text[4], *CANDIDATES) else None


def sniff_delimiter(lines: Iterable[str], header_row: int) -> str | None:
    """The candidate that divides the header, best borne out by the rows below; None if none divides it."""
    sample = list(itertools.islice(lines, header_row + 4 * SAMPLE_RECORDS))
    best: tuple[float, int] = (0.0, 0)
    found = None
    for candidate in CANDIDATES:
        records = list(_records(sample, candidate, header_row))
        if not records or len(records[0]) < 2:
            continue
        agreeing = [len(record) == len(records[0]) for record in records[1:] if record]
        score = (sum(agreeing) / len(agreeing) if agreeing else 1.0, sum(map(bool, records[0])))
        if score > best:
            best, found = score, candidate
    return found


def _records(sample: list[str], delimiter: str, header_row: int) -> Iterator[list[str]]:
    reader = csv.reader(sample, delimiter=delimiter, strict=True)
    try:
        yield from itertools.islice(reader, header_row - 1, header_row - 1 + SAMPLE_RECORDS)
    except csv.Error:
        return  # the sample may end inside a quoted cell; what was read before counts


@dataclass(frozen=True, slots=True)
class QuoteFault:
    """column: index of the cell whose quotation mark opens on `line`; `after`: what wrongly follows its
    closing mark, on `end_line`; empty if nothing closes it. escaped: a backslash is before that mark."""

    column: int
    line: int
    end_line: int
    after: str
    escaped: bool = False


def find_quote_fault(lines: Iterable[str], delimiter: str, first_line: int) -> QuoteFault | None:
    """The first quotation mark of a record that opens a cell and is not closed as it should be.

    lines: the record's physical lines and what follows them. None if the record has no such mark.
    """
    column, opened, state = 0, first_line, "start"
    seen = 0
    for number, line in enumerate(lines, first_line):
        seen += len(line)
        if seen > FAULT_SEARCH_CHARACTERS:
            break
        for at, char in enumerate(line):
            if state == "quoted":
                state = "closing" if char == '"' else "quoted"
            elif state == "closing" and char == '"':
                state = "quoted"
            elif char == delimiter:
                column, state = column + 1, "start"
            elif char in "\r\n":
                return None
            elif state == "closing":
                after = line[at : at + 20].rstrip("\r\n")
                return QuoteFault(column, opened, number, after, escaped=line[at - 2 : at] == '\\"')
            elif state == "start" and char == '"':
                opened, state = number, "quoted"
            else:
                state = "plain"
    return QuoteFault(column, opened, opened, "") if state == "quoted" else None
