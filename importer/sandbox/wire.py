"""What goes over the wire: requests, read as strictly as LeadSquared's documentation allows, and answers with
the spellings in which values come back.

Success is `{"Status":"Success","Message":{"Id":…}}` (documentation, post an activity on an account); a
refusal is `{"Status":"Error","ExceptionType":"MX…Exception","ExceptionMessage":…}` (error handling). The
status code alone does not tell: logic errors come as 500, and also with 200, as "Error" or as "Failed" with
`Message.Message`. A body that has not the documented structure is a 400 ("not as per API specification"),
wrong content a refusal; what is no JSON, or JSON of another shape, is a 400 that names no exception, and an
unknown attribute a 412 (observed). Values come back trimmed and respelt: empty fields absent, date-times in
any of four shapes (`DATE_SHAPES`), GUIDs in either case, 1.50 as 1.5 (observed by integrators).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

from aiohttp import web

from importer.sandbox.rules import GUID, FieldRule, RefusalShape, TenantRules

PAGE_MAX: Final = 1000
JSON_TYPE: Final = "application/json; charset=utf-8"

HTML_ERROR: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error of this program
    """The tenant says no. kind: "" if no exception is named. status: of a body that is not as the API wants
    it (400, or 412 for an unknown attribute); None: as the tenant refuses."""

    def __init__(self, kind: str, message: str, *, status: Literal[400, 412] | None = None) -> None:
        super().__init__(message)
        self.kind = kind if kind.endswith("Exception") or not kind else f"{kind}Exception"
        self.message = message
        self.status = status


def encoded(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can say
    """Compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def answer(status: int, body: bytes, content_type: str = JSON_TYPE, **headers: str) -> web.Response:
    """An answer, before anything happens to it on the way."""
    return web.Response(status=status, body=body, headers={"Content-Type": content_type, **headers})


def found(value: Any) -> web.Response:  # noqa: ANN401 - whatever JSON can say
    """200 with a JSON body."""
    return answer(200, encoded(value))


def success(activity_id: str, **more: bool) -> dict[str, Any]:
    """The body of a Create or Update that was done."""
    return {"Status": "Success", "Message": {"Id": activity_id, **more}}


def page(status: int, words: str, **headers: str) -> web.Response:
    """What a server says that knows nothing of the API."""
    return answer(status, f"<html><body>{words}</body></html>".encode(), "text/html", **headers)


def refusal_body(kind: str, message: str, **more: bool) -> bytes:
    """The documented body of a refusal; without an exception's name where there is none (observed)."""
    named = {"ExceptionType": kind} if kind else {}
    return encoded({"Status": "Error", **named, "ExceptionMessage": message, **more})


def refusal(refused: Refused, shape: RefusalShape) -> web.Response:
    """A refusal in the shape that this tenant uses."""
    status = refused.status or shape
    if status == "failed":
        return found({"Status": "Failed", "Message": {"Message": f"{refused.kind}: {refused.message}"}})
    return answer(status, refusal_body(refused.kind, refused.message))


def throttled(message: str, status: int, headers: Mapping[str, str]) -> web.Response:
    """A refusal for the rate; seen with HTTP 429, 200 and 403 (observed by integrators)."""
    return answer(status, refusal_body("MXAPIRateLimitExceededException", message), **headers)


def unauthorised(message: str) -> web.Response:
    """A 401: wrong or revoked keys, a deactivated user, or a host of another region; the words tell which."""
    return answer(401, refusal_body("MXInvalidAccessDetailsException", message))


_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_PADDED: Final = re.compile(r"(-?\d+\.\d*?)0+")
_TRUTH: Final = {"true": "1", "false": "0", "1": "true", "0": "false"}


def moment(epoch_s: float) -> str:
    """`YYYY-MM-DD HH:MM:SS` in UTC, the sub-seconds hidden."""
    return dt.datetime.fromtimestamp(int(epoch_s // 1), dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def parsed_moment(text: object) -> float | None:
    """Seconds since 1970 of a documented date-time, None if it has any other shape."""
    with suppress(ValueError):
        if isinstance(text, str) and _MOMENT.fullmatch(text):
            return dt.datetime.fromisoformat(f"{text}+00:00").timestamp()
    return None


def american(text: str) -> str:
    """The other spelling of a documented date-time: month first, twelve hours."""
    when = dt.datetime.fromisoformat(text)
    half = "AM" if when.hour < 12 else "PM"
    return f"{when.month}/{when.day}/{when.year} {when.hour % 12 or 12}:{when:%M:%S} {half}"


DATE_SHAPES: Final[tuple[Callable[[str], str], ...]] = (
    str,
    american,
    lambda text: f"{text}.000",
    lambda text: f"/Date({int(parsed_moment(text) or 0) * 1000}+0000)/",
)
"""How a documented date-time comes back: `2026-07-31 05:33:50`, `7/31/2026 5:33:50 AM`,
`2026-07-31 05:33:50.000`, `/Date(1785476030000+0000)/` (observed by integrators)."""


def respelt(text: str, kind: str | None, dice: Random | None) -> str:
    """A value as it comes back: trimmed, and in any of its spellings.

    kind: the field's type; None if unknown, then its looks decide. dice: None leaves the spelling alone.
    """
    text = text.strip()
    if dice is None or kind == "text":
        return text
    if kind in (None, "user") and GUID.fullmatch(text):
        return dice.choice((text.upper(), text.lower()))
    if kind in (None, "datetime") and parsed_moment(text) is not None:
        return dice.choice(DATE_SHAPES)(text)
    if kind in (None, "number") and (match := _PADDED.fullmatch(text)):
        return match[1].rstrip(".")
    if kind == "boolean" and text.lower() in _TRUTH:
        return dice.choice((_TRUTH[text.lower()], text.lower()))
    return text


# ---- requests ----

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


def paging(body: Mapping[str, Any]) -> slice:
    """What is on the page that is asked for. The documentation shows strings and numbers. Raises Refused."""
    given = json_object(body, "Paging")
    numbers = []
    for name, default in (("PageIndex", 1), ("PageSize", 100)):
        text = str(given.get(name, default))
        if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
            raise Refused("MXInvalidInput", f"'{name}' must be a number from 1")
        numbers.append(int(text[:9]))
    index, size = numbers[0], min(numbers[1], PAGE_MAX)
    return slice((index - 1) * size, index * size)


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
