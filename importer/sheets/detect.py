"""Which format a file has: by its first bytes, which have to agree with its name.

A file under a wrong name is refused rather than read: somebody renamed it, or a report export calls a web
page `.xls`, and both mean that nobody has seen it as what it is.
"""

from __future__ import annotations

import enum
import re
import stat
import zipfile
import zlib
from pathlib import Path
from typing import Final

from importer.errors import SheetError
from importer.sheets.sheet import unreadable
from importer.sheets.zip_safety import damaged, open_archive, reason_of


class Kind(enum.Enum):
    """A format, by the way in which it is read."""

    TEXT = "delimited text"
    XLSX = "an Excel workbook"
    XLSB = "a binary Excel workbook (.xlsb)"
    ODS = "an OpenDocument spreadsheet (.ods)"
    XLS = "an old Excel workbook (.xls)"


HEAD_BYTES: Final = 4096
OLE_MAGIC: Final = bytes.fromhex("D0CF11E0A1B11AE1")
ZIP_MAGIC: Final = b"PK\x03\x04"
ZIP_EMPTY_MAGIC: Final = b"PK\x05\x06"
ENCRYPTED_STREAM: Final = "EncryptedPackage".encode("utf-16-le")
ENCRYPTED: Final = (
    "The workbook is encrypted with a password: one of your own, or the one that Excel has built in and does"
    " not ask for."
)
WORD_STREAM: Final = "WordDocument".encode("utf-16-le")
OLE_SEARCH_BYTES: Final = 256 << 20
BIFF_STARTS: Final = (
    b"\x09\x08\x10\x00",
    b"\x09\x08\x08\x00",
    b"\x09\x00\x04\x00",
    b"\x09\x02\x06\x00",
    b"\x09\x04\x06\x00",
)

LOCK_FILE_STARTS: Final = ("~$", ".~lock.")

OTHER_MAGICS: Final = (
    (b"%PDF", "a PDF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"PAR1", "a Parquet file"),
)

OTHER_ARCHIVES: Final = (
    ("word/", "a Word document"),
    ("ppt/", "a PowerPoint presentation"),
    ("Index/Document.iwa", "an Apple Numbers or Pages document"),
)

WITH_EXCEL: Final = "Open it in Excel and save it as .xlsx."
WITH_OFFICE: Final = "Open it in LibreOffice and save it as .xlsx."
EXPORT_AGAIN: Final = "Export the sheet as CSV or .xlsx from the program that it came from."
WEB_TAGS: Final = b"html|table|head|body|meta|style|div|center|font|title|script|p|br|span|b"
OTHER_TEXTS: Final = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), name, remedy)
    for pattern, name, remedy in (
        (
            rb"(?:[\w-]+: [^\n]{0,200}\r?\n.{0,2000}\bcontent-type:|mime-version:.{0,2000})\s*multipart/",
            "a web archive (MHT)",
            WITH_EXCEL,
        ),
        (rb"\{\\rtf", "an RTF document", "Copy its table into Excel and save it as .xlsx."),
        (rb"ID;P[^\r\n]*\r?\n(?:[BCFPOE]|NN|NU|W);", "a SYLK file (.slk)", WITH_EXCEL),
        (rb"TABLE\r?\n0,1\r?\n", "a DIF file", WITH_EXCEL),
        (rb"(?:<\?xml.*)?<[\w:]*workbook\b.*office:spreadsheet", "an XML spreadsheet of 2003", WITH_EXCEL),
        (rb"<\?xml.*(?:office:spreadsheet\"|excel\.sheet)", "an XML spreadsheet of 2003", WITH_EXCEL),
        (rb"(?:<\?xml.*)?<office:document\b", "a flat OpenDocument file (.fods)", WITH_OFFICE),
        (
            rb"(?:<\?xml[^>]*>\s*)?(?:<!--(?:[^-]|-(?!->))*-->\s*)*<(?:!doctype html|%s)\b" % WEB_TAGS,
            "a web page (HTML)",
            WITH_EXCEL,
        ),
        (rb"<\?xml", "an XML file", WITH_EXCEL),
        (rb"<!doctype|<([a-z_][\w:.-]*)[\s>].*</", "an XML file", WITH_EXCEL),
        (rb"\{\s*(?:\"|\})|\[\s*(?:[\[{\"]|\])", "a JSON file", EXPORT_AGAIN),
        (rb"BEGIN:V(?:CARD|CALENDAR)\b", "a list of contacts or dates (vCard, iCalendar)", EXPORT_AGAIN),
        (
            rb"(?:--[^\n]*\n\s*|/\*(?:[^*]|\*(?!/))*\*/;?\s*)*(?:CREATE TABLE|INSERT INTO|DROP TABLE)\b",
            "SQL commands",
            EXPORT_AGAIN,
        ),
    )
)
"""What else is text and often named as a sheet: how it begins, its name, the way out."""


BY_SUFFIX: Final = {
    ".csv": Kind.TEXT,
    ".tsv": Kind.TEXT,
    ".tab": Kind.TEXT,
    ".txt": Kind.TEXT,
    ".psv": Kind.TEXT,
    ".xlsx": Kind.XLSX,
    ".xlsm": Kind.XLSX,
    ".xlsb": Kind.XLSB,
    ".ods": Kind.ODS,
    ".xls": Kind.XLS,
}


def find_kind(path: Path) -> Kind:
    """The file's format. Raises SheetError for what is not a regular file, not a spreadsheet, or misnamed."""
    try:
        _check_regular(path)
        named = _named_kind(path)
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        kind = _kind_of(path, head, named)
    except OSError as error:
        raise unreadable(path, error) from error
    if kind is not named:
        raise SheetError(
            f"The name says {named.value}, but the contents are {kind.value}.",
            where=path.name,
            remedy="Save it again in the format that its name says, or, if you trust it, rename it to"
            f" {path.stem}{next(suffix for suffix, usual in BY_SUFFIX.items() if usual is kind)}.",
        )
    return kind


def _check_regular(path: Path) -> None:
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError
    if not stat.S_ISREG(mode):
        raise SheetError(
            "This is not a file but a device or a pipe.",
            where=str(path),
            remedy="Save the spreadsheet as a file first.",
        )


def _named_kind(path: Path) -> Kind:
    """What the name says. Beside an open workbook there is a mark, which a shell's completion may name."""
    start = next((mark for mark in LOCK_FILE_STARTS if path.name.startswith(mark)), None)
    if start is not None:
        raise SheetError(
            "This is the mark that a spreadsheet program leaves beside a file while it is open.",
            where=path.name,
            remedy=f"Name the file itself, {path.name.removeprefix(start).removesuffix('#')}.",
        )
    found = BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        ending = f'"{path.suffix}" is not the ending of a spreadsheet that can be read.'
        raise SheetError(
            ending if path.suffix else "The file's name has no ending.",
            where=path.name,
            remedy=f"Known are {', '.join(BY_SUFFIX)}.",
        )
    return found


def _kind_of(path: Path, head: bytes, named: Kind) -> Kind:
    if not head:
        raise SheetError("The file is empty.", where=path.name, remedy="Export the sheet again.")
    if head.startswith(OLE_MAGIC):
        return _kind_of_ole(path)
    if head.startswith((ZIP_MAGIC, ZIP_EMPTY_MAGIC)):
        return _kind_of_zip(path)
    if head.startswith(BIFF_STARTS):
        return Kind.XLS
    for magic, name in OTHER_MAGICS:
        if head.startswith(magic):
            raise _other(path, name, "Choose the exported sheet.")
    # Web pages, archives and data of other kinds, which many report exports name as spreadsheets.
    start = head.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    start = start.replace(b"\0", b"").lstrip()
    for pattern, name, remedy in OTHER_TEXTS:
        if pattern.match(start):
            raise _other(path, name, remedy, wanted=named.value)
    if named is not Kind.TEXT and b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SheetError(
            f"The contents are not {named.value}: the file is damaged, or of another kind.",
            where=path.name,
            remedy="Export the sheet again.",
        )
    return Kind.TEXT


def _other(path: Path, name: str, remedy: str, wanted: str = "a spreadsheet") -> SheetError:
    return SheetError(f"The contents are {name}, not {wanted}.", where=path.name, remedy=remedy)


def _kind_of_ole(path: Path) -> Kind:
    """Encrypted new workbooks and other documents share the old ones' container: its directory names them."""
    tail, left = b"", OLE_SEARCH_BYTES
    with path.open("rb") as stream:
        while left > 0 and (block := stream.read(1 << 20)):
            window = tail + block
            if ENCRYPTED_STREAM in window:
                raise SheetError(
                    ENCRYPTED,
                    where=path.name,
                    remedy="Open it in Excel and save it without a password (File, Info, Protect Workbook).",
                )
            if WORD_STREAM in window:
                raise _other(path, "a Word document", "Copy its table into Excel and save it as .xlsx.")
            tail, left = block[-len(ENCRYPTED_STREAM) :], left - len(block)
    return Kind.XLS


def _kind_of_zip(path: Path) -> Kind:
    """Which kind of workbook the archive is, once it is safe to unpack. Raises SheetError."""
    archive = open_archive(path)
    with archive:
        names = archive.namelist()
        lowered = [name.lower() for name in names]
        mimetype = b""
        if "mimetype" in lowered and archive.getinfo("mimetype").file_size < 200:
            try:
                mimetype = archive.read("mimetype")
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
                raise damaged(path, reason_of(error)) from error
        content = b""
        if "content.xml" in lowered and not mimetype:  # Google's exports have no mimetype
            with archive.open("content.xml") as stream:
                content = stream.read(HEAD_BYTES)
    if mimetype.startswith(b"application/vnd.oasis.opendocument.spreadsheet") or (
        b"opendocument:xmlns:office" in content and b"office:document-content" in content
    ):
        return Kind.ODS
    if "xl/workbook.bin" in lowered:
        return Kind.XLSB
    for start, name in OTHER_ARCHIVES:
        if any(member.startswith(start) for member in names):
            raise _other(path, name, "Export it as an Excel workbook.", wanted="a workbook")
    if "[content_types].xml" in lowered or any(name.startswith("xl/") for name in lowered):
        return Kind.XLSX
    raise _other(path, "a zip archive", "Unpack it first.", wanted="a workbook")
