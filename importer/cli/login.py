"""`importer login`: the keys tried, and kept in the system's keyring."""

from __future__ import annotations

import asyncio
from typing import Final

from importer.app import connecting
from importer.cli import options
from importer.cli.console import Console
from importer.cli.whoami import described

WITHOUT_TERMINAL: Final = (
    "Run `importer login` in a terminal, or set LEADSQUARED_HOST, LEADSQUARED_ACCESS_KEY and "
    "LEADSQUARED_SECRET_KEY in the environment or in a file .env."
)


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
    console.say(described(account))
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
