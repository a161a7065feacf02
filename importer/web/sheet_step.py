"""Step 1, Sheet: choose or drop a file, say how it is to be read, see its first rows."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from importer.app.options import SheetInput
from importer.atomic_file import write_new
from importer.errors import ImporterError, MappingError, SettingsError, SheetError
from importer.mapping.yaml_file import MappingText
from importer.settings import load_settings
from importer.sheets import SheetOptions, open_sheet
from importer.sheets.detect import Kind, find_kind
from importer.sheets.sheet import SheetChoiceError
from importer.starter.header import find_header_row
from importer.web.imports import WebImport, file_name, file_part, receive_sheet
from importer.web.screen import Route, Screen, form_of, number_in, see_other, to_step

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
DELIMITERS: Final = ((",", "Comma ,"), (";", "Semicolon ;"), ("tab", "Tab"), ("|", "Pipe |"))
SAMPLE: Final = Path(__file__).parent / "sample"
READING: Final = ("sheet", "encoding", "delimiter", "header_row")
OF_WORKBOOKS: Final = ("sheet", "header_row")
OF_TEXT: Final = ("encoding", "delimiter", "header_row")
"""How the sheet is read: parts of the import's state, and keys of a mapping."""


async def choose(screen: Screen, request: web.Request) -> web.Response:
    """The page that a file is dropped on; without keys it offers a rehearsal with a sample sheet."""
    try:
        await asyncio.to_thread(load_settings)
        has_keys = True
    except SettingsError:
        has_keys = False
    return screen.show(request, "new.html", "Sheet", offer_sample=not has_keys)


async def upload(screen: Screen, request: web.Request) -> web.Response:
    """A file arrives: it is kept if it is a spreadsheet. Nothing is left of one that was refused or that did
    not arrive to its end."""
    try:
        part = await file_part(request)
        own = screen.imports.new(file_name(part.filename or ""), screen.mode)
        try:
            await receive_sheet(part, own.source)
            own = await asyncio.to_thread(_settled_by_itself, own)
        except BaseException:
            screen.imports.discard(own)
            raise
    except ImporterError as error:
        screen.say(str(error), bad=True)
        return see_other("/new")
    return to_step(own, "sheet")


async def sample(screen: Screen, request: web.Request) -> web.Response:
    """A rehearsal with the sample sheet and its mapping."""
    screen.rehearsal = True
    own = screen.imports.new("visits.csv", screen.mode)
    write_new(own.source, (SAMPLE / "visits.csv").read_bytes().decode("utf-8"))
    own.save_mapping((SAMPLE / "visits.yaml").read_bytes().decode("utf-8"))
    return to_step(own.changed(loaded=True), "mapping")


async def page(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """How the sheet is read, and its first rows."""
    if not own.has_sheet:
        return to_step(own, "results")
    look = await asyncio.to_thread(look_at, own)
    return screen.show(
        request, "sheet.html", "Sheet", own, look=look, encodings=ENCODINGS, delimiters=DELIMITERS,
        guessed=False,
    )  # fmt: skip


async def rows(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The first rows with the settings as they stand in the form."""
    wanted = await asyncio.to_thread(_with_settings, own, dict(request.query))
    look = await asyncio.to_thread(look_at, wanted)
    guessed = wanted.state.sheet != own.state.sheet
    return screen.piece("sheet_rows.html", look=look, guessed=guessed)


async def settle(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Continue: keep the settings if the sheet can be read with them."""
    wanted = await asyncio.to_thread(_with_settings, own, await form_of(request))
    look = await asyncio.to_thread(look_at, wanted)
    if _reading(wanted) != _reading(own):
        _keep_in_mapping(own, _reading(wanted))
    own.changed(**_reading(wanted))
    return to_step(own, "sheet" if look["problem"] else "mapping")


def readings_of(own: WebImport) -> tuple[str, ...]:
    """Which of READING the import's kind of file has: a mapping may serve both formats. Raises SheetError."""
    return OF_TEXT if find_kind(own.source) is Kind.TEXT else OF_WORKBOOKS


def sheet_options(own: WebImport) -> SheetOptions:
    """How the import's sheet is read."""
    return SheetOptions(hidden=own.state.hidden, **_reading(own))


def sheet_input(own: WebImport) -> SheetInput:
    """The import's sheet for the use cases, corrections included."""
    return SheetInput(path=own.source, hidden=own.state.hidden, cells=own.corrections, **_reading(own))


def look_at(own: WebImport) -> dict[str, Any]:
    """The sheet as it is read now, for the page. text: whether it is one. names: the sheets of a workbook.
    problem: why it cannot be read this way, "" if it can."""
    how = sheet_options(own)
    look: dict[str, Any] = {
        "text": False, "names": (), "name": how.sheet or "", "header_row": how.header_row or 1, "problem": "",
    }  # fmt: skip
    try:
        look["text"] = find_kind(own.source) is Kind.TEXT
        with open_sheet(own.source, how) as sheet:
            look |= {"names": sheet.sheet_names, "name": sheet.name or "", "header_row": sheet.header_row}
            look |= {"header": sheet.header, "rows": list(itertools.islice(sheet.rows(), ROWS_SHOWN))}
            look |= {"hidden_rows": sheet.hidden_rows, "warnings": list(sheet.warnings)}
    except SheetError as error:
        names = error.names if isinstance(error, SheetChoiceError) else look["names"]
        look |= {"names": names, "problem": str(error)}
    return look


def _settled_by_itself(own: WebImport) -> WebImport:
    """What can be found out without asking: the first visible sheet, the row of the headings.

    Raises SheetError for a file that is no spreadsheet at all.
    """
    find_kind(own.source)
    try:
        with open_sheet(own.source, SheetOptions(hidden="include")):
            pass
    except SheetChoiceError as error:
        own = own.having(sheet=error.names[0] if error.names else None)
    except SheetError:
        pass  # the page says what is wrong, beside the fields that may settle it
    return own.changed(**_reading(_with_header_row(own)))


def _keep_in_mapping(own: WebImport, reading: dict[str, Any]) -> None:
    """The mapping says how the sheet is read, too: a guessed one is guessed again, another one is changed."""
    if not own.state.loaded:
        own.mapping.unlink(missing_ok=True)
        return
    try:
        text = MappingText(own.mapping_text)
    except MappingError:
        return  # the person corrects it as text
    for name, value in reading.items():
        if value is not None and (value != 1 or text.block((name,)) is not None):
            text.set((name,), str(value))
    own.save_mapping(text.text())


def _reading(own: WebImport) -> dict[str, Any]:
    return {name: getattr(own.state, name) for name in READING}


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
    before = own.state.header_row
    wanted = own.having(
        sheet=given.get("sheet") or own.state.sheet,
        encoding=given.get("encoding") or None,
        delimiter=given.get("delimiter") or None,
        header_row=number_in(given.get("header_row", "").strip()) or before,
    )
    if wanted.state.sheet != own.state.sheet and wanted.state.header_row == (before or 1):
        return _with_header_row(wanted)
    return wanted


BASE: Final = "/imports/{import_id}/sheet"
ROUTES: Final[list[Route]] = [
    ("GET", "/new", choose),
    ("POST", "/new", upload),
    ("POST", "/sample", sample),
    ("GET", BASE, page),
    ("GET", f"{BASE}/rows", rows),
    ("POST", BASE, settle),
]
