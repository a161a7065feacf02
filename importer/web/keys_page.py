"""Keys: whose they are and where they came from; sign in, sign out. No key is ever sent to the page."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from importer.app.keys import login, logout, whoami
from importer.app.options import CallOptions
from importer.errors import ImporterError
from importer.web.screen import Route, Screen, form_of, see_other


async def page(screen: Screen, request: web.Request) -> web.Response:
    """The forms; whose keys there are is asked by the page, since LeadSquared may take its time."""
    return screen.show(request, "keys.html", "Keys")


async def whose(screen: Screen, request: web.Request) -> web.Response:
    """User and organisation, or why they cannot be known."""
    account, problem = None, ""
    try:
        account = await asyncio.to_thread(asyncio.run, whoami(CallOptions()))
    except ImporterError as error:
        problem = str(error)
    return screen.piece("keys_whose.html", account=account, problem=problem)


async def sign_in(screen: Screen, request: web.Request) -> web.Response:
    """Keys that LeadSquared accepts are kept in the system's keyring, which may block as connections do."""
    form = await form_of(request)
    given = (form.get(name, "").strip() for name in ("host", "access", "secret"))
    try:
        account, keyring = await asyncio.to_thread(asyncio.run, login(*given))
    except ImporterError as error:
        screen.say(str(error), bad=True)
    else:
        screen.say(f"Signed in as {account.user}, {account.organisation}. The keys are kept in {keyring}.")
    return see_other("/keys")


async def sign_out(screen: Screen, request: web.Request) -> web.Response:
    """The keys are removed from the keyring."""
    try:
        removed = await asyncio.to_thread(logout)
    except ImporterError as error:
        screen.say(str(error), bad=True)
    else:
        removal = "The keys were removed from the keyring."
        screen.say(removal if removed else "No keys were kept in the keyring.")
    return see_other("/keys")


ROUTES: Final[list[Route]] = [
    ("GET", "/keys", page),
    ("GET", "/keys/whose", whose),
    ("POST", "/keys/sign-in", sign_in),
    ("POST", "/keys/sign-out", sign_out),
]
