"""`importer whoami`, `login`, `logout`: whose the keys are, and their keeping in the system's keyring."""

from __future__ import annotations

import asyncio
from typing import Final

from importer.app import connecting
from importer.app.records import Account
from importer.cli import options
from importer.cli.console import Console
from importer.text import shown

WITHOUT_TERMINAL: Final = (
    "Run `importer login` in a terminal, or set LEADSQUARED_HOST, LEADSQUARED_ACCESS_KEY and "
    "LEADSQUARED_SECRET_KEY in the environment or in a file .env."
)


def whoami(console: Console, *, calls: options.WhoAmI) -> int:
    """Show which user, organisation and host the keys belong to.

    \b
    Examples:
      importer whoami
      importer whoami --sandbox
      importer whoami --host api-in21.leadsquared.com
    """
    account = asyncio.run(connecting.whoami(calls))
    console.result(_described(account), account.as_json())
    return 0


def login(console: Console, *, host: options.Host = None) -> int:
    """Try the keys and keep them in the system's keyring.

    What you type for the keys is not shown. Keys in the environment or in a file .env are used before the
    keyring's.

    \b
    Examples:
      importer login
      importer login --host api-in21.leadsquared.com
    """
    named = host or console.ask_text(
        "API host (My Account > Settings > API and Webhooks)", without_terminal=WITHOUT_TERMINAL
    )
    access, secret = (_key(console, name) for name in ("Access key", "Secret key"))
    account, keyring = asyncio.run(connecting.login(named, access, secret))
    console.say(_described(account))
    console.result(
        f"The keys are kept in {keyring}. `importer logout` removes them.",
        {
            "user": account.user,
            "organisation": account.organisation,
            "host": account.host,
            "keyring": keyring,
        },
    )
    return 0


def _key(console: Console, name: str) -> str:
    given = console.ask_secret(name, without_terminal=WITHOUT_TERMINAL)
    connecting.require_usable(name.lower(), given)
    return given


def logout(console: Console) -> int:
    """Remove the keys from the system's keyring.

    \b
    Example:
      importer logout
    """
    removed = connecting.logout()
    text = "The keys were removed from the keyring." if removed else "No keys were kept in the keyring."
    console.result(text, {"removed": removed})
    return 0


def _described(account: Account) -> str:
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
