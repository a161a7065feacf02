"""Imports: all that were begun here, and the batches of the whole team; also the first page."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from importer.app.records import BatchStatus
from importer.app.stores import batch_status, erase, erase_question, list_batches, store_info
from importer.store.records import is_batch_id
from importer.web.guard import local_path
from importer.web.imports import WebImport, file_name
from importer.web.screen import Route, Screen, form_of, see_other, step_path
from importer.web.send_step import is_done, send_key
from importer.web.sheet_step import show_new
from importer.wording import count

SHOWN_MOST: Final = 200


@dataclass(frozen=True)
class Listed:
    """One line of the list. path: where it leads. begun_at: seconds since 1970, or UTC as text. status: of
    its batch, None while nothing was sent. running: here or elsewhere."""

    name: str
    path: str
    begun_at: float | str
    status: BatchStatus | None
    running: bool
    removable: str = ""

    @property
    def rehearsal(self) -> bool:
        return self.status is not None and self.status.rehearsal


class ImportsPage:
    """The list of imports, and the switch between rehearsal and LeadSquared."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def routes(self) -> list[Route]:
        return [
            ("GET", "/", self.first),
            ("GET", "/imports", self.page),
            ("GET", "/imports/{import_id}", self.one),
            ("GET", "/batches/{batch}", self.batch),
            ("POST", "/rehearsal", self.switch),
            ("POST", "/imports/{import_id}/remove", self.remove),
            ("GET", "/imports/{import_id}/erase", self.ask_to_erase),
            ("POST", "/imports/{import_id}/erase", self.erase),
            ("GET", "/store", self.store),
        ]

    async def first(self, request: web.Request) -> web.Response:
        """The imports, or the page that a first sheet is dropped on."""
        return await (self.page(request) if await self._listed() else show_new(self._screen, request))

    async def page(self, request: web.Request) -> web.Response:
        """Every import with its state; running ones live."""
        listed = await self._listed()
        return self._screen.show(
            request, "imports.html", heading="Imports", listed=listed[:SHOWN_MOST],
            running=any(one.running for one in listed), hidden=max(0, len(listed) - SHOWN_MOST),
        )  # fmt: skip

    async def one(self, request: web.Request, own: WebImport) -> web.Response:
        """An import at the step where it is."""
        store = await self._screen.store()
        batch = own.state.batches.get(self._screen.mode)
        known = {one.batch: one for one in await asyncio.to_thread(list_batches, store)} if batch else {}
        return see_other(self._path(own, known.get(batch or "")))

    async def batch(self, request: web.Request) -> web.Response:
        """Any batch, as an import of this screen."""
        named = request.match_info["batch"]
        if not is_batch_id(named):
            raise web.HTTPNotFound(text="This import was not found.")
        store = await self._screen.store()
        status = await asyncio.to_thread(batch_status, named, store)
        self._screen.rehearsal = status.rehearsal
        if status.erased:
            self._screen.say("The data of this import was erased.")
            return see_other("/imports")
        own = self._screen.imports.of_batch(named)
        if own is None:
            made, _ = self._screen.imports.new_folder()
            own = self._screen.imports.begin(made, file_name(Path(status.source).name))
            own = own.changed_in(self._screen.mode, batches=named)
        return see_other(self._path(own, status))

    async def switch(self, request: web.Request) -> web.Response:
        """To the rehearsal, or back to LeadSquared."""
        form = await form_of(request)
        self._screen.rehearsal = form.get("rehearsal") == "on"
        return see_other(local_path(form.get("here", "/")))

    async def remove(self, request: web.Request, own: WebImport) -> web.Response:
        """Remove an import of which nothing was sent: the uploaded sheet, and everything about it."""
        store = await self._screen.store()
        known = {one.batch for one in await asyncio.to_thread(list_batches, store)}
        running = any(self._screen.jobs.running(send_key(own, mode)) for mode in ("real", "rehearsal"))
        if running or known & set(own.state.batches.values()):
            self._screen.say("Rows of this import were sent, so it was not removed.", bad=True)
        else:
            await asyncio.to_thread(self._screen.imports.discard, own.id)
            self._screen.say("The import was removed.")
        return see_other("/imports")

    async def ask_to_erase(self, request: web.Request, own: WebImport) -> web.Response:
        """What erasing means, before it is done."""
        batch = own.state.batches.get(self._screen.mode)
        if batch is None:
            return see_other("/imports")
        question = await asyncio.to_thread(erase_question, batch, await self._screen.store())
        return self._screen.show(
            request, "erase.html", heading="Erase", step="results", own=own, question=question, batch=batch
        )

    async def erase(self, request: web.Request, own: WebImport) -> web.Response:
        """Yes, erase: the batch's customer data, and the uploaded sheet."""
        form = await form_of(request)
        mode = self._screen.mode
        batch = own.state.batches.get(mode)
        if batch is None or form.get("batch") != batch:
            return see_other("/imports")
        erased = await asyncio.to_thread(erase, batch, await self._screen.store())
        if set(own.state.batches) == {mode}:
            self._screen.imports.discard(own.id)
        else:
            own.changed_in(mode, batches=None)
        left = [
            f"It is still in {path}: delete that file yourself." for path in erased.files if path.is_file()
        ]
        self._screen.say("\n".join([f"The data of {count(erased.rows, 'row')} was removed.", *left]))
        return see_other("/imports")

    async def store(self, request: web.Request) -> web.Response:
        """Where the imports are kept, how much that is, and who runs what."""
        info = await asyncio.to_thread(store_info, await self._screen.store())
        return self._screen.show(request, "store.html", heading="Store", info=info)

    async def _listed(self) -> list[Listed]:
        """Imports begun here, and all other batches, the newest first."""
        store = await self._screen.store()
        batches = {one.batch: one for one in await asyncio.to_thread(list_batches, store)}
        begun = await asyncio.to_thread(lambda: list(self._screen.imports.all()))
        lines: list[Listed] = []
        taken: set[str] = set()
        for own in begun:
            mine = {mode: batches[batch] for mode, batch in own.state.batches.items() if batch in batches}
            taken |= {status.batch for status in mine.values()}
            for mode, status in mine.items():
                running = status.running or self._screen.jobs.running(send_key(own, mode)) is not None
                path = f"/batches/{status.batch}"
                lines.append(Listed(own.state.file, path, status.created_at, status, running=running))
            if not mine and own.has_sheet:
                path = self._path(own, None)
                lines.append(
                    Listed(own.state.file, path, own.state.begun_at, None, running=False, removable=own.id)
                )
        for status in batches.values():
            if status.batch not in taken:
                name = Path(status.source).name
                path = f"/batches/{status.batch}"
                lines.append(Listed(name, path, status.created_at, status, running=status.running))
        return sorted(lines, key=lambda one: _moment(one.begun_at), reverse=True)

    def _path(self, own: WebImport, status: BatchStatus | None) -> str:
        """The step where an import is."""
        if self._screen.jobs.running(send_key(own, self._screen.mode)) or (status and status.running):
            return step_path(own.id, "progress")
        if status is not None:
            return step_path(own.id, "results" if is_done(status) else "progress")
        return step_path(own.id, "mapping" if own.mapping.exists() else "sheet")


def _moment(at: float | str) -> float:
    return at if isinstance(at, int | float) else dt.datetime.fromisoformat(at).timestamp()
