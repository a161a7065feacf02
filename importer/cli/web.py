"""`importer web`: the screen in the browser, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser

from importer.cli import options
from importer.cli.console import Console
from importer.cli.main import EXIT_INTERRUPTED
from importer.cli.serving import own_folder, until_stopped
from importer.home import Home
from importer.web.server import serving


def web(
    console: Console,
    *,
    port: options.Port = 0,
    no_open: options.NoOpen = False,
    sandbox: options.Rehearsing = False,
) -> int:
    """Import sheets in the browser, on a page of this computer.

    Until Ctrl-C, which lets calls under way end first (exit code 130).

    Prints the address first. It is for you alone: with it, rows are sent with your keys.

    \b
    Examples:
      importer web
      importer web --sandbox
      importer web --port 8080 --no-open
    """
    own = own_folder(console)
    until_stopped(_screen(console, own, port, rehearsal=sandbox, opens=not no_open), "screen", port)
    console.say("The screen has closed.")
    return EXIT_INTERRUPTED


async def _screen(console: Console, own: Home, port: int, *, rehearsal: bool, opens: bool) -> None:
    async with serving(own.root, port=port, rehearsal=rehearsal) as screen:
        console.result_now(screen.guard.address, {"url": screen.guard.address})
        console.say("Open this address in your browser. Ctrl-C ends the screen.")
        if opens and _has_windows():
            await asyncio.to_thread(webbrowser.open, screen.guard.address_once())
        # A signal that comes just before the loop waits does not wake it.
        while True:  # noqa: ASYNC110
            await asyncio.sleep(1)


def _has_windows() -> bool:
    """Whether a browser would open a window: without a display it would take over the terminal."""
    if sys.platform in {"win32", "darwin"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
