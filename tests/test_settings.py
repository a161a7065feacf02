"""Environment, `.env`, flags and keyring become settings, or one message with all that is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from conftest import as_nobody
from memory_keyring import MemoryKeyring
from pydantic import SecretStr

from importer.credentials import Keys, base_url, check_host, store
from importer.errors import SettingsError
from importer.home import home
from importer.pacing.pacing import Rate
from importer.settings import load_rate, load_settings


@pytest.fixture(autouse=True)
def _bare(home: Path) -> None:
    """No variables, no `.env`, no keyring of this computer (see conftest)."""


@pytest.fixture
def memory_keyring() -> Iterator[None]:
    earlier = keyring.get_keyring()
    keyring.set_keyring(MemoryKeyring())
    yield
    keyring.set_keyring(earlier)


def set_all(monkeypatch: pytest.MonkeyPatch, **others: str) -> None:
    values = {"HOST": "api.leadsquared.com", "ACCESS_KEY": "u$r-access", "SECRET_KEY": "s3cret"} | others
    for name, value in values.items():
        monkeypatch.setenv(f"LEADSQUARED_{name}", value)


def test_the_environment_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host and keys; the rate has a default."""
    set_all(monkeypatch)

    settings = load_settings()

    assert (settings.base_url, settings.rate) == ("https://api.leadsquared.com", Rate(25, 5))
    assert settings.keys == Keys(SecretStr("u$r-access"), SecretStr("s3cret"))


def test_flags_win_over_the_environment_and_it_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flag, environment, `.env`: the first that is set."""
    Path(".env").write_text(
        "LEADSQUARED_HOST=api-ir31.leadsquared.com\nLEADSQUARED_RATE=2/5\nLEADSQUARED_SECRET_KEY='of file'\n"
    )
    set_all(monkeypatch, RATE="10/5")

    settings = load_settings(host="api-us11.leadsquared.com")

    assert (settings.base_url, settings.rate) == ("https://api-us11.leadsquared.com", Rate(10, 5))
    assert settings.keys.secret.get_secret_value() == "s3cret"
    assert load_settings(rate=Rate(3, 1)).rate == Rate(3, 1)
    monkeypatch.setenv("LEADSQUARED_RATE", "")
    assert load_rate() == Rate(2, 5)


def test_a_dot_env_of_notepad_is_read() -> None:
    """UTF-8 with BOM, CRLF, quotes; `$` in a key stays."""
    Path(".env").write_bytes(
        b"\xef\xbb\xbfLEADSQUARED_HOST=api.leadsquared.com\r\n"
        b"LEADSQUARED_ACCESS_KEY=\"u$r99\"\r\nLEADSQUARED_SECRET_KEY='$x'\r\n"
    )

    settings = load_settings()

    assert settings.keys == Keys(SecretStr("u$r99"), SecretStr("$x"))


@pytest.mark.parametrize("content", ["LEADSQUARED_HOST=x".encode("utf-16"), b"LEADSQUARED_HOST=caf\xe9"])
def test_a_dot_env_that_is_not_utf_8_is_named(content: bytes) -> None:
    """PowerShell's `>` writes UTF-16."""
    Path(".env").write_bytes(content)

    with pytest.raises(SettingsError, match="not UTF-8") as raised:
        load_settings()
    assert raised.value.where == str(Path(".env").absolute())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_a_dot_env_that_may_not_be_read_is_named() -> None:
    """A clear message instead of a traceback."""
    Path(".env").write_text("LEADSQUARED_RATE=2/5\n")
    Path(".env").chmod(0)

    with as_nobody(), pytest.raises(SettingsError, match="cannot be read"):
        load_settings()


def test_all_that_is_missing_is_said_at_once_with_every_way_to_set_it() -> None:
    """Nobody should have to run it three times to learn three names."""
    with pytest.raises(SettingsError) as raised:
        load_settings()

    message = str(raised.value)
    assert "LEADSQUARED_HOST, LEADSQUARED_ACCESS_KEY and LEADSQUARED_SECRET_KEY are not set." in message
    for way in (
        "export LEADSQUARED_HOST='",
        "$env:LEADSQUARED_ACCESS_KEY = '",
        ".env",
        "importer login",
        "--sandbox",
    ):
        assert way in message


def test_what_is_missing_and_what_is_wrong_are_said_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of two keys, a host that is none, a rate that is none."""
    monkeypatch.setenv("LEADSQUARED_ACCESS_KEY", "abc")
    monkeypatch.setenv("LEADSQUARED_HOST", "https://user@host")
    monkeypatch.setenv("LEADSQUARED_RATE", "25")

    with pytest.raises(SettingsError) as raised:
        load_settings()

    message = str(raised.value)
    assert "LEADSQUARED_SECRET_KEY is not set." in message
    assert "LEADSQUARED_HOST: The address contains a user name or a key." in message
    assert "LEADSQUARED_RATE: '25' is not a rate." in message


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel", "x" * 600])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """It would break the header, or be a mistake in pasting."""
    set_all(monkeypatch, SECRET_KEY=key)

    with pytest.raises(SettingsError, match="LEADSQUARED_SECRET_KEY") as raised:
        load_settings()
    assert key not in str(raised.value)


def test_keys_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings can be logged."""
    set_all(monkeypatch)

    assert "s3cret" not in repr(load_settings())


@pytest.mark.parametrize("text", ["25", "25/", "/5", "0/5", "25/0", "-1/5", "2/5/5", "a/b", "nan/5", "1/inf"])
def test_a_rate_that_is_not_calls_by_seconds_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Before anything is sent; wherever it is written (`--rate` is read by the command line)."""
    set_all(monkeypatch, RATE=text)
    with pytest.raises(SettingsError, match="LEADSQUARED_RATE"):
        load_rate()


@pytest.mark.usefixtures("memory_keyring")
def test_the_keyring_serves_when_the_environment_names_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """`importer login` is enough from then on; the environment still wins."""
    store("https://api-in21.leadsquared.com", Keys(SecretStr("kept"), SecretStr("too")))

    kept = load_settings()
    set_all(monkeypatch)
    ours = load_settings()

    assert (kept.base_url, kept.keys.access.get_secret_value()) == (
        "https://api-in21.leadsquared.com",
        "kept",
    )
    assert (ours.base_url, ours.keys.access.get_secret_value()) == (
        "https://api.leadsquared.com",
        "u$r-access",
    )


@pytest.mark.usefixtures("memory_keyring")
def test_one_key_of_the_environment_is_never_paired_with_one_of_the_keyring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They would be two users' keys."""
    store("https://api.leadsquared.com", Keys(SecretStr("kept"), SecretStr("too")))
    monkeypatch.setenv("LEADSQUARED_HOST", "api.leadsquared.com")
    monkeypatch.setenv("LEADSQUARED_ACCESS_KEY", "another")

    with pytest.raises(SettingsError, match="LEADSQUARED_SECRET_KEY is not set"):
        load_settings()


@pytest.mark.parametrize(
    ("configured", "url"),
    [
        ("api.leadsquared.com", "https://api.leadsquared.com"),
        (" API.LeadSquared.com ", "https://api.leadsquared.com"),
        ("https://api.leadsquared.com/", "https://api.leadsquared.com"),
        ("https://api.leadsquared.com/v2/", "https://api.leadsquared.com"),
        ("api.leadsquared.com:8443", "https://api.leadsquared.com:8443"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://127.8.8.8", "http://127.8.8.8"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("HTTPS://a-b.example", "https://a-b.example"),
    ],
)
def test_a_host_or_a_url_becomes_the_base_url(configured: str, url: str) -> None:
    """Plain http only to this computer."""
    assert url == base_url(configured)


@pytest.mark.parametrize(
    "configured",
    [
        "",
        "https://",
        "http://api.leadsquared.com",
        "http://127.0.0.1.example.com",
        "http://192.168.1.1",
        "http://0.0.0.0:80",
        "ftp://api.leadsquared.com",
        "https://me:pass@api.leadsquared.com",
        "https://api.leadsquared.com?accessKey=x",
        "https://api.leadsquared.com#x",
        "https://api.leadsquared.com/app",
        "api leadsquared com",
        "api.leadsquared.com:port",
        "api.leadsquared.com:99999",
        "https://[::1",
        "-x.com",
        "a..b",
        "http://localhost\n.evil.com",
    ],
)
def test_what_is_no_safe_host_is_refused(configured: str) -> None:
    """The keys go where this points."""
    with pytest.raises(SettingsError) as raised:
        base_url(configured)
    assert raised.value.where == "LEADSQUARED_HOST"
    assert "pass" not in str(raised.value)


@pytest.mark.parametrize(
    ("configured", "api_host"),
    [
        ("https://api.leadsquared.com", "api.leadsquared.com"),
        ("https://api.leadsquared.com", "https://api.leadsquared.com/v2/"),
        ("https://api.leadsquared.com", "API.leadsquared.com."),
        ("https://api.leadsquared.com", "https://api.leadsquared.com:443"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://localhost:5000", "127.0.0.1:5000"),
        ("http://127.0.0.1:5000", "127.0.0.1"),
        ("https://api.leadsquared.com", ""),
    ],
)
def test_the_region_that_whoami_names_is_ours(configured: str, api_host: str) -> None:
    """Spellings do not matter; nothing named is nothing to compare."""
    assert check_host(configured, api_host) is None


@pytest.mark.parametrize(
    ("configured", "api_host"),
    [
        ("https://api.leadsquared.com", "api-us11.leadsquared.com"),
        ("http://127.0.0.1:5000", "https://api-in21.leadsquared.com"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001"),
    ],
)
def test_another_region_is_named(configured: str, api_host: str) -> None:
    """Its host refuses every call but whoami; loopback hosts are no exception."""
    error = check_host(configured, api_host)

    assert error is not None
    assert f"LEADSQUARED_HOST={api_host}" in str(error)


@pytest.mark.security
@pytest.mark.parametrize(
    "api_host", ["evil.example", "https://[broken", "api.leadsquared.com.evil.example", "x\ny"]
)
def test_a_server_cannot_propose_a_host_of_its_own(api_host: str) -> None:
    """What whoami answers is a stranger's word: its text is named, on one line, and no more."""
    error = check_host("https://api.leadsquared.com", api_host)

    assert error is not None
    assert "LEADSQUARED_HOST=" not in str(error)
    assert "\n" not in str(error)


def test_the_home_is_the_owners_alone(home: Path) -> None:
    """It holds customer data."""
    from importer.home import home as home_in_force

    there = home_in_force()
    there.prepare()

    assert there.root == home
    for folder in (there.root, there.logs, there.sandbox):
        assert folder.is_dir()
        if sys.platform != "win32":
            assert folder.stat().st_mode & 0o777 == 0o700


def test_a_home_that_cannot_be_made_is_named(home: Path) -> None:
    """A file stands in its place."""
    from importer.home import home as home_in_force

    home.write_text("")

    with pytest.raises(SettingsError, match="cannot be created") as raised:
        home_in_force().prepare()
    assert "IMPORTER_HOME" in raised.value.remedy


def test_without_the_variable_the_home_is_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty is not set; a relative folder is made absolute."""
    monkeypatch.setenv("IMPORTER_HOME", "")
    default = home().root
    monkeypatch.setenv("IMPORTER_HOME", "here")

    assert default.name == "importer"
    assert default.is_absolute()
    assert Path.cwd() / "here" == home().root
