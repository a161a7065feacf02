"""Keys are kept in the system's keyring, or nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend
from keyring.backends.fail import Keyring as FailKeyring
from keyring.backends.null import Keyring as NullKeyring
from memory_keyring import MemoryKeyring
from pydantic import SecretStr

from importer.credentials import Keys, load, remove, store
from importer.errors import SettingsError
from importer.settings import load_settings

KEPT = ("https://api.leadsquared.com", Keys(SecretStr("u$r-access"), SecretStr("s3cret")))


class PlaintextKeyring(MemoryKeyring):
    """Named like the one of keyrings.alt that writes passwords to a file as they are."""


class Chain(ChainerBackend):
    """A chain as keyring builds it when several backends are there."""

    backends: list[KeyringBackend] = []  # noqa: RUF012 - the base class has a property of this name


@pytest.fixture(autouse=True)
def _put_back(home: Path) -> Iterator[None]:
    earlier = keyring.get_keyring()
    yield
    keyring.set_keyring(earlier)


def test_what_is_stored_is_loaded_until_it_is_removed() -> None:
    """Login, calls, logout."""
    keyring.set_keyring(MemoryKeyring())

    store(*KEPT)
    loaded = load()

    assert loaded == KEPT
    assert remove() is True
    assert load() is None
    assert remove() is False


@pytest.mark.parametrize("backend", [FailKeyring, NullKeyring, PlaintextKeyring])
def test_without_a_keyring_nothing_is_kept(backend: type[KeyringBackend], home: Path) -> None:
    """A keyring that keeps passwords readable is none."""
    unsafe = backend()
    keyring.set_keyring(unsafe)
    before = sorted(home.parent.rglob("*"))

    with pytest.raises(SettingsError, match="nothing was kept"):
        store(*KEPT)

    assert load() is None
    assert remove() is False
    assert not getattr(unsafe, "kept", {})
    assert before == sorted(home.parent.rglob("*"))


def test_in_a_chain_the_safe_one_is_used() -> None:
    """A readable keyring is skipped even where it comes first."""
    plain, safe = PlaintextKeyring(), MemoryKeyring()
    chain = Chain()  # type: ignore[no-untyped-call]
    chain.backends = [plain, safe]
    keyring.set_keyring(chain)

    store(*KEPT)

    assert not plain.kept
    assert load() == KEPT
    assert safe.kept


def test_a_locked_keyring_is_said_and_shows_no_keys() -> None:
    """Backends raise what they like."""
    locked = MemoryKeyring()
    locked.broken = True
    keyring.set_keyring(locked)

    for action in (lambda: store(*KEPT), load, remove):
        with pytest.raises(SettingsError, match="the collection is locked") as raised:
            action()
        assert "s3cret" not in str(raised.value)


def test_a_locked_keyring_never_blocks_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not even asked."""
    locked = MemoryKeyring()
    locked.broken = True
    keyring.set_keyring(locked)
    for name in ("HOST", "ACCESS_KEY", "SECRET_KEY"):
        monkeypatch.setenv(f"LEADSQUARED_{name}", "x")

    assert load_settings().base_url == "https://x"


def test_a_locked_keyring_is_mentioned_beside_what_is_missing() -> None:
    """Otherwise one would wonder where the keys went."""
    locked = MemoryKeyring()
    locked.broken = True
    keyring.set_keyring(locked)

    with pytest.raises(Exception, match="collection is locked") as raised:
        load_settings()
    assert "LEADSQUARED_ACCESS_KEY" in str(raised.value)


@pytest.mark.parametrize("kept", ["", "{}", "[1]", "null", "not json"])
def test_a_damaged_entry_asks_for_login(kept: str) -> None:
    """Somebody else's entry under our name, or half of ours."""
    backend = MemoryKeyring()
    keyring.set_keyring(backend)
    store(*KEPT)
    backend.kept = dict.fromkeys(backend.kept, kept)

    with pytest.raises(SettingsError, match="importer login"):
        load()
