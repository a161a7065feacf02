"""What `run` asks before its first POST: is this sheet, or a part of it, there already?"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import visits
from conftest import Importer, Result, RunningTenant, StartTenant, child_environment, importer_command
from visits import batches_in, forget_everything, results_of, write_csv, write_mapping, write_xlsx


@pytest.fixture
def mapping(home: Path) -> Path:
    return write_mapping(Path("visits.yaml"))


def refused_for(earlier: Result, result: Result, home: Path) -> None:
    """Exit 2, the earlier batch and `resume` named, nothing of a second batch left."""
    told = result.json
    assert (result.exit, set(told)) == (2, {"error", "error_code", "exit"}), result.stderr
    assert earlier.json["batch"] in told["error"]
    assert "importer resume" in told["error"]
    assert batches_in(home) == [earlier.json["batch"]]
    assert not list(Path().rglob("*(2)*"))


def _again(sheet: Path) -> Path:
    return sheet


def _renamed(sheet: Path) -> Path:
    Path("elsewhere").mkdir()
    return Path(shutil.copy(sheet, "elsewhere/July.csv"))


def _saved_by_another_program(sheet: Path) -> Path:
    return write_csv(Path("saved again.csv"), visits.visits(3), delimiter=";")


def _saved_as_workbook(sheet: Path) -> Path:
    return write_xlsx(Path("visits.xlsx"), visits.visits(3))


def _with_another_column(sheet: Path) -> Path:
    rows = [(*row, "seen") for row in visits.visits(3)]
    return write_csv(Path("wider.csv"), rows, header=(*visits.HEADER, "Note"))


@pytest.mark.parametrize(
    "copy", [_again, _renamed, _saved_by_another_program, _saved_as_workbook, _with_another_column]
)
def test_the_same_sheet_is_not_sent_twice(
    importer: Importer, tenant: RunningTenant, home: Path, mapping: Path, copy: Callable[[Path], Path]
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    first = importer("run", sheet, "-m", mapping, "--yes", "--json")
    second = importer("run", copy(sheet), "-m", mapping, "--yes", "--json")
    refused_for(first, second, home)
    assert len(tenant.creates) == 3


def test_a_corrected_mapping_does_not_make_it_another_sheet(
    importer: Importer, tenant: RunningTenant, home: Path, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    first = importer("run", sheet, "-m", mapping, "--yes", "--limit", "1", "--json")
    write_mapping(mapping, visits.MAPPING.replace("10001", "10002"))
    refused_for(first, importer("run", sheet, "-m", mapping, "--yes", "--json"), home)
    assert len(tenant.creates) == 1


def test_a_half_done_batch_is_named_with_its_results_file(
    importer: Importer, tenant: RunningTenant, home: Path, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    first = importer("run", sheet, "-m", mapping, "--yes", "--limit", "1", "--json")
    second = importer("run", sheet, "-m", mapping, "--yes", "--json")
    refused_for(first, second, home)
    assert first.json["results"] in second.json["error"]


def test_again_sends_it_once_more(importer: Importer, tenant: RunningTenant, mapping: Path) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(3))
    importer("run", sheet, "-m", mapping, "--yes")
    second = importer("run", sheet, "-m", mapping, "--yes", "--again", "--json")
    assert (second.exit, second.json["created"], len(tenant.creates)) == (0, 3, 6)
    assert Path(second.json["results"]).name == "visits.results (2).csv"


def test_another_organisation_has_batches_of_its_own(
    importer: Importer, start_tenant: StartTenant, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    start_tenant()
    assert importer("run", sheet, "-m", mapping, "--yes").exit == 0
    other = start_tenant()
    assert importer("run", sheet, "-m", mapping, "--yes").exit == 0
    assert len(other.creates) == 2


def test_rows_that_another_batch_created_want_a_decision(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    first = importer("run", write_csv(Path("a.csv"), visits.visits(3)), "-m", mapping, "--yes", "--json")
    more = write_csv(Path("b.csv"), visits.visits(5))
    result = importer("run", more, "-m", mapping, "--yes", "--json")
    assert result.exit == 2
    assert "3 rows of this sheet" in result.json["error"]
    assert first.json["batch"] in result.json["error"]
    assert "--only-new" in result.json["error"]
    assert "--again" in result.json["error"]
    assert not Path("b.results.csv").exists()
    assert len(tenant.creates) == 3


def test_only_new_takes_the_others_over_with_their_ids_and_without_an_attempt(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    importer("run", write_csv(Path("a.csv"), visits.visits(3)), "-m", mapping, "--yes")
    more = write_csv(Path("b.csv"), [*visits.visits(3), *visits.visits(2, first=7)])
    result = importer("run", more, "-m", mapping, "--yes", "--only-new", "--json")
    earlier, lines = results_of("a.results.csv"), results_of("b.results.csv")
    assert (result.exit, result.json["created"], result.json["already"]) == (0, 2, 3)
    assert len(tenant.creates) == 5
    assert [line["import_activity_id"] for line in lines[:3]] == [
        line["import_activity_id"] for line in earlier
    ]
    assert [line["import_attempts"] for line in lines] == ["0", "0", "0", "1", "1"]
    assert [line["import_status"] for line in lines] == ["created"] * 5


def test_overlap_is_counted_row_by_row(importer: Importer, tenant: RunningTenant, mapping: Path) -> None:
    """Two equal rows beside one that is known: one of them is new."""
    importer("run", write_csv(Path("a.csv"), visits.visits(1)), "-m", mapping, "--yes")
    twice = write_csv(Path("b.csv"), [visits.visit(1), visits.visit(1)])
    result = importer("run", twice, "-m", mapping, "--yes", "--only-new", "--json")
    assert (result.exit, len(tenant.creates)) == (0, 2), result.stderr
    lines = results_of("b.results.csv")
    assert sorted(line["import_attempts"] for line in lines) == ["0", "1"]
    assert len({line["import_activity_id"] for line in lines}) == 2


def test_rows_that_another_batch_still_holds_open_must_be_finished_there(
    importer: Importer, tenant: RunningTenant, mapping: Path
) -> None:
    held = importer(
        "run", write_csv(Path("a.csv"), visits.visits(3)), "-m", mapping, "--yes", "--limit", "1", "--json"
    )
    more = write_csv(Path("b.csv"), visits.visits(2, first=2))
    for options in ((), ("--only-new",)):
        result = importer("run", more, "-m", mapping, "--yes", "--json", *options)
        assert result.exit == 2
        assert held.json["batch"] in result.json["error"]
        assert "importer resume" in result.json["error"]
    assert len(tenant.creates) == 1


def test_a_batch_that_never_sent_a_call_is_replaced_with_its_results_file(
    importer: Importer, tenant: RunningTenant, home: Path, mapping: Path
) -> None:
    """The computer was switched off between the question and the first call."""
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    first = _never_sent(sheet, mapping)
    assert tenant.creates == []
    assert batches_in(home) == [first]
    second = importer("run", sheet, "-m", mapping, "--yes", "--json")
    assert second.exit == 0, second.stderr
    assert batches_in(home) == [second.json["batch"]]
    assert {line["import_batch"] for line in results_of("visits.results.csv")} == {second.json["batch"]}
    assert not Path("visits.results (2).csv").exists()


def _never_sent(sheet: Path, mapping: Path) -> str:
    """A batch killed right after it was published, with its results file; no call was made."""
    process = subprocess.Popen(
        importer_command("run", sheet, "-m", mapping, "--yes", "--rate", "1/2"), env=child_environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    results = Path("visits.results.csv")
    deadline = time.monotonic() + 180
    while not results.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait(timeout=180)
    return results_of(results)[0]["import_batch"]


def test_of_two_runs_started_at_the_same_moment_one_sends(
    importer: Importer, tenant: RunningTenant, home: Path, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(30))
    command = importer_command("run", sheet, "-m", mapping, "--yes", "--json")
    both = [
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child_environment()
        )
        for _ in range(2)
    ]
    ended = [(process.communicate(timeout=60), process.returncode) for process in both]
    assert sorted(code for _, code in ended) == [0, 2], ended
    assert len(tenant.creates) == 30
    assert len(batches_in(home)) == 1
    assert visits.statuses("visits.results.csv") == ["created"] * 30
    assert sorted(file.name for file in Path().glob("*results*")) == ["visits.results.csv"]


def test_an_equal_activity_of_a_colleague_stops_the_run(
    importer: Importer, tenant: RunningTenant, home: Path, mapping: Path
) -> None:
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    importer("run", sheet, "-m", mapping, "--yes")
    forget_everything(home)  # as if a colleague had sent it from another computer
    Path("visits.results.csv").unlink()
    result = importer("run", sheet, "-m", mapping, "--yes", "--json")
    assert (result.exit, len(tenant.creates)) == (2, 2)
    assert "colleague" in result.json["error"]
    assert tenant.activities[0].id in result.json["error"].lower()
    assert visits.left_behind(home) == []
    again = importer("run", sheet, "-m", mapping, "--yes", "--again", "--json")
    assert (again.exit, len(tenant.creates)) == (0, 4)


def test_a_nearly_equal_activity_stops_nobody(
    importer: Importer, start_tenant: StartTenant, mapping: Path
) -> None:
    tenant = start_tenant()
    account, _, remarks, _ = visits.visit(1)
    existing = {"account": account, "event": 10001, "note": remarks, "fields": {"mx_Custom_1": "Lost"}}
    tenant.set_faults({"existing": [existing]})
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    assert importer("run", sheet, "-m", mapping, "--yes").exit == 0


def test_only_new_and_again_exclude_each_other(
    importer: Importer, tenant: RunningTenant, mapping: Path, home: Path
) -> None:
    """Otherwise one of them wins, and every row may be there twice."""
    sheet = write_csv(Path("visits.csv"), visits.visits(2))
    result = importer("run", sheet, "-m", mapping, "--yes", "--only-new", "--again", "--json")
    assert (result.exit, result.json["error_code"], tenant.creates) == (2, "usage", [])


def test_a_refused_run_leaves_no_lock(
    importer: Importer, tenant: RunningTenant, mapping: Path, home: Path
) -> None:
    """Nothing of a batch that did not come about is left."""
    bad = write_csv(Path("visits.csv"), [("none", "Won", "", "1"), visits.visit(2)])
    assert importer("run", bad, "-m", mapping, "--yes").exit == 2
    assert list((home / "locks").iterdir()) == []
