"""The imports that were begun on the screen, one folder each under `IMPORTER_HOME/uploads`.

    <import id>/
        sheet/<the file as it was named>     the person's spreadsheet, as it was uploaded
        mapping.yaml                         the mapping as it stands
        state.json                           everything else: `ImportState`

Each file is written whole and put in place by rename, so that a killed server finds what was last saved. What
happened to the rows is in the store alone; `batch` only says which batch is this import's.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import shutil
import threading
import time
import zipfile
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, get_args

from aiohttp import BodyPartReader, web
from pydantic import TypeAdapter

from importer.app.options import CallOptions, SheetInput
from importer.atomic_file import draft_beside, plain_errors, private_folder
from importer.errors import SheetError
from importer.home import Home
from importer.sheets import SheetOptions
from importer.store.records import StoredRow, iso
from importer.web.guard import MULTIPART, SMALLER, UPLOAD_MAX_BYTES, too_large

SHEET: Final = "sheet"
STATE: Final = "state.json"
STATE_MAX_BYTES: Final = 16 << 20
ID_SHAPE: Final = re.compile(r"u-[0-9a-f]{16}")
NAME_MAX: Final = 120
_saving: Final = threading.Lock()
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
_REPLACED: Final = frozenset('<>:"/\\|?*')

Mode = Literal["real", "rehearsal"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)


@dataclass(frozen=True)
class ReadBack:
    """The last reading back, in words: how many rows are equal, how many of each field, and what differs."""

    equal: str
    fields: dict[str, str]
    differences: tuple[str, ...]


@dataclass(frozen=True)
class ModeState:
    """What there is twice, for LeadSquared and for the rehearsal.

    batch: of this import, "" while it has none. mapped: the mapping's digest when it began. answers: to
    questions, by their keys. marks: a status for a row, by its number, and when the row had last changed (see
    `mark_of`); ids: with `created` its activity.
    """

    batch: str = ""
    mapped: str = ""
    answers: dict[str, str] = field(default_factory=dict)
    marks: dict[int, tuple[str, str]] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    read_back: ReadBack | None = None


@dataclass(frozen=True)
class ImportState:
    """What a person decided so far.

    file: name of the sheet's file. begun_at: UTC, ISO 8601. reading: how the sheet is read. corrections: new
    texts of cells, by the row as Excel numbers it, then by the column's place from 0. leave_out_invalid:
    import the valid rows although others are invalid. ticked: answers that were chosen and not continued
    with, None where there are none since the last Continue. loaded: the mapping was loaded or changed, not
    only guessed.
    """

    file: str
    begun_at: str
    reading: SheetOptions = field(default_factory=SheetOptions)
    corrections: dict[int, dict[int, str]] = field(default_factory=dict)
    leave_out_invalid: bool = False
    ticked: dict[str, str] | None = None
    loaded: bool = False
    modes: dict[Mode, ModeState] = field(default_factory=dict)


_STATE: Final = TypeAdapter(ImportState)
_OF_MODE: Final = frozenset(each.name for each in fields(ModeState))


@dataclass(frozen=True)
class WebImport:
    """One import begun on the screen: its folder, its state as it was last read or saved, and the mode that a
    request is about."""

    id: str
    folder: Path
    state: ImportState
    mode: Mode

    @property
    def here(self) -> ModeState:
        """The part of the state that belongs to the mode."""
        return self.state.modes.get(self.mode, ModeState())

    @property
    def key(self) -> str:
        """What a job that sends, corrects or reads back is about."""
        return f"send:{self.id}:{self.mode}"

    @property
    def calls(self) -> CallOptions:
        """Where the calls of the mode go."""
        return CallOptions(sandbox=self.mode == "rehearsal")

    @property
    def source(self) -> Path:
        """The sheet as it was uploaded."""
        return self.folder / SHEET / self.state.file

    @property
    def sheet_input(self) -> SheetInput:
        """The sheet for the use cases, corrections included."""
        return SheetInput(path=self.source, cells=self.corrections, **asdict(self.state.reading))

    @property
    def has_sheet(self) -> bool:
        """False for a batch that was begun elsewhere (by the command line, by a colleague), or is done."""
        return self.source.is_file()

    @property
    def mapping(self) -> Path:
        return self.folder / "mapping.yaml"

    @property
    def mapping_text(self) -> str:
        """The mapping, line ends as they are; "" if there is none."""
        return self.mapping.read_bytes().decode("utf-8") if self.mapping.exists() else ""

    @property
    def mapping_digest(self) -> str:
        """Identifies the mapping as it is now."""
        return hashlib.sha256(self.mapping_text.encode()).hexdigest()

    @property
    def mapping_changed(self) -> bool:
        """Whether the mapping is another one than when the batch began."""
        return bool(self.mapping_text and self.here.mapped and self.here.mapped != self.mapping_digest)

    @property
    def corrections(self) -> dict[tuple[int, int], str]:
        """The corrected cells by place: row as Excel numbers it, column from 0."""
        corrected = self.state.corrections.items()
        return {(row, column): text for row, cells in corrected for column, text in cells.items()}

    def mark_of(self, row: StoredRow) -> str:
        """What a person made of the row's status, "" if nothing. As in the results file it counts until the
        row changes: it was taken over then, or is out of date."""
        mark, changed_at = self.here.marks.get(row.number, ("", ""))
        return mark if changed_at == row.changed_at else ""

    def changed(self, **changes: Any) -> WebImport:
        """The import with these parts of its state changed, those of the mode too, and saved. A use case may
        have saved something in its own thread: that stays."""
        own = {name: changes.pop(name) for name in _OF_MODE & changes.keys()}
        with _saving:
            state = _read_state(self.folder / STATE) or self.state
            if own:
                here = replace(state.modes.get(self.mode, ModeState()), **own)
                changes["modes"] = {**state.modes, self.mode: here}
            kept = replace(self, state=replace(state, **changes))
            _write(self.folder / STATE, _STATE.dump_json(kept.state))
        return kept

    def save_mapping(self, text: str) -> None:
        """The mapping's text, exactly as it is."""
        _write(self.mapping, text.encode("utf-8"))


class Imports:
    """All imports begun on the screen. home: IMPORTER_HOME."""

    def __init__(self, home: Path) -> None:
        self._root = Home(home).uploads

    def new(self, file: str, mode: Mode) -> WebImport:
        """A folder in which a sheet of that name can be put; no import before its state is saved."""
        folder = self._root / f"u-{secrets.token_hex(8)}"
        with plain_errors(folder):
            for each in (self._root, folder, folder / SHEET):
                private_folder(each)
        return WebImport(folder.name, folder, ImportState(file, iso(time.time())), mode)

    def find(self, wanted: str, mode: Mode) -> WebImport | None:
        """The import of that id; None if there is none, or if it cannot be read."""
        folder = self._root / wanted
        state = _read_state(folder / STATE) if ID_SHAPE.fullmatch(wanted) else None
        return None if state is None else WebImport(wanted, folder, state, mode)

    def all(self, mode: Mode) -> list[WebImport]:
        """Every import, in no order."""
        folders = self._root.iterdir() if self._root.is_dir() else ()
        return [each for folder in folders if (each := self.find(folder.name, mode))]

    def discard(self, own: WebImport) -> None:
        """Remove its folder and everything in it."""
        shutil.rmtree(own.folder, ignore_errors=True)

    def discard_remains(self) -> None:
        """Remove the folders in which an upload was cut off."""
        for folder in self._root.glob("u-*"):
            if not (folder / STATE).exists():
                shutil.rmtree(folder, ignore_errors=True)


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


async def file_part(request: web.Request) -> BodyPartReader:
    """The file of a form, not read yet. Raises SheetError if the form has none."""
    reader = request.get(MULTIPART)
    part = None if reader is None else await reader.next()
    if isinstance(part, BodyPartReader) and part.filename:
        return part
    raise SheetError("No file was chosen.", remedy="Choose a file, or drop it on the page.")


async def receive_sheet(part: BodyPartReader, path: Path) -> None:
    """The file as it arrives. Raises FileError; HTTPRequestEntityTooLarge while it arrives; SheetError for a
    workbook that unpacks to too much, as its own directory says (its reader unpacks no more than that)."""
    size_bytes = 0
    with draft_beside(path) as draft:
        while chunk := await part.read_chunk(CHUNK_BYTES):
            size_bytes += len(chunk)
            if size_bytes > UPLOAD_MAX_BYTES:
                raise too_large()
            await asyncio.to_thread(draft.stream.write, chunk)
        await asyncio.to_thread(draft.put, path)
    if await asyncio.to_thread(_unpacked_bytes, path) > UPLOAD_UNPACKED_MAX_BYTES:
        most = UPLOAD_UNPACKED_MAX_BYTES >> 20
        raise SheetError(
            f"The workbook unpacks to more than {most} MB, the most that can be uploaded.",
            where=path.name,
            remedy=SMALLER,
        )


def _unpacked_bytes(path: Path) -> int:
    if not zipfile.is_zipfile(path):
        return 0
    try:
        with zipfile.ZipFile(path) as archive:
            return sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError):
        return 0  # opening the sheet will say what is wrong with it


async def receive_text(request: web.Request) -> str:
    """An uploaded mapping file's text. Raises SheetError where it is none."""
    part = await file_part(request)
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
