"""Two computers of a team: a home and a working folder each, one store on PostgreSQL, one tenant."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
from conftest import Result
from crash.killing import MAPPING, Far, serving
from stores import postgres_database

from importer.store.store import Store, open_store

PATIENCE_S = 180.0
ACCOUNTS = [f"8933fa5e-5b39-11e9-826a-{number:012x}" for number in range(6)]
QUICK = ("--yes", "--json", "--rate", "200/1", "--workers", "8", "--settle", "0.3")


class Computer:
    """One person's computer. `folder` is where they work, `home` is IMPORTER_HOME."""

    def __init__(self, folder: Path, tenant: Far, url: str | None) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.tenant = tenant
        self.url = url
        folder.mkdir()
        (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")

    def start(self, *command: str, quick: bool = True, timeout_s: float = 2) -> subprocess.Popen[str]:
        """The command line in a process of its own. timeout_s: how long a call may take."""
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "importer",
                *command,
                *((*QUICK, "--timeout", str(timeout_s)) if quick else ()),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**self.tenant.environment(self.home, self.url), "USER": self.folder.name},
            cwd=self.folder,
        )

    def run(self, *command: str, quick: bool = True) -> Result:
        """The same, to its end."""
        return ended(self.start(*command, quick=quick))

    def store(self) -> Store:
        """The team's store, as this computer sees it."""
        return open_store(self.home, self.url)


class Team:
    """`ana` and `ben`; `sheet(name, rows)` writes a sheet that both have."""

    def __init__(self, folder: Path, tenant: Far, url: str) -> None:
        self.tenant = tenant
        self.url = url
        self.ana = Computer(folder / "ana", tenant, url)
        self.ben = Computer(folder / "ben", tenant, url)

    def sheet(self, rows: int, name: str = "sheet.csv") -> str:
        """Every row differs from every other one."""
        with (self.ana.folder / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["Account", "Event", "Note", "Line", "Outcome"])
            for line in range(1, rows + 1):
                writer.writerow(
                    [ACCOUNTS[line % len(ACCOUNTS)], "Visit", f"Visit {line}", f"{name} {line}", "Won"]
                )
        shutil.copy(self.ana.folder / name, self.ben.folder / name)
        return name

    def until(self, true: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
        """Waits, some minutes at most, and not for a process that has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline
            assert process is None or process.poll() is None, process.communicate()
            time.sleep(0.02)

    def created(self) -> int:
        """How many activities the tenant holds."""
        return int(self.tenant.ask("counts")["held"])

    def calls(self) -> tuple[int, int]:
        """How many are recorded in the store, and how many are marked only."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute("SELECT count(outcome), count(*) FROM attempt").fetchone() or (0, 0)
        return found[0], found[1] - found[0]

    def truth(self, name: str = "sheet.csv") -> tuple[int, int, int]:
        """Rows of a sheet that are lost, created twice, and that have a wrong Id in the store."""
        there: dict[str, list[str]] = {}
        for one in self.tenant.ask("activities"):
            there.setdefault(one["fields"]["mx_Custom_1"], []).append(one["id"].lower())
        with (self.ana.folder / name).open(encoding="utf-8", newline="") as stream:
            lines = [row["Line"] for row in csv.DictReader(stream)]
        ids: dict[str, str] = {}
        with self.ana.store() as store:
            for one in store.batches():
                if one.batch.source_name == name:
                    for row in store.open(one.batch.id).rows():
                        ids[lines[row.number - 2]] = (row.activity_id or "").lower()
        lost = sum(line not in there for line in lines)
        twice = sum(len(there.get(line, [])) > 1 for line in lines)
        return lost, twice, sum(ids.get(line) not in there.get(line, []) for line in lines)

    def cut(self) -> None:
        """Ends every connection of the store from the server's side."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    def statuses(self) -> Counter[str]:
        """Of all rows of all batches."""
        counts: Counter[str] = Counter()
        with self.ana.store() as store:
            for one in store.batches():
                counts.update(one.counts)
        del counts["rows"]
        return +counts


def ended(process: subprocess.Popen[str], *, timeout_s: float = PATIENCE_S) -> Result:
    """How a process ended."""
    out, err = process.communicate(timeout=timeout_s)
    return Result(process.returncode, out, err)


def killed(process: subprocess.Popen[str]) -> None:
    """SIGKILL, and its end."""
    process.kill()
    process.communicate()


@contextmanager
def team(folder: Path, *rules: dict[str, Any], latency_s: float = 0.02) -> Iterator[Team]:
    """A team with a tenant that has no limit, and these faults."""
    with (
        postgres_database() as url,
        serving(folder, {"faults": list(rules)}, latency_s=latency_s) as tenant,
    ):
        yield Team(folder, tenant, url)


def stopped(process: subprocess.Popen[str]) -> None:
    """SIGSTOP: as a laptop that sleeps."""
    process.send_signal(signal.SIGSTOP)


def goes_on(process: subprocess.Popen[str]) -> None:
    """SIGCONT."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)


def answer(result: Result) -> dict[str, Any]:
    """What `--json` printed, also beside an error."""
    assert result.stdout, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found
