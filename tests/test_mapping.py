"""A mapping at work: a row of a sheet becomes an activity, or problems that name the cell."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.activity import Activity, addressed
from importer.errors import MappingError
from importer.findings import CellFinding
from importer.mapping.choices import Lookup
from importer.mapping.mapping import Mapping, load_mapping
from importer.mapping.row_mapper import RowMapper
from importer.mapping.values import Fault
from importer.sheets.rows import BooleanCell, Cells, DateCell, ErrorCell, NumberCell, Row

GUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
HEAD = f"RelatedCompanyId: {{value: {GUID}}}\nActivityEvent: 10001\n"
Load = Callable[[str], Mapping]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a mapping's text from a real file."""

    def loaded(text: str) -> Mapping:
        path = tmp_path / "visits.yaml"
        path.write_text(text, encoding="utf-8")
        return load_mapping(path)

    return loaded


def one_field(load: Load, spec: str, *cells: str, header: tuple[str, ...] = ("A", "B")) -> str | None:
    """What field `mx_Custom_1` of this block sends; None if nothing, `!kind` for a problem."""
    mapper = load(f"{HEAD}Fields:\n  mx_Custom_1: {spec}\n").bind(header)
    sent = mapper.map(Row(2, cells))
    if isinstance(sent, list):
        return " ".join(f"!{problem.kind}" for problem in sent)
    return dict(sent.fields).get("mx_Custom_1")


def activity(mapper: RowMapper, *cells: str) -> Activity:
    """The row's activity, which must have no problem."""
    sent = mapper.map(Row(2, cells))
    assert isinstance(sent, Activity), sent
    return sent


def problems(mapper: RowMapper, *cells: str) -> list[CellFinding]:
    """The row's problems, of which there must be some."""
    sent = mapper.map(Row(2, cells))
    assert isinstance(sent, list), sent
    return sent


def test_a_row_becomes_an_activity(load: Load) -> None:
    """The mapping of the walk-through, with one row that uses all of it."""
    mapper = load(
        """
        name: Site visit
        RelatedCompanyId: Account ID
        ActivityEvent: {column: Type, values: {Visit: 10001, Call: 10002}}
        ActivityNote: {template: "{Outcome}: {Remarks}"}
        Fields:
          Status: {value: Active}
          mx_Custom_1: {column: Outcome, one_of: [Won, Lost, Open], required: true}
          mx_Custom_2: {column: When, type: datetime, format: ["%d/%m/%Y %H:%M"], timezone: Asia/Kolkata}
          mx_Custom_3: {column: Amount, type: number, decimal: ","}
          mx_Custom_4: Remarks
        """.replace("\n        ", "\n")
    ).bind(["Account ID", "Type", "Outcome", "Remarks", "When", "Amount"])
    sent = activity(mapper, GUID, " call ", "WON", "", "31/07/2026 11:30", "1.234,50")
    assert sent == Activity(
        GUID,
        10002,
        "WON:",
        (
            ("Status", "Active"),
            ("mx_Custom_1", "Won"),
            ("mx_Custom_2", "2026-07-31 06:00:00"),
            ("mx_Custom_3", "1234.50"),
        ),
    )


@pytest.mark.parametrize(
    ("spec", "cell", "expected"),
    [
        ("A", "x", "x"),
        ("A", "  x ", "x"),
        ("{column: A, strip: false}", "  x ", "  x "),
        ("{column: A, strip: false}", "   ", None),
        ("A", "", None),
        ("{column: A, send_empty: true}", "", ""),
        ("{column: A, required: true}", " \xa0", "!missing"),
        ("{column: A, default: 007}", "", "007"),
        ("{column: A, default: 1.10, type: number}", "", "1.10"),
        ("{column: A, default: 2026-07-31, type: date, format: '%d/%m/%Y'}", "", "2026-07-31"),
        ("{column: A, default: 31/07/2026, type: date, format: '%d/%m/%Y'}", "", "2026-07-31"),
        ("{column: A, max_length: 3}", "four", "!too-long"),
        ("{column: A, max_length: 4}", "four", "four"),
        ("{column: A, one_of: [Won, Lost]}", "wOn", "Won"),
        ("{column: A, one_of: [Won, Lost]}", "Wno", "!not-listed"),
        ("{column: A, one_of: [Won, WON]}", "WON", "WON"),
        ("{column: A, one_of: [Won, WON]}", "won", "!not-listed"),
        ("{column: A, one_of: [007, no, null]}", "007", "007"),
        ("{column: A, one_of: [007, no, null]}", "7", "!not-listed"),
        ("{column: A, one_of: [1, 2], type: integer}", "2.0", "2"),
        ("{column: A, values: {Yes: 1.10, no: null}}", "NO", "null"),
        ("{column: A, values: {Yes: 1.10, no: null}}", " yes ", "1.10"),
        ("{column: A, values: {a: 1, A: 2, b: 3}}", "A", "2"),
        ("{column: A, values: {a: 1, A: 2, b: 3}}", "B", "3"),
        ("{column: A, values: {a: 1}}", "z", "!not-listed"),
        ("{column: A, values: {n/a: ''}, default: none}", "N/A", "none"),
        ("{column: A, values: {n/a: ''}, required: true}", "N/A", "!missing"),
        ("{column: A, values: {Visit: 1}, default: visit}", "", "1"),
        ("{column: A, values: {Visit: 1}, default: 1}", "", "1"),
        ("{column: A, values: {Ja: yes, Nein: no}, type: boolean, send: {true: J, false: N}}", "ja", "J"),
        ("{column: A, values: {Café: 1}}", "CAFE\u0301", "1"),
        ("{value: 2026-07-31}", "", "2026-07-31"),
        ("{value: '', send_empty: true}", "x", ""),
        ("{value: 31/07/2026, type: date, format: '%d/%m/%Y'}", "", "2026-07-31"),
        ("{column: A, type: boolean}", BooleanCell("TRUE"), "true"),
        ("{column: A, type: integer}", NumberCell("10001", 10001.0), "10001"),
        ("A", DateCell("2026-07-31", dt.date(2026, 7, 31)), "2026-07-31"),
        ("A", ErrorCell("#N/A", "The formula gives #N/A."), "!unusable-cell"),
        ("{column: A, default: x}", ErrorCell("", "The formula was never calculated."), "!unusable-cell"),
    ],
)
def test_what_a_field_sends(load: Load, spec: str, cell: str, expected: str | None) -> None:
    assert one_field(load, spec, cell, "") == expected


@pytest.mark.parametrize(
    ("template", "cells", "expected"),
    [
        ("{A}: {B}", ("x", "y"), "x: y"),
        ("{A}: {B}", ("x", ""), "x:"),
        ("{A}: {B}", ("", " "), None),
        ("{{{A}}}", ("x", ""), "{x}"),
        ("{ A }-{A}", ("x", ""), "x-x"),
        ("100% {A} :!r", ("x", ""), "100% x :!r"),
    ],
)
def test_templates(load: Load, template: str, cells: Cells, expected: str | None) -> None:
    """Empty only if all its columns are; what is not a column in braces is sent as it stands."""
    assert one_field(load, f'{{template: "{template}"}}', *cells) == expected


def test_a_template_can_join_date_and_time(load: Load) -> None:
    spec = '{template: "{A} {B}", type: datetime, format: "%d/%m/%Y %H:%M", timezone: Asia/Kolkata}'
    assert one_field(load, spec, "31/07/2026", "11:30") == "2026-07-31 06:00:00"


def test_a_templates_problem_names_the_column_it_comes_from(load: Load) -> None:
    mapper = load(HEAD + 'ActivityNote: {template: "{A}: {B}"}').bind(["A", "B"])
    assert [(p.column, p.index, p.kind) for p in problems(mapper, "x", "bell\x07")] == [
        ("B", 1, "control-character")
    ]
    assert [(p.column, p.message) for p in problems(mapper, "x", ErrorCell("#N/A", "It is #N/A."))] == [
        ("B", "It is #N/A.")
    ]


def test_a_problem_says_value_column_and_remedy(load: Load) -> None:
    mapper = load(HEAD + "Fields: {mx_Custom_1: {column: Outcome, one_of: [Won, Lost]}}").bind(["Outcome"])
    assert str(problems(mapper, "Wno")[0]) == (
        'Outcome: "Wno" is not one of "Won", "Lost". Did you mean "Won"?'
        " Correct it in the sheet, or add it to the list in the mapping."
    )


def test_a_row_tells_all_its_problems_at_once(load: Load) -> None:
    text = "RelatedCompanyId: A\nActivityEvent: B\nFields: {mx_Custom_1: {column: C, type: number}}"
    mapper = load(text).bind(["A", "B", "C"])
    assert [(p.column, p.kind) for p in problems(mapper, "", "x", "y")] == [
        ("A", "missing"),
        ("B", "not-an-activity-type"),
        ("C", "not-a-number"),
    ]


def test_a_row_that_cannot_be_trusted_is_one_problem(load: Load) -> None:
    mapper = load(HEAD + "ActivityNote: A").bind(["A"])
    sent = mapper.map(Row(7, ("x",), "There is a cell beyond the last heading."))
    assert isinstance(sent, list)
    assert [str(problem) for problem in sent] == ["There is a cell beyond the last heading."]


@pytest.mark.parametrize("short", [(), ("x",)])
def test_cells_that_are_not_there_are_empty(load: Load, short: Cells) -> None:
    mapper = load(HEAD + "ActivityNote: B").bind(["A", "B"])
    assert activity(mapper, *short).note is None


# ---------------------------------------------------------------- columns


def test_every_missing_or_doubled_column_is_named_at_once(load: Load) -> None:
    text = (
        HEAD
        + "ActivityNote: {template: '{Remraks}'}\n"
        + "Fields:\n  mx_Custom_1: Amount\n  mx_Custom_2: {column: Zip}\n"
    )
    with pytest.raises(MappingError) as caught:
        load(text).bind(["Remarks", "Amount", "Amount", ""])
    lines = str(caught.value).splitlines()
    assert [line.partition("visits.yaml, ")[2] for line in lines] == [
        'line 3, ActivityNote → template: The sheet has no column "Remraks". Did you mean "Remarks"?',
        'line 5, Fields → mx_Custom_1: The sheet has 2 columns "Amount". Rename all but one of them.',
        (
            'line 6, Fields → mx_Custom_2 → column: The sheet has no column "Zip".'
            ' It has "Remarks", "Amount", "Amount".'
        ),
    ]


def test_doubled_and_empty_headings_do_not_matter_unless_used(load: Load) -> None:
    mapper = load(HEAD + "ActivityNote: B").bind(["A", "A", "", "", "B"])
    assert activity(mapper, "", "", "", "", "x").note == "x"


def test_a_heading_is_found_over_a_line_break_and_blanks(load: Load) -> None:
    mapper = load(HEAD + "ActivityNote: Visit date").bind(["  Visit\ndate "])
    assert activity(mapper, "x").note == "x"


# ---------------------------------------------------------------- lookups

WITH_LOOKUPS = """
RelatedCompanyId: {column: Account code, lookup: account, company_type: Account, by: mx_Account_Code}
ActivityEvent: 10001
Fields:
  Owner: {column: Visited by, lookup: user, by: EmailAddress}
  mx_Custom_1: {column: Helped by, lookup: user}
"""
ACCOUNT = Lookup("account", "mx_Account_Code", "Account")
USER = Lookup("user", "EmailAddress")


def test_lookups_are_declared_and_their_values_told(load: Load) -> None:
    mapper = load(WITH_LOOKUPS).bind(["Account code", "Visited by", "Helped by"])
    values = list(mapper.lookup_values(Row(2, (" ACC-1 ", "Mei@Example.com", ""))))
    assert (mapper.needs_lookups, values) == (True, [(ACCOUNT, "ACC-1"), (USER, "Mei@Example.com")])


def test_offline_an_activity_carries_what_would_be_looked_up(load: Load) -> None:
    mapper = load(WITH_LOOKUPS).bind(["Account code", "Visited by", "Helped by"])
    sent = activity(mapper, "ACC-1", "Mei@Example.com", "")
    assert (sent.company_id, sent.fields) == (
        "lookup:account:ACC-1",
        (("Owner", "lookup:user:Mei@Example.com"),),
    )


def test_what_was_found_is_sent_and_what_was_not_is_a_problem(load: Load) -> None:
    """E-mail addresses have no case; codes have."""
    mapper = load(WITH_LOOKUPS).bind(["Account code", "Visited by", "Helped by"])
    resolved: dict[tuple[Lookup, str], str | Fault] = {
        (ACCOUNT, "ACC-1"): GUID,
        (USER, USER.key("MEI@example.com")): "user-1",
        (USER, USER.key("left@example.com")): Fault("inactive", '"left@example.com" is inactive.'),
    }
    good = mapper.map(Row(2, ("ACC-1", "mei@EXAMPLE.com", "")), resolved)
    bad = mapper.map(Row(3, ("acc-1", "", "left@example.com")), resolved)
    assert good == Activity(GUID, 10001, None, (("Owner", "user-1"),))
    assert isinstance(bad, list)
    assert [(p.column, p.kind) for p in bad] == [("Account code", "not-looked-up"), ("Helped by", "inactive")]


def test_values_are_applied_before_a_lookup(load: Load) -> None:
    spec = "{column: A, values: {Mei: mei.lin@example.com}, lookup: user}"
    assert one_field(load, spec, "mei", "") == "lookup:user:mei.lin@example.com"


def test_a_table_outside_of_the_mappings_folder_is_refused(load: Load, tmp_path: Path) -> None:
    """A downloaded mapping must not read other files of this computer."""
    (tmp_path.parent / "outside.csv").write_text("key,value\na,b\n", encoding="utf-8")

    with pytest.raises(MappingError, match="is outside of the mapping's folder"):
        load(HEAD + "Fields: {mx_A: {column: A, values_file: ../outside.csv}}")


# ---------------------------------------------------------------- warnings, preview, record


def notices(mapper: RowMapper, *cells: str) -> list[CellFinding]:
    """What of the row will arrive other than it looks."""
    row = Row(2, cells)
    sent = mapper.map(row)
    assert isinstance(sent, Activity), sent
    return mapper.notices(row, sent)


def test_notices_name_what_arrives_other_than_it_looks(load: Load) -> None:
    mapper = load(
        HEAD + "Fields:\n  a: {column: A, type: number}\n  b: {column: B, type: date, format: '%d/%m/%Y'}"
    ).bind(["A", "B"])
    when = dt.datetime(2026, 4, 3, 10, 30)  # noqa: DTZ001 - a cell has no zone
    cells = NumberCell("0.25", 0.25, "0%"), DateCell("2026-04-03 10:30:00", when, "dd/mm/yyyy hh:mm")
    found = notices(mapper, *cells)
    assert [(n.column, n.index, n.kind, n.value) for n in found] == [
        ("A", 0, "shown-as-percent", "0.25"),
        ("B", 1, "time-dropped", "2026-04-03 10:30:00"),
    ]


def test_a_templates_columns_are_looked_at_one_by_one(load: Load) -> None:
    mapper = load(HEAD + "ActivityNote: {template: '{A}, chance {B}'}").bind(["A", "B"])
    found = notices(mapper, "x", NumberCell("0.25", 0.25, "0%"))
    assert [(n.column, n.kind, n.message) for n in found] == [
        ("B", "shown-as-percent", "In Excel it is 25 %; 0.25 is sent.")
    ]


def test_the_preview_says_where_everything_comes_from(load: Load) -> None:
    mapper = load(
        WITH_LOOKUPS + "  Status: {value: Active}\nActivityNote: {template: '{Helped by}!'}\n"
    ).bind(["Account code", "Visited by", "Helped by"])
    assert [(field.source, field.name, field.type_name) for field in mapper.fields] == [
        ("Account code", "RelatedCompanyId", "account by mx_Account_Code"),
        ('"10001"', "ActivityEvent", "integer"),
        ("{Helped by}!", "ActivityNote", "text"),
        ("Visited by", "Owner", "user by EmailAddress"),
        ("Helped by", "mx_Custom_1", "user by EmailAddress"),
        ('"Active"', "Status", "text"),
    ]


def test_reading_options_are_kept_in_the_mapping(load: Load) -> None:
    mapping = load(
        HEAD + 'sheet: " Visits"\nencoding: cp1252\ndelimiter: tab\nheader_row: 3\nmarker: mx_Custom_9\n'
    )
    kept = (
        mapping.name,
        mapping.sheet,
        mapping.encoding,
        mapping.delimiter,
        mapping.header_row,
        mapping.marker,
    )
    assert kept == (
        "visits", " Visits", "cp1252", "\t", 3, "mx_Custom_9",
    )  # fmt: skip


def test_a_batchs_record_rebuilds_the_mapping_without_its_files(load: Load, tmp_path: Path) -> None:
    table = tmp_path / "codes.csv"
    table.write_text("key,value\nVisit,007\n", encoding="utf-8")
    mapping = load(HEAD + "Fields: {mx_Custom_1: {column: A, values_file: codes.csv}}")
    record = json.loads(json.dumps(mapping.record()))
    table.unlink()
    (tmp_path / "visits.yaml").unlink()
    again = Mapping.from_record(record)
    assert (again.content, dict(activity(again.bind(["A"]), "visit").fields)) == (
        mapping.content,
        {"mx_Custom_1": "007"},
    )


def test_the_content_is_text_and_tables_and_nothing_else(load: Load, tmp_path: Path) -> None:
    text = HEAD + "Fields: {mx_Custom_1: {column: A, values_file: codes.csv}}\n"
    (tmp_path / "codes.csv").write_text("key,value\na,1\n", encoding="utf-8")
    first = load(text).content
    windows = load(text.replace("\n", "\r\n")).content
    (tmp_path / "codes.csv").write_text("key,value\na,2\n", encoding="utf-8")
    other_table = load(text).content
    other_text = load(text + "# a comment\n").content
    assert (windows == first, other_table == first, other_text == other_table) == (True, False, False)


def test_a_values_file_may_call_its_columns_anything(load: Load, tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text("Code,Remark,Name\n10002,x,Call\n", encoding="utf-8")
    table = "{path: codes.csv, key: Name, value: Code}"
    text = f"RelatedCompanyId: {{value: {GUID}}}\nActivityEvent: {{column: A, values_file: {table}}}\n"
    mapping = load(text)
    assert (mapping.event_codes, activity(mapping.bind(["A"]), "call").event) == ((10002,), 10002)


# ---------------------------------------------------------------- any cell


def _as_json(activity: Activity) -> bytes:
    """The request body as the standard library writes it."""
    body: dict[str, Any] = {"RelatedCompanyId": activity.company_id, "ActivityEvent": activity.event}
    if activity.note is not None:
        body["ActivityNote"] = activity.note
    body["Fields"] = [{"SchemaName": name, "Value": value} for name, value in activity.fields]
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


_words = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.builds(
        Activity,
        _words,
        st.integers(),
        st.none() | _words,
        st.lists(st.tuples(_words, _words), max_size=3).map(tuple),
    )
)
def test_any_activity_is_encoded_as_json_and_read_back(sent: Activity) -> None:
    """Quotes, line breaks and every script; and the account and the event are found without reading it."""
    body = sent.encoded()
    assert (body, Activity.decoded(body)) == (_as_json(sent), sent)
    assert addressed(body) == (sent.company_id, sent.event)


PIECES = st.text() | st.lists(
    st.sampled_from(
        ["₹", "Rs.", "1", "12", ",", ".", "/", "31", "07", "2026", " ", "juil.", ":", "-", "Total"]
    ),
    max_size=6,
).map("".join)


@given(st.lists(PIECES, min_size=6, max_size=6), st.booleans())
def test_any_cells_give_an_activity_or_problems(cells: list[str], more: bool) -> None:
    """Whatever is in a row, and an activity that comes out can always be encoded and read back."""
    mapper = _MORE if more else _EVERYTHING
    sent = mapper.map(Row(2, tuple(cells)))
    if isinstance(sent, Activity):
        assert Activity.decoded(sent.encoded()) == sent
        assert sent.encoded() == _as_json(sent)
        assert addressed(sent.encoded()) == (sent.company_id, sent.event)
        assert isinstance(mapper.notices(Row(2, tuple(cells)), sent), list)
    else:
        assert sent
        assert all(problem.message and len(problem.value) <= 200 for problem in sent)


_EVERYTHING = Mapping.from_record(
    {
        "path": "everything.yaml",
        "tables": {},
        "text": HEAD
        + """
ActivityNote: {template: "{A} {B}"}
Fields:
  Status: A
  mx_Custom_1: {column: B, one_of: [a, b], default: a}
  mx_Custom_2: {column: C, type: datetime, timezone: Asia/Kolkata}
  mx_Custom_3: {column: D, type: number}
  mx_Custom_4: {column: E, type: boolean}
  mx_Custom_5: {column: F, lookup: user}
""",
    }
).bind(list("ABCDEF"))

_MORE = Mapping.of_text(
    HEAD
    + """
locale: fr
Fields:
  mx_Custom_1: {column: A, type: list, separator: ","}
  mx_Custom_2: {template: "{B} {C}", type: datetime, format: "%d/%m/%Y %H:%M", timezone: Asia/Kolkata}
  mx_Custom_3: {column: D, type: number, currency: true}
  mx_Custom_4: {column: E, type: date, format: ["%d %b %Y", "%a %d %B %y"]}
  mx_Custom_5: {column: F, type: integer, currency: true}
""",
    "more.yaml",
).bind(list("ABCDEF"))
