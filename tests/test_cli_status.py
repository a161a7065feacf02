"""`importer status`: how a batch stands, whoever is at work on it."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
import visits
from conftest import Importer, RunningTenant, child_environment, importer_command
from visits import RUN_KEYS, write_csv, write_mapping


@pytest.fixture
def sheet(home: Path) -> Path:
    write_mapping(Path("visits.yaml"))
    return write_csv(Path("visits.csv"), visits.visits(5))


def test_without_batches_there_is_nothing_to_list(importer: Importer, home: Path) -> None:
    result = importer("status", "--json")
    assert (result.exit, result.json) == (0, {"batches": [], "exit": 0})
    assert "No batches yet" in importer("status").stdout
    assert visits.left_behind(home) == []


@pytest.mark.parametrize("name", ["visits.results.csv", "visits.csv", "id", "copies/renamed.csv"])
def test_a_batch_is_found_by_results_file_sheet_id_and_copy(
    importer: Importer, tenant: RunningTenant, sheet: Path, name: str
) -> None:
    ran = importer("run", sheet, "-m", "visits.yaml", "--yes", "--limit", "2", "--json").json
    if name == "copies/renamed.csv":
        Path("copies").mkdir()
        Path("visits.results.csv").rename(name)
    result = importer("status", ran["batch"] if name == "id" else name, "--json")
    told = result.json
    assert result.exit == told["exit"] == 0
    assert set(told) >= RUN_KEYS - {"questions", "notices"}
    assert {key: told[key] for key in ("batch", "rows", *visits.COUNTS, "store")} == {
        key: ran[key] for key in ("batch", "rows", *visits.COUNTS, "store")
    }


def test_counts_and_what_to_do_are_told_to_a_person(
    importer: Importer, tenant: RunningTenant, sheet: Path
) -> None:
    importer("run", sheet, "-m", "visits.yaml", "--yes", "--limit", "2")
    result = importer("status", "visits.results.csv")
    assert "5 rows: 2 created, 3 pending" in result.stdout
    assert "importer resume" in result.stderr


def test_all_batches_are_listed_the_latest_first(
    importer: Importer, tenant: RunningTenant, sheet: Path
) -> None:
    first = importer("run", sheet, "-m", "visits.yaml", "--yes", "--json").json["batch"]
    other = write_csv(Path("other.csv"), visits.visits(2, first=50))
    second = importer("run", other, "-m", "visits.yaml", "--yes", "--json").json["batch"]
    listed = importer("status", "--json").json["batches"]
    assert {each["batch"] for each in listed} == {first, second}
    assert {each["rows"] for each in listed} == {5, 2}
    shown = importer("status").stdout
    assert all(text in shown for text in (first, second, "visits.csv", "other.csv"))


def test_a_rehearsal_is_listed_too(importer: Importer, sheet: Path) -> None:
    batch = importer("run", sheet, "-m", "visits.yaml", "--sandbox", "--json").json["batch"]
    assert [each["batch"] for each in importer("status", "--json").json["batches"]] == [batch]
    assert importer("status", batch, "--json").json["created"] == 5
    assert importer("status", sheet, "--sandbox", "--json").json["batch"] == batch


def test_a_batch_that_runs_elsewhere_shows_its_rate(
    importer: Importer, tenant: RunningTenant, sheet: Path
) -> None:
    write_csv(sheet, visits.visits(4_000))  # more than is sent while somebody looks three times
    process = subprocess.Popen(
        importer_command("run", sheet, "-m", "visits.yaml", "--yes", "--rate", "20/1"),
        env=child_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: len(tenant.creates) > 5)
        result = importer("status", sheet, "--json")
        text = importer("status", sheet).stdout
        (listed,) = importer("status", "--json").json["batches"]
    finally:
        process.terminate()
        process.wait(timeout=180)
    told = result.json
    assert (result.exit, told["running"], told["rows"]) == (0, True, 4_000)
    assert sum(told[status] for status in visits.COUNTS) == 4_000
    assert 0 < told["rate"] <= 40  # answers that waited for the processor are recorded together
    assert "It is running" in text
    assert (listed["uncertain"], listed["created"] + listed["pending"]) == (
        0,
        4_000,
    )  # calls under way are no doubts


def test_status_while_it_runs_says_what_is_going_on(
    importer: Importer, tenant: RunningTenant, sheet: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "throttle", "from_s": 0, "limit": "10 in 5"}]})
    process = subprocess.Popen(
        importer_command("run", sheet, "-m", "visits.yaml", "--yes", "--rate", "20/1"),
        env=child_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: bool(tenant.creates))
        _until(lambda: importer("status", sheet, "--json").json.get("note", "") != "")
        note = importer("status", sheet, "--json").json["note"]
    finally:
        process.kill()
        process.wait(timeout=180)
    assert "refused a call for the rate" in note


def _until(true: object) -> None:
    assert callable(true)
    deadline = time.monotonic() + 180
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)
