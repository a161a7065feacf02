"""A store that somebody tampered with gives one clear error and ends; nothing in it becomes a path."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import Importer

pytestmark = pytest.mark.security

ROOT = Path(__file__).parents[1]
RESULTS = "visits.sandbox.results.csv"
TAMPERED = {
    "an id that climbs": (
        "UPDATE batch SET id = '../../../tmp/x';"
        """UPDATE fact SET value = '"../../../tmp/x"' WHERE name = 'id'"""
    ),
    "facts that are no JSON": "UPDATE fact SET value = '{' WHERE name = 'header'",
    "facts of another kind": "UPDATE fact SET value = '17' WHERE name = 'header'",
    "a status that is none": "UPDATE sheet_row SET status = 99 WHERE position = 3",
    "cells that are no JSON": "UPDATE sheet_row SET cells = '[\"=1' WHERE position = 2",
    "an activity that is none": "UPDATE sheet_row SET activity = x'00ff' WHERE position = 3",
}
COMMANDS = (
    ("resume", RESULTS, "--sandbox", "--yes"),
    ("report", RESULTS, "--sandbox"),
    ("status", RESULTS, "--sandbox"),
    ("status",),
)


@pytest.fixture
def rehearsed(importer: Importer, home: Path) -> Path:
    """The store after two of forty rows."""
    shutil.copy(ROOT / "samples" / "visits.csv", ".")
    for found in (ROOT / "mappings").iterdir():
        shutil.copy(found, ".")
    ran = importer("run", "visits.csv", "-m", "visits.yaml", "--sandbox", "--yes", "--limit", "2")
    assert ran.exit == 3, ran.stderr
    return home / "importer.db"


@pytest.mark.parametrize("how", TAMPERED)
def test_a_tampered_store_ends_with_one_sentence(importer: Importer, rehearsed: Path, how: str) -> None:
    """Whichever command finds it; what does not look at the damage may go on."""
    with sqlite3.connect(rehearsed) as store:
        for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            store.execute(f"DROP TRIGGER {name}")
        store.execute("PRAGMA ignore_check_constraints = ON")
        store.executescript(TAMPERED[how])
    store.close()
    before = {path.name for path in Path.cwd().iterdir()}

    ends = {command: importer(*command, "--json") for command in COMMANDS}

    assert {result.exit for result in ends.values()} <= {0, 1, 2, 3}
    assert any(result.exit in {2, 3} for result in ends.values())
    for result in ends.values():
        assert "Traceback" not in result.stderr
        assert "Unexpected error" not in result.json.get("error", "")
        assert "should not happen" not in result.json.get("error", "")
    assert {path.name for path in Path.cwd().iterdir()} - before <= {"visits.sandbox.report.html"}


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + b"\0" * 5_000])
def test_a_store_that_is_none_is_named_and_left_alone(importer: Importer, home: Path, content: bytes) -> None:
    """Somebody's file of that name is not written over."""
    home.mkdir(mode=0o700)
    (home / "importer.db").write_bytes(content)
    result = importer("status", "--json")
    assert result.exit in ({0, 2} if content == b"" else {2})
    assert (home / "importer.db").read_bytes() == content or content == b""


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own on Windows")
def test_a_store_that_is_a_link_is_refused(importer: Importer, home: Path, tmp_path: Path) -> None:
    """It may point into a folder that others read."""
    home.mkdir(mode=0o700)
    elsewhere = tmp_path / "elsewhere.db"
    (home / "importer.db").symlink_to(elsewhere)
    shutil.copy(ROOT / "samples" / "visits.csv", ".")
    for found in (ROOT / "mappings").iterdir():
        shutil.copy(found, ".")
    result = importer("run", "visits.csv", "-m", "visits.yaml", "--sandbox", "--yes", "--limit", "1")
    assert (result.exit, elsewhere.exists()) == (2, False)
