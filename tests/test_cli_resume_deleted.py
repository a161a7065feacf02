"""`importer resume` of rows whose activities somebody deleted in LeadSquared: sent again only when asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import visits
from conftest import Importer, Result, RunningTenant
from visits import edit, results_of, write_csv, write_mapping

from importer.store.store import open_store

RESULTS = Path("visits.results.csv")
QUICK = ("--settle", "0.05", "--json")


@pytest.fixture
def imported(importer: Importer, tenant: RunningTenant, home: Path) -> Result:
    """Three created rows."""
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(3))
    return importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--json")


def activity_of(number: int) -> str:
    (line,) = [line for line in results_of(RESULTS) if line["import_row"] == str(number)]
    return line["import_activity_id"]


def delete(tenant: RunningTenant, activity_id: str) -> None:
    """As a person does in LeadSquared."""
    tenant.ask(lambda sandbox: sandbox.tenant.delete(activity_id))


def test_a_deleted_row_is_sent_again_once_both_ways_to_read_have_said_twice_that_it_is_gone(
    importer: Importer, tenant: RunningTenant, imported: Result, home: Path
) -> None:
    """`verify` names it, `pending` in its line lets it go out again, and its old Id is not forgotten."""
    gone = activity_of(3)
    delete(tenant, gone)
    verified = importer("verify", RESULTS, *QUICK)
    assert (verified.exit, verified.json["missing"], verified.json["equal"]) == (1, 1, 2)
    before = len(tenant.calls)
    edit(RESULTS, {3: {"import_status": "pending"}})
    result = importer("resume", RESULTS, "--yes", *QUICK)
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 3, 4), result.stderr
    create = next(at for at, call in enumerate(tenant.calls) if at >= before and call.kind == "create")
    looked = [str(call.kind) for call in tenant.calls[before:create]]
    assert looked == ["whoami", "retrieve", "by-id", "retrieve", "by-id"]
    assert activity_of(3) != gone
    with open_store(home) as store:
        tenant_id = store.open(imported.json["batch"]).batch().tenant
        assert list(store.holders(tenant_id, [gone])) == [gone]  # it is not taken for another row's
    assert importer("verify", RESULTS, *QUICK).json["equal"] == 3


def test_without_a_terminal_the_question_names_the_rows_and_nothing_is_sent(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    delete(tenant, activity_of(2))
    delete(tenant, activity_of(4))
    edit(RESULTS, {2: {"import_status": "pending"}, 4: {"import_status": "pending"}})
    result = importer("resume", RESULTS, *QUICK)
    assert (result.exit, result.json["error_code"], len(tenant.creates)) == (2, "question-open", 3)
    assert "The activities of rows 2, 4 were deleted in LeadSquared." in result.json["error"]


def test_an_activity_that_is_there_after_all_is_not_sent_again(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    edit(RESULTS, {3: {"import_status": "pending"}})
    result = importer("resume", RESULTS, "--yes", *QUICK)
    assert (result.exit, len(tenant.creates)) == (0, 3), result.stderr
    assert f"Row 3: its activity {activity_of(3)} is still there in LeadSquared. It stays created." in (
        result.stderr
    )
    assert results_of(RESULTS)[1]["import_status"] == "created"


def test_where_the_account_cannot_be_read_the_row_stays_created(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    """Gone for RetrieveById alone is not gone."""
    delete(tenant, activity_of(3))
    edit(RESULTS, {3: {"import_status": "pending"}})
    tenant.set_faults({"tenant": {"reads": "refused"}})
    result = importer("resume", RESULTS, "--yes", *QUICK)
    assert len(tenant.creates) == 3, result.stderr
    assert results_of(RESULTS)[1]["import_status"] == "created"
