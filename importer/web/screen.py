"""What all pages of one server share: whose pages they are, where the imports lie, what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

from aiohttp import web

from importer.app.options import DEFAULT_SETTLE_S
from importer.app.stores import open_store
from importer.store.store import Store
from importer.web.guard import Guard, Handler, OnceTokens
from importer.web.imports import Imports, Mode, WebImport
from importer.web.jobs import Jobs
from importer.web.pages import templates

Route = tuple[Literal["GET", "POST"], str, Callable[..., Awaitable[web.StreamResponse]]]
"""Method, path, and handler: of the screen, the request, and the import if the path names one."""

SAID_MOST: Final = 20


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

    def close(self) -> None:
        """After the last page."""
        if self._store is not None:
            self._store.close()

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a message on the next page: what a form has led to. bad: it was refused."""
        self._said = [*self._said, (text, bad)][-SAID_MOST:]

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
