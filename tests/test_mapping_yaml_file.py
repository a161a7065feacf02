"""A mapping's text that is changed entry by entry: the rest of it stays byte for byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importer.errors import MappingError
from importer.mapping.yaml_file import MappingText, Value

VISITS = Path(__file__).parents[1] / "mappings" / "visits.yaml"
CALLS = Path(__file__).parents[1] / "mappings" / "calls.yaml"
SMALL = """\
# about this file
RelatedCompanyId: Account ID   # which account
ActivityEvent: 10001

Fields:
  # what came of it
  mx_Custom_1: {column: Outcome, one_of: [Won, Lost]}   # closed list
  mx_Custom_2:
    column: Visit date   # as typed
    type: datetime
    timezone: Asia/Kolkata

  # the last one
  Owner: Visited by
# the end
"""


@pytest.mark.parametrize("path", [VISITS, CALLS], ids=lambda path: path.name)
def test_nothing_changed_is_byte_equal(path: Path) -> None:
    """Loading and writing changes nothing, and neither does setting what is there."""
    before = path.read_bytes().decode("utf-8")
    text = MappingText(before)

    for key, block in text.fields().items():
        text.set(("Fields", key), block)

    assert text.text() == before


def test_one_entry_changed_leaves_the_others() -> None:
    """Its own lines are written again; the comment behind it stays."""
    text = MappingText(SMALL)

    text.set(("Fields", "mx_Custom_1"), {"column": "Outcome", "required": "true"})

    wanted = SMALL.replace("{column: Outcome, one_of: [Won, Lost]}", "{column: Outcome, required: true}")
    assert text.text() == wanted


def test_a_block_stays_a_block() -> None:
    """What was written over several lines is again."""
    text = MappingText(SMALL)

    text.set(("Fields", "mx_Custom_2"), {"column": "Visit date", "type": "date", "format": ["%d/%m/%Y"]})

    assert text.text().splitlines()[7:12] == [
        "  mx_Custom_2:",
        "    column: Visit date",
        "    type: date",
        '    format: ["%d/%m/%Y"]',
        "",
    ]
    assert text.text().endswith("  # the last one\n  Owner: Visited by\n# the end\n")


def test_another_name_keeps_place_and_comments() -> None:
    """Only the key is written again."""
    text = MappingText(SMALL)

    text.rename(("Fields", "mx_Custom_1"), "mx_Custom_7")

    assert text.text() == SMALL.replace("mx_Custom_1", "mx_Custom_7")


def test_new_entries_stand_where_they_belong() -> None:
    """A field behind the others, a note behind the activity type."""
    text = MappingText(SMALL)

    text.set(("Fields", "Status"), {"value": "Active"})
    text.set(("ActivityNote",), {"template": "{Outcome}: {Remarks}"})

    lines = text.text().splitlines()
    assert lines[3] == 'ActivityNote: {template: "{Outcome}: {Remarks}"}'
    assert lines[lines.index("  Owner: Visited by") + 1] == "  Status: {value: Active}"
    assert lines[-1] == "# the end"


def test_the_last_field_takes_the_heading_along() -> None:
    """`Fields:` with nothing in it could not be loaded."""
    text = MappingText("RelatedCompanyId: A\nFields:\n  Owner: B\n")

    text.set(("Fields", "Owner"), None)
    text.set(("Fields", "Status"), "C")

    assert text.block(("Fields", "Status")) == "C"
    assert text.fields() == {"Status": "C"}


def test_an_empty_entry_is_filled_in() -> None:
    """As the starter mapping leaves the activity type."""
    text = MappingText("RelatedCompanyId: A\n# FILL IN: the code\nActivityEvent:\n\nFields:\n  Owner: B\n")

    text.set(("ActivityEvent",), "10001")

    assert "# FILL IN: the code\nActivityEvent: 10001\n\nFields:\n" in text.text()


@pytest.mark.parametrize(
    "value",
    [
        "007",
        "no",
        "null",
        "a: b",
        "# x",
        "- y",
        "{z}",
        "é",
        "\u202e",
        "a\nb",
        "",
        " padded ",
        "'",
        '"',
        "@",
        "%d",
    ],
)
def test_every_text_comes_back(value: str) -> None:
    """Whatever a heading holds."""
    text = MappingText(SMALL)
    entries: list[Value] = [value, {"column": value}, {"values": {value: value}}, [value, value]]

    for number, entry in enumerate(entries):
        text.set(("Fields", f"f{number}"), entry)

    assert [MappingText(text.text()).block(("Fields", f"f{number}")) for number in range(4)] == entries


@pytest.mark.parametrize(
    "before",
    [
        "{RelatedCompanyId: A, Fields: {Owner: B}}",
        "RelatedCompanyId: A\nFields: {Owner: B}\n",
        "RelatedCompanyId: A\r\nFields:\r\n  Owner: B\r\n",
        "\ufeffRelatedCompanyId: A\nFields:\n  Owner: |\n    B\n",
        "RelatedCompanyId: A\nFields:\n    Owner: B",
        "? RelatedCompanyId\n: A\nFields: {Owner: &b B}\nActivityNote: *b\n",
    ],
    ids=range(6),
)
def test_every_layout_can_be_changed(before: str) -> None:
    """Between braces, with other line ends, without a last one: what is asked for is there afterwards."""
    text = MappingText(before)
    wanted: dict[str, Any] = {"column": "X", "required": "true"}

    text.set(("Fields", "Status"), wanted)
    text.set(("Fields", "Owner"), None)

    again = MappingText(text.text())
    assert (again.fields(), again.block(("RelatedCompanyId",))) == ({"Status": wanted}, "A")


@pytest.mark.parametrize("text", ["", "- a\n", "a: [", "a: 1\na: 2\n", "text"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    """No keys, no YAML, a key twice."""
    with pytest.raises(MappingError):
        MappingText(text)
