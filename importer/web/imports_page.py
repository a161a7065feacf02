"""Imports: all that were begun here, and the batches of the whole team; also the first page."""

from __future__ import annotations

from aiohttp import web

from importer.web.guard import local_path
from importer.web.screen import Screen, form_of, see_other
from importer.web.sheet_step import show_new


class ImportsPage:
    """The list of imports, and the switch between rehearsal and LeadSquared."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self.first),
            web.get("/imports", self.page),
            web.post("/rehearsal", self.switch),
        ]

    async def first(self, request: web.Request) -> web.Response:
        """The imports, or the page that a first sheet is dropped on."""
        if any(True for _ in self._screen.imports.all()):
            return await self.page(request)
        return await show_new(self._screen, request)

    async def page(self, request: web.Request) -> web.Response:
        """Every import with its state."""
        begun = list(self._screen.imports.all())
        return self._screen.show(request, "imports.html", heading="Imports", begun=begun)

    async def switch(self, request: web.Request) -> web.Response:
        """To the rehearsal, or back to LeadSquared."""
        form = await form_of(request)
        self._screen.rehearsal = form.get("rehearsal") == "on"
        return see_other(local_path(form.get("here", "/")))
