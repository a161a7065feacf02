"""XML parts of a workbook, streamed through defusedxml's parser: constant memory, no document types.

openpyxl's own loops keep every element that they do not know, and the husks of those they do, until a part
ends: sixty megabytes of small tags, which pack into a few kilobytes, take gigabytes that way.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import XMLParser
from openpyxl.xml.constants import REL_NS, SHEET_MAIN_NS

from importer.errors import SheetError
from importer.sheets.zip_safety import damaged, reason_of

BLOCK_BYTES: Final = 1 << 16
TOKEN_MAX_BYTES: Final = 4 << 20
"""Longest stretch without a `>`: a cell text of 32,767 characters, Excel's limit, is far below it."""

DEPTH_MAX: Final = 64
ELEMENT_TAGS_MAX: Final = 500_000
"""Tags in one row: Excel's 16,384 cells have two or three each, or some dozens where their text is rich."""
ENDLESS: Final = "tags in tags without end"

Blocks = Generator[bytes, None, None]

STRICT_NAMES: Final = (
    (b"http://purl.oclc.org/ooxml/spreadsheetml/main", SHEET_MAIN_NS.encode()),
    (b"http://purl.oclc.org/ooxml/officeDocument/relationships", REL_NS.encode()),
)
"""Namespaces of what Excel calls a Strict Open XML workbook, unknown to openpyxl, and the usual ones."""

ARCHIVE_ERRORS: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    KeyError,
    RuntimeError,
    ValueError,
)


class Elements:
    """A target that builds the wanted elements, and nothing of what is around them.

    wanted: pairs of parent's and element's tag. Finished elements gather until the caller takes them.
    """

    def __init__(self, *wanted: tuple[str, str]) -> None:
        self._wanted = frozenset(wanted)
        self._done: list[Element] = []
        self._around: list[str] = []
        self._builder: TreeBuilder | None = None
        self._depth = self._tags = 0  # in the element that is being built

    def take(self) -> list[Element]:
        """The elements finished since the last call."""
        done, self._done = self._done, []
        return done

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Raises ParseError for tags nested as no spreadsheet program does."""
        if self._builder is None:
            if not self._around or (self._around[-1], tag) not in self._wanted:
                self._around.append(tag)
                if len(self._around) > DEPTH_MAX:
                    raise ParseError(ENDLESS)
                return
            self._builder = TreeBuilder()
        self._builder.start(tag, attributes)
        self._depth += 1
        self._tags += 1
        if self._tags > ELEMENT_TAGS_MAX or self._depth > DEPTH_MAX:
            raise ParseError(ENDLESS)

    def end(self, tag: str) -> None:
        """Closes the element, and takes it out of the builder if it is a wanted one."""
        if self._builder is None:
            self._around.pop()
            return
        self._builder.end(tag)
        self._depth -= 1
        if not self._depth:
            self._done.append(self._builder.close())
            self._builder = None
            self._tags = 0

    def data(self, text: str) -> None:
        """Text counts inside a wanted element only."""
        if self._builder is not None:
            self._builder.data(text)


def parse(path: Path, archive: zipfile.ZipFile, part: str, target: object) -> Generator[int, None, None]:
    """Run a part through the target's `start`, `end` and `data`; gives the bytes read after each block.

    Raises SheetError where the part is missing, breaks off, makes no sense, or declares a document type
    (with which every kind of entity bomb begins).
    """
    parser = XMLParser(target=target, forbid_dtd=True)
    position = 0
    try:
        for block in blocks(path, archive, part):
            parser.feed(transitional(block))
            position += len(block)
            yield position
        parser.close()
    except DefusedXmlException as error:
        raise entities_refused(path) from error
    except ParseError as error:
        raise damaged(path, f"{part}: {error}") from error


def elements(path: Path, archive: zipfile.ZipFile, part: str, *wanted: tuple[str, str]) -> Iterator[Element]:
    """The wanted elements of a part, one after the other. Raises SheetError, as `parse` does."""
    target = Elements(*wanted)
    for _ in parse(path, archive, part, target):
        yield from target.take()


def blocks(path: Path, archive: zipfile.ZipFile, part: str) -> Blocks:
    """The unpacked part, block by block. Raises SheetError if it is damaged, missing or one endless token."""
    run_bytes = 0
    try:
        with archive.open(part) as stream:
            while block := stream.read(BLOCK_BYTES):
                last = block.rfind(b">")
                run_bytes = run_bytes + len(block) if last < 0 else len(block) - last
                if run_bytes > TOKEN_MAX_BYTES:
                    raise SheetError(
                        f"A cell or tag of {part} is longer than {TOKEN_MAX_BYTES >> 20} MB: it is refused.",
                        where=path.name,
                        remedy="No cell of Excel holds more than 32,767 characters. Export the sheet again.",
                    )
                yield block
    except ARCHIVE_ERRORS as error:
        raise damaged(path, f"{part}: {reason_of(error)}") from error


def transitional(block: bytes) -> bytes:
    """XML with its namespaces as openpyxl knows them."""
    for strict, usual in STRICT_NAMES:
        block = block.replace(strict, usual)
    return block


def entities_refused(path: Path) -> SheetError:
    """The error of a part that declares entities, or could."""
    return SheetError(
        "The file declares XML entities, which no spreadsheet program writes: it is refused.",
        where=path.name,
        remedy="Open it in Excel and save it again, or do not trust it.",
    )
