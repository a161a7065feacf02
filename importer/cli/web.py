"""`importer web`: the screen in the browser, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser
from pathlib import Path

from importer.cli import options
from importer.cli.console import Console
from importer.cli.main import EXIT_INTERRUPTED
from importer.cli.progress import ends_at_sigterm
from importer.errors import SettingsError
from importer.home import home
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
    own = home()
    for notice in own.prepare():
        console.warn(notice)
    with ends_at_sigterm():
        try:
            asyncio.run(_serve(console, own.root, port, rehearsal=sandbox, opens=not no_open))
        except KeyboardInterrupt:
            console.say("The screen has closed.")
        except OSError as error:
            raise SettingsError(
                f"The screen cannot be served on port {port} ({error.strerror or error}).",
                remedy="Choose another --port, or 0 for a free one.",
            ) from error
    return EXIT_INTERRUPTED


async def _serve(console: Console, root: Path, port: int, *, rehearsal: bool, opens: bool) -> None:
    async with serving(root, port=port, rehearsal=rehearsal) as screen:
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
