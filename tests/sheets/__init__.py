"""Trap files: the committed ones beside this module, and builders for those better made than kept."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

HERE = Path(__file__).parent
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def trap(name: str) -> Path:
    """The committed trap file of that name."""
    path = HERE / name
    assert path.exists(), path
    return path


def sheet_xml(rows: str, *, before: str = "", after: str = "") -> str:
    """A worksheet's XML around `<row>` elements."""
    return f'<worksheet xmlns="{MAIN}">{before}<sheetData>{rows}</sheetData>{after}</worksheet>'


def text_rows(table: Sequence[Sequence[str]], first: int = 1) -> str:
    """Rows of inline texts."""
    rows = []
    for number, cells in enumerate(table, first):
        inner = "".join(
            f'<c r="{chr(65 + at)}{number}" t="inlineStr"><is>'
            f'<t xml:space="preserve">{escape(cell)}</t></is></c>'
            for at, cell in enumerate(cells)
        )
        rows.append(f'<row r="{number}">{inner}</row>')
    return "".join(rows)


def styles_xml(codes: Sequence[str | int]) -> str:
    """A style for each number format: a code, or the number of a built-in one."""
    own = "".join(
        f'<numFmt numFmtId="{200 + at}" formatCode={quoteattr(code)}/>'
        for at, code in enumerate(codes)
        if isinstance(code, str)
    )
    used = "".join(
        f'<xf numFmtId="{200 + at if isinstance(code, str) else code}"/>' for at, code in enumerate(codes)
    )
    return (
        f'<styleSheet xmlns="{MAIN}"><numFmts>{own}</numFmts><cellStyleXfs><xf numFmtId="9"/></cellStyleXfs>'
        f"<cellXfs>{used}</cellXfs></styleSheet>"
    )


def raw_workbook(
    path: Path,
    sheets: str | Mapping[str, str],
    *,
    codes: Sequence[str | int] = (0,),
    shared: str | None = None,
    states: Mapping[str, str] | None = None,
    properties: str = "",
    change: Callable[[dict[str, str]], None] | None = None,
) -> Path:
    """A workbook out of raw XML, as no library writes it; `change` may alter its parts."""
    if isinstance(sheets, str):
        sheets = {"Visits": sheets}
    entries, relations = "", ""
    parts: dict[str, str] = {}
    for at, (name, xml) in enumerate(sheets.items(), 1):
        state = (states or {}).get(name, "visible")
        entries += f'<sheet name={quoteattr(name)} sheetId="{at}" state="{state}" r:id="s{at}"/>'
        relations += (
            f'<Relationship Id="s{at}" Type="{RELATIONS}/worksheet" Target="worksheets/sheet{at}.xml"/>'
        )
        parts[f"xl/worksheets/sheet{at}.xml"] = xml
    relations += f'<Relationship Id="y" Type="{RELATIONS}/styles" Target="/xl/styles.xml"/>'
    parts["xl/styles.xml"] = styles_xml(codes)
    if shared is not None:
        relations += f'<Relationship Id="t" Type="{RELATIONS}/sharedStrings" Target="sharedStrings.xml"/>'
        parts["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{shared}</sst>'
    parts["[Content_Types].xml"] = (
        f'<Types xmlns="{PACKAGE}/content-types"><Override PartName="/xl/workbook.xml"'
        ' ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>'
    )
    parts["_rels/.rels"] = (
        f'<Relationships xmlns="{PACKAGE}/relationships">'
        f'<Relationship Id="w" Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    )
    parts["xl/workbook.xml"] = (
        f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><workbookPr {properties}/>'
        f"<sheets>{entries}</sheets></workbook>"
    )
    parts["xl/_rels/workbook.xml.rels"] = (
        f'<Relationships xmlns="{PACKAGE}/relationships">{relations}</Relationships>'
    )
    if change is not None:
        change(parts)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, xml in parts.items():
            archive.writestr(part, xml)
    return path


def inflate_member(
    path: Path, part: str, *, head: bytes = b"", unit: bytes, times: int, tail: bytes = b""
) -> Path:
    """Replace a part by `head + unit * times + tail`, packed without ever unpacking it here.

    The unit is compressed once and repeated: gigabytes in milliseconds. The checksum is right up to 100 MB
    (beyond, it is never reached).
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed_head = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    packed_unit = packer.compress(unit) + packer.flush(zlib.Z_FULL_FLUSH)
    packed_tail = packer.compress(tail) + packer.flush(zlib.Z_FINISH)
    with zipfile.ZipFile(path) as archive:
        others = {name: archive.read(name) for name in archive.namelist() if name != part}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in others.items():
            archive.writestr(name, content)
        archive.writestr(zipfile.ZipInfo(part), packed_head + packed_unit * times + packed_tail)
        member = archive.getinfo(part)
        member.compress_type = zipfile.ZIP_DEFLATED
        member.file_size = len(head) + len(unit) * times + len(tail)
        if member.file_size < 100_000_000:
            member.CRC = zlib.crc32(head)
            for _ in range(times):
                member.CRC = zlib.crc32(unit, member.CRC)
            member.CRC = zlib.crc32(tail, member.CRC)
    return path


def written_workbook(path: Path, table: Sequence[Sequence[Any]], *, sheet: str = "Visits") -> Path:
    """A workbook by xlsxwriter, every text as text; anything else as xlsxwriter takes it."""
    import xlsxwriter

    with xlsxwriter.Workbook(path) as book:
        tab = book.add_worksheet(sheet)
        for row, cells in enumerate(table):
            for column, cell in enumerate(cells):
                if isinstance(cell, str):
                    tab.write_string(row, column, cell)
                else:
                    tab.write(row, column, cell)
    return path


def old_workbook(
    path: Path,
    sheets: Mapping[str, Sequence[Sequence[Any]]],
    *,
    hidden: Sequence[str] = (),
    hidden_rows: Sequence[int] = (),
) -> Path:
    """An .xls workbook by xlwt. A cell may be a pair of value and number format; dates get one anyway.

    An exception stands for an error value, its code being its argument.
    """
    import datetime as dt

    import xlwt  # type: ignore[import-untyped]

    formats = {dt.date: "dd/mm/yyyy", dt.datetime: "dd/mm/yyyy hh:mm", dt.time: "hh:mm"}
    styles: dict[str, Any] = {}
    book = xlwt.Workbook()
    for name, table in sheets.items():
        tab = book.add_sheet(name)
        tab.visibility = int(name in hidden)
        for row, cells in enumerate(table):
            for column, cell in enumerate(cells):
                value, code = cell if isinstance(cell, tuple) else (cell, formats.get(type(cell), "General"))
                if isinstance(value, Exception):
                    tab.row(row).set_cell_error(column, value.args[0])
                elif value is not None:
                    style = styles.setdefault(code, xlwt.easyxf(num_format_str=code))
                    tab.write(row, column, value, style)
            tab.row(row).hidden = row + 1 in hidden_rows
    book.save(str(path))
    return path


def open_document(
    path: Path,
    rows: str,
    *,
    name: str = "Visits",
    styles: str = "",
    mimetype: bool = True,
    manifest: str = "",
) -> Path:
    """An .ods workbook around `<table:table-row>` elements. manifest: more entries of it."""
    spaces = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
        for short, long in (
            ("office", "office"),
            ("table", "table"),
            ("text", "text"),
            ("calcext", "calcext"),
            ("style", "style"),
            ("number", "datastyle"),
        )
    )
    content = (
        f"<office:document-content {spaces}><office:automatic-styles>{styles}</office:automatic-styles>"
        f"<office:body><office:spreadsheet>"
        f'<table:table table:name="{name}">'
        f"{rows}</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    listed = (
        '<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
        '<m:file-entry m:full-path="/" m:media-type="application/vnd.oasis.opendocument.spreadsheet"/>'
        f"{manifest}</m:manifest>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if mimetype:
            archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet", zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", listed)
        archive.writestr("content.xml", content)
    return path


def binary_workbook(
    path: Path,
    table: Sequence[Sequence[str | float | Exception | tuple[float, int] | tuple[float, int, int]]],
    *,
    first_row: int = 0,
    hidden_rows: Sequence[int] = (),
    codes: Sequence[str] = (),
    range_to: tuple[int, int] | None = None,
    merges: Sequence[tuple[int, int, int, int]] = (),
) -> Path:
    """An .xlsb workbook of one sheet, record by record ([MS-XLSB]); nothing at hand writes that format.

    A number may be a pair with its style, an index of `codes`, and have the kind of its record behind that.
    range_to: the last row and column of the range that the sheet says it has. merges: first and last row,
    first and last column, from 0.
    """

    def record(kind: int, content: bytes = b"") -> bytes:
        head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
        size = len(content)
        return head + bytes([size & 0x7F | 0x80, size >> 7]) + content

    def wide(text: str) -> bytes:
        return struct.pack("<L", len(text)) + text.encode("utf-16-le")

    cells = b""
    for row, values in enumerate(table, first_row):
        cells += record(0, struct.pack("<LLHHBL", row, 0, 300, 0x1000 * (row + 1 in hidden_rows), 0, 0))
        for column, value in enumerate(values):
            place = struct.pack("<LL", column, 0)
            if isinstance(value, str):
                cells += record(6, place + wide(value))
            elif isinstance(value, Exception):
                cells += record(3, place + bytes(value.args))
            elif isinstance(value, tuple):
                kind = value[2] if len(value) > 2 else 5
                cells += record(kind, struct.pack("<LLd", column, value[1], value[0]))
            else:
                cells += record(5, place + struct.pack("<d", value))
    last = range_to or (first_row + len(table) - 1, max(map(len, table)) - 1)
    sheet = (
        record(129)
        + record(148, struct.pack("<4L", first_row, last[0], 0, last[1]))
        + record(145)
        + cells
        + record(146)
        + b"".join(record(176, struct.pack("<4L", *merge)) for merge in merges)
        + record(130)
    )
    bundle = struct.pack("<LL", 0, 1) + wide("s1") + wide("Visits")
    book = record(131) + record(143) + record(156, bundle) + record(144) + record(132)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", f'<Types xmlns="{PACKAGE}/content-types"/>')
        archive.writestr("xl/workbook.bin", book)
        archive.writestr(
            "xl/_rels/workbook.bin.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships">'
            f'<Relationship Id="s1" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.bin"/>'
            "</Relationships>",
        )
        archive.writestr("xl/worksheets/sheet1.bin", sheet)
        if codes:
            formats = b"".join(
                record(44, struct.pack("<H", 164 + at) + wide(code)) for at, code in enumerate(codes)
            )
            used = b"".join(
                record(47, struct.pack("<HH", 0, 164 + at) + bytes(12)) for at in range(len(codes))
            )
            archive.writestr("xl/styles.bin", formats + record(617, bytes(4)) + used + record(618))
    return path
