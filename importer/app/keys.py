"""Whose keys these are, and their keeping in the system's keyring."""

from __future__ import annotations

from importer.app.options import CallOptions
from importer.app.records import Account


async def whoami(calls: CallOptions) -> Account:
    """Asks LeadSquared. Raises SettingsError, TenantError."""
    raise NotImplementedError


async def login(
    host: str, access_key: str, secret_key: str, *, timeout_s: float = 60.0
) -> tuple[Account, str]:
    """Keeps keys and host in the keyring once LeadSquared has accepted them; whose they are, and the
    keyring's name. Raises SettingsError, TenantError; then nothing was kept."""
    raise NotImplementedError


def logout() -> bool:
    """Removes them; False if there were none. Raises SettingsError when the keyring refuses."""
    raise NotImplementedError
