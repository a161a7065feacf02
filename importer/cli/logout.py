"""`importer logout`: the keys removed from the system's keyring."""

from __future__ import annotations

from importer.app import connecting
from importer.cli.console import Console


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
