"""Runs that nobody watches: a quiet night is no failure, and what is refused says so in one word."""

from __future__ import annotations

from pathlib import Path

import pytest
import visits
from conftest import Importer, RunningTenant, StartTenant
from visits import results_of, write_csv, write_mapping

from importer.app import connecting

FEED = Path("feed.csv")
NIGHTLY = ("run", FEED, "-m", "visits.yaml", "--yes", "--only-new", "--json")


@pytest.fixture(autouse=True)
def mapping(home: Path) -> Path:
    return write_mapping(Path("visits.yaml"))


def test_a_night_with_nothing_new_ends_with_0_and_says_so(importer: Importer, tenant: RunningTenant) -> None:
    write_csv(FEED, visits.visits(3))
    assert importer(*NIGHTLY).exit == 0
    quiet = importer(*NIGHTLY)
    assert (quiet.exit, quiet.json["created"], quiet.json["already"]) == (0, 0, 3), quiet.stderr
    assert "Nothing is new" in quiet.stderr
    assert len(tenant.creates) == 3


def test_a_feed_that_grows_sends_what_is_new(importer: Importer, tenant: RunningTenant) -> None:
    for night in range(1, 4):
        write_csv(FEED, visits.visits(2 * night))
        told = importer(*NIGHTLY, "--results", "out.csv", "--replace")
        assert (told.exit, told.json["created"], told.json["already"]) == (0, 2, 2 * (night - 1)), told.stderr
        assert Path(told.json["results"]).name == "out.csv"
    assert len(tenant.creates) == 6
    assert sorted(path.name for path in Path().glob("out*")) == ["out.csv"]
    assert [line["import_status"] for line in results_of("out.csv")] == ["created"] * 6


def test_the_results_of_a_batch_that_is_not_finished_are_not_replaced(
    importer: Importer, tenant: RunningTenant
) -> None:
    write_csv(FEED, visits.visits(3))
    importer(*NIGHTLY, "--results", "out.csv", "--limit", "1")
    before = Path("out.csv").read_bytes()
    other = write_csv(Path("other.csv"), visits.visits(2, first=50))
    how = ("--yes", "--results", "out.csv", "--replace", "--json")
    result = importer("run", other, "-m", "visits.yaml", *how)
    assert (result.exit, result.json["error_code"]) == (2, "results")
    assert "not finished" in result.json["error"]
    assert Path("out.csv").read_bytes() == before


def test_an_open_batch_of_the_same_sheet_is_continued(importer: Importer, tenant: RunningTenant) -> None:
    write_csv(FEED, visits.visits(4))
    first = importer(*NIGHTLY, "--limit", "1").json
    refused = importer("run", FEED, "-m", "visits.yaml", "--yes", "--json")
    assert (refused.exit, refused.json["error_code"]) == (2, "imported-before")
    second = importer(*NIGHTLY, "--resume")
    assert (second.exit, second.json["batch"]) == (0, first["batch"]), second.stderr
    assert (second.json["created"], len(tenant.creates)) == (4, 4)
    third = importer(*NIGHTLY, "--resume")
    assert (third.exit, third.json["already"], len(tenant.creates)) == (0, 4, 4), third.stderr


def test_what_is_missing_is_named_with_its_option(importer: Importer, tenant: RunningTenant) -> None:
    write_csv(FEED, [*visits.visits(1), visits.visit(2, "Wno")])
    result = importer("run", FEED, "-m", "visits.yaml", "--yes", "--json")
    assert (result.exit, result.json["error_code"]) == (2, "question-open")
    assert "--skip-invalid" in result.json["error"]
    assert [one["kind"] for one in result.json["problems"]] == ["not-in-list"] or result.json["problems"]
    assert tenant.creates == []


def test_a_look_up_that_fails_is_tried_again(importer: Importer, start_tenant: StartTenant) -> None:
    """LeadSquared restarts in the minute in which the nightly run begins."""
    tenant = start_tenant()
    text = visits.MAPPING + "  Owner: {column: Visit no, lookup: user, by: EmailAddress}\n"
    write_mapping(Path("visits.yaml"), text)
    rows = [(*visits.visit(number)[:3], "ana@example.com") for number in (1, 2)]
    write_csv(FEED, rows)
    away = {"do": "answer", "status": 503, "on": ["users"], "nth": [1]}
    tenant.set_faults({"tenant": {"users": ["ana@example.com"]}, "faults": [away]})
    result = importer("run", FEED, "-m", "visits.yaml", "--yes", "--json")
    assert (result.exit, result.json["created"]) == (0, 2), result.stderr


@pytest.mark.parametrize(("max_outage", "ended"), [("60", 0), ("0.2", 2)])
def test_a_longer_outage_before_the_first_row_is_waited_for_as_long_as_one_may(
    importer: Importer,
    start_tenant: StartTenant,
    monkeypatch: pytest.MonkeyPatch,
    max_outage: str,
    ended: int,
) -> None:
    """Look-ups of users and the look at the first row's account fail several times in a row."""
    monkeypatch.setattr(connecting, "RETRY_FIRST_S", 0.05)
    monkeypatch.setattr(connecting, "RETRY_MAX_S", 0.05)
    tenant = start_tenant()
    text = visits.MAPPING + "  Owner: {column: Visit no, lookup: user, by: EmailAddress}\n"
    write_mapping(Path("visits.yaml"), text)
    rows = [(*visits.visit(number)[:3], "ana@example.com") for number in (1, 2)]
    write_csv(FEED, rows)
    away = {"do": "answer", "status": 503, "nth": [1, 2, 3, 4, 5, 6]}
    outage = [{**away, "on": ["users"]}, {**away, "on": ["retrieve"]}]
    if ended:
        outage = [{"do": "answer", "status": 503, "on": ["users"]}]
    tenant.set_faults({"tenant": {"users": ["ana@example.com"]}, "faults": outage})
    result = importer("run", FEED, "-m", "visits.yaml", "--yes", "--max-outage", max_outage, "--json")
    assert result.exit == ended, result.stderr
    assert "Looking up accounts and users failed" in result.stderr
    if ended:
        assert (result.json["error_code"], tenant.creates) == ("unreachable", [])
        assert importer("status", "--json").json["batches"] == []
        assert not Path("feed.results.csv").exists()
    else:
        assert (result.json["created"], len(tenant.creates)) == (2, 2)
        assert "Reading the first row's account failed" in result.stderr


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        ({"LEADSQUARED_ACCESS_KEY": ""}, "settings"),
        ({"LEADSQUARED_SECRET_KEY": "wrong"}, "keys"),
    ],
)
def test_each_failure_has_its_word(
    importer: Importer,
    tenant: RunningTenant,
    monkeypatch: pytest.MonkeyPatch,
    spoil: dict[str, str],
    code: str,
) -> None:
    write_csv(FEED, visits.visits(1))
    for name, value in spoil.items():
        monkeypatch.setenv(name, value)
    result = importer(*NIGHTLY)
    assert (result.exit, result.json["error_code"]) == (2, code), result.stderr


def test_a_tenant_that_is_away_is_unreachable(importer: Importer, tenant: RunningTenant) -> None:
    write_csv(FEED, visits.visits(2))
    importer(*NIGHTLY, "--limit", "1")
    tenant.stop()
    other = write_csv(Path("b.csv"), visits.visits(1, first=9))
    new = importer("run", other, "-m", "visits.yaml", "--yes", "--json")
    assert (new.exit, new.json["error_code"]) == (2, "unreachable")
    resumed = importer("resume", "feed.results.csv", "--yes", "--json")
    assert (resumed.exit, resumed.json["error_code"]) == (3, "unreachable")
