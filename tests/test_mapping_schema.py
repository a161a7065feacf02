"""The JSON Schema for editors and the loader: both from the same models, held together here."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from importer.errors import MappingError
from importer.mapping.mapping import Mapping, load_mapping
from importer.mapping.model import json_schema

MAPPINGS = Path(__file__).parent.parent / "mappings"
SAMPLES = sorted(MAPPINGS.glob("*.yaml"))
VALIDATOR = Draft202012Validator(json_schema())

EVERYTHING = """
name: Everything
sheet: Visits
encoding: cp1252
delimiter: ";"
header_row: 2
RelatedCompanyId: {column: Code, lookup: account, company_type: Account, by: mx_Account_Code}
ActivityEvent: {column: Type, values: {Visit: 10001}, default: 10001}
ActivityNote: {template: "{A}: {B}", required: true, max_length: 2000}
marker: mx_Custom_9
Fields:
  Status: {value: Active}
  Owner: {column: A, lookup: user, by: EmailAddress}
  mx_1: {column: A, one_of: [Won, 007, no, null], required: true}
  mx_2: {column: A, type: datetime, format: ["%d/%m/%Y", "%d %b %Y"], timezone: Asia/Kolkata}
  mx_3: {column: A, type: number, decimal: ","}
  mx_4: {column: A, type: boolean, send: {true: "1", false: "0"}, default: no}
  mx_5: {column: A, strip: false, send_empty: true}
  mx_6: {column: A, type: date, format: "%d/%m/%Y"}
  mx_7: A
"""


def as_an_editor_reads(text: str) -> Any:  # noqa: ANN401 - JSON
    """The file as a YAML 1.2 tool sees it: numbers, booleans and null are made; keys are texts in JSON."""
    return json.loads(json.dumps(YAML(typ="safe", pure=True).load(text)))


def loads(data: Any, tmp_path: Path) -> bool:  # noqa: ANN401 - JSON
    """Whether the loader takes a mapping with this content (JSON is YAML)."""
    path = tmp_path / "mutated.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    try:
        load_mapping(path)
    except MappingError:
        return False
    return True


def test_the_committed_schema_is_the_models_schema() -> None:
    """After a change: `importer schema > mappings/mapping.schema.json`."""
    committed = json.loads((MAPPINGS / "mapping.schema.json").read_text(encoding="utf-8"))
    assert committed == json_schema()


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_sample_mappings_name_the_schema_and_fit_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    errors = [error.message for error in VALIDATOR.iter_errors(as_an_editor_reads(text))]
    assert (text.splitlines()[0], errors) == ("# yaml-language-server: $schema=mapping.schema.json", [])


def test_a_mapping_with_every_key_fits_schema_and_loader() -> None:
    Mapping.from_record({"path": "m.yaml", "text": EVERYTHING, "tables": {}})
    assert [error.message for error in VALIDATOR.iter_errors(as_an_editor_reads(EVERYTHING))] == []


def mutations() -> Iterator[tuple[str, Any]]:
    """One mistake each: unknown keys everywhere, wrong shapes, missing keys."""
    whole = as_an_editor_reads(EVERYTHING)
    places: list[tuple[str, ...]] = [(), ("RelatedCompanyId",), ("ActivityEvent",), ("ActivityNote",)]
    places += [("Fields", name) for name in whole["Fields"] if isinstance(whole["Fields"][name], dict)]
    for place in places:
        changed = copy.deepcopy(whole)
        block = changed
        for key in place:
            block = block[key]
        block["unknown"] = "x"
        yield f"unknown key in {place}", changed
    for path, value in (
        (("header_row",), "first"),
        (("header_row",), 0),
        (("header_row",), 1.5),
        (("sheet",), ["a"]),
        (("Fields",), ["a"]),
        (("Fields", "Visit date"), "A"),
        (("Fields", "mx_1", "one_of"), []),
        (("Fields", "mx_1", "one_of"), "Won"),
        (("Fields", "mx_1", "required"), "yes"),
        (("Fields", "mx_1", "max_length"), 0),
        (("Fields", "mx_1", "value"), "both"),
        (("Fields", "mx_2", "format"), []),
        (("Fields", "mx_2", "type"), "datetme"),
        (("Fields", "mx_3", "decimal"), ";"),
        (("Fields", "mx_4", "send"), {"true": "1"}),
        (("Fields", "mx_4", "send"), "1"),
        (("Fields", "Owner", "lookup"), "usr"),
        (("Fields", "mx_7"), ["A"]),
        (("ActivityEvent", "values"), {}),
        (("ActivityNote", "template"), {"A": None}),
    ):
        changed = copy.deepcopy(whole)
        block = changed
        for key in path[:-1]:
            block = block[key]
        block[path[-1]] = value
        yield f"{path} = {value!r}", changed
    for path in (
        ("RelatedCompanyId",), ("ActivityEvent",), ("Fields", "mx_2", "timezone"),
        ("Fields", "mx_1", "column"),
        ("Fields", "Owner", "lookup"), ("RelatedCompanyId", "by"), ("RelatedCompanyId", "company_type"),
    ):  # fmt: skip
        changed = copy.deepcopy(whole)
        block = changed
        for key in path[:-1]:
            block = block[key]
        del block[path[-1]]
        yield f"without {path}", changed


MUTATIONS = dict(mutations())


@pytest.mark.parametrize("what", MUTATIONS)
def test_a_mistake_fails_in_the_schema_and_in_the_loader(what: str, tmp_path: Path) -> None:
    data = MUTATIONS[what]
    assert (what, VALIDATOR.is_valid(data), loads(data, tmp_path)) == (what, False, False)
