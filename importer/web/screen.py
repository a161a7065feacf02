"""What all pages of one server share: whose pages they are, where the imports lie, what is under way; and how
a page is made of a template and what it shows. Everything is escaped; cells have a direction of their own."""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from importer.app.options import DEFAULT_SETTLE_S
from importer.app.records import BatchStatus
from importer.app.stores import batch_status, open_store
from importer.errors import ImporterError, ResultsError
from importer.mapping.choices import asked_for
from importer.sheets.rows import column_letters
from importer.store.records import Shown
from importer.store.store import Store
from importer.text import NAME_LENGTH_MAX, count, duration, expected, shown
from importer.web.guard import Guard, Handler, OnceTokens
from importer.web.imports import Imports, Mode, WebImport
from importer.web.jobs import Jobs
from importer.web.mapping_form import shown_name, texts_of

Route = tuple[Literal["GET", "POST"], str, Callable[..., Awaitable[web.StreamResponse]]]
"""Method, path, and handler: of the screen, the request, and the import if the path names one."""

SAID_MOST: Final = 20
HERE: Final = Path(__file__).parent
LINES_MOST: Final = 60
LINE_LENGTH_MAX: Final = 2_000
_BUTTONS: Final = {
    "check": "Check", "correct": "Correct", "login": "“Sign in” on Keys", "resume": "Resume",
    "status": "Imports", "verify": "Read back", "whoami": "Keys",
}  # fmt: skip
_FIELDS: Final = {"format": "Format", "timezone": "Time zone", "locale": "the language of month names"}
_SCREENS_WORDS: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        # What only the command line can change, and other ways to do the same there.
        (r" \((?:--|or use|or `\w+:|if it really|`importer check` shows)[^()]*\)", ""),
        (r"; `--max-attempts` allows more", ""),
        (r"stop it there with Ctrl-C", "stop it there"),
        (r"`--timeout`", "the time-out"),
        (r"`?--rate`?", "LEADSQUARED_RATE"),
        (r"Check LEADSQUARED_ACCESS_KEY and LEADSQUARED_SECRET_KEY", "Check access key and secret key"),
        (r"(Check (?:the network and )?)LEADSQUARED_HOST", r"\1the host"),
        # What a person does on the screen where the command line has an option or a command.
        (r"`accept: \[[\w-]+\]` in the mapping, or --accept [\w-]+|use --accept [\w-]+", "say so below"),
        (r"--accept [\w-]+(?= sends)", "Accepting it"),
        (r"use --skip-invalid to leave it out", "leave the invalid rows out"),
        (r"Use `?--hidden include`? to send .*--hidden skip`? to leave them out", "Choose below"),
        (r"To send (.+) on purpose, use --again\. .*:$", r"Open the earlier import, or send \1 on purpose."),
        (r"Send one row with `?--canary 1`? first: it is read back( and compared)?", "Try 3 rows first"),
        (r"`?resume`?(?: with)? --retry-failed`?", "Resume with “Send failed rows again”"),
        (r"with `?-m MAPPING --remap`?", "with the corrected mapping"),
        (r"`importer resume RESULTS -m MAPPING --remap`", "press Resume"),
        (r"rebuild it here with `importer resume RESULTS -m MAPPING`", "rebuild it with the command line"),
        (r"Write the file again with --results PATH:\s+importer resume \S+", "Resume writes the file again."),
        (r"`importer correct RESULTS --overwrite`", "Correct with “Also overwrite”"),
        (r"so that --undo can restore it", "so that it can be taken back"),
        (r"Start from `importer init`, or a sample", "Load one, or remove this import and begin again"),
        (r"keep them in the system's keyring: importer login", "sign in on Keys."),
        (r"needs none of them: --sandbox", "needs none of them."),
        (rf"`(?:importer )?({'|'.join(_BUTTONS)})(?: RESULTS)?`", lambda found: _BUTTONS[found[1]]),
        # Fields of the pages.
        (r"`by` must be the schema name", "“Look up by” must be the schema name"),
        (r", `company_type` the account type's name", "; the account type is under “More settings”"),
        (
            r"check `by: (\S+)` (\(.*?\)) and `company_type: (.+?)` in the mapping",
            r"check “Look up by” (\1) \2 and the account type (\3) on Mapping",
        ),
        (
            r'[Ss]et `decimal: "\."` in the mapping if (.+?), or `decimal: ","` if it',
            r"Set the decimal mark on Mapping: Point if \1, Comma if it",
        ),
        (
            r'Set in the mapping how dates are written, such as format: "(.+?)"',
            r"Correct the cell, or set Format on Mapping, such as \1",
        ),
        (rf"`({'|'.join(_FIELDS)})`(?= in the mapping| beside)", lambda found: _FIELDS[found[1]]),
        (r"the row of the headings in the mapping, for example `header_row: 1`", "Header row on Sheet"),
        (r"`header_row:?`(?: in the mapping)?", "Header row on Sheet"),
        (r"in the sheet, or add it to (?:the list|`one_of` or `values`) in the mapping",
         "here, or add it to the allowed values on Mapping"),
        (r"change `decimal`", "change the decimal mark under “More settings”"),
        (r"in the results file, then resume", "here, then press Resume"),
        (r"set import_status to `(\w+)`", r"set its status to \1"),
        (r"to `created` with its Id pasted into import_activity_id", "to created with its Id beside it"),
        (r"(?:use|try) --encoding ([^\s.;]+)", r"choose \1 in Encoding on Sheet"),
        (r"(check )?(?:with )?`?--(encoding|delimiter)`?",
         lambda found: f"{found[1] or 'in '}{found[2].capitalize()} on Sheet"),
        (r"Name one with --sheet, or with `sheet:` in the mapping", "Choose one"),
    )
)  # fmt: skip
STATIC: Final = Path(__file__).parent / "static"
PICO: Final = STATIC / "pico.classless.min.css"
OWN: Final = STATIC / "screen.css"
_PICTURE: Final = re.compile(r'url\("data:[^"]*"\)')


class Screen:
    """One server. home: IMPORTER_HOME. rehearsal: whether sending goes to the embedded sandbox. settle_s: how
    long created activities may take to show up when they are read."""

    def __init__(self, home: Path, *, rehearsal: bool = False, settle_s: float = DEFAULT_SETTLE_S) -> None:
        self.rehearsal = rehearsal
        self.settle_s: Final = settle_s
        self.guard: Final = Guard()
        self.imports: Final = Imports(home)
        self.jobs: Final = Jobs()
        self.once: Final = OnceTokens()
        self._templates: Final = templates(self.guard.form_token)
        self._store: Store | None = None
        self._opening = asyncio.Lock()
        self._said: list[tuple[str, bool]] = []

    @property
    def mode(self) -> Mode:
        """Which batch of an import the pages are about."""
        return "rehearsal" if self.rehearsal else "real"

    async def store(self) -> Store:
        """The store in force, opened when it is first needed. Raises StoreUnusableError."""
        async with self._opening:
            if self._store is None:
                self._store = await asyncio.to_thread(open_store)
            return self._store

    async def status_of(self, own: WebImport) -> BatchStatus | None:
        """How the import's batch stands; None while it has none."""
        if not own.here.batch:
            return None
        try:
            return await asyncio.to_thread(batch_status, own.here.batch, await self.store())
        except ResultsError:
            return None

    def close(self) -> None:
        """After the last page."""
        if self._store is not None:
            self._store.close()

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a message on the next page: what a form has led to. bad: it was refused."""
        self._said = [*self._said, (text, bad)][-SAID_MOST:]

    @contextmanager
    def errors_said(self) -> Iterator[None]:
        """In here, what cannot be done is said on the next page."""
        try:
            yield
        except ImporterError as error:
            self.say(str(error), bad=True)

    def show(
        self, request: web.Request, template: str, heading: str, own: WebImport | None = None, **shown: Any
    ) -> web.Response:
        """A whole page, with the messages that wait for one that a person opens."""
        said: list[tuple[str, bool]] = []
        if "HX-Request" not in request.headers:
            said, self._said = self._said, []
        frame = {"heading": heading, "rehearsal": self.rehearsal, "said": said, "here": request.path}
        if own is not None:
            frame["once"] = self.once.current(own.key)
        return self.piece(template, own=own, **frame, **shown)

    def piece(self, template: str, **shown: Any) -> web.Response:
        """A part of a page, for htmx."""
        return web.Response(text=self.render(template, **shown), content_type="text/html", charset="utf-8")

    def render(self, template: str, **shown: Any) -> str:
        """A template, filled in."""
        return self._templates.get_template(template).render(**shown)

    def handler(self, handler: Callable[..., Awaitable[web.StreamResponse]]) -> Handler:
        """The handler of a request alone; of one whose path names an import, it raises HTTPNotFound."""

        async def found(request: web.Request) -> web.StreamResponse:
            if "import_id" not in request.match_info:
                return await handler(self, request)
            own = self.imports.find(request.match_info["import_id"], self.mode)
            if own is None:
                raise web.HTTPNotFound(text="This import was not found. It may have been removed.")
            return await handler(self, request, own)

        return found


def see_other(path: str) -> web.Response:
    """The way from a form to the page that answers it."""
    return web.Response(status=303, headers={"Location": path})


def to_step(own: WebImport, step: str) -> web.Response:
    """The way to a step of an import."""
    return see_other(f"/imports/{own.id}/{step}")


async def form_of(request: web.Request) -> dict[str, str]:
    """A form's fields as texts, the last of each name."""
    posted = await request.post()
    return {name: value for name, value in posted.items() if isinstance(value, str)}


def answers_in(form: dict[str, str]) -> dict[str, str]:
    """What was chosen in a form, by the questions' keys."""
    return {key: value for name, value in form.items() if (key := name.removeprefix("answer.")) != name}


def number_in(text: str) -> int | None:
    """A number of a form or an address; None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else None


def attachment(content: bytes, name: str, kind: str) -> web.Response:
    """A file to be saved under that name."""
    placed = f"attachment; filename*=UTF-8''{quote(name)}"
    return web.Response(body=content, headers={"Content-Type": kind, "Content-Disposition": placed})


def templates(form_token: str) -> Environment:
    """The templates, with what every page needs: the form's token, and filters."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        cell=cell, message=message, words=words, sent=sent, place=shown_name, texts=texts_of, plain=shown,
        moment=moment, number="{:,}".format, count=count, duration=duration, expected=expected,
        letters=column_letters,
    )  # fmt: skip
    made.globals.update(form_token=form_token, statuses=tuple(Shown))
    return made


def cell(text: object, most: int = NAME_LENGTH_MAX) -> Markup:
    """Somebody's words on one line, in an element of their own reading direction."""
    return Markup("<bdi>{}</bdi>").format(shown(str(text), most))


def message(text: object) -> Markup:
    """A message of several lines, each on one of its own."""
    lines = screen_words(text).splitlines()[:LINES_MOST]
    return Markup("<br>").join(Markup("<bdi>{}</bdi>").format(shown(line, LINE_LENGTH_MAX)) for line in lines)


def moment(at: str) -> Markup:
    """A moment in UTC; the page's script shows it in the reader's own time zone."""
    when = dt.datetime.fromisoformat(at).astimezone(dt.UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        when.isoformat(timespec="seconds"), f"{when:%Y-%m-%d %H:%M} UTC"
    )


def words(text: object, most: int = NAME_LENGTH_MAX) -> Markup:
    """A sentence of the importer's, in the screen's own words, on one line."""
    return cell(screen_words(text), most)


def sent(value: object, most: int = NAME_LENGTH_MAX) -> Markup:
    """A value of an activity; one that is still to be looked up says so."""
    asked = asked_for(str(value))
    return cell(value if asked is None else f"{asked} (looked up)", most)


def screen_words(text: object) -> str:
    """A message in the screen's own words: the command line's options are of no use here."""
    said = str(text)
    for pattern, words in _SCREENS_WORDS:
        said = pattern.sub(words, said)
    return said


@functools.cache
def stylesheet() -> str:
    """Pico's icons are `data:` addresses, which the pages' policy does not let in: they are left out, and the
    browser draws what needs one."""
    return _PICTURE.sub("none", PICO.read_text(encoding="utf-8")) + OWN.read_text(encoding="utf-8")


async def styles_page(_request: web.Request) -> web.Response:
    """All styles in one answer, so that there is never one half of them."""
    return web.Response(text=stylesheet(), content_type="text/css", charset="utf-8")
