"""The package as it is installed holds what it needs, and nothing of the tests."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path

import pytest
from conftest import child_environment

DATA = ("py.typed", "sandbox/FAULTS.md", "report/page.html", "report/page.css", "report/search.js")


@pytest.mark.parametrize("name", DATA)
def test_the_package_has_its_data(name: str) -> None:
    """Type marker, the list of faults, and what the report is made of."""
    assert (files("importer") / name).is_file()


def test_the_distribution_holds_the_package_alone() -> None:
    """No tests, samples or build files beside it, which would stand in everybody's site-packages."""
    try:
        found = distribution("importer")
    except PackageNotFoundError:
        pytest.skip("the package is not installed: this is a run from the source tree")

    parts = {Path(str(path)).parts[0] for path in found.files or () if ".." not in Path(str(path)).parts}
    assert {
        part for part in parts if part != "importer" and not part.endswith((".dist-info", ".pth"))
    } == set()


def test_the_console_script_and_the_module_are_the_same(home: Path) -> None:
    """`importer --version` and `python -m importer --version` say the same."""
    script = Path(sys.executable).with_name("importer")
    if not script.exists():
        pytest.skip("the package is not installed: this is a run from the source tree")

    said = [
        subprocess.run(
            [*command, "--version"], capture_output=True, text=True, check=True, env=child_environment()
        ).stdout
        for command in ([str(script)], [sys.executable, "-m", "importer"])
    ]
    assert said[0] == said[1]
