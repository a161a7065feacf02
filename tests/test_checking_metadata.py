"""A mapping beside what LeadSquared says about its activity type: notices, never more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from importer.checking.metadata import mapping_findings, option_watches
from importer.checking.survey import Survey
from importer.mapping.activity_types import TypeField, type_fields
from importer.mapping.mapping import Mapping
from importer.sheets import open_sheet

ACCOUNT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
HEAD = "RelatedCompanyId: Account\nActivityEvent: 10001\nFields:\n"
OUTCOME = TypeField("mx_Custom_1", "Outcome", "Dropdown", required=True, options=("Won", "Lost"))
AMOUNT = TypeField("mx_Custom_2", "Amount", "Number", required=False)


def found(fields: str) -> list[tuple[str, str]]:
    """Kind and message of what does not fit."""
    mapping = Mapping.of_text(HEAD + fields, "visits.yaml")
    return [(each.kind, each.message) for each in mapping_findings(mapping, 10001, [OUTCOME, AMOUNT])]


@pytest.mark.parametrize(
    ("fields", "kind", "said"),
    [
        ("  mx_Custom_1: A\n  mx_Custm_2: B", "unknown-field", 'Did you mean "mx_Custom_2"?'),
        ("  mx_Custom_1: A\n  mx_custom_2: B", "unknown-field", 'Did you mean "mx_Custom_2"?'),
        ("  mx_Custom_2: B", "required-field", 'requires mx_Custom_1 ("Outcome")'),
        ("  mx_Custom_1: {value: Wno}", "not-an-option", 'Did you mean "Won"?'),
        ("  mx_Custom_1: {column: A, one_of: [Won, Open]}", "not-an-option", '"Open" is not an option'),
        ("  mx_Custom_1: {column: A, values: {w: won}}", "not-an-option", 'Did you mean "Won"?'),
    ],
)
def test_what_does_not_fit_is_a_notice_with_the_nearest(fields: str, kind: str, said: str) -> None:
    """Unknown schema names, required fields, values outside of the options."""
    ((seen, message),) = found(fields)

    assert (seen, said in message) == (kind, True)


def test_what_fits_is_silent() -> None:
    """LeadSquared's own fields need not be listed."""
    assert found("  mx_Custom_1: {column: A, one_of: [Won]}\n  Owner: B\n  Status: {value: Active}") == []


def test_where_nothing_is_known_nothing_is_said() -> None:
    """The call may be refused; that stops nothing."""
    mapping = Mapping.of_text(HEAD + "  mx_Custom_77: A", "visits.yaml")

    assert mapping_findings(mapping, 10001, type_fields(b'{"Status":"Error"}')) == []


def test_cells_outside_of_the_options_are_named(tmp_path: Path) -> None:
    """As one notice of the column."""
    path = tmp_path / "visits.csv"
    path.write_text(f"Account,A\n{ACCOUNT},Won\n{ACCOUNT},won\n{ACCOUNT},\n", encoding="utf-8")
    mapping = Mapping.of_text(HEAD + "  mx_Custom_1: A", "visits.yaml")
    with open_sheet(path) as sheet:
        mapper = mapping.bind(sheet.header)
        survey = Survey(mapper, also=option_watches(mapper, [OUTCOME]))
        for row in sheet.rows():
            survey.take(row, mapper.map(row))
        survey.close(sheet)

    (notice,) = survey.notices.all()
    assert (notice.kind, notice.cells, notice.column) == ("not-an-option", ["B3"], "A")


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"Fields": 7}', b'{"Fields": [7, {}, {"SchemaName": null}]}', b"\xff"]
)
def test_answers_of_another_form_say_nothing(answer: bytes) -> None:
    """Whatever the tenant answers."""
    assert type_fields(answer) == ()


def test_an_answer_of_the_documented_form_is_read() -> None:
    """Options stand as JSON in a text."""
    field = {
        "SchemaName": "mx_Custom_1", "DisplayName": "Outcome", "DataType": "Dropdown", "IsMandatory": True,
        "OptionSet": json.dumps([{"Value": "Won"}, {"Value": "Lost"}, {"Value": ""}]),
    }  # fmt: skip

    assert type_fields(json.dumps({"Fields": [field]}).encode()) == (OUTCOME,)
