"""What the environment, `.env`, flags and the keyring say, as one validated `Settings`.

First found wins: flag, environment, `.env` in the working directory, keyring. Everything that is missing
or wrong is said in one message. Imports pydantic-settings (slow): commands import this when they need it;
the home folder is in `home.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from importer.address import base_url
from importer.credentials import Credentials, KeyringError, Keys, load
from importer.errors import SettingsError
from importer.home import Home, home
from importer.pacing.pacing import Rate
from importer.text import listed

DEFAULT_RATE: Final = Rate(25, 5.0)
KEY_LENGTH_MAX: Final = 512
ENV_FILE: Final = ".env"


class Environment(BaseSettings):
    """The variables `LEADSQUARED_…` as they are set: environment first, then `.env`; empty is not set."""

    model_config = SettingsConfigDict(
        env_prefix="LEADSQUARED_",
        env_file=ENV_FILE,
        env_file_encoding="utf-8-sig",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    host: str | None = None
    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    rate: str | None = None


@dataclass(frozen=True)
class Settings:
    """base_url: `https://host[:port]`. rate: the ceiling for all calls. keys_from: for a person."""

    base_url: str
    keys: Keys
    rate: Rate
    home: Home
    keys_from: str


def load_settings(*, host: str | None = None, rate: str | None = None) -> Settings:
    """The settings for calls to LeadSquared. host, rate: the flags, None when not given.

    Raises SettingsError with everything that is missing or wrong. A keyring that fails is mentioned only
    when it is needed.
    """
    environment = _environment()
    wrong: list[str] = []
    keys, kept, keys_from = _keys(environment, wrong)
    named = host if host is not None else environment.host
    where = "--host" if host is not None else "LEADSQUARED_HOST"
    missing = [] if named or kept else ["LEADSQUARED_HOST"]
    if keys is None:
        missing += [
            name
            for name, value in (
                ("LEADSQUARED_ACCESS_KEY", environment.access_key),
                ("LEADSQUARED_SECRET_KEY", environment.secret_key),
            )
            if value is None
        ]
    address, chosen = "", DEFAULT_RATE
    try:
        if named or kept:
            address = base_url(named or (kept.base_url if kept else ""), where=where if named else "keyring")
    except SettingsError as error:
        wrong.append(str(error))
    try:
        chosen = _rate(rate, environment)
    except SettingsError as error:
        wrong.append(str(error))
    if missing or wrong or keys is None:
        raise _incomplete(missing, wrong)
    return Settings(address, keys, chosen, home(), keys_from)


def load_rate(rate: str | None = None) -> Rate:
    """The rate alone, for rehearsals, which need no keys. Raises SettingsError."""
    return _rate(rate, _environment())


def _environment() -> Environment:
    try:
        return Environment()
    except UnicodeDecodeError as error:
        raise SettingsError(
            "The file is not UTF-8 text.",
            where=_env_file(),
            remedy="Save it again as UTF-8 (in Notepad: Save as, Encoding: UTF-8).",
        ) from error
    except OSError as error:
        raise SettingsError(
            f"The file cannot be read ({error.strerror or error}).",
            where=_env_file(),
            remedy="Change its permissions, or move it away.",
        ) from error
    except (ValidationError, SourceError, ValueError):
        # Not chained: the cause may quote the file's contents.
        raise SettingsError(
            "The environment or the file cannot be understood.",
            where=_env_file(),
            remedy="Write one NAME='value' a line.",
        ) from None


def _env_file() -> str:
    return str(Path(ENV_FILE).absolute())


def _keys(environment: Environment, wrong: list[str]) -> tuple[Keys | None, Credentials | None, str]:
    """The keys, what the keyring holds (if it was asked), and where the keys are from.

    The two keys are a pair: they come from the same place. The keyring is asked only when the environment
    names neither.
    """
    access, secret = environment.access_key, environment.secret_key
    if access is not None and secret is not None:
        wrong += _unusable("LEADSQUARED_ACCESS_KEY", access) + _unusable("LEADSQUARED_SECRET_KEY", secret)
        return Keys(_trimmed(access), _trimmed(secret)), None, "environment"
    if access is not None or secret is not None:
        return None, None, ""
    try:
        kept = load()
    except KeyringError as error:
        wrong.append(str(error))
        return None, None, ""
    return (kept.keys, kept, "keyring") if kept else (None, None, "")


def usable_key(text: str) -> bool:
    """Whether a text can be a key: it travels in an HTTP header, so printable ASCII without blanks."""
    return 0 < len(text) <= KEY_LENGTH_MAX and text.isascii() and text.isprintable() and " " not in text


def _unusable(name: str, key: SecretStr) -> list[str]:
    if usable_key(_trimmed(key).get_secret_value()):
        return []
    return [f"{name}: The key contains blanks or characters that no key has. Copy it again, without quotes."]


def _trimmed(key: SecretStr) -> SecretStr:
    return SecretStr(key.get_secret_value().strip())


def _rate(flag: str | None, environment: Environment) -> Rate:
    given, where = (flag, "--rate") if flag is not None else (environment.rate, "LEADSQUARED_RATE")
    if given is None:
        return DEFAULT_RATE
    try:
        return Rate.parse(given.strip())
    except ValueError:
        raise SettingsError(
            f"{given[:40]!r} is not a rate.",
            where=where,
            remedy="Write calls/seconds, as in 25/5 (the tenant's plan names the numbers).",
        ) from None


def _incomplete(missing: list[str], wrong: list[str]) -> SettingsError:
    """One error that names all that is missing, with every way to set it, and all that is wrong."""
    parts = list(wrong)
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        parts.append(f"{listed(missing, last=' and ')} {verb} not set.")
    return SettingsError("\n".join(parts), remedy=_how_to_set(missing) if missing else "")


def _how_to_set(missing: list[str]) -> str:
    """Single quotes everywhere: access keys contain `$`, which both shells would expand."""
    values = {"LEADSQUARED_HOST": "api-in21.leadsquared.com"}
    bash = [f"  export {name}='{values.get(name, '…')}'" for name in missing]
    powershell = [f"  $env:{name} = '{values.get(name, '…')}'" for name in missing]
    file = [f"  {name}='{values.get(name, '…')}'" for name in missing]
    lines = [
        "LeadSquared shows them in My Account > Settings > API and Webhooks. Set them in one of these ways:",
        "in bash:",
        *bash,
        "in PowerShell:",
        *powershell,
        f"in a file named {ENV_FILE} in the working directory:",
        *file,
        "or keep them in the system's keyring: importer login",
        "A rehearsal needs none of them: --sandbox",
    ]
    return "\n".join(lines)
