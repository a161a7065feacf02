"""The line that `run` and `resume` send over: to the tenant of the settings, or to the embedded sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from importer.cli.connection import log_calls, log_exchange

if TYPE_CHECKING:
    from importer.posting import Orders
    from importer.sending import Line
    from importer.settings import Settings
    from importer.staging import Asked


@asynccontextmanager
async def line_to(settings: Settings, orders: Orders, *, shared: bool = True) -> AsyncIterator[Line]:
    """An open line. shared: other windows of this tenant on this computer keep the same pace."""
    from importer.sending import connected

    log_calls(settings)
    async with connected(
        settings.base_url,
        settings.keys,
        settings.rate,
        orders,
        shared=settings.home if shared else None,
        on_exchange=log_exchange,
    ) as line:
        yield line


@asynccontextmanager
async def rehearsing(batch: str, rate: str | None, asked: Asked) -> AsyncIterator[Settings]:
    """The embedded sandbox as this rehearsal left it; it knows whatever the sheet asks it to look up."""
    from pydantic import SecretStr

    from importer.credentials import Keys
    from importer.home import home
    from importer.sandbox import Sandbox, SandboxOptions
    from importer.settings import Settings, load_rate

    limit = load_rate(rate)
    users = [value for lookup, values in asked.items() if lookup.kind == "user" for value in values.values()]
    accounts = {
        lookup.by: list(values.values()) for lookup, values in asked.items() if lookup.kind == "account"
    }
    store = rehearsal_store(home().sandbox, batch)
    async with Sandbox(SandboxOptions(store=store, users=users, accounts=accounts)) as sandbox:
        keys = Keys(SecretStr(sandbox.access_key), SecretStr(sandbox.secret_key))
        yield Settings(sandbox.url, keys, limit, home(), "the embedded sandbox")


def rehearsal_store(folder: Path, batch: str) -> Path:
    """Where the sandbox keeps what a rehearsal created."""
    return folder / f"{batch}.sqlite"
