"""Step 1, Sheet: choose or drop a file, say how it is to be read, see its first rows."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from importer.atomic_file import write_new
from importer.errors import MappingError, SettingsError, SheetError
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
"""How the sheet is read, as a mapping says it, too."""


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
    with screen.errors_said():
        part = await file_part(request)
        own = screen.imports.new(file_name(part.filename or ""), screen.mode)
        try:
            await receive_sheet(part, own.source)
            own = await asyncio.to_thread(_settled_by_itself, own)
        except BaseException:
            screen.imports.discard(own)
            raise
        return to_step(own, "sheet")
    return see_other("/new")


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
    look = await asyncio.to_thread(look_at, own.source, own.state.reading)
    return screen.show(
        request, "sheet.html", "Sheet", own, look=look, encodings=ENCODINGS, delimiters=DELIMITERS,
        guessed=False,
    )  # fmt: skip


async def rows(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The first rows with the settings as they stand in the form."""
    wanted = await asyncio.to_thread(_wanted, own, dict(request.query))
    look = await asyncio.to_thread(look_at, own.source, wanted)
    return screen.piece("sheet_rows.html", look=look, guessed=wanted.sheet != own.state.reading.sheet)


async def settle(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Continue: keep the settings if the sheet can be read with them."""
    wanted = await asyncio.to_thread(_wanted, own, await form_of(request))
    look = await asyncio.to_thread(look_at, own.source, wanted)
    if wanted != own.state.reading:
        _keep_in_mapping(own, wanted)
    own.changed(reading=wanted)
    return to_step(own, "sheet" if look["problem"] else "mapping")


def readings_of(own: WebImport) -> tuple[str, ...]:
    """Which of READING the import's kind of file has: a mapping may serve both formats. Raises SheetError."""
    return OF_TEXT if find_kind(own.source) is Kind.TEXT else OF_WORKBOOKS


def look_at(source: Path, how: SheetOptions) -> dict[str, Any]:
    """The sheet as it is read so, for the page. text: whether it is one. names: the sheets of a workbook.
    problem: why it cannot be read this way, "" if it can."""
    look: dict[str, Any] = {
        "text": False, "names": (), "name": how.sheet or "", "header_row": how.header_row or 1, "problem": "",
    }  # fmt: skip
    try:
        look["text"] = find_kind(source) is Kind.TEXT
        with open_sheet(source, how) as sheet:
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
    name = None
    try:
        with open_sheet(own.source, SheetOptions(hidden="include")):
            pass
    except SheetChoiceError as error:
        name = error.names[0] if error.names else None
    except SheetError:
        pass  # the page says what is wrong, beside the fields that may settle it
    return own.changed(reading=_with_header_row(own.source, SheetOptions(sheet=name)))


def _keep_in_mapping(own: WebImport, reading: SheetOptions) -> None:
    """The mapping says how the sheet is read, too: a guessed one is guessed again, another one is changed."""
    if not own.state.loaded:
        own.mapping.unlink(missing_ok=True)
        return
    try:
        text = MappingText(own.mapping_text)
    except MappingError:
        return  # the person corrects it as text
    for name in READING:
        value = getattr(reading, name)
        if value is not None and (value != 1 or text.block((name,)) is not None):
            text.set((name,), str(value))
    own.save_mapping(text.text())


def _with_header_row(source: Path, how: SheetOptions) -> SheetOptions:
    """With the row of the headings as it is guessed."""
    try:
        return replace(how, header_row=find_header_row(source, replace(how, header_row=None)).row)
    except SheetError:
        return how


def _wanted(own: WebImport, given: dict[str, str]) -> SheetOptions:
    """How a form says that the sheet is read. Another sheet has its headings elsewhere: they are looked for
    there, unless the person said where they are."""
    before = own.state.reading
    wanted = replace(
        before,
        sheet=given.get("sheet") or before.sheet,
        encoding=given.get("encoding") or None,
        delimiter=given.get("delimiter") or None,
        header_row=number_in(given.get("header_row", "").strip()) or before.header_row,
    )
    if wanted.sheet != before.sheet and wanted.header_row == (before.header_row or 1):
        return _with_header_row(own.source, wanted)
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
