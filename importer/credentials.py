"""A user's keys, and their keeping in the system's keyring. Nothing here ever writes a file of ours.

A keyring that would keep them readable on disk is refused like a missing one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from importer.errors import SettingsError
from importer.text import NAME_LENGTH_MAX, one_line

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE: Final = "importer-leadsquared"
ENTRY: Final = "default"
_ENVIRONMENT: Final = (
    "Set LEADSQUARED_HOST, LEADSQUARED_ACCESS_KEY and LEADSQUARED_SECRET_KEY in the environment or in "
    "a .env file instead."
)


@dataclass(frozen=True)
class Keys:
    """A user's keys; they act as that user. Never shown: `repr` masks them."""

    access: SecretStr
    secret: SecretStr


@dataclass(frozen=True)
class Credentials:
    """What `importer login` keeps. base_url: as `address.base_url` gives it."""

    base_url: str
    keys: Keys


class KeyringError(SettingsError):
    """There is no keyring that can be used, or it refused."""


def store(credentials: Credentials) -> str:
    """Keep the keys, in place of earlier ones; the keyring's name for a person.

    Raises KeyringError; the keys are then kept nowhere.
    """
    backend = _backend()
    if backend is None:
        raise KeyringError(
            "This computer has no keyring that keeps keys encrypted, so nothing was kept.",
            remedy=_ENVIRONMENT,
        )
    kept = json.dumps(
        {
            "host": credentials.base_url,
            "access": credentials.keys.access.get_secret_value(),
            "secret": credentials.keys.secret.get_secret_value(),
        }
    )
    with _keyring_speaks():
        backend.set_password(SERVICE, ENTRY, kept)
        read_back = backend.get_password(SERVICE, ENTRY)
    if read_back != kept:
        raise KeyringError("The keyring did not keep the keys.", remedy=_ENVIRONMENT)
    return str(backend.name)


def load() -> Credentials | None:
    """The keys that `store` kept, None if there are none (or no keyring). Raises KeyringError when the
    keyring refuses (locked, say) or holds something else under our name."""
    backend = _backend()
    if backend is None:
        return None
    with _keyring_speaks():
        kept = backend.get_password(SERVICE, ENTRY)
    if kept is None:
        return None
    try:
        read = json.loads(kept)
        host, access, secret = str(read["host"]), str(read["access"]), str(read["secret"])
    except (ValueError, KeyError, TypeError):
        raise KeyringError(
            "The keyring's entry of the importer is damaged.", remedy="Run `importer login` again."
        ) from None
    return Credentials(host, Keys(SecretStr(access), SecretStr(secret)))


def remove() -> bool:
    """Forget the keys; False if none were kept. Raises KeyringError when the keyring refuses."""
    backend = _backend()
    if backend is None:
        return False
    with _keyring_speaks():
        was_kept = backend.get_password(SERVICE, ENTRY) is not None
        if was_kept:
            backend.delete_password(SERVICE, ENTRY)
    return was_kept


def _backend() -> KeyringBackend | None:
    """The system's keyring if it keeps keys encrypted."""
    import keyring

    with _keyring_speaks():
        return next((backend for backend in _flat(keyring.get_keyring()) if _is_safe(backend)), None)


def _flat(backend: KeyringBackend) -> Iterator[KeyringBackend]:
    """The keyrings behind a chain, in their order of preference; a single one as it is."""
    from keyring.backends.chainer import ChainerBackend

    if isinstance(backend, ChainerBackend):
        yield from backend.backends
    else:
        yield backend


def _is_safe(backend: KeyringBackend) -> bool:
    """Not the stand-ins for "none" (fail, null), and not the ones that keep passwords as text in a file
    (package keyrings.alt, all but its encrypted one)."""
    kind = type(backend)
    if kind.__module__ in {"keyring.backends.fail", "keyring.backends.null"}:
        return False
    if "plaintext" in kind.__name__.casefold():
        return False
    return not kind.__module__.startswith("keyrings.alt") or kind.__name__ == "EncryptedKeyring"


@contextmanager
def _keyring_speaks() -> Iterator[None]:
    """Turns whatever a backend raises (they raise what they like) into a KeyringError."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see above
        words = one_line(str(error), NAME_LENGTH_MAX) or type(error).__name__
        # Not chained: a backend's own error may quote what it was given.
        raise KeyringError(
            f"The keyring refused: {words}.", remedy=f"Unlock it, or: {_ENVIRONMENT}"
        ) from None
