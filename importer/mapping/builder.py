"""A mapping file's document → field plans and reading options, with every mistake collected on the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from importer.errors import SheetError
from importer.finding_kinds import QUESTIONS
from importer.mapping.choices import did_you_mean
from importer.mapping.field_plan import Entries, FieldPlan, plan_field
from importer.mapping.model import SCHEMA_NAME, FieldSpec, TableSpec, field_spec
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


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """What a mapping says about itself and about how its sheet is read; None where it says nothing."""

    name: str | None
    sheet: str | None
    encoding: str | None
    delimiter: str | None
    header_row: int | None
    marker: str | None
    accept: frozenset[str]


class MappingBuilder:
    """`mistakes` is complete once `plans()` and `reading()` have been called."""

    def __init__(self, document: Document, folder: Path, kept: Tables | None) -> None:
        """folder: where `values_file` paths start. kept: tables of a batch, read instead of the files."""
        self._document = document
        self._folder = folder
        self._kept = kept
        self.tables: Tables = {}
        self.mistakes, self._bad = shape_mistakes(document)
        self._locale = self._top("locale")

    def plans(self) -> dict[Where, FieldPlan]:
        """The plan of each block whose shape is right, by its place."""
        data = self._document.data
        blocks: list[Where] = [(key,) for key in OWN_PLACES if key in data]
        fields = data.get("Fields")
        if isinstance(fields, dict):
            blocks += [("Fields", name) for name in fields]
            self._check_names(list(fields))
        good = [where for where in blocks if where not in self._bad and where[:1] not in self._bad]
        return {where: self._plan(where) for where in good}

    def reading(self) -> ReadingOptions:
        """The options at the top of the file, checked."""
        header_row = self._top("header_row")
        return ReadingOptions(
            name=self._top("name"),
            sheet=self._document.data.get("sheet"),
            encoding=self._encoding(self._top("encoding")),
            delimiter=self._delimiter(self._document.data.get("delimiter")),
            header_row=None if header_row is None or ("header_row",) in self._bad else int(header_row),
            marker=self._marker(self._top("marker")),
            accept=self._accepted(self._document.data.get("accept")),
        )

    def _report(self, where: Where, text: str) -> None:
        self.mistakes.append(self._document.mistake(where, text))

    def _top(self, key: str) -> str | None:
        value = self._document.data.get(key)
        return value.strip() if isinstance(value, str) else None

    def _plan(self, where: Where) -> FieldPlan:
        key, name = str(where[0]), str(where[-1])
        raw: Any = self._document.data[key]
        spec = field_spec(key, raw[name] if len(where) > 1 else raw)
        if key != "Fields":
            self._check_own_place(key, raw, spec)
        return plan_field(name, spec, where, self._report, self._table, locale=self._locale)

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
