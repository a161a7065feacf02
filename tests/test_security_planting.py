"""The folder that one works in may be a stranger's: nothing in it is run, and no link is written through."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Importer, child_environment

pytestmark = pytest.mark.security

ROOT = Path(__file__).parents[1]
PLANTED = (
    "json", "csv", "sqlite3", "typer", "click", "yaml", "ruamel", "pandas", "numpy", "openpyxl", "keyring",
    "aiohttp", "pydantic", "sqlalchemy", "readline", "sitecustomize", "usercustomize", "dotenv", "ssl",
)  # fmt: skip
RESULTS = "visits.sandbox.results.csv"


@pytest.fixture
def work(home: Path) -> Path:
    """The working folder, with a sheet and its mapping."""
    folder = Path.cwd()
    shutil.copy(ROOT / "samples" / "visits.csv", folder)
    for found in (ROOT / "mappings").iterdir():
        shutil.copy(found, folder)
    return folder


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of the person's, which everybody knows the name of."""
    file = tmp_path / ".bashrc"
    file.write_text("theirs\n", encoding="utf-8")
    return file


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.parametrize("way", ["script", "module"])
def test_modules_in_the_working_folder_are_not_loaded(work: Path, way: str) -> None:
    """`check` and `init` load nearly everything; a planted module would leave its mark."""
    for name in PLANTED:
        (work / f"{name}.py").write_text(f"open({str(work / 'planted')!r}, 'a').write({name!r})\n")
    start = "import sys; sys.argv[0] = 'importer'; from importer.cli.main import main; main()"
    command = [sys.executable, "-m", "importer"] if way == "module" else [sys.executable, "-P", "-c", start]
    environment = {**child_environment(), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "check", "visits.csv", "-m", "visits.yaml"],
        cwd=work, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, (work / "planted").exists()) == (0, False), done.stderr


@pytest.mark.parametrize("dangling", [False, True])
def test_a_planted_link_for_the_results_is_refused_before_anything_is_sent(
    importer: Importer, work: Path, victim: Path, *, dangling: bool
) -> None:
    """`visits.sandbox.results.csv -> ~/.bashrc`: whoever writes through it writes code."""
    target = victim.with_name(".profile") if dangling else victim
    (work / RESULTS).symlink_to(target)
    done = importer("run", "visits.csv", "-m", "visits.yaml", "--sandbox", "--yes")
    assert (done.exit, "link" in done.stderr) == (2, True)
    assert (victim.read_text(encoding="utf-8"), victim.with_name(".profile").exists()) == ("theirs\n", False)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        (
            "visits.sandbox.verified.csv",
            ("verify", RESULTS, "--sandbox", "--settle", "0"),
        ),
        ("visits.sandbox.report.html", ("report", RESULTS, "--sandbox")),
        ("marked.xlsx", ("check", "visits.csv", "-m", "visits.yaml", "--report", "marked.xlsx")),
        ("own.yaml", ("init", "visits.csv", "-o", "own.yaml", "--event", "10001")),
    ],
)
@pytest.mark.parametrize("dangling", [False, True])
def test_planted_links_beside_the_sheet_are_refused(
    importer: Importer, work: Path, victim: Path, name: str, command: tuple[str, ...], *, dangling: bool
) -> None:
    """Every other file that is written has a name that can be guessed too."""
    importer("run", "visits.csv", "-m", "visits.yaml", "--sandbox", "--yes", "--limit", "2")
    target = victim.with_name(".profile") if dangling else victim
    (work / name).symlink_to(target)
    assert importer(*command).exit == 2
    assert (victim.read_text(encoding="utf-8"), victim.with_name(".profile").exists()) == ("theirs\n", False)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.usefixtures("open_umask")
def test_nothing_that_is_written_is_open_to_others(importer: Importer, work: Path, home: Path) -> None:
    """With a umask of 000, in a home that somebody made for everybody."""
    home.mkdir(mode=0o777)
    importer("run", "visits.csv", "-m", "visits.yaml", "--sandbox", "--yes", "--limit", "2")
    importer("verify", RESULTS, "--sandbox", "--settle", "0")
    importer("report", RESULTS, "--sandbox")
    importer("check", "visits.csv", "-m", "visits.yaml", "--report", "marked.xlsx")
    importer("init", "visits.csv", "-o", "own.yaml", "--event", "10001")

    written = [*home.rglob("*"), home, *work.glob("*sandbox*"), work / "marked.xlsx", work / "own.yaml"]
    loose = [str(path) for path in written if stat.S_IMODE(path.lstat().st_mode) & 0o077]
    assert (loose, len(written) > 8) == ([], True)
