"""A mapping file's document → its fields and reading options, with every mistake collected on the way.

The models have checked each key; here it is the combinations that count.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from importer.errors import SheetError
from importer.findings import QUESTIONS
from importer.mapping.choices import Choices, did_you_mean, listing
from importer.mapping.dates import (
    DateAndTime,
    DateTimeValue,
    DateValue,
    FormatError,
    literal_zone,
    parted,
)
from importer.mapping.model import MODIFIER_TYPES, SCHEMA_NAME, FieldSpec, TableSpec, field_spec
from importer.mapping.month_names import ENGLISH, LOCALES, locale_named
from importer.mapping.references import Lookup
from importer.mapping.row_mapper import MappedField, Template
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
from importer.mapping.yaml_file import Document, Where, path_text, shape_mistakes
from importer.text import quoted

TABLE_ROWS_MAX: Final = 100_000
DELIMITERS: Final = {mark: mark for mark in ",;|\t"} | {
    "comma": ",",
    "semicolon": ";",
    "pipe": "|",
    "tab": "\t",
    "\\t": "\t",
}
OWN_PLACES: Final = ("RelatedCompanyId", "ActivityEvent", "ActivityNote")

Tables = dict[str, list[list[str]]]
"""The (key, value) rows of each `values_file`, by its place in the mapping."""
Entries = list[tuple[str, str]]
Report = Callable[[Where, str], None]
"""Takes a mistake: where it is, and the sentence."""

_NOT_WITH_VALUE: Final = ("default", "one_of", "values", "values_file")


class MappingBuilder:
    """`mistakes` is complete once `fields()` and `reading()` have been called."""

    def __init__(self, document: Document, folder: Path, kept: Tables | None) -> None:
        """folder: where `values_file` paths start. kept: tables of a batch, read instead of the files."""
        self._document = document
        self._folder = folder
        self._kept = kept
        self.tables: Tables = {}
        self.mistakes, self._bad = shape_mistakes(document)
        self._locale = self._top("locale")

    def fields(self) -> dict[Where, MappedField]:
        """The field of each block whose shape is right, by its place."""
        data = self._document.data
        blocks: list[Where] = [(key,) for key in OWN_PLACES if key in data]
        fields = data.get("Fields")
        if isinstance(fields, dict):
            blocks += [("Fields", name) for name in fields]
            self._check_names(list(fields))
        good = [where for where in blocks if where not in self._bad and where[:1] not in self._bad]
        return {where: self._field(where) for where in good}

    def reading(self) -> dict[str, Any]:
        """What a mapping says about itself and about how its sheet is read, checked, by the names of
        `Mapping`; None where it says nothing."""
        header_row = self._top("header_row")
        return {
            "name": self._top("name"),
            "sheet": self._document.data.get("sheet"),
            "encoding": self._encoding(self._top("encoding")),
            "delimiter": self._delimiter(self._document.data.get("delimiter")),
            "header_row": None if header_row is None or ("header_row",) in self._bad else int(header_row),
            "marker": self._marker(self._top("marker")),
            "accept": self._accepted(self._document.data.get("accept")),
        }

    def _report(self, where: Where, text: str) -> None:
        self.mistakes.append(self._document.mistake(where, text))

    def _top(self, key: str) -> str | None:
        value = self._document.data.get(key)
        return value.strip() if isinstance(value, str) else None

    def _field(self, where: Where) -> MappedField:
        key, name = str(where[0]), str(where[-1])
        raw: Any = self._document.data[key]
        spec = field_spec(key, raw[name] if len(where) > 1 else raw)
        if key != "Fields":
            self._check_own_place(key, raw, spec)
        return _FieldBuilder(spec, where, self._report, self._locale).field(name, self._table)

    def _check_own_place(self, key: str, raw: object, spec: FieldSpec) -> None:
        if key == "ActivityNote":
            return
        if isinstance(raw, dict) and str(raw.get("required")).lower() == "false":
            self._report((key, "required"), f"{key} is always needed. Leave `required` out.")
        if spec.lookup == "user":
            self._report((key, "lookup"), "This is an account, not a user. Write lookup: account.")

    def _check_names(self, names: list[str]) -> None:
        seen: dict[str, str] = {}
        for name in names:
            where = ("Fields", name)
            if name in OWN_PLACES:
                self._report(where, f"{name} belongs beside `Fields:`, not under it. Move it to the left.")
            elif not re.fullmatch(SCHEMA_NAME, name):
                text = "is not a schema name, such as mx_Custom_1: letters, digits and _ only."
                self._report(where, f"{quoted(name)} {text}")
            elif seen.setdefault(name.casefold(), name) != name:
                text = f"{quoted(name)} and {quoted(seen[name.casefold()])} differ only in case. Keep one."
                self._report(where, text)

    def _marker(self, marker: str | None) -> str | None:
        if not marker:
            return None
        fields = self._document.data.get("Fields")
        names = {name.casefold() for name in fields} if isinstance(fields, dict) else set()
        if not re.fullmatch(SCHEMA_NAME, marker):
            self._report(("marker",), f"{quoted(marker)} is not a schema name, such as mx_Custom_9.")
        elif marker.casefold() in names or marker in OWN_PLACES:
            text = f"{marker} is filled by the sheet; the marker needs a field of its own."
            self._report(("marker",), text)
        return marker

    def _accepted(self, raw: object) -> frozenset[str]:
        """The kinds of questions that are fine as they are."""
        kinds = [raw] if isinstance(raw, str) else raw if isinstance(raw, list) else []
        for index, kind in enumerate(kinds):
            if isinstance(kind, str) and kind and kind.strip() not in QUESTIONS:
                where: Where = ("accept", index) if isinstance(raw, list) else ("accept",)
                hint = did_you_mean(kind, QUESTIONS)
                self._report(
                    where, f"{quoted(kind)} is not a question.{hint} Questions: {', '.join(QUESTIONS)}."
                )
        return frozenset(kind.strip() for kind in kinds if isinstance(kind, str))

    def _encoding(self, name: str | None) -> str | None:
        if not name:
            return None
        try:
            "a".encode(name)
        except (LookupError, UnicodeError, ValueError):
            text = (
                f"{quoted(name)} is not an encoding that is known here. Common ones: utf-8, cp1252, utf-16."
            )
            self._report(("encoding",), text)
        return name

    def _delimiter(self, raw: object) -> str | None:
        if not isinstance(raw, str) or not raw:
            return None
        found = DELIMITERS.get(raw) or DELIMITERS.get(raw.strip().lower())
        if found is None:
            self._report(("delimiter",), f"{quoted(raw)} is not a delimiter. Write one of , ; | or tab.")
        return found

    def _table(self, where: Where, spec: TableSpec) -> Entries:
        """The entries of a `values_file`: as kept with the batch if they are, else from the file."""
        place = path_text(where)
        rows = self._read_table(where, spec) if self._kept is None else self._kept.get(place, [])
        self.tables[place] = rows
        return [(key, value) for key, value in rows]

    def _read_table(self, where: Where, spec: TableSpec) -> list[list[str]]:
        from importer.sheets import SheetOptions, read_table

        path = self._folder / spec.path
        if not path.resolve().is_relative_to(self._folder.resolve()):
            self._report(
                where,
                f"{quoted(spec.path)} is outside of the mapping's folder. Copy the file beside the mapping.",
            )
            return []
        try:
            rows = read_table(
                path, SheetOptions(sheet=spec.sheet), key=spec.key or "key", value=spec.value or "value"
            )
        except SheetError as error:
            self._report(where, str(error))
            return []
        if len(rows) > TABLE_ROWS_MAX:
            self._report(where, f"{path.name} has {len(rows)} rows; at most {TABLE_ROWS_MAX} are possible.")
            return []
        if not rows:
            self._report(where, f"{path.name} holds no values.")
        return [[str(key), str(value)] for _, key, value in rows]


class _FieldBuilder:
    """One block of the mapping. Its mistakes go to `report`. locale: of the whole mapping, for fields that
    have none."""

    def __init__(self, spec: FieldSpec, where: Where, report: Report, locale: str | None) -> None:
        self._spec = spec
        self._where = where
        self._report = report
        self._locale = self._known_locale(locale)

    def _say(self, key: str, text: str) -> None:
        self._report((*self._where, key), text)

    def field(self, name: str, table: Callable[[Where, TableSpec], Entries]) -> MappedField:
        """table: reads a `values_file`."""
        spec = self._spec
        self._check_sources()
        self._check_modifiers()
        lookup = self._lookup()
        value_type = TextValue() if lookup else EventValue() if name == "ActivityEvent" else self._type()
        template = None if spec.template is None else self._template(spec.template)
        choices = self._choices(value_type, table)
        maps = spec.one_of is None and choices is not None
        return MappedField(
            name=name,
            where=self._where,
            column=None if spec.column is None else spec.column.strip(),
            template=template,
            constant=self._constant(value_type),
            type=value_type,
            choices=choices,
            maps=maps,
            default=self._default(value_type, choices, maps=maps),
            required=spec.required,
            strip=spec.strip,
            send_empty=spec.send_empty,
            lookup=lookup,
            date_and_time=self._date_and_time(value_type, template),
        )

    def _check_sources(self) -> None:
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

    def _check_modifiers(self) -> None:
        spec = self._spec
        kind = spec.type or "text"
        for key, types in MODIFIER_TYPES.items():
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

    def _lookup(self) -> Lookup | None:
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

    def _type(self) -> ValueType:
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

    def _date_and_time(self, value_type: ValueType, template: Template | None) -> DateAndTime | None:
        """The reader for a template of two columns that are a date and a time of day."""
        if template is None or not isinstance(value_type, DateTimeValue) or len(template.columns) != 2:
            return None
        given = [one.text for one in value_type.formats.given]
        between = {literal.strip() for literal in template.literals}
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

    def _template(self, text: str) -> Template:
        literals, columns, mistake = [""], [], ""
        for piece in re.findall(r"\{\{|\}\}|\{[^{}]*\}|[^{}]+|.", text, re.DOTALL):
            column = piece[1:-1].strip()
            if piece[0] not in "{}" or piece in {"{{", "}}"}:
                literals[-1] += piece if piece[0] not in "{}" else piece[0]
            elif column:
                columns.append(column)
                literals.append("")
            elif not mistake:
                mistake = "A } without its {. A brace as such is written }}."
                if piece != "}":
                    mistake = "A { without its }, or nothing between them. A brace as such is {{."
        if not columns and not mistake:
            mistake = "There is no column in braces here. Use `value` for a constant text."
        if mistake:
            self._say("template", mistake)
        return Template(text, tuple(literals), tuple(columns))

    def _choices(self, value_type: ValueType, table: Callable[[Where, TableSpec], Entries]) -> Choices | None:
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

    def _constant(self, value_type: ValueType) -> str | None:
        text = self._spec.value
        if text is None or (not text and self._spec.send_empty):
            return text
        return self._listed(value_type, text, ("value",))

    def _default(self, value_type: ValueType, choices: Choices | None, *, maps: bool) -> str | None:
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
