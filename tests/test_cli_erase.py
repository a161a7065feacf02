"""`importer erase`: a batch without its customer data, as a person does it."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest
import visits
from conftest import Importer, RunningTenant
from psycopg import sql
from stores import Place
from visits import edit, results_of, write_csv, write_mapping

SECRET = "Priya Sharma"


ROWS = [visits.visit(number, remarks=f"{SECRET} {number}") for number in range(9)]


def everything(folder: Path, place: Place | None = None) -> bytes:
    """All bytes of all files, the log and uploads too, and all rows of all tables of a team's store."""
    files = b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())
    if place is None or place.url is None:
        return files
    with psycopg.connect(place.url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        every = [sql.SQL("SELECT each::text FROM {} each").format(sql.Identifier(name)) for (name,) in tables]
        rows = [text for query in every for (text,) in connection.execute(query)]
    return files + "\n".join(rows).encode()


def found_in(data: bytes) -> list[str]:
    """Cells of the sheet that are in the data, as they are or as the database shows binary values."""
    texts = [cell for row in ROWS for cell in row if cell.startswith(SECRET) or len(cell) == len(ROWS[0][0])]
    return [text for text in texts if text.encode() in data or text.encode().hex().encode() in data]


@pytest.fixture
def sheet(home: Path, place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test runs on both stores."""
    if place.url:
        monkeypatch.setenv("IMPORTER_STORE", place.url)
    write_mapping(Path("visits.yaml"))
    return write_csv(Path("visits.csv"), ROWS)


def test_nothing_of_the_sheet_is_left_and_it_is_still_refused(
    importer: Importer, tenant: RunningTenant, sheet: Path, home: Path, place: Place
) -> None:
    """No cell is in any byte of any file or table. The files beside the sheet are named, and are the person's
    to delete."""
    done = importer("run", sheet, "-m", "visits.yaml", "--yes", "--json")
    assert done.exit == 0, done.stderr
    assert importer("verify", done.json["results"]).exit == 0
    edit("visits.results.csv", {2: {"Remarks": f"{SECRET} came back"}})
    assert importer("correct", done.json["batch"], "--yes", "--settle", "0.05").exit == 0
    assert len(found_in(everything(home, place))) == 2 * len(ROWS)
    erased = importer("erase", done.json["batch"], "--yes", "--json")
    assert erased.exit == 0, erased.stderr
    assert {Path(path).name for path in erased.json["files"]} >= {"visits.csv", "visits.results.csv"}
    left = everything(home, place)
    assert (found_in(left), SECRET.encode() in left) == ([], False)
    again = importer("run", sheet, "-m", "visits.yaml", "--yes", "--json")
    assert (again.exit, again.json["error_code"]) == (2, "imported-before")
    assert "importer resume" not in again.json["error"]  # which would be refused
    for command in ("resume", "verify"):
        refused = (
            importer(command, done.json["batch"], "--yes", "--json")
            if command == "resume"
            else importer(command, done.json["batch"], "--json")
        )
        assert (refused.exit, refused.json["error_code"]) == (2, "erased"), command
    report = importer("report", done.json["batch"], "--json")
    assert (report.exit, report.json["error_code"]) == (2, "erased")
    assert len(tenant.creates) == 9
    assert len(results_of("visits.results.csv")) == 9


def test_without_a_yes_nothing_is_removed(importer: Importer, tenant: RunningTenant, sheet: Path) -> None:
    """Without a terminal it wants `--yes`."""
    done = importer("run", sheet, "-m", "visits.yaml", "--yes", "--json")
    refused = importer("erase", done.json["batch"], "--json")
    assert (refused.exit, refused.json["error_code"]) == (2, "question-open")
    assert "Nothing was removed. Use --yes to erase without being asked." in refused.json["error"]
    assert importer("resume", done.json["batch"], "--yes", "--json").json["created"] == 9


def test_what_a_rehearsal_created_goes_too(importer: Importer, sheet: Path, home: Path) -> None:
    """It is in a file of the sandbox's."""
    done = importer("run", sheet, "-m", "visits.yaml", "--sandbox", "--rate", "1000/1", "--json")
    assert done.exit == 0, done.stderr
    assert SECRET.encode() in everything(home)
    assert importer("erase", done.json["batch"], "--yes").exit == 0
    assert SECRET.encode() not in everything(home)


def test_the_copy_of_a_sheet_that_was_brought_on_the_screen_goes_too(
    importer: Importer, tenant: RunningTenant, sheet: Path, home: Path
) -> None:
    """It is in our own folder, and nobody else's."""
    upload = home / "uploads" / "an-import"
    (upload / "sheet").mkdir(parents=True)
    shutil.move(sheet, upload / "sheet" / "visits.csv")
    done = importer("run", upload / "sheet" / "visits.csv", "-m", "visits.yaml", "--yes", "--json")
    assert done.exit == 0, done.stderr
    assert importer("erase", done.json["batch"], "--yes").exit == 0
    assert not upload.exists()
    assert SECRET.encode() not in everything(home)
