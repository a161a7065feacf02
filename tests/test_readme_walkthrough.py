"""README's commands are run as they stand there, and end with the output that is shown there."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import Importer, RunningTenant, child_environment
from readme_made import readme, section, write_readme

ROOT = Path(__file__).parents[1]
SHOWN_FOLDER = "/home/you/importer"

_BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROGRESS = re.compile(
    r"^(?:Sending|Reading|Writing|Looking|Mapping|Comparing)[^\n]*: [\d,]+ .*\n", re.MULTILINE
)
_CHANGING = (
    (re.compile(r"\b(?:sandbox-|b)\d{8}-\d{6}-[0-9a-f]{6}\b"), "BATCH"),
    (re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"), "ID"),
    (re.compile(r" in (?:less than a second|[\d.]+ seconds?)(?=\.|$)", re.MULTILINE), ""),
    (re.compile(r"about (?:less than a second|\d+ seconds?)"), "about SOME TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?(?: [A-Z]{3,4}\b)?"), "TIME"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
)


@dataclass(frozen=True)
class Step:
    """Commands of one `sh` block, the `text` block after it, and where that lies in README (start, end).

    shown, place: None if the output is not shown.
    """

    commands: tuple[str, ...]
    shown: str | None
    place: tuple[int, int] | None


def _steps() -> list[Step]:
    text = readme()
    start = text.index(section("## In the terminal"))
    steps: list[Step] = []
    for block in _BLOCK.finditer(text, start, start + len(section("## In the terminal"))):
        if block[1] == "sh":
            steps.append(Step(tuple(block[2].splitlines()), None, None))
        else:
            steps[-1] = replace(steps[-1], shown=block[2], place=block.span(2))
    return steps


def _same_each_time(output: str) -> str:
    """Ids, times and durations as words: they differ from run to run."""
    for pattern, word in _CHANGING:
        output = pattern.sub(word, output)
    return output


def _on_screen(command: str) -> str:
    """What a terminal would show: stdout and stderr as one, without the progress, which it draws over."""
    from importer.cli.main import run

    name, *arguments = shlex.split(command)
    assert name == "importer", f"the walk-through runs another program: {command}"
    screen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)
    with redirect_stdout(screen), redirect_stderr(screen):
        code = run(arguments)
    screen.seek(0)
    output = _PROGRESS.sub("", screen.read()).replace(str(Path.cwd()), SHOWN_FOLDER)
    assert code != 2, f"{command} ended with 2: {output}"
    return "".join(f"{line.rstrip()}\n" for line in output.splitlines())


@pytest.fixture
def clone(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with samples and mappings as after `git clone`, on a computer in India."""
    for name in ("samples", "mappings"):
        shutil.copytree(ROOT / name, Path.cwd() / name, ignore=shutil.ignore_patterns("*.results.*"))
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    monkeypatch.setenv("COLUMNS", "80")
    return Path.cwd()


def test_the_walk_through_shows_what_happens(clone: Path) -> None:
    """Every command of it, in order, with its output. IMPORTER_README=write puts the real output there."""
    steps = _steps()
    happened = ["".join(map(_on_screen, step.commands)) for step in steps]

    if os.environ.get("IMPORTER_README") == "write":
        text = readme()
        for step, output in reversed(list(zip(steps, happened, strict=True))):
            if step.place is not None and _same_each_time(step.shown or "") != _same_each_time(output):
                text = text[: step.place[0]] + output + text[step.place[1] :]
        write_readme(text)
        steps = _steps()
    for step, output in zip(steps, happened, strict=True):
        if step.shown is None:
            continue
        assert _same_each_time(step.shown) == _same_each_time(output), step.commands


def test_the_walk_through_shows_every_step_of_the_way(clone: Path) -> None:
    """From a sheet to a report."""
    commands = [shlex.split(command)[1] for step in _steps() for command in step.commands]

    way = ["init", "check", "run", "verify", "resume", "report"]
    assert [name for name in dict.fromkeys(commands) if name in way] == way


def test_the_first_command_posts_the_sample(clone: Path, importer: Importer) -> None:
    """The part of README's first command that is ours, and the lines of the results file that it shows."""
    first = next(block[2] for block in _BLOCK.finditer(readme()) if block[1] == "sh")
    ours = re.search(r"\.venv/bin/importer (.*?) && head -n 5 (\S+)", first)
    assert ours is not None

    result = importer(*shlex.split(ours[1]))

    lines = Path(ours[2]).read_text(encoding="utf-8-sig").splitlines()
    assert (result.exit, lines[0].split(",")[:3]) == (
        0,
        ["import_row", "import_status", "import_activity_id"],
    )
    assert lines[1].startswith("2,created,")


def test_the_steps_of_a_first_real_import_work(
    clone: Path, importer: Importer, tenant: RunningTenant
) -> None:
    """Every command named there, in order, against a tenant; `login` needs a keyring and a terminal."""
    stands_for = {
        "SHEET": "samples/visits.csv",
        "MAPPING": "mappings/visits.yaml",
        "RESULTS": "samples/visits.results.csv",
    }
    ended = []
    for command in re.findall(r"`importer ([a-z]+(?: [^`]*)?)`", section("## A first real import")):
        arguments = [stands_for.get(word, word) for word in command.split()]
        if arguments[0] == "login":
            continue
        if arguments[0] == "init":
            arguments[-1] = "proposed.yaml"
        answered = ["--yes"] if arguments[0] in {"run", "resume"} else []
        ended.append((arguments[0], importer(*arguments, *answered).exit))

    assert ended == [
        ("whoami", 0),
        ("init", 0),
        ("check", 0),
        ("run", 3),
        ("verify", 0),
        ("resume", 0),
        ("resume", 0),
        ("report", 0),
    ]
    assert len(tenant.creates) == 40


def test_the_script_of_the_python_api_runs(home: Path) -> None:
    """Check, plan and send from a script, as README shows it."""
    script = readme().split("## Python API")[1].split("```python\n")[1].split("```")[0]
    Path("visits.csv").write_bytes((ROOT / "samples" / "visits.csv").read_bytes())
    for name in ("visits.yaml", "call-outcomes.csv"):
        Path(name).write_bytes((ROOT / "mappings" / name).read_bytes())

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False,
        env=child_environment(),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "40 created" in done.stdout
