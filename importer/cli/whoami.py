"""`importer whoami`: whose the keys are."""

from __future__ import annotations

import asyncio

from importer.app import connecting
from importer.app.records import Account
from importer.cli import options
from importer.cli.console import Console
from importer.text import shown


def whoami(console: Console, *, calls: options.WhoAmI) -> int:
    """Show which user, organisation and host the keys belong to.

    \b
    Examples:
      importer whoami
      importer whoami --sandbox
      importer whoami --host api-in21.leadsquared.com
    """
    account = asyncio.run(connecting.whoami(calls))
    console.result(described(account), account.as_json())
    return 0


def described(account: Account) -> str:
    """For a person."""
    lines = {
        "User": f"{account.user} ({account.email})" if account.email else account.user,
        "Role": account.role,
        "Organisation": f"{account.organisation} ({account.org_code})"
        if account.organisation
        else account.org_code,
        "Host": account.host,
        "Keys from": account.keys_from,
    }
    return "\n".join(f"{name:14}{shown(value)}" for name, value in lines.items() if value)
