"""An activity: the JSON that a row becomes, and the identity of its content."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import json.encoder
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

from importer.errors import damaged

Fields = tuple[tuple[str, str], ...]
ACCOUNT: Final = "RelatedCompanyId"
EVENT: Final = "ActivityEvent"
NOTE: Final = "ActivityNote"
"""The parts of a request beside `Fields`; no field of an activity type is called so."""
GUID: Final = re.compile(
    r"\{?([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\}?", re.IGNORECASE | re.ASCII
)
"""An Id of LeadSquared's, with or without braces; what has another shape is no Id."""
_DOTNET_TIME: Final = re.compile(r"/Date\((-?\d{1,14})(?:[+-]\d{4})?\)/", re.ASCII | re.IGNORECASE)
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_quoted: Final = json.encoder.encode_basestring


def dotnet_time(text: str) -> dt.datetime | None:
    """`/Date(1785476030000+0000)/`, as LeadSquared sometimes gives a time, in UTC and whole seconds; None for
    anything else."""
    found = _DOTNET_TIME.fullmatch(text)
    try:
        return None if found is None else _EPOCH + dt.timedelta(seconds=int(found[1]) // 1000)
    except OverflowError:
        return None


class Activity(NamedTuple):
    """What `POST /v2/CompanyActivity.svc/Create` is asked to create (leadsquared.md, "Calls that matter").

    company_id: `RelatedCompanyId`, a GUID as text. event: `ActivityEvent`, the type's code.
    note: `ActivityNote`, None when none is sent. fields: (schema name, value) in the mapping's order,
    every value a string, as the documentation's samples have them.
    """

    company_id: str
    event: int
    note: str | None
    fields: Fields

    def encoded(self) -> bytes:
        """The request body: compact UTF-8 JSON in one fixed order, so equal content gives equal bytes."""
        # Put together here, since `json.dumps` takes four times as long, and a sheet may have a million rows.
        note = "" if self.note is None else f',"ActivityNote":{_quoted(self.note)}'
        fields = [f'{{"SchemaName":{_quoted(name)},"Value":{_quoted(value)}}}' for name, value in self.fields]
        head = f'{{"RelatedCompanyId":{_quoted(self.company_id)},"ActivityEvent":{self.event}'
        return f'{head}{note},"Fields":[{",".join(fields)}]}}'.encode()

    def parts(self) -> dict[str, str]:
        """Everything that is sent, by name, in order."""
        note = {} if self.note is None else {NOTE: self.note}
        return {ACCOUNT: self.company_id, EVENT: str(self.event), **note, **dict(self.fields)}

    def corrected(self, after: Mapping[str, str]) -> Self:
        """With these values of note and fields."""
        fields = {**dict(self.fields), **{name: value for name, value in after.items() if name != NOTE}}
        return self._replace(note=after.get(NOTE, self.note), fields=tuple(fields.items()))

    @classmethod
    def decoded(cls, body: bytes) -> Self:
        """The activity whose `encoded()` is `body`. Raises StoreError on anything else: bodies are read from
        the store alone."""
        try:
            read = json.loads(body)
            fields = tuple((field["SchemaName"], field["Value"]) for field in read["Fields"])
            return cls(read["RelatedCompanyId"], read["ActivityEvent"], read.get("ActivityNote"), fields)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise damaged("an activity") from None


def addressed(body: bytes) -> tuple[str, int]:
    """The account and the event of the activity whose `encoded()` is `body`. Raises as `Activity.decoded`."""
    activity = Activity.decoded(body)
    return activity.company_id, activity.event


@dataclass(frozen=True, slots=True)
class Marker:
    """The mapping's `marker`: a text field of the activity type in which batch and row travel."""

    schema_name: str
    batch: str

    def on(self, activity: Activity, row_number: int) -> Activity:
        """The activity as it is sent for that row."""
        mark = (self.schema_name, f"{self.batch} {row_number}")
        return Activity(activity.company_id, activity.event, activity.note, (*activity.fields, mark))


def fingerprint(body: bytes) -> bytes:
    """16 bytes that stand for an activity's content (of `Activity.encoded()`, without a marker)."""
    return hashlib.blake2b(body, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class StoredActivity:
    """An activity as Retrieve gives it back: values normalised by the tenant, empty fields absent.

    created_on: UTC, whole seconds, None when it could not be read. created_by: the user's Id, "" if absent.
    note and the values of `fields` are exactly as the tenant returned them.
    """

    id: str
    company_id: str
    event: int | None
    note: str
    fields: Mapping[str, str]
    created_on: dt.datetime | None
    created_by: str


@dataclass(frozen=True, slots=True)
class ActivityField:
    """A field of an activity type, as LeadSquared's own settings describe it. options: what a dropdown has,
    () for other fields."""

    schema_name: str
    display_name: str
    mandatory: bool
    options: tuple[str, ...] = ()
