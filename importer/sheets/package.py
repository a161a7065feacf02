"""XML parts of a workbook, streamed: constant memory, no document types.

openpyxl's own loops keep every element that they do not know, and the husks of those they do, until a part
ends: sixty megabytes of small tags, which pack into a few kilobytes, take gigabytes that way.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from array import array
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, cast
from xml.etree.ElementTree import Element, ParseError, XMLParser, XMLPullParser

from defusedxml.common import DefusedXmlException, DTDForbidden
from openpyxl.packaging.relationship import Relationship
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.numbers import BUILTIN_FORMATS
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.xml.constants import REL_NS, SHEET_MAIN_NS

from importer.errors import SheetError
from importer.sheets.detect import Archive, damaged, reason_of
from importer.sheets.numbers import CODE_MAX_CHARACTERS
from importer.sheets.sheet import Worksheet

BLOCK_BYTES: Final = 1 << 16
PIECE_BYTES: Final = 1 << 12
"""Parsed at a time: of greater pieces so many elements live at once that the garbage collector looks through
everything again and again, and a sheet takes twice as long."""

TOKEN_MAX_BYTES: Final = 4 << 20
"""Longest stretch in which no tag begins: a text of 32,767 characters, Excel's limit, is far below it."""

DEPTH_MAX: Final = 64
ELEMENT_TAGS_MAX: Final = 500_000
"""Tags in one row: Excel's 16,384 cells have two or three each, or some dozens where their text is rich."""
ENDLESS: Final = "tags in tags without end"

Pairs = frozenset[tuple[str, str]]
Around = tuple[Element, ...]

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


class _NoDocumentType:
    """A parser's target that builds nothing. Every kind of entity bomb begins with a document type."""

    def doctype(self, name: str, public_id: str | None, system_id: str | None) -> None:
        """Raises DTDForbidden."""
        raise DTDForbidden(name, system_id, public_id)


class Parsed(NamedTuple):
    """What is known after a piece of a part. position: the bytes before it, or fewer. begun: the elements
    that began in it, by their attributes. found: those that are wanted and finished since, each with what is
    around it, outermost first."""

    position: int
    begun: list[Element]
    found: list[tuple[Around, Element]]


def parse(
    path: Path, archive: zipfile.ZipFile, part: str, *wanted: tuple[str, str]
) -> Generator[Parsed, None, None]:
    """The part, piece by piece, through the tree builder in C; what is finished and not wanted is dropped.

    wanted: pairs of parent's and element's tag. Raises SheetError where the part is missing, breaks off,
    makes no sense, has endless texts or tags, or declares a document type.
    """
    guard = XMLParser(target=_NoDocumentType())  # noqa: S314 - it refuses document types
    parser: XMLPullParser[Element] = XMLPullParser(("start",))
    pairs = frozenset(wanted)
    root: Element | None = None
    position = silent_bytes = tags = 0
    try:
        for position, piece in _pieces(path, archive, part):
            if root is None:
                guard.feed(piece)  # a document type is before the first element
            parser.feed(piece)
            events = cast("Iterator[tuple[str, Element]]", parser.read_events())
            begun = [element for _, element in events]
            if root is None and begun:
                root = begun[0]
            found: list[tuple[Around, Element]] = []
            inside = root is not None and _take_finished(root, pairs, found)
            silent_bytes = 0 if begun else silent_bytes + len(piece)
            tags = len(begun) + (tags if inside and not found else 0)
            if silent_bytes > TOKEN_MAX_BYTES:
                raise _endless_text(path, part)
            if tags > ELEMENT_TAGS_MAX:
                raise damaged(path, f"{part}: {ENDLESS}")
            yield Parsed(position, begun, found)
        parser.close()
        found = []
        if root is not None:
            for child in root:
                _take(child, (root,), pairs, found)
        yield Parsed(position, [], found)
    except DefusedXmlException as error:
        raise entities_refused(path) from error
    except ParseError as error:
        raise damaged(path, f"{part}: {error}") from error


def _take_finished(root: Element, wanted: Pairs, found: list[tuple[Around, Element]]) -> bool:
    """Take everything finished out of the elements that are open; whether a wanted one may be among them."""
    around: Around = (root,)
    while len(node := around[-1]):
        for child in node[:-1]:
            _take(child, around, wanted, found)
        del node[:-1]
        if (node.tag, node[0].tag) in wanted:
            return True
        if len(around) > DEPTH_MAX:
            raise ParseError(ENDLESS)
        around = *around, node[0]
    return False


def _take(element: Element, around: Around, wanted: Pairs, found: list[tuple[Around, Element]]) -> None:
    """Find the wanted ones in a finished element."""
    if (around[-1].tag, element.tag) in wanted:
        found.append((around, element))
        return
    if len(around) > DEPTH_MAX:
        raise ParseError(ENDLESS)
    for child in element:
        _take(child, (*around, element), wanted, found)


def elements(path: Path, archive: zipfile.ZipFile, part: str, *wanted: tuple[str, str]) -> Iterator[Element]:
    """The wanted elements of a part, one after the other. Raises SheetError, as `parse` does."""
    for block in parse(path, archive, part, *wanted):
        for _, element in block.found:
            yield element


def blocks(path: Path, archive: zipfile.ZipFile, part: str) -> Iterator[bytes]:
    """The unpacked part, block by block. Raises SheetError if it is damaged or missing."""
    try:
        with archive.open(part) as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block
    except ARCHIVE_ERRORS as error:
        raise damaged(path, f"{part}: {reason_of(error)}") from error


def _pieces(path: Path, archive: zipfile.ZipFile, part: str) -> Iterator[tuple[int, bytes]]:
    position = 0
    for block in blocks(path, archive, part):
        text = transitional(block)
        for at in range(0, len(text), PIECE_BYTES):
            yield position, text[at : at + PIECE_BYTES]
        position += len(block)


def _endless_text(path: Path, part: str) -> SheetError:
    return SheetError(
        f"A cell or tag of {part} is longer than {TOKEN_MAX_BYTES >> 20} MB: it is refused.",
        where=path.name,
        remedy="No cell of Excel holds more than 32,767 characters. Export the sheet again.",
    )


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


PARTS_MAX_BYTES: Final = 4 << 20
TEXTS_MAX_BYTES: Final = 256 << 20
TEXTS_MAX: Final = 10_000_000
RECALCULATED: Final = re.compile(rb"<(?:\w+:)?calcPr\s[^<>]*?\bfullCalcOnLoad\s*=\s*[\"'](?:1|true)[\"']")
UNKNOWN_STATE: Final = re.compile(rb"(<(?:\w+:)?sheet\s[^<>]*?\bstate\s*=\s*[\"'])(?:show|)([\"'])")
"""What some programs write of a sheet that is visible."""
STYLES_MAX: Final = 100_000
"""Excel itself stops at 65,490."""

LOCALE_DATES: Final = dict.fromkeys(
    (*range(27, 32), 36, *range(50, 55), 57, 58, *range(71, 75), 81), "yyyy-mm-dd"
)
LOCALE_TIMES: Final = dict.fromkeys((32, 33, 34, 35, 55, 56, 75, 76, 78, 80), "h:mm:ss") | {
    77: "yyyy-mm-dd h:mm",
    79: "[h]:mm:ss",
}
"""Formats of East Asian and Thai Excel that a file names by number only (ECMA-376 part 1, 18.8.30)."""


def tag(name: str) -> str:
    """A tag of SpreadsheetML, as the parsers name it."""
    return f"{{{SHEET_MAIN_NS}}}{name}"


TEXT: Final = tag("t")
RUN: Final = tag("r")
STRIKE: Final = f"{tag('rPr')}/{tag('strike')}"
STRUCK: Final = "\ufdd0"
"""Before a text of which a part is crossed out."""


def builtin_code(number: str) -> str:
    """The code of a number format that a style names without spelling it out."""
    if not number.isdecimal():
        return "General"
    key = int(number)
    return str(BUILTIN_FORMATS.get(key) or LOCALE_DATES.get(key) or LOCALE_TIMES.get(key) or "General")


@dataclass(frozen=True, slots=True)
class Package:
    """sheets: worksheets in the order of their tabs. epoch_1904: dates count from 1904 (old Macs).
    codes: number format of each style, by its index, the excess of one that is too long cut. recalculated:
    Excel calculates every formula again when it opens the workbook."""

    sheets: tuple[Worksheet, ...]
    epoch_1904: bool
    codes: tuple[str, ...]
    texts_part: str | None
    recalculated: bool = False


class _SmallParts(Archive):
    """The archive for openpyxl, which unpacks and keeps whole what is read here: never much."""

    recalculated = False

    def read(self, name: str | zipfile.ZipInfo, pwd: bytes | None = None) -> bytes:
        info = name if isinstance(name, zipfile.ZipInfo) else self.getinfo(name)
        if info.file_size > PARTS_MAX_BYTES:
            raise ValueError(f"{info.filename} unpacks to more than {PARTS_MAX_BYTES >> 20} MB")
        part = transitional(super().read(info, pwd))
        self.recalculated = self.recalculated or RECALCULATED.search(part) is not None
        return UNKNOWN_STATE.sub(rb"\1visible\2", part)


def read_package(path: Path, archive: zipfile.ZipFile) -> Package:
    """The workbook's structure, as far as rows need it. Raises SheetError if it is damaged.

    openpyxl's `load_workbook` would also read what does not matter here (fonts and fills, charts, defined
    names, the author), and refuses workbooks that Excel opens over a colour or a date in it. So only its
    first two steps are taken, and number formats are read from the styles by themselves.
    """
    try:
        with path.open("rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader = ExcelReader(stream, read_only=True, data_only=True, keep_links=False)
            with _SmallParts(stream) as reader.archive:
                reader.read_manifest()
                reader.read_workbook()
                found = list(reader.parser.find_sheets())
                recalculated = reader.archive.recalculated
                relations = cast("dict[str, Relationship]", reader.parser.rels)
    except DefusedXmlException as error:
        raise entities_refused(path) from error
    except Exception as error:  # openpyxl fails in whatever way a damaged part makes it stumble
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno):
            raise
        raise damaged(path, _reason(error)) from error
    names = {name.lower(): name for name in archive.namelist()}
    sheets = tuple(
        Worksheet(sheet.name, sheet.state == "visible", names.get(relation.target.lower(), relation.target))
        for sheet, relation in found
        if _kind(relation) == "worksheet"
    )
    if not sheets:
        raise damaged(path, "it has no worksheet")
    targets = {_kind(relation): relation.target for relation in relations.values()}
    styles, texts = (names.get(targets.get(kind, "").lower()) for kind in ("styles", "sharedStrings"))
    codes = tuple(_format_codes(path, archive, styles)) if styles else ()
    return Package(sheets, reader.wb.epoch == CALENDAR_MAC_1904, codes, texts, recalculated)


def _reason(error: Exception) -> str:
    """Why openpyxl could not read the workbook's outer parts, unless it speaks of its own variables."""
    if isinstance(error, ARCHIVE_ERRORS) and not isinstance(error, (ValueError, RuntimeError)):
        return reason_of(error)
    return "its list of sheets cannot be read"


def _kind(relation: Relationship) -> str:
    return str(relation.Type).rpartition("/")[2]


def _format_codes(path: Path, archive: zipfile.ZipFile, part: str) -> Iterator[str]:
    own: dict[str, str] = {}
    used = 0
    wanted = ((tag("numFmts"), tag("numFmt")), (tag("cellXfs"), tag("xf")))
    for element in elements(path, archive, part, *wanted):
        number = element.get("numFmtId", "0")
        if element.tag == tag("numFmt"):
            own[number] = element.get("formatCode", "General")[: CODE_MAX_CHARACTERS + 1]
        else:
            used += 1
            yield own.get(number) or builtin_code(number)  # the same object for all styles that name it
        if max(used, len(own)) > STYLES_MAX:
            raise damaged(path, f"it has more than {STYLES_MAX:,} cell formats")


def item_text(item: Element) -> str:
    """The text of a shared item, or of a cell that holds its own: plain, then its runs; readings left out.
    `STRUCK` is before it if some runs are crossed out, and others are not."""
    plain = item.findtext(TEXT) or ""
    if len(item) == 1 and plain:
        return plain
    runs = item.findall(RUN)
    marks = [run.find(STRIKE) for run in runs]
    struck = {mark is not None and mark.get("val") not in ("0", "false") for mark in marks}
    return (STRUCK if len(struck) > 1 else "") + plain + "".join(run.findtext(TEXT) or "" for run in runs)


class SharedTexts:
    """The workbook's shared texts, kept as UTF-8 in one piece: a quarter of what a list of `str` takes.

    openpyxl's own table of them takes out every `x005F_`, so that `_x005F_x000D_`, which means the text
    `_x000D_`, can no longer be distinguished from a line break.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, part: str | None) -> None:
        """Raises SheetError if the part is damaged."""
        self._bytes = bytearray()
        self._ends = array("Q", [0])
        if part is None:
            return
        for item in elements(path, archive, part, (tag("sst"), tag("si"))):
            self._bytes += item_text(item).encode("utf-8")
            self._ends.append(len(self._bytes))
            if len(self._bytes) > TEXTS_MAX_BYTES or len(self._ends) > TEXTS_MAX:
                raise SheetError(
                    f"The workbook's texts take more than {TEXTS_MAX_BYTES >> 20} MB, or are more than"
                    f" {TEXTS_MAX:,}.",
                    where=path.name,
                    remedy="Save the sheet as CSV UTF-8 in Excel, and use that file.",
                )

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        """The text that a cell points to. Raises IndexError if there is no such text."""
        if not 0 <= index < len(self._ends) - 1:
            raise IndexError(f"text {index} of {len(self)}")
        return self._bytes[self._ends[index] : self._ends[index + 1]].decode("utf-8")
