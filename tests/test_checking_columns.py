"""A mapping beside what LeadSquared says about its activity type: notices, never more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Importer, StartTenant

from importer.activity import ActivityField
from importer.checking.columns import mapping_findings, option_watches
from importer.checking.survey import Survey
from importer.leadsquared.answers import read_activity_fields
from importer.mapping.mapping import Mapping
from importer.sheets import open_sheet

ACCOUNT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
HEAD = "RelatedCompanyId: Account\nActivityEvent: 10001\nFields:\n"
OUTCOME = ActivityField("mx_Custom_1", "Outcome", mandatory=True, options=("Won", "Lost"))
AMOUNT = ActivityField("mx_Custom_2", "Amount", mandatory=False)


def found(fields: str) -> list[tuple[str, str]]:
    """Kind and message of what does not fit."""
    mapping = Mapping.of_text(HEAD + fields, "visits.yaml")
    return [
        (each.kind, each.message)
        for each in mapping_findings(mapping.fields, mapping.marker, 10001, [OUTCOME, AMOUNT])
    ]


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

    assert mapping_findings(mapping.fields, mapping.marker, 10001, ()) == []


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


def test_an_answer_of_the_documented_form_is_read() -> None:
    """Options are JSON in a text."""
    field = {
        "SchemaName": "mx_Custom_1", "DisplayName": "Outcome", "DataType": "Dropdown", "IsMandatory": True,
        "OptionSet": json.dumps([{"Value": "Won"}, {"Value": "Lost"}, {"Value": ""}]),
    }  # fmt: skip

    assert read_activity_fields(json.dumps({"Fields": [field]}).encode()) == (OUTCOME,)


RULES = {
    "activity_types": "answered",
    "events": [10001],
    "fields": {"mx_Custom_1": {"type": "dropdown", "values": ["Won", "Lost"], "name": "Outcome"}},
}


def test_check_online_and_run_say_what_leadsquared_says(
    importer: Importer, start_tenant: StartTenant, tmp_path: Path
) -> None:
    """An unknown schema name and a cell outside of the options are notices; nothing is stopped by them."""
    mapping, source = tmp_path / "visits.yaml", tmp_path / "visits.csv"
    tenant = start_tenant(faults={"tenant": RULES})
    mapping.write_text(HEAD + "  mx_Custom_1: A\n", encoding="utf-8")
    source.write_text(f"Account,A\n{ACCOUNT},Won\n{ACCOUNT},wno\n", encoding="utf-8")

    checked = importer("check", source, "-m", mapping, "--online", "--json")
    mapping.write_text(HEAD + "  mx_Custm_1: A\n", encoding="utf-8")
    ran = importer("run", source, "-m", mapping, "--yes", "--json")

    (option,), (unknown,) = checked.json["notices"], ran.json["notices"]
    assert (checked.exit, option["kind"], option["cells"]) == (0, "not-an-option", ["B3"])
    assert (unknown["kind"], 'Did you mean "mx_Custom_1"?' in unknown["message"]) == ("unknown-field", True)
    assert len(tenant.creates) == 2


def test_a_tenant_that_says_nothing_is_no_trouble(
    importer: Importer, start_tenant: StartTenant, tmp_path: Path
) -> None:
    """Most refuse the call for accounts' activities."""
    start_tenant()
    mapping, source = tmp_path / "visits.yaml", tmp_path / "visits.csv"
    mapping.write_text(HEAD + "  mx_Custom_77: A\n", encoding="utf-8")
    source.write_text(f"Account,A\n{ACCOUNT},Won\n", encoding="utf-8")
    result = importer("check", source, "-m", mapping, "--online", "--json")

    assert (result.exit, result.json["notices"]) == (0, [])
