"""Whether a Create or Update is one that LeadSquared would take; as strict as its documentation allows.

Exceptions and messages: the vendor's documentation, error handling, and integrators' reports. A body that has
not the documented structure is a 400 ("not as per API specification"), wrong content a refusal. What is no
JSON, or JSON of another shape, is a 400 that names no exception, and an unknown attribute a 412 (observed).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from importer.sandbox.rules import FieldRule, TenantRules
from importer.sandbox.wire import GUID, Refused, parsed_moment

_CREATE_KEYS: Final = {"RelatedCompanyId", "ActivityEvent", "ActivityNote", "Fields"}
_UPDATE_KEYS: Final = {"CompanyActivityId", "ActivityNote", "Fields"}
_SCHEMA_NAME: Final = re.compile(r"Status|Owner|mx_Custom_([1-9]\d?|100)")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")

_SHAPES: Final[Mapping[str, Callable[[str], bool]]] = {
    "number": lambda value: bool(_NUMBER.fullmatch(value)),
    "date": lambda value: parsed_moment(f"{value} 00:00:00") is not None,
    "datetime": lambda value: parsed_moment(value) is not None,
    "boolean": lambda value: value.lower() in {"0", "1", "true", "false"},
    "user": lambda value: bool(GUID.fullmatch(value)),
}


@dataclass(slots=True)
class Held:
    """An activity that the tenant holds, values exactly as they were received; from `id` on, what a Create
    that passed does not say.

    company_id, id, created_by, modified_by: GUIDs in lower case. Times: seconds since 1970 with fractions;
    created_on and modified_on by the tenant's clock, visible_at by the machine's: reads see it from then on.
    origin: "api" for what came in through Create, else what put it there ("foreign", "existing").
    """

    company_id: str
    event: int
    note: str
    fields: dict[str, str] = field(default_factory=dict)
    id: str = ""
    created_by: str = ""
    created_on: float = 0.0
    modified_by: str = ""
    modified_on: float = 0.0
    visible_at: float = 0.0
    origin: str = "api"


def parsed(body: bytes, content_type: str) -> dict[str, Any]:
    """The JSON object of a request. Raises Refused (400)."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused("MXInvalidInput", "Content-Type must be application/json.", status=400)
    try:
        value = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise Refused("", "Unexpected character encountered while parsing value.", status=400) from None
    if not isinstance(value, dict):
        raise _other_shape("the body", "object")
    return value


def _other_shape(what: str, wanted: str) -> Refused:
    return Refused("", f"Cannot deserialize the current JSON: {what} must be of type {wanted}.", status=400)


def json_object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object of this name, empty if it is absent. Raises Refused."""
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise Refused("MXInvalidInput", f"'{name}' must be an object", status=400)
    return value


def guid(value: object, name: str) -> str:
    """The GUID in lower case. Raises Refused."""
    if value is None or value == "":
        raise Refused("MXMandatoryAttributeMissing", f"'{name}' is mandatory")
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise Refused("MXInvalidInput", f"'{name}' is not a valid GUID")
    return value.lower()


def time_span(given: Mapping[str, Any]) -> tuple[float, float]:
    """`FromDate` and `ToDate`, seconds since 1970. Raises Refused."""
    start, end = parsed_moment(given.get("FromDate")), parsed_moment(given.get("ToDate"))
    if start is None or end is None:
        raise Refused("MXInvalidInput", "'FromDate' and 'ToDate' must be YYYY-MM-DD HH:MM:SS")
    return start, end


def paging(body: Mapping[str, Any], size_max: int) -> tuple[int, int]:
    """Page (from 1) and its size, at most `size_max`. The documentation shows strings and numbers."""
    given = json_object(body, "Paging")
    numbers = []
    for name, default in (("PageIndex", 1), ("PageSize", 100)):
        text = str(given.get(name, default))
        if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
            raise Refused("MXInvalidInput", f"'{name}' must be a number from 1")
        numbers.append(int(text[:9]))
    return numbers[0], min(numbers[1], size_max)


def _known_keys(body: Mapping[str, Any], known: set[str]) -> None:
    if unknown := body.keys() - known:
        raise Refused("", f"Unknown attribute: {', '.join(sorted(unknown))}", status=412)


def _note(body: Mapping[str, Any]) -> str:
    note = body.get("ActivityNote", "")
    if not isinstance(note, str):
        raise Refused("MXInvalidDataType", "'ActivityNote' must be a string", status=400)
    return note


def _fields(body: Mapping[str, Any], *, sets: bool = True) -> dict[str, str]:
    """sets: whether a field may be a set of fields, which is kept as a JSON text (observed)."""
    given = body.get("Fields", [])
    if not isinstance(given, list):
        raise _other_shape("'Fields'", "array")
    fields: dict[str, str] = {}
    for item in given:
        of_a_set = sets and isinstance(item, dict) and "Fields" in item
        if not isinstance(item, dict) or item.keys() != {"SchemaName", "Value", *["Fields"] * of_a_set}:
            raise Refused("MXInvalidInput", "A field needs 'SchemaName' and 'Value'", status=400)
        name, value = item["SchemaName"], item["Value"]
        if of_a_set and value == "":
            value = json.dumps(_fields(item, sets=False))
        if not isinstance(name, str) or not isinstance(value, str):
            raise Refused("MXInvalidDataType", f"Field '{name}': the value must be a string", status=400)
        if name in fields:
            raise Refused("MXInvalidActivityFields", f"Field name : '{name}' is given twice.")
        fields[name] = value
    return fields


def _checked(fields: dict[str, str], rules: TenantRules, *, complete: bool) -> dict[str, str]:
    """The fields that this activity type has. complete: mandatory ones must be there (not on an update)."""
    unknown = {name for name in fields if name not in rules.fields and not _SCHEMA_NAME.fullmatch(name)}
    if unknown and rules.unknown_fields == "refuse":
        raise Refused("MXInvalidActivityFields", f"Field name : '{min(unknown)}' does not exist.")
    if rules.unknown_fields == "drop":
        fields = {name: value for name, value in fields.items() if name not in unknown}
    for name, value in fields.items():
        if name == "Owner" and value and not GUID.fullmatch(value):
            raise Refused("MXInvalidInput", "'Owner' is not a valid user Id")
        if value and name in rules.fields:
            _check_value(name, value, rules.fields[name])
    for name, rule in rules.fields.items():
        if complete and rule.required and not fields.get(name, "").strip():
            shown = "String" if rule.type == "text" else rule.type.title()
            message = f"Field name : '{name}' of datatype : '{shown}' is mandatory."
            raise Refused("MXInvalidActivityFields", message)
    return fields


def _check_value(name: str, value: str, rule: FieldRule) -> None:
    """A dropdown's options count as account records count them; without a list anything is stored, as lead
    records do."""
    options = {known.lower() for known in rule.values} if rule.type == "dropdown" else ()
    if options and value.lower() not in options:
        raise Refused("MXInvalidEntityReference", f"Field name : '{name}' has no option '{value}'.")
    too_long = rule.max_length is not None and len(value) > rule.max_length
    if too_long or (rule.type in _SHAPES and not _SHAPES[rule.type](value)):
        message = f"Field name : '{name}' of datatype : '{rule.type}' has an invalid value."
        raise Refused("MXInvalidDataType", message)


def wanted(body: Mapping[str, Any], rules: TenantRules) -> Held:
    """What a Create asks for. Raises Refused."""
    _known_keys(body, _CREATE_KEYS)
    company_id = guid(body.get("RelatedCompanyId"), "RelatedCompanyId")
    event = body.get("ActivityEvent")
    if event is not None and (not isinstance(event, int) or isinstance(event, bool)):
        raise Refused("MXInvalidDataType", "'ActivityEvent' must be an integer", status=400)
    note, fields = _note(body), _fields(body)
    if event is None or event < 1 or (rules.events is not None and event not in rules.events):
        raise Refused("MXInvalidActivity", "Event Code is invalid or empty")
    if company_id in rules.missing_accounts:
        raise Refused("MXInvalidEntityReference", f"Account with Id '{company_id}' does not exist.")
    return Held(company_id, event, note, _checked(fields, rules, complete=True))


def update(body: Mapping[str, Any], rules: TenantRules) -> tuple[str, str | None, dict[str, str]]:
    """Activity Id, new note (None leaves it), fields to set. Raises Refused."""
    _known_keys(body, _UPDATE_KEYS)
    activity_id = guid(body.get("CompanyActivityId"), "CompanyActivityId")
    note = _note(body) if "ActivityNote" in body else None
    return activity_id, note, _checked(_fields(body), rules, complete=False)
