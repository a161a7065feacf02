"""Where calls go and with whose keys: hosts, and the keys' keeping in the system's keyring.

The keys travel with every call, so an address that could carry them off in clear is refused. Nothing here
writes a file of ours: a keyring that would keep them readable on disk is refused like a missing one.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from importer.errors import SettingsError, TenantError
from importer.text import NAME_LENGTH_MAX, one_line, quoted, shown

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
HOST_LENGTH_MAX: Final = 253
OF_LEADSQUARED: Final = ".leadsquared.com"
_API_PATHS: Final = frozenset({"", "/", "/v2", "/v2/"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_REMEDY: Final = (
    "Set it to the API host that LeadSquared shows in My Account > Settings > API and Webhooks, "
    "for example api-in21.leadsquared.com."
)


def base_url(configured: str, *, where: str = "LEADSQUARED_HOST") -> str:
    """The base URL (`https://host[:port]`, no slash at the end) of a host name or URL.

    Raises SettingsError for anything that is not a host, for a path other than `/v2/`, for a user name or
    password in the URL, and for `http://` to anything but this computer.
    """
    text = configured.strip()
    no_host = SettingsError(f"{quoted(text)} is not a host name.", where=where, remedy=_REMEDY)
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port
    except ValueError:
        raise no_host from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise SettingsError(f"{quoted(text)} is not an https address.", where=where, remedy=_REMEDY)
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        # The text is not repeated: a key may stand in it.
        raise SettingsError("The address contains a user name or a key.", where=where, remedy=_REMEDY)
    if parts.path not in _API_PATHS or parts.query or parts.fragment or "?" in text or "#" in text:
        raise SettingsError(
            "The address must be a host only, without anything after it.", where=where, remedy=_REMEDY
        )
    host = parts.hostname or ""
    if not _is_host(host):
        raise no_host
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(
            f"http:// would send the keys to {host} in clear.", where=where, remedy=f"Use https://{host}."
        )
    named = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{named}" + (f":{port}" if port is not None else "")


def is_loopback(host: str) -> bool:
    """Whether `host` is this computer, by name or address (127.0.0.0/8, ::1)."""
    if host.casefold().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_near(url: str) -> bool:
    """Whether a base URL is a host of LeadSquared's, or this computer: elsewhere keys go only where the
    person who set them named it."""
    host = urlsplit(url).hostname or ""
    return host.endswith(OF_LEADSQUARED) or is_loopback(host)


def check_host(configured: str, api_host: str) -> TenantError | None:
    """The error to raise when the tenant's region has another API host than `configured`, else None.

    configured: a base URL. api_host: `LSQCommonServiceURLs.api` of whoami, a host or a URL; nothing to
    compare when it is empty. A host of another region refuses every call but whoami (documented,
    user-authentication page). Spellings of this computer are equal; a port counts where one is named.
    """
    text = api_host.strip()
    if not text:
        return None
    same, remedy = False, _REMEDY
    with suppress(SettingsError):
        address = base_url(text.rstrip("."))
        ours, theirs = _place(configured), _place(address)
        names_port = "://" in text or urlsplit(address).port is not None
        same = ours == theirs if names_port else ours[0] == theirs[0]
        if is_near(address):  # a server may name any host: only one that keys may go to is proposed
            remedy = f"Set LEADSQUARED_HOST={shown(text)}."
    if same:
        return None
    return TenantError(
        f"These keys belong to a tenant whose API host is {quoted(api_host)};"
        f" {quoted(urlsplit(configured).netloc)} is the host of another region and refuses every import.",
        remedy=remedy,
    )


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return len(host) <= HOST_LENGTH_MAX and all(_LABEL.fullmatch(label) for label in host.split("."))
    return "%" not in host  # a zone behind an IPv6 address


def _place(url: str) -> tuple[str, int]:
    """Host and port of a base URL; all names of this computer are one."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return "localhost" if is_loopback(host) else host, parts.port or _DEFAULT_PORTS[parts.scheme]


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


def store(address: str, keys: Keys) -> str:
    """Keep the keys and where they go (as `base_url` gives it), in place of earlier ones; the keyring's name
    for a person.

    Raises SettingsError; the keys are then kept nowhere.
    """
    backend = _backend()
    if backend is None:
        raise SettingsError(
            "This computer has no keyring that keeps keys encrypted, so nothing was kept.",
            remedy=_ENVIRONMENT,
        )
    kept = json.dumps(
        {
            "host": address,
            "access": keys.access.get_secret_value(),
            "secret": keys.secret.get_secret_value(),
        }
    )
    with _keyring_speaks():
        backend.set_password(SERVICE, ENTRY, kept)
        read_back = backend.get_password(SERVICE, ENTRY)
    if read_back != kept:
        raise SettingsError("The keyring did not keep the keys.", remedy=_ENVIRONMENT)
    return str(backend.name)


def load() -> tuple[str, Keys] | None:
    """What `store` kept, None if there are none (or no keyring). Raises SettingsError when the
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
        raise SettingsError(
            "The keyring's entry of the importer is damaged.", remedy="Run `importer login` again."
        ) from None
    return host, Keys(SecretStr(access), SecretStr(secret))


def remove() -> bool:
    """Forget the keys; False if none were kept. Raises SettingsError when the keyring refuses."""
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
        chosen = keyring.get_keyring()
        chain = getattr(chosen, "backends", [chosen])  # in their order of preference
        return next((backend for backend in chain if _is_safe(backend)), None)


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
    """Turns whatever a backend raises (they raise what they like) into a SettingsError."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - see above
        words = one_line(str(error), NAME_LENGTH_MAX) or type(error).__name__
        # Not chained: a backend's own error may quote what it was given.
        raise SettingsError(
            f"The keyring refused: {words}.", remedy=f"Unlock it, or: {_ENVIRONMENT}"
        ) from None
