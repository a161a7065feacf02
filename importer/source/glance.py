"""What a worksheet's unparsed XML tells at a glance: hidden rows, merged cells, anything at all.

A raw search runs at the speed of unpacking, ten times that of parsing, so that whole sheets can be searched
before the first row is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from importer.source.worksheet import column_index

TAIL_MAX_BYTES: Final = 4096
HEADER_MERGES_MAX: Final = 20_000
EXAMPLES_MAX: Final = 3

HIDDEN_ROW: Final = re.compile(rb"<(?:\w+:)?row\s[^<>]*?\bhidden\s*=\s*[\"'](?:1|true)[\"']")
MERGE: Final = re.compile(
    rb"<(?:\w+:)?mergeCell\s[^<>]*?\bref\s*=\s*[\"']([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})[\"'][^<>]*>"
)
CONTENT: Final = re.compile(rb"<(?:\w+:)?[vt](?:\s[^<>]*)?>[^<]")
UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Merge:
    """A merged range; its text stands in the first column of the first row. Column indexes, row numbers."""

    first_column: int
    first_row: int
    last_column: int
    last_row: int


@dataclass(slots=True)
class Glance:
    """hidden: some row may be hidden. header_merges: those that touch the header's row. merged_below: how
    many ranges below it span several rows or columns, `examples` the first of them as Excel writes them."""

    hidden: bool
    header_merges: list[Merge]
    merged_below: int
    examples: list[str]


def glance_at(blocks: Iterable[bytes], header_row: int) -> Glance:
    """Search all of a worksheet's XML."""
    found = Glance(hidden=False, header_merges=[], merged_below=0, examples=[])
    tail = b""
    for block in blocks:
        window = tail + block
        if not found.hidden and b"hidden" in window:
            found.hidden = HIDDEN_ROW.search(window) is not None
        searched = 0
        if b"mergeCell" in window:
            for match in MERGE.finditer(window):
                _note_merge(found, match, header_row)
                searched = match.end()
        if not tail and block.startswith(UTF16_MARKS):
            found.hidden = True  # nothing can be found in it this way: have the rows counted
        tail = _tail(window, searched)
    return found


def _note_merge(found: Glance, match: re.Match[bytes], header_row: int) -> None:
    letters, first_row, last_letters, last_row = (group.decode("ascii") for group in match.groups())
    merge = Merge(column_index(letters), int(first_row), column_index(last_letters), int(last_row))
    if merge.first_row <= header_row <= merge.last_row:
        if len(found.header_merges) < HEADER_MERGES_MAX:
            found.header_merges.append(merge)
    elif merge.first_row > header_row:
        found.merged_below += 1
        if len(found.examples) < EXAMPLES_MAX:
            found.examples.append(f"{letters}{first_row}:{last_letters}{last_row}")


def has_content(block: bytes, following: Iterable[bytes]) -> bool:
    """Whether any cell of a worksheet holds a value after the last complete row in `block`."""
    row = max(block.rfind(b"<row"), block.rfind(b":row "))
    window = block[row if row >= 0 else max(0, block.rfind(b"row>")) :]
    for more in following:
        if CONTENT.search(window):
            return True
        window = _tail(window, 0) + more
    return CONTENT.search(window) is not None


def _tail(window: bytes, searched: int) -> bytes:
    """The tag that the window breaks off in, to be searched with what follows it."""
    return window[max(searched, window.rfind(b"<")) :][:TAIL_MAX_BYTES]
