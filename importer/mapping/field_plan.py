"""One block of a mapping → a `FieldPlan`: everything about a field that does not depend on the sheet.

The models have checked each key; here it is the combinations that count. Every mistake is collected.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from importer.mapping.choices import Choices, listing
from importer.mapping.date_formats import FormatError, literal_zone, parted
from importer.mapping.date_values import DateAndTime, DateTimeValue, DateValue
from importer.mapping.model import FieldSpec, TableSpec
from importer.mapping.month_names import ENGLISH, LOCALES, locale_named
from importer.mapping.references import Lookup
from importer.mapping.values import (
    BooleanValue,
    EventValue,
    Fault,
    IdValue,
    ListValue,
    NumberValue,
    TextValue,
    ValueType,
    trimmed,
)
from importer.mapping.yaml_file import Where
from importer.text import quoted

Entries = list[tuple[str, str]]
Report = Callable[[Where, str], None]
"""Takes a mistake: where it is, and the sentence."""

_MODIFIER_TYPES: Final = {
    "max_length": ("text",),
    "format": ("date", "datetime"),
    "locale": ("date", "datetime"),
    "timezone": ("datetime",),
    "send": ("boolean",),
    "decimal": ("number", "integer"),
    "currency": ("number", "integer"),
    "separator": ("list",),
    "join": ("list",),
}
_NOT_WITH_VALUE: Final = ("default", "one_of", "values", "values_file")


@dataclass(frozen=True, slots=True)
class Template:
    """Text with columns in braces. pieces: (literal text, then a column or None at the end)."""

    text: str
    pieces: tuple[tuple[str, str | None], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(column for _, column in self.pieces if column is not None)


@dataclass(frozen=True, slots=True)
class FieldPlan:
    """How one field is filled. Exactly one of column, template and constant is set.

    where: its place in the mapping. choices: the closed list, if there is one; `maps`: it says what to send
    (`values`) rather than what is allowed (`one_of`). default, constant: as they are sent (for a lookup: as
    they are looked up). date_and_time: reads the two columns of a template that together are one date-time.
    """

    name: str
    where: Where
    column: str | None
    template: Template | None
    constant: str | None
    type: ValueType
    choices: Choices | None = None
    maps: bool = False
    default: str | None = None
    required: bool = False
    strip: bool = True
    send_empty: bool = False
    lookup: Lookup | None = None
    date_and_time: DateAndTime | None = None

    def read(self, cell: str) -> str | Fault:
        """What is sent (or looked up) for a cell that is not empty."""
        if self.choices is None:
            return self.type.read(cell)
        if isinstance(self.type, ListValue):
            return self._read_items(self.type, str(cell), self.choices)
        if self.maps:
            text = str(cell)
            sent = self.choices.find(text)
            return self.choices.fault(text) if sent is None else sent
        read = self.type.read(cell)
        if isinstance(read, Fault):
            return read
        sent = self.choices.find(read)
        return self.choices.fault(read) if sent is None else sent

    def lists(self, cell: str) -> bool:
        """Whether the mapping names this very text, so that nothing about it is a surprise."""
        return self.choices is not None and self.choices.find(str(cell)) is not None

    def _read_items(self, kind: ListValue, cell: str, choices: Choices) -> str | Fault:
        sent: list[str] = []
        for item in kind.items(cell):
            found = choices.find(item)
            if found is None:
                return self._unlisted(kind, cell, item, choices)
            if found:
                sent.append(found)
        return kind.join.join(sent)

    @staticmethod
    def _unlisted(kind: ListValue, cell: str, item: str, choices: Choices) -> Fault:
        """An item that is not allowed; perhaps the items are separated by something else."""
        for separator in (",", ";", "|", "/", "\n"):
            items = ListValue(separator).items(cell)
            if separator != kind.separator and all(choices.find(each) is not None for each in items):
                shown = "\\n" if separator == "\n" else separator
                message = f"{quoted(cell)} seems to separate its items by {quoted(separator)}."
                return Fault("not-listed", message, f'Set `separator: "{shown}"` in the mapping.')
        return choices.fault(item)


def plan_field(
    name: str,
    spec: FieldSpec,
    where: Where,
    report: Report,
    table: Callable[[Where, TableSpec], Entries],
    *,
    locale: str | None = None,
) -> FieldPlan:
    """The plan for one block; its mistakes go to `report`. `table` reads a `values_file`. locale: of the
    whole mapping, for fields that have none."""
    planner = _Planner(spec, where, report, locale)
    planner.check_sources()
    planner.check_modifiers()
    lookup = planner.lookup()
    value_type = TextValue() if lookup else planner.value_type(name)
    template = None if spec.template is None else planner.template(spec.template)
    choices = planner.choices(value_type, table)
    maps = spec.one_of is None and choices is not None
    default = planner.default(value_type, choices, maps=maps)
    return FieldPlan(
        name=name,
        where=where,
        column=None if spec.column is None else spec.column.strip(),
        template=template,
        constant=planner.constant(value_type),
        type=value_type,
        choices=choices,
        maps=maps,
        default=default,
        required=spec.required,
        strip=spec.strip,
        send_empty=spec.send_empty,
        lookup=lookup,
        date_and_time=planner.date_and_time(value_type, template),
    )


class _Planner:
    def __init__(self, spec: FieldSpec, where: Where, report: Report, locale: str | None) -> None:
        self._spec = spec
        self._where = where
        self._report = report
        self._locale = self._known_locale(locale)

    def _say(self, key: str, text: str) -> None:
        self._report((*self._where, key), text)

    def check_sources(self) -> None:
        spec = self._spec
        given = [key for key in ("column", "value", "template") if getattr(spec, key) is not None]
        if not given:
            self._report(self._where, "There is no source for the value. Add `column:` or `value:`.")
        for key in given[1:]:
            self._say(key, f"`{key}` and `{given[0]}` exclude each other. Keep one.")
        if spec.value is not None:
            for key in _NOT_WITH_VALUE:
                if getattr(spec, key) is not None:
                    self._say(key, f"`{key}` has no meaning beside a constant `value`. Leave it out.")
        lists = [key for key in ("one_of", "values", "values_file") if getattr(spec, key) is not None]
        for key in lists[1:]:
            self._say(key, f"`{key}` and `{lists[0]}` exclude each other. Keep one.")
        if spec.send_empty:
            for key in ("required", "default"):
                if getattr(spec, key):
                    self._say("send_empty", f"`send_empty` and `{key}` contradict each other. Keep one.")

    def check_modifiers(self) -> None:
        spec = self._spec
        kind = spec.type or "text"
        for key, types in _MODIFIER_TYPES.items():
            if getattr(spec, key) is None:
                continue
            if spec.lookup:
                self._say(key, f"`{key}` has no meaning with a lookup. Leave it out.")
            elif kind not in types:
                self._say(key, f"`{key}` belongs to type {' or '.join(types)}, but the type here is {kind}.")
        if not spec.strip and kind != "text":
            self._say("strip", f"`strip: false` belongs to type text, but the type here is {kind}.")
        if kind == "boolean" and spec.one_of is not None:
            self._say("one_of", "A boolean is yes or no already. Leave `one_of` out.")

    def lookup(self) -> Lookup | None:
        spec = self._spec
        if spec.lookup is None:
            for key in ("by", "company_type"):
                if getattr(spec, key) is not None:
                    self._say(key, f"`{key}` belongs to a lookup. Add `lookup: user` or `lookup: account`.")
            return None
        if spec.type not in {None, "id"}:
            self._say("type", "A lookup gives an Id. Leave `type` out.")
        by = spec.by
        if spec.lookup == "user":
            by = by or "EmailAddress"
            if spec.company_type is not None:
                self._say("company_type", "`company_type` belongs to `lookup: account`. Leave it out.")
        else:
            if by is None:
                self._say("lookup", "Add the attribute that the column holds, such as by: mx_Account_Code.")
            if spec.company_type is None:
                self._say("lookup", "Add the type of account to search, such as company_type: Account.")
        column = spec.column or spec.template or ""
        return Lookup(spec.lookup, (by or "").strip(), spec.company_type, column.strip())

    def value_type(self, name: str) -> ValueType:
        return EventValue() if name == "ActivityEvent" else self._named_type()

    def _named_type(self) -> ValueType:
        spec = self._spec
        match spec.type:
            case "integer" | "number" as kind:
                return NumberValue(spec.decimal, whole=kind == "integer", currency=bool(spec.currency))
            case "list":
                return ListValue(spec.separator or ";", spec.join or ";")
            case "boolean":
                return BooleanValue((spec.send.yes, spec.send.no)) if spec.send else BooleanValue()
            case "id":
                return IdValue()
            case "date" | "datetime":
                return self._date_type()
            case _:
                return TextValue(spec.max_length)

    def _date_type(self, *, formats: bool = True) -> ValueType:
        spec = self._spec
        given = (spec.format or []) if formats else []
        good: list[str] = []
        for index, text in enumerate(given):
            place = (*self._where, "format", index) if len(given) > 1 else (*self._where, "format")
            zone = literal_zone(text) if spec.type == "datetime" else None
            if zone is not None:
                self._report(place, _literal_zone_mistake(text, zone))
                continue
            try:
                DateValue([text])
                good.append(text)
            except FormatError as error:
                self._report(place, str(error))
        if spec.type == "date":
            return DateValue(good, self._locale)
        return DateTimeValue(self._zone(), good, self._locale)

    def date_and_time(self, value_type: ValueType, template: Template | None) -> DateAndTime | None:
        """The reader for a template of two columns that are a date and a time of day."""
        if template is None or not isinstance(value_type, DateTimeValue) or len(template.columns) != 2:
            return None
        given = [one.text for one in value_type.formats.given]
        between = {literal.strip() for literal, _ in template.pieces}
        if not between <= {"", "T", ","} or not all(map(parted, given)):
            return None  # the two are not apart in the format: the text is read as a whole
        try:
            return DateAndTime(value_type, given, self._locale)
        except FormatError:
            return None

    def _known_locale(self, general: str | None) -> str:
        named = self._spec.locale or general
        found = ENGLISH if named is None else locale_named(named)
        if found is None:
            text = (
                f"The month names of {quoted(named or '')} are not known here. Known: {', '.join(LOCALES)}."
            )
            self._say("locale", text)
        return found or ENGLISH

    def _zone(self) -> zoneinfo.ZoneInfo:
        name = self._spec.timezone
        if name is None:
            self._say("type", "A datetime needs a `timezone`, such as timezone: Asia/Kolkata.")
            return zoneinfo.ZoneInfo("UTC")
        if name.strip() in _NO_SUMMER_TIME:
            what = f"{quoted(name)} is {_NO_SUMMER_TIME[name.strip()]} hours behind UTC also in summer."
            self._say("timezone", f"{what} {zone_remedy(name)}")
        try:
            return zoneinfo.ZoneInfo(name.strip())
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            self._say("timezone", f"{quoted(name)} is not a time zone. {zone_remedy(name)}")
            return zoneinfo.ZoneInfo("UTC")

    def template(self, text: str) -> Template:
        pieces: list[tuple[str, str | None]] = []
        literal, position = "", 0
        while position < len(text):
            sign = text[position]
            if text[position : position + 2] in {"{{", "}}"}:
                literal, position = literal + sign, position + 2
            elif sign == "{":
                end = text.find("}", position)
                column = text[position + 1 : end].strip() if end > 0 else ""
                if not column or "{" in column:
                    self._say(
                        "template", "A { without its }, or nothing between them. A brace as such is {{."
                    )
                    break
                pieces.append((literal, column))
                literal, position = "", end + 1
            elif sign == "}":
                self._say("template", "A } without its {. A brace as such is written }}.")
                break
            else:
                literal, position = literal + sign, position + 1
        else:
            if not pieces:
                self._say("template", "There is no column in braces here. Use `value` for a constant text.")
        return Template(text, (*pieces, (literal, None)))

    def choices(self, value_type: ValueType, table: Callable[[Where, TableSpec], Entries]) -> Choices | None:
        spec = self._spec
        if spec.one_of is not None:
            return Choices(
                (sent, sent)
                for index, text in enumerate(spec.one_of)
                if (sent := self._listed(value_type, text, ("one_of", index))) is not None
            )
        if spec.values is not None:
            place, entries = "values", list(spec.values.items())
        elif spec.values_file is not None:
            place = "values_file"
            entries = table((*self._where, "values_file"), spec.values_file)
        else:
            return None
        return Choices(self._mapped(value_type, place, entries))

    def _mapped(self, value_type: ValueType, place: str, entries: Iterable[tuple[str, str]]) -> Entries:
        """The entries with what is sent made of each value; repeated and empty keys are mistakes."""
        known: dict[str, str] = {}
        for raw_key, value in entries:
            key = trimmed(raw_key)
            spot = (place, raw_key) if place == "values" else (place,)
            sent = self._listed(value_type, value, spot) if trimmed(value) else ""
            if not key:
                self._report((*self._where, *spot), "An empty key matches nothing; use `default`.")
            elif sent is not None and known.setdefault(key, sent) != sent:
                self._report((*self._where, *spot), f"{quoted(key)} is listed twice, with different values.")
        return list(known.items())

    def _listed(self, value_type: ValueType, text: str, spot: Where) -> str | None:
        sent = self._constant_read(value_type, text)
        if isinstance(sent, Fault):
            self._report((*self._where, *spot), f"{sent.message} {sent.remedy}")
            return None
        return sent

    def _constant_read(self, value_type: ValueType, text: str) -> str | Fault:
        """A text of the mapping, read like a cell; dates may also stand in the ISO form."""
        cell = trimmed(text) if self._spec.strip else text
        if not trimmed(text):
            return Fault("missing", "There is nothing here.", "Write a value, or leave the line out.")
        sent = value_type.read(cell)
        if (
            isinstance(sent, Fault)
            and self._spec.format
            and isinstance(value_type, DateValue | DateTimeValue)
        ):
            iso = self._date_type(formats=False).read(cell)
            return sent if isinstance(iso, Fault) else iso
        return sent

    def constant(self, value_type: ValueType) -> str | None:
        text = self._spec.value
        if text is None or (not text and self._spec.send_empty):
            return text
        return self._listed(value_type, text, ("value",))

    def default(self, value_type: ValueType, choices: Choices | None, *, maps: bool) -> str | None:
        """As it is sent. Beside `values` it is one of the keys, or else itself what is sent."""
        text = self._spec.default
        if text is None:
            return None
        sent = None if choices is None else choices.find(trimmed(text))
        if sent is None and (choices is None or maps):
            return self._listed(value_type, text, ("default",))
        if sent is None and choices is not None:
            self._say("default", f"{quoted(text)} is not one of {listing(choices.keys)}.")
        return sent


_ZONE_ABBREVIATIONS: Final = {
    "IST": "India (Asia/Kolkata), Israel (Asia/Jerusalem) or Ireland (Europe/Dublin)",
    "BST": "Britain (Europe/London) or Bangladesh (Asia/Dhaka)",
    "CST": "the United States (America/Chicago) or China (Asia/Shanghai)",
    "PST": "the United States (America/Los_Angeles) or the Philippines (Asia/Manila)",
    "AST": "Arabia (Asia/Riyadh) or the Atlantic (America/Halifax)",
    "GST": "the Gulf (Asia/Dubai) or Guam (Pacific/Guam)",
    "SGT": "Singapore (Asia/Singapore)",
    "AEST": "eastern Australia (Australia/Sydney or Australia/Brisbane)",
    "EST": "the eastern United States (America/New_York)",
    "MST": "the United States (America/Denver, or America/Phoenix without summer time)",
    "HST": "Hawaii (Pacific/Honolulu)",
    "CEST": "central Europe (Europe/Berlin, Europe/Paris and others)",
}
_NO_SUMMER_TIME: Final = {"EST": 5, "MST": 7, "HST": 10}
"""Abbreviations that are time zones as well, of which nobody means that."""
_FIXED_OFFSET: Final = re.compile(r"(?:GMT|UTC)? ?[+-] ?\d{1,2}(?:[:.]?\d{2})?", re.IGNORECASE)


def zone_remedy(name: str) -> str:
    """What to write instead of a text that is not a time zone. Never a zone that is only spelled alike: it
    may be hours away."""
    text = name.strip()
    example = "Write it as continent and city, such as Asia/Kolkata."
    if text.upper() in _ZONE_ABBREVIATIONS:
        return f"It can mean {_ZONE_ABBREVIATIONS[text.upper()]}. {example}"
    if _FIXED_OFFSET.fullmatch(text):
        return "It is a distance from UTC. Write the place instead, such as Asia/Kolkata (UTC+5:30)."
    city = text.replace(" ", "_").casefold()
    same = [
        zone for zone in zoneinfo.available_timezones()
        if city in {zone.casefold(), zone.casefold().rpartition("/")[2]} and "/" in zone
    ]  # fmt: skip
    return f"Write {same[0]}." if len(same) == 1 else example


def _literal_zone_mistake(text: str, zone: str) -> str:
    remedy = re.sub(rf"{re.escape(zone)}(?![A-Za-z])", "%z", text)
    return (
        f'The format "{text}" has {zone} as plain text, which names a time zone beside `timezone`.'
        f' Write %z there: it is read as an offset from UTC. format: "{remedy}"'
    )
