"""A batch that another computer continued: this one's store does not know, and must not send a row twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import visits
from conftest import Importer, Result, RunningTenant
from visits import edit, results_of, statuses, write_csv, write_mapping

RESULTS = Path("visits.results.csv")
OLD = Path("before/visits.results.csv")
QUICK = ("--settle", "0.1", "--timeout", "0.5", "--json")


@pytest.fixture
def begun(importer: Importer, tenant: RunningTenant, home: Path) -> Result:
    """Two of six rows are sent here; a copy of the results file is kept as it was."""
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(6))
    result = importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--limit", "2", "--json")
    OLD.parent.mkdir()
    shutil.copy(RESULTS, OLD)
    return result


@pytest.fixture
def continued(
    importer: Importer, begun: Result, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A colleague with a store of their own finishes it from the results file."""
    with monkeypatch.context() as theirs:
        theirs.setenv("IMPORTER_HOME", str(tmp_path / "colleague"))
        result = importer("resume", RESULTS, "-m", "visits.yaml", "--yes", *QUICK)
    assert (result.exit, result.json["created"]) == (0, 6), result.stderr


def test_with_ones_own_old_file_nothing_is_sent_before_a_person_decides(
    importer: Importer, tenant: RunningTenant, continued: None
) -> None:
    assert len(tenant.creates) == 6
    result = importer("resume", OLD, *QUICK)
    assert (result.exit, result.json["error_code"], len(tenant.creates)) == (2, "question-open", 6)


def test_with_ones_own_old_file_every_open_row_is_looked_up_and_none_is_sent_twice(
    importer: Importer, tenant: RunningTenant, continued: None
) -> None:
    result = importer("resume", OLD, "--yes", *QUICK)
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 6, 6), result.stderr
    assert "This batch was continued elsewhere" in result.stderr  # also where nobody was asked
    made = {line["import_activity_id"].lower() for line in results_of(result.json["results"])}
    assert made == {activity.id for activity in tenant.activities}


def test_what_remains_of_a_rebuilt_batch_is_named_once(
    importer: Importer, continued: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its results file is all that it has of a sheet."""
    monkeypatch.setenv("IMPORTER_HOME", str(tmp_path / "colleague"))
    erased = importer("erase", RESULTS, "--yes", "--json")
    assert [Path(path).name for path in erased.json["files"]] == ["visits.results.csv"]


def test_with_the_colleagues_finished_file_its_lines_are_read_back_and_recorded(
    importer: Importer, tenant: RunningTenant, continued: None
) -> None:
    result = importer("resume", RESULTS, "--yes", *QUICK)
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 6, 6), result.stderr
    assert "continued elsewhere: 4 rows of the file are confirmed" in result.stderr
    assert "older copy" not in result.stderr
    assert statuses(RESULTS) == ["created"] * 6


def test_an_id_that_leadsquared_does_not_confirm_is_not_believed_and_its_file_is_kept(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    """The line is newer than the store, and names an activity that does not exist."""
    forged = {
        "import_status": "created",
        "import_activity_id": "11111111-2222-3333-4444-555555555555",
        "import_time": "2099-01-01T00:00:00.000Z",
    }
    edit(RESULTS, {5: forged})
    before = RESULTS.read_bytes()
    result = importer("resume", RESULTS, "--yes", *QUICK)
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 6, 6), result.stderr
    assert "Row 5" in result.stderr
    assert RESULTS.read_bytes() == before
    assert Path(result.json["results"]).name == "visits.results (2).csv"


def test_a_created_row_is_never_sent_again_for_another_id_in_a_newer_file(
    importer: Importer, tenant: RunningTenant, begun: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A colleague created the row a second time, and LeadSquared confirms it: both Ids are named."""
    ours = results_of(RESULTS)[0]["import_activity_id"]
    with monkeypatch.context() as theirs:
        theirs.setenv("IMPORTER_HOME", str(tmp_path / "colleague"))
        again = ("--again", "--results", "theirs.results.csv")
        importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--limit", "1", *again, *QUICK)
    second = results_of(Path("theirs.results.csv"))[0]["import_activity_id"]
    edit(RESULTS, {2: {"import_activity_id": second, "import_time": "2099-01-01T00:00:00.000Z"}})
    before = RESULTS.read_bytes()
    result = importer("resume", RESULTS, "--yes", *QUICK)
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 6, 7), result.stderr
    assert f"Row 2: the file says created with Id {second}, this store with Id {ours}" in result.stderr
    assert results_of(result.json["results"])[0]["import_activity_id"] == ours
    assert RESULTS.read_bytes() == before


def test_a_row_that_is_invalid_here_and_was_created_elsewhere(
    importer: Importer, tenant: RunningTenant, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A colleague continued with another mapping: nothing is sent with ours; with theirs the row is
    confirmed."""
    write_mapping(Path("visits.yaml"))
    write_mapping(Path("theirs.yaml"), visits.MAPPING.replace("[Won,", "[Won, Wno,"))
    write_csv(Path("visits.csv"), [visits.visit(1), visits.visit(2), visits.visit(3, "Wno")])
    importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--skip-invalid", *QUICK)
    with monkeypatch.context() as theirs:
        theirs.setenv("IMPORTER_HOME", str(tmp_path / "colleague"))
        importer("resume", RESULTS, "-m", "theirs.yaml", "--yes", *QUICK)
    assert statuses(RESULTS) == ["created"] * 3

    refused = importer("resume", RESULTS, "--yes", *QUICK)
    confirmed = importer("resume", RESULTS, "-m", "theirs.yaml", "--remap", "--yes", *QUICK)

    assert refused.exit == 2, refused.stderr
    assert "Row 4: the file says created, and here the row is not valid: Outcome" in refused.stderr
    assert (confirmed.exit, confirmed.json["created"], len(tenant.creates)) == (0, 3, 3), confirmed.stderr
