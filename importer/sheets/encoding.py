"""Which encoding a text file has: what its first bytes or a person say, else UTF-8, never a guess.

Guessing from the bytes is unsafe: of two popular detectors one read `Lefèvre` in cp1252 as `Lefčvre`,
and short files as UTF-16. So a file that is not UTF-8 is a question, asked with the doubtful line.
"""

from __future__ import annotations

import codecs
import difflib
import io
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from importer.errors import SheetError
from importer.text import shown

TEXT_BLOCK_BYTES: Final = 1 << 20
LINE_MAX_CHARACTERS: Final = 4 << 20
SHOWN_BEFORE: Final = 40
SHOWN_AFTER: Final = 40
EDGE_BYTES: Final = 4096

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
"""Codecs that Python counts as text encodings, but that rewrite the contents of a file."""

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
    """The file is not UTF-8 and has no mark of another encoding: a person has to name the encoding."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """codec: decodes the bytes after the first `skip_bytes`, the byte order mark. announced: by a person.
    end_bytes: where the text ends, if an end-of-file mark of DOS (Ctrl-Z) comes before the file's end."""

    codec: str
    skip_bytes: int = 0
    announced: bool = False
    end_bytes: int | None = None

    def open(self, path: Path) -> io.TextIOWrapper:
        """The file's text, line ends as they are. Raises OSError."""
        return io.TextIOWrapper(self.open_bytes(path), encoding=self.codec, errors="strict", newline="")

    def open_bytes(self, path: Path) -> io.BufferedReader:
        """The bytes of that text. Raises OSError."""
        stream: io.BufferedReader = io.BufferedReader(_FirstBytes(path, self.end_bytes))
        stream.seek(self.skip_bytes)
        return stream


class _FirstBytes(io.FileIO):
    """The first bytes of a file, as if there were no others."""

    def __init__(self, path: Path, end_bytes: int | None) -> None:
        super().__init__(path)
        self._end_bytes = sys.maxsize if end_bytes is None else end_bytes

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - any writable buffer
        return super().readinto(memoryview(buffer)[: max(0, self._end_bytes - self.tell())])


@dataclass(slots=True)
class TextFacts:
    """What a reading of the whole text showed. holds: which of the texts that were looked for are in it.
    mixed_ends: there are line ends of several kinds, perhaps inside of cells."""

    warnings: list[str] = field(default_factory=list)
    holds: set[str] = field(default_factory=set)
    mixed_ends: bool = False


def find_encoding(path: Path, announced: str | None) -> tuple[Encoding, str | None]:
    """The file's encoding, and a warning where a byte order mark overrules what was announced.

    Raises SheetError for an unknown encoding, OSError if the file cannot be read.
    """
    codec = None if announced is None else known_codec(announced, path)
    with path.open("rb") as stream:
        head = stream.read(64)
    for mark, name in BYTE_ORDER_MARKS:
        if head.startswith(mark):
            skip_bytes = len(mark)
            while head.startswith(mark, skip_bytes):  # a tool put one before a text that had one
                skip_bytes += len(mark)
            warning = None
            if codec is not None and not name.startswith(codec.removesuffix("-sig")):
                warning = (
                    f"The file begins with the mark of {shown_name(name)} and is read as that, not as"
                    f" {announced}."
                )
            return Encoding(name, skip_bytes, end_bytes=_end_bytes(path, name)), warning
    if codec is None:
        return Encoding("utf-8", end_bytes=_end_bytes(path, "utf-8")), None
    if codec in ("utf-16", "utf-32"):
        codec += "-le"  # no byte order mark: as on the machines that write such files
    return Encoding(codec, announced=True, end_bytes=_end_bytes(path, codec)), None


def _end_bytes(path: Path, codec: str) -> int | None:
    """Where the DOS end-of-file mark is (FoxPro, Tally and mainframes write one, or pad with it)."""
    if codec.startswith(("utf-16", "utf-32")):
        return None
    with path.open("rb") as stream:
        size_bytes = stream.seek(0, io.SEEK_END)
        stream.seek(max(0, size_bytes - EDGE_BYTES))
        tail = stream.read()
    text = tail.rstrip(b"\x1a\r\n")
    at = tail.find(b"\x1a", len(text))
    if at < 0 or (at and tail.endswith((b"\r", b"\n")) and tail[at - 1 : at] not in (b"\r", b"\n")):
        return None  # there is none, or it is part of a last cell
    return size_bytes - len(tail) + at


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
        raise SheetError(f'"{name}" is not a known text encoding.', where=path.name, remedy=hint)
    return found.name


def check_text(path: Path, encoding: Encoding, marks: Collection[str] = ()) -> TextFacts:
    """Read the whole file once, before any row is used: it decodes, no line is endless, there is no NUL.

    marks: texts of two characters that are looked for. Raises UnknownEncodingError or SheetError with line
    and column, OSError from the disk.
    """
    facts = TextFacts()
    could_be_utf8 = encoding.announced and not encoding.codec.startswith("utf")
    rival = codecs.getincrementaldecoder("utf-8")() if could_be_utf8 else None
    foreign = False
    open_line = 0
    missing, tail = set(marks), ""
    ends = io.IncrementalNewlineDecoder(None, translate=False)
    for block, text in _decoded(path, encoding):
        if "\0" in text:
            raise _nul_error(path, encoding)
        ends.decode(text, final=not block)
        open_line = _check_lines(path, text, open_line)
        window, tail = tail + text, text[-1:]
        missing -= {mark for mark in missing if mark in window}
        if rival is not None:
            try:
                foreign = not rival.decode(block, final=not block).isascii() or foreign
            except UnicodeDecodeError:
                rival = None
    facts.holds = set(marks) - missing
    facts.mixed_ends = isinstance(ends.newlines, tuple)
    if rival is not None and foreign:
        facts.warnings.append(
            f"The file is read as {encoding.codec}, as specified, but it is also correct UTF-8: if letters"
            " with accents look wrong below, leave the encoding out."
        )
    return facts


def _decoded(path: Path, encoding: Encoding) -> Iterator[tuple[bytes, str]]:
    """The text block by block, with its bytes; the last one is empty."""
    decoder = codecs.getincrementaldecoder(encoding.codec)()
    with encoding.open_bytes(path) as stream:
        while True:
            block = stream.read(TEXT_BLOCK_BYTES)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                bad = stream.tell() - len(error.object) + error.start
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


def _spot(path: Path, encoding: Encoding, offset: int, shown_as: str) -> tuple[str, str]:
    """Where the byte at `offset` is, and what is around it in its line as another encoding would read it."""
    decoder = codecs.getincrementaldecoder(encoding.codec)("replace")
    line, tail = 1, ""
    with path.open("rb") as stream:
        stream.seek(encoding.skip_bytes)
        left = offset - encoding.skip_bytes
        while left > 0 and (block := stream.read(min(TEXT_BLOCK_BYTES, left))):
            left -= len(block)
            text = tail + decoder.decode(block)
            breaks = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
            line, tail = line + len(breaks) - 1, breaks[-1]
        stream.seek(max(encoding.skip_bytes, offset - 4 * SHOWN_BEFORE))
        around = stream.read(offset - stream.tell()), stream.read(4 * SHOWN_AFTER)
    before, after = (part.decode(shown_as, "replace").replace("\r", "\n") for part in around)
    seen = before.rpartition("\n")[2][-SHOWN_BEFORE:] + after.partition("\n")[0][:SHOWN_AFTER]
    return f"{path.name}, line {line}, character {len(tail) + 1}", shown(seen)


def _decode_error(path: Path, encoding: Encoding, offset: int) -> SheetError:
    if encoding.codec == "utf-8":
        with path.open("rb") as stream:
            if b"\0" in stream.read(EDGE_BYTES):
                return _nul_error(path, encoding)
    if encoding.announced or encoding.skip_bytes or encoding.codec != "utf-8":
        where, seen = _spot(path, encoding, offset, encoding.codec)
        why = "as specified" if encoding.announced else "as its first bytes say"
        return SheetError(
            f'The file is not {shown_name(encoding.codec)}, {why}: this line cannot be read: "{seen}".',
            where=where,
            remedy="Name the right encoding with --encoding (or `encoding:` in the mapping), or save the"
            " sheet again as CSV UTF-8.",
        )
    where, seen = _spot(path, encoding, offset, "cp1252")
    return UnknownEncodingError(
        "The file is not UTF-8, and nothing in it says which encoding it has."
        f' Read as cp1252 this line is "{seen}".',
        where=where,
        remedy="If that looks right, use --encoding cp1252 (or `encoding: cp1252` in the mapping); else"
        " name the right one, or save the sheet as CSV UTF-8.",
    )


def _nul_error(path: Path, encoding: Encoding) -> SheetError:
    with encoding.open_bytes(path) as stream:
        head = stream.read(EDGE_BYTES)
    where = path.name
    remedy = "Export the sheet again: it is not a text file, or it was not written to its end."
    if encoding.codec == "utf-8":
        even, odd = head[::2].count(0), head[1::2].count(0)
        if max(even, odd) > max(len(head) // 8, 8 * min(even, odd)):
            name = "utf-16-le" if odd > even else "utf-16-be"
            remedy = f"It looks like UTF-16 without a byte order mark: try --encoding {name}."
        if even or odd:
            where, _ = _spot(path, encoding, encoding.skip_bytes + head.find(0), "cp1252")
    return SheetError("The file holds a NUL character, which text files do not.", where=where, remedy=remedy)
