"""`importer correct`: changed cells of created rows become updates; nothing else changes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import visits
from conftest import Importer, Result, RunningTenant
from visits import batches_in, edit, results_of, write_csv, write_mapping

RESULTS = Path("visits.results.csv")
QUICK = ("--settle", "0.05", "--yes", "--json")


@pytest.fixture
def imported(importer: Importer, tenant: RunningTenant, home: Path) -> Result:
    """Five created rows."""
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(5))
    return importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--json")


def outcomes(tenant: RunningTenant) -> list[str]:
    """What each activity holds in the field, by account."""
    held = sorted(tenant.activities, key=lambda one: one.note)
    return [one.fields.get("mx_Custom_1", "") for one in held]


def lines(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_changed_cells_are_sent_and_nothing_else(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    edit(RESULTS, {3: {"Outcome": "Lost"}, 4: {"Remarks": "Called again"}})
    result = importer("correct", RESULTS, *QUICK)
    told = result.json
    assert set(told) == {"batch", "changed", "corrected", "conflicts", "failed", "corrections", "exit"}
    assert (told["exit"], told["changed"], told["corrected"]) == (0, 2, 2), result.stderr
    assert 'row 3, mx_Custom_1 (column "Outcome"): "Won" → "Lost"' in result.stderr
    assert sorted(outcomes(tenant)) == ["Lost", "Won", "Won", "Won", "Won"]
    assert min(one.note for one in tenant.activities) == "Called again"
    assert len(tenant.activities) == 5
    written = lines(told["corrections"])
    assert [(line["row"], line["field"], line["outcome"]) for line in written] == [
        ("3", "mx_Custom_1", "corrected"),
        ("4", "ActivityNote", "corrected"),
    ]
    again = importer("correct", RESULTS, *QUICK).json
    assert (again["exit"], again["changed"]) == (0, 0)
    assert importer("verify", RESULTS, "--settle", "0", "--json").json["equal"] == 5


def test_undo_restores_what_was_there(importer: Importer, tenant: RunningTenant, imported: Result) -> None:
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    assert importer("correct", RESULTS, *QUICK).exit == 0
    undone = importer("correct", RESULTS, "--undo", *QUICK)
    assert (undone.exit, undone.json["corrected"]) == (0, 1), undone.stderr
    assert outcomes(tenant) == ["Won"] * 5
    assert importer("correct", RESULTS, "--undo", *QUICK).json["changed"] == 0
    assert importer("verify", RESULTS, "--settle", "0", "--json").json["equal"] == 5


def test_the_account_cannot_be_corrected(importer: Importer, tenant: RunningTenant, imported: Result) -> None:
    edit(RESULTS, {3: {"Account": visits.account(99)}})
    result = importer("correct", RESULTS, *QUICK)
    assert (result.exit, result.json["failed"]) == (1, 1)
    assert "the account of a created row cannot be corrected" in result.stderr


def test_a_value_that_is_not_valid_is_refused_for_its_row(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    edit(RESULTS, {3: {"Outcome": ""}, 4: {"Outcome": "Lost"}})
    result = importer("correct", RESULTS, *QUICK)
    assert (result.exit, result.json["corrected"], result.json["failed"]) == (1, 1, 1), result.stderr
    assert "Row 3" in result.stderr


def test_another_mapping_corrects_a_field_that_was_mapped_wrongly(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    write_mapping(
        Path("better.yaml"), visits.MAPPING.replace("ActivityNote: Remarks", "ActivityNote: Visit no")
    )
    result = importer("correct", RESULTS, "-m", "better.yaml", "--remap", *QUICK)
    assert (result.exit, result.json["corrected"]) == (0, 5), result.stderr
    assert sorted(one.note for one in tenant.activities) == [f"{number:05}" for number in range(1, 6)]


def test_without_a_terminal_it_wants_yes_and_changes_nothing(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    calls = len(tenant.calls)
    result = importer("correct", RESULTS, "--json")
    assert (result.exit, result.json["error_code"], len(tenant.calls)) == (2, "question-open", calls)
    assert "--yes" in result.json["error"]


def test_resume_names_changed_cells_of_created_rows_and_this_command(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    result = importer("resume", RESULTS, "--yes", "--json")
    assert result.exit == 0
    assert "row 3, Outcome: 'Won' → 'Lost'" in result.stderr
    assert "importer correct" in result.stderr
    assert len(tenant.creates) == 5


def test_a_rehearsal_is_corrected_on_the_sandbox(importer: Importer, home: Path) -> None:
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(2))
    importer("run", "visits.csv", "-m", "visits.yaml", "--sandbox")
    rehearsed = Path("visits.sandbox.results.csv")
    edit(rehearsed, {2: {"Outcome": "Lost"}})
    result = importer("correct", rehearsed, "--sandbox", "--settle", "0.05", "--json")
    assert (result.exit, result.json["corrected"]) == (0, 1), result.stderr
    assert len(batches_in(home)) == 1
    assert results_of(rehearsed)[0]["Outcome"] == "Lost"
