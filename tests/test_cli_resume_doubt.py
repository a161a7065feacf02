"""`importer resume` where it cannot be told whether a row was created: what a person may say."""

from __future__ import annotations

import sqlite3
import uuid
from pathlib import Path

import pytest
import visits
from conftest import Importer, Result, RunningTenant, StartTenant
from openpyxl import load_workbook
from visits import edit, results_of, statuses, write_csv, write_mapping, write_xlsx

RESULTS = Path("visits.results.csv")
QUICK = ("--settle", "0.1", "--timeout", "0.5", "--max-outage", "5")


@pytest.fixture
def in_doubt(importer: Importer, start_tenant: StartTenant, home: Path) -> tuple[RunningTenant, Result]:
    """Three rows; the answer for the second was lost, the activity was not, and the keys may not read."""
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(3))
    tenant = start_tenant()
    tenant.set_faults(
        {"tenant": {"reads": "refused"}, "faults": [{"do": "drop", "note_has": "Visit 2", "commit": True}]}
    )
    result = importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--json", *QUICK)
    assert (result.exit, result.json["uncertain"], result.json["created"]) == (1, 1, 2), result.stderr
    tenant.set_faults({"tenant": {"reads": "refused"}})
    return tenant, result


def test_an_uncertain_row_is_not_sent_again_and_the_batch_ends_with_1(
    importer: Importer, in_doubt: tuple[RunningTenant, Result]
) -> None:
    tenant, _ = in_doubt
    result = importer("resume", RESULTS, "--yes", "--json", *QUICK)
    assert (result.exit, result.json["uncertain"], len(tenant.creates)) == (1, 1, 3)
    line = results_of(RESULTS)[1]
    assert (line["import_status"], line["import_activity_id"]) == ("uncertain", "")
    assert line["import_error"]


def test_once_the_keys_may_read_the_row_is_found(
    importer: Importer, in_doubt: tuple[RunningTenant, Result]
) -> None:
    tenant, _ = in_doubt
    tenant.set_faults({})
    result = importer("resume", RESULTS, "--yes", "--json", *QUICK)
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 3, 3), result.stderr
    assert results_of(RESULTS)[1]["import_activity_id"].lower() in {held.id for held in tenant.activities}


def test_created_with_the_id_pasted_in_is_believed(
    importer: Importer, in_doubt: tuple[RunningTenant, Result]
) -> None:
    tenant, _ = in_doubt
    (made,) = [held.id for held in tenant.activities if held.note == "Visit 2"]
    edit(RESULTS, {3: {"import_status": "created", "import_activity_id": made}})
    result = importer("resume", RESULTS, "--yes", "--json", *QUICK)
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 3, 3), result.stderr
    assert results_of(RESULTS)[1]["import_activity_id"] == made


@pytest.mark.parametrize("which", ["another row's", "another account's", "nobody's"])
def test_an_id_that_cannot_be_the_rows_is_not_believed(
    importer: Importer, in_doubt: tuple[RunningTenant, Result], which: str
) -> None:
    tenant, _ = in_doubt
    foreign = {"account": visits.account(99), "event": 10001, "note": "theirs"}
    tenant.set_faults({"existing": [foreign]})
    (theirs,) = [held.id for held in tenant.activities if held.note == "theirs"]
    (first,) = [held.id for held in tenant.activities if held.note == "Visit 1"]
    pasted = {"another row's": first, "another account's": theirs, "nobody's": str(uuid.uuid4())}[which]
    (right,) = [held.id for held in tenant.activities if held.note == "Visit 2"]
    edit(RESULTS, {3: {"import_status": "created", "import_activity_id": pasted}})
    result = importer("resume", RESULTS, "--yes", "--json", *QUICK)
    assert (result.exit, len(tenant.creates)) == (0, 3), result.stderr
    assert "Row 3" in result.stderr
    assert results_of(RESULTS)[1]["import_activity_id"].lower() == right


def test_pending_on_an_uncertain_row_lets_it_be_sent(
    importer: Importer, start_tenant: StartTenant, home: Path
) -> None:
    """The person looked, and it is not there; these keys cannot tell."""
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(3))
    tenant = start_tenant()
    lost = [{"do": "drop", "note_has": "Visit 2", "commit": False}]
    tenant.set_faults({"tenant": {"reads": "refused"}, "faults": lost})
    importer("run", "visits.csv", "-m", "visits.yaml", "--yes", *QUICK)
    assert statuses(RESULTS) == ["created", "uncertain", "created"]
    tenant.set_faults({"tenant": {"reads": "refused"}})
    edit(RESULTS, {3: {"import_status": "pending"}})
    result = importer("resume", RESULTS, "--yes", "--json", *QUICK)
    assert (result.exit, result.json["created"]) == (0, 3), result.stderr
    assert [held.note for held in tenant.activities].count("Visit 2") == 1


def test_skipped_is_not_taken_for_a_row_in_doubt(
    importer: Importer, in_doubt: tuple[RunningTenant, Result]
) -> None:
    edit(RESULTS, {3: {"import_status": "skipped"}})
    result = importer("resume", RESULTS, "--yes", "--json", *QUICK)
    assert (result.exit, result.json["uncertain"], result.json["skipped"]) == (1, 1, 0)
    assert "row 3" in result.stderr


# ---- stores and files that cannot be used ---------------------------------------------------------


@pytest.fixture
def begun(importer: Importer, tenant: RunningTenant, home: Path) -> Result:
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(3))
    return importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--limit", "1", "--json")


def refused(importer: Importer, tenant: RunningTenant, *said: str) -> None:
    before = len(tenant.creates)
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, len(tenant.creates)) == (2, before), result.stderr
    assert [word for word in said if word not in result.json["error"]] == [], result.json["error"]
    assert "Unexpected" not in result.json["error"]


@pytest.mark.parametrize("damage", [b"no database", None])
def test_a_damaged_store_is_refused(
    importer: Importer, tenant: RunningTenant, begun: Result, damage: bytes | None
) -> None:
    store = Path(begun.json["store"])
    for end in ("-wal", "-shm"):
        store.with_name(store.name + end).unlink(missing_ok=True)
    whole = store.read_bytes()
    store.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    refused(importer, tenant, store.name)


def test_a_store_of_a_newer_importer_is_refused(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    connection = sqlite3.connect(begun.json["store"])
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    refused(importer, tenant, "newer")


def test_a_half_written_results_file_is_refused(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    whole = RESULTS.read_bytes()
    RESULTS.write_bytes(whole[: len(whole) * 2 // 3])
    refused(importer, tenant, "row")


def test_a_workbooks_results_file_is_a_way_to_speak_too(
    importer: Importer, tenant: RunningTenant, home: Path
) -> None:
    write_mapping(Path("visits.yaml"))
    write_xlsx(Path("visits.xlsx"), [visits.visit(1), visits.visit(2, "Wno"), visits.visit(3)])
    ran = importer("run", "visits.xlsx", "-m", "visits.yaml", "--yes", "--skip-invalid", "--json")
    assert ran.json["invalid"] == 1
    book = load_workbook("visits.results.xlsx")
    assert book.active is not None
    heading = [cell.value for cell in book.active[1]]
    book.active.cell(row=3, column=heading.index("Outcome") + 1).value = "Won"
    book.save("visits.results.xlsx")
    result = importer("resume", "visits.results.xlsx", "--yes", "--json")
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 3, 3), result.stderr
    assert "row 3, Outcome: 'Wno' → 'Won'" in result.stderr
