"""Step 2, Mapping: what each column becomes, as a form or as text, with the first activities beside it."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import available_timezones

from aiohttp import web

from importer.app.connecting import try_values
from importer.app.staging import AskedValues
from importer.errors import ImporterError, MappingError, SheetError
from importer.mapping.mapping import Mapping
from importer.mapping.row_mapper import Part
from importer.mapping.values import Fault
from importer.mapping.yaml_file import FIELDS, MappingText, Mistake, MistakesError
from importer.sheets import Row, SheetOptions, open_sheet
from importer.starter.entries import Entry, Proposal, propose
from importer.starter.look import Guesses, local_zone, look_at_sheet
from importer.web import mapping_form
from importer.web.imports import WebImport, receive_text
from importer.web.mapping_form import FilledIn, FormLine
from importer.web.screen import Route, Screen, attachment, form_of, number_in, to_step
from importer.web.sheet_step import readings_of

ACTIVITIES_SHOWN: Final = 3
EXAMPLES_SHOWN: Final = 3
TOPS_KEPT: Final = 50
NO_LINE: Final = -1
DOUBLED: Final = "Another line fills this field already. Choose another field, or do not send one of them."
DOUBLED_AT_CHECK: Final = "Two lines fill {}. Choose another field for one of them, or do not send it."


class SheetTop(NamedTuple):
    """The sheet's headings and first rows. known: what its columns seem to be, by heading; proposed: the
    starter mapping's text."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    known: dict[str, FormLine]
    proposed: str


class CheckedMapping(NamedTuple):
    """What a mapping's text gives. mapping: None while it cannot be used. mistakes: what is wrong with it,
    with its place; problem: the same as one text, "" if it can be used; rows: the first ones, each with the
    parts of its activity."""

    mapping: Mapping | None = None
    mistakes: tuple[Mistake, ...] = ()
    problem: str = ""
    rows: tuple[tuple[int, list[Part]], ...] = ()


async def page(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The form."""
    if not own.has_sheet:
        return to_step(own, "results")
    try:
        top = await _top(own)
    except SheetError:
        return to_step(own, "sheet")
    try:
        text = MappingText(own.mapping_text)
    except MappingError:
        return to_step(own, "mapping/text")
    lines = mapping_form.lines_of(text, top.header, top.known)
    checked = await asyncio.to_thread(check_text, own, text.text(), top)
    return screen.show(
        request, "mapping.html", "Mapping", own, lines=lines, checked=checked,
        notes=notes_of({line.number: line.key for line in lines}, checked),
        event=mapping_form.event_code(text), types=mapping_form.TYPES, send_as=mapping_form.SEND_AS,
        more_settings=mapping_form.MORE_SETTINGS, zones=sorted(available_timezones()),
    )  # fmt: skip


async def live(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """What the form says so far, kept; the answer is the preview and each line's mistakes."""
    filled, checked = await _filled(request, own)
    notes = notes_of(filled.keys, checked, filled.doubled)
    return screen.piece("mapping_live.html", keys=filled.keys, checked=checked, notes=notes)


async def try_lookup(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The first values of a line, looked up in LeadSquared as they will be before sending."""
    filled, checked = await _filled(request, own)
    number = number_in(request.match_info["number"])
    asked = _asked_of(checked, filled.keys.get(NO_LINE if number is None else number, ""))
    try:
        found = await asyncio.to_thread(asyncio.run, try_values(asked, own.calls)) if asked else {}
    except ImporterError as error:
        return screen.piece("mapping_tried.html", tried=[], problem=str(error))
    tried = [
        (value, answer.message if isinstance(answer, Fault) else "found")
        for lookup, values in asked.items()
        for folded, value in values.items()
        if (answer := found.get((lookup, folded))) is not None
    ]
    return screen.piece("mapping_tried.html", tried=tried, problem=checked.problem)


async def save(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Check: keep the form and go on, or show what is missing."""
    filled, checked = await _filled(request, own)
    for field in dict.fromkeys(filled.doubled.values()):
        screen.say(DOUBLED_AT_CHECK.format(mapping_form.shown_name(field)), bad=True)
    return to_step(own, "mapping" if filled.doubled or checked.problem else "check")


async def text_page(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The mapping as text, with its mistakes by line."""
    if not own.has_sheet:
        return to_step(own, "results")
    top = await _top(own)
    text = own.mapping_text
    checked = await asyncio.to_thread(check_text, own, text, top)
    return screen.show(request, "mapping_text.html", "Mapping", own, text=text, checked=checked)


async def save_text(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Keep the text as it was typed, mistakes and all."""
    form = await form_of(request)
    typed = form.get("text", "").replace("\r\n", "\n")
    if typed != own.mapping_text.replace("\r\n", "\n"):
        own.save_mapping(typed)
        own.changed(loaded=True)
    return to_step(own, "mapping/text")


async def load(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """A mapping file of the person's, byte for byte; how it says that the sheet is read counts too."""
    with screen.errors_said():
        text = await receive_text(request)
        blocks = {name: MappingText(text).block((name,)) for name in readings_of(own)}
        reading: dict[str, Any] = {
            name: said for name, said in blocks.items() if said and isinstance(said, str)
        }
        row = number_in(reading.pop("header_row", ""))
        reading |= {"header_row": row} if row else {}
        own.save_mapping(text)
        own.changed(loaded=True, reading=replace(own.state.reading, **reading))
        screen.say("The mapping was loaded.")
    return to_step(own, "mapping")


async def download(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The mapping file, named after the sheet."""
    if own.has_sheet:
        await _top(own)
    elif not own.mapping.exists():
        raise web.HTTPNotFound(text="The mapping of this import is where it was started.")
    return attachment(own.mapping.read_bytes(), f"{Path(own.state.file).stem}.yaml", "application/yaml")


async def _filled(request: web.Request, own: WebImport) -> tuple[FilledIn, CheckedMapping]:
    """The form taken over into the mapping, and saved where it changes something."""
    form = await form_of(request)
    top = await _top(own)
    filled = mapping_form.filled_in(own.mapping_text, form)
    text = filled.text.text()
    if text != own.mapping_text:
        own.save_mapping(text)
        own.changed(loaded=True)
    return filled, await asyncio.to_thread(check_text, own, text, top)


async def _top(own: WebImport) -> SheetTop:
    """The sheet's top; the mapping is proposed if there is none."""
    top = await asyncio.to_thread(_read_top, own.source, own.state.reading)
    if not own.mapping.exists():
        own.save_mapping(top.proposed)
    return top


def check_text(own: WebImport, text: str, top: SheetTop) -> CheckedMapping:
    """The mapping as the loader sees it, on the sheet's first rows."""
    try:
        mapping = Mapping.of_text(text.removeprefix("\ufeff"), str(own.mapping))
        mapper = mapping.bind(top.header)
    except MistakesError as error:
        return CheckedMapping(mistakes=error.mistakes, problem=str(error))
    except MappingError as error:
        return CheckedMapping(problem=str(error))
    return CheckedMapping(mapping, rows=tuple((row.number, mapper.parts(row)) for row in top.rows))


def notes_of(
    keys: dict[int, str], checked: CheckedMapping, doubled: Iterable[int] = ()
) -> dict[int, dict[str, Any]]:
    """What the form says at each line, by its number (at none: `NO_LINE`): mistakes of the mapping, and cells
    with what becomes of them."""
    numbers = {key: number for number, key in keys.items() if key}
    mistakes: dict[int, list[str]] = {number: [DOUBLED] for number in doubled}
    for mistake in checked.mistakes:
        place = mistake.path.split(" → ")
        key = place[1] if place[0] == FIELDS and len(place) > 1 else place[0]
        mistakes.setdefault(numbers.get(key, NO_LINE), []).append(mistake.text)
    examples: dict[int, list[Part]] = {}
    for part in itertools.chain.from_iterable(parts for _, parts in checked.rows):
        if part.shown and part.name in numbers and part.shown != part.sent:
            examples.setdefault(numbers[part.name], []).append(part)
    return {
        number: {"mistakes": mistakes.get(number, ()), "examples": examples.get(number, [])[:EXAMPLES_SHOWN]}
        for number in {*mistakes, *examples}
    }


def _asked_of(checked: CheckedMapping, key: str) -> AskedValues:
    """What the line of that key asks for, in the sheet's first rows."""
    mapping = checked.mapping
    specs = (mapping.company, *mapping.fields) if mapping else ()
    lookup = next((each.lookup for each in specs if each.name == key), None)
    if lookup is None:
        return {}
    parts = (part for _, parts in checked.rows for part in parts if part.name == key)
    return {lookup: {lookup.key(part.sent): part.sent for part in parts if part.sent}}


@functools.lru_cache(maxsize=TOPS_KEPT)
def _read_top(source: Path, how: SheetOptions) -> SheetTop:
    """Read once for each way to read it. Raises SheetError."""
    with open_sheet(source, how) as sheet:
        found = look_at_sheet(sheet, local_zone())
        proposed = propose(found, sheet, how, "mapping.yaml", None, schema_at_hand=False)
        rows = tuple(itertools.islice(sheet.rows(), ACTIVITIES_SHOWN))
        known = _known(found, proposed)
        return SheetTop(sheet.header, rows, known, proposed.text)


def _known(found: Guesses, proposed: Proposal) -> dict[str, FormLine]:
    """What the starter mapping says of each column that has a heading of its own, by heading."""
    entries = {
        entry.column.index: entry
        for entry in proposed.entries
        if entry.column and entry.key and "template" not in entry.settings
    }
    known: dict[str, FormLine] = {}
    for column in (each for each in found.columns if not each.unusable):
        entry = entries.get(column.index, Entry(""))
        block = {
            name: list(value) if isinstance(value, tuple) else value for name, value in entry.settings.items()
        }
        known[column.heading] = FormLine(
            0, column.heading, entry.key if entry.active else "", block, letters=column.letters,
            samples=tuple(str(seen.cell) for seen in column.seen[:3]), doubts=tuple(entry.doubts),
        )  # fmt: skip
    return known


BASE: Final = "/imports/{import_id}/mapping"
ROUTES: Final[list[Route]] = [
    ("GET", BASE, page),
    ("POST", BASE, save),
    ("POST", f"{BASE}/live", live),
    ("POST", f"{BASE}/try/{{number}}", try_lookup),
    ("GET", f"{BASE}/text", text_page),
    ("POST", f"{BASE}/text", save_text),
    ("POST", f"{BASE}/load", load),
    ("GET", f"{BASE}/download", download),
]
