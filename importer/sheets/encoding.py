"""Which encoding a text file has: what its first bytes or a person say, else UTF-8, never a guess.

Guessing from the bytes is unsafe: of two popular detectors one read `Lefèvre` in cp1252 as `Lefčvre`,
and short files as UTF-16. So a file that is not UTF-8 is a question, asked with the doubtful line.
"""

from __future__ import annotations

import codecs
import difflib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from importer.errors import SheetError
from importer.text import shown

BLOCK_BYTES: Final = 1 << 20
LINE_MAX_CHARACTERS: Final = 4 << 20
SHOWN_BEFORE: Final = 40
SHOWN_AFTER: Final = 40

BYTE_ORDER_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-32 first: its little-endian mark begins with that of UTF-16."""

NOT_FOR_FILES: Final = frozenset(
    ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7")
)
"""Codecs that Python counts as text encodings, but that rewrite what stands in the file."""

COMMON: Final = (
    "utf-8",
    "utf-16",
    "cp1252",
    "cp1250",
    "cp1251",
    "iso-8859-1",
    "iso-8859-15",
    "shift_jis",
    "gb18030",
)


class UnknownEncodingError(SheetError):
    """The file is not UTF-8 and does not say what it is: a person has to name the encoding."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """codec: decodes the bytes after the first `skip_bytes`, the byte order mark. announced: by a person."""

    codec: str
    skip_bytes: int = 0
    announced: bool = False


def find_encoding(path: Path, announced: str | None) -> tuple[Encoding, str | None]:
    """The file's encoding, and a warning where a byte order mark overrules what was announced.

    Raises SheetError for an unknown encoding, OSError if the file cannot be read.
    """
    codec = None if announced is None else known_codec(announced, path)
    with path.open("rb") as stream:
        head = stream.read(4)
    for mark, name in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            warning = None
            if codec is not None and not name.startswith(codec.removesuffix("-sig")):
                warning = (
                    f"The file begins with the mark of {shown_name(name)}"
                    f" and is read as that, not as {announced}."
                )
            return Encoding(name, len(mark)), warning
    if codec is None:
        return Encoding("utf-8"), None
    if codec in ("utf-16", "utf-32"):
        codec += "-le"  # no byte order mark: as on the machines that write such files
    return Encoding(codec, announced=True), None


def shown_name(codec: str) -> str:
    """The encoding as people call it."""
    return codec.upper().removesuffix("-LE").removesuffix("-BE") if codec.startswith("utf") else codec


def known_codec(name: str, path: Path) -> str:
    """Python's name of the encoding. Raises SheetError, with the nearest known name."""
    try:
        found = codecs.lookup(name.strip())
        io.TextIOWrapper(io.BytesIO(), found.name)  # refuses codecs that make no text: base64, rot13
    except (LookupError, ValueError):
        found = None
    if found is None or found.name.replace("_", "-") in NOT_FOR_FILES:
        near = difflib.get_close_matches(name.lower(), COMMON, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Common ones are {', '.join(COMMON[:5])}."
        raise SheetError(f'"{name}" is no known text encoding.', where=path.name, remedy=hint)
    return found.name


def check_text(path: Path, encoding: Encoding) -> list[str]:
    """Read the whole file once, before any row is used: it decodes, no line is endless, there is no NUL.

    Returns warnings. Raises UnknownEncodingError or SheetError with line and column, OSError from the disk.
    """
    rival = codecs.getincrementaldecoder("utf-8")() if _could_be_utf8(encoding) else None
    foreign = False
    open_line = 0
    for block, text in _decoded(path, encoding):
        if "\0" in text:
            raise _nul_error(path, encoding)
        open_line = _check_lines(path, text, open_line)
        if rival is not None:
            try:
                foreign = not rival.decode(block, final=not block).isascii() or foreign
            except UnicodeDecodeError:
                rival = None
    if rival is not None and foreign:
        warning = (
            f"The file is read as {encoding.codec}, as told, but it is also correct UTF-8: if letters with"
            " accents look wrong below, leave the encoding out."
        )
        return [warning]
    return []


def _could_be_utf8(encoding: Encoding) -> bool:
    return encoding.announced and not encoding.codec.startswith("utf")


def _decoded(path: Path, encoding: Encoding) -> Iterator[tuple[bytes, str]]:
    decoder = codecs.getincrementaldecoder(encoding.codec)()
    position = encoding.skip_bytes
    with path.open("rb") as stream:
        stream.seek(position)
        while True:
            block = stream.read(BLOCK_BYTES)
            position += len(block)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                bad = position - len(error.object) + error.start
                raise _decode_error(path, encoding, bad) from error
            yield block, text
            if not block:
                return


def _check_lines(path: Path, text: str, open_line: int) -> int:
    """The length of the line that `text` leaves open; `open_line` is what the text before left open."""
    first = min((at for at in (text.find("\n"), text.find("\r")) if at >= 0), default=len(text))
    if open_line + first > LINE_MAX_CHARACTERS:
        raise SheetError(
            f"The file has a line of more than {LINE_MAX_CHARACTERS:,} characters: no table has that.",
            where=path.name,
            remedy="Export the sheet again from the program it came from.",
        )
    if first == len(text):
        return open_line + first
    return len(text) - 1 - max(text.rfind("\n"), text.rfind("\r"))


@dataclass(frozen=True, slots=True)
class _Spot:
    """Line and column (from 1) of a byte, and the line around it as another encoding would read it."""

    line: int
    column: int
    shown: str


def _spot(path: Path, encoding: Encoding, offset: int, shown_as: str) -> _Spot:
    """Where the byte at `offset` is."""
    decoder = codecs.getincrementaldecoder(encoding.codec)("replace")
    line, tail = 1, ""
    with path.open("rb") as stream:
        stream.seek(encoding.skip_bytes)
        left = offset - encoding.skip_bytes
        while left > 0 and (block := stream.read(min(BLOCK_BYTES, left))):
            left -= len(block)
            text = tail + decoder.decode(block)
            breaks = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            line, tail = line + len(breaks) - 1, breaks[-1]
        stream.seek(max(encoding.skip_bytes, offset - 4 * SHOWN_BEFORE))
        around = stream.read(offset - stream.tell()), stream.read(4 * SHOWN_AFTER)
    before, after = (part.decode(shown_as, "replace") for part in around)
    before = before.replace("\r", "\n").rpartition("\n")[2][-SHOWN_BEFORE:]
    after = after.replace("\r", "\n").partition("\n")[0][:SHOWN_AFTER]
    return _Spot(line, len(tail) + 1, shown(before + after))


def _decode_error(path: Path, encoding: Encoding, offset: int) -> SheetError:
    if encoding.codec == "utf-8" and _holds_nul(path):
        return _nul_error(path, encoding)
    if encoding.announced or encoding.skip_bytes or encoding.codec != "utf-8":
        spot = _spot(path, encoding, offset, encoding.codec)
        why = "as told" if encoding.announced else "as its first bytes say"
        return SheetError(
            f'The file is not {shown_name(encoding.codec)}, {why}: this line cannot be read: "{spot.shown}".',
            where=f"{path.name}, line {spot.line}, character {spot.column}",
            remedy="Name the right encoding with --encoding (or `encoding:` in the mapping),"
            " or save the sheet again as CSV UTF-8.",
        )
    spot = _spot(path, encoding, offset, "cp1252")
    return UnknownEncodingError(
        "The file is not UTF-8, and nothing in it says which encoding it has."
        f' Read as cp1252 this line is "{spot.shown}".',
        where=f"{path.name}, line {spot.line}, character {spot.column}",
        remedy="If that looks right, say --encoding cp1252 (or `encoding: cp1252` in the mapping);"
        " else name the right one, or save the sheet as CSV UTF-8.",
    )


def _holds_nul(path: Path) -> bool:
    with path.open("rb") as stream:
        return b"\0" in stream.read(4096)


def _nul_error(path: Path, encoding: Encoding) -> SheetError:
    with path.open("rb") as stream:
        stream.seek(encoding.skip_bytes)
        head = stream.read(4096)
        even, odd = head[::2].count(0), head[1::2].count(0)
        offset = encoding.skip_bytes + head.find(0)
    if encoding.codec == "utf-8" and max(even, odd) > len(head) // 8:
        name = "utf-16-le" if odd > even else "utf-16-be"
        remedy = f"It looks like UTF-16 without a byte order mark: try --encoding {name}."
    else:
        remedy = "Export the sheet again; it may be no text file, or a damaged one."
    where = path.name
    if head.find(0) >= 0 and encoding.codec == "utf-8":
        spot = _spot(path, encoding, offset, "cp1252")
        where += f", line {spot.line}, character {spot.column}"
    return SheetError("The file holds a NUL character, which no text does.", where=where, remedy=remedy)
