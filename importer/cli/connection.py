"""A connection for one command: the tenant behind the settings, or the embedded sandbox, and the log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from importer.home import home
from importer.support_log import hide, log_call, open_log

if TYPE_CHECKING:
    from importer.leadsquared.answers import CurrentUser
    from importer.leadsquared.calls import Tenant
    from importer.settings import Settings

PATIENCE_S: Final = 60.0
"""How long a single question waits for its place in a tenant's used-up allowance."""


@asynccontextmanager
async def connected(
    settings: Settings, *, timeout_s: float = 60.0, connections: int = 4, patience_s: float = PATIENCE_S
) -> AsyncIterator[Tenant]:
    """The tenant, for a command that asks a few questions. Its calls are logged, its keys are not."""
    from importer.leadsquared.calls import Tenant
    from importer.leadsquared.client import LeadSquared
    from importer.pacing.pacing import Pace

    log_calls(settings)
    api = LeadSquared(
        settings.base_url,
        settings.keys,
        timeout_s=timeout_s,
        connections=connections,
        on_exchange=log_call,
    )
    async with api:
        yield Tenant(api, Pace(settings.rate), patience_s=patience_s)


@asynccontextmanager
async def embedded_sandbox(rate: str | None = None) -> AsyncIterator[Settings]:
    """The sandbox, served in this process; the settings that reach it."""
    from pydantic import SecretStr

    from importer.credentials import Keys
    from importer.sandbox.options import SandboxOptions
    from importer.sandbox.server import Sandbox
    from importer.settings import Settings, load_rate

    own = home()
    own.prepare()
    limit = load_rate(rate)
    async with Sandbox(SandboxOptions(store=own.sandbox / "embedded")) as sandbox:
        keys = Keys(SecretStr(sandbox.access_key), SecretStr(sandbox.secret_key))
        yield Settings(
            base_url=sandbox.url, keys=keys, rate=limit, home=own, keys_from="the embedded sandbox"
        )


async def whose_keys(settings: Settings, *, timeout_s: float = 60.0) -> CurrentUser:
    """Whose keys these are. Raises TenantError, also where the host is another region's."""
    from importer.address import check_host

    async with connected(settings, timeout_s=timeout_s) as tenant:
        user = await tenant.current_user()
    wrong = check_host(settings.base_url, user.api_host)
    if wrong is not None:
        raise wrong
    return user


def log_calls(settings: Settings) -> None:
    """Open the support log, and keep these keys out of it."""
    hide([settings.keys.access.get_secret_value(), settings.keys.secret.get_secret_value()])
    open_log(settings.home.root)
