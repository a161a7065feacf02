"""`importer whoami`: whose keys are these, which organisation, which host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cli import options
from importer.cli.console import Console

if TYPE_CHECKING:
    from importer.leadsquared.answers import CurrentUser
    from importer.settings import Settings


def whoami(
    console: Console,
    *,
    host: options.Host = None,
    sandbox: options.Sandbox = False,
    rate: options.RateLimit = None,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
) -> int:
    """Say whose keys these are, which organisation and host.

    \b
    Examples:
      importer whoami
      importer whoami --sandbox
      importer whoami --host api-in21.leadsquared.com
    """
    import asyncio

    settings, user = asyncio.run(_asked(host, rate, timeout, sandbox=sandbox))
    told = {
        "user": user.name,
        "email": user.email,
        "user_id": user.id,
        "role": user.role,
        "organisation": user.organisation,
        "org_code": user.org_code,
        "time_zone": user.time_zone,
        "host": settings.base_url,
        "keys_from": settings.keys_from,
    }
    console.result(described(settings, user), told)
    return 0


def described(settings: Settings, user: CurrentUser) -> str:
    """The same for a person."""
    lines = {
        "User": f"{user.name} ({user.email})" if user.email else user.name,
        "Role": user.role,
        "Organisation": f"{user.organisation} ({user.org_code})" if user.organisation else user.org_code,
        "Host": settings.base_url,
        "Keys from": settings.keys_from,
    }
    return "\n".join(f"{name:14}{value}" for name, value in lines.items() if value)


async def _asked(
    host: str | None, rate: str | None, timeout_s: float, *, sandbox: bool
) -> tuple[Settings, CurrentUser]:
    from importer.cli.connection import embedded_sandbox, whose_keys
    from importer.settings import load_settings

    if sandbox:
        async with embedded_sandbox(rate) as settings:
            return settings, await whose_keys(settings, timeout_s=timeout_s)
    settings = load_settings(host=host, rate=rate)
    return settings, await whose_keys(settings, timeout_s=timeout_s)
