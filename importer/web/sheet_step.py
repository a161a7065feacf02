"""Step 1, Sheet: choose or drop a file, say how it is to be read, see its first rows."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from importer.app.options import SheetInput
from importer.atomic_file import write_new
from importer.errors import ImporterError, MappingError, SettingsError, SheetError
from importer.mapping.yaml_file import MappingText
from importer.settings import load_settings
from importer.sheets import Row, SheetOptions, open_sheet
from importer.sheets.detect import Kind, find_kind
from importer.sheets.sheet import SheetChoiceError
from importer.starter.header import find_header_row
from importer.web.imports import SHEET, WebImport, receive_sheet
from importer.web.screen import Route, Screen, form_of, see_other, step_path

ROWS_SHOWN: Final = 8
ENCODINGS: Final = (
    ("utf-8", "UTF-8"),
    ("cp1252", "Windows, Western Europe (cp1252)"),
    ("cp1250", "Windows, Central Europe (cp1250)"),
    ("cp1251", "Windows, Cyrillic (cp1251)"),
    ("cp1256", "Windows, Arabic (cp1256)"),
    ("latin-1", "ISO 8859-1"),
    ("utf-16", "UTF-16"),
    ("mac_roman", "Mac"),
    ("cp932", "Japanese (cp932)"),
    ("gb18030", "Chinese (GB 18030)"),
)
SAMPLE: Final = Path(__file__).parent / "sample"
SAMPLE_SHEET: Final = SAMPLE / "visits.csv"
SAMPLE_MAPPING: Final = SAMPLE / "visits.yaml"
DELIMITER_CHOICES: Final = ((",", "Comma ,"), (";", "Semicolon ;"), ("tab", "Tab"), ("|", "Pipe |"))


@dataclass(frozen=True)
class SheetLook:
    """A sheet as the page shows it. problem: why it cannot be read this way, "" if it can. names: the sheets
    of a workbook. hidden_rows: rows that a filter hides."""

    text: bool
    header_row: int
    names: tuple[str, ...] = ()
    name: str = ""
    header: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    hidden_rows: int = 0
    warnings: tuple[str, ...] = ()
    problem: str = ""


class SheetStep:
    """The pages of this step."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def routes(self) -> list[Route]:
        return [
            ("GET", "/new", self.choose),
            ("POST", "/new", self.upload),
            ("POST", "/sample", self.sample),
            ("GET", "/imports/{import_id}/sheet", self.page),
            ("GET", "/imports/{import_id}/sheet/rows", self.rows),
            ("POST", "/imports/{import_id}/sheet", self.settle),
        ]

    async def choose(self, request: web.Request) -> web.Response:
        """The page that a file is dropped on."""
        return await show_new(self._screen, request)

    async def upload(self, request: web.Request) -> web.Response:
        """A file arrives: it is kept if it is a spreadsheet."""
        try:
            begun = await receive_sheet(request, self._screen.imports)
        except SheetError as error:
            self._screen.say(str(error), bad=True)
            return see_other("/new")
        try:
            begun = await asyncio.to_thread(_settled_by_itself, begun)
        except ImporterError as error:
            self._screen.imports.discard(begun.id)
            self._screen.say(str(error), bad=True)
            return see_other("/new")
        return see_other(step_path(begun.id, "sheet"))

    async def sample(self, request: web.Request) -> web.Response:
        """A rehearsal with the sample sheet and its mapping."""
        imports = self._screen.imports
        made, folder = imports.new_folder()
        write_new(folder / SHEET / SAMPLE_SHEET.name, SAMPLE_SHEET.read_bytes().decode("utf-8"))
        begun = imports.begin(made, SAMPLE_SHEET.name)
        begun.save_mapping(SAMPLE_MAPPING.read_bytes().decode("utf-8"))
        begun.changed(loaded=True)
        self._screen.rehearsal = True
        return see_other(step_path(made, "mapping"))

    async def page(self, request: web.Request, own: WebImport) -> web.Response:
        """How the sheet is read, and its first rows."""
        if not own.has_sheet:
            return see_other(step_path(own.id, "results"))
        look = await asyncio.to_thread(look_at, own)
        return self._screen.show(
            request, "sheet.html", heading="Sheet", step="sheet", own=own, look=look, encodings=ENCODINGS,
            delimiters=DELIMITER_CHOICES,
        )  # fmt: skip

    async def rows(self, request: web.Request, own: WebImport) -> web.Response:
        """The first rows with the settings as they stand in the form."""
        wanted = await asyncio.to_thread(_with_settings, own, dict(request.query))
        look = await asyncio.to_thread(look_at, wanted)
        guessed = wanted.state.sheet != own.state.sheet
        return self._screen.piece("sheet_rows.html", look=look, guessed=guessed)

    async def settle(self, request: web.Request, own: WebImport) -> web.Response:
        """Continue: keep the settings if the sheet can be read with them."""
        wanted = await asyncio.to_thread(_with_settings, own, await form_of(request))
        look = await asyncio.to_thread(look_at, wanted)
        if _reading(wanted) != _reading(own):
            _keep_in_mapping(own, _reading(wanted))
        own.changed(**_reading(wanted))
        if look.problem:
            return see_other(step_path(own.id, "sheet"))
        return see_other(step_path(own.id, "mapping"))


async def show_new(screen: Screen, request: web.Request) -> web.Response:
    """The page that a file is dropped on; without keys it offers a rehearsal with a sample sheet."""
    offer_sample = not await asyncio.to_thread(_has_keys)
    return screen.show(request, "new.html", heading="Sheet", step="sheet", offer_sample=offer_sample)


def _has_keys() -> bool:
    try:
        load_settings()
    except SettingsError:
        return False
    return True


def sheet_options(own: WebImport) -> SheetOptions:
    """How the import's sheet is read."""
    return SheetOptions(hidden=own.state.hidden, **_reading(own))


def sheet_input(own: WebImport) -> SheetInput:
    """The import's sheet for the use cases, corrections included."""
    return SheetInput(path=own.source, hidden=own.state.hidden, cells=own.corrections, **_reading(own))


def look_at(own: WebImport) -> SheetLook:
    """The sheet's first rows as they are read now."""
    how, text = sheet_options(own), False
    names: tuple[str, ...] = ()
    try:
        text = find_kind(own.source) is Kind.TEXT
        with open_sheet(own.source, how) as sheet:
            names = sheet.sheet_names
            return SheetLook(
                text=text,
                header_row=sheet.header_row,
                names=names,
                name=sheet.name or "",
                header=sheet.header,
                rows=tuple(itertools.islice(sheet.rows(), ROWS_SHOWN)),
                hidden_rows=sheet.hidden_rows,
                warnings=tuple(sheet.warnings),
            )
    except SheetChoiceError as error:
        return SheetLook(text, how.header_row or 1, names=error.names, problem=str(error))
    except SheetError as error:
        return SheetLook(text, how.header_row or 1, names=names, name=how.sheet or "", problem=str(error))


def _settled_by_itself(own: WebImport) -> WebImport:
    """What can be found out without asking: the first visible sheet, the row of the headings.

    Raises SheetError for a file that is no spreadsheet at all.
    """
    find_kind(own.source)
    try:
        with open_sheet(own.source, SheetOptions(hidden="include")):
            pass
    except SheetChoiceError as error:
        own = own.changed(sheet=error.names[0]) if error.names else own
    except SheetError:
        pass  # the page says what is wrong, beside the fields that may settle it
    return own.changed(**_reading(_with_header_row(own)))


def _keep_in_mapping(own: WebImport, reading: dict[str, Any]) -> None:
    """The mapping says how the sheet is read, too: a guessed one is guessed again, another one is changed."""
    if not own.mapping.exists():
        return
    if not own.state.loaded:
        own.mapping.unlink()
        return
    try:
        text = MappingText(own.mapping.read_bytes().decode("utf-8"))
    except MappingError:
        return  # the person corrects it as text
    for name, value in reading.items():
        if value is not None and (value != 1 or text.block((name,)) is not None):
            text.set((name,), str(value))
    own.save_mapping(text.text())


def _reading(own: WebImport) -> dict[str, Any]:
    """How the sheet is read, as parts of the state."""
    return {name: getattr(own.state, name) for name in ("sheet", "encoding", "delimiter", "header_row")}


def _with_header_row(own: WebImport) -> WebImport:
    """The import with the row of its headings as it is guessed; not saved."""
    try:
        guess = find_header_row(own.source, replace(sheet_options(own), header_row=None))
    except SheetError:
        return own
    return own.having(header_row=guess.row)


def _with_settings(own: WebImport, given: dict[str, str]) -> WebImport:
    """The import read with the settings of a form; not saved. Another sheet has its headings elsewhere: they
    are looked for there, unless the person said where they are."""
    row = given.get("header_row", "").strip()
    before = own.state.header_row
    wanted = own.having(
        sheet=given.get("sheet") or own.state.sheet,
        encoding=given.get("encoding") or None,
        delimiter=given.get("delimiter") or None,
        header_row=int(row) if row.isascii() and row.isdigit() and len(row) < 8 else before,
    )
    if wanted.state.sheet != own.state.sheet and wanted.state.header_row == (before or 1):
        return _with_header_row(wanted)
    return wanted
