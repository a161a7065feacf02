"""`importer run`, from a sheet to its results file, as a person drives it."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
import visits
from conftest import Importer, RunningTenant, StartTenant
from visits import OURS, RUN_KEYS, results_of, write_csv, write_mapping, write_xlsx

BATCH_ID = re.compile(r"[a-z][a-z0-9-]*\d{8}-\d{6}-[0-9a-f]+")


@pytest.fixture
def mapping(home: Path) -> Path:
    return write_mapping(Path("visits.yaml"))


def test_every_row_is_created_once_and_carries_the_id_that_the_tenant_gave_it(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(12))
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    assert result.exit == 0, result.stderr
    given = {held.note: held.id for held in tenant.activities}
    written = {
        line["Remarks"]: line["import_activity_id"].lower() for line in results_of("visits.results.csv")
    }
    assert len(tenant.creates) == 12
    assert written == given


def test_verbose_shows_each_call(importer: Importer, tenant: RunningTenant, mapping: Path) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    shown = importer("run", sheet, "-m", mapping, "--yes", "--verbose").stderr
    calls = [line for line in shown.splitlines() if line.startswith("Create 200")]
    assert [line.split()[-1] for line in calls] == ["created"] * 2


def test_the_results_file_has_our_columns_first_then_the_sheets_own(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    before = dt.datetime.now(dt.UTC)
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    lines = results_of("visits.results.csv")
    assert tuple(lines[0]) == (*OURS, *visits.HEADER)
    for number, line in enumerate(lines, 2):
        told = dt.datetime.fromisoformat(line["import_time"])
        assert told.utcoffset() == dt.timedelta(0)
        assert abs((told - before).total_seconds()) < 60
        ours = [line[name] for name in OURS if name not in {"import_activity_id", "import_time"}]
        assert ours == [str(number), "created", "", "", "1", result.json["batch"]]
        assert [line[name] for name in visits.HEADER] == list(visits.visit(number - 1))
    assert BATCH_ID.fullmatch(result.json["batch"])


def test_csv_results_have_a_mark_crlf_and_the_sources_delimiter(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2), delimiter=";")
    assert importer("run", sheet, "-m", mapping, "--yes").exit == 0
    raw = Path("visits.results.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbfimport_row;import_status;")
    assert raw.count(b"\r\n") == raw.count(b"\n") == 3


def test_a_workbook_gets_a_workbook_with_texts_as_texts(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    sheet = write_xlsx(Path("visits.xlsx"), visits.visits(3))
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    assert result.exit == 0, result.stderr
    assert Path(result.json["results"]) == Path("visits.results.xlsx").absolute()
    lines = results_of("visits.results.xlsx")
    assert [line["Visit no"] for line in lines] == ["00001", "00002", "00003"]
    assert [line["import_status"] for line in lines] == ["created"] * 3


def test_blank_rows_keep_their_numbers(importer: Importer, tenant: RunningTenant, mapping: Path) -> None:
    rows = [visits.visit(1), ("", "", "", ""), visits.visit(2)]
    importer("run", write_csv(Path("visits.csv"), rows), "-m", mapping, "--yes")
    assert [line["import_row"] for line in results_of("visits.results.csv")] == ["2", "4"]


def test_json_is_one_object_with_the_documented_keys(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    result = importer(
        "run", write_csv(Path("visits.csv"), visits.visits(3)), "-m", mapping, "--yes", "--json"
    )
    told = result.json
    assert set(told) == RUN_KEYS
    assert (told["rows"], told["created"], told["throttled"], told["exit"]) == (3, 3, 0, 0)
    assert sum(told[status] for status in visits.COUNTS) == told["rows"]
    assert told["seconds"] > 0
    assert Path(told["results"]).is_file()
    assert Path(told["store"]).is_file()


def test_messages_of_a_json_run_go_to_stderr(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    result = importer(
        "run", write_csv(Path("visits.csv"), visits.visits(3)), "-m", mapping, "--yes", "--json"
    )
    assert len(result.stdout.splitlines()) == 1
    assert "This cannot be undone" in result.stderr


def test_quiet_says_nothing_but_the_result(importer: Importer, tenant: RunningTenant, mapping: Path) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    result = importer("run", sheet, "-m", mapping, "--yes", "--quiet")
    assert result.stderr == ""
    assert "3 rows: 3 created" in result.stdout


def test_refused_rows_are_failed_after_one_call_with_the_exception_and_what_to_do(
    importer: Importer, start_tenant: StartTenant, mapping: Path
) -> None:
    tenant = start_tenant()
    tenant.set_faults(
        {"faults": [{"do": "refuse", "note_has": "Visit 2", "exception": "MXInvalidInputException",
                     "message": "Invalid Outcome"}]}
    )  # fmt: skip
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    refused = results_of("visits.results.csv")[1]
    assert result.exit == result.json["exit"] == 1
    assert (result.json["created"], result.json["failed"]) == (2, 1)
    assert refused["import_error_code"] == "MXInvalidInputException"
    assert "Invalid Outcome" in refused["import_error"]
    assert (refused["import_attempts"], len(tenant.creates)) == ("1", 3)


def test_refusals_for_the_rate_cost_no_attempt(
    importer: Importer, start_tenant: StartTenant, mapping: Path
) -> None:
    tenant = start_tenant()
    tenant.set_faults({"faults": [{"do": "throttle", "nth": [1], "retry_after": 0.1, "status": 403}]})
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    assert (result.exit, result.json["throttled"]) == (0, 1)
    assert [line["import_attempts"] for line in results_of("visits.results.csv")] == ["1", "1"]


def test_limit_sends_so_many_rows_and_leaves_the_rest_pending(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(5))
    result = importer("run", sheet, "-m", mapping, "--yes", "--limit", "2", "--json")
    assert result.exit == result.json["exit"] == 3
    assert (result.json["created"], result.json["pending"], len(tenant.creates)) == (2, 3, 2)
    assert "importer resume" in result.stderr
    assert visits.statuses("visits.results.csv").count("pending") == 3


def test_a_limit_that_all_rows_fit_into_ends_well(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    assert importer("run", sheet, "-m", mapping, "--yes", "--limit", "3").exit == 0


def test_skip_invalid_sends_the_others_and_ends_with_1(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    rows = [visits.visit(1), visits.visit(2, "Wno"), visits.visit(3)]
    sheet = write_csv(Path("visits.csv"), rows)
    result = importer("run", sheet, "-m", mapping, "--yes", "--skip-invalid", "--json")
    bad = results_of("visits.results.csv")[1]
    assert (result.exit, result.json["created"], result.json["invalid"]) == (1, 2, 1)
    assert (bad["import_status"], bad["import_error_code"], bad["import_attempts"]) == (
        "invalid",
        "invalid",
        "0",
    )
    assert "Wno" in bad["import_error"]


def test_all_refused_alike_stops_after_twenty_answers(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "refuse"}]})
    sheet = write_csv(Path("visits.csv"), visits.visits(60))
    result = importer("run", sheet, "-m", mapping, "--yes", "--workers", "1", "--json")
    assert result.exit == 3
    assert (result.json["failed"], result.json["pending"]) == (20, 40)
    assert "--remap" in result.json["error"]


def test_revoked_keys_stop_the_run_and_leave_the_rows_pending(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "revoke", "nth": [3]}]})
    sheet = write_csv(Path("visits.csv"), visits.visits(40))
    result = importer("run", sheet, "-m", mapping, "--yes", "--workers", "4", "--json")
    assert result.exit == result.json["exit"] == 3
    assert result.json["pending"] + result.json["created"] == 40
    assert len(tenant.creates) <= 3 + 4
    assert result.json["error"]


def test_a_redirect_in_mid_run_stops_it_and_is_never_followed(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    tenant.set_faults({"faults": [{"do": "redirect", "to": f"{tenant.url}/elsewhere"}]})
    sheet = write_csv(Path("visits.csv"), visits.visits(5))
    result = importer("run", sheet, "-m", mapping, "--yes", "--workers", "1", "--json")
    assert (result.exit, result.json["pending"]) == (3, 5)
    assert [call.kind for call in tenant.calls if call.kind == "unknown"] == []


@pytest.mark.parametrize("place", ["out.csv", "folder", "folder/other.xlsx"])
def test_results_go_where_the_person_says(
    importer: Importer, tenant: RunningTenant, mapping: Path, place: str
) -> None:
    Path("folder").mkdir()
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    result = importer("run", sheet, "-m", mapping, "--yes", "--results", place, "--json")
    expected = Path(place) / "visits.results.csv" if place == "folder" else Path(place)
    assert result.exit == 0, result.stderr
    assert Path(result.json["results"]) == expected.absolute()
    assert visits.statuses(expected) == ["created", "created"]


def test_another_batchs_results_file_is_never_overwritten(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    importer("run", sheet, "-m", mapping, "--yes")
    earlier = Path("visits.results.csv").read_bytes()
    write_csv(sheet, visits.visits(2, first=50))
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    assert Path(result.json["results"]).name == "visits.results (2).csv"
    assert Path("visits.results.csv").read_bytes() == earlier
    assert "visits.results (2).csv" in result.stderr


def test_a_file_of_somebody_elses_under_that_name_is_never_overwritten(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    Path("visits.results.csv").write_text("my notes\n", encoding="utf-8")
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    assert Path(result.json["results"]).name == "visits.results (2).csv"
    assert Path("visits.results.csv").read_text(encoding="utf-8") == "my notes\n"


def test_a_results_file_is_no_source_and_resume_is_named(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    importer("run", sheet, "-m", mapping, "--yes")
    result = importer("run", "visits.results.csv", "-m", mapping, "--yes")
    assert result.exit == 2
    assert "importer resume visits.results.csv" in result.stderr
    assert len(tenant.creates) == 2


def test_hidden_rows_want_a_decision(importer: Importer, tenant: RunningTenant, mapping: Path) -> None:
    sheet = write_xlsx(Path("visits.xlsx"), visits.visits(4), hidden=[3])
    undecided = importer("run", sheet, "-m", mapping, "--yes")
    assert (undecided.exit, len(tenant.creates)) == (2, 0)
    assert "--hidden include" in undecided.stderr
    decided = importer("run", sheet, "-m", mapping, "--yes", "--hidden", "skip", "--json")
    assert (decided.exit, decided.json["rows"]) == (0, 3)
    assert [line["import_row"] for line in results_of("visits.results.xlsx")] == ["2", "4", "5"]


def test_the_rate_of_the_environment_is_kept(
    importer: Importer, tenant: RunningTenant, mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEADSQUARED_RATE", "10/1")
    sheet = write_csv(Path("visits.csv"), visits.visits(6))
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    arrived = [call.arrived_s for call in tenant.creates]
    assert "10 calls in 1 s" in result.stderr
    assert arrived[-1] - arrived[0] >= 5 * 0.1


def test_keys_of_the_environment_win_over_those_of_the_env_file(
    importer: Importer, tenant: RunningTenant, mapping: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tenant.environment()
    Path(".env").write_text("".join(f"{name}='{value}'\n" for name, value in named.items()), encoding="utf-8")
    for name in named:
        monkeypatch.delenv(name)
    sheet = write_csv(Path("visits.csv"), visits.visits(1))
    from_file = importer("run", sheet, "-m", mapping, "--yes")
    monkeypatch.setenv("LEADSQUARED_ACCESS_KEY", "u$rWrong")
    monkeypatch.setenv("LEADSQUARED_SECRET_KEY", "wrong")
    write_csv(sheet, visits.visits(1, first=9))
    from_environment = importer("run", sheet, "-m", mapping, "--yes")
    assert (from_file.exit, from_environment.exit) == (0, 2)


def test_a_rehearsal_asks_nothing_and_has_names_of_its_own(
    importer: Importer, home: Path, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    result = importer("run", sheet, "-m", mapping, "--sandbox", "--json")
    assert (result.exit, result.json["created"]) == (0, 3)
    assert result.json["batch"].startswith("sandbox-")
    assert visits.statuses("visits.sandbox.results.csv") == ["created"] * 3
    assert not Path("visits.results.csv").exists()


def test_a_rehearsal_replaces_an_earlier_one(importer: Importer, home: Path, mapping: Path) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    first = importer("run", sheet, "-m", mapping, "--sandbox", "--json").json["batch"]
    second = importer("run", sheet, "-m", mapping, "--sandbox", "--json").json["batch"]
    assert first != second
    assert [line["import_batch"] for line in results_of("visits.sandbox.results.csv")] == [second] * 2
    listed = importer("status", "--json").json["batches"]
    assert [one["batch"] for one in listed] == [second]


def test_a_rehearsal_stands_in_nobodys_way(importer: Importer, tenant: RunningTenant, mapping: Path) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    assert importer("run", sheet, "-m", mapping, "--sandbox").exit == 0
    assert importer("run", sheet, "-m", mapping, "--yes").exit == 0
    assert len(tenant.creates) == 2
    assert importer("run", sheet, "-m", mapping, "--sandbox").exit == 0
