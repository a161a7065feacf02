"""The imports that were begun on the screen, one folder each under `IMPORTER_HOME/uploads`.

    <import id>/
        sheet/<the file as it was named>     the person's spreadsheet, as it was uploaded
        mapping.yaml                         the mapping as it stands
        state.json                           everything else: `ImportState`

Each file is written whole and put in place by rename, so that a killed server finds what was last saved. What
happened to the rows is in the store alone; `batches` only says which batch is this import's.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import secrets
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from aiohttp import BodyPartReader, web
from pydantic import TypeAdapter

from importer.atomic_file import draft_beside, plain_errors, private_folder
from importer.errors import SheetError
from importer.web.guard import MULTIPART, SMALLER, UPLOAD_MAX_BYTES, too_large

UPLOADS: Final = "uploads"
SHEET: Final = "sheet"
MAPPING: Final = "mapping.yaml"
STATE: Final = "state.json"
STATE_MAX_BYTES: Final = 16 << 20
ID_SHAPE: Final = re.compile(r"u-[0-9a-f]{16}")
NAME_MAX: Final = 120
Texts = dict[str, dict[str, str]]
_saving: Final = threading.Lock()
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_REPLACED: Final = frozenset('<>:"/\\|?*')


@dataclass(frozen=True)
class ImportState:
    """What a person decided so far.

    file: name of the sheet's file. begun_at: seconds since 1970. sheet, encoding, delimiter, header_row,
    hidden: how the sheet is read, None where that is found out. corrections: new texts of cells, by the row
    as Excel numbers it, then by the column's place from 0, both as texts (JSON has no other keys).
    leave_out_invalid: import the valid rows although others are invalid. loaded: the mapping was loaded or
    changed, not only guessed.

    The others have a part for each mode, `real` and `rehearsal`. batches: the batch of this import. mapped:
    the mapping's digest when it began. answers: to questions, by their keys. marks: a status for a row, by
    its number, and ids: with `created` its activity. read_back: of the last reading back `equal` in words,
    and each field and difference.
    """

    file: str
    begun_at: float
    sheet: str | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header_row: int | None = None
    hidden: Literal["include", "skip"] | None = None
    corrections: Texts = field(default_factory=dict)
    leave_out_invalid: bool = False
    loaded: bool = False
    batches: dict[str, str] = field(default_factory=dict)
    mapped: dict[str, str] = field(default_factory=dict)
    answers: Texts = field(default_factory=dict)
    marks: Texts = field(default_factory=dict)
    ids: Texts = field(default_factory=dict)
    read_back: Texts = field(default_factory=dict)


_STATE: Final = TypeAdapter(ImportState)


@dataclass(frozen=True)
class WebImport:
    """One import begun on the screen: its folder, and its state as it was last read or saved."""

    id: str
    folder: Path
    state: ImportState

    @property
    def source(self) -> Path:
        """The sheet as it was uploaded."""
        return self.folder / SHEET / self.state.file

    @property
    def mapping(self) -> Path:
        return self.folder / MAPPING

    @property
    def has_sheet(self) -> bool:
        """False for a batch that was begun elsewhere: by the command line, or by a colleague."""
        return self.source.is_file()

    @property
    def corrections(self) -> dict[tuple[int, int], str]:
        """The corrected cells by place: row as Excel numbers it, column from 0."""
        return {
            (int(row), int(column)): text
            for row, cells in self.state.corrections.items()
            for column, text in cells.items()
            if row.isdigit() and column.isdigit()
        }

    def having(self, **changes: Any) -> WebImport:
        """The import with these parts of its state changed; not saved."""
        return dataclasses.replace(self, state=dataclasses.replace(self.state, **changes))

    def changed(self, **changes: Any) -> WebImport:
        """The import with these parts of its state changed, and saved."""
        with _saving:
            return _saved(self._latest().having(**changes))

    def changed_in(self, mode: str, **changes: Any) -> WebImport:
        """The same for the parts that there are for each mode; None takes one out."""
        with _saving:
            latest = self._latest()
            parts = {}
            for name, value in changes.items():
                others = {each: kept for each, kept in getattr(latest.state, name).items() if each != mode}
                parts[name] = others if value is None else {**others, mode: value}
            return _saved(latest.having(**parts))

    def save_mapping(self, text: str) -> None:
        """The mapping's text, exactly as it is."""
        _write(self.mapping, text.encode("utf-8"))

    def _latest(self) -> WebImport:
        """As it is on the disk: a use case may have saved something in its own thread."""
        state = _read_state(self.folder / STATE)
        return self if state is None else dataclasses.replace(self, state=state)


class Imports:
    """All imports begun on the screen. home: IMPORTER_HOME."""

    def __init__(self, home: Path) -> None:
        self._root = home / UPLOADS

    def __repr__(self) -> str:
        return f"<Imports in {self._root}>"

    def new_folder(self) -> tuple[str, Path]:
        """An id, and an empty folder in which a sheet can be put; no import before `begin`."""
        made = f"u-{secrets.token_hex(8)}"
        folder = self._root / made
        with plain_errors(folder):
            for each in (self._root, folder, folder / SHEET):
                private_folder(each)
        return made, folder

    def begin(self, made: str, file: str) -> WebImport:
        """The sheet of that name lies in the folder: from now on this is an import."""
        begun = WebImport(made, self._root / made, ImportState(file=file, begun_at=time.time()))
        return begun.changed()

    def find(self, wanted: str) -> WebImport | None:
        """The import of that id; None if there is none, or if it cannot be read."""
        if ID_SHAPE.fullmatch(wanted) is None:
            return None
        folder = self._root / wanted
        state = _read_state(folder / STATE)
        return None if state is None else WebImport(wanted, folder, state)

    def of_batch(self, batch_id: str) -> WebImport | None:
        """The import whose batch this is."""
        return next((each for each in self.all() if batch_id in each.state.batches.values()), None)

    def all(self) -> Iterator[WebImport]:
        """Every import, the newest first."""
        if not self._root.is_dir():
            return
        found = (self.find(folder.name) for folder in self._root.iterdir())
        kept = [each for each in found if each is not None]
        yield from sorted(kept, key=lambda each: -each.state.begun_at)

    def discard(self, made: str) -> None:
        """Remove a folder and everything in it."""
        if ID_SHAPE.fullmatch(made) is not None:
            shutil.rmtree(self._root / made, ignore_errors=True)

    def discard_remains(self) -> None:
        """Remove the folders in which an upload was cut off."""
        if self._root.is_dir():
            for folder in self._root.iterdir():
                if not (folder / STATE).exists():
                    self.discard(folder.name)


def file_name(given: str) -> str:
    """A name that every file system takes, from what a browser says the file is called: data, not a path."""
    last = given.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join("_" if char in _REPLACED or not char.isprintable() else char for char in last)
    kept = kept.strip(" .")
    stem, dot, ending = kept.rpartition(".")
    if dot:
        kept = f"{stem[: NAME_MAX - len(ending[:10]) - 1]}.{ending[:10]}"
    kept = kept[:NAME_MAX] or "sheet"
    return f"_{kept}" if _DEVICES.fullmatch(kept) or kept.startswith(("~$", ".")) else kept


def _saved(own: WebImport) -> WebImport:
    _write(own.folder / STATE, json.dumps(dataclasses.asdict(own.state)).encode())
    return own


def _write(path: Path, content: bytes) -> None:
    """Whole, in place of what was there. Raises FileError."""
    with draft_beside(path) as draft:
        draft.stream.write(content)
        draft.put(path)


def _read_state(path: Path) -> ImportState | None:
    """What `changed` wrote; None for anything else."""
    try:
        if path.stat().st_size > STATE_MAX_BYTES:
            return None
        read = _STATE.validate_json(path.read_bytes(), strict=True)
    except (OSError, ValueError):
        return None
    return read if read.file == file_name(read.file) else None


UPLOAD_UNPACKED_MAX_BYTES: Final = 200 << 20
MAPPING_MAX_BYTES: Final = 1 << 20
CHUNK_BYTES: Final = 256 << 10
ZIP_START: Final = b"PK\x03\x04"
TOO_LARGE_UNPACKED: Final = (
    f"The workbook unpacks to more than {UPLOAD_UNPACKED_MAX_BYTES >> 20} MB, the most that can be uploaded."
)


async def receive_sheet(request: web.Request, imports: Imports) -> WebImport:
    """The uploaded sheet as a new import. Raises SheetError; HTTPRequestEntityTooLarge while it arrives.

    Nothing is left of a file that was refused or that did not arrive to its end.
    """
    part = await _file_part(request)
    made, folder = imports.new_folder()
    kept = False
    try:
        name = file_name(part.filename or "")
        await _arrive(part, folder / SHEET / name)
        await asyncio.to_thread(_check_unpacked, folder / SHEET / name)
        begun = imports.begin(made, name)
        kept = True
    finally:
        if not kept:
            imports.discard(made)
    return begun


async def receive_text(request: web.Request) -> str:
    """An uploaded mapping file's text. Raises SheetError where it is none."""
    part = await _file_part(request)
    content = bytearray()
    while chunk := await part.read_chunk(CHUNK_BYTES):
        content += chunk
        if len(content) > MAPPING_MAX_BYTES:
            raise SheetError(
                "This file is too large to be a mapping.", remedy="Choose a .yaml file of the importer."
            )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SheetError(
            "This file is not UTF-8 text, so it is not a mapping.",
            remedy="Choose a .yaml file of the importer, saved as UTF-8.",
        ) from error


async def _file_part(request: web.Request) -> BodyPartReader:
    """The file of a form, not read yet. Raises SheetError if the form has none."""
    reader = request.get(MULTIPART)
    if reader is not None:
        part = await reader.next()
        if isinstance(part, BodyPartReader) and part.filename:
            return part
    raise SheetError("No file was chosen.", remedy="Choose a file, or drop it on the page.")


async def _arrive(part: BodyPartReader, path: Path) -> None:
    """The file as it arrives. Raises FileError, HTTPRequestEntityTooLarge."""
    size_bytes = 0
    with draft_beside(path) as draft:
        while chunk := await part.read_chunk(CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > UPLOAD_MAX_BYTES:
                raise too_large()
            await asyncio.to_thread(draft.stream.write, chunk)
        await asyncio.to_thread(draft.put, path)


def _check_unpacked(path: Path) -> None:
    """Raises SheetError for a workbook of more than 200 MB, as its own directory says; the reader of
    workbooks unpacks no more than that."""
    with path.open("rb") as stream:
        if stream.read(len(ZIP_START)) != ZIP_START:
            return
    try:
        with zipfile.ZipFile(path) as archive:
            total_bytes = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
        return  # opening the sheet will say what is wrong with it
    if total_bytes > UPLOAD_UNPACKED_MAX_BYTES:
        raise SheetError(TOO_LARGE_UNPACKED, where=path.name, remedy=SMALLER)
