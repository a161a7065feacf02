"""Error values and hidden rows of .xls and .xlsb sheets, straight from their records.

calamine gives an error cell as an empty one, and knows nothing of hidden rows. Both stand in the files' own
records ([MS-XLS] BoolErr, Formula and Row; [MS-XLSB] BrtCellError, BrtFmlaError and BrtRowHdr), which are
walked here without looking at anything else.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from openpyxl.packaging.relationship import get_dependents

from importer.sheets.detect import OLE_MAGIC
from importer.sheets.marks import Marks
from importer.sheets.zip_safety import open_archive

ERROR_TEXTS: Final = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}
OLE_END: Final = 0xFFFFFFFA
"""Sector numbers from here on are marks, not sectors."""

SHORT_SECTOR_BYTES: Final = 64

Record = tuple[int, bytes]


def marks_of_xls(path: Path, sheet: str) -> Marks:
    """The marks of that sheet of an .xls file. Raises ValueError, LookupError or struct.error."""
    stream = _workbook_stream(path.read_bytes())
    for kind, content in _xls_records(stream, 0):
        if kind == 0x85:  # BoundSheet8
            (start,) = struct.unpack_from("<L", content)
            length, wide = content[6], content[7] & 1
            name = content[8 : 8 + length * (1 + wide)].decode("utf-16-le" if wide else "latin-1")
            if name == sheet:
                return _marks_of_xls_sheet(_xls_records(stream, start))
    raise ValueError(f"no sheet {sheet}")


def _marks_of_xls_sheet(records: Iterator[Record]) -> Marks:
    marks = Marks()
    depth = 0
    for kind, content in records:
        if kind == 0x809:  # BOF; a chart inside the sheet has its own
            depth += 1
        elif kind == 0x0A:
            depth -= 1
            if depth <= 0:
                break
        elif depth > 1:
            continue
        elif kind == 0x205 and content[7]:
            marks.errors[struct.unpack_from("<HH", content)] = _error_text(content[6])
        elif kind == 0x06 and content[12:14] == b"\xff\xff" and content[6] == 2:
            marks.errors[struct.unpack_from("<HH", content)] = _error_text(content[8])
        elif kind == 0x208 and content[12] & 0x20:
            marks.hidden.add(struct.unpack_from("<H", content)[0])
    return marks


def _xls_records(stream: bytes, at: int) -> Iterator[Record]:
    while at + 4 <= len(stream):
        kind, length = struct.unpack_from("<HH", stream, at)
        yield kind, stream[at + 4 : at + 4 + length]
        at += 4 + length


def _workbook_stream(raw: bytes) -> bytes:
    """The stream "Workbook" of an OLE container ([MS-CFB]); a bare stream of before 1995 is itself."""
    if not raw.startswith(OLE_MAGIC):
        return raw
    sector_bytes = 1 << struct.unpack_from("<H", raw, 30)[0]
    if sector_bytes not in (512, 4096):
        raise ValueError("sector size")
    first_directory, _, short_below, first_short = struct.unpack_from("<4L", raw, 48)
    links = _links(raw, sector_bytes)
    directory = _joined(raw, links, first_directory, sector_bytes, 1)
    entries = [directory[at : at + 128] for at in range(0, len(directory) - 127, 128)]
    for entry in entries:
        name = entry[: max(0, struct.unpack_from("<H", entry, 64)[0] - 2)].decode("utf-16-le", "replace")
        if name in ("Workbook", "Book"):
            first, size = struct.unpack_from("<LL", entry, 116)
            if size >= short_below:
                return _joined(raw, links, first, sector_bytes, 1)[:size]
            (first_of_shorts,) = struct.unpack_from("<L", entries[0], 116)
            shorts = _joined(raw, links, first_of_shorts, sector_bytes, 1)
            short_links = _numbers(_joined(raw, links, first_short, sector_bytes, 1))
            return _joined(shorts, short_links, first, SHORT_SECTOR_BYTES, 0)[:size]
    raise ValueError("no workbook")


def _links(raw: bytes, sector_bytes: int) -> Sequence[int]:
    """Which sector follows each sector: the table whose own sectors the container's head lists."""
    listed = list(struct.unpack_from("<109L", raw, 76))
    (more,) = struct.unpack_from("<L", raw, 68)
    for _ in range(len(raw) // sector_bytes):
        if more >= OLE_END:
            break
        start = (more + 1) * sector_bytes
        *numbers, more = _numbers(raw[start : start + sector_bytes])
        listed += numbers
    links: list[int] = []
    for number in listed:
        if number < OLE_END:
            start = (number + 1) * sector_bytes
            links += _numbers(raw[start : start + sector_bytes])
    return links


def _numbers(raw: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(raw) // 4}L", raw[: len(raw) // 4 * 4])


def _joined(raw: bytes, links: Sequence[int], first: int, sector_bytes: int, offset: int) -> bytes:
    """A chain of sectors in one piece; `offset` is the number of sectors that the head takes."""
    pieces: list[bytes] = []
    number = first
    while number < OLE_END:
        if len(pieces) > len(links):
            raise ValueError("a chain of sectors without end")
        start = (number + offset) * sector_bytes
        pieces.append(raw[start : start + sector_bytes])
        number = links[number] if number < len(links) else OLE_END
    return b"".join(pieces)


def marks_of_xlsb(path: Path, sheet: str) -> Marks:
    """The marks of that sheet of an .xlsb file. Raises ValueError, LookupError or struct.error."""
    with open_archive(path) as archive:
        names = {name.lower(): name for name in archive.namelist()}
        relations = get_dependents(archive, names["xl/_rels/workbook.bin.rels"]).to_dict()
        for kind, content in _xlsb_records(archive.read(names["xl/workbook.bin"])):
            if kind == 156:  # BrtBundleSh
                relation, at = _wide_text(content, 8)
                name, _ = _wide_text(content, at)
                if name == sheet and relation in relations:
                    part = relations[relation].target
                    return _marks_of_xlsb_sheet(archive.read(names.get(part.lower(), part)))
    raise ValueError(f"no sheet {sheet}")


def _marks_of_xlsb_sheet(raw: bytes) -> Marks:
    marks = Marks()
    row = 0
    for kind, content in _xlsb_records(raw):
        if kind == 0:  # BrtRowHdr
            (row,) = struct.unpack_from("<L", content)
            if content[11] & 0x10:
                marks.hidden.add(row)
        elif kind in (3, 11):
            marks.errors[row, struct.unpack_from("<L", content)[0]] = _error_text(content[8])
    return marks


def _xlsb_records(raw: bytes) -> Iterator[Record]:
    at = 0
    while at < len(raw):
        kind = raw[at]
        at += 1
        if kind & 0x80:
            kind, at = kind & 0x7F | (raw[at] & 0x7F) << 7, at + 1
        length = shift = 0
        for _ in range(4):
            byte, at = raw[at], at + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        yield kind, raw[at : at + length]
        at += length


def _wide_text(content: bytes, at: int) -> tuple[str, int]:
    (length,) = struct.unpack_from("<L", content, at)
    end = at + 4 + 2 * length
    return content[at + 4 : end].decode("utf-16-le"), end


def _error_text(code: int) -> str:
    return ERROR_TEXTS.get(code, "#ERROR!")
