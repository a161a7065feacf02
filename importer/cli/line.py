"""The line that `run` and `resume` send over: to the tenant of the settings, or to the embedded sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from importer.cli.connection import log_calls
from importer.support_log import log_call

if TYPE_CHECKING:
    from importer.leadsquared.answers import CurrentUser
    from importer.sending.engine import Line
    from importer.sending.run_state import Orders
    from importer.settings import Settings
    from importer.staging import Asked


@asynccontextmanager
async def line_to(settings: Settings, orders: Orders, *, shared: bool = True) -> AsyncIterator[Line]:
    """An open line. shared: other windows of this tenant on this computer keep the same pace."""
    from importer.sending.engine import connected

    log_calls(settings)
    async with connected(
        settings.base_url,
        settings.keys,
        settings.rate,
        orders,
        shared=settings.home if shared else None,
        on_exchange=log_call,
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


@asynccontextmanager
async def connect_for(
    batch: str, orders: Orders, host: str | None, rate: str | None, *, rehearsal: bool, asked: Asked
) -> AsyncIterator[tuple[Settings, Line, CurrentUser]]:
    """The line that a batch is resumed over, and whose keys it is.

    Raises SettingsError or TenantError (exit 2), and WorkError (exit 3) when the tenant cannot be reached:
    the batch waits.
    """
    from importer.address import check_host
    from importer.errors import WorkError
    from importer.leadsquared.calls import Unreachable
    from importer.settings import load_settings

    async with AsyncExitStack() as stack:
        settings = (
            await stack.enter_async_context(rehearsing(batch, rate, asked))
            if rehearsal
            else load_settings(host=host, rate=rate)
        )
        line = await stack.enter_async_context(line_to(settings, orders, shared=not rehearsal))
        try:
            user = await line.tenant.current_user()
            wrong = check_host(settings.base_url, user.api_host)
            if wrong is not None:
                raise wrong
            yield settings, line, user
        except Unreachable as error:  # of whoami, or of what is looked up before anything is sent
            raise WorkError(error.what, where=error.where, remedy=error.remedy) from error


def rehearsal_store(folder: Path, batch: str) -> Path:
    """Where the sandbox keeps what a rehearsal created."""
    return folder / f"{batch}.sqlite"
