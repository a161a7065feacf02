"""Step 2, Mapping: what each column becomes, as a form or as text, with the first activities beside it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import available_timezones

from aiohttp import web

from importer.app.connecting import try_values
from importer.app.options import CallOptions
from importer.app.staging import AskedValues
from importer.errors import ImporterError, MappingError, SheetError
from importer.mapping.mapping import Mapping
from importer.mapping.references import NotFound
from importer.mapping.row_mapper import Part
from importer.mapping.yaml_file import FIELDS, MappingText, Mistake, MistakesError
from importer.sheets import Row, open_sheet
from importer.starter.entries import Entry, Proposal, propose
from importer.starter.look import Guesses, local_zone, look_at_sheet
from importer.web import mapping_form
from importer.web.imports import WebImport, receive_text
from importer.web.mapping_form import FilledIn, FormLine, event_code, filled_in, lines_of
from importer.web.screen import Route, Screen, form_of, see_other, step_path
from importer.web.sheet_step import sheet_options

ACTIVITIES_SHOWN: Final = 3
EXAMPLES_SHOWN: Final = 3
TOPS_KEPT: Final = 50
NO_LINE: Final = -1
DOUBLED: Final = "Another line fills this field already. Choose another field, or do not send one of them."


@dataclass(frozen=True)
class SheetTop:
    """The sheet's headings and first rows. known: what its columns seem to be, by heading; proposed: the
    starter mapping's text."""

    header: tuple[str, ...]
    rows: tuple[Row, ...]
    known: dict[str, FormLine]
    proposed: str


@dataclass(frozen=True)
class CheckedMapping:
    """What a mapping's text gives. mistakes: what is wrong with it, with its place; problem: the same as one
    text, "" if it can be used; rows: the first ones, each with the parts of its activity."""

    mistakes: tuple[Mistake, ...] = ()
    problem: str = ""
    rows: tuple[tuple[int, list[Part]], ...] = ()


@dataclass(frozen=True)
class Note:
    """What the form says at a line: mistakes of the mapping, and cells with what becomes of them."""

    mistakes: tuple[str, ...]
    examples: tuple[Part, ...]


class MappingStep:
    """The pages of this step."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._tops: dict[tuple[str, str], SheetTop] = {}

    def routes(self) -> list[Route]:
        base = "/imports/{import_id}/mapping"
        return [
            ("GET", base, self.page),
            ("POST", base, self.save),
            ("POST", f"{base}/live", self.live),
            ("POST", f"{base}/try/{{number}}", self.try_lookup),
            ("GET", f"{base}/text", self.text_page),
            ("POST", f"{base}/text", self.save_text),
            ("POST", f"{base}/load", self.load),
            ("GET", f"{base}/download", self.download),
        ]

    async def page(self, request: web.Request, own: WebImport) -> web.Response:
        """The form."""
        if not own.has_sheet:
            return see_other(step_path(own.id, "results"))
        try:
            top = await self._top(own)
        except SheetError:
            return see_other(step_path(own.id, "sheet"))
        try:
            text = MappingText(_text_of(own))
        except MappingError:
            return see_other(f"{step_path(own.id, 'mapping')}/text")
        lines = lines_of(text, top.header, top.known)
        checked = await asyncio.to_thread(check_text, own, text.text(), top)
        return self._screen.show(
            request, "mapping.html", heading="Mapping", step="mapping", own=own, lines=lines, checked=checked,
            event=event_code(text), types=mapping_form.TYPES, send_as=mapping_form.SEND_AS,
            zones=sorted(available_timezones()), reached=["sheet"],
            notes=notes_of({line.number: line.key for line in lines}, checked),
        )  # fmt: skip

    async def live(self, request: web.Request, own: WebImport) -> web.Response:
        """What the form says so far, kept; the answer is the preview and each line's mistakes."""
        own, filled, top = await self._filled(request, own)
        checked = await asyncio.to_thread(check_text, own, filled.text.text(), top)
        notes = notes_of(filled.keys, checked, filled.doubled)
        return self._screen.piece("mapping_live.html", keys=filled.keys, checked=checked, notes=notes)

    async def try_lookup(self, request: web.Request, own: WebImport) -> web.Response:
        """The first values of a line, looked up in LeadSquared as they will be before sending."""
        own, filled, top = await self._filled(request, own)
        number = request.match_info["number"]
        key = filled.keys.get(int(number), "") if number.isascii() and number.isdigit() else ""
        try:
            asked = _asked_of(own, filled.text.text(), top, key)
            calls = CallOptions(sandbox=self._screen.rehearsal)
            found = await asyncio.to_thread(asyncio.run, try_values(asked, calls)) if asked else {}
        except ImporterError as error:
            return self._screen.piece("mapping_tried.html", tried=[], problem=str(error))
        tried = [
            (value, answer.message if isinstance(answer, NotFound) else "found")
            for lookup, values in asked.items()
            for folded, value in values.items()
            if (answer := found.get((lookup, folded))) is not None
        ]
        return self._screen.piece("mapping_tried.html", tried=tried, problem="")

    async def save(self, request: web.Request, own: WebImport) -> web.Response:
        """Check: keep the form and go on, or show what is missing."""
        own, filled, top = await self._filled(request, own)
        checked = await asyncio.to_thread(check_text, own, filled.text.text(), top)
        return see_other(step_path(own.id, "mapping" if checked.problem else "check"))

    async def text_page(self, request: web.Request, own: WebImport) -> web.Response:
        """The mapping as text, with its mistakes by line."""
        if not own.has_sheet:
            return see_other(step_path(own.id, "results"))
        top = await self._top(own)
        text = _text_of(own)
        checked = await asyncio.to_thread(check_text, own, text, top)
        return self._screen.show(
            request, "mapping_text.html", heading="Mapping", step="mapping", own=own, text=text,
            checked=checked, reached=["sheet"],
        )  # fmt: skip

    async def save_text(self, request: web.Request, own: WebImport) -> web.Response:
        """Keep the text as it was typed, mistakes and all."""
        form = await form_of(request)
        typed = form.get("text", "").replace("\r\n", "\n")
        if typed != _text_of(own).replace("\r\n", "\n"):
            own.save_mapping(typed)
            own.changed(loaded=True)
        return see_other(f"{step_path(own.id, 'mapping')}/text")

    async def load(self, request: web.Request, own: WebImport) -> web.Response:
        """A mapping file of the person's, byte for byte."""
        try:
            text = await receive_text(request)
            reading = _reading_of(MappingText(text))
        except ImporterError as error:
            self._screen.say(str(error), bad=True)
        else:
            own.save_mapping(text)
            own.changed(loaded=True, **reading)
            self._screen.say("The mapping was loaded.")
        return see_other(step_path(own.id, "mapping"))

    async def download(self, request: web.Request, own: WebImport) -> web.Response:
        """The mapping file, named after the sheet."""
        if own.has_sheet:
            await self._top(own)
        elif not own.mapping.exists():
            raise web.HTTPNotFound(text="The mapping of this import is where it was started.")
        return attachment(own.mapping.read_bytes(), f"{Path(own.state.file).stem}.yaml", "application/yaml")

    async def _filled(self, request: web.Request, own: WebImport) -> tuple[WebImport, FilledIn, SheetTop]:
        """The form taken over into the mapping, and saved where it changes something."""
        form = await form_of(request)
        top = await self._top(own)
        before = _text_of(own)
        filled = filled_in(before, form)
        if filled.text.text() != before:
            own.save_mapping(filled.text.text())
            own = own.changed(loaded=True)
        return own, filled, top

    async def _top(self, own: WebImport) -> SheetTop:
        """The sheet's top, read once for each way to read it; the mapping is proposed if there is none."""
        key = (own.id, repr(sheet_options(own)))
        if key not in self._tops:
            for old in list(self._tops)[: max(0, len(self._tops) - TOPS_KEPT)]:
                del self._tops[old]
            self._tops[key] = await asyncio.to_thread(_read_top, own)
        if not own.mapping.exists():
            own.save_mapping(self._tops[key].proposed)
        return self._tops[key]


def attachment(content: bytes, name: str, kind: str) -> web.Response:
    """A file to be saved under that name."""
    return web.Response(
        body=content,
        headers={
            "Content-Type": kind,
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        },
    )


def check_text(own: WebImport, text: str, top: SheetTop) -> CheckedMapping:
    """The mapping as the loader sees it, on the sheet's first rows."""
    try:
        mapping = Mapping.of_text(text.removeprefix("\ufeff"), str(own.mapping))
        mapper = mapping.bind(top.header)
    except MistakesError as error:
        return CheckedMapping(error.mistakes, str(error))
    except MappingError as error:
        return CheckedMapping(problem=str(error))
    return CheckedMapping(rows=tuple((row.number, mapper.parts(row)) for row in top.rows))


def notes_of(
    keys: dict[int, str], checked: CheckedMapping, doubled: frozenset[int] = frozenset()
) -> dict[int, Note]:
    """Mistakes and examples by the line's number; those of no line under `NO_LINE`."""
    numbers = {key: number for number, key in keys.items() if key and number not in doubled}
    mistakes: dict[int, list[str]] = {number: [DOUBLED] for number in doubled}
    for mistake in checked.mistakes:
        place = mistake.path.split(" → ")
        key = place[1] if place[0] == FIELDS and len(place) > 1 else place[0]
        mistakes.setdefault(numbers.get(key, NO_LINE), []).append(mistake.text)
    notes = {}
    for number in {*numbers.values(), *mistakes}:
        parts = [
            part
            for _, row in checked.rows
            for part in row
            if part.shown and numbers.get(part.name) == number and part.shown != part.sent
        ]
        notes[number] = Note(tuple(mistakes.get(number, ())), tuple(parts[:EXAMPLES_SHOWN]))
    return notes


def _reading_of(text: MappingText) -> dict[str, Any]:
    """How a mapping says that its sheet is read, as parts of the import's state."""
    found: dict[str, Any] = {}
    for name in ("sheet", "encoding", "delimiter", "header_row"):
        value = text.block((name,))
        if isinstance(value, str) and value:
            found[name] = value
    row = found.pop("header_row", "")
    return {**found, "header_row": int(row)} if row.isascii() and row.isdigit() and len(row) < 8 else found


def _asked_of(own: WebImport, text: str, top: SheetTop, key: str) -> AskedValues:
    """What the line of that key asks for, in the sheet's first rows. Raises MappingError."""
    mapping = Mapping.of_text(text.removeprefix("\ufeff"), str(own.mapping))
    mapper = mapping.bind(top.header)
    plans = {plan.name: plan for plan in (mapping.company, *mapping.fields)}
    lookup = plans[key].lookup if key in plans else None
    if lookup is None:
        return {}
    parts = (part for row in top.rows for part in mapper.parts(row) if part.name == key)
    return {lookup: {lookup.key(part.sent): part.sent for part in parts if part.sent}}


def _text_of(own: WebImport) -> str:
    return own.mapping.read_bytes().decode("utf-8")


def _read_top(own: WebImport) -> SheetTop:
    how = sheet_options(own)
    with open_sheet(own.source, how) as sheet:
        found = look_at_sheet(sheet, local_zone())
        proposed = propose(found, sheet, how, "mapping.yaml", None, schema_at_hand=False)
        rows = tuple(itertools.islice(sheet.rows(), ACTIVITIES_SHOWN))
        known = {line.heading: line for line in _known(found, proposed) if line.heading is not None}
        return SheetTop(sheet.header, rows, known, proposed.text)


def _known(found: Guesses, proposed: Proposal) -> Iterator[FormLine]:
    """What the starter mapping says of each column that has a heading of its own."""
    entries = {
        entry.column.index: entry
        for entry in proposed.entries
        if entry.column and entry.key and "template" not in entry.settings
    }
    for number, column in enumerate(each for each in found.columns if not each.unusable):
        entry = entries.get(column.index, Entry(""))
        block = {
            name: list(value) if isinstance(value, tuple) else value for name, value in entry.settings.items()
        }
        samples = tuple(str(seen.cell) for seen in column.seen[:3])
        yield FormLine(
            number, column.heading, entry.key if entry.active else "", "column", column.heading, block,
            column.letters, samples, column.guess.holds.value, tuple(entry.doubts),
        )  # fmt: skip
