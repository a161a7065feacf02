"""`importer resume`: by whatever name, with whatever a person changed, and never a row twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import visits
from conftest import Importer, Result, RunningTenant, StartTenant
from visits import RUN_KEYS, edit, forget_everything, results_of, statuses, write_csv, write_mapping

from importer.store.store import open_store

RESULTS = Path("visits.results.csv")


@pytest.fixture
def sheet(home: Path) -> Path:
    write_mapping(Path("visits.yaml"))
    return write_csv(Path("visits.csv"), visits.visits(5))


@pytest.fixture
def begun(importer: Importer, tenant: RunningTenant, sheet: Path) -> Result:
    """A batch of five rows of which two were sent."""
    result = importer("run", sheet, "-m", "visits.yaml", "--yes", "--limit", "2", "--json")
    assert result.exit == 3, result.stderr
    return result


def _id(begun: Result) -> str:
    return str(begun.json["batch"])


def _renamed(_: Result) -> str:
    Path("moved").mkdir()
    return str(shutil.move(RESULTS, "moved/my july results.csv"))


def _copied(_: Result) -> str:
    return str(shutil.copy(RESULTS, "copy.csv"))


NAMES: dict[str, Callable[[Result], str]] = {
    "results file": lambda _: str(RESULTS),
    "id": _id,
    "source sheet": lambda _: "visits.csv",
    "moved and renamed results file": _renamed,
    "copy of the results file": _copied,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_goes_on_under_every_name(
    importer: Importer, tenant: RunningTenant, begun: Result, name: str
) -> None:
    named = NAMES[name](begun)
    result = importer("resume", named, "--yes", "--json")
    told = result.json
    assert result.exit == told["exit"] == 0, result.stderr
    assert set(told) == RUN_KEYS
    assert (told["batch"], told["rows"], told["created"]) == (begun.json["batch"], 5, 5)
    assert len(tenant.creates) == 5
    assert statuses(told["results"]) == ["created"] * 5
    if name.endswith("results file"):
        assert Path(told["results"]) == Path(named).absolute()


def test_the_sheet_is_found_by_its_cells_when_its_results_file_is_gone(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    RESULTS.unlink()
    Path("elsewhere").mkdir()
    shutil.move("visits.csv", "elsewhere/july.csv")
    result = importer("resume", "elsewhere/july.csv", "--yes", "--json")
    assert (result.exit, result.json["batch"]) == (0, begun.json["batch"]), result.stderr
    assert len(tenant.creates) == 5


def test_a_finished_batch_sends_nothing_needs_no_network_and_ends_as_it_did(
    importer: Importer, tenant: RunningTenant, begun: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer("resume", RESULTS, "--yes")
    before = RESULTS.stat()
    tenant.stop()
    for name in tenant.environment():
        monkeypatch.delenv(name)
    result = importer("resume", RESULTS, "--json")
    assert (result.exit, result.json["created"], result.json["exit"]) == (0, 5, 0)
    assert set(result.json) == RUN_KEYS
    assert RESULTS.stat().st_mtime_ns == before.st_mtime_ns


def test_a_batch_that_ended_with_failures_ends_so_again(
    importer: Importer, tenant: RunningTenant, sheet: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "refuse", "note_has": "Visit 2"}]})
    assert importer("run", sheet, "-m", "visits.yaml", "--yes").exit == 1
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, result.json["failed"], len(tenant.creates)) == (1, 1, 5)


def test_mended_rows_are_sent_once_and_shown(
    importer: Importer, start_tenant: StartTenant, sheet: Path
) -> None:
    tenant = start_tenant()
    tenant.set_faults({"faults": [{"do": "refuse", "field": {"mx_Custom_1": "Lost"}}]})
    write_csv(sheet, [visits.visit(1), visits.visit(2, "Lost"), visits.visit(3, "Wno"), visits.visit(4)])
    ran = importer("run", sheet, "-m", "visits.yaml", "--yes", "--skip-invalid", "--json")
    assert (ran.json["failed"], ran.json["invalid"]) == (1, 1)
    edit(RESULTS, {3: {"Outcome": "Open"}, 4: {"Outcome": "Won"}})
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, result.json["created"]) == (0, 4)
    assert "row 4, Outcome: 'Wno' → 'Won'" in result.stderr
    assert "row 3, Outcome: 'Lost' → 'Open'" in result.stderr
    assert len(tenant.creates) == 3 + 2
    second = importer("resume", RESULTS, "--yes", "--json")
    assert (second.exit, len(tenant.creates)) == (0, 5)
    assert [line["Outcome"] for line in results_of(RESULTS)] == ["Won", "Open", "Won", "Won"]


def test_retry_failed_sends_the_refused_ones_again(
    importer: Importer, tenant: RunningTenant, sheet: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "refuse", "note_has": "Visit 2"}]})
    importer("run", sheet, "-m", "visits.yaml", "--yes")
    tenant.set_faults({})
    result = importer("resume", RESULTS, "--yes", "--retry-failed", "--json")
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 5, 6)
    assert [line["import_attempts"] for line in results_of(RESULTS)] == ["1", "2", "1", "1", "1"]


def test_a_skipped_row_is_not_sent_until_pending_takes_that_back(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    number = next(
        int(line["import_row"]) for line in results_of(RESULTS) if line["import_status"] == "pending"
    )
    edit(RESULTS, {number: {"import_status": "skipped"}})
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, result.json["skipped"], len(tenant.creates)) == (0, 1, 4)
    edit(RESULTS, {number: {"import_status": "pending"}})
    back = importer("resume", RESULTS, "--yes", "--json")
    assert (back.exit, back.json["created"], len(tenant.creates)) == (0, 5, 5)


def test_created_rows_may_be_deleted_from_the_file(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    done = [int(line["import_row"]) for line in results_of(RESULTS) if line["import_status"] == "created"]
    edit(RESULTS, {}, without=done)
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, len(tenant.creates)) == (0, 5)
    assert statuses(RESULTS) == ["created"] * 5


def test_another_row_that_is_missing_is_an_error_before_anything_is_sent(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    left = [int(line["import_row"]) for line in results_of(RESULTS) if line["import_status"] == "pending"]
    edit(RESULTS, {}, without=left[:1])
    result = importer("resume", RESULTS, "--yes", "--json")
    assert result.exit == 2
    assert f"row {left[0]}" in result.json["error"]
    assert len(tenant.creates) == 2


def test_a_row_number_that_is_there_twice_is_an_error(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    text = RESULTS.read_text(encoding="utf-8-sig")
    RESULTS.write_text(text + text.splitlines(keepends=True)[-1], encoding="utf-8-sig")
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, len(tenant.creates)) == (2, 2)
    assert "row 6" in result.json["error"]


def test_edits_of_created_rows_and_of_our_columns_are_not_sent_and_named(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    """The cells stay in the file for `correct`; our columns are as they were."""
    made = next(line for line in results_of(RESULTS) if line["import_status"] == "created")
    number = int(made["import_row"])
    edit(RESULTS, {number: {"Outcome": "Lost", "import_activity_id": "x", "import_status": "pending"}})
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, len(tenant.creates)) == (0, 5)
    assert f"row {number}, Outcome" in result.stderr
    line = results_of(RESULTS)[number - 2]
    assert (line["Outcome"], line["import_activity_id"]) == ("Lost", made["import_activity_id"])


def test_an_unreachable_tenant_ends_with_3_and_the_batch_is_as_it_was(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    before = RESULTS.read_bytes()
    tenant.stop()
    result = importer("resume", RESULTS, "--yes", "--json")
    assert result.exit == result.json["exit"] == 3
    assert result.json["error"]
    assert RESULTS.read_bytes() == before
    assert importer("status", RESULTS, "--json").json["pending"] == 3


def test_wrong_keys_end_with_2_and_the_batch_is_untouched(
    importer: Importer, tenant: RunningTenant, begun: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSQUARED_SECRET_KEY", "not-the-one")
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, len(tenant.creates)) == (2, 2)
    assert importer("status", RESULTS, "--json").json["pending"] == 3


def test_another_tenant_is_refused(importer: Importer, begun: Result, start_tenant: StartTenant) -> None:
    other = start_tenant()
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, other.creates) == (2, [])
    assert "belongs to" in result.json["error"]


def test_a_rehearsal_is_refused_by_a_real_tenant_and_the_other_way_round(
    importer: Importer, tenant: RunningTenant, sheet: Path
) -> None:
    importer("run", sheet, "-m", "visits.yaml", "--sandbox", "--limit", "2")
    rehearsed = importer("resume", "visits.sandbox.results.csv", "--yes", "--json")
    assert (rehearsed.exit, tenant.creates) == (2, [])
    assert "--sandbox" in rehearsed.json["error"]
    importer("run", sheet, "-m", "visits.yaml", "--yes", "--limit", "2")
    real = importer("resume", RESULTS, "--sandbox", "--json")
    assert real.exit == 2
    assert "--sandbox" in real.json["error"]


def test_a_rehearsal_goes_on_and_finds_what_it_had_created(importer: Importer, sheet: Path) -> None:
    first = importer("run", sheet, "-m", "visits.yaml", "--sandbox", "--limit", "2", "--json")
    assert (first.exit, first.json["created"]) == (3, 2)
    made = [line["import_activity_id"] for line in results_of("visits.sandbox.results.csv")][:2]
    result = importer("resume", "visits.csv", "--sandbox", "--json")
    assert (result.exit, result.json["created"]) == (0, 5)
    assert [line["import_activity_id"] for line in results_of("visits.sandbox.results.csv")][:2] == made


def test_another_mapping_wants_remap(importer: Importer, tenant: RunningTenant, begun: Result) -> None:
    other = write_mapping(Path("other.yaml"), visits.MAPPING.replace("10001", "10002"))
    refused = importer("resume", RESULTS, "-m", other, "--yes", "--json")
    assert (refused.exit, len(tenant.creates)) == (2, 2)
    assert "--remap" in refused.json["error"]
    result = importer("resume", RESULTS, "-m", other, "--remap", "--yes", "--json")
    assert (result.exit, result.json["created"]) == (0, 5), result.stderr
    assert "ActivityEvent: '10001' → '10002'" in result.stderr
    assert sorted(held.event for held in tenant.activities) == [10001] * 2 + [10002] * 3


def test_the_batchs_own_mapping_needs_no_remap(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    assert importer("resume", RESULTS, "-m", "visits.yaml", "--yes").exit == 0


def test_remap_without_a_mapping_is_a_usage_error(importer: Importer, begun: Result) -> None:
    result = importer("resume", RESULTS, "--remap", "--yes", "--json")
    assert result.exit == 2
    assert "-m" in result.json["error"]


def test_a_batch_in_use_is_not_touched(
    importer: Importer, tenant: RunningTenant, begun: Result, home: Path
) -> None:
    with open_store(home) as store, store.own(begun.json["batch"]):
        result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, len(tenant.creates)) == (2, 2)
    assert "in use" in result.json["error"]


def test_without_a_terminal_resume_wants_yes_before_any_call(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    calls = len(tenant.calls)
    result = importer("resume", RESULTS, "--json")
    assert (result.exit, len(tenant.calls)) == (2, calls)
    assert "--yes" in result.json["error"]


def test_limit_counts_anew_in_each_resume(importer: Importer, tenant: RunningTenant, begun: Result) -> None:
    result = importer("resume", RESULTS, "--yes", "--limit", "2", "--json")
    assert (result.exit, result.json["created"], result.json["pending"]) == (3, 4, 1)
    assert len(tenant.creates) == 4


def test_invalid_rows_stay_invalid_and_are_not_asked_about_again(
    importer: Importer, tenant: RunningTenant, sheet: Path
) -> None:
    write_csv(sheet, [visits.visit(1), visits.visit(2), visits.visit(3, "Wno")])
    importer("run", sheet, "-m", "visits.yaml", "--yes", "--skip-invalid", "--limit", "1")
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, result.json["invalid"], result.json["created"]) == (1, 1, 2)


def test_an_older_copy_of_the_file_says_nothing_of_statuses(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    shutil.copy(RESULTS, "older.csv")
    importer("resume", RESULTS, "--yes")
    edit("older.csv", {4: {"import_status": "skipped"}})
    result = importer("resume", "older.csv", "--yes", "--json")
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 5, 5)
    assert "older copy" in result.stderr


def test_results_of_a_resume_go_where_the_person_says(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    result = importer("resume", RESULTS, "--yes", "--results", "other.csv", "--json")
    assert (result.exit, Path(result.json["results"])) == (0, Path("other.csv").absolute())
    assert statuses("other.csv") == ["created"] * 5


def test_the_results_file_of_a_finished_batch_may_be_replaced(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    """And nothing else: neither an unfinished batch's nor a file of the person's own."""
    finished = write_csv(Path("a.csv"), visits.visits(1, first=50))
    assert importer("run", finished, "-m", "visits.yaml", "--yes", "--results", "out.csv").exit == 0
    result = importer("resume", RESULTS, "--yes", "--results", "out.csv", "--replace", "--json")
    assert (result.exit, Path(result.json["results"]).name) == (0, "out.csv"), result.stderr
    assert statuses("out.csv") == ["created"] * 5


@pytest.mark.parametrize("whose", ["an unfinished batch's", "a person's own"])
def test_no_other_file_is_replaced(
    importer: Importer, tenant: RunningTenant, begun: Result, whose: str
) -> None:
    if whose == "a person's own":
        Path("out.csv").write_text("my notes\n", encoding="utf-8")
    else:
        unfinished = write_csv(Path("a.csv"), visits.visits(2, first=50))
        importer("run", unfinished, "-m", "visits.yaml", "--yes", "--limit", "1", "--results", "out.csv")
    before, creates = Path("out.csv").read_bytes(), len(tenant.creates)
    result = importer("resume", RESULTS, "--yes", "--results", "out.csv", "--replace", "--json")
    assert (result.exit, len(tenant.creates)) == (2, creates), result.stderr
    assert Path("out.csv").read_bytes() == before
    said = "is not a results file" if whose == "a person's own" else "is not finished"
    assert said in result.json["error"]


def test_the_file_that_excel_saved_is_no_change(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    """Semicolons, cp1252, and leading zeros lost."""
    lines = results_of(RESULTS)
    for line in lines:
        line["Visit no"] = line["Visit no"].lstrip("0")
    table = [list(lines[0]), *([*line.values()] for line in lines)]
    text = "\r\n".join(";".join(cells) for cells in table) + "\r\n"
    RESULTS.write_bytes(text.encode("cp1252"))
    result = importer("resume", RESULTS, "--yes", "--json")
    assert (result.exit, len(tenant.creates)) == (0, 5)
    assert results_of(RESULTS)[0]["Visit no"] == "00001"


# ---- what else may have happened --------------------------------------------------------------------


def test_a_results_file_that_is_edited_during_the_run_is_not_overwritten(
    importer: Importer, start_tenant: StartTenant, sheet: Path
) -> None:
    """The results go beside it, and the edit counts at the next resume."""
    tenant = start_tenant()
    tenant.set_faults({"faults": [{"do": "refuse", "note_has": "Visit 5"}]})
    edited: list[bytes] = []

    def edit_when_it_is_there(_: object) -> None:
        if not edited and RESULTS.exists():
            edit(RESULTS, {6: {"Remarks": "mended"}})
            edited.append(RESULTS.read_bytes())

    tenant.before_each_create(edit_when_it_is_there)
    result = importer("run", sheet, "-m", "visits.yaml", "--yes", "--json")
    assert (result.exit, Path(result.json["results"]).name) == (1, "visits.results (2).csv"), result.stderr
    assert "visits.results (2).csv" in result.stderr
    assert RESULTS.read_bytes() == edited[0]
    again = importer("resume", RESULTS, "--yes", "--json")
    assert (again.exit, again.json["created"]) == (0, 5), again.stderr
    assert statuses(RESULTS) == ["created"] * 5


def test_without_the_batch_in_the_store_the_mapping_is_wanted_and_nothing_is_sent_twice(
    importer: Importer, tenant: RunningTenant, begun: Result, home: Path
) -> None:
    forget_everything(home)  # another computer
    refused = importer("resume", RESULTS, "--yes", "--json")
    assert (refused.exit, len(tenant.creates)) == (2, 2)
    assert "-m MAPPING" in refused.json["error"]
    options = ("--settle", "0.1", "--timeout", "0.5")
    result = importer("resume", RESULTS, "-m", "visits.yaml", "--yes", "--json", *options)
    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 5, 5), result.stderr
    assert "older copy" not in result.stderr


def test_a_file_whose_ids_another_batch_has_is_not_rebuilt(
    importer: Importer, tenant: RunningTenant, begun: Result
) -> None:
    """Somebody changed the batch's id in the file: its rows belong to the batch that sent them."""
    text = RESULTS.read_text(encoding="utf-8-sig")
    wrong = "b20260101-000000-aaaaaa"
    Path("copy.csv").write_text(text.replace(begun.json["batch"], wrong), encoding="utf-8-sig")
    result = importer("resume", "copy.csv", "-m", "visits.yaml", "--yes", "--settle", "0.1", "--json")
    assert (result.exit, result.json["error_code"], len(tenant.creates)) == (2, "results", 2), result.stderr
    assert f"which batch {begun.json['batch']} created" in result.json["error"]
    assert importer("status", "--json").json["batches"][0]["batch"] == begun.json["batch"]
    assert importer("resume", RESULTS, "--yes", "--json").json["created"] == 5


def test_a_batch_whose_rows_another_batch_sent_meanwhile_is_stopped(
    importer: Importer, tenant: RunningTenant, sheet: Path
) -> None:
    """Failed rows were mended in a sheet of their own; --retry-failed would send them once more."""
    tenant.set_faults({"faults": [{"do": "refuse", "note_has": "Visit 2"}]})
    importer("run", sheet, "-m", "visits.yaml", "--yes")
    tenant.set_faults({})
    other = write_csv(Path("other.csv"), [visits.visit(2)])
    assert importer("run", other, "-m", "visits.yaml", "--yes").exit == 0
    result = importer("resume", RESULTS, "--yes", "--retry-failed", "--json")
    assert (result.exit, len(tenant.creates)) == (2, 6)
    assert "skipped" in result.json["error"]
