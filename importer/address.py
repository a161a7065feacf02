"""Where LeadSquared is: from what a person configured to a base URL, and whether it is the right region.

Pure. The keys travel with every call, so an address that could carry them off in clear is refused.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

from importer.errors import SettingsError, TenantError
from importer.text import quoted, shown

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
    parts = _split(text if "://" in text else f"https://{text}", where)
    if parts.scheme not in _DEFAULT_PORTS:
        raise SettingsError(f"{quoted(text.strip())} is not an https address.", where=where, remedy=_REMEDY)
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        # The text is not repeated: a key may stand in it.
        raise SettingsError("The address contains a user name or a key.", where=where, remedy=_REMEDY)
    if parts.path not in _API_PATHS or parts.query or parts.fragment or "?" in text or "#" in text:
        raise SettingsError(
            "The address must be a host only, without anything after it.", where=where, remedy=_REMEDY
        )
    host = parts.hostname or ""
    if not _is_host(host):
        raise SettingsError(f"{quoted(text.strip())} is not a host name.", where=where, remedy=_REMEDY)
    if parts.scheme == "http" and not is_loopback(host):
        raise SettingsError(
            f"http:// would send the keys to {host} in clear.", where=where, remedy=f"Use https://{host}."
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{parts.port}" if parts.port is not None else "")


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
    if not api_host.strip():
        return None
    ours = urlsplit(configured)
    try:
        has_scheme = "://" in api_host
        theirs = urlsplit(api_host.strip() if has_scheme else f"https://{api_host.strip()}")
        names_port = has_scheme or theirs.port is not None
        same = _name(theirs) == _name(ours) and (not names_port or _port(theirs) == _port(ours))
    except ValueError:
        same = False
    if same:
        return None
    return TenantError(
        f"These keys belong to a tenant whose API host is {quoted(api_host)}; {quoted(ours.netloc)} is "
        "the host of another region and refuses every import.",
        remedy=_set_to(api_host.strip()),
    )


def _set_to(api_host: str) -> str:
    """A server may name any host: only one that keys may go to is proposed."""
    try:
        near = is_near(base_url(api_host))
    except SettingsError:
        near = False
    return f"Set LEADSQUARED_HOST={shown(api_host)}." if near else _REMEDY


def _split(url: str, where: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is not a number fails here
    except ValueError as error:
        raise SettingsError(f"{quoted(url)} is not a host name.", where=where, remedy=_REMEDY) from error
    return parts


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return len(host) <= HOST_LENGTH_MAX and all(_LABEL.fullmatch(label) for label in host.split("."))
    return "%" not in host  # a zone behind an IPv6 address


def _name(parts: SplitResult) -> str:
    host = (parts.hostname or "").casefold().rstrip(".")
    return "localhost" if is_loopback(host) else host


def _port(parts: SplitResult) -> int | None:
    return parts.port if parts.port is not None else _DEFAULT_PORTS.get(parts.scheme)
