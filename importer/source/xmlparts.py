"""XML parts of a workbook, streamed through expat: constant memory, no document types, no endless tokens."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import IO, Final
from xml.parsers import expat

from importer.errors import SheetError
from importer.source.hostile import damaged

BLOCK_BYTES: Final = 1 << 16
TOKEN_MAX_BYTES: Final = 4 << 20
"""Longest stretch without a `>`: a cell text of 32,767 characters, Excel's limit, is far below it."""

Blocks = Generator[bytes, None, None]

ARCHIVE_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    KeyError,
    RuntimeError,
)


def new_parser(path: Path) -> expat.XMLParserType:
    """A parser that refuses document types, and with them every kind of entity bomb."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.buffer_size = BLOCK_BYTES

    def refuse(*_: object) -> None:
        raise SheetError(
            "The file declares XML entities, which no spreadsheet program writes: it is refused.",
            where=path.name,
            remedy="Open it in Excel and save it again, or do not trust it.",
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    return parser


def blocks(path: Path, archive: zipfile.ZipFile, part: str) -> Blocks:
    """The unpacked part, block by block. Raises SheetError if it is damaged, missing or one endless token."""
    run_bytes = 0
    with closing_part(path, archive, part) as stream:
        while block := _read(path, part, stream):
            last = block.rfind(b">")
            run_bytes = run_bytes + len(block) if last < 0 else len(block) - last
            if run_bytes > TOKEN_MAX_BYTES:
                raise SheetError(
                    f"A cell (or tag) of {part} is longer than {TOKEN_MAX_BYTES >> 20} MB: it is refused.",
                    where=path.name,
                    remedy="No cell of Excel holds more than 32,767 characters. Export the sheet again.",
                )
            yield block


def closing_part(
    path: Path, archive: zipfile.ZipFile, part: str
) -> contextlib.AbstractContextManager[IO[bytes]]:
    """The opened part. Raises SheetError."""
    try:
        return archive.open(part)
    except (*ARCHIVE_ERRORS, ValueError) as error:
        raise damaged(path, f"{part}: {error}") from error


def _read(path: Path, part: str, stream: IO[bytes]) -> bytes:
    try:
        return stream.read(BLOCK_BYTES)
    except ARCHIVE_ERRORS as error:
        raise damaged(path, f"{part}: {error}") from error


def feed(path: Path, part: str, parser: expat.XMLParserType, block: bytes, *, final: bool = False) -> None:
    """Give the parser one block. Raises SheetError where the XML breaks off or makes no sense."""
    try:
        parser.Parse(block, final)
    except expat.ExpatError as error:
        raise damaged(path, f"{part}: {error}") from error


def parse_part(path: Path, archive: zipfile.ZipFile, part: str, parser: expat.XMLParserType) -> None:
    """Run a whole part through the parser's handlers."""
    for block in blocks(path, archive, part):
        feed(path, part, parser, block)
    feed(path, part, parser, b"", final=True)


def local(name: str) -> str:
    """A tag's or attribute's name without the namespace prefix that some exporters write (`x:row`)."""
    return name.rpartition(":")[2]


def is_true(text: str | None) -> bool:
    """XML Schema's boolean."""
    return text in ("1", "true", "on")
