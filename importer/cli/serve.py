"""`importer web`, `sandbox`: what serves on this computer until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import sys
import webbrowser
from collections.abc import Coroutine
from typing import Any

from importer.cli import options
from importer.cli.console import Console
from importer.cli.main import EXIT_INTERRUPTED
from importer.cli.progress import ends_at_sigterm
from importer.errors import SettingsError
from importer.home import Home, home
from importer.sandbox.rules import FaultsError, FaultsFile, SandboxOptions, load_faults
from importer.sandbox.server import Sandbox, serve
from importer.sandbox.tenant import StoreFileError
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
    own = _own_folder(console)
    _until_stopped(_screen(console, own, port, rehearsal=sandbox, opens=not no_open), "screen", port)
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


def sandbox(
    console: Console,
    *,
    port: options.Port = 0,
    faults: options.FaultsFile = None,
    rate: options.SandboxRate = "25/5",
    penalty: options.Penalty = 5.0,
    latency: options.Latency = 0.1,
    lag: options.Lag = 0.0,
) -> int:
    """Serve a LeadSquared tenant on this computer, for rehearsals, until Ctrl-C.

    Prints its URL and keys first. What it created stays in a file under IMPORTER_HOME.

    \b
    Examples:
      importer sandbox
      importer sandbox --port 8080 --rate 10/5 --latency 0.3
      importer sandbox --faults faults.yaml
    """
    own = _own_folder(console)
    try:
        simulated = load_faults(faults) if faults else FaultsFile()
    except FaultsError as error:
        raise SettingsError(f"{error}.", remedy="Correct the faults file.") from error
    asked = SandboxOptions(
        port=port,
        faults=simulated,
        rate=rate,
        penalty_s=penalty,
        latency_s=latency,
        lag_s=lag,
        store=own.sandbox / "served",
        any_account=True,
    )
    try:
        _until_stopped(serve(asked, on_ready=lambda made: _show_keys(console, made)), "sandbox", port)
    except StoreFileError as error:
        raise SettingsError(
            f"What the sandbox created cannot be kept ({error}).",
            where=str(asked.store),
            remedy="Delete that file, or end the other sandbox that uses it.",
        ) from error
    console.say("The sandbox has stopped.")
    return 0


def _show_keys(console: Console, sandbox: Sandbox) -> None:
    shown = {
        "url": sandbox.url,
        "access_key": sandbox.access_key,
        "secret_key": sandbox.secret_key,
        "token": sandbox.admin_token,
    }
    console.result_now(
        f"LEADSQUARED_HOST={sandbox.url}\n"
        f"LEADSQUARED_ACCESS_KEY={sandbox.access_key}\n"
        f"LEADSQUARED_SECRET_KEY={sandbox.secret_key}",
        shown,
    )
    console.say(
        "Put these lines into the environment, or into a file .env, to send to this sandbox. Ctrl-C ends it."
    )


def _own_folder(console: Console) -> Home:
    own = home()
    for notice in own.prepare():
        console.warn(notice)
    return own


def _until_stopped(serving_it: Coroutine[Any, Any, None], what: str, port: int) -> None:
    """Serves until Ctrl-C. Raises SettingsError where the port is not free."""
    with ends_at_sigterm():
        try:
            asyncio.run(serving_it)
        except KeyboardInterrupt:
            return
        except OSError as error:
            raise SettingsError(
                f"The {what} cannot be served on port {port} ({error.strerror or error}).",
                remedy="Choose another --port, or 0 for a free one.",
            ) from error
