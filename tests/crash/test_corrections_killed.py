"""Corrections whose process is killed: every field ends as the file says, nothing else changes."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from visits import edit

from crash.killing import MAPPING, Far, serving

pytestmark = pytest.mark.crash
ROWS: Final = range(2, 22)
KILLS: Final = 100 if os.environ.get("IMPORTER_LONG") == "1" else 6
FAULTS: Final[dict[str, Any]] = {
    "seed": 3,
    "faults": [
        {"do": "answer", "on": "update", "status": 500, "chance": 0.05},
        {"do": "answer", "on": "update", "status": 503, "commit": True, "chance": 0.1},
        {"do": "drop", "on": "update", "chance": 0.1},
        {"do": "drop", "on": "update", "commit": True, "chance": 0.1},
        {"do": "hang", "on": "update", "seconds": 3, "commit": True, "chance": 0.02},
        {"do": "throttle", "on": "update", "chance": 0.02, "limit": "100/1"},
    ],
}
QUICK: Final = ("--settle", "0.1", "--timeout", "1.5", "--json")


class Corrected:
    """A batch of created rows, its results file, and the processes that correct it."""

    def __init__(self, folder: Path, tenant: Far, seed: int) -> None:
        self.tenant = tenant
        self.kills = 0
        self._folder = folder
        self._chance = random.Random(seed)
        account = "8933fa5e-5b39-11e9-826a-0622360da6fe"
        lines = [f"{account},Visit,Visit {row},line {row},Outcome 0" for row in ROWS]
        (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
        (folder / "sheet.csv").write_text(
            "\n".join(["Account,Event,Note,Line,Outcome", *lines]) + "\n", encoding="utf-8"
        )
        assert self.command("run", "sheet.csv", "-m", "mapping.yaml", "--yes")["created"] == len(ROWS)
        self.results = folder / "sheet.results.csv"

    def command(self, *arguments: str) -> dict[str, Any]:
        """One process that ends by itself; its JSON."""
        with self._process(*arguments, "--rate", "1000/1") as process:
            output, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
        found: dict[str, Any] = json.loads(output)
        return found

    def correct(self, until: int, *how: str) -> None:
        """`correct`, killed and started again until there were so many kills, and then to its end."""
        while self.kills < until:
            with self._process("correct", self.results.name, "--yes", "--rate", "20/1", *how) as process:
                try:
                    _, said = process.communicate(timeout=self._chance.uniform(0.6, 3.5))
                except subprocess.TimeoutExpired:
                    process.kill()
                    self.kills += 1
                    continue
            assert process.returncode == 0, said
            return
        ended = self.command("correct", self.results.name, "--yes", *how)
        assert (ended["conflicts"], ended["failed"]) == (0, 0)

    def held(self) -> list[tuple[str, str, str]]:
        """What the tenant holds: note and both fields of each activity."""
        return sorted(
            (one["note"], one["fields"]["mx_Custom_1"], one["fields"]["mx_Custom_2"])
            for one in self.tenant.ask("activities")
        )

    def in_file(self) -> set[str]:
        """What the file says of the field that is corrected."""
        with self.results.open(encoding="utf-8-sig", newline="") as stream:
            return {line["Outcome"] for line in csv.DictReader(stream)}

    def _process(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "importer", *arguments, *QUICK], cwd=self._folder, text=True,
            env=self.tenant.environment(self._folder / "home"),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip


def all_rows(outcome: str) -> list[tuple[str, str, str]]:
    return sorted((f"Visit {row}", f"line {row}", outcome) for row in ROWS)


def test_kill_9_at_random_instants_leaves_every_field_as_the_file_says(tmp_path: Path) -> None:
    """Again and again: the rows are corrected, a second `correct` sends nothing, `verify` is equal, `--undo`
    brings back what was there; both are killed on their way."""
    with serving(tmp_path, {"tenant": {}}, latency_s=0.05) as tenant:
        batch = Corrected(tmp_path, tenant, seed=5)
        tenant.ask("faults", "POST", FAULTS)
        before, rounds = "Outcome 0", 0
        while batch.kills < KILLS:
            rounds += 1
            after = f"Outcome {rounds}"
            edit(batch.results, {row: {"Outcome": after} for row in ROWS})
            batch.correct(min(KILLS, batch.kills + 4))
            assert batch.held() == all_rows(after)
            sent = tenant.ask("counts")["calls"]["update"]
            assert batch.command("correct", batch.results.name, "--yes")["changed"] == 0
            assert tenant.ask("counts")["calls"]["update"] == sent
            if rounds % 2:
                batch.correct(min(KILLS, batch.kills + 3), "--undo")
                assert (batch.held(), batch.in_file()) == (all_rows(before), {before})
            else:
                before = after
            verified = batch.command("verify", batch.results.name)
            assert verified["equal"] == len(ROWS)
    print(f"{batch.kills} kills, {rounds} rounds of {len(ROWS)} rows: every field as the file says")
