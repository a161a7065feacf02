"""The server of the screen: aiohttp on loopback, until it is stopped.

async with serving(home, port=0, rehearsal=False) as screen:
    ...  # screen.guard.address is what a person opens
"""

from __future__ import annotations

import hashlib
import itertools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from importer.app.options import DEFAULT_SETTLE_S
from importer.errors import ImporterError
from importer.web import (
    check_step,
    main_pages,
    mapping_step,
    results_step,
    send_step,
    sheet_step,
)
from importer.web.guard import HEADERS, Handler
from importer.web.screen import STATIC, Screen, styles_page

LOOPBACK: Final = "127.0.0.1"
FORM_MAX_BYTES: Final = 4 << 20
"""The largest form that is not an upload: a mapping as text."""

SHUTDOWN_S: Final = 2.0
UNEXPECTED: Final = "Unexpected error. Reload the page; if it comes again, restart `importer web`."
NO_PAGE: Final = "There is no such page."

log = logging.getLogger("importer.web")
logging.getLogger("aiohttp.server").addHandler(logging.NullHandler())


@asynccontextmanager
async def serving(
    home: Path, *, port: int = 0, rehearsal: bool = False, settle_s: float = DEFAULT_SETTLE_S
) -> AsyncIterator[Screen]:
    """The screen, served while the `async with` lasts. port: 0 takes a free one. Raises OSError for one that
    is taken."""
    screen = Screen(home, rehearsal=rehearsal, settle_s=settle_s)
    screen.imports.discard_remains()
    runner = web.AppRunner(
        _application(screen), access_log=None, shutdown_timeout=SHUTDOWN_S, handle_signals=False
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, port).start()
        screen.guard.port = runner.addresses[0][1]
        yield screen
    finally:
        await screen.jobs.stop_all()
        await runner.cleanup()
        screen.close()


def _application(screen: Screen) -> web.Application:
    application = web.Application(
        client_max_size=FORM_MAX_BYTES, middlewares=[screen.guard.check, _errors_shown(screen)]
    )
    rooms = (main_pages, sheet_step, mapping_step, check_step, send_step, results_step)
    for method, path, handler in itertools.chain.from_iterable(room.ROUTES for room in rooms):
        application.router.add_route(method, path, screen.handler(handler))
    application.router.add_get("/styles.css", styles_page)
    application.router.add_static("/static", STATIC)
    application.on_response_prepare.append(_with_headers)
    return application


async def _with_headers(_request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def _errors_shown(screen: Screen) -> Middleware:
    """A middleware that turns what went wrong into a page."""

    @web.middleware
    async def shown(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as ended:
            if ended.status < 400:
                raise
            text, status = ended.text or "", ended.status
            if text in {"", f"{status}: {ended.reason}"}:  # nobody wrote it for people
                text = NO_PAGE if status in {404, 405} else ended.reason
        except ImporterError as error:
            text, status = str(error), 409
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            digest = hashlib.sha256(repr(error).encode()).hexdigest()[:6]
            text, status = f"{UNEXPECTED} ({type(error).__name__}, {digest})", 500
        response = screen.show(request, "error.html", "This did not work", text=text)
        response.set_status(status)
        return response

    return shown
