"""A mapping: how a sheet's columns become account activities. YAML file → `Mapping` → (header) → `RowMapper`.

The parts: `model.py` (the file's shape, and its JSON Schema), `yaml_file.py` (YAML, its mistakes),
`builder.py` (the file's content → fields), `row_mapper.py` (fields and rows); `values.py`, `dates.py` and
`choices.py` read cells.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from importer.activity import ACCOUNT, EVENT, NOTE
from importer.mapping.builder import MappingBuilder, Tables
from importer.mapping.choices import did_you_mean, listing
from importer.mapping.row_mapper import MappedField, RowMapper
from importer.mapping.values import BLANKS
from importer.mapping.yaml_file import (
    Document,
    Mistake,
    Where,
    mapping_error,
    mistake_at,
    read_text,
)
from importer.text import quoted


@dataclass(frozen=True, slots=True)
class Mapping:
    """A checked mapping. It holds everything that a batch needs to go on without the file.

    path: as it was named, for messages. text: the file's content, line ends as `\\n`. tables: what each
    `values_file` held, by its place in the mapping. delimiter: one character. header_row: from 1, None if not
    said. accept: kinds of questions that are fine as they are. fields: those of `Fields`, in the file's
    order. lines: the line of each part of the text.
    """

    path: str
    text: str
    tables: Tables
    name: str
    sheet: str | None
    encoding: str | None
    delimiter: str | None
    header_row: int | None
    marker: str | None
    accept: frozenset[str]
    company: MappedField
    event: MappedField
    note: MappedField | None
    fields: tuple[MappedField, ...]
    lines: dict[Where, int]

    def __repr__(self) -> str:
        return f"Mapping({self.path!r}, {len(self.fields)} fields)"

    @property
    def content(self) -> tuple[str, Tables]:
        """What the mapping says, wherever its file lies."""
        return self.text, self.tables

    @property
    def event_codes(self) -> tuple[int, ...]:
        """The activity types that rows can get, as far as the mapping tells; empty if the sheet says it."""
        if self.event.constant is not None:
            return (int(self.event.constant),)
        choices = self.event.choices
        return () if choices is None else tuple(int(code) for code in choices.sent if code)

    def record(self) -> dict[str, Any]:
        """What a batch keeps: JSON-able, enough for `from_record`."""
        return {"path": self.path, "name": self.name, "text": self.text, "tables": self.tables}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Self:
        """The mapping of a batch, without its files. Raises MappingError if this version cannot read it."""
        return cls.of_text(record["text"], record["path"], record["tables"])

    @classmethod
    def of_text(cls, text: str, path: str, tables: Tables | None = None) -> Self:
        """The mapping that a text is, without a byte order mark. path: for messages, and where `values_file`
        looks unless there are tables. Raises MistakesError with every mistake in it."""
        document = Document(text, path)
        builder = MappingBuilder(document, Path(path).parent, tables)
        fields, spec = builder.fields(), builder.spec
        mistakes = [*document.mistakes, *builder.mistakes]
        if mistakes or spec is None:
            raise mapping_error(path, mistakes)
        return cls(
            path=path,
            text=text,
            tables=builder.tables,
            name=spec.name or Path(path).stem,
            accept=frozenset(spec.accept or ()),
            **spec.model_dump(include={"sheet", "encoding", "delimiter", "header_row", "marker"}),
            company=fields[ACCOUNT,],
            event=fields[EVENT,],
            note=fields.get((NOTE,)),
            fields=tuple(field for where, field in fields.items() if where[0] == "Fields"),
            lines=document.lines,
        )

    def bind(self, header: Sequence[str]) -> RowMapper:
        """The mapper for this header. Raises MappingError with every column that is missing or not unique."""
        headings = [heading.strip(BLANKS) for heading in header]
        mistakes: list[Mistake] = []
        bound: list[MappedField] = []
        note = () if self.note is None else (self.note,)
        for field in (self.company, self.event, *note, *self.fields):
            places = [(heading, _place(headings, heading)) for heading in field.headings]
            where = (*field.where, "template" if field.literals else "column")
            faults = [place for _, place in places if isinstance(place, str)]
            mistakes += [mistake_at(self.lines, where, fault) for fault in faults]
            columns = tuple((heading, place) for heading, place in places if isinstance(place, int))
            bound.append(replace(field, columns=columns))
        if mistakes:
            raise mapping_error(self.path, mistakes)
        return RowMapper(bound, headings)


def load_mapping(path: Path) -> Mapping:
    """The mapping in a file. Raises MappingError with every mistake in it: file, line, path, remedy."""
    return Mapping.of_text(read_text(path), str(path))


def _place(header: Sequence[str], column: str) -> int | str:
    """The column's place from 0, or the sentence that says why there is none. Headings are found as they are
    written, else in one Unicode form and with runs of blanks (line breaks too) as one space."""
    for form in (str, _loose):
        found = [place for place, heading in enumerate(header) if form(heading) == form(column)]
        if len(found) == 1:
            return found[0]
        if found:
            return f'The sheet has {len(found)} columns "{column}". Rename all but one of them.'
    known = [heading for heading in header if heading]
    hint = did_you_mean(column, known) or (f" It has {listing(known)}." if known else "")
    return f"The sheet has no column {quoted(column)}.{hint}"


def _loose(heading: str) -> str:
    return unicodedata.normalize("NFC", " ".join(heading.strip(BLANKS).split()))
