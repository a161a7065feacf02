"""Corrections from the person's side: what was changed arrives, and no stranger's change is lost unasked."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from conftest import Importer, Result, RunningTenant
from visits import edit, results_of, visits, write_csv, write_mapping

from importer.sandbox.rules import Edited

FIELD = "mx_Custom_1"


@pytest.fixture
def batch(importer: Importer, tenant: RunningTenant) -> Path:
    """Five created rows; their results file."""
    write_csv(Path("visits.csv"), visits(5))
    write_mapping(Path("visits.yaml"))
    ran = importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--settle", "0.05", "--json")
    assert ran.exit == 0, ran.stderr
    return Path("visits.results.csv")


def correct(importer: Importer, results: Path, *more: str) -> Result:
    return importer("correct", results, "--yes", "--settle", "0.05", "--json", *more)


def outcomes() -> dict[tuple[str, str], str]:
    """(row, field) → outcome of the newest line in the corrections file."""
    text = Path("visits.corrections.csv").read_text(encoding="utf-8-sig")
    return {(line["row"], line["field"]): line["outcome"] for line in csv.DictReader(text.splitlines())}


def field_of(tenant: RunningTenant, results: Path, row: int) -> str:
    """What the row's activity holds in LeadSquared."""
    activity_id = next(
        line["import_activity_id"] for line in results_of(results) if int(line["import_row"]) == row
    )
    held = next(one for one in tenant.activities if one.id == activity_id)
    return dict(held.fields).get(FIELD, "")


def test_changed_cells_arrive_and_a_second_correct_sends_nothing(
    importer: Importer, tenant: RunningTenant, batch: Path
) -> None:
    """Only what changed is in the update, `verify` is equal afterwards."""
    edit(batch, {3: {"Outcome": "Lost"}, 5: {"Remarks": "Came back"}})

    first = correct(importer, batch)
    second = correct(importer, batch)
    read = importer("verify", batch, "--settle", "0.05", "--json")

    updates = [call for call in tenant.calls if call.kind == "update"]
    assert (first.exit, first.json["changed"], first.json["corrected"]) == (0, 2, 2)
    assert (second.exit, second.json["changed"]) == (0, 0)
    assert (read.exit, read.json["equal"]) == (0, 5)
    assert (len(updates), field_of(tenant, batch, 3)) == (2, "Lost")
    assert outcomes() == {("3", FIELD): "corrected", ("5", "ActivityNote"): "corrected"}


def test_undo_brings_back_what_was_there(importer: Importer, tenant: RunningTenant, batch: Path) -> None:
    """In LeadSquared, in the store and in the results file."""
    edit(batch, {3: {"Outcome": "Lost"}})
    correct(importer, batch)

    undone = correct(importer, batch, "--undo")
    again = correct(importer, batch, "--undo")

    cells = {line["import_row"]: line["Outcome"] for line in results_of(batch)}
    assert (undone.exit, undone.json["corrected"], again.json["changed"]) == (0, 1, 0)
    assert (field_of(tenant, batch, 3), cells["3"]) == ("Won", "Won")
    assert importer("verify", batch, "--settle", "0.05", "--json").json["equal"] == 5


def test_a_stranger_s_change_is_left_alone_unless_it_may_be_replaced(
    importer: Importer, tenant: RunningTenant, batch: Path
) -> None:
    """A conflict; with --overwrite it is replaced, and --undo brings the stranger's value back."""
    activity_id = results_of(batch)[1]["import_activity_id"]
    tenant.ask(lambda sandbox: sandbox.tenant.edit(Edited(id=activity_id, fields={FIELD: "Postponed"})))
    edit(batch, {3: {"Outcome": "Lost"}})

    refused = correct(importer, batch)
    kept = field_of(tenant, batch, 3)
    replaced = correct(importer, batch, "--overwrite")
    there = field_of(tenant, batch, 3)
    undone = correct(importer, batch, "--undo")

    assert (refused.exit, refused.json["conflicts"], kept) == (1, 1, "Postponed")
    assert (replaced.exit, there) == (0, "Lost")
    assert (undone.exit, field_of(tenant, batch, 3)) == (0, "Postponed")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Account": "540bcfd4-8bc3-5327-bdc1-e2b4d2ba3586"}, "account"),
        ({"Outcome": ""}, "nothing in the cell"),
    ],
)
def test_what_cannot_be_corrected_is_refused_for_its_row(
    importer: Importer, tenant: RunningTenant, batch: Path, changes: dict[str, str], said: str
) -> None:
    """The account, and an emptied required cell; the other rows are corrected."""
    edit(batch, {2: changes, 3: {"Outcome": "Lost"}})

    ended = correct(importer, batch)

    assert (ended.exit, ended.json["corrected"], ended.json["failed"]) == (1, 1, 1)
    assert said in ended.stderr
    assert field_of(tenant, batch, 2) == "Won"


def test_a_tenant_that_empties_unnamed_fields_is_noticed_after_one_row(
    importer: Importer, tenant: RunningTenant, batch: Path
) -> None:
    """Whether Update leaves other fields alone is not documented: the first one is a trial."""
    tenant.set_faults({"tenant": {"update_leaves_out": "empty"}})
    edit(batch, {row: {"Outcome": "Lost"} for row in range(2, 7)})

    ended = correct(importer, batch)

    updates = [call for call in tenant.calls if call.kind == "update"]
    assert (ended.exit, len(updates)) == (3, 1)
    assert "ActivityNote" in ended.stderr


def test_without_a_terminal_it_wants_yes(importer: Importer, tenant: RunningTenant, batch: Path) -> None:
    """Nothing is sent, and nothing is planned."""
    edit(batch, {3: {"Outcome": "Lost"}})

    ended = importer("correct", batch, "--settle", "0.05", "--json")

    assert (ended.exit, ended.json["error_code"]) == (2, "question-open")
    assert [call for call in tenant.calls if call.kind == "update"] == []


def test_edits_of_other_rows_stay_in_the_file(importer: Importer, tenant: RunningTenant) -> None:
    """They are for `resume`; a correction does not write over them."""
    write_csv(Path("visits.csv"), visits(3))
    write_mapping(Path("visits.yaml"))
    importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--limit", "2", "--settle", "0.05")
    batch = Path("visits.results.csv")
    edit(batch, {2: {"Outcome": "Lost"}, 4: {"Outcome": "Open"}})

    corrected = correct(importer, batch)
    resumed = importer("resume", batch, "--yes", "--settle", "0.05", "--json")

    assert (corrected.exit, resumed.exit, resumed.json["created"]) == (0, 0, 3)
    assert field_of(tenant, batch, 4) == "Open"


def test_another_mapping_corrects_every_created_row(
    importer: Importer, tenant: RunningTenant, batch: Path
) -> None:
    """A field that was mapped wrongly."""
    text = Path("visits.yaml").read_text(encoding="utf-8").replace(FIELD, "mx_Custom_2")
    write_mapping(Path("new.yaml"), text)

    ended = correct(importer, batch, "-m", "new.yaml", "--remap")

    held = [dict(one.fields) for one in tenant.activities]
    assert (ended.exit, ended.json["corrected"]) == (0, 5)
    assert all(one.get("mx_Custom_2") == "Won" and not one.get(FIELD) for one in held)
