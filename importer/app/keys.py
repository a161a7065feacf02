"""Whose keys these are, and their keeping in the system's keyring."""

from __future__ import annotations

from dataclasses import replace

from pydantic import SecretStr

from importer.app.connecting import Session, session
from importer.app.options import CallOptions
from importer.app.records import Account
from importer.credentials import Keys, base_url, remove, store
from importer.errors import SettingsError
from importer.home import home
from importer.leadsquared.calls import ReadFailed
from importer.settings import Settings, load_rate, usable_key

WHOAMI_OUTAGE_S = 60.0
"""How long a single question waits for its place in a tenant's used-up allowance."""


async def whoami(calls: CallOptions) -> Account:
    """Asks LeadSquared. Raises SettingsError, TenantError."""
    async with session(replace(calls, max_outage_s=min(calls.max_outage_s, WHOAMI_OUTAGE_S))) as opened:
        return await _account(opened)


async def login(host: str, access_key: str, secret_key: str) -> tuple[Account, str]:
    """Keeps keys and host in the keyring once LeadSquared has accepted them; whose they are, and the
    keyring's name. Raises SettingsError, TenantError; then nothing was kept."""
    require_usable("access key", access_key)
    require_usable("secret key", secret_key)
    address = base_url(host, where="host")
    keys = Keys(SecretStr(access_key), SecretStr(secret_key))
    settings = Settings(address, keys, load_rate(), home(), "this sign-in")
    async with session(CallOptions(max_outage_s=WHOAMI_OUTAGE_S), settings=settings) as opened:
        account = await _account(opened)
    return account, store(address, keys)


def require_usable(name: str, given: str) -> None:
    """Raises SettingsError for what cannot be a key. name: which one, for a person."""
    if not usable_key(given):
        raise SettingsError(
            f"That is not a valid {name}: it is empty, or holds blanks or characters that no key has.",
            remedy="Copy it again from My Account > Settings > API and Webhooks.",
        )


def logout() -> bool:
    """Removes them; False if there were none. Raises SettingsError when the keyring refuses."""
    return remove()


async def _account(opened: Session) -> Account:
    user, settings = await opened.user(), opened.settings
    email = user.email or await _email_of(user.id, opened)
    return Account(
        user=user.name,
        email=email,
        user_id=user.id,
        role=user.role,
        organisation=user.organisation,
        org_code=user.org_code,
        time_zone=user.time_zone,
        host=settings.base_url,
        keys_from=settings.origin,
    )


async def _email_of(user_id: str, opened: Session) -> str:
    """The answer about keys has no address, so the list of users is asked; "" where the keys may not."""
    try:
        users = await opened.connection.tenant.users()
    except ReadFailed:
        return ""
    return next((user.attributes.get("EmailAddress", "") for user in users if user.id == user_id), "")
