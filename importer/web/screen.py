"""What all pages of one server share: whose pages they are, where the imports lie, what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from aiohttp import web

from importer.app.options import DEFAULT_SETTLE_S, CallOptions, VerifyOptions
from importer.app.stores import open_store
from importer.store.store import Store
from importer.web.guard import Guard, Handler, OnceTokens
from importer.web.imports import Imports
from importer.web.jobs import Jobs
from importer.web.pages import Pages

AnyHandler = Callable[..., Awaitable[web.StreamResponse]]
Route = tuple[Literal["GET", "POST"], str, AnyHandler]
"""Method, path, and handler: of the request, and of the import if the path names one."""

SAID_MOST: Final = 20


@dataclass(frozen=True)
class Said:
    """A message for the next page: what a form has led to. bad: it was refused."""

    text: str
    bad: bool = False


class Screen:
    """One server. home: IMPORTER_HOME. rehearsal: whether sending goes to the embedded sandbox. settle_s: how
    long created activities may take to show up when they are read."""

    def __init__(self, home: Path, *, rehearsal: bool = False, settle_s: float = DEFAULT_SETTLE_S) -> None:
        self.home = home
        self.rehearsal = rehearsal
        self.settle_s: Final = settle_s
        self.guard: Final = Guard()
        self.imports: Final = Imports(home)
        self.pages: Final = Pages(self.guard.form_token)
        self.jobs: Final = Jobs()
        self.once: Final = OnceTokens()
        self._store: Store | None = None
        self._opening = asyncio.Lock()
        self._said: list[Said] = []

    def __repr__(self) -> str:
        return f"<Screen {self.guard!r} {self.mode}>"

    @property
    def mode(self) -> str:
        """Which batch of an import the pages are about: `real` or `rehearsal`."""
        return "rehearsal" if self.rehearsal else "real"

    def reading(self, batch: str, mode: str) -> VerifyOptions:
        """How a batch is read back."""
        calls = CallOptions(sandbox=mode == "rehearsal")
        return VerifyOptions(results=batch, calls=calls, settle_s=self.settle_s)

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
        """Show a message on the next page."""
        self._said = [*self._said, Said(text, bad)][-SAID_MOST:]

    def show(self, request: web.Request, template: str, *, heading: str, **shown: Any) -> web.Response:
        """A whole page, with the messages that wait for one."""
        said, self._said = self._said, []
        frame = {"heading": heading, "rehearsal": self.rehearsal, "said": said, "here": request.path}
        return self.pages.page(template, **frame, **shown)

    def piece(self, template: str, **shown: Any) -> web.Response:
        """A part of a page, for htmx."""
        return self.pages.page(template, **shown)

    def with_import(self, handler: AnyHandler) -> Handler:
        """The handler, given the import that the address names. It raises HTTPNotFound."""

        async def found(request: web.Request) -> web.StreamResponse:
            own = self.imports.find(request.match_info["import_id"])
            if own is None:
                raise web.HTTPNotFound(text="This import was not found. It may have been removed.")
            return await handler(request, own)

        return found


def see_other(path: str) -> web.Response:
    """The way from a form to the page that answers it."""
    return web.Response(status=303, headers={"Location": path})


def step_path(import_id: str, step: str) -> str:
    """The address of a step of an import."""
    return f"/imports/{import_id}/{step}"


async def form_of(request: web.Request) -> dict[str, str]:
    """A form's fields as texts, the last of each name."""
    posted = await request.post()
    return {name: value for name, value in posted.items() if isinstance(value, str)}
