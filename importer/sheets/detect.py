"""Which format a file has: by its first bytes, which have to agree with its name.

A file under a wrong name is refused rather than read: somebody renamed it, or a report export calls a web
page `.xls`, and both mean that nobody has seen it as what it is.

Of an archive the directory is looked at before anything in it is unpacked. Honest workbooks pack 8 to 13 to
1, bombs 400 to 1,000 to 1 (measured). A directory that lies about a size is caught later: `zipfile` unpacks
no more than it says, and the checksum then fails.
"""

from __future__ import annotations

import enum
import re
import stat
import struct
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import IO, Final

from importer.errors import SheetError
from importer.sheets.sheet import unreadable
from importer.text import quoted


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
"""The record at the end of every archive; an empty one is nothing else."""
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


# ---- archives ---------------------------------------------------------------------------------------

DIRECTORY_MAX_BYTES: Final = 4 << 20
MEMBERS_MAX: Final = 10_000
RATIO_FREE_BYTES: Final = 64 << 20
TEXTS_FREE_BYTES: Final = 8 << 20
"""The same for shared texts, which have all to be read before the first row."""

RATIO_MAX: Final = 100
UNPACKED_MAX_BYTES: Final = 2 << 30

END_SEARCH_BYTES: Final = 22 + 0xFFFF
ZIP64_LOCATOR: Final = b"PK\x06\x07"
ENCRYPTED_FLAG: Final = 0x1


class Archive(zipfile.ZipFile):
    """A workbook's archive: its parts are found as Excel finds them, by names without regard to case, and
    with the separators of Windows, too."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        super().__init__(file)
        self._parts: dict[str, zipfile.ZipInfo] = {}
        for info in self.infolist():
            info.filename = info.filename.replace("\\", "/")
            self._parts.setdefault(info.filename.lower(), info)

    def getinfo(self, name: str) -> zipfile.ZipInfo:
        """Raises KeyError if there is no such part."""
        found = self._parts.get(name.replace("\\", "/").lower())
        if found is None:
            raise KeyError(f"there is no part {name[:60]!r} in the archive")
        return found


def open_archive(path: Path) -> Archive:
    """The archive, its directory checked. Raises SheetError; OSError comes from the disk."""
    with path.open("rb") as stream:
        _check_directory_size(path, stream)
    try:
        archive = Archive(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError) as error:
        raise damaged(path, reason_of(error)) from error
    try:
        _check_members(path, archive.infolist())
    except BaseException:
        archive.close()
        raise
    return archive


def reason_of(error: Exception) -> str:
    """What is wrong with an archive, in words for people; `zipfile` and `zlib` speak to programmers."""
    if isinstance(error, KeyError):
        return str(error.args[0])
    if isinstance(error, zipfile.BadZipFile) and "CRC" in str(error):
        return "its contents do not fit their checksum"
    if isinstance(error, NotImplementedError):
        return "it is packed in a way that is not known"
    return "what is packed in it cannot be unpacked"


def damaged(path: Path, reason: str) -> SheetError:
    """The error of a file that breaks off or does not fit its own checksums."""
    return SheetError(
        f"The workbook is damaged or incomplete ({reason or 'it cannot be unpacked'}).",
        where=path.name,
        remedy="Copy or download it again, or open it in Excel and save it under another name.",
    )


def _check_directory_size(path: Path, stream: IO[bytes]) -> None:
    """Refuse an endless directory before `zipfile` makes an object of each entry."""
    size = stream.seek(0, 2)
    start = max(0, size - END_SEARCH_BYTES)
    stream.seek(start)
    tail = stream.read()
    at = tail.rfind(ZIP_EMPTY_MAGIC)
    if at < 0 or len(tail) - at < 22:
        raise damaged(path, "its end is missing")
    (directory_bytes,) = struct.unpack_from("<L", tail, at + 12)
    if at >= 20 and tail[at - 20 : at - 16] == ZIP64_LOCATOR:
        (end64_at,) = struct.unpack_from("<Q", tail, at - 12)
        stream.seek(min(end64_at, size))
        end64 = stream.read(56)
        if len(end64) < 56:
            raise damaged(path, "its end is missing")
        (directory_bytes,) = struct.unpack_from("<Q", end64, 40)
    if directory_bytes > DIRECTORY_MAX_BYTES:
        raise _hostile(path, "has a table of contents far longer than any workbook's")


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    if len(members) > MEMBERS_MAX:
        raise _hostile(path, f"holds {len(members):,} parts")
    total_bytes = 0
    names = Counter(member.filename.lower() for member in members)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise SheetError(
            f"The file holds two parts of one name, {quoted(twice)}: programs differ in which one they read.",
            where=path.name,
            remedy="Open it in Excel and save it under another name, or do not trust it.",
        )
    for member in members:
        if member.flag_bits & ENCRYPTED_FLAG:
            raise SheetError(
                "The file is encrypted.", where=path.name, remedy="Save it without a password and try again."
            )
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _hostile(path, f"packs its part {member.filename[:60]!r} as no spreadsheet program does")
        packed_bytes = max(1, member.compress_size)
        is_texts = member.filename.lower().endswith("sharedstrings.xml")
        free_bytes = TEXTS_FREE_BYTES if is_texts else RATIO_FREE_BYTES
        if member.file_size > free_bytes and member.file_size > RATIO_MAX * packed_bytes:
            times = member.file_size // packed_bytes
            raise _hostile(
                path, f"has a part that unpacks to {times:,} times its size ({_gb(member.file_size)})"
            )
        total_bytes += member.file_size
    if total_bytes > UNPACKED_MAX_BYTES:
        raise _hostile(path, f"unpacks to {_gb(total_bytes)}")


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"


def _hostile(path: Path, what: str) -> SheetError:
    return SheetError(
        f"The file {what}: it is refused, since opening it could exhaust this computer.",
        where=path.name,
        remedy="If it is an honest sheet, open it in Excel and save it again, or save it as CSV UTF-8.",
    )
