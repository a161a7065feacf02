"""Keys: whose they are and where they came from; sign in, sign out. No key is ever sent to the page."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from aiohttp import web

from importer.app.keys import login, logout, whoami
from importer.app.options import CallOptions
from importer.errors import ImporterError
from importer.web.screen import Route, Screen, form_of, see_other

_T = TypeVar("_T")


class KeysPage:
    """The page, and its forms."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def routes(self) -> list[Route]:
        return [
            ("GET", "/keys", self.page),
            ("GET", "/keys/whose", self.whose),
            ("POST", "/keys/sign-in", self.sign_in),
            ("POST", "/keys/sign-out", self.sign_out),
        ]

    async def page(self, request: web.Request) -> web.Response:
        """The forms; whose keys there are is asked by the page, since LeadSquared may take its time."""
        return self._screen.show(request, "keys.html", heading="Keys")

    async def whose(self, request: web.Request) -> web.Response:
        """User and organisation, or why they cannot be known."""
        account, problem = None, ""
        try:
            account = await _apart(whoami(CallOptions()))
        except ImporterError as error:
            problem = str(error)
        return self._screen.piece("keys_whose.html", account=account, problem=problem)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Keys that LeadSquared accepts are kept in the system's keyring."""
        form = await form_of(request)
        host, access, secret = (form.get(name, "").strip() for name in ("host", "access", "secret"))
        try:
            account, keyring = await _apart(login(host, access, secret))
        except ImporterError as error:
            self._screen.say(str(error), bad=True)
        else:
            self._screen.say(
                f"Signed in as {account.user}, {account.organisation}. The keys are kept in {keyring}."
            )
        return see_other("/keys")

    async def sign_out(self, request: web.Request) -> web.Response:
        """The keys are removed from the keyring."""
        try:
            removed = await asyncio.to_thread(logout)
        except ImporterError as error:
            self._screen.say(str(error), bad=True)
        else:
            text = (
                "The keys were removed from the keyring." if removed else "No keys were kept in the keyring."
            )
            self._screen.say(text)
        return see_other("/keys")


async def _apart(question: Coroutine[Any, Any, _T]) -> _T:
    """In a thread with a loop of its own: keyrings and connections may block."""
    return await asyncio.to_thread(asyncio.run, question)
