"""`importer correct`: what was changed arrives, nothing else, and no stranger's change is lost unasked."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
import visits
from conftest import Importer, Result, RunningTenant
from stores import Place
from visits import batches_in, edit, results_of, write_csv, write_mapping

from importer.sandbox.rules import Edited

RESULTS: Final = Path("visits.results.csv")
QUICK: Final = ("--settle", "0.05", "--yes", "--json")
FIELD: Final = "mx_Custom_1"


@pytest.fixture
def imported(importer: Importer, tenant: RunningTenant) -> Result:
    """Five created rows."""
    return run(importer, 5)


def run(importer: Importer, rows: int, mapping: str = visits.MAPPING) -> Result:
    write_mapping(Path("visits.yaml"), mapping)
    write_csv(Path("visits.csv"), visits.visits(rows))
    ran = importer("run", "visits.csv", "-m", "visits.yaml", *QUICK)
    assert ran.exit == 0, ran.stderr
    return ran


def correct(importer: Importer, *more: str) -> Result:
    return importer("correct", RESULTS, *QUICK, *more)


def equal(importer: Importer) -> int:
    """How many rows `verify` finds as they should be."""
    found: int = importer("verify", RESULTS, "--settle", "0", "--json").json["equal"]
    return found


def updates(tenant: RunningTenant) -> int:
    return sum(call.kind == "update" for call in tenant.calls)


def held(tenant: RunningTenant) -> list[tuple[str, str, int, str, dict[str, str]]]:
    """Everything that each activity holds, in the order of creation."""
    return [(one.id, one.company_id, one.event, one.note, dict(one.fields)) for one in tenant.activities]


def of_row(tenant: RunningTenant, row: int) -> str:
    """What the row's activity holds in the field."""
    activity_id = next(
        line["import_activity_id"] for line in results_of(RESULTS) if int(line["import_row"]) == row
    )
    return next(one for one in tenant.activities if one.id == activity_id).fields.get(FIELD, "")


def stranger(tenant: RunningTenant, row: int, text: str) -> None:
    """Somebody changes the row's activity in LeadSquared."""
    activity_id = results_of(RESULTS)[row - 2]["import_activity_id"]
    tenant.ask(lambda sandbox: sandbox.tenant.edit(Edited(id=activity_id, fields={FIELD: text})))


def lines(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_changed_cells_are_sent_and_nothing_else(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    """Only what changed is in an update; a second correct sends nothing; `verify` is equal afterwards."""
    edit(RESULTS, {3: {"Outcome": "Lost"}, 4: {"Remarks": "Called again"}})
    result = correct(importer)
    told = result.json
    assert set(told) == {"batch", "changed", "corrected", "conflicts", "failed", "corrections", "exit"}
    assert (told["exit"], told["changed"], told["corrected"]) == (0, 2, 2), result.stderr
    assert 'row 3, mx_Custom_1 (column "Outcome"): "Won" → "Lost"' in result.stderr
    assert [one.fields[FIELD] for one in tenant.activities] == ["Won", "Lost", "Won", "Won", "Won"]
    assert [one.note for one in tenant.activities][2] == "Called again"
    assert [(line["row"], line["field"], line["outcome"]) for line in lines(told["corrections"])] == [
        ("3", FIELD, "corrected"),
        ("4", "ActivityNote", "corrected"),
    ]
    again = correct(importer).json
    assert (again["exit"], again["changed"], updates(tenant)) == (0, 0, 2)
    assert equal(importer) == 5


@pytest.mark.parametrize("open_rows", [0, 2])
def test_resume_leaves_changed_cells_of_created_rows_to_correct(
    importer: Importer, tenant: RunningTenant, home: Path, open_rows: int
) -> None:
    """It names them and `correct`; the file that it writes still holds them, twice over."""
    write_mapping(Path("visits.yaml"), visits.MAPPING)
    write_csv(Path("visits.csv"), visits.visits(5))
    limit = ("--limit", str(5 - open_rows)) if open_rows else ()
    importer("run", "visits.csv", "-m", "visits.yaml", *QUICK, *limit)
    edit(RESULTS, {2: {"Outcome": "Lost"}})
    for _ in range(2):
        resumed = importer("resume", RESULTS, *QUICK)
        assert (resumed.exit, resumed.json["created"]) == (0, 5)
        assert "Not sent by resume, since the row was created: row 2" in resumed.stderr
        assert results_of(RESULTS)[0]["Outcome"] == "Lost"
    assert "Change 1 created row in LeadSquared?" in importer("correct", RESULTS).stderr
    assert correct(importer).json["corrected"] == 1
    assert of_row(tenant, 2) == "Lost"
    assert correct(importer).json["changed"] == 0


def test_undo_brings_back_what_was_there(importer: Importer, tenant: RunningTenant, imported: Result) -> None:
    """In LeadSquared, in the store and in the results file."""
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    assert correct(importer).exit == 0
    undone = correct(importer, "--undo")
    assert (undone.exit, undone.json["corrected"], of_row(tenant, 3)) == (0, 1, "Won"), undone.stderr
    assert results_of(RESULTS)[1]["Outcome"] == "Won"
    assert correct(importer, "--undo").json["changed"] == 0
    assert equal(importer) == 5


# ---- faults --------------------------------------------------------------------------------------------

SOME: Final = [2, 3, 9, 16]
FAULTS: dict[str, list[dict[str, Any]]] = {
    "throttled": [{"do": "throttle", "on": "update", "nth": [2, 9], "limit": "1000/1"}],
    "bare 500": [{"do": "answer", "on": "update", "status": 500, "nth": SOME}],
    "503 unchanged": [{"do": "answer", "on": "update", "status": 503, "nth": SOME}],
    "503 changed": [{"do": "answer", "on": "update", "status": 503, "commit": True, "nth": SOME}],
    "drop before": [{"do": "drop", "on": "update", "nth": SOME}],
    "drop after": [{"do": "drop", "on": "update", "commit": True, "nth": SOME}],
    "hang": [{"do": "hang", "on": "update", "seconds": 30, "commit": True, "nth": [2, 9]}],
    "reads fail": [{"do": "answer", "on": "by-id", "status": 502, "nth": SOME}],
    "first of all": [{"do": "drop", "on": "update", "nth": 1}],
}
TWO_FIELDS: Final = visits.MAPPING + "  mx_Custom_2: Visit no\n"
ROWS: Final = range(2, 22)


@pytest.fixture
def twenty(importer: Importer, tenant: RunningTenant) -> Result:
    """Twenty created rows."""
    return run(importer, len(ROWS), TWO_FIELDS)


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
def test_under_each_fault_every_field_holds_what_the_file_says_and_nothing_else_changes(
    importer: Importer, tenant: RunningTenant, twenty: Result, faults: list[dict[str, Any]]
) -> None:
    """`verify` is equal, a second `correct` sends nothing, and `--undo` brings back what was there."""
    before = held(tenant)
    edit(RESULTS, {row: {"Outcome": "Lost"} if row % 2 else {"Remarks": f"Row {row}"} for row in ROWS})
    wanted = [
        (*one[:3], one[3] if row % 2 else f"Row {row}", one[4] | ({FIELD: "Lost"} if row % 2 else {}))
        for row, one in zip(ROWS, before, strict=True)
    ]
    tenant.set_faults({"faults": faults})
    done = correct(importer, "--timeout", "0.5")
    assert (done.exit, done.json["changed"], done.json["corrected"]) == (0, 20, 20), done.stderr
    assert held(tenant) == wanted
    sent = updates(tenant)
    assert (correct(importer).json["changed"], updates(tenant)) == (0, sent)
    assert equal(importer) == 20
    tenant.set_faults({"faults": faults})
    undone = correct(importer, "--undo", "--timeout", "0.5")
    assert (undone.exit, undone.json["corrected"], held(tenant)) == (0, 20, before), undone.stderr
    assert equal(importer) == 20


# ---- stopped on the way ----------------------------------------------------------------------------------


@pytest.fixture
def each_store(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test runs on each store."""
    if place.url:
        monkeypatch.setenv("IMPORTER_STORE", place.url)


BREAKS_DOWN: Final = [{"do": "drop", "on": "update", "commit": True, "nth": [*range(9, 200)]}]
"""Eight updates go through; later ones change the activity, and their answers are lost."""
STOPS: Final = ("--max-outage", "0", "--workers", "2")


def outcomes(tenant: RunningTenant) -> list[str]:
    return [one.fields[FIELD] for one in tenant.activities]


def in_file() -> list[str]:
    return [line["Outcome"] for line in results_of(RESULTS)]


def stopped(importer: Importer, tenant: RunningTenant, *more: str) -> Result:
    """A `correct` that ends by an outage after eight updates."""
    tenant.set_faults({"faults": BREAKS_DOWN})
    ended = correct(importer, *STOPS, *more)
    assert (ended.exit, 0 < ended.json["corrected"] < 20) == (3, True), ended.stderr
    tenant.set_faults({})
    return ended


@pytest.mark.usefixtures("each_store")
def test_undo_takes_back_a_correction_that_took_two_goes(
    importer: Importer, tenant: RunningTenant, twenty: Result
) -> None:
    """The second `correct` continues the first one: both are one correction."""
    edit(RESULTS, {row: {"Outcome": "Lost"} for row in ROWS})
    first = stopped(importer, tenant)
    second = correct(importer)
    assert (second.exit, first.json["corrected"] + second.json["corrected"]) == (0, 20), second.stderr
    assert outcomes(tenant) == ["Lost"] * 20
    undone = correct(importer, "--undo")
    assert (undone.exit, undone.json["corrected"], outcomes(tenant)) == (0, 20, ["Won"] * 20), undone.stderr
    assert (in_file(), equal(importer)) == (["Won"] * 20, 20)


@pytest.mark.usefixtures("each_store")
def test_undo_of_a_correction_that_was_stopped_sends_nothing_of_what_was_left(
    importer: Importer, tenant: RunningTenant, twenty: Result
) -> None:
    """Everything holds again what it held before; the file keeps the changes, which may be wanted yet."""
    edit(RESULTS, {row: {"Outcome": "Lost"} for row in ROWS})
    stopped(importer, tenant)
    undone = correct(importer, "--undo")
    assert (undone.exit, outcomes(tenant)) == (0, ["Won"] * 20), undone.stderr
    assert equal(importer) == 20


@pytest.mark.usefixtures("each_store")
@pytest.mark.parametrize("how", [(), ("--undo",)])
def test_an_undo_that_was_stopped_is_continued(
    importer: Importer, tenant: RunningTenant, twenty: Result, how: tuple[str, ...]
) -> None:
    """With and without `--undo`; the file's cells from before it are no new changes."""
    edit(RESULTS, {row: {"Outcome": "Lost"} for row in ROWS})
    assert correct(importer).exit == 0
    ended = stopped(importer, tenant, "--undo")
    assert "--undo" in ended.stderr
    assert correct(importer, *how).exit == 0
    assert (outcomes(tenant), in_file()) == (["Won"] * 20, ["Won"] * 20)
    assert (correct(importer).json["changed"], equal(importer)) == (0, 20)


def test_a_strangers_value_that_was_replaced_in_two_goes_comes_back(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    """It was read before the first update, whose answer was lost."""
    stranger(tenant, 3, "Postponed")
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    tenant.set_faults({"faults": [{"do": "drop", "on": "update", "commit": True}]})
    assert correct(importer, "--overwrite", *STOPS).exit == 3
    tenant.set_faults({})
    assert (correct(importer, "--overwrite").exit, of_row(tenant, 3)) == (0, "Lost")
    assert (correct(importer, "--undo").exit, of_row(tenant, 3)) == (0, "Postponed")


def test_a_cell_that_is_changed_again_after_an_update_without_an_answer_is_no_conflict(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    """What is in LeadSquared may be ours; `--undo` brings back what was there before both."""
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    tenant.set_faults({"faults": [{"do": "drop", "on": "update", "commit": True}]})
    assert correct(importer, *STOPS).exit == 3
    tenant.set_faults({})
    edit(RESULTS, {3: {"Outcome": "Open"}})
    ended = correct(importer)
    assert (ended.exit, ended.json["conflicts"], of_row(tenant, 3)) == (0, 0, "Open"), ended.stderr
    assert (correct(importer, "--undo").exit, of_row(tenant, 3)) == (0, "Won")


# ---- killed before the results file was written -----------------------------------------------------------


@contextmanager
def killed_before_the_file(home: Path) -> Iterator[None]:
    """What the block does is killed at one instant: its last update is durable in the store, and the results
    file is not replaced yet. The store refuses what is kept with the file's replacement, and the file is put
    back as it was."""
    before = RESULTS.read_bytes()
    refusing = "ON fact WHEN NEW.name = 'results_digest' BEGIN SELECT RAISE(ABORT, 'killed'); END"
    with closing(sqlite3.connect(home / "importer.db")) as store:
        store.execute(f"CREATE TRIGGER killed_insert BEFORE INSERT {refusing}")
        store.execute(f"CREATE TRIGGER killed_update BEFORE UPDATE {refusing}")
    yield
    with closing(sqlite3.connect(home / "importer.db")) as store:
        store.execute("DROP TRIGGER killed_insert")
        store.execute("DROP TRIGGER killed_update")
    assert RESULTS.read_bytes() != before, "the file was not about to be replaced"
    RESULTS.write_bytes(before)


@pytest.mark.parametrize("shows", ["as written", "as typed"])
def test_an_undo_that_was_killed_before_the_file_was_written_is_not_sent_back(
    importer: Importer, tenant: RunningTenant, imported: Result, home: Path, shows: str
) -> None:
    """The file shows what was undone, whether as the correction wrote it or as it was typed before (that one
    was killed too): nobody typed it since. It is named, the file is right again, and the same text typed
    after that is sent."""
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    if shows == "as typed":
        with killed_before_the_file(home):
            correct(importer)
    else:
        correct(importer)
    with killed_before_the_file(home):
        correct(importer, "--undo")
    assert (results_of(RESULTS)[1]["Outcome"], of_row(tenant, 3), updates(tenant)) == ("Lost", "Won", 2)
    ended = correct(importer)
    assert (ended.exit, ended.json["changed"], updates(tenant)) == (0, 0, 2), ended.stderr
    assert "Ignored, from before the row's last correction: row 3, Outcome: 'Won' → 'Lost'" in ended.stderr
    assert (in_file(), equal(importer)) == (["Won"] * 5, 5)
    assert "Ignored" not in correct(importer).stderr
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    assert (correct(importer).json["corrected"], of_row(tenant, 3), equal(importer)) == (1, "Lost", 5)


def test_what_is_typed_beside_an_undone_cell_is_sent_alone(
    importer: Importer, tenant: RunningTenant, imported: Result, home: Path
) -> None:
    """In the same row and in another one, before any command has written the file again."""
    edit(RESULTS, {row: {"Outcome": "Lost"} for row in (3, 4)})
    correct(importer)
    with killed_before_the_file(home):
        correct(importer, "--undo")
    edit(RESULTS, {3: {"Remarks": "Called again"}, 4: {"Outcome": "Open"}})
    ended = correct(importer)
    assert (ended.exit, ended.json["corrected"]) == (0, 2), ended.stderr
    assert ended.stderr.count("Ignored") == 1, ended.stderr
    assert [one.note for one in tenant.activities][1] == "Called again"
    assert outcomes(tenant) == in_file() == ["Won", "Won", "Open", "Won", "Won"]
    assert equal(importer) == 5


def test_resume_writes_the_file_that_a_killed_undo_left(
    importer: Importer, tenant: RunningTenant, imported: Result, home: Path
) -> None:
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    correct(importer)
    with killed_before_the_file(home):
        correct(importer, "--undo")
    resumed = importer("resume", RESULTS, *QUICK)
    assert "Ignored, from before the row's last change: row 3" in resumed.stderr
    assert "importer correct" not in resumed.stderr
    assert in_file() == ["Won"] * 5
    assert (correct(importer).json["changed"], updates(tenant)) == (0, 2)


def test_after_a_correction_that_was_killed_before_the_file_was_written_its_cell_can_be_put_back(
    importer: Importer, tenant: RunningTenant, imported: Result, home: Path
) -> None:
    """The next `correct` sends nothing and writes the file; a former value that is typed then is meant."""
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    with killed_before_the_file(home):
        correct(importer)
    assert (correct(importer).json["changed"], updates(tenant)) == (0, 1)
    edit(RESULTS, {3: {"Outcome": "Won"}})
    assert (correct(importer).json["corrected"], of_row(tenant, 3), equal(importer)) == (1, "Won", 5)


def test_a_file_that_never_held_the_changes_does_not_take_them_back(
    importer: Importer, tenant: RunningTenant, imported: Result, home: Path
) -> None:
    """As after a correction from the screen that was killed: the file shows what was there before it."""
    untouched = RESULTS.read_bytes()
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    with killed_before_the_file(home):
        correct(importer)
    RESULTS.write_bytes(untouched)
    ended = correct(importer)
    assert (ended.json["changed"], updates(tenant), of_row(tenant, 3)) == (0, 1, "Lost"), ended.stderr
    assert "Ignored, from before the row's last correction: row 3, Outcome: 'Lost' → 'Won'" in ended.stderr
    assert (results_of(RESULTS)[1]["Outcome"], equal(importer)) == ("Lost", 5)


def test_changes_that_an_undo_withdrew_are_not_sent_where_it_was_killed(
    importer: Importer, tenant: RunningTenant, twenty: Result, home: Path
) -> None:
    """The correction was stopped half way; its undo was killed before the results file was written."""
    edit(RESULTS, {row: {"Outcome": "Lost"} for row in ROWS})
    stopped(importer, tenant)
    with killed_before_the_file(home):
        correct(importer, "--undo")
    sent = updates(tenant)
    assert in_file() == ["Lost"] * 20
    ended = correct(importer)
    assert (ended.json["changed"], updates(tenant), outcomes(tenant)) == (0, sent, ["Won"] * 20), ended.stderr
    assert (in_file(), equal(importer)) == (["Won"] * 20, 20)


def test_a_spreadsheet_that_was_left_open_still_corrects(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    """It saves import_time as it was before the first correction, or spells it in its own way."""
    times = [line["import_time"] for line in results_of(RESULTS)]
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    assert correct(importer).json["corrected"] == 1
    edit(RESULTS, {3: {"Outcome": "Open", "import_time": times[1]}, 4: {"Outcome": "Lost"}})
    assert correct(importer).json["corrected"] == 2
    spelt = datetime.fromisoformat(results_of(RESULTS)[1]["import_time"]).strftime("%m/%d/%Y %H:%M")
    edit(RESULTS, {3: {"Outcome": "Lost", "import_time": spelt}})
    assert (correct(importer).json["corrected"], of_row(tenant, 3)) == (1, "Lost")


def test_a_conflict_beside_a_corrected_field_can_be_overwritten_later(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    """The row has changed since its line was written; what LeadSquared did not get is wanted still."""
    stranger(tenant, 3, "Postponed")
    edit(RESULTS, {3: {"Outcome": "Lost", "Remarks": "Called again"}})
    assert correct(importer).json["conflicts"] == 1
    ended = correct(importer, "--overwrite")
    assert (ended.exit, of_row(tenant, 3), "Ignored" in ended.stderr) == (0, "Lost", False), ended.stderr
    assert (results_of(RESULTS)[1]["Remarks"], equal(importer)) == ("Called again", 5)


def test_a_changed_cell_that_no_field_comes_from_stays_in_the_file(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    edit(RESULTS, {3: {"Outcome": "Lost"}, 4: {"Visit no": "00099"}})
    assert (correct(importer).json["changed"], results_of(RESULTS)[2]["Visit no"]) == (1, "00099")
    assert (correct(importer).json["changed"], results_of(RESULTS)[2]["Visit no"]) == (0, "00099")


# ---- other people, and what cannot be corrected ------------------------------------------------------------


def test_a_strangers_change_is_left_alone_unless_it_may_be_replaced(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    """A conflict; with --overwrite it is replaced, and --undo brings the stranger's value back."""
    stranger(tenant, 3, "Postponed")
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    refused = correct(importer)
    assert (refused.exit, refused.json["conflicts"], of_row(tenant, 3)) == (1, 1, "Postponed")
    assert "1 row: 1 conflict." in importer("correct", RESULTS, "--yes", "--settle", "0.1").stdout
    assert (correct(importer, "--overwrite").exit, of_row(tenant, 3)) == (0, "Lost")
    assert (correct(importer, "--undo").exit, of_row(tenant, 3)) == (0, "Postponed")


def test_a_tenant_that_empties_unnamed_fields_is_noticed_after_one_row(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    """Whether Update leaves other fields alone is not documented: the first one is a trial."""
    tenant.set_faults({"tenant": {"update_leaves_out": "empty"}})
    edit(RESULTS, {row: {"Outcome": "Lost"} for row in range(2, 7)})
    ended = correct(importer)
    assert (ended.exit, updates(tenant)) == (3, 1)
    assert "ActivityNote" in ended.stderr


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"Account": visits.account(99)}, "the account of a created row cannot be corrected"),
        ({"Outcome": ""}, "nothing in the cell"),
    ],
)
def test_what_cannot_be_corrected_is_refused_for_its_row(
    importer: Importer, tenant: RunningTenant, imported: Result, changes: Mapping[str, str], said: str
) -> None:
    """The account, and an emptied required cell; the other rows are corrected."""
    edit(RESULTS, {2: dict(changes), 3: {"Outcome": "Lost"}})
    ended = correct(importer)
    assert (ended.exit, ended.json["corrected"], ended.json["failed"]) == (1, 1, 1), ended.stderr
    assert "Row 2" in ended.stderr
    assert said in ended.stderr
    assert of_row(tenant, 2) == "Won"


BETTER = visits.MAPPING.replace("ActivityNote: Remarks", "ActivityNote: Visit no")


def notes(tenant: RunningTenant) -> list[str]:
    return sorted(one.note for one in tenant.activities)


def test_the_batch_keeps_the_mapping_that_its_created_rows_were_corrected_with(
    importer: Importer, tenant: RunningTenant, home: Path
) -> None:
    """Later commands go by it without being given it again, and rows that were still open are mapped with
    it too."""
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(4))
    assert importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--limit", "2").exit == 3
    better = write_mapping(Path("better.yaml"), BETTER)
    assert importer("correct", RESULTS, "-m", better, "--remap", *QUICK).json["corrected"] == 2
    better.unlink()
    resumed = importer("resume", RESULTS, "--yes", "--json")
    assert (resumed.exit, resumed.json["created"]) == (0, 4), resumed.stderr
    assert "Changed: row 4: ActivityNote: 'Visit 3' → '00003'" in resumed.stderr
    assert notes(tenant) == ["00001", "00002", "00003", "00004"]
    edit(RESULTS, {5: {"Visit no": "00044", "Remarks": "not mapped any more"}})
    assert importer("correct", RESULTS, *QUICK).json["corrected"] == 1
    assert notes(tenant) == ["00001", "00002", "00003", "00044"]
    assert importer("verify", RESULTS, "--settle", "0", "--json").json["equal"] == 4
    again = importer("correct", RESULTS, "-m", write_mapping(better, BETTER), "--remap", *QUICK)
    assert (again.exit, again.json["changed"]) == (0, 0), again.stderr


def test_undoing_another_mapping_gives_the_batch_its_former_one_back(
    importer: Importer, tenant: RunningTenant, home: Path
) -> None:
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(3))
    assert importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--limit", "2").exit == 3
    better = write_mapping(Path("better.yaml"), BETTER)
    assert importer("correct", RESULTS, "-m", better, "--remap", *QUICK).exit == 0
    assert importer("correct", RESULTS, "--undo", *QUICK).json["corrected"] == 2
    assert importer("resume", RESULTS, "--yes").exit == 0
    assert notes(tenant) == ["Visit 1", "Visit 2", "Visit 3"]
    edit(RESULTS, {2: {"Remarks": "Called again"}})
    assert importer("correct", RESULTS, *QUICK).json["corrected"] == 1
    assert notes(tenant) == ["Called again", "Visit 2", "Visit 3"]


def test_a_second_undo_says_that_there_is_nothing_to_undo(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    first = importer("correct", RESULTS, "--undo", "--yes")
    assert (first.exit, first.stdout.strip()) == (
        0,
        "Nothing to undo: no correction of this batch is left to take back.",
    )
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    assert importer("correct", RESULTS, *QUICK).exit == 0
    assert importer("correct", RESULTS, "--undo", *QUICK).json["corrected"] == 1
    calls = len([call for call in tenant.calls if call.kind == "update"])
    second = importer("correct", RESULTS, "--undo", "--yes")
    assert (second.exit, "Nothing to undo" in second.stdout) == (0, True)
    assert len([call for call in tenant.calls if call.kind == "update"]) == calls


def test_without_a_terminal_it_wants_yes_and_changes_nothing(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    calls = len(tenant.calls)
    result = importer("correct", RESULTS, "--json")
    assert (result.exit, result.json["error_code"], len(tenant.calls)) == (2, "question-open", calls)
    assert "--yes" in result.json["error"]


# ---- beside other commands and other mappings -----------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("ActivityNote: Remarks", "ActivityNote: Visit no", ("00001", "Won", "")),
        (FIELD, "mx_Custom_2", ("Visit 1", "", "Won")),
    ],
    ids=["note", "field"],
)
def test_another_mapping_corrects_what_was_mapped_wrongly(
    importer: Importer, tenant: RunningTenant, old: str, new: str, expected: tuple[str, str, str]
) -> None:
    """In every created row."""
    run(importer, 5)
    write_mapping(Path("better.yaml"), visits.MAPPING.replace(old, new))
    result = correct(importer, "-m", "better.yaml", "--remap")
    assert (result.exit, result.json["corrected"]) == (0, 5), result.stderr
    (first,) = (one for one in tenant.activities if one.company_id == visits.account(1).lower())
    assert (first.note, first.fields.get(FIELD, ""), first.fields.get("mx_Custom_2", "")) == expected


def test_resume_names_changed_cells_of_created_rows_and_this_command(
    importer: Importer, tenant: RunningTenant, imported: Result
) -> None:
    edit(RESULTS, {3: {"Outcome": "Lost"}})
    result = importer("resume", RESULTS, "--yes", "--json")
    assert result.exit == 0
    assert "row 3, Outcome: 'Won' → 'Lost'" in result.stderr
    assert "importer correct" in result.stderr
    assert len(tenant.creates) == 5


def test_edits_of_other_rows_stay_in_the_file(importer: Importer, tenant: RunningTenant) -> None:
    """They are for `resume`; a correction does not write over them."""
    write_csv(Path("visits.csv"), visits.visits(3))
    write_mapping(Path("visits.yaml"))
    importer("run", "visits.csv", "-m", "visits.yaml", "--limit", "2", *QUICK)
    edit(RESULTS, {2: {"Outcome": "Lost"}, 4: {"Outcome": "Open"}})
    corrected = correct(importer)
    resumed = importer("resume", RESULTS, *QUICK)
    assert (corrected.exit, resumed.exit, resumed.json["created"]) == (0, 0, 3)
    assert of_row(tenant, 4) == "Open"


def test_a_rehearsal_is_corrected_on_the_sandbox(importer: Importer, home: Path) -> None:
    write_mapping(Path("visits.yaml"))
    write_csv(Path("visits.csv"), visits.visits(2))
    importer("run", "visits.csv", "-m", "visits.yaml", "--sandbox", "--rate", "1000/1")
    rehearsed = Path("visits.sandbox.results.csv")
    edit(rehearsed, {2: {"Outcome": "Lost"}})
    result = importer("correct", rehearsed, "--sandbox", "--rate", "1000/1", "--settle", "0.05", "--json")
    assert (result.exit, result.json["corrected"]) == (0, 1), result.stderr
    assert len(batches_in(home)) == 1
    assert results_of(rehearsed)[0]["Outcome"] == "Lost"
