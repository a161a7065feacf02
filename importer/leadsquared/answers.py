"""The answers of LeadSquared's reads as Python values. Pure; an answer of another shape is an AnswerError.

Shapes: the vendor's documentation (user-authentication, get-users, get-an-account, retrieve-account-
activities-by-account-id, retrieve-an-account-activity-by-activity-id) and what integrators observed
(the list is absent when it is empty; date-times in two spellings; GUIDs in either case).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from importer.activity import GUID, ActivityField, StoredActivity, dotnet_time
from importer.leadsquared.outcomes import parsed
from importer.text import one_line

WORDS_LENGTH_MAX: Final = 200

_T = TypeVar("_T")


class AnswerError(ValueError):
    """The answer is not what this call gives. `str()` says what is missing, for the log and a person."""


@dataclass(frozen=True, slots=True)
class CurrentUser:
    """Whose keys these are. organisation: shown name; org_code: `OrgShortCode`, what names the tenant;
    api_host: the host of the tenant's region as the answer gives it ("" if it gives none)."""

    id: str
    name: str
    email: str
    role: str
    organisation: str
    org_code: str
    time_zone: str
    api_host: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A user or an account of the tenant. attributes: all that is a text, under the answer's names. active:
    users may be inactive."""

    id: str
    name: str
    attributes: Mapping[str, str]
    active: bool = True


def read_current_user(body: bytes) -> CurrentUser:
    """`UserByAccessKey.Get`. Raises AnswerError."""
    answer = _object(parsed(body), "user")
    urls = answer.get("LSQCommonServiceURLs")
    org_code = _shown(answer, "OrgShortCode")
    if not org_code:
        raise AnswerError("the answer has no OrgShortCode")
    return CurrentUser(
        id=_shown(answer, "Id"),
        name=_shown(answer, "Name"),
        email=_shown(answer, "EmailAddress"),
        role=_shown(answer, "Role"),
        organisation=_shown(answer, "OrgDisplayName"),
        org_code=org_code,
        time_zone=_shown(answer, "TimeZone"),
        api_host=_shown(urls, "api") if isinstance(urls, dict) else "",
    )


def read_users(body: bytes) -> tuple[Candidate, ...]:
    """`Users.Get`; entries without an Id are left out. `FullName`, which people look users up by and the
    answer does not have, is an attribute too. Raises AnswerError."""
    users = map(_user, _list(parsed(body), "users"))
    return tuple(user for user in users if user.id)


def _user(entry: object) -> Candidate:
    person = _object(entry, "user")
    name = f"{_shown(person, 'FirstName')} {_shown(person, 'LastName')}".strip()
    attributes = {key: text for key, value in person.items() if (text := text_of(value))}
    if name:
        attributes.setdefault("FullName", name)
    return Candidate(_shown(person, "ID"), name, attributes, attributes.get("StatusCode", "0") == "0")


def read_companies(body: bytes) -> tuple[int, list[Candidate]]:
    """`Company.Get`: how many there are, and those of the page. Raises AnswerError."""
    return _page(body, "accounts", "Companies", _company)


def read_activities(body: bytes) -> tuple[int, list[StoredActivity]]:
    """`CompanyActivity.svc/Retrieve`: how many there are, and those of the page. Raises AnswerError."""
    return _page(body, "activities", "CompanyActivities", _activity)


def _page(body: bytes, what: str, key: str, read: Callable[[object], _T]) -> tuple[int, list[_T]]:
    """A list that is absent or null is empty (observed), on a page past the end too."""
    answer = _object(parsed(body), f"page of {what}")
    count = text_of(answer.get("RecordCount")).strip()
    if not re.fullmatch(r"\d{1,9}", count, re.ASCII):
        raise AnswerError("the answer has no RecordCount")
    listed = answer.get(key)
    return int(count), [] if listed is None else list(map(read, _list(listed, key)))


def read_activity(body: bytes) -> StoredActivity:
    """`CompanyActivity.svc/RetrieveById`. Raises AnswerError."""
    return _activity(parsed(body))


def read_activity_fields(body: bytes) -> tuple[ActivityField, ...]:
    """The fields of `CustomActivity/GetActivitySetting`. Raises AnswerError."""
    fields = _list(_object(parsed(body), "activity type").get("Fields"), "fields")
    return tuple(
        ActivityField(
            schema_name=_shown(each, "SchemaName"),
            display_name=_shown(each, "DisplayName"),
            mandatory=text_of(each.get("IsMandatory")).lower() in {"1", "true"},
            options=_options(each.get("OptionSet")),
        )
        for each in (_object(entry, "field") for entry in fields)
        if _shown(each, "SchemaName")
    )


def _options(options: object) -> tuple[str, ...]:
    """An option set: a list of texts or of objects with a value, such a list as JSON text, or a text with
    `;`; () if unreadable."""
    if isinstance(options, str) and options.lstrip().startswith("["):
        try:
            options = json.loads(options)
        except ValueError:
            return ()
    if isinstance(options, str):
        return tuple(part.strip() for part in options.split(";") if part.strip())
    if not isinstance(options, list):
        return ()
    texts = [
        text_of(one.get("Value") or one.get("Label")) if isinstance(one, dict) else text_of(one)
        for one in options
    ]
    return tuple(text.strip() for text in texts if text.strip())


_ISO: Final = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)[T ](\d\d?):(\d\d):(\d\d)(?:\.\d{1,9})?(?:Z|\+00:00)?", re.ASCII
)
_AMERICAN: Final = re.compile(
    r"(\d\d?)/(\d\d?)/(\d{4}) (\d\d?):(\d\d):(\d\d)(?: ?([AP])M)?", re.ASCII | re.IGNORECASE
)


def read_time(text: str) -> dt.datetime | None:
    """`2026-07-31 05:33:50`, `7/31/2026 5:33:50 AM` or `/Date(1785476030000+0000)/` as UTC, whole seconds;
    None for anything else."""
    text = text.strip()
    if found := _ISO.fullmatch(text):
        year, month, day, hour, minute, second = (int(number) for number in found.groups())
    elif found := _AMERICAN.fullmatch(text):
        month, day, year, hour, minute, second = (int(number) for number in found.groups()[:6])
        if found[7]:
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + (12 if found[7].upper() == "P" else 0)
    else:
        return dotnet_time(text)
    try:
        return dt.datetime(year, month, day, hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        return None


def text_of(value: object) -> str:
    """A JSON value as the text that it shows: null is empty, booleans are `true` and `false`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return ""


def _shown(part: Mapping[str, Any], key: str) -> str:
    return one_line(text_of(part.get(key)), WORDS_LENGTH_MAX)


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise AnswerError(f"the answer is not a {what}")
    return value


def _list(value: object, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise AnswerError(f"the answer has no list of {what}")
    return value


def _company(entry: object) -> Candidate:
    properties = _list(_object(entry, "account").get("companyPropertyList"), "properties")
    pairs = [_object(item, "property") for item in properties]
    texts = [(text_of(pair.get("Attribute")), text_of(pair.get("Value"))) for pair in pairs]
    attributes = {name: value for name, value in texts if name and value}
    company_id = attributes.get("CompanyId", "").strip()
    if not company_id:
        raise AnswerError("an account has no CompanyId")
    return Candidate(company_id, attributes.get("CompanyName", "").strip(), attributes)


def _activity(entry: object) -> StoredActivity:
    read = _object(entry, "activity")
    activity_id = text_of(read.get("CompanyActivityId")).strip()
    if not GUID.fullmatch(activity_id):
        raise AnswerError("an activity has no CompanyActivityId")
    event = text_of(read.get("ActivityEvent")).strip()
    fields = read.get("ActivityFields")
    return StoredActivity(
        id=activity_id,
        company_id=text_of(read.get("RelatedCompanyId")).strip(),
        event=int(event) if re.fullmatch(r"-?\d{1,15}", event, re.ASCII) else None,
        note=text_of(read.get("ActivityNote")),
        fields=_fields({} if fields is None else fields),
        created_on=read_time(text_of(read.get("CreatedOn"))),
        created_by=text_of(read.get("CreatedBy")).strip(),
    )


def _fields(fields: object) -> dict[str, str]:
    """`ActivityFields`, without the empty ones; a nested value cannot be compared and is an error."""
    read: dict[str, str] = {}
    for name, value in _object(fields, "set of ActivityFields").items():
        if isinstance(value, dict | list):
            raise AnswerError(f"the field {one_line(name, 100)} of an activity is not a text")
        if text := text_of(value):
            read[name] = text
    return read
