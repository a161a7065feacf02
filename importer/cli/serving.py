"""What serves on this computer until Ctrl-C: the screen, the sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from importer.cli.console import Console
from importer.cli.progress import ends_at_sigterm
from importer.errors import SettingsError
from importer.home import Home, home


def own_folder(console: Console) -> Home:
    own = home()
    for notice in own.prepare():
        console.warn(notice)
    return own


def until_stopped(serving_it: Coroutine[Any, Any, None], what: str, port: int) -> None:
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
