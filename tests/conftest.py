"""What every test may ask for: a home of its own, the command line, and a tenant to send to."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest


@dataclass(frozen=True)
class Result:
    """How a command line ended."""

    exit: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that `--json` promises on stdout, and nothing beside it."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


class Importer(Protocol):
    """Runs `importer ARGUMENTS`."""

    def __call__(self, *arguments: str | Path, stdin: str = "") -> Result:
        """Run it to its end."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """IMPORTER_HOME in a folder of the test's own; no keys, no `.env`, no keyring from this computer."""
    for name in list(os.environ):
        if name.upper().startswith("LEADSQUARED_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("IMPORTER_HOME", str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.chdir(work)
    return folder


@pytest.fixture
def importer(home: Path) -> Iterator[Importer]:
    """The command line in this process: quick, and what it raises is seen."""
    from importer.cli.main import run
    from importer.support_log import close_log

    def call(*arguments: str | Path, stdin: str = "") -> Result:
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)
        err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)
        with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            code = run([str(argument) for argument in arguments])
        return Result(code, _written(out), _written(err))

    yield call
    close_log()


@pytest.fixture
def importer_process(home: Path) -> Importer:
    """The command line in a process of its own, as a person starts it."""

    def call(*arguments: str | Path, stdin: str = "") -> Result:
        done = subprocess.run(
            importer_command(*arguments),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
            env=child_environment(),
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call


def importer_command(*arguments: str | Path) -> list[str]:
    """The argument vector that starts the command line in a new process."""
    return [sys.executable, "-m", "importer", *map(str, arguments)]


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a child that speaks UTF-8 wherever the test runs."""
    import importer

    # The child runs in another folder, and has to import the very package that is being tested.
    package = Path(importer.__file__).parents[1]
    return {**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(package), **(extra or {})}


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8")
