"""What spreadsheets, databases and wrong encodings leave in text files is refused or said for any field."""

from __future__ import annotations

from pathlib import Path

import pytest

from importer.sheets import open_sheet
from importer.sheets.rows import ErrorCell, Row


def rows_of(folder: Path, *values: str) -> list[Row]:
    """The rows of a file whose second column has these values."""
    file = folder / "visits.csv"
    quoted = (f"{at}," + '"' + value.replace('"', '""') + '"' for at, value in enumerate(values))
    file.write_text("\n".join(["A,Text", *quoted]) + "\n", encoding="utf-8", newline="")
    with open_sheet(file) as sheet:
        return list(sheet.rows())


@pytest.mark.parametrize(
    "value",
    ["#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", " #N/A",
     "#NV", "#BEZUG!", "#N/D", "#¡VALOR!", "Err:502",
     "########", "9.19877E+11", "8,96529E+19", "1.00E+05", "9E+11", "-1.2E+15"],
)  # fmt: skip
def test_a_value_that_a_spreadsheet_lost_is_a_problem(tmp_path: Path, value: str) -> None:
    """It arrived as a text, and would be sent as one."""
    (row,) = rows_of(tmp_path, value)
    assert isinstance(row.cells[1], ErrorCell)
    assert row.cells[1] == value


@pytest.mark.parametrize(
    "value",
    ["1E5", "1e5", "1E+05", "NA", "null", "None", "n/a", "#1", "##", "# 12", "#hashtag",
     "it's", "'tis", "5' 11",
     "'so', he said", "1.0", "naïve", "SÃO PAULO", "É", "«CAFÉ»", "Ünal", "Ñandú", "=>", '="a"&"b"', "E+E"],
)  # fmt: skip
def test_texts_that_only_look_alike_stay_silent(tmp_path: Path, value: str) -> None:
    """Codes, names and notes arrive as they stand."""
    (row,) = rows_of(tmp_path, value)
    assert (row.cells[1], type(row.cells[1]), row.findings) == (value, str, ())


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("'00417", "guarding-apostrophe"),
        ("'+91 98765", "guarding-apostrophe"),
        ("'=A1", "guarding-apostrophe"),
        ("NULL", "database-null"),
        ("\\N", "database-null"),
        ("(null)", "database-null"),
        ("NaN", "database-null"),
        ("MÃ¼ller", "wrong-encoding"),
        ("itâ€™s", "wrong-encoding"),
        ("à¤¨à¤®à¤¸à¥à¤¤à¥‡", "wrong-encoding"),
        ("Â£5", "wrong-encoding"),
    ],
)
def test_what_looks_odd_is_sent_with_a_notice(tmp_path: Path, value: str, kind: str) -> None:
    """The value may be meant so: the cell is named."""
    (row,) = rows_of(tmp_path, value)
    assert row.cells[1] == value
    assert [(finding.kind, finding.column, finding.index) for finding in row.findings] == [(kind, "Text", 1)]


@pytest.mark.parametrize(
    ("value", "read"), [('="00417"', "00417"), ('="say ""hi"""', 'say "hi"'), ('=""', ""), (' ="7"', "7")]
)
def test_a_text_guarded_by_a_formula_is_read_as_excel_shows_it(tmp_path: Path, value: str, read: str) -> None:
    """Exporters write `="00417"` to keep Excel from taking away the zeros."""
    (row,) = rows_of(tmp_path, value)
    assert row.cells[1] == read
    assert [finding.kind for finding in row.findings] == ["text-formula"]


def test_headings_guarded_by_formulas_are_read_alike(tmp_path: Path) -> None:
    """Some exporters guard every cell."""
    path = tmp_path / "visits.csv"
    path.write_text('="A",="B"\n="1",="2"\n', encoding="utf-8")
    with open_sheet(path) as sheet:
        assert sheet.header == ("A", "B")


def test_line_breaks_of_filemaker_are_line_breaks(tmp_path: Path) -> None:
    """U+000B inside of a text, as Word's Shift+Enter leaves it."""
    (row,) = rows_of(tmp_path, "one\x0btwo")
    assert row.cells[1] == "one\ntwo"
    assert [finding.kind for finding in row.findings] == ["vertical-tab"]


def test_a_column_of_numbers_that_all_end_in_point_zero_is_noticed(tmp_path: Path) -> None:
    """A table tool made decimals of codes: each such cell is named."""
    rows = rows_of(tmp_path, "9876500001.0", "", "417.0")
    assert [[finding.kind for finding in row.findings] for row in rows] == [
        ["point-zero"],
        [],
        ["point-zero"],
    ]


@pytest.mark.parametrize("values", [("1.0", "2.5"), ("1.0", "x"), ("5.0",)])
def test_a_column_with_other_values_is_not_noticed(tmp_path: Path, values: tuple[str, ...]) -> None:
    """Decimals are decimals; one value alone says nothing."""
    assert [row.findings for row in rows_of(tmp_path, *values)] == [()] * len(values)
