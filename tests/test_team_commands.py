"""What one computer knows of another one's batches: refused sheets, status, results files, erasing."""

from __future__ import annotations

from pathlib import Path

import pytest
from computers import answer, ended, team
from conftest import Importer, RunningTenant
from stores import postgres_database
from visits import visits, write_csv, write_mapping


def test_a_sheet_that_a_colleague_imported_is_refused_both_ways(tmp_path: Path) -> None:
    """The whole sheet, and a sheet that has rows in common with it; `--only-new` sends the others."""
    with team(tmp_path) as mates:
        name = mates.sheet(30)
        assert mates.ana.run("run", name, "-m", "mapping.yaml").exit == 0
        refused = mates.ben.run("run", name, "-m", "mapping.yaml")
        assert (refused.exit, answer(refused)["error_code"]) == (2, "imported-before")
        checked = answer(mates.ben.run("check", name, "-m", "mapping.yaml", "--json", quick=False))
        assert [(one["rows"], one["whole"]) for one in checked["imported_before"]] == [(30, True)]
        lines = (mates.ben.folder / name).read_text().splitlines()
        mates.tenant.ask("faults", "POST", {})
        (mates.ben.folder / "more.csv").write_text(
            "\n".join([*lines, lines[1].replace("Visit 1", "Another visit")]) + "\n"
        )
        more = mates.ben.run("run", "more.csv", "-m", "mapping.yaml", "--only-new")
        assert (more.exit, answer(more)["created"], answer(more)["already"]) == (0, 1, 30), more.stderr
        assert mates.created() == 31
        back = mates.ana.run("run", name, "-m", "mapping.yaml")
        assert (back.exit, answer(back)["error_code"]) == (2, "imported-before")


def test_two_computers_that_start_the_same_sheet_at_once_create_it_once(tmp_path: Path) -> None:
    """One of them is refused, whichever it is."""
    with team(tmp_path) as mates:
        for number in range(3):
            name = mates.sheet(20, f"sheet {number}.csv")
            both = [one.start("run", name, "-m", "mapping.yaml") for one in (mates.ana, mates.ben)]
            ends = sorted(ended(process).exit for process in both)
            assert ends == [0, 2]
            assert (mates.truth(name), mates.created()) == ((0, 0, 0), 20 * (number + 1))


def test_status_lists_everybodys_batches_and_who_runs_them_where(tmp_path: Path) -> None:
    """From any computer, while they run."""
    with team(tmp_path, {"do": "hold", "nth": 10}) as mates:
        process = mates.ana.start("run", mates.sheet(60), "-m", "mapping.yaml", timeout_s=60)
        mates.until(lambda: mates.created() >= 5, process)
        (one,) = answer(mates.ben.run("status", "--json", quick=False))["batches"]
        assert one["running"]
        assert one["running_on"].startswith("ana on ")
        shown = mates.ben.run("status", one["batch"], quick=False)
        assert "ana on" in shown.stdout
        mates.tenant.ask("release", "POST")
        assert ended(process).exit == 0
        (one,) = answer(mates.ben.run("status", "--json", quick=False))["batches"]
        assert (one["running"], one["created"]) == (False, 60)
        told = mates.ben.run("store", quick=False)
        assert "postgresql://" in told.stdout
        assert "60 rows" in told.stdout


def test_an_embedded_store_is_taken_along(tmp_path: Path) -> None:
    """`importer store copy`: from then on its sheets are refused on every computer."""
    with team(tmp_path) as mates:
        name = mates.sheet(20)
        mates.ana.url = None
        assert mates.ana.run("run", name, "-m", "mapping.yaml").exit == 0
        copied = mates.ana.run("store", "copy", "--to", mates.url, quick=False)
        assert copied.exit == 0, copied.stderr
        alone = mates.ana.run("run", mates.sheet(5, "another.csv"), "-m", "mapping.yaml")
        assert alone.exit == 2
        assert "IMPORTER_STORE" in alone.stderr
        refused = mates.ben.run("run", name, "-m", "mapping.yaml")
        assert (refused.exit, answer(refused)["error_code"]) == (2, "imported-before")


def test_results_go_beside_the_sheet_where_it_was_started_and_elsewhere_into_the_working_folder(
    importer: Importer, tenant: RunningTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another computer has neither the sheet nor its folder."""
    with postgres_database() as url:
        monkeypatch.setenv("IMPORTER_STORE", url)
        started = Path("started")
        started.mkdir()
        sheet = write_csv(started / "visits.csv", visits(4))
        mapping = write_mapping(Path("visits.yaml"))
        first = importer("run", sheet, "-m", mapping, "--yes", "--json", "--limit", "2")
        assert Path(first.json["results"]) == Path("started/visits.results.csv").absolute()
        Path("started/visits.results.csv").unlink()
        elsewhere = Path("elsewhere")
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        monkeypatch.setattr("importer.app.results_file.computer", lambda: "another")
        second = importer("resume", first.json["batch"], "--yes", "--json")
        assert second.exit == 0, second.stderr
        assert Path(second.json["results"]) == Path("visits.results.csv").absolute()
