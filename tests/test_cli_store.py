"""`importer store`: where the store is and what it holds; and copying it to the team's."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Importer
from stores import PASSWORD_IN_URL, Place, batch_id, postgres_database, published


def test_it_says_where_the_store_is_and_what_it_holds(
    importer: Importer, place: Place, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And who works on which batch; never a password."""
    if place.url:
        monkeypatch.setenv("IMPORTER_STORE", place.url.replace("postgres:@", f"postgres:{PASSWORD_IN_URL}@"))
    with Place(home, place.url).open() as store:
        published(store, 1, rows=5).close()
        with published(store, 2, rows=7, first=20):
            result = importer("store", "--json")
            shown = importer("store")
    assert result.exit == 0, result.stderr
    found = result.json
    assert (found["dialect"], found["batches"], found["rows"]) == (place.dialect, 2, 12)
    assert found["location"].endswith("importer.db") == (place.dialect == "sqlite")
    assert [one.split(",")[0] for one in found["running"]] == [batch_id(2)]
    assert found["size_bytes"] > 0
    assert f"Running   {batch_id(2)}, " in shown.stdout
    assert PASSWORD_IN_URL not in result.stdout + result.stderr + shown.stdout + shown.stderr


def test_without_a_store_it_makes_none(importer: Importer, home: Path) -> None:
    """It only looks."""
    result = importer("store", "--json")
    assert (result.exit, result.json["batches"]) == (0, 0)
    assert not (home / "importer.db").exists()


def test_copying_makes_this_computers_store_read_only(importer: Importer, home: Path) -> None:
    """It says where everything is now."""
    with Place(home, None).open() as store:
        published(store, 1, rows=5).close()
    with postgres_database() as url:
        result = importer("store", "copy", "--to", url, "--json")
        assert (result.exit, result.json["rows"]) == (0, 5), result.stderr
        assert importer("store", "--json").json["team"] == result.json["location"]
        status = importer("status")
        assert (status.exit, "Set IMPORTER_STORE" in status.stderr) == (0, True)


def test_a_password_is_never_an_option(importer: Importer, home: Path) -> None:
    """Other users of a computer see the options of a command."""
    with Place(home, None).open() as store:
        published(store, 1).close()
    url = f"postgresql://ana:{PASSWORD_IN_URL}@127.0.0.1:1/importer"
    result = importer("store", "copy", "--to", url)
    assert result.exit == 2
    assert "PGPASSFILE" in result.stderr
    assert PASSWORD_IN_URL not in result.stderr


def test_a_password_with_an_at_sign_as_it_is_is_not_taken_for_a_part_of_the_host(
    importer: Importer, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """What stands behind the first @ would be shown as the host's name."""
    monkeypatch.setenv("IMPORTER_STORE", f"postgresql://ana:first@{PASSWORD_IN_URL}@127.0.0.1:1/importer")
    result = importer("status", "--verbose")
    assert (result.exit, "%40" in result.stderr) == (2, True)
    assert PASSWORD_IN_URL not in result.stdout + result.stderr


def test_a_copy_to_what_is_no_address_names_the_option(importer: Importer, home: Path) -> None:
    """IMPORTER_STORE is not set then."""
    with Place(home, None).open() as store:
        published(store, 1).close()
    result = importer("store", "copy", "--to", "sqlite:///importer.db")
    assert (result.exit, "--to: This is not the address of a store." in result.stderr) == (2, True)


def test_a_store_that_cannot_be_reached_is_exit_2(
    importer: Importer, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """One sentence, with a code for scripts."""
    monkeypatch.setenv("IMPORTER_STORE", f"postgresql://ana:{PASSWORD_IN_URL}@127.0.0.1:1/importer")
    result = importer("status", "--json")
    assert (result.exit, result.json["error_code"]) == (2, "store")
    assert PASSWORD_IN_URL not in result.stdout + result.stderr
