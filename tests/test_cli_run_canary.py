"""`run --canary N`: a few rows first, read back, and the flood only if they arrived as sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Importer, Result, RunningTenant

ACCOUNT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
MAPPING = """\
RelatedCompanyId: Account
ActivityEvent: 10001
Fields:
  mx_Custom_1: Outcome
  mx_Custom_9: Remarks
"""


class Run:
    """`importer run` on a sheet of six rows."""

    def __init__(self, importer: Importer, folder: Path) -> None:
        self._importer = importer
        self.sheet = folder / "visits.csv"
        lines = [f"{ACCOUNT},Won {row},good {row}" for row in range(6)]
        self.sheet.write_text("\n".join(["Account,Outcome,Remarks", *lines]) + "\n", encoding="utf-8")
        self.mapping = folder / "visits.yaml"
        self.mapping.write_text(MAPPING, encoding="utf-8")
        self.results = folder / "visits.results.csv"

    def __call__(self, *options: str) -> Result:
        """`importer run visits.csv -m visits.yaml --yes --settle 0 --json OPTIONS`."""
        return self._importer(
            "run", self.sheet, "-m", self.mapping, "--yes", "--settle", "0", "--json", *options
        )

    def resume(self, *options: str | Path) -> Result:
        """`importer resume RESULTS --yes --settle 0 --json OPTIONS`."""
        return self._importer("resume", self.results, "--yes", "--settle", "0", "--json", *options)


@pytest.fixture
def run(importer: Importer, tenant: RunningTenant, tmp_path: Path) -> Run:
    """To be started against `tenant`."""
    return Run(importer, tmp_path)


def _dropping(field: str) -> dict[str, object]:
    return {"tenant": {"read_back": [{"field": field, "change": "drop"}]}}


def test_rows_that_came_back_as_sent_are_followed_by_the_others(run: Run, tenant: RunningTenant) -> None:
    """All six, each once; the counts are those of the whole run."""
    result = run("--canary", "2")

    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 6, 6)
    assert "The first 2 rows came back as sent." in result.stderr


def test_a_field_that_arrives_empty_stops_before_the_flood(run: Run, tenant: RunningTenant) -> None:
    """Two rows were sent; the field is named, and both ways to go on."""
    tenant.set_faults(_dropping("mx_Custom_9"))
    result = run("--canary", "2")

    told = result.json
    assert (result.exit, told["created"], told["pending"], len(tenant.creates)) == (3, 2, 4, 2)
    assert (
        'mx_Custom_9 (column "Remarks") arrived empty in 2 of 2 values: is the schema name right?'
        in told["error"]
    )
    assert "importer resume RESULTS -m MAPPING --remap" in told["error"]
    assert run.results.read_text(encoding="utf-8-sig").count(",created,") == 2


def test_resume_goes_on_after_a_canary(run: Run, tenant: RunningTenant) -> None:
    """The person looked and finds it right."""
    tenant.set_faults(_dropping("mx_Custom_9"))
    run("--canary", "2")
    result = run.resume()

    assert (result.exit, result.json["created"], len(tenant.creates)) == (0, 6, 6)


def test_a_mended_mapping_goes_on_after_a_canary(run: Run, tenant: RunningTenant, tmp_path: Path) -> None:
    """The other four go into the other field; the two canaries stay as they are."""
    tenant.set_faults(_dropping("mx_Custom_9"))
    run("--canary", "2")
    mended = tmp_path / "mended.yaml"
    mended.write_text(MAPPING.replace("mx_Custom_9", "mx_Custom_8"), encoding="utf-8")
    result = run.resume("-m", mended, "--remap")

    held = [sorted(each.fields) for each in tenant.activities]
    assert (result.exit, result.json["created"]) == (0, 6)
    assert (held.count(["mx_Custom_1", "mx_Custom_9"]), held.count(["mx_Custom_1", "mx_Custom_8"])) == (2, 4)


def test_a_row_that_fails_stops_it_too(run: Run, tenant: RunningTenant) -> None:
    """One of the three was refused: its reason is said."""
    tenant.set_faults({"faults": [{"do": "refuse", "message": "Invalid outcome.", "nth": [2]}]})
    result = run("--canary", "3")

    told = result.json
    assert (result.exit, told["created"], told["failed"], told["pending"]) == (3, 2, 1, 3)
    assert "1 of the first 3 rows could not be created." in told["error"]
    assert "Invalid outcome." in told["error"]


def test_a_canary_that_cannot_be_read_stops(run: Run, tenant: RunningTenant) -> None:
    """Keys that may not read prove nothing; what was created stands in the results file."""
    tenant.set_faults({"tenant": {"reads": "refused"}})
    result = run("--canary", "1")

    assert (result.exit, result.json["created"], len(tenant.creates)) == (3, 1, 1)
    assert "could not be read back" in result.json["error"]


def test_a_canary_is_never_larger_than_the_limit(run: Run, tenant: RunningTenant) -> None:
    """`--limit` is the most that is sent, canary included."""
    result = run("--canary", "2", "--limit", "3")

    assert (result.exit, result.json["created"], len(tenant.creates)) == (3, 3, 3)


def test_a_canary_as_large_as_the_sheet_ends_with_1_when_something_differs(
    run: Run, tenant: RunningTenant
) -> None:
    """There is nothing to resume, and yet it is not well."""
    tenant.set_faults(_dropping("mx_Custom_9"))
    result = run("--canary", "6")

    assert (result.exit, result.json["created"], result.json["pending"]) == (1, 6, 0)
    assert "All rows had been sent." in result.json["error"]


def test_a_canary_in_a_rehearsal(run: Run) -> None:
    """The embedded sandbox is read back as well."""
    result = run("--canary", "2", "--sandbox")

    assert (result.exit, result.json["created"]) == (0, 6)


def test_verify_after_a_canary_is_a_reading_of_its_own(importer: Importer, run: Run) -> None:
    """It reads all of them, and does not claim to continue a reading that was never interrupted."""
    run("--canary", "2")
    result = importer("verify", run.results, "--settle", "0", "--json")

    assert (result.exit, result.json["equal"]) == (0, 6)
    assert "Continuing" not in result.stderr


def test_a_trial_says_how_to_look_at_it(run: Run) -> None:
    """`run --limit 3`: what it did, how to see how it arrived, how to go on."""
    result = run("--limit", "3")

    assert (result.exit, result.json["created"], result.json["pending"]) == (3, 3, 3)
    assert f"See how they arrived: importer verify {run.results}" in result.stderr
    assert f"Continue with: importer resume {run.results}" in result.stderr
