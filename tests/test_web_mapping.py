"""The mapping's form: what it shows and sends back unchanged changes nothing in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from screen import Caller, RunningScreen

SHEET = (
    "Account code,Type,Outcome,Remarks,Visited by,Visit date,Time in,Amount,New,Choices,Code\n"
    "A-1,Visit,Won,fine,a@example.com,31/07/2026 10:30,10:30,1,yes,a|b,x\n"
)
EVERY_SETTING = """\
name: Site visit   # kept
RelatedCompanyId: {column: Account code, lookup: account, by: mx_Account_Code, company_type: Account}
ActivityEvent: {column: Type, values: {Visit: 10001, Call: 10002}, type: integer, required: true}
ActivityNote: {template: "{Outcome}: {Remarks}", strip: false}
Fields:
  Status: {value: Active}
  Owner: {column: Visited by, lookup: user, by: EmailAddress}
  mx_Custom_1: {column: Outcome, one_of: [Won, Lost, Open], required: true, type: text}
  mx_Custom_2: {format: ["%d/%m/%Y %H:%M", "%d %b"], column: Visit date, type: datetime, timezone: Asia/Tokyo}
  mx_Custom_3: {column: Amount, type: number, decimal: ",", currency: false, required: false}
  mx_Custom_4: {template: "{Visit date} {Time in}", type: datetime, format: ["%d"], timezone: UTC, locale: fr}
  mx_Custom_5: {column: New, type: boolean, send: {"true": "1", "false": "0"}}
  mx_Custom_6: {column: Choices, type: list, separator: "|", join: ";", send_empty: true}
"""
MANY_VALUES = "RelatedCompanyId: Account code\nActivityEvent: 10001\nFields:\n  mx_Custom_1:\n" + (
    "    column: Code\n    values:\n" + "".join(f"      v{number}: s{number}\n" for number in range(300))
)
FEW = "RelatedCompanyId: Account code\nActivityEvent: 10001\n"


class _Form(HTMLParser):
    """The fields of a page's forms with what they hold, as a browser sends them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._select = self._text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A field begins."""
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in self.fields):
            self.fields[self._select] = given["value"]
        elif tag == "textarea":
            self._text, self.fields[name] = name, ""
        elif tag == "input" and name and (given.get("type") != "checkbox" or "checked" in given):
            self.fields[name] = given.get("value", "on")

    def handle_endtag(self, tag: str) -> None:
        """It ends."""
        if tag in {"select", "textarea"}:
            self._select = self._text = ""

    def handle_data(self, data: str) -> None:
        """What a text area holds."""
        if self._text:
            self.fields[self._text] += data


@pytest.fixture
def caller(home: Path) -> Iterator[Caller]:
    """Somebody with the person's cookie."""
    with RunningScreen(home, rehearsal=True) as screen:
        yield Caller(screen).sign_in()


@pytest.mark.parametrize("mapping", [EVERY_SETTING, MANY_VALUES], ids=["every setting", "300 values"])
def test_a_form_that_was_not_changed_changes_nothing(caller: Caller, mapping: str) -> None:
    """Not a byte: order, comments, spellings, and what the form does not show."""
    sheet = caller.upload("/new", "visits.csv", SHEET.encode()).headers["location"]
    path = sheet.removesuffix("/sheet")
    caller.upload(f"{path}/mapping/load", "visits.yaml", mapping.encode())
    fields = _Form(caller.call("GET", f"{path}/mapping").body).fields

    caller.post(f"{path}/mapping", {}, **fields)

    assert caller.call("GET", f"{path}/mapping/download").body == mapping


def test_a_mapping_for_workbooks_is_loaded_for_a_text_file(caller: Caller) -> None:
    """It may serve both formats: a text file has no sheets to choose from."""
    sheet = caller.upload("/new", "visits.csv", SHEET.encode()).headers["location"]
    path = sheet.removesuffix("/sheet")
    caller.upload(f"{path}/mapping/load", "visits.yaml", f"sheet: Visits\n{FEW}".encode())

    while "<progress" in (page := caller.call("GET", f"{path}/check").body):
        continue  # it is being read

    assert ("This is a text file" in page, " valid" in page) == (False, True)


def test_answers_to_a_check_that_has_no_outcome_yet_stay_ticked(caller: Caller) -> None:
    """Continue comes before the check's end where the sheet is read again, or has failed in the meantime."""
    rows = "Account code,Amount\n" + "".join(f"A-{row},{row}.500\n" for row in range(1, 7))
    path = caller.upload("/new", "visits.csv", rows.encode()).headers["location"].removesuffix("/sheet")
    number = f"{FEW}Fields:\n  mx_Custom_1: {{column: Amount, type: number}}\n"
    caller.upload(f"{path}/mapping/load", "visits.yaml", number.replace("Amount", "Sum").encode())
    while "<progress" in caller.call("GET", f"{path}/check").body:
        continue  # it is being read
    caller.post(f"{path}/check", {}, **{"answer.accept:decimal-or-thousands": "accept"})
    caller.upload(f"{path}/mapping/load", "visits.yaml", number.encode())
    while "<progress" in (page := caller.call("GET", f"{path}/check").body):
        continue  # it is being read
    boxes = re.findall(r'<input type="radio" name="(\S+)" value="(\S+)"( checked)?>', page)

    assert boxes == [("answer.accept:decimal-or-thousands", "accept", " checked")]


def test_what_was_changed_is_changed_and_nothing_else(caller: Caller) -> None:
    """One setting of one line; the other lines stay as they are written."""
    sheet = caller.upload("/new", "visits.csv", SHEET.encode()).headers["location"]
    path = sheet.removesuffix("/sheet")
    caller.upload(f"{path}/mapping/load", "visits.yaml", EVERY_SETTING.encode())
    fields = _Form(caller.call("GET", f"{path}/mapping").body).fields
    zone = next(name for name, value in fields.items() if value == "Asia/Tokyo")
    fields[zone] = "Asia/Kolkata"

    caller.post(f"{path}/mapping", {}, **fields)

    changed = caller.call("GET", f"{path}/mapping/download").body.splitlines()
    gone = [line for line in EVERY_SETTING.splitlines() if line not in changed]
    assert [line.strip().partition(":")[0] for line in gone] == ["mx_Custom_2"]
    assert "timezone: Asia/Kolkata" in "\n".join(changed)


def test_allowed_values_can_be_emptied(caller: Caller) -> None:
    """Each setting of several texts: once its field is empty, it is gone from the mapping."""
    sheet = caller.upload("/new", "visits.csv", SHEET.encode()).headers["location"]
    path = sheet.removesuffix("/sheet")
    caller.upload(f"{path}/mapping/load", "visits.yaml", EVERY_SETTING.encode())
    fields = _Form(caller.call("GET", f"{path}/mapping").body).fields
    emptied = ("one_of.", "format.", "value_key.", "yes.")
    fields = {name: "" if name.startswith(emptied) else value for name, value in fields.items()}

    answer = caller.post(f"{path}/mapping/live", {}, **fields)

    kept = caller.call("GET", f"{path}/mapping/download").body
    assert answer.status == 200
    assert not [word for word in ("one_of", "format", "values", "send:") if word in kept]


def test_a_field_that_two_lines_fill_stays_with_the_one_that_had_it(caller: Caller) -> None:
    """On the way to mx_Custom_50 a person types mx_Custom_5: the other line loses nothing by it, and neither
    does theirs. Check says so, and stays."""
    sheet = caller.upload("/new", "visits.csv", SHEET.encode()).headers["location"]
    path = sheet.removesuffix("/sheet")
    caller.upload(f"{path}/mapping/load", "visits.yaml", EVERY_SETTING.encode())
    fields = _Form(caller.call("GET", f"{path}/mapping").body).fields
    line = next(name for name, value in fields.items() if (name[:6], value) == ("field.", "mx_Custom_1"))

    fields[line] = "mx_Custom_6"
    live = caller.post(f"{path}/mapping/live", {}, **fields).body
    between = caller.call("GET", f"{path}/mapping/download").body
    checked = caller.post(f"{path}/mapping", {}, **fields).headers["location"]
    said = caller.call("GET", checked).body
    fields[line] = "mx_Custom_60"
    caller.post(f"{path}/mapping", {}, **fields)

    assert "Another line fills this field already." in live
    assert between == EVERY_SETTING
    assert checked == f"{path}/mapping"
    assert "Two lines fill mx_Custom_6." in said
    renamed = EVERY_SETTING.replace("mx_Custom_1", "mx_Custom_60")
    assert caller.call("GET", f"{path}/mapping/download").body == renamed


def test_names_of_fields_are_plain_text(caller: Caller) -> None:
    """A screen reader reads attributes as they are: no element stands in one."""
    sheet = caller.upload("/new", "visits.csv", SHEET.encode()).headers["location"]

    page = caller.call("GET", sheet.replace("/sheet", "/mapping")).body

    assert 'aria-label="Value 1 in Outcome"' in page
    assert not [tag for tag in re.findall(r"<[^>]*", page) if "<bdi" in tag[1:] or "&lt;bdi" in tag]
    assert "<bdi>Outcome</bdi>" in page
