"""The files of others that the screen brings along: what the list says of them is true."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import importer.web
from importer.web.screen import stylesheet

WEB = Path(importer.web.__file__).parent
STATIC = WEB / "static"
OURS = {"screen.css", "screen.js", "icon.svg", "libraries.json", "LICENSES.txt"}
SAMPLES = Path(__file__).parents[1]
SCRIPT_LINES_MOST = 300


def test_each_file_is_the_one_in_the_list() -> None:
    """Name, version, licence and checksum of each; nothing lies there that is not in it."""
    listed = json.loads((STATIC / "libraries.json").read_text(encoding="utf-8"))
    sums = {one["file"]: one["sha256"] for one in listed}

    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in STATIC.iterdir()
        if path.name not in OURS
    }
    assert found == sums
    assert all(one[key] for one in listed for key in ("name", "version", "licence", "from"))


def test_each_licence_is_kept() -> None:
    """Its text travels with the file."""
    listed = json.loads((STATIC / "libraries.json").read_text(encoding="utf-8"))
    licences = (STATIC / "LICENSES.txt").read_text(encoding="utf-8")

    assert [one["name"] for one in listed if f"== {one['name']}" not in licences] == []


def test_our_own_script_stays_small() -> None:
    """Pages come from the server."""
    assert len((STATIC / "screen.js").read_text(encoding="utf-8").splitlines()) <= SCRIPT_LINES_MOST


def test_the_sample_is_the_one_of_the_readme() -> None:
    """The installed package brings it along, and the two never differ."""
    pairs = [("visits.csv", "samples"), ("visits.yaml", "mappings")]

    differing = [
        name
        for name, folder in pairs
        if (WEB / "sample" / name).read_bytes() != (SAMPLES / folder / name).read_bytes()
    ]
    assert differing == []


def test_the_stylesheet_asks_for_nothing_else() -> None:
    """No picture and no other file: the pages' policy would refuse them, on the browser's console."""
    styles = stylesheet()

    assert "url(" not in styles
    assert "@import" not in styles
