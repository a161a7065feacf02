"""A workbook's outer parts: which sheets it has, the number format of each style, the shared texts."""

from __future__ import annotations

import posixpath
import zipfile
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from importer.source.choice import Worksheet
from importer.source.hostile import damaged
from importer.source.numbers import builtin_code
from importer.source.xmlparts import is_true, local, new_parser, parse_part
from importer.source.xmltext import plain_text

CACHED_TEXTS: Final = 50_000
SHEETS_MAX: Final = 2_000
STYLES_MAX: Final = 100_000
"""Excel itself stops at 65,490."""


@dataclass(frozen=True, slots=True)
class Package:
    """sheets: worksheets in the order of their tabs. epoch_1904: dates count from 1904 (old Macs).
    codes: number format of each style, by its index."""

    sheets: tuple[Worksheet, ...]
    epoch_1904: bool
    codes: tuple[str, ...]
    texts_part: str | None


def read_package(path: Path, archive: zipfile.ZipFile) -> Package:
    """The workbook's structure. Raises SheetError if it is damaged."""
    names = {name.lower(): name for name in archive.namelist()}
    root = relations(path, archive, names, "")
    workbook = next((target for kind, target in root.values() if kind == "officeDocument"), "xl/workbook.xml")
    workbook = names.get(workbook.lower(), workbook)
    targets = relations(path, archive, names, workbook)
    sheets, epoch_1904 = _read_workbook(path, archive, workbook, targets, names)
    by_kind = {kind: names.get(target.lower()) for kind, target in targets.values()}
    styles = by_kind.get("styles")
    codes = _read_styles(path, archive, styles) if styles else ()
    return Package(tuple(sheets), epoch_1904, tuple(codes), by_kind.get("sharedStrings"))


def relations(
    path: Path, archive: zipfile.ZipFile, names: dict[str, str], part: str
) -> dict[str, tuple[str, str]]:
    """Relation id → (last word of its type, archive member) of a part ("" is the package itself)."""
    folder, name = posixpath.split(part)
    found: dict[str, tuple[str, str]] = {}
    member = names.get(posixpath.join(folder, "_rels", f"{name}.rels").lower())
    if member is None:
        return found

    def start(tag: str, attributes: dict[str, str]) -> None:
        if local(tag) == "Relationship" and attributes.get("TargetMode") != "External":
            target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", ""))).lstrip("/")
            kind = attributes.get("Type", "").rpartition("/")[2]
            found[attributes.get("Id", "")] = (kind, target)

    parser = new_parser(path)
    parser.StartElementHandler = start
    parse_part(path, archive, member, parser)
    return found


def _read_workbook(
    path: Path,
    archive: zipfile.ZipFile,
    workbook: str,
    targets: dict[str, tuple[str, str]],
    names: dict[str, str],
) -> tuple[list[Worksheet], bool]:
    sheets: list[Worksheet] = []
    epoch_1904 = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal epoch_1904
        tag = local(tag)
        if tag == "workbookPr":
            epoch_1904 = is_true(attributes.get("date1904"))
        elif tag == "sheet" and len(sheets) < SHEETS_MAX:
            relation = next((text for name, text in attributes.items() if local(name) == "id"), "")
            kind, target = targets.get(relation, ("", ""))
            if kind == "worksheet":
                visible = attributes.get("state", "visible") == "visible"
                part = names.get(target.lower(), target)
                sheets.append(Worksheet(attributes.get("name", ""), visible, part))

    parser = new_parser(path)
    parser.StartElementHandler = start
    parse_part(path, archive, workbook, parser)
    if not sheets:
        raise damaged(path, "it has no worksheet")
    return sheets, epoch_1904


def _read_styles(path: Path, archive: zipfile.ZipFile, part: str) -> list[str]:
    own: dict[str, str] = {}
    used: list[str] = []
    inside = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        tag = local(tag)
        if tag == "numFmt":
            own[attributes.get("numFmtId", "")] = attributes.get("formatCode", "General")
        elif tag == "cellXfs":
            inside = True
        elif tag == "xf" and inside:
            if len(used) >= STYLES_MAX:
                raise damaged(path, f"it has more than {STYLES_MAX:,} cell formats")
            used.append(attributes.get("numFmtId", "0"))

    def end(tag: str) -> None:
        nonlocal inside
        if local(tag) == "cellXfs":
            inside = False

    parser = new_parser(path)
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parse_part(path, archive, part, parser)
    return [own[number] if number in own else builtin_code(number) for number in used]


class SharedTexts:
    """The workbook's shared texts, kept as UTF-8 in one piece: a quarter of what a list of `str` takes."""

    def __init__(self, path: Path, archive: zipfile.ZipFile, part: str | None) -> None:
        """Raises SheetError if the part is damaged."""
        self._bytes = bytearray()
        self._ends = array("Q", [0])
        self._cache: dict[str, str] = {}
        if part is not None:
            self._read(path, archive, part)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __call__(self, index_text: str) -> str:
        """The text that a cell points to. Raises ValueError if there is no such text."""
        cached = self._cache.get(index_text)
        if cached is not None:
            return cached
        index = int(index_text)
        if not 0 <= index < len(self._ends) - 1:
            raise ValueError(f"text {index} of {len(self)}")
        raw = self._bytes[self._ends[index] : self._ends[index + 1]].decode("utf-8")
        text = plain_text(raw)
        if len(self._cache) < CACHED_TEXTS:
            self._cache[index_text] = text
        return text

    def _read(self, path: Path, archive: zipfile.ZipFile, part: str) -> None:
        pieces: list[str] = []
        collecting = phonetic = False

        def start(tag: str, _: dict[str, str]) -> None:
            nonlocal collecting, phonetic
            tag = local(tag)
            if tag == "t":
                collecting = not phonetic
            elif tag == "rPh":
                phonetic = True

        def end(tag: str) -> None:
            nonlocal collecting, phonetic
            tag = local(tag)
            if tag == "t":
                collecting = False
            elif tag == "rPh":
                phonetic = False
            elif tag == "si":
                self._bytes.extend("".join(pieces).encode("utf-8"))
                self._ends.append(len(self._bytes))
                pieces.clear()

        def characters(text: str) -> None:
            if collecting:
                pieces.append(text)

        parser = new_parser(path)
        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = characters
        parse_part(path, archive, part, parser)
