"""The samples: what is committed is what the builder makes, and does what its name says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from build_samples import FLAWS, SAMPLES, calls_workbook, csv_bytes, visits, visits_with_problems
from openpyxl import load_workbook

from importer.activity import Activity
from importer.findings import CellFinding
from importer.mapping.mapping import load_mapping
from importer.sheets import SheetOptions, open_sheet

MAPPINGS = Path(__file__).parent.parent / "mappings"


def mapped(sheet_name: str, mapping_name: str) -> dict[int, Activity | list[CellFinding]]:
    """Every row of a sample through its mapping, by row number."""
    mapping = load_mapping(MAPPINGS / mapping_name)
    how = SheetOptions(sheet=mapping.sheet, header_row=mapping.header_row)
    with open_sheet(SAMPLES / sheet_name, how) as sheet:
        mapper = mapping.bind(sheet.header)
        return {row.number: mapper.map(row) for row in sheet.rows()}


@pytest.mark.parametrize(
    ("name", "rows"), [("visits.csv", visits()), ("visits-with-problems.csv", visits_with_problems())]
)
def test_the_committed_texts_are_what_the_builder_makes(name: str, rows: list[list[str]]) -> None:
    assert (SAMPLES / name).read_bytes() == csv_bytes(rows)


def test_the_committed_workbook_is_what_the_builder_makes() -> None:
    committed, built = load_workbook(SAMPLES / "calls.xlsx"), calls_workbook()
    assert committed.sheetnames == built.sheetnames == ["Read me", "Calls", "Agents"]
    for name in built.sheetnames:
        shown = [
            [[(cell.value, cell.number_format) for cell in row] for row in book[name].iter_rows()]
            for book in (committed, built)
        ]
        assert shown[0] == shown[1]


def test_every_visit_can_be_sent() -> None:
    rows = mapped("visits.csv", "visits.yaml")
    assert [number for number, sent in rows.items() if not isinstance(sent, Activity)] == []
    assert list(rows) == list(range(2, 42))


def test_a_visit_arrives_as_it_looks() -> None:
    """Line breaks, leading zeros, an amount with Indian separators, a date that somebody typed."""
    rows = mapped("visits.csv", "visits.yaml")
    sent = [activity for activity in rows.values() if isinstance(activity, Activity)]
    texts = {value for activity in sent for _, value in activity.fields}
    notes = "\n".join(activity.note or "" for activity in sent)
    assert {"000417", "125000.50", "1.10", "2026-08-13 10:50:00", "2026-08-04 08:45:00"} <= texts
    assert all(text in notes for text in ("=SUM of three orders", "ग्राहक", "\n名刺", "№ 0042", "N/A"))


def test_each_flaw_is_found_in_its_row_and_column() -> None:
    rows = mapped("visits-with-problems.csv", "visits.yaml")
    found = {number: [p.column for p in sent] for number, sent in rows.items() if isinstance(sent, list)}
    assert found == {number: [column] for number, (column, _) in FLAWS.items()}


def test_every_call_can_be_sent_and_keeps_its_case_number() -> None:
    rows = mapped("calls.xlsx", "calls.yaml")
    sent = [activity for activity in rows.values() if isinstance(activity, Activity)]
    assert (list(rows), len(sent)) == (list(range(4, 29)), 25)
    assert {activity.event for activity in sent} == {10002, 10003, 10004}
    assert len({dict(activity.fields)["Owner"] for activity in sent}) == 4
    assert dict(sent[0].fields)["mx_Custom_5"] == "00417"


def test_no_two_rows_of_a_sample_are_the_same_activity() -> None:
    """A rehearsal must not have to wait for rows that cannot be told apart."""
    for names in (("visits.csv", "visits.yaml"), ("calls.xlsx", "calls.yaml")):
        sent = [activity for activity in mapped(*names).values() if isinstance(activity, Activity)]
        assert len({activity.encoded() for activity in sent}) == len(sent)


def test_samples_hold_no_real_addresses() -> None:
    text = (SAMPLES / "visits.csv").read_text(encoding="utf-8-sig")
    assert set(re.findall(r"@([\w.]+)", text)) == {"example.com"}
