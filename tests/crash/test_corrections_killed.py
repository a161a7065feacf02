"""Corrections whose process is killed: every field ends as planned, nothing else changes, nothing is lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crash.killing import MAPPING, Far, serving
from importer.activity import Activity
from importer.store.records import CorrectionStatus, PlannedCorrection, iso
from importer.store.store import open_store

pytestmark = pytest.mark.crash
ROWS = 20
KILLS = 100 if os.environ.get("IMPORTER_LONG") == "1" else 8
FAULTS = {
    "seed": 3,
    "faults": [
        {"do": "answer", "on": "update", "status": 503, "commit": True, "chance": 0.1},
        {"do": "drop", "on": "update", "chance": 0.1},
        {"do": "drop", "on": "update", "commit": True, "chance": 0.1},
        {"do": "hang", "on": "update", "seconds": 3, "commit": True, "chance": 0.02},
        {"do": "throttle", "on": "update", "chance": 0.05, "limit": "100/1"},
    ],
}


def created(folder: Path, tenant: Far) -> str:
    """A batch of created rows; its id."""
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    account = "8933fa5e-5b39-11e9-826a-0622360da6fe"
    lines = [f"{account},Visit,Visit {n},line {n},Won" for n in range(1, ROWS + 1)]
    (folder / "sheet.csv").write_text("\n".join(["Account,Event,Note,Line,Outcome", *lines]) + "\n")
    how = ["--yes", "--json", "--rate", "1000/1", "--settle", "0.2"]
    command = [sys.executable, "-m", "importer", "run", "sheet.csv", "-m", "mapping.yaml", *how]
    done = subprocess.run(
        command,
        env=tenant.environment(folder / "home"),
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(done.stdout)["batch"])


def planned(home: Path, batch: str, outcome: str) -> None:
    """Every row is to have another outcome."""
    with open_store(home) as store, store.own(batch) as owned:
        plans: list[PlannedCorrection] = []
        for row in owned.rows.created_rows():
            now = Activity.decoded(row.holds or row.activity or b"")
            fields = tuple((n, outcome if n == "mx_Custom_2" else value) for n, value in now.fields)
            holds = Activity(now.company_id, now.event, now.note, fields).encoded()
            change = {"mx_Custom_2": (dict(now.fields)["mx_Custom_2"], outcome)}
            plans.append(PlannedCorrection(row.position, change, "[]", holds))
        with owned.change() as change_:
            change_.plan_corrections(plans, at=iso(0))


def open_corrections(home: Path, batch: str) -> int:
    with open_store(home) as store:
        rows = store.open(batch)
        return sum(
            1
            for status in (CorrectionStatus.PLANNED, CorrectionStatus.SENDING)
            for _ in rows.corrections(status=status)
        )


def test_kill_9_at_random_instants_leaves_every_field_as_planned(tmp_path: Path) -> None:
    """An Update can be repeated; a field of which it is not known is read first."""
    chance, kills, outcomes = random.Random(5), 0, iter(f"Outcome {n}" for n in range(1_000))
    home = tmp_path / "home"
    with serving(tmp_path, {"tenant": {}}, latency_s=0.05) as tenant:
        batch = created(tmp_path, tenant)
        tenant.ask("faults", "POST", FAULTS)
        wanted = ""
        while kills < KILLS or open_corrections(home, batch):
            if not open_corrections(home, batch):
                wanted = next(outcomes)
                planned(home, batch, wanted)
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("correcting.py")), str(home), batch],
                env=tenant.environment(home), stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            try:
                output, _ = process.communicate(timeout=chance.uniform(0.8, 3.5) if kills < KILLS else 120.0)
                assert (process.returncode, output.strip()) == (0, "stop=None conflicts=0 failed=0")
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                kills += 1
        held = [(one["fields"]["mx_Custom_1"], one["fields"]["mx_Custom_2"], one["note"])
                for one in tenant.ask("activities")]  # fmt: skip
    assert sorted(held) == sorted((f"line {n}", wanted, f"Visit {n}") for n in range(1, ROWS + 1))
