"""A table of keys and values, as a mapping's `values_file` names one."""

from __future__ import annotations

from pathlib import Path

import pytest
from sheets import raw_workbook, sheet_xml, text_rows, written_workbook

from importer.errors import SheetError
from importer.sheets import SheetOptions, read_table


def refusal(path: Path) -> str:
    """What a person is told."""
    with pytest.raises(SheetError) as caught:
        read_table(path)
    return str(caught.value)


def test_texts_are_exact_in_either_format(tmp_path: Path) -> None:
    """Leading zeros, NA and empty values, with their row numbers; other columns do not matter."""
    rows = [["Name", "KEY", "Value"], ["x", "007", "NA"], ["", "", ""], ["y", "null", ""]]
    text = tmp_path / "values.csv"
    text.write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")
    book = written_workbook(tmp_path / "values.xlsx", rows)
    assert read_table(text) == read_table(book) == [(2, "007", "NA"), (4, "null", "")]


def test_two_columns_may_have_any_names(tmp_path: Path) -> None:
    """The first is the key."""
    path = tmp_path / "values.csv"
    path.write_text("Type;Code\nVisit;10001\n", encoding="utf-8")
    assert read_table(path) == [(2, "Visit", "10001")]


def test_columns_can_be_named(tmp_path: Path) -> None:
    """And the sheet."""
    sheets = {
        "Lists": sheet_xml(text_rows([["A", "Code", "Type"], ["x", "10001", "Visit"]])),
        "Other": sheet_xml(""),
    }
    path = raw_workbook(tmp_path / "values.xlsx", sheets)
    table = read_table(path, SheetOptions(sheet="Lists"), key="type", value="code")
    assert table == [(2, "Visit", "10001")]


def test_missing_or_doubled_columns_are_named(tmp_path: Path) -> None:
    """With the headings there are."""
    path = tmp_path / "values.csv"
    path.write_text("key,wert,x\n1,2,3\n", encoding="utf-8")
    assert '"wert"' in refusal(path)
    path.write_text("key,value,Value\n1,2,3\n", encoding="utf-8")
    assert "twice" in refusal(path)


def test_a_value_without_a_key_is_refused(tmp_path: Path) -> None:
    """With its cell."""
    path = tmp_path / "values.csv"
    path.write_text("key,value\n,2\n", encoding="utf-8")
    assert "cell A2" in refusal(path)


def test_errors_and_surplus_cells_are_refused(tmp_path: Path) -> None:
    """A table has to be whole."""
    rows = (
        text_rows([["key", "value"]])
        + '<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="e"><v>#N/A</v></c></row>'
    )
    path = raw_workbook(tmp_path / "values.xlsx", sheet_xml(rows))
    assert "cell B2" in refusal(path)
    text = tmp_path / "values.csv"
    text.write_text("key,value\n1,2,3\n", encoding="utf-8")
    assert "Cell C2" in refusal(text)
