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
from typing import Final, cast
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from defusedxml.common import DefusedXmlException, DTDForbidden
from openpyxl.packaging.relationship import Relationship
from openpyxl.reader.excel import ExcelReader
from openpyxl.styles.numbers import BUILTIN_FORMATS
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.xml.constants import REL_NS, SHEET_MAIN_NS

from importer.errors import SheetError
from importer.sheets.numbers import CODE_MAX_CHARACTERS
from importer.sheets.sheet import Worksheet
from importer.sheets.zip_safety import Archive, damaged, reason_of

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


class Target:
    """What an XML parser hands a part's tags and texts to. Every kind of entity bomb begins with a document
    type; defusedxml's own parser refuses them in Python, which takes twice the time of a part."""

    def doctype(self, name: str, public_id: str | None, system_id: str | None) -> None:
        """Raises DTDForbidden."""
        raise DTDForbidden(name, system_id, public_id)


class Elements(Target):
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


def parse(path: Path, archive: zipfile.ZipFile, part: str, target: Target) -> Generator[int, None, None]:
    """Run a part through the target's `start`, `end` and `data`; gives the bytes read after each block.

    Raises SheetError where the part is missing, breaks off, makes no sense, or declares a document type.
    """
    parser = XMLParser(target=target)  # noqa: S314 - the target refuses document types
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


PARTS_MAX_BYTES: Final = 4 << 20
TEXTS_MAX_BYTES: Final = 256 << 20
TEXTS_MAX: Final = 10_000_000
RECALCULATED: Final = re.compile(rb"<(?:\w+:)?calcPr\s[^<>]*?\bfullCalcOnLoad\s*=\s*[\"'](?:1|true)[\"']")
UNKNOWN_STATE: Final = re.compile(rb"(<(?:\w+:)?sheet\s[^<>]*?\bstate\s*=\s*[\"'])(?:show|)([\"'])")
"""What some programs write of a sheet that is visible."""
STYLES_MAX: Final = 100_000
"""Excel itself stops at 65,490."""

LOCALE_DATES: Final = dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), "yyyy-mm-dd")
LOCALE_TIMES: Final = dict.fromkeys((32, 33, 34, 35, 55, 56), "h:mm:ss")
"""Formats of East Asian Excel that a file names by number only (ECMA-376 part 1, 18.8.30)."""


def tag(name: str) -> str:
    """A tag of SpreadsheetML, as the parsers name it."""
    return f"{{{SHEET_MAIN_NS}}}{name}"


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
        text, run, run_text = tag("t"), tag("r"), f"{tag('r')}/{tag('t')}"
        for item in elements(path, archive, part, (tag("sst"), tag("si"))):
            self._bytes += (item.findtext(text) or "").encode("utf-8")
            if item.find(run) is not None:
                self._bytes += "".join(piece.text or "" for piece in item.iterfind(run_text)).encode("utf-8")
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
