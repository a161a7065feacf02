"""README's recipes for unattended runs, as cron and systemd start them: in a bare environment."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import visits
from conftest import RunningTenant
from readme_made import section
from visits import results_of, write_csv, write_mapping

import importer as package
from importer.store.store import open_store

pytestmark = pytest.mark.skipif(os.name == "nt", reason="cron and systemd are not on Windows")
PLACES = ("/srv/feeds", "/usr/local/bin/importer", "/etc/importer.env")


@dataclass
class Night:
    """How a run ended. told: its JSON object."""

    exit: int
    told: dict[str, Any]
    output: str


Recipe = Callable[..., Night]


@pytest.fixture
def places(home: Path, tmp_path: Path, tenant: RunningTenant) -> dict[str, str]:
    """README's places as places of the test's own: the feed's folder, the program, the file with the keys."""
    program, keys = tmp_path / "bin" / "importer", tmp_path / "importer.env"
    program.parent.mkdir()
    root = Path(package.__file__).parents[1]
    program.write_text(
        f"#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(root))}\n"
        f'exec {shlex.quote(sys.executable)} -m importer "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    given = {**tenant.environment(), "LEADSQUARED_RATE": "1000/1"}
    for file in (keys, Path(".env")):
        file.write_text("".join(f"{name}={value}\n" for name, value in given.items()), encoding="utf-8")
        file.chmod(0o600)
    write_mapping(Path("visits.yaml"))
    return dict(zip(PLACES, (str(Path.cwd()), str(program), str(keys)), strict=True))


def here(text: str, places: dict[str, str]) -> str:
    for place, own in places.items():
        text = text.replace(place, own)
    return text


def bare(command: list[str], *, cwd: str, more: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """With what cron and systemd give to a user's job, and nothing else."""
    own = (f"HOME={cwd}/user", "LOGNAME=feeds", "PATH=/usr/bin:/bin", f"IMPORTER_HOME={cwd}/user/importer")
    return subprocess.run(
        ["/usr/bin/env", "-i", *own, *more, *command],
        cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip


def of_cron(text: str, places: dict[str, str]) -> Recipe:
    (line,) = re.findall(r"^    \d+ \d+ \* \* \* (.*)$", text, flags=re.MULTILINE)
    command = here(line, places)

    def night(*more: str) -> Night:
        log = Path("visits.log")
        before = log.stat().st_size if log.exists() else 0
        run = command.replace(" --json", " ".join(("", *more, "--json")))
        done = bare(["/bin/sh", "-c", run], cwd="/", more=(f"IMPORTER_HOME={Path.cwd()}/user/importer",))
        output = log.read_text(encoding="utf-8")[before:]
        assert (done.stdout, done.stderr) == ("", ""), "cron mails what is not in the log"
        return Night(done.returncode, json.loads(output.splitlines()[-1]), output)

    return night


def of_systemd(text: str, places: dict[str, str]) -> Recipe:
    unit = {name: here(value, places) for name, value in re.findall(r"^    (\w+)=(.*)$", text, re.MULTILINE)}
    keys = tuple(Path(unit["EnvironmentFile"]).read_text(encoding="utf-8").split())
    Path(".env").unlink()

    def night(*more: str) -> Night:
        command = [*shlex.split(unit["ExecStart"]), *more]
        done = bare(command, cwd=unit["WorkingDirectory"], more=keys)
        return Night(done.returncode, json.loads(done.stdout), done.stderr)

    return night


@pytest.fixture(params=[of_cron, of_systemd])
def recipe(request: pytest.FixtureRequest, places: dict[str, str]) -> Recipe:
    """Each recipe as README has it."""
    made: Recipe = request.param(section("## Unattended runs"), places)
    return made


def test_a_feed_is_sent_once_and_a_quiet_night_ends_with_0(recipe: Recipe, tenant: RunningTenant) -> None:
    write_csv(Path("visits.csv"), visits.visits(3))
    first, second = recipe(), recipe()
    assert (first.exit, first.told["created"]) == (0, 3), first.output
    assert (second.exit, second.told["created"], second.told["already"]) == (0, 0, 3), second.output
    assert "Nothing is new" in second.output
    write_csv(Path("visits.csv"), visits.visits(5))
    grown = recipe()
    assert (grown.exit, grown.told["created"], len(tenant.creates)) == (0, 2, 5), grown.output
    assert sorted(path.name for path in Path().glob("visits.results*")) == ["visits.results.csv"]
    assert len(results_of("visits.results.csv")) == 5


def test_after_an_outage_the_same_command_sends_what_is_left(recipe: Recipe, tenant: RunningTenant) -> None:
    """And while another run works on the batch, it keeps away."""
    write_csv(Path("visits.csv"), visits.visits(4))
    stopped = recipe("--limit", "1")
    assert (stopped.exit, stopped.told["pending"]) == (3, 3), stopped.output
    with open_store(Path("user/importer")) as store, store.own(stopped.told["batch"]):
        met = recipe()
    assert (met.exit, met.told["error_code"], len(tenant.creates)) == (2, "in-use", 1), met.output
    after = recipe()
    assert (after.exit, after.told["batch"], after.told["created"]) == (0, stopped.told["batch"], 4)
    assert len(tenant.creates) == 4


def test_a_feed_that_changed_since_an_outage_waits_for_the_open_batch(
    recipe: Recipe, tenant: RunningTenant, places: dict[str, str]
) -> None:
    """As README says: finished with `resume`, then the new rows."""
    write_csv(Path("visits.csv"), visits.visits(3))
    assert recipe("--limit", "1").exit == 3
    write_csv(Path("visits.csv"), visits.visits(5))
    refused = recipe()
    assert (refused.exit, refused.told["error_code"]) == (2, "imported-before"), refused.output
    assert len(tenant.creates) == 1
    keys = tuple(f"{name}={value}" for name, value in tenant.environment().items())
    command = [places["/usr/local/bin/importer"], "resume", "visits.results.csv", "--yes"]
    finished = bare(command, cwd=str(Path.cwd()), more=keys)
    assert (finished.returncode, len(tenant.creates)) == (0, 3), finished.stderr
    then = recipe()
    assert (then.exit, then.told["created"], len(tenant.creates)) == (0, 2, 5), then.output
