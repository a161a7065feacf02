"""`importer login` and `importer logout`: the keys in the system's keyring."""

from __future__ import annotations

from typing import Final

from importer.cli import options
from importer.cli.console import Console
from importer.errors import SettingsError

WITHOUT_TERMINAL: Final = (
    "Run `importer login` in a terminal, or set LEADSQUARED_HOST, LEADSQUARED_ACCESS_KEY and "
    "LEADSQUARED_SECRET_KEY in the environment or in a file .env."
)


def login(console: Console, *, host: options.Host = None) -> int:
    """Try the keys and keep them in the system's keyring.

    What you type for the keys is not shown. The environment and a file .env still win over the keyring.

    \b
    Examples:
      importer login
      importer login --host api-in21.leadsquared.com
    """
    import asyncio

    from pydantic import SecretStr

    from importer.address import base_url
    from importer.cli.connection import whose_keys
    from importer.cli.whoami import described
    from importer.credentials import Credentials, Keys, store
    from importer.home import home
    from importer.settings import Settings, load_rate

    named = host or console.ask_text(
        "API host (My Account > Settings > API and Webhooks)", without_terminal=WITHOUT_TERMINAL
    )
    address = base_url(named, where="host")
    keys = Keys(*(SecretStr(_key(console, name)) for name in ("Access key", "Secret key")))
    settings = Settings(base_url=address, keys=keys, rate=load_rate(), home=home(), keys_from="this terminal")
    user = asyncio.run(whose_keys(settings))
    console.say(described(settings, user))
    keyring = store(Credentials(address, keys))
    console.result(
        f"The keys are kept in {keyring}. `importer logout` removes them.",
        {"user": user.name, "organisation": user.organisation, "host": address, "keyring": keyring},
    )
    return 0


def logout(console: Console) -> int:
    """Remove the keys from the system's keyring.

    \b
    Example:
      importer logout
    """
    from importer.credentials import remove

    removed = remove()
    text = "The keys were removed from the keyring." if removed else "No keys were kept in the keyring."
    console.result(text, {"removed": removed})
    return 0


def _key(console: Console, name: str) -> str:
    from importer.settings import usable_key

    given = console.ask_secret(name, without_terminal=WITHOUT_TERMINAL)
    if not usable_key(given):
        raise SettingsError(
            f"That is no {name.lower()}: it is empty, or holds blanks or characters that no key has.",
            remedy="Copy it again from My Account > Settings > API and Webhooks.",
        )
    return given
