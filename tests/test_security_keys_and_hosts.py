"""Keys go where the person who set them said, and nowhere else: not where a downloaded folder says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from memory_keyring import MemoryKeyring
from pydantic import SecretStr

from importer.credentials import Keys, store
from importer.errors import SettingsError
from importer.settings import load_rate, load_settings

pytestmark = pytest.mark.security

HOST = "api-in21.leadsquared.com"
KEYS = "LEADSQUARED_ACCESS_KEY='of-file'\nLEADSQUARED_SECRET_KEY='of-file-too'\n"


@pytest.fixture(autouse=True)
def _bare(home: Path) -> Iterator[None]:
    """No variables, no `.env`; an empty keyring in memory."""
    earlier = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    yield
    keyring.set_keyring(earlier)


def environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"LEADSQUARED_{name}", value)


def file(text: str) -> None:
    Path(".env").write_text(text, encoding="utf-8")


def login(host: str = HOST) -> None:
    store(f"https://{host}", Keys(SecretStr("kept"), SecretStr("kept-too")))


def refusal(host: str | None = None) -> str:
    """Why there are no settings: nothing was connected to."""
    with pytest.raises(SettingsError) as raised:
        load_settings(host=host)
    return str(raised.value)


@pytest.mark.parametrize("elsewhere", ["evil.example", "https://evil.example:8443", f"{HOST}.evil.example"])
def test_a_host_in_dot_env_never_gets_keys_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    """The downloaded folder brings only a host, and hopes for the keys."""
    environment(monkeypatch, ACCESS_KEY="mine", SECRET_KEY="mine-too")
    file(f"LEADSQUARED_HOST={elsewhere}\n")
    assert "Keys and host must come from one place" in refusal()

    environment(monkeypatch, HOST=HOST)
    assert load_settings().base_url == f"https://{HOST}"


@pytest.mark.parametrize("elsewhere", ["evil.example", "api-us11.leadsquared.com"])
def test_a_host_in_dot_env_never_gets_keys_of_the_keyring(elsewhere: str) -> None:
    """Not even a host of LeadSquared's: the keys belong to another region."""
    login()
    file(f"LEADSQUARED_HOST={elsewhere}\n")
    assert "since the keys are in keyring" in refusal()
    file(f"LEADSQUARED_HOST=https://{HOST}/\n")
    assert (load_settings().base_url, load_settings().origin) == (f"https://{HOST}", "keyring")


@pytest.mark.parametrize(
    "elsewhere",
    ["evil.example", f"{HOST}.evil.example", f"https://{HOST}@evil.example", "xleadsquared.com"],
)
def test_dot_env_never_names_a_host_elsewhere_not_even_with_keys(elsewhere: str) -> None:
    """A gateway of one's own is for the environment or the keyring to name."""
    file(f"LEADSQUARED_HOST={elsewhere}\n{KEYS}")
    assert "LEADSQUARED_HOST" in refusal() or "not a host of LeadSquared's" in refusal()


def test_keys_of_dot_env_never_go_to_a_host_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One place for both, in this direction too."""
    file(f"LEADSQUARED_HOST={HOST}\n{KEYS}")
    environment(monkeypatch, HOST="gateway.example")
    assert "LEADSQUARED_HOST in environment" in refusal()


@pytest.mark.parametrize("typed", ["evil.example", f"{HOST}.evil.example", "https://evil.example"])
def test_a_typed_host_is_one_of_leadsquareds(monkeypatch: pytest.MonkeyPatch, typed: str) -> None:
    """`--host` copied from an e-mail."""
    environment(monkeypatch, HOST=HOST, ACCESS_KEY="mine", SECRET_KEY="mine-too")
    assert "not a host of LeadSquared's" in refusal(typed)
    other = load_settings(host="api-us11.leadsquared.com")
    assert (other.base_url, other.origin) == (
        "https://api-us11.leadsquared.com",
        "keys from environment, host from --host",
    )
    assert load_settings(host="http://127.0.0.1:5000").base_url == "http://127.0.0.1:5000"


def test_a_gateway_counts_where_environment_or_keyring_name_it_with_the_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever set both meant it."""
    login("gateway.example")
    assert (load_settings().base_url, load_settings().origin) == ("https://gateway.example", "keyring")
    environment(monkeypatch, HOST="other.example", ACCESS_KEY="mine", SECRET_KEY="mine-too")
    assert (load_settings().base_url, load_settings().origin) == ("https://other.example", "environment")
    assert load_settings(host="other.example").origin == "keys from environment, host from --host"


def test_nothing_is_put_into_dot_env_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`${AWS_SECRET_ACCESS_KEY}` would be sent as a key, `${GITHUB_TOKEN}` as a part of a host's name."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "cloud-secret")
    monkeypatch.setenv("GITHUB_TOKEN", "gh-secret")
    file(
        f"LEADSQUARED_HOST={HOST}\nLEADSQUARED_ACCESS_KEY=${{AWS_SECRET_ACCESS_KEY}}\n"
        'LEADSQUARED_SECRET_KEY="$AWS_SECRET_ACCESS_KEY"\n'
    )
    keys = load_settings().keys
    assert (keys.access.get_secret_value(), keys.secret.get_secret_value()) == (
        "${AWS_SECRET_ACCESS_KEY}",
        "$AWS_SECRET_ACCESS_KEY",
    )
    file(f"LEADSQUARED_HOST=${{GITHUB_TOKEN}}.leadsquared.com\n{KEYS}")
    assert "gh-secret" not in refusal()


@pytest.mark.skipif(os.name == "nt", reason="named pipes are elsewhere on Windows")
def test_a_pipe_called_dot_env_is_refused_at_once() -> None:
    """Reading it would wait for ever, or read what another process makes up."""
    os.mkfifo(".env")
    assert "not a regular file" in refusal()
    with pytest.raises(SettingsError, match="not a regular file"):
        load_rate()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such owners")
def test_a_dot_env_of_somebody_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that others may write, like /tmp. Only root can give a file away: so we are another."""
    file(f"LEADSQUARED_HOST={HOST}\n{KEYS}")
    monkeypatch.setattr(os, "geteuid", lambda: Path(".env").stat().st_uid + 1)
    assert "belongs to another user" in refusal()


def test_a_link_called_dot_env_is_refused(tmp_path: Path) -> None:
    """It may point at anything that the person can read."""
    (tmp_path / "real").write_text(f"LEADSQUARED_HOST={HOST}\n{KEYS}")
    Path(".env").symlink_to(tmp_path / "real")
    assert "It is a link" in refusal()


def test_a_folder_called_dot_env_is_left_alone() -> None:
    """Some call their virtual environment so."""
    Path(".env").mkdir()
    login()
    assert load_settings().origin == "keyring"


def test_a_huge_dot_env_is_refused() -> None:
    """Everything has a bound."""
    file("#" * 200_000)
    assert "bytes" in refusal()


def test_dot_env_never_says_where_customer_data_goes(tmp_path: Path, home: Path) -> None:
    """IMPORTER_HOME, IMPORTER_STORE and IMPORTER_NOTIFY_URL are the environment's alone."""
    names = ("IMPORTER_HOME", "IMPORTER_STORE", "IMPORTER_NOTIFY_URL")
    file("".join(f"{name}={tmp_path / 'theirs'}\n" for name in names) + f"LEADSQUARED_HOST={HOST}\n{KEYS}")
    assert load_settings().home.root == home
    assert [os.environ.get(name) for name in names[1:]] == [None, None]


def test_the_check_of_a_host_name_is_linear() -> None:
    """60 letters and a comma took minutes: a check that goes astray again runs into the time-out."""
    code = (
        "from importer.credentials import base_url\n"
        "from importer.errors import SettingsError\n"
        "for host in ('a' * 60 + ',', 'a.' * 5_000 + ',', '-' * 100_000, 'a-' * 50_000 + '.'):\n"
        "    try: base_url(host)\n"
        "    except SettingsError: print('refused')\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stdout.split() == ["refused"] * 4
