"""`importer check`, through the command line: summary, problems, warnings, preview, marked copy."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import openpyxl
import pytest
from conftest import Importer, RunningTenant
from visits import OURS

from importer.text import width

MAPPING = """\
RelatedCompanyId: Account ID
ActivityEvent: 10001
ActivityNote: {template: "{Outcome}: {Remarks}"}
Fields:
  Status: {value: Active}
  mx_Custom_1: {column: Outcome, one_of: [Won, Lost, Open], required: true}
  mx_Custom_2: {column: Visit date, type: date, format: "%d/%m/%Y"}
  mx_Custom_3: {column: Amount, type: number, decimal: ","}
"""
HEADER = "Account ID,Outcome,Remarks,Visit date,Amount"
ACCOUNT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    """A mapping for sheets with `HEADER`."""
    path = tmp_path / "visits.yaml"
    path.write_text(MAPPING, encoding="utf-8")
    return path


def _sheet(folder: Path, *rows: str, name: str = "visits.csv") -> Path:
    path = folder / name
    path.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8", newline="")
    return path


def _row(outcome: str = "Won", remarks: str = "good", date: str = "25/02/2026", amount: str = "1") -> str:
    return f'{ACCOUNT},{outcome},{remarks},{date},"{amount}"'


def test_a_valid_sheet_ends_with_0(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """The keys that the contract names, no network, no trace."""
    source = _sheet(tmp_path, _row(), _row(amount="2"))
    result = importer("check", source, "-m", mapping, "--json")

    assert result.json == {
        "rows": 2, "valid": 2, "invalid": 0, "problems": [], "questions": [], "notices": [],
        "imported_before": [], "exit": 0,
    }  # fmt: skip


def test_the_summary_comes_first(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """Which sheet, how many rows, how many of them valid, and how long sending takes at the rate."""
    source = _sheet(tmp_path, *(_row(amount=str(number)) for number in range(300)), _row(outcome="Wno"))
    result = importer("check", source, "-m", mapping, "--rate", "10/5")

    assert result.stdout.splitlines()[:3] == [
        "visits.csv",
        "  301 rows: 300 valid, 1 invalid.",
        "  Sending the valid rows takes about 3 minutes at 10 calls in 5 seconds.",
    ]


def test_a_problem_names_cell_value_and_remedy(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """Grouped by column and kind; the first cells by name, the others by number."""
    source = _sheet(tmp_path, _row(), *(_row(outcome="Wno", amount=str(number)) for number in range(14)))
    result = importer("check", source, "-m", mapping)

    assert result.exit == 1
    assert "Outcome (column B)" in result.stdout
    assert 'B3, B4 and 12 more: "Wno" is not one of' in result.stdout
    assert 'Did you mean "Won"?' in " ".join(result.stdout.split())


def test_problems_for_a_program(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """One object per column and kind: how many, where, an example."""
    source = _sheet(tmp_path, _row(outcome="Wno"), _row(), _row(outcome="Wno"), _row(date="31/02/2026"))
    result = importer("check", source, "-m", mapping, "--json")

    found = [(group["column"], group["kind"], group["cells"]) for group in result.json["problems"]]
    assert (result.exit, result.json["rows"], result.json["valid"], result.json["invalid"]) == (1, 4, 1, 3)
    assert found == [("Outcome", "not-listed", ["B2", "B4"]), ("Visit date", "no-such-date", ["D5"])]


def test_two_identical_rows_are_pointed_out(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """They would create the same activity twice; it is a warning, not a problem."""
    source = _sheet(tmp_path, _row(amount="1"), _row(amount="2"), _row(amount="1"))
    result = importer("check", source, "-m", mapping)

    assert (result.exit, "rows 2 and 4" in result.stdout) == (0, True)


def test_a_date_that_could_be_swapped_is_pointed_out(
    importer: Importer, tmp_path: Path, mapping: Path
) -> None:
    """01/02 is the first of February here, and the second of January elsewhere."""
    result = importer("check", _sheet(tmp_path, _row(date="01/02/2026")), "-m", mapping)

    assert (result.exit, "D2" in result.stdout, "1 February 2026" in result.stdout) == (0, True, True)


def test_the_preview_sets_columns_beside_fields(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """What is sent for the first rows, before anything is sent."""
    result = importer("check", _sheet(tmp_path, _row(amount="1250,50")), "-m", mapping)

    shown = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "Amount mx_Custom_3 1250.50" in shown
    assert "Visit date mx_Custom_2 2026-02-25" in shown


def test_output_fits_80_columns_in_any_script(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """Long cells and wide characters are cut; no line is wider than the screen."""
    wide = "日本語の長い備考" * 20
    source = _sheet(tmp_path, _row(remarks=wide), _row(outcome="न" * 100), _row(date="x" * 300))
    result = importer("check", source, "-m", mapping)

    assert [line for line in result.stdout.splitlines() if width(line) > 80] == []


def test_a_sheet_without_rows_is_refused(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """Exit code 2: there is nothing to send."""
    result = importer("check", _sheet(tmp_path), "-m", mapping, "--json")

    assert (result.exit, "no rows" in result.json["error"]) == (2, True)


def test_a_results_file_is_no_source(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """It belongs to a batch already; the message names `resume`."""
    path = tmp_path / "visits.results.csv"
    path.write_text(f"{','.join(OURS)},{HEADER}\n2,created,,,,1,,b,{_row()}\n", encoding="utf-8")
    result = importer("check", path, "-m", mapping)

    assert (result.exit, "importer resume" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("name", "words"), [("missing.csv", "no such file"), (".", "folder"), ("notes.docx", "notes.docx")]
)
def test_what_is_no_sheet_is_refused(
    importer: Importer, tmp_path: Path, mapping: Path, name: str, words: str
) -> None:
    """Exit code 2, what and where in one sentence, nothing left behind."""
    (tmp_path / "notes.docx").write_bytes(b"\x00\x01\x02 not a sheet")
    result = importer("check", tmp_path / name, "-m", mapping)

    assert (result.exit, words in result.stderr.lower()) == (2, True)


def test_a_missing_column_is_named_with_the_nearest(
    importer: Importer, tmp_path: Path, mapping: Path
) -> None:
    """Every missing column in one message."""
    path = tmp_path / "visits.csv"
    path.write_text(f"Account ID,Outcom,Remarks,Visit date\n{ACCOUNT},Won,x,25/02/2026\n", encoding="utf-8")
    result = importer("check", path, "-m", mapping)

    assert (result.exit, '"Outcom"' in result.stderr, "Amount" in result.stderr) == (2, True, True)


def test_the_marked_copy_shows_bad_cells_and_reasons(
    importer: Importer, tmp_path: Path, mapping: Path
) -> None:
    """Same cells in the same places; the bad one coloured, the reason as its comment."""
    source = _sheet(tmp_path, _row(), "", _row(outcome="Wno"))
    copy = tmp_path / "marked.xlsx"
    result = importer("check", source, "-m", mapping, "--report", copy)

    sheet = openpyxl.load_workbook(copy).active
    assert sheet is not None
    assert (result.exit, sheet["B1"].value, sheet["B4"].value) == (1, "Outcome", "Wno")
    assert (sheet["B4"].fill.fgColor.rgb, sheet["B2"].fill.fill_type) == ("FFFFC7CE", None)
    comment = sheet["B4"].comment
    assert comment is not None
    assert "is not one of" in comment.text


def test_the_marked_copy_lists_what_was_found(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """One line for each cell, on a sheet of its own; both have a filter, and the copy can be checked."""
    source = _sheet(tmp_path, _row(), _row(outcome="Wno"), _row(outcome="Lsot"))
    copy = tmp_path / "marked.xlsx"
    importer("check", source, "-m", mapping, "--report", copy)
    again = importer("check", copy, "-m", mapping, "--json")

    book = openpyxl.load_workbook(copy)
    listed = book["Importer problems"]
    rows = [[cell.value for cell in row] for row in listed.iter_rows(min_row=2)]
    assert [row[:5] for row in rows] == [
        [3, "B3", "problem", "Outcome", "Wno"],
        [4, "B4", "problem", "Outcome", "Lsot"],
    ]
    assert (book.worksheets[0].auto_filter.ref, listed.auto_filter.ref) == ("A1:E4", "A1:H3")
    assert (again.json["rows"], again.json["invalid"]) == (3, 2)


def test_the_marked_copy_keeps_the_kinds_of_cells(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """Numbers stay numbers and dates dates, so that the copy can be mended and imported."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(HEADER.split(","))
    sheet.append([ACCOUNT, "Wno", "=1+1", dt.date(2026, 2, 25), 1250.5])
    source = tmp_path / "visits.xlsx"
    book.save(source)
    sheet["C2"].data_type = "s"
    book.save(source)
    importer("check", source, "-m", mapping, "--report", tmp_path / "marked.xlsx")

    row = next(iter(openpyxl.load_workbook(tmp_path / "marked.xlsx").worksheets[0].iter_rows(min_row=2)))
    assert [str(cell.value) for cell in row][2:] == ["=1+1", "2026-02-25 00:00:00", "1250.5"]
    assert row[2].data_type == "s"


@pytest.mark.parametrize("name", ["visits.csv", "visits.yaml", "other.xlsx", "marked.csv"])
def test_the_marked_copy_replaces_nothing_of_a_persons(
    importer: Importer, tmp_path: Path, mapping: Path, name: str
) -> None:
    """Not the source, not the mapping, not a workbook that somebody made; and it is a workbook."""
    source = _sheet(tmp_path, _row(outcome="Wno"))
    openpyxl.Workbook().save(tmp_path / "other.xlsx")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    result = importer("check", source, "-m", mapping, "--report", tmp_path / name)

    after = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert (result.exit, after) == (2, before)


def test_the_marked_copy_replaces_an_earlier_one(importer: Importer, tmp_path: Path, mapping: Path) -> None:
    """Mend, check again, look again."""
    copy = tmp_path / "marked.xlsx"
    source = _sheet(tmp_path, _row(outcome="Wno"))
    importer("check", source, "-m", mapping, "--report", copy)
    _sheet(tmp_path, _row(outcome="Won"))
    result = importer("check", source, "-m", mapping, "--report", copy)

    assert (result.exit, openpyxl.load_workbook(copy).worksheets[0]["B2"].value) == (0, "Won")
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


LOOKUPS = """\
RelatedCompanyId: {column: Account code, lookup: account, company_type: Account, by: mx_Account_Code}
ActivityEvent: 10001
Fields:
  Owner: {column: Visited by, lookup: user, by: EmailAddress}
"""


def test_online_looks_up_accounts_and_users(
    importer: Importer, tmp_path: Path, tenant: RunningTenant
) -> None:
    """`--online` asks LeadSquared now, creates nothing, and names what it does not know. (The sandbox has an
    account for every code.)"""
    mapping, source = tmp_path / "lookups.yaml", tmp_path / "codes.csv"
    mapping.write_text(LOOKUPS, encoding="utf-8")
    source.write_text("Account code,Visited by\nNOBODY-1,nobody@example.org\n", encoding="utf-8")
    offline = importer("check", source, "-m", mapping, "--json")
    online = importer("check", source, "-m", mapping, "--online", "--json")

    columns = [group["column"] for group in online.json["problems"]]
    assert (offline.exit, online.exit, columns) == (0, 1, ["Visited by"])
    assert tenant.creates == []


def test_a_total_row_is_recognised_by_its_failed_lookup(
    importer: Importer, tmp_path: Path, tenant: RunningTenant
) -> None:
    """Nothing else is wrong with it: before the lookup it may be a record."""
    mapping, source = tmp_path / "lookups.yaml", tmp_path / "owners.csv"
    mapping.write_text(LOOKUPS.replace("EmailAddress", "FullName"), encoding="utf-8")
    source.write_text("Visited by,Account code\nTotal,12\n", encoding="utf-8")
    offline = importer("check", source, "-m", mapping, "--json")
    online = importer("check", source, "-m", mapping, "--online", "--json")

    (found,) = online.json["problems"]
    assert (offline.exit, found["kind"], "--skip-invalid" in found["remedy"]) == (0, "total-row", True)


def test_the_mapping_may_say_what_an_error_value_means(
    importer: Importer, tmp_path: Path, mapping: Path
) -> None:
    """`values` settles `#N/A`, but not a number that lost its digits."""
    source = _sheet(tmp_path, _row(outcome="#N/A"), _row(outcome="9.19877E+11"))
    values = '{Won: Won, "#N/A": "", "9.19877E+11": ""}'
    mapping.write_text(
        "RelatedCompanyId: Account ID\nActivityEvent: 10001\nFields:\n"
        f"  mx_Custom_1: {{column: Outcome, values: {values}}}\n",
        encoding="utf-8",
    )
    (found,) = importer("check", source, "-m", mapping, "--json").json["problems"]

    assert (found["kind"], found["cells"]) == ("unusable-cell", ["B3"])


def test_check_leaves_nothing_behind(importer: Importer, tmp_path: Path, mapping: Path, home: Path) -> None:
    """No home is made, no file beside the sheet."""
    source = _sheet(tmp_path, _row())
    before = sorted(tmp_path.iterdir())
    importer("check", source, "-m", mapping)

    assert (sorted(tmp_path.iterdir()), home.exists()) == (before, False)
