"""What the environment, `.env`, options and the keyring say, as one validated `Settings`.

Keys and the host that they go to come from one place, the first of environment, `.env` in the working
directory and keyring that names a key: a folder that was downloaded may bring a `.env`, and it must not send
a person's keys elsewhere. `--host`, which a person types, may name another host of LeadSquared's. Everything
that is missing or wrong is said in one message. Imports pydantic-settings (slow): commands import this when
they need it; the home folder is in `home.py`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from importer.credentials import Keys, base_url, is_near, load
from importer.errors import SettingsError
from importer.home import Home, home
from importer.pacing.rules import Rate
from importer.text import listed, quoted, shown

DEFAULT_RATE: Final = Rate(25, 5.0)
KEY_LENGTH_MAX: Final = 512
ENV_FILE: Final = ".env"
ENV_FILE_BYTES_MAX: Final = 100_000

ENVIRONMENT: Final = "environment"
KEYRING: Final = "keyring"
HOST_OPTION: Final = "--host"

_ONE_PLACE: Final = "Keys and host must come from one place: the environment, or .env, or the keyring."


class Environment(BaseSettings):
    """The variables `LEADSQUARED_…` of the environment, empty is not set; or what another place says instead.
    host: as written there."""

    model_config = SettingsConfigDict(
        env_prefix="LEADSQUARED_", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    host: str | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    rate: str | None = None

    @property
    def has_a_key(self) -> bool:
        return self.access_key is not None or self.secret_key is not None


_ENV_LINE: Final = re.compile(
    rf"[ \t]*(?:export[ \t]+)?LEADSQUARED_({'|'.join(Environment.model_fields)})[ \t]*=(.*)", re.IGNORECASE
)


@dataclass(frozen=True)
class Settings:
    """base_url: `https://host[:port]`. rate: the ceiling for all calls. origin: where keys and host are from,
    to be shown before anything is sent: `keyring`, or `keys from keyring, host from --host`."""

    base_url: str
    keys: Keys
    rate: Rate
    home: Home
    origin: str


@dataclass
class _Trouble:
    """All that is missing or wrong. missing: names of variables."""

    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def load_settings(*, host: str | None = None, rate: Rate | None = None) -> Settings:
    """The settings for calls to LeadSquared. host, rate: the options, None when not given.

    Raises SettingsError with everything that is missing or wrong. A keyring that fails is mentioned only
    when it is needed.
    """
    trouble = _Trouble()
    others = {ENVIRONMENT: _environment(), ENV_FILE: _env_file()}
    rates = [each.rate for each in others.values()]
    name = next((name for name, each in others.items() if each.has_a_key), KEYRING)
    place = _keyring(trouble) if name == KEYRING else others.pop(name)
    keys = _keys(place, trouble)
    address, host_from = _host(host, name, place, others, trouble)
    chosen = DEFAULT_RATE
    try:
        chosen = _rate(rate, *rates)
    except SettingsError as error:
        trouble.wrong.append(str(error))
    if trouble.missing or trouble.wrong or keys is None:
        raise _incomplete(trouble)
    origin = name if host_from == name else f"keys from {name}, host from {host_from}"
    return Settings(address, keys, chosen, home(), origin)


def load_rate(rate: Rate | None = None) -> Rate:
    """The rate alone, for rehearsals, which need no keys. Raises SettingsError."""
    return _rate(rate, _environment().rate, _env_file().rate)


def _environment() -> Environment:
    try:
        return Environment()
    except (ValidationError, SourceError, ValueError):
        # Not chained: the cause may quote what the variables hold.
        raise SettingsError("The variables LEADSQUARED_… cannot be understood.", where=ENVIRONMENT) from None


def _env_file() -> Environment:
    """What `.env` in the working directory says: text as it is written, nothing is put in for `${…}`."""
    text = _own_text(Path(ENV_FILE).absolute())
    found: dict[str, Any] = {name: value for name, value in _env_lines(text) if value}
    found |= {name: SecretStr(found[name]) for name in ("access_key", "secret_key") if name in found}
    return Environment.model_construct(**found)


def _env_lines(text: str) -> Iterator[tuple[str, str]]:
    """Names, without `LEADSQUARED_`, and values; whatever else the file is for is left alone."""
    for number, line in enumerate(text.splitlines(), 1):
        found = _ENV_LINE.fullmatch(line)
        if found is None:
            continue
        value = found[2].strip()
        if value[:1] in {"'", '"'}:
            value, closed, rest = value[1:].partition(value[0])
            if not closed or (rest.strip() and not rest.strip().startswith("#")):
                raise SettingsError(
                    "The quotes around the value do not match.",
                    where=f"{Path(ENV_FILE).absolute()}, line {number}",
                    remedy="Write one NAME='value' a line.",
                )
        else:
            value = re.split(r"(?:^|[ \t])#", value, maxsplit=1)[0].rstrip()
        yield found[1].lower(), value


def _own_text(path: Path) -> str:
    """The text of a regular file that belongs to the user; "" if there is none. Raises SettingsError."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if path.is_symlink():
            raise _not_read(path, "It is a link.", "Put the file itself there, or move the link away.")
        if path.is_dir():  # a virtual environment may be called so
            return ""
        descriptor = os.open(path, flags | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise _not_read(path, "It is not a regular file.", "Move it away.")
            if os.name != "nt" and about.st_uid != os.geteuid():
                raise _not_read(path, "It belongs to another user.", "Move it away, or make it your own.")
            content = stream.read(ENV_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _not_read(
            path,
            f"The file cannot be read ({error.strerror or error}).",
            "Change its permissions, or move it away.",
        ) from error
    if len(content) > ENV_FILE_BYTES_MAX:
        raise _not_read(path, f"It has more than {ENV_FILE_BYTES_MAX:,} bytes.", "Move it away.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Not chained: the cause holds the file's contents.
        raise _not_read(
            path,
            "The file is not UTF-8 text.",
            "Save it again as UTF-8 (in Notepad: Save as, Encoding: UTF-8).",
        ) from None


def _not_read(path: Path, what: str, remedy: str) -> SettingsError:
    return SettingsError(what, where=str(path), remedy=remedy)


def _keyring(trouble: _Trouble) -> Environment:
    """What `importer login` kept; asked only when neither environment nor `.env` names a key."""
    try:
        kept = load()
    except SettingsError as error:
        trouble.wrong.append(str(error))
        kept = None
    if kept is None:
        return Environment.model_construct()
    address, keys = kept
    return Environment.model_construct(host=address, access_key=keys.access, secret_key=keys.secret)


def _keys(place: Environment, trouble: _Trouble) -> Keys | None:
    """The two keys of a place; half of a pair is never completed from another place."""
    found: list[SecretStr] = []
    for name in ("access_key", "secret_key"):
        key: SecretStr | None = getattr(place, name)
        variable = f"LEADSQUARED_{name.upper()}"
        if key is None:
            if not trouble.wrong:  # else the keyring may have them
                trouble.missing.append(variable)
            continue
        found.append(SecretStr(key.get_secret_value().strip()))
        if not usable_key(found[-1].get_secret_value()):
            what = "The key contains blanks or characters that no key has. Copy it again, without quotes."
            trouble.wrong.append(f"{variable}: {what}")
    return Keys(*found) if len(found) == 2 else None


def _host(
    option: str | None, name: str, place: Environment, others: dict[str, Environment], trouble: _Trouble
) -> tuple[str, str]:
    """The base URL, and the name of the place that it is from; faults go to `trouble`."""
    hosts = {other: said.host for other, said in others.items() if said.host}
    unused = [
        f"LEADSQUARED_HOST in {other} ({quoted(host)}) is not used, since the keys are in {name}."
        f" {_ONE_PLACE}"
        for other, host in hosts.items()
        if place.host is None or _url_of(host) != _url_of(place.host)
    ]
    try:
        if option is not None:
            address = base_url(option, where=HOST_OPTION)
            if not is_near(address) and address != _url_of(place.host):
                raise _elsewhere(address, HOST_OPTION)
            return address, HOST_OPTION
        if place.host is None:
            if place.has_a_key:
                trouble.wrong += unused
            if place.has_a_key or not hosts:
                trouble.missing.insert(0, "LEADSQUARED_HOST")
            for host in hosts.values():
                base_url(host)  # a host that is wrong is reported together with missing keys
            return "", ""
        address = base_url(place.host, where=KEYRING if name == KEYRING else "LEADSQUARED_HOST")
        if name == ENV_FILE and not is_near(address):
            raise _elsewhere(address, ENV_FILE)
        if name != ENVIRONMENT:
            trouble.wrong += unused
    except SettingsError as error:
        trouble.wrong.append(str(error))
        return "", ""
    return address, name


def _url_of(host: str | None) -> str:
    """The base URL of a host, "" if it cannot be used."""
    try:
        return base_url(host or "")
    except SettingsError:
        return ""


def _elsewhere(address: str, where: str) -> SettingsError:
    return SettingsError(
        f"{quoted(address)} is not a host of LeadSquared's (….leadsquared.com).",
        where=where,
        remedy="Keys go to such a host, a gateway of your own, only if the environment names host and keys"
        " together, or `importer login` kept both.",
    )


def usable_key(text: str) -> bool:
    """Whether a text can be a key: it travels in an HTTP header, so printable ASCII without blanks."""
    return 0 < len(text) <= KEY_LENGTH_MAX and text.isascii() and text.isprintable() and " " not in text


def _rate(option: Rate | None, *said: str | None) -> Rate:
    given = next(filter(None, said), None)
    if option is not None or given is None:
        return option or DEFAULT_RATE
    try:
        return Rate.parse(given.strip())
    except ValueError:
        raise SettingsError(
            f"'{shown(given, 40)}' is not a rate.",
            where="LEADSQUARED_RATE",
            remedy="Write calls/seconds, as in 25/5 (the tenant's plan names the numbers).",
        ) from None


def _incomplete(trouble: _Trouble) -> SettingsError:
    """One error that names all that is missing, with every way to set it, and all that is wrong."""
    parts, missing = list(trouble.wrong), trouble.missing
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        parts.append(f"{listed(missing, last=' and ')} {verb} not set.")
    return SettingsError("\n".join(parts), remedy=_how_to_set(missing) if missing else "")


def _how_to_set(missing: list[str]) -> str:
    """Single quotes everywhere: access keys contain `$`, which both shells would expand."""
    lines = [
        "LeadSquared shows them in My Account > Settings > API and Webhooks. Set them in one of these ways:"
    ]
    for where, line in (
        ("in bash:", "  export {}='{}'"),
        ("in PowerShell:", "  $env:{} = '{}'"),
        (f"in a file named {ENV_FILE} in the working directory:", "  {}='{}'"),
    ):
        values = {"LEADSQUARED_HOST": "api-in21.leadsquared.com"}
        lines += [where, *(line.format(name, values.get(name, "…")) for name in missing)]
    lines.append("or keep them in the system's keyring: importer login")
    return "\n".join([*lines, "A rehearsal needs none of them: --sandbox"])
