"""Whether a Create or Update is one that LeadSquared would take; as strict as its documentation allows.

Exceptions and messages: the vendor's documentation, error handling, and integrators' reports. A body that has
not the documented structure is a 400 ("not as per API specification"), wrong content a refusal. What is no
JSON, or JSON of another shape, is a 400 that names no exception, and an unknown attribute a 412 (observed).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from importer.sandbox.rules import FieldRule, TenantRules
from importer.sandbox.wire import GUID, Refused, parsed_moment

_CREATE_KEYS: Final = {"RelatedCompanyId", "ActivityEvent", "ActivityNote", "Fields"}
_UPDATE_KEYS: Final = {"CompanyActivityId", "ActivityNote", "Fields"}
_CUSTOM: Final = re.compile(r"mx_Custom_([1-9]\d?|100)")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


_SHAPES: Final[Mapping[str, Callable[[str], bool]]] = {
    "number": lambda value: bool(_NUMBER.fullmatch(value)),
    "date": lambda value: bool(_DATE.fullmatch(value)) and parsed_moment(f"{value} 00:00:00") is not None,
    "datetime": lambda value: parsed_moment(value) is not None,
    "boolean": lambda value: value.lower() in {"0", "1", "true", "false"},
    "user": lambda value: bool(GUID.fullmatch(value)),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A Create that passed: company_id in lower case, values as received."""

    company_id: str
    event: int
    note: str
    fields: dict[str, str]


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


def guid(value: object, name: str) -> str:
    """The GUID in lower case. Raises Refused."""
    if value is None or value == "":
        raise Refused("MXMandatoryAttributeMissing", f"'{name}' is mandatory")
    if not isinstance(value, str) or not GUID.fullmatch(value):
        raise Refused("MXInvalidInput", f"'{name}' is not a valid GUID")
    return value.lower()


def _known_keys(body: Mapping[str, Any], known: set[str]) -> None:
    if unknown := body.keys() - known:
        names = ", ".join(sorted(unknown))
        raise Refused("", f"Unknown attribute: {names}", status=412)


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


def _schema_name(name: str, rules: TenantRules) -> bool:
    if name in ("Status", "Owner") or name in rules.fields:
        return True
    return bool(_CUSTOM.fullmatch(name))


def _value_fits(value: str, rule: FieldRule) -> bool:
    if rule.max_length is not None and len(value) > rule.max_length:
        return False
    return rule.type not in _SHAPES or _SHAPES[rule.type](value)


def _is_option(value: str, rule: FieldRule) -> bool:
    return not rule.values or value.lower() in {known.lower() for known in rule.values}


def _checked(fields: dict[str, str], rules: TenantRules, *, complete: bool) -> dict[str, str]:
    """The fields that this activity type has. complete: mandatory ones must be there (not on an update)."""
    kept: dict[str, str] = {}
    for name, value in fields.items():
        if not _schema_name(name, rules):
            if rules.unknown_fields == "refuse":
                raise Refused("MXInvalidActivityFields", f"Field name : '{name}' does not exist.")
            if rules.unknown_fields == "drop":
                continue
        rule = rules.fields.get(name)
        if name == "Owner" and value and not GUID.fullmatch(value):
            raise Refused("MXInvalidInput", "'Owner' is not a valid user Id")
        if rule and value and rule.type == "dropdown" and not _is_option(value, rule):
            # as account records do; without a list anything is stored, as lead records do
            raise Refused("MXInvalidEntityReference", f"Field name : '{name}' has no option '{value}'.")
        if rule and value and not _value_fits(value, rule):
            message = f"Field name : '{name}' of datatype : '{rule.type}' has an invalid value."
            raise Refused("MXInvalidDataType", message)
        kept[name] = value
    for name, rule in rules.fields.items():
        if complete and rule.required and not kept.get(name, "").strip():
            shown = "String" if rule.type == "text" else rule.type.title()
            message = f"Field name : '{name}' of datatype : '{shown}' is mandatory."
            raise Refused("MXInvalidActivityFields", message)
    return kept


def wanted(body: Mapping[str, Any], rules: TenantRules) -> Wanted:
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
    return Wanted(company_id, event, note, _checked(fields, rules, complete=True))


def update(body: Mapping[str, Any], rules: TenantRules) -> tuple[str, str | None, dict[str, str]]:
    """Activity Id, new note (None leaves it), fields to set. Raises Refused."""
    _known_keys(body, _UPDATE_KEYS)
    activity_id = guid(body.get("CompanyActivityId"), "CompanyActivityId")
    note = _note(body) if "ActivityNote" in body else None
    return activity_id, note, _checked(_fields(body), rules, complete=False)
