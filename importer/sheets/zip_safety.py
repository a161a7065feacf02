"""What a zip archive's directory shows before anything in it is unpacked.

Honest workbooks pack 8 to 13 to 1, bombs 400 to 1,000 to 1 (measured). A directory that lies about a
size is caught later: `zipfile` unpacks no more than it says, and the checksum then fails.
"""

from __future__ import annotations

import struct
import zipfile
from collections import Counter
from pathlib import Path
from typing import IO, Final

from importer.errors import SheetError
from importer.text import quoted

DIRECTORY_MAX_BYTES: Final = 4 << 20
MEMBERS_MAX: Final = 10_000
RATIO_FREE_BYTES: Final = 64 << 20
TEXTS_FREE_BYTES: Final = 8 << 20
"""The same for shared texts, which have all to be read before the first row."""

RATIO_MAX: Final = 100
UNPACKED_MAX_BYTES: Final = 2 << 30

END_RECORD: Final = b"PK\x05\x06"
END_SEARCH_BYTES: Final = 22 + 0xFFFF
ZIP64_LOCATOR: Final = b"PK\x06\x07"
ENCRYPTED_FLAG: Final = 0x1


class Archive(zipfile.ZipFile):
    """A workbook's archive: its parts are found as Excel finds them, by names without regard to case, and
    with
    the separators of Windows, too."""

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
    at = tail.rfind(END_RECORD)
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
