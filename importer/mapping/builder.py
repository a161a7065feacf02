"""A mapping file's document → its fields, with every mistake collected on the way.

The models have checked each key; here it is the combinations that count.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from importer.activity import ACCOUNT, EVENT, NOTE
from importer.errors import SheetError
from importer.mapping.choices import Choices, Lookup, listing
from importer.mapping.dates import (
    DateAndTime,
    DatedValue,
    DateTimeValue,
    DateValue,
    FormatError,
    literal_zone,
)
from importer.mapping.model import MARKER_TAKEN, MODIFIER_TYPES, SCHEMA_NAME, FieldSpec, TableSpec, field_spec
from importer.mapping.month_names import ENGLISH, LOCALES, locale_named
from importer.mapping.row_mapper import MappedField
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
from importer.mapping.yaml_file import Document, Where, checked_shape, mistake_at, path_text
from importer.sheets import SheetOptions, read_table
from importer.text import quoted

TABLE_ROWS_MAX: Final = 100_000

Tables = dict[str, list[list[str]]]
"""The (key, value) rows of each `values_file`, by its place in the mapping."""
Report = Callable[[Where, str], None]
"""Takes a mistake: where it is, and the sentence."""

_EXCLUSIVE: Final = (("column", "value", "template"), ("one_of", "values", "values_file"))
_NOT_WITH_VALUE: Final = ("default", "one_of", "values", "values_file")


class MappingBuilder:
    """The fields of a mapping. `mistakes` is complete once `fields()` has been called. spec: the whole of it,
    None if its shape is wrong."""

    def __init__(self, document: Document, folder: Path, kept: Tables | None) -> None:
        """folder: where `values_file` paths start. kept: tables of a batch, read instead of the files."""
        self._document = document
        self._folder = folder
        self._kept = kept
        self.tables: Tables = {}
        self.spec, self.mistakes, self._bad = checked_shape(document)

    def fields(self) -> dict[Where, MappedField]:
        """The field of each block whose shape is right, by its place."""
        data = self._document.data
        blocks: list[Where] = [(key,) for key in (ACCOUNT, EVENT, NOTE) if key in data]
        fields = data.get("Fields")
        if isinstance(fields, dict):
            blocks += [("Fields", name) for name in fields]
            self._check_names(list(fields), data.get("marker"))
        good = [where for where in blocks if where not in self._bad and where[:1] not in self._bad]
        return {where: self._field(where) for where in good}

    def _report(self, where: Where, text: str) -> None:
        self.mistakes.append(mistake_at(self._document.lines, where, text))

    def _field(self, where: Where) -> MappedField:
        key, name = str(where[0]), str(where[-1])
        raw: Any = self._document.data[key]
        spec = field_spec(key, raw[name] if len(where) > 1 else raw)
        if key in {ACCOUNT, EVENT} and isinstance(raw, dict) and str(raw.get("required")).lower() == "false":
            self._report((key, "required"), f"{key} is always needed. Leave `required` out.")
        if key == ACCOUNT and spec.lookup == "user":
            self._report((key, "lookup"), "This is an account, not a user. Write lookup: account.")
        general = self._document.data.get("locale")
        locale = spec.locale or (general if isinstance(general, str) else None)
        return _FieldBuilder(spec, where, self._report, locale).field(name, self._table)

    def _check_names(self, names: list[str], marker: object) -> None:
        seen: dict[str, str] = {}
        for name in names:
            where = ("Fields", name)
            if name in {ACCOUNT, EVENT, NOTE}:
                self._report(where, f"{name} belongs beside `Fields:`, not under it. Move it to the left.")
            elif not re.fullmatch(SCHEMA_NAME, name):
                text = "is not a schema name, such as mx_Custom_1: letters, digits and _ only."
                self._report(where, f"{quoted(name)} {text}")
            elif seen.setdefault(name.casefold(), name) != name:
                text = f"{quoted(name)} and {quoted(seen[name.casefold()])} differ only in case. Keep one."
                self._report(where, text)
        if isinstance(marker, str) and marker.casefold() in seen:
            self._report(("marker",), MARKER_TAKEN.format(marker))

    def _table(self, where: Where, spec: TableSpec) -> Iterable[list[str]]:
        """The entries of a `values_file`: as kept with the batch if they are, else from the file."""
        place = path_text(where)
        self.tables[place] = (
            self._read_table(where, spec) if self._kept is None else self._kept.get(place, [])
        )
        return self.tables[place]

    def _read_table(self, where: Where, spec: TableSpec) -> list[list[str]]:
        path, rows = self._folder / spec.path, []
        if not path.resolve().is_relative_to(self._folder.resolve()):
            text = (
                f"{quoted(spec.path)} is outside of the mapping's folder. Copy the file beside the mapping."
            )
            self._report(where, text)
            return []
        try:
            rows = read_table(
                path, SheetOptions(sheet=spec.sheet), key=spec.key or "key", value=spec.value or "value"
            )
        except SheetError as error:
            self._report(where, str(error))
            return []
        if not 0 < len(rows) <= TABLE_ROWS_MAX:
            self._report(where, f"{path.name} has {len(rows)} rows; there must be 1 to {TABLE_ROWS_MAX}.")
            return []
        return [[str(key), str(value)] for _, key, value in rows]


class _FieldBuilder:
    """One block of the mapping. Its mistakes go to `report`. locale: its own, else the whole mapping's."""

    def __init__(self, spec: FieldSpec, where: Where, report: Report, locale: str | None) -> None:
        self._spec = spec
        self._where = where
        self._report = report
        self._locale = self._known_locale(locale)

    def _say(self, key: str, text: str) -> None:
        self._report((*self._where, key), text)

    def field(self, name: str, table: Callable[[Where, TableSpec], Iterable[list[str]]]) -> MappedField:
        """table: reads a `values_file`."""
        spec = self._spec
        for key, text in (*self._contradictions(), *self._misplaced()):
            self._say(key, text)
        lookup = None
        if spec.lookup is not None:
            by = spec.by or ("EmailAddress" if spec.lookup == "user" else "")
            asked = (spec.column or spec.template or "").strip()
            lookup = Lookup(spec.lookup, by.strip(), spec.company_type, asked)
        value_type = TextValue() if lookup else EventValue() if name == EVENT else self._type()
        literals, headings = self._template(spec.template) if spec.template is not None else ((), ())
        choices = self._choices(value_type, table)
        constant = self._constant(value_type)
        column = None if spec.column is None else spec.column.strip()
        maps = spec.one_of is None and choices is not None
        return MappedField(
            name=name,
            where=self._where,
            source=spec.template or column or quoted(constant or ""),
            headings=headings if column is None else (column,),
            literals=literals,
            constant=constant,
            type=value_type,
            choices=choices,
            maps=maps,
            default=self._default(value_type, choices, maps=maps),
            required=spec.required,
            strip=spec.strip,
            send_empty=spec.send_empty,
            lookup=lookup,
            date_and_time=self._date_and_time(value_type, literals),
        )

    def _contradictions(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for keys that exclude each other."""
        spec = self._spec
        given = {key for key, value in spec if value is not None}
        for group in _EXCLUSIVE:
            keys = [key for key in group if key in given]
            yield from ((key, f"`{key}` and `{keys[0]}` exclude each other. Keep one.") for key in keys[1:])
        if given.isdisjoint(_EXCLUSIVE[0]):
            self._report(self._where, "There is no source for the value. Add `column:` or `value:`.")
        for key in _NOT_WITH_VALUE:
            if "value" in given and key in given:
                yield key, f"`{key}` has no meaning beside a constant `value`. Leave it out."
        for key in ("required", "default"):
            if spec.send_empty and getattr(spec, key):
                yield "send_empty", f"`send_empty` and `{key}` contradict each other. Keep one."

    def _misplaced(self) -> Iterator[tuple[str, str]]:
        """(key, sentence) for keys that belong to another type, or (not) to a lookup."""
        spec, kind = self._spec, self._spec.type or "text"
        for key, types in MODIFIER_TYPES.items():
            if getattr(spec, key) is not None and spec.lookup:
                yield key, f"`{key}` has no meaning with a lookup. Leave it out."
            elif getattr(spec, key) is not None and kind not in types:
                yield key, f"`{key}` belongs to type {' or '.join(types)}, but the type here is {kind}."
        for key in ("by", "company_type"):
            if getattr(spec, key) is not None and spec.lookup is None:
                yield key, f"`{key}` belongs to a lookup. Add `lookup: user` or `lookup: account`."
        user, account = spec.lookup == "user", spec.lookup == "account"
        no_attribute, no_type = spec.by is None, spec.company_type is None
        rules = (
            ("strip", not spec.strip and kind != "text",
             f"`strip: false` belongs to type text, but the type here is {kind}."),
            ("one_of", kind == "boolean" and spec.one_of is not None,
             "A boolean is yes or no already. Leave `one_of` out."),
            ("type", spec.lookup and spec.type not in {None, "id"},
             "A lookup gives an Id. Leave `type` out."),
            ("company_type", user and not no_type,
             "`company_type` belongs to `lookup: account`. Leave it out."),
            ("lookup", account and no_attribute,
             "Add the attribute that the column holds, such as by: mx_Account_Code."),
            ("lookup", account and no_type,
             "Add the type of account to search, such as company_type: Account."),
        )  # fmt: skip
        yield from ((key, text) for key, wrong, text in rules if wrong)

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
                return self._date_type(self._good_formats())
            case _:
                return TextValue(spec.max_length)

    def _good_formats(self) -> list[str]:
        spec = self._spec
        given, good = spec.format or [], []
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
        return good

    def _date_type(self, formats: Iterable[str]) -> DatedValue:
        if self._spec.type == "date":
            return DateValue(formats, self._locale)
        return DateTimeValue(self._zone(), formats, self._locale)

    def _date_and_time(self, value_type: ValueType, literals: tuple[str, ...]) -> DateAndTime | None:
        """The reader for a template of two columns that are a date and a time of day."""
        if not isinstance(value_type, DateTimeValue) or len(literals) != 3:
            return None
        if not {literal.strip() for literal in literals} <= {"", "T", ","}:
            return None
        try:
            return DateAndTime(value_type)
        except FormatError:  # the two are not apart in the format: the text is read as a whole
            return None

    def _known_locale(self, named: str | None) -> str:
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

    def _template(self, text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The texts before, between and behind the columns in braces, and the columns."""
        literals, columns, mistakes = [""], [], []
        for piece in re.findall(r"\{\{|\}\}|\{[^{}]*\}|[^{}]+|.", text, re.DOTALL):
            column = piece[1:-1].strip()
            if piece[0] not in "{}" or piece in {"{{", "}}"}:
                literals[-1] += piece if piece[0] not in "{}" else piece[0]
            elif column:
                columns.append(column)
                literals.append("")
            else:
                brace, other = ("}", "{") if piece == "}" else ("{", "}")
                what = f"A {brace} without its {other}, or nothing between them."
                mistakes.append(f"{what} A brace as such is written {brace}{brace}.")
        if not columns:
            mistakes.append("There is no column in braces here. Use `value` for a constant text.")
        for mistake in mistakes[:1]:
            self._say("template", mistake)
        return tuple(literals), tuple(columns)

    def _choices(
        self, value_type: ValueType, table: Callable[[Where, TableSpec], Iterable[list[str]]]
    ) -> Choices | None:
        spec = self._spec
        if spec.one_of is not None:
            texts = (self._listed(value_type, text, ("one_of", at)) for at, text in enumerate(spec.one_of))
            return Choices((sent, sent) for sent in texts if sent is not None)
        if spec.values is not None:
            return self._mapped(value_type, "values", spec.values.items())
        if spec.values_file is not None:
            rows = table((*self._where, "values_file"), spec.values_file)
            return self._mapped(value_type, "values_file", ((key, value) for key, value in rows))
        return None

    def _mapped(self, value_type: ValueType, place: str, entries: Iterable[tuple[str, str]]) -> Choices:
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
        return Choices(known.items())

    def _listed(self, value_type: ValueType, text: str, spot: Where) -> str | None:
        """A text of the mapping, read like a cell; dates may also be in the ISO form."""
        if not trimmed(text):
            sent: str | Fault = Fault(
                "missing", "There is nothing here.", "Write a value, or leave the line out."
            )
        else:
            sent = value_type.read(trimmed(text) if self._spec.strip else text)
            if isinstance(sent, Fault) and isinstance(value_type, DatedValue) and value_type.given:
                iso = self._date_type(()).read(trimmed(text))
                sent = sent if isinstance(iso, Fault) else iso
        if isinstance(sent, Fault):
            self._report((*self._where, *spot), f"{sent.message} {sent.remedy}")
            return None
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
