"""A batch whose process is killed again and again, and the tenant's truth held against its results file.

Everything runs in processes of its own: the tenant (the sandbox, as anybody starts it) and each life of the
importer. A life ends by SIGKILL at a random instant, or by itself when nothing is left to do.
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

MAPPING: Final = """\
RelatedCompanyId: Account
ActivityEvent: {column: Event, values: {Visit: 10001, Call: 10002}}
ActivityNote: Note
Fields:
  mx_Custom_1: Line
  mx_Custom_2: Outcome
"""
SETTLE_S: Final = 0.4
TIMEOUT_S: Final = 1.5
LIVES_IN_VAIN_MAX: Final = 25
"""Lives without one row more, and without being killed, before we say that it does not end."""
BATCH_ROWS: Final = 2_000
LIFE_LONGEST_S: Final = 900.0

TENANT: Final[dict[str, Any]] = {"lag_s": [0, 0.3]}
FAULTS: Final[dict[str, Any]] = {
    "tenant": TENANT,
    "faults": [
        {"do": "answer", "status": 500, "chance": 0.01},
        {"do": "answer", "status": 502, "commit": True, "chance": 0.01},
        {"do": "drop", "commit": True, "chance": 0.005},
        {"do": "drop", "chance": 0.005},
        {"do": "hang", "seconds": 3, "commit": True, "chance": 0.002},
        {"do": "answer", "body": "truncated", "chance": 0.005},
        {"do": "throttle", "status": 429, "chance": 0.01},
    ],
}


@dataclass(frozen=True)
class Far:
    """A tenant in another process."""

    url: str
    access_key: str
    secret_key: str
    token: str

    def ask(self, path: str, method: str = "GET", body: Any = None) -> Any:  # noqa: ANN401 - JSON
        """One request to the sandbox's control endpoint."""
        request = urllib.request.Request(
            f"{self.url}/__sandbox__/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-Sandbox-Token": self.token},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def environment(self, home: Path, store: str | None = None) -> dict[str, str]:
        """For an importer that sends to this tenant. store: IMPORTER_STORE, None for the embedded one."""
        own = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("LEADSQUARED_") and name != "IMPORTER_STORE"
        }
        return {
            **own,
            **({"IMPORTER_STORE": store} if store else {}),
            "PYTHONUTF8": "1",
            "PYTHONPATH": str(_checkout()),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "IMPORTER_HOME": str(home),
            "LEADSQUARED_HOST": self.url,
            "LEADSQUARED_ACCESS_KEY": self.access_key,
            "LEADSQUARED_SECRET_KEY": self.secret_key,
        }


def _checkout() -> Path:
    import importer

    return Path(importer.__file__).parents[1]


@contextmanager
def serving(folder: Path, faults: Mapping[str, Any], *, latency_s: float) -> Iterator[Far]:
    """The sandbox in a process of its own, without a limit of calls."""
    file = folder / "faults.json"
    file.write_text(json.dumps(faults), encoding="utf-8")
    command = [sys.executable, "-m", "importer", "sandbox", "--json", "--rate", "none"]
    command += ["--latency", str(latency_s), "--faults", str(file)]
    environment = {**os.environ, "PYTHONPATH": str(_checkout()), "IMPORTER_HOME": str(folder / "tenant")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("the sandbox has no stdout")
            said = json.loads(process.stdout.readline())
            yield Far(said["url"], said["access_key"], said["secret_key"], said["token"])
        finally:
            process.kill()  # what it was asked for is known by now


@dataclass
class Tally:
    """What came of it. uncertain, failed, pending: rows that the results files leave so."""

    kills: int = 0
    lives: int = 0
    rows: int = 0
    lost: int = 0
    duplicated: int = 0
    wrong: int = 0
    left: Counter[str] = field(default_factory=Counter)

    @property
    def wrongs(self) -> int:
        """Everything that must not be."""
        return self.lost + self.duplicated + self.wrong

    def __str__(self) -> str:
        left = ", ".join(f"{count} {status}" for status, count in sorted(self.left.items()))
        return (
            f"kills {self.kills}\nrows {self.rows}\nlost {self.lost}\nduplicated {self.duplicated}\n"
            f"wrong Ids {self.wrong}\n({self.lives} lives; results: {left})"
        )


class Killing:
    """One batch after the other, each killed at random instants until it is done. With a team's store, lives
    are those of two computers in turn."""

    def __init__(
        self, folder: Path, tenant: Far, chance: random.Random, *, rate: int, store: str | None
    ) -> None:
        self.folder = folder
        self.tenant = tenant
        self._store = store
        self.tally = Tally()
        self._chance = chance
        self._rate = rate
        self._batches = 0
        self.mapping = folder / "mapping.yaml"
        self.mapping.write_text(MAPPING, encoding="utf-8")

    def batch(self, rows: int, until: int) -> None:
        """One batch of so many rows, killed until there were so many kills in all; held against the truth at
        its end."""
        self._batches += 1
        sheet = self.folder / f"sheet-{self._batches}.csv"
        self._write(sheet, rows)
        results = sheet.with_name(f"{sheet.stem}.results.csv")
        self._live_on(sheet, results, until)
        self._compare(sheet, results)

    def _live_on(self, sheet: Path, results: Path, until: int) -> None:
        in_vain = 0
        while in_vain < LIVES_IN_VAIN_MAX:
            killing = self.tally.kills < until
            ended = self._life(sheet, results, kill=killing)
            if ended in {0, 1} and results.is_file():
                return
            in_vain = 0 if ended is None else in_vain + 1
        said = (self.folder / "last-life.txt").read_text(errors="replace")[-2_000:]
        raise RuntimeError(
            f"{in_vain} lives on end left rows pending; the last one ended with {ended}: {said}"
        )

    def _life(self, sheet: Path, results: Path, *, kill: bool) -> int | None:
        """One process; its exit code, None if it was killed."""
        self.tally.lives += 1
        how = ["--yes", "--json", "--rate", f"{self._rate if kill else 1000}/1", "--workers", "16"]
        how += ["--settle", str(SETTLE_S), "--timeout", str(TIMEOUT_S)]
        command = (
            ["resume", str(results)] if results.is_file() else ["run", str(sheet), "-m", str(self.mapping)]
        )
        log = self.folder / "last-life.txt"
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "importer", *command, *how],
                stdout=said,
                stderr=said,
                env=self.tenant.environment(self._home(), self._store),
                cwd=self.folder,
            )
            try:
                return process.wait(timeout=self._life_s() if kill else LIFE_LONGEST_S)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
        self.tally.kills += 1
        return None

    def _home(self) -> Path:
        return self.folder / ("another home" if self._store and self.tally.lives % 2 else "home")

    def _life_s(self) -> float:
        """Mostly some time after the start (importing takes half a second), sometimes before."""
        if self._chance.random() < 0.1:
            return self._chance.uniform(0, 1.0)
        return 0.8 + self._chance.uniform(0, 2.0)

    def _write(self, sheet: Path, rows: int) -> None:
        """Ten rows an account on average; every twentieth line is the same as the one before it."""
        accounts = [f"{self._batches:08x}-5b39-11e9-826a-{index:012x}" for index in range(max(1, rows // 10))]
        before: list[str] = []
        with sheet.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["Account", "Event", "Note", "Line", "Outcome"])
            for line in range(1, rows + 1):
                if line % 20 or not before:
                    event, outcome = (
                        self._chance.choice(["Visit", "Call"]),
                        self._chance.choice(["Won", "Lost"]),
                    )
                    name = f"{self._batches}-{line}"
                    before = [self._chance.choice(accounts), event, f"Visited on day {line}", name, outcome]
                writer.writerow(before)

    def _compare(self, sheet: Path, results: Path) -> None:
        """What the tenant holds of this batch, against its rows and their Ids. Equal rows count together."""
        held: dict[str, list[str]] = {}
        for activity in self.tenant.ask("activities"):
            held.setdefault(activity["fields"].get("mx_Custom_1", ""), []).append(activity["id"].lower())
        claimed: dict[str, list[str]] = {}
        with results.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                self.tally.rows += 1
                self.tally.left[row["import_status"]] += 1
                claimed.setdefault(row["Line"], []).append(row["import_activity_id"].lower())
        for line, ids in claimed.items():
            there = held.get(line, [])
            self.tally.lost += max(0, len(ids) - len(there))
            self.tally.duplicated += max(0, len(there) - len(ids))
            self.tally.wrong += len(set(filter(None, ids)) - set(there)) + len(ids) - len(set(ids))
        with sheet.open(encoding="utf-8", newline="") as stream:
            expected = Counter(row["Line"] for row in csv.DictReader(stream))
        if expected != Counter({line: len(ids) for line, ids in claimed.items()}):
            raise RuntimeError(f"{results} does not hold the sheet's rows")


def killed_batches(
    folder: Path, *, kills: int, rows: int, seed: int, report: bool = False, store: str | None = None
) -> Tally:
    """Kills until both numbers are reached. A batch that ends too early is followed by another one. store: a
    team's store, which two computers use in turn."""
    chance = random.Random(seed)
    with serving(folder, {"seed": seed, **FAULTS}, latency_s=0.2) as tenant:
        killing = Killing(folder, tenant, chance, rate=max(8, round(rows / max(1, kills))), store=store)
        started = time.monotonic()
        while killing.tally.rows < rows or killing.tally.kills < kills:
            size = min(rows, BATCH_ROWS)
            killing.batch(size, until=min(kills, math.ceil(kills * (killing.tally.rows + size) / rows)))
            if report:
                took = (time.monotonic() - started) / 60
                said = f"{killing.tally.kills} kills, {killing.tally.rows} rows, {killing.tally.wrongs} wrong"
                print(f"# after {took:.0f} min: {said}", flush=True)
        return killing.tally
