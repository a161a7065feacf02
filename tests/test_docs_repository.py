"""What is beside the package: lock, workflows, forms and scripts agree with pyproject and README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from readme_made import readme
from ruamel.yaml import YAML

ROOT: Final = Path(__file__).parents[1]
LOCK: Final = ROOT / ".ci" / "requirements.lock"
WORKFLOWS: Final = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS: Final = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
SAFE: Final = {"aiohttp": "3.13.3", "jinja2": "3.1.6", "filelock": "3.20.3"}
"""Versions below have known vulnerabilities."""
PRIVATE: Final = ("openpyxl", "xlsxwriter", "typer")
"""Libraries of which we use what they do not promise to keep."""


def required() -> dict[str, Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {canonicalize_name(one.name): one for one in map(Requirement, project["dependencies"])}


def locked() -> dict[str, list[Version]]:
    """The versions of each package; several where they depend on Python's."""
    found: dict[str, list[Version]] = {}
    for name, version in re.findall(
        r"^([\w.-]+)==([^\s;\\]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE
    ):
        found.setdefault(canonicalize_name(name), []).append(Version(version))
    return found


def yaml(path: Path) -> Any:  # noqa: ANN401 - whatever it holds
    return YAML(typ="safe", pure=True).load(path)


def test_the_lock_has_every_dependency_in_a_version_that_is_asked_for() -> None:
    """After a change of pyproject it is made again; its first lines say how."""
    versions = locked()
    wrong = [
        str(one)
        for name, one in required().items()
        if not any(one.specifier.contains(version, prereleases=True) for version in versions.get(name, []))
    ]
    assert wrong == []


@pytest.mark.security
def test_every_locked_package_has_hashes() -> None:
    """Without one, pip would refuse the whole file; with none at all, it would take what it gets."""
    blocks = re.split(r"^(?=[\w.-]+==)", LOCK.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert len(blocks) > len(required())


@pytest.mark.security
@pytest.mark.parametrize("name", SAFE)
def test_lower_bounds_are_without_known_vulnerabilities(name: str) -> None:
    """Whoever installs with the lowest versions that are allowed is safe too."""
    lowest = min(Version(one.version) for one in required()[name].specifier if one.operator == ">=")
    assert lowest >= Version(SAFE[name])


@pytest.mark.parametrize("name", PRIVATE)
def test_private_interfaces_have_an_upper_bound(name: str) -> None:
    """A release that changes them must not reach anybody before it was tried."""
    assert any(one.operator in {"<", "<=", "~=", "=="} for one in required()[name].specifier)


@pytest.mark.parametrize("path", [*WORKFLOWS, *FORMS], ids=lambda path: str(path.name))
def test_workflows_and_forms_are_yaml(path: Path) -> None:
    """GitHub says nothing of a form that it cannot read; it just does not show it."""
    assert isinstance(yaml(path), dict)


@pytest.mark.security
@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: str(path.name))
def test_workflows_ask_for_no_rights_they_do_not_need(path: Path) -> None:
    """A dependency that turned bad must not be able to write into the repository."""
    workflow = yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    writing = [name for name, job in workflow["jobs"].items() if "write" in str(job.get("permissions", ""))]
    assert writing == (["draft"] if path.name == "release.yml" else [])
    assert [name for name, job in workflow["jobs"].items() if "timeout-minutes" not in job] == []


@pytest.mark.parametrize("name", ["run", "smoke", "standalone", "readme_command"])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such bit")
def test_scripts_can_be_started(name: str) -> None:
    """As README and the workflows start them."""
    assert os.access(ROOT / ".ci" / name, os.X_OK)


@pytest.mark.parametrize("which", ["try", "test", "try-windows", "test-windows"])
def test_the_commands_that_are_run_are_those_of_readme(which: str) -> None:
    """Word for word."""
    script = [sys.executable, str(ROOT / ".ci" / "readme_command"), which]
    said = subprocess.run(script, capture_output=True, text=True, check=True, encoding="utf-8").stdout.strip()
    assert said
    assert f"\n{said}\n```" in readme()
