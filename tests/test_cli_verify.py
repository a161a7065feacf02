"""`importer verify`: what was created is read back and compared with what was sent."""

from __future__ import annotations

import csv
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Importer, RunningTenant, StartTenant, child_environment, importer_command
from visits import batches_in

from importer.store.store import open_store

ACCOUNTS = ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "3f2504e0-4f89-41d3-9a0c-0305e82c3302")
MAPPING = """\
RelatedCompanyId: Account
ActivityEvent: 10001
ActivityNote: Note
Fields:
  mx_Custom_1: Outcome
  mx_Custom_2: Amount
"""


class Imported:
    """A sheet that was imported: where it, its results and its verified file are."""

    def __init__(self, folder: Path, rows: int = 4) -> None:
        self.sheet = folder / "visits.csv"
        lines = [f"{ACCOUNTS[row % 2]},note {row},Won,{row}.50" for row in range(rows)]
        self.sheet.write_text("\n".join(["Account,Note,Outcome,Amount", *lines]) + "\n", encoding="utf-8")
        self.mapping = folder / "visits.yaml"
        self.mapping.write_text(MAPPING, encoding="utf-8")
        self.results = folder / "visits.results.csv"
        self.verified = folder / "visits.verified.csv"

    @property
    def lines(self) -> list[dict[str, str]]:
        """The verified file's lines."""
        with self.verified.open(encoding="utf-8-sig", newline="") as stream:
            return list(csv.DictReader(stream))


@pytest.fixture
def imported(importer: Importer, tenant: RunningTenant, tmp_path: Path) -> Imported:
    """Four rows on two accounts, created."""
    made = Imported(tmp_path)
    result = importer("run", made.sheet, "-m", made.mapping, "--yes", "--settle", "0", "--json")
    assert (result.exit, result.json["created"]) == (0, 4)
    return made


def _read_back(*changes: dict[str, object]) -> dict[str, object]:
    return {"tenant": {"read_back": list(changes)}}


def test_all_equal_ends_with_0(importer: Importer, imported: Imported) -> None:
    """The keys of the contract; the tenant's own spellings of numbers, Ids and times are no difference."""
    result = importer("verify", imported.results, "--settle", "0", "--json")

    told = result.json
    assert (result.exit, told["rows"], told["equal"], told["differing"], told["missing"]) == (0, 4, 4, 0, 0)
    assert [(field["field"], field["sent"], field["equal"]) for field in told["fields"]] == [
        ("ActivityNote", 4, 4), ("mx_Custom_1", 4, 4), ("mx_Custom_2", 4, 4),
    ]  # fmt: skip
    assert told["verified"] == str(imported.verified)


def test_a_field_that_arrived_empty_is_named(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """In all rows: the schema name is in question."""
    tenant.set_faults(_read_back({"field": "mx_Custom_2", "change": "drop"}))
    result = importer("verify", imported.results, "--settle", "0")

    assert result.exit == 1
    assert (
        'mx_Custom_2 (column "Amount") arrived empty in 4 of 4 values: is the schema name right?'
        in result.stdout
    )


def test_an_altered_field_shows_what_was_sent_and_what_is_stored(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """Per row in the file, and as a summary."""
    tenant.set_faults(_read_back({"field": "mx_Custom_1", "change": "set", "value": "Lost"}))
    result = importer("verify", imported.results, "--settle", "0", "--json")

    (field,) = [each for each in result.json["fields"] if each["altered"]]
    assert (result.exit, result.json["differing"], field["field"], field["altered"]) == (
        1,
        4,
        "mx_Custom_1",
        4,
    )
    assert field["examples"][0] == {"row": 2, "sent": "Won", "stored": "Lost", "detail": ""}
    shown = ("row", "verdict", "field", "sent", "stored")
    assert [[one[name] for name in shown] for one in imported.lines] == [
        [str(row), "altered", "mx_Custom_1", "Won", "Lost"] for row in (2, 3, 4, 5)
    ]


@pytest.mark.parametrize(
    ("change", "detail"),
    [({"change": "truncate", "length": 4}, "cut short"), ({"change": "upper"}, "spelled differently")],
)
def test_near_misses_are_differences_here(
    importer: Importer, tenant: RunningTenant, imported: Imported, change: dict[str, object], detail: str
) -> None:
    """A text that was cut off, or came back in capitals, is not what was sent; in which way is said."""
    tenant.set_faults(_read_back({"field": "note", **change}))
    result = importer("verify", imported.results, "--settle", "0", "--json")

    assert (result.exit, {one["detail"] for one in imported.lines}) == (1, {detail})


def test_an_activity_that_is_gone_is_not_found(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """Somebody deleted it, or it never was there although LeadSquared gave an Id."""
    lost = tenant.activities[2].id
    tenant.ask(lambda sandbox: _lose(sandbox.tenant, lost))
    result = importer("verify", imported.results, "--settle", "0", "--json")

    gone = [
        (one["verdict"], one["activity_id"].lower()) for one in imported.lines if one["verdict"] != "equal"
    ]
    assert (result.exit, result.json["missing"], result.json["equal"]) == (1, 1, 3)
    assert gone == [("not found", lost)]


def _lose(tenant: object, activity_id: str) -> None:
    held = tenant._by_id.pop(activity_id)  # type: ignore[attr-defined]
    tenant._by_company[held.company_id].remove(held)  # type: ignore[attr-defined]


def test_rows_of_one_account_share_a_call(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """Four rows on two accounts: two calls, and whoami."""
    before = len(tenant.calls)
    importer("verify", imported.results, "--settle", "0")

    assert [call.kind for call in tenant.calls[before:]] == ["whoami", "retrieve", "retrieve"]


def test_a_row_alone_on_its_account_is_asked_for_by_its_id(
    importer: Importer, tenant: RunningTenant, tmp_path: Path
) -> None:
    """One activity, whatever else stands on the account."""
    made = Imported(tmp_path, rows=2)
    importer("run", made.sheet, "-m", made.mapping, "--yes", "--settle", "0")
    before = len(tenant.calls)
    result = importer("verify", made.results, "--settle", "0")

    assert (result.exit, [call.kind for call in tenant.calls[before:]]) == (0, ["whoami", "by-id", "by-id"])


def test_what_a_reading_leaves_out_is_asked_for_by_id(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """A Retrieve that lacks activities although it counts them proves no absence."""
    tenant.set_faults({"faults": [{"do": "incomplete", "missing": 1}]})
    result = importer("verify", imported.results, "--settle", "0", "--json")

    assert (result.exit, result.json["equal"]) == (0, 4)


def test_what_was_sent_counts_not_what_the_sheet_says_now(importer: Importer, imported: Imported) -> None:
    """Cells that somebody changed since in sheet and results file change nothing."""
    for file in (imported.sheet, imported.results):
        file.write_bytes(file.read_bytes().replace(b"Won", b"Lost"))
    result = importer("verify", imported.results, "--settle", "0", "--json")

    assert (result.exit, result.json["equal"]) == (0, 4)


def test_the_marker_is_compared_too(importer: Importer, tenant: RunningTenant, tmp_path: Path) -> None:
    """Batch and row travel in a field of their own: a tenant that drops it is told."""
    made = Imported(tmp_path)
    made.mapping.write_text(MAPPING + "marker: mx_Custom_9\n", encoding="utf-8")
    importer("run", made.sheet, "-m", made.mapping, "--yes", "--settle", "0")
    assert importer("verify", made.results, "--settle", "0").exit == 0
    tenant.set_faults(_read_back({"field": "mx_Custom_9", "change": "drop"}))
    result = importer("verify", made.results, "--settle", "0")

    assert "mx_Custom_9 arrived empty in 4 of 4" in result.stdout


def test_a_row_that_a_look_found_is_compared_with_the_doubtful_attempt(
    importer: Importer, tenant: RunningTenant, tmp_path: Path
) -> None:
    """Its call gave no answer; what that call sent is what must be there."""
    tenant.set_faults({"faults": [{"do": "answer", "status": 504, "commit": True, "nth": [2]}]})
    made = Imported(tmp_path)
    run = importer(
        "run", made.sheet, "-m", made.mapping, "--yes", "--settle", "0", "--timeout", "1", "--json"
    )
    result = importer("verify", made.results, "--settle", "0", "--json")

    assert (run.json["created"], result.exit, result.json["equal"]) == (4, 0, 4)


def test_an_outage_ends_with_3_and_the_next_verify_goes_on(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """What was read is kept; only the other account is read again."""
    failing = {"do": "answer", "status": 503}
    tenant.set_faults(
        {
            "faults": [
                {**failing, "on": ["retrieve"], "nth": list(range(2, 50))},
                {**failing, "on": ["whoami"], "nth": list(range(2, 50))},
            ]
        }
    )
    # one after the other: a reading under way when the outage is found may be broken off
    outage = ("--max-outage", "0", "--workers", "1")
    stopped = importer("verify", imported.results, "--settle", "0", *outage, "--json")
    tenant.set_faults({})
    before = len(tenant.calls)
    result = importer("verify", imported.results, "--settle", "0")

    assert (stopped.exit, stopped.json["equal"], stopped.json["unread"]) == (3, 2, 2)
    assert (result.exit, [call.kind for call in tenant.calls[before:]]) == (0, ["whoami", "retrieve"])
    assert "Continuing an interrupted reading: 2 rows of 4 done." in result.stderr


def test_an_account_that_cannot_be_read_holds_nobody_up(
    importer: Importer, tenant: RunningTenant, tmp_path: Path
) -> None:
    """The tenant answers whoami, so it is these rows: they stay unread, exit 3."""
    made = Imported(tmp_path, rows=3)
    importer("run", made.sheet, "-m", made.mapping, "--yes", "--settle", "0")
    first = {"do": "answer", "status": 500}
    tenant.set_faults({"faults": [{**first, "on": ["retrieve"]}, {**first, "on": ["by-id"], "every": 2}]})
    result = importer("verify", made.results, "--settle", "0", "--json")

    assert (result.exit, result.json["equal"] + result.json["unread"], result.json["unread"] > 0) == (
        3,
        3,
        True,
    )
    assert {one["verdict"] for one in made.lines} == {"equal", "not read"}


def test_an_account_that_retrieve_fails_on_is_read_row_by_row(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """RetrieveById answers, so there is no need to give up."""
    tenant.set_faults({"faults": [{"do": "answer", "status": 500, "on": ["retrieve"]}]})
    result = importer("verify", imported.results, "--settle", "0", "--json")

    assert (result.exit, result.json["equal"]) == (0, 4)


def test_a_finished_pass_is_begun_anew(importer: Importer, tenant: RunningTenant, imported: Imported) -> None:
    """Things are mended in LeadSquared; the second reading says so."""
    tenant.set_faults(_read_back({"field": "mx_Custom_2", "change": "drop"}))
    first = importer("verify", imported.results, "--settle", "0")
    tenant.set_faults({})
    second = importer("verify", imported.results, "--settle", "0")

    assert (first.exit, second.exit) == (1, 0)
    assert {one["verdict"] for one in imported.lines} == {"equal"}


def test_keys_that_may_not_read_are_named(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """A refusal is no "not found"."""
    tenant.set_faults({"tenant": {"reads": "refused"}})
    result = importer("verify", imported.results, "--settle", "0")

    assert (result.exit, imported.verified.exists()) == (2, False)
    assert "may not read activities back" in result.stderr


def test_a_single_row_that_may_not_be_read_is_not_called_missing(
    importer: Importer, tenant: RunningTenant, tmp_path: Path
) -> None:
    """RetrieveById refuses unknown Ids as well: only Retrieve tells the two apart."""
    made = Imported(tmp_path, rows=1)
    importer("run", made.sheet, "-m", made.mapping, "--yes", "--settle", "0")
    tenant.set_faults({"tenant": {"reads": "refused"}})

    assert importer("verify", made.results, "--settle", "0").exit == 2


def test_another_tenant_is_refused(importer: Importer, start_tenant: StartTenant, imported: Imported) -> None:
    """The batch's Ids mean nothing there."""
    start_tenant()
    result = importer("verify", imported.results, "--settle", "0")

    assert (result.exit, imported.verified.exists()) == (2, False)
    assert "This batch belongs to" in result.stderr


def test_a_rehearsal_is_read_back_on_its_own_sandbox(importer: Importer, tmp_path: Path) -> None:
    """With --sandbox, no keys; the file's name says that it was a rehearsal."""
    made = Imported(tmp_path)
    importer("run", made.sheet, "-m", made.mapping, "--sandbox", "--settle", "0")
    result = importer("verify", made.sheet, "--sandbox", "--json")

    assert (result.exit, result.json["equal"]) == (0, 4)
    assert result.json["verified"] == str(tmp_path / "visits.sandbox.verified.csv")


def test_rehearsals_and_imports_are_not_mixed(importer: Importer, imported: Imported, tmp_path: Path) -> None:
    """Neither way, and it is said how."""
    importer("run", imported.sheet, "-m", imported.mapping, "--sandbox", "--settle", "0")
    real = importer("verify", tmp_path / "visits.sandbox.results.csv")
    rehearsed = importer("verify", imported.results, "--sandbox")

    assert (real.exit, rehearsed.exit) == (2, 2)
    assert "Use --sandbox" in real.stderr
    assert "Leave --sandbox out" in rehearsed.stderr


def test_a_batch_in_use_is_left_alone(importer: Importer, imported: Imported, home: Path) -> None:
    """Another window may be creating rows."""
    (batch,) = batches_in(home)
    with open_store(home) as store, store.own(batch):
        result = importer("verify", imported.results)

    assert (result.exit, "in use" in result.stderr) == (2, True)


def test_nothing_created_is_nothing_to_verify(
    importer: Importer, tenant: RunningTenant, tmp_path: Path
) -> None:
    """That all is equal would be a lie."""
    tenant.set_faults(
        {"faults": [{"do": "refuse", "exception": "MXInvalidInputException", "message": "No."}]}
    )
    made = Imported(tmp_path)
    importer("run", made.sheet, "-m", made.mapping, "--yes", "--settle", "0")
    result = importer("verify", made.results)

    assert (result.exit, "No row of this batch is created" in result.stderr) == (2, True)


def test_somebody_elses_file_is_not_overwritten(importer: Importer, imported: Imported) -> None:
    """The next free name, and that is said; our own file is replaced."""
    imported.verified.write_text("mine\n", encoding="utf-8")
    first = importer("verify", imported.results, "--settle", "0", "--json")
    second = importer("verify", imported.results, "--settle", "0", "--json")

    aside = str(imported.verified.with_name("visits.verified (2).csv"))
    assert (first.json["verified"], second.json["verified"]) == (aside, aside)
    assert imported.verified.read_text(encoding="utf-8") == "mine\n"
    assert "is not of this batch" in first.stderr


def test_the_file_is_for_excel(importer: Importer, imported: Imported) -> None:
    """UTF-8 with its mark, CRLF, nothing temporary left, and no results file for `resume`."""
    importer("verify", imported.results, "--settle", "0")
    written = imported.verified.read_bytes()

    assert (written[:3], written.count(b"\n")) == (b"\xef\xbb\xbf", written.count(b"\r\n"))
    assert not list(imported.verified.parent.glob(".importer*"))
    assert importer("resume", imported.verified, "--yes").exit == 2


def test_readings_of_later_rows_are_new(
    importer: Importer, tenant: RunningTenant, tmp_path: Path, home: Path
) -> None:
    """A trial of two rows is verified, the rest is sent, and all are verified."""
    made = Imported(tmp_path)
    trial = importer("run", made.sheet, "-m", made.mapping, "--yes", "--settle", "0", "--limit", "2")
    first = importer("verify", made.results, "--settle", "0", "--json")
    importer("resume", made.results, "--yes", "--settle", "0")
    second = importer("verify", made.results, "--settle", "0", "--json")

    assert (trial.exit, first.json["rows"], second.json["rows"]) == (3, 2, 4)
    (batch,) = batches_in(home)
    with open_store(home) as store:
        assert store.open(batch).readings_count() == 4


def test_ctrl_c_ends_with_130_and_the_next_verify_goes_on(
    importer: Importer, tenant: RunningTenant, imported: Imported
) -> None:
    """At the moment when one account was read and the other's answer is still to come."""
    tenant.set_faults({"faults": [{"do": "hang", "on": ["retrieve"], "nth": [2]}]})
    before = len(tenant.calls)
    command = importer_command("verify", imported.results, "--settle", "0", "--workers", "1", "--json")
    with subprocess.Popen(
        command, env=child_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as running:
        deadline = time.monotonic() + 180
        while len(tenant.calls) < before + 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        told, _ = running.communicate(timeout=180)
    tenant.set_faults({})
    before = len(tenant.calls)
    again = importer("verify", imported.results, "--settle", "0", "--json")

    assert (running.returncode, '"equal": 2' in told, '"verified": null' in told) == (130, True, True)
    assert (again.exit, again.json["equal"]) == (0, 4)
    assert [call.kind for call in tenant.calls[before:]] == ["whoami", "retrieve"]
