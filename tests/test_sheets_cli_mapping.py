"""What a mapping makes of a sheet's cells: from `importer run` to the activity at the tenant."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Importer, Result, RunningTenant
from sheets import written_workbook
from sheets.sending import ACCOUNT

HEADER = "Account ID,Outcome,Visited on,Amount,Done,Remarks"
ROW = f'{ACCOUNT},won ,31/07/2026 11:03,"1.250,50",yes,good'
MAPPING = """\
RelatedCompanyId: Account ID
ActivityEvent: 10001
Fields:
"""


class Sheet:
    """One sheet, sent with one mapping after another."""

    def __init__(self, importer: Importer, tenant: RunningTenant, folder: Path) -> None:
        self._importer = importer
        self._tenant = tenant
        self.folder = folder
        self.source = folder / "visits.csv"
        self.mapping = folder / "visits.yaml"
        self.rows(ROW)

    def rows(self, *rows: str) -> None:
        """Other rows."""
        self.source.write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8", newline="")

    def send(self, fields: str, *, whole: bool = False) -> Result:
        """`importer run` with these lines below `Fields:`, or with a whole mapping."""
        self.mapping.write_text(fields if whole else MAPPING + fields, encoding="utf-8")
        return self._importer("run", self.source, "-m", self.mapping, "--yes", "--json")

    @property
    def arrived(self) -> list[dict[str, str]]:
        """The fields of every activity at the tenant."""
        return [each.fields for each in self._tenant.activities]

    @property
    def event(self) -> int:
        """The code of the only activity."""
        (only,) = self._tenant.activities
        return only.event


@pytest.fixture
def sheet(importer: Importer, tenant: RunningTenant, tmp_path: Path) -> Sheet:
    """A sheet with one row."""
    return Sheet(importer, tenant, tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("{column: Outcome}", "won"),
        ("{column: Outcome, strip: false}", "won "),
        ("{column: Outcome, one_of: [Won, Lost]}", "Won"),
        ("{column: Outcome, values: {WON: 1, Lost: 2}}", "1"),
        ("{value: 007}", "007"),
        ("{value: 1.10}", "1.10"),
        ("{value: 2026-07-31}", "2026-07-31"),
        ("{value: no}", "no"),
        ("{value: null}", "null"),
        ("{value: 1e5}", "1e5"),
        ("{value: 0x1F}", "0x1F"),
        ("{value: 12:30:45}", "12:30:45"),
        ('{column: Amount, type: number, decimal: ","}', "1250.50"),
        ("{column: Done, type: boolean}", "true"),
        ('{column: Done, type: boolean, send: {true: "1", false: "0"}}', "1"),
        (
            '{column: Visited on, timezone: UTC, type: datetime, format: ["%d %b %Y", "%d/%m/%Y %H:%M"]}',
            "2026-07-31 11:03:00",
        ),
        (
            '{column: Visited on, timezone: Asia/Kolkata, type: datetime, format: "%d/%m/%Y %H:%M"}',
            "2026-07-31 05:33:00",
        ),
        ('{column: Visited on, type: date, format: "%d/%m/%Y %H:%M"}', "2026-07-31"),
        ('{template: "{Outcome}: {Remarks}"}', "won: good"),
        ("{column: Remarks, default: none}", "good"),
        ("{column: Remarks, max_length: 4}", "good"),
    ],
)
def test_a_value_arrives_as_the_mapping_says(sheet: Sheet, field: str, value: str) -> None:
    """YAML scalars as they are written; numbers with a point; dates in ISO, date-times in UTC."""
    result = sheet.send(f"  mx_Custom_1: {field}\n")

    assert (result.exit, sheet.arrived) == (0, [{"mx_Custom_1": value}])


def test_an_empty_cell_sends_no_field_unless_told(sheet: Sheet) -> None:
    """`send_empty` is off; `default` fills in."""
    sheet.rows(f"{ACCOUNT},,,,,")

    result = sheet.send(
        "  mx_Custom_1: Outcome\n  mx_Custom_2: {column: Remarks, send_empty: true}\n  mx_Custom_3:"
        " {column: Amount, default: 0}\n"
    )

    assert (result.exit, sheet.arrived) == (0, [{"mx_Custom_2": "", "mx_Custom_3": "0"}])


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_table_of_values_is_a_file_beside_the_mapping(sheet: Sheet, suffix: str) -> None:
    """`values_file`: its texts exactly as they stand, leading zeros and `NA` too."""
    table = [["key", "value"], ["Won", "007"], ["Lost", "NA"]]
    path = sheet.folder / f"outcomes{suffix}"
    if suffix == ".csv":
        path.write_text("\n".join(",".join(line) for line in table), encoding="utf-8")
    else:
        written_workbook(path, table)
    sheet.rows(ROW, ROW.replace("won", "LOST"))

    result = sheet.send(f"  mx_Custom_1: {{column: Outcome, values_file: {path.name}}}\n")

    assert result.exit == 0
    assert sorted(fields["mx_Custom_1"] for fields in sheet.arrived) == ["007", "NA"]


def test_the_activity_type_may_come_from_a_column(sheet: Sheet) -> None:
    """`ActivityEvent: {column: …, values: {…}}`."""
    result = sheet.send(
        "RelatedCompanyId: Account ID\nActivityEvent: {column: Outcome, values: {Won: 10001, Lost: 10002}}\n",
        whole=True,
    )

    assert (result.exit, sheet.event) == (0, 10001)


def test_the_marker_carries_batch_and_row(sheet: Sheet) -> None:
    """`marker: mx_Custom_9`: what makes a match exact."""
    result = sheet.send(
        f"marker: mx_Custom_9\n{MAPPING}  mx_Custom_1: Remarks\n",
        whole=True,
    )

    ((batch_and_row, value),) = [(each["mx_Custom_9"], each["mx_Custom_1"]) for each in sheet.arrived]
    assert (result.exit, value) == (0, "good")
    assert result.json["batch"] in batch_and_row
    assert batch_and_row.endswith("2")


@pytest.mark.parametrize(
    ("field", "kind"),
    [
        ("{column: Outcome, one_of: [Lost, Open]}", "not-listed"),
        ("{column: Outcome, values: {Lost: 2}}", "not-listed"),
        ("{column: Remarks, max_length: 3}", "too-long"),
        ("{column: Remarks, type: number}", "not-a-number"),
        ("{column: Remarks, type: boolean}", "not-yes-or-no"),
        ("{column: Remarks, type: id}", "not-an-id"),
        ('{column: Visited on, type: date, format: "%Y-%m-%d"}', "not-a-date"),
    ],
)
def test_a_value_that_does_not_fit_is_a_problem_of_its_row(
    importer: Importer, sheet: Sheet, field: str, kind: str
) -> None:
    """Nothing is sent, and `check` says which cell."""
    sent = sheet.send(f"  mx_Custom_1: {field}\n")
    checked = importer("check", sheet.source, "-m", sheet.mapping, "--json")

    assert (sent.exit, sheet.arrived) == (2, [])
    assert [group["kind"] for group in checked.json["problems"]] == [kind]


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        (MAPPING + "  mx_Custom_1: Outcome\n  mx_Custom_1: Remarks\n", "mx_Custom_1"),
        (MAPPING + "  mx_Custom_1: {colum: Outcome}\n", "column"),
        (MAPPING + "  mx_Custom_1: {column: Outcme}\n", "Outcome"),
        (MAPPING.replace("ActivityEvent", "ActivityEvnt") + "  mx_Custom_1: Outcome\n", "ActivityEvent"),
        (MAPPING + "  mx_Custom_1: {column: Visited on, type: datetime}\n", "timezone"),
        (MAPPING + "  mx_Custom_1: [Outcome\n", "line"),
        ("", "visits.yaml"),
    ],
)
def test_a_mistake_in_the_mapping_names_its_place(sheet: Sheet, mapping: str, told: str) -> None:
    """File and line, what is wrong, and the nearest name that is known; nothing is sent."""
    result = sheet.send(mapping, whole=True)

    assert (result.exit, sheet.arrived) == (2, [])
    assert "visits.yaml" in result.json["error"]
    assert told in result.json["error"]


def test_the_sheets_own_facts_are_kept_in_the_mapping(sheet: Sheet) -> None:
    """`encoding` and `delimiter` in the mapping are as good as options."""
    sheet.source.write_bytes(f"{HEADER}\n{ROW}\n".replace("good", "“smart” €").encode("cp1252"))

    result = sheet.send(f'encoding: cp1252\ndelimiter: ","\n{MAPPING}  mx_Custom_1: Remarks\n', whole=True)

    assert (result.exit, sheet.arrived) == (0, [{"mx_Custom_1": "“smart” €"}])
