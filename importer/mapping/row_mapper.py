"""A row of a sheet → an activity, or the problems of its cells: a mapping's fields, bound to the sheet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from importer.activity import ACCOUNT, EVENT, NOTE, Activity
from importer.findings import VALUE_SHOWN_MAX, CellFinding, Severity
from importer.mapping.choices import Choices, Lookup, Resolved, folded
from importer.mapping.dates import DateAndTime, DatedValue
from importer.mapping.values import (
    BLANKS,
    LOST,
    Fault,
    IdValue,
    ListValue,
    TextValue,
    ValueType,
    trimmed,
    unsendable,
)
from importer.mapping.yaml_file import Where
from importer.sheets.rows import Cells, ErrorCell, NumberCell, Row
from importer.text import quoted

NOTE_LENGTH_SAFE: Final = 200
"""`MaxFieldLength` of notes of other activity kinds (leadsquared.md, "More"); longer ones may be cut off."""
_NOTE_MARKUP: Final = re.compile(r"\{(?:next|=|keyvalueinfo)\}", re.IGNORECASE)
_OF_TEXTS: Final = frozenset({"point-zero", "number-format", "lost-characters"})
"""Findings of a file that mean nothing in a field of numbers or dates: its reader takes the number itself."""


_REMEDY: Final = "Delete the row, or use --skip-invalid to leave it out."
_TOTAL: Final = (
    r"(?:(?:grand|sub|net|page|month(?:ly)?|overall|running)[ -]?)*totals?|sum|average|avg|count"
    r"|gesamt(?:summe)?|(?:zwischen)?summe|insgesamt|total(?:e|es|aux)?(?: g[eé]n[eé]ral)?|sous[ -]?total"
    r"|somme|subtotale?s?|suma|soma|totaal|jumlah|toplam|итого|всего|कुल|(?:gesamt)?ergebnis|eindtotaal"
    r"|total(?:e)? (?:general|geral|complessivo)|(?:total)?summa|celkem|celkový součet|összesen|végösszeg"
    r"|genel toplam|(?:общий )?итог|合[计計]|[总総]計|总计|汇总|集計|합계|총합계"
)
_TOTALS: Final = re.compile(
    rf"(?:{_TOTAL})(?:\s*[:=(\d].*|\s+(?:for|of|by)\b.*)?|.{{1,60}} (?:sub[ -]?)?total:?", re.IGNORECASE
)
"""`Total`, `Total (3)`, `Total for March`, `West Total`; not `Total Gas Ltd`."""
_FOOTERS: Final = re.compile(
    r"generated|printed|exported|created (?:on|by)|report\b|page \d|confidential|copyright|©|end of|note:"
    r"|source:|disclaimer|applied filters|filters?:|as of\b|powered by|this (?:report|document)|all rights"
    r"|\(?\d+ rows?\b"
    r"|erstellt|gedruckt|stand:|seite \d|généré|imprimé|página|generado|\*{2,}|-{3,}|={3,}|_{3,}",
    re.IGNORECASE,
)
_ONLY_NUMBER: Final = re.compile(r"[^\w/]{0,3}\d[\d.,' \xa0]*[^\w/]{0,3}")
_REPEATED_LEAST: Final = 0.6
_FOOTER_CELLS_MAX: Final = 2
_SENTENCE_WORDS: Final = 3


@dataclass(frozen=True, slots=True)
class MappedField:
    """How one field is filled.

    where: its place in the mapping. source: the heading, the template, or the constant in quotes. headings:
    the columns that it uses. literals: of a template, the texts before, between and behind its columns.
    choices: the closed list, if there is one; `maps`: it says what to send (`values`) rather than what is
    allowed (`one_of`). default, constant: as they are sent (for a lookup: as they are looked up).
    date_and_time: reads the two columns of a template that together are one date-time. columns: heading and
    place (from 0) in the row of each column that it uses, once it is bound to a sheet.
    """

    name: str
    where: Where
    source: str
    headings: tuple[str, ...]
    literals: tuple[str, ...]
    constant: str | None
    type: ValueType
    choices: Choices | None
    maps: bool
    default: str | None
    required: bool
    strip: bool
    send_empty: bool
    lookup: Lookup | None
    date_and_time: DateAndTime | None
    columns: tuple[tuple[str, int], ...] = ()

    @property
    def heading(self) -> str | None:
        """Its (first) column; None for a constant."""
        return self.columns[0][0] if self.columns else None

    @property
    def index(self) -> int | None:
        """The place of its (first) column from 0; None for a constant."""
        return self.columns[0][1] if self.columns else None

    @property
    def is_text(self) -> bool:
        """Whether its cells are sent as they are shown."""
        return bool(self.literals) or isinstance(self.type, TextValue | ListValue)

    @property
    def type_name(self) -> str:
        return self.type.name if self.lookup is None else f"{self.lookup.kind} by {self.lookup.by}"

    def reference(self, cells: Cells) -> str | CellFinding | None:
        """What is sent, or for a lookup what is looked up; None if nothing is; the problem if the cell is no
        good."""
        if self.constant is not None:
            return self.constant
        if self.date_and_time is not None:
            return self._both_parts(cells, self.date_and_time)
        cell = self.shown(cells) if self.literals else cells[self.columns[0][1]]
        if type(cell) is str:
            if self.strip:
                cell = cell.strip(BLANKS)
            elif not cell.strip(BLANKS):
                cell = ""
        elif isinstance(cell, ErrorCell):
            # The mapping may say what an error value means, as `values: {"#N/A": ""}` does. A number that
            # lost its digits means nothing, whatever the mapping says.
            if self.literals or not (cell.startswith(("#", "Err:")) and self.lists(cell)):
                return self._problem(Fault("unusable-cell", cell.reason), cells)
            cell = str(cell)
        if not cell:
            return self._empty()
        sent = self.type.read(cell) if self.choices is None else self._chosen(cell, self.choices)
        return self._problem(sent, cells) if isinstance(sent, Fault) else sent or self._empty()

    def shown(self, cells: Cells) -> str:
        """What a person sees in the sheet of what this field is made of: the cell, or the filled template
        (nothing if all of its cells are empty)."""
        if not self.literals:
            return cells[self.columns[0][1]] if self.columns else ""
        text, filled = self.literals[0], False
        for (_, index), literal in zip(self.columns, self.literals[1:], strict=True):
            cell = cells[index]
            if isinstance(cell, ErrorCell):
                return cell
            part = cell.strip(BLANKS) if self.strip else cell
            filled = filled or bool(part.strip(BLANKS))
            text += part + literal
        return text if filled else ""

    def lists(self, cell: str) -> bool:
        """Whether the mapping names this very text, so that nothing about it is a surprise."""
        return self.choices is not None and self.choices.find(str(cell)) is not None

    def watches(self) -> Iterator[tuple[str, int, Callable[[str], Fault | None]]]:
        """Heading and place of its columns whose cells may arrive other than they look, and what says so."""
        if self.maps or self.lookup is not None:
            return
        readers: tuple[Callable[[str], Fault | None], ...] = (self.type.notice,)
        if self.date_and_time is not None:
            readers = (self.date_and_time.date.notice,)
        elif self.literals:
            readers = () if isinstance(self.type, DatedValue) else (TextValue().notice,) * len(self.columns)
        for (heading, index), reader in zip(self.columns, readers, strict=False):
            yield heading, index, reader

    def _chosen(self, cell: str, choices: Choices) -> str | Fault:
        """What is sent (or looked up) for a cell that is not empty, of a field with a closed list."""
        if isinstance(self.type, ListValue):
            return self._items(self.type, str(cell), choices)
        read = str(cell) if self.maps else self.type.read(cell)
        if isinstance(read, Fault):
            return read
        sent = choices.find(read)
        return choices.fault(read) if sent is None else sent

    @staticmethod
    def _items(kind: ListValue, cell: str, choices: Choices) -> str | Fault:
        sent = [(item, choices.find(item)) for item in kind.items(cell)]
        wrong = next((item for item, found in sent if found is None), None)
        if wrong is None:
            return kind.join.join(found for _, found in sent if found)
        for separator in (",", ";", "|", "/", "\n"):
            items = ListValue(separator).items(cell)
            if separator != kind.separator and all(choices.find(each) is not None for each in items):
                shown = "\\n" if separator == "\n" else separator
                message = f"{quoted(cell)} seems to separate its items by {quoted(separator)}."
                return Fault("not-listed", message, f'Set `separator: "{shown}"` in the mapping.')
        return choices.fault(wrong)

    def _both_parts(self, cells: Cells, reader: DateAndTime) -> str | CellFinding | None:
        """The value of a date column and a time column; a problem is reported at the cell that has it."""
        parts = [trimmed(cells[index]) for _, index in self.columns]
        for (heading, index), part in zip(self.columns, parts, strict=True):
            if isinstance(part, ErrorCell):
                fault = Fault("unusable-cell", part.reason)
                return finding(Severity.PROBLEM, heading, index, str(part), fault)
        if not any(parts):
            return self._empty()
        sent = reader.read(parts)
        if isinstance(sent, str):
            return sent
        at, fault = sent
        return finding(Severity.PROBLEM, *self.columns[at], str(parts[at]), fault)

    def _empty(self) -> str | CellFinding | None:
        if self.default is not None:
            return self.default
        if self.required:
            fault = Fault("missing", "There is nothing in the cell.", "Fill it in.")
            return finding(Severity.PROBLEM, self.heading, self.index, "", fault)
        return "" if self.send_empty else None

    def _problem(self, fault: Fault, cells: Cells) -> CellFinding:
        """A template's problem is blamed on the first of its columns whose cell is no good by itself."""
        for column, index in self.columns if self.literals else ():
            cell = cells[index]
            found = Fault(fault.kind, cell.reason) if isinstance(cell, ErrorCell) else unsendable(cell)
            if found is not None:
                return finding(Severity.PROBLEM, column, index, str(cell), found)
        shown = self.shown(cells)
        cell = trimmed(shown) if self.strip and not self.literals else shown
        return finding(Severity.PROBLEM, self.heading, self.index, str(cell), fault)

    def looked_up(self, value: str, cells: Cells, resolved: Resolved | None) -> str | CellFinding:
        """The Id that is sent for what `reference` gave, or why there is none."""
        lookup = self.lookup
        assert lookup is not None, "asked of a field that is looked up"
        if resolved is None:
            return lookup.placeholder(value)
        answer = resolved.get((lookup, lookup.key(value))) or Fault(
            "not-looked-up", f"{quoted(value)} has not been looked up in LeadSquared.", "Run it again."
        )
        if isinstance(answer, str):
            return answer
        shown = self.shown(cells) if self.constant is None else value
        return finding(Severity.PROBLEM, self.heading, self.index, str(shown), answer)


def finding(
    severity: Severity, heading: str | None, index: int | None, cell: str, fault: Fault
) -> CellFinding:
    return CellFinding(
        severity, heading, index, fault.kind, cell[:VALUE_SHOWN_MAX], fault.message, fault.remedy
    )


class Part(NamedTuple):
    """One part of a row's activity by itself. name: schema name, or place in the mapping. shown: the cell, or
    the filled template. sent: what is sent, None if nothing is. problem: why it cannot be sent."""

    name: str
    type: str
    shown: str
    sent: str | None
    problem: CellFinding | None


class RowMapper:
    """Turns rows of one sheet into activities."""

    def __init__(self, fields: Sequence[MappedField], header: Sequence[str]) -> None:
        """fields: all parts of the activity, in the order in which they are sent, the account first; bound to
        the sheet. header: the sheet's headings."""
        self.fields = tuple(fields)
        self._company = self.fields[0]
        self._note = next((field for field in fields if field.name == NOTE), None)
        self._header = tuple(header)
        self._used = frozenset(index for field in fields for _, index in field.columns)
        self._width = max(self._used, default=-1) + 1
        self._texts = frozenset(index for field in fields for _, index in field.columns if field.is_text)
        self._naming = tuple(field for field in fields if field.choices is not None)
        self._asking = tuple(field for field in fields if field.lookup is not None)
        self._watches = tuple(watch for field in fields for watch in field.watches())

    def __repr__(self) -> str:
        return f"RowMapper({', '.join(f'{field.source} → {field.name}' for field in self.fields)})"

    @property
    def needs_lookups(self) -> bool:
        return bool(self._asking)

    def uses(self, index: int | None) -> bool:
        """Whether the column at `index` is mapped; a whole row or sheet (None) always counts."""
        return index is None or index in self._used

    def map(self, row: Row, resolved: Resolved | None = None) -> Activity | list[CellFinding]:
        """The row's activity, or all its problems. Without `resolved` lookups leave `lookup:account:CODE`."""
        if row.problem is not None:
            return [CellFinding(Severity.PROBLEM, None, None, "unreadable-row", "", row.problem, "")]
        cells = self._padded(row.cells)
        sent = {field.name: field.reference(cells) for field in self.fields}
        for field in self._asking:
            value = sent[field.name]
            if isinstance(value, str) and value:
                sent[field.name] = field.looked_up(value, cells, resolved)
        problems = [each for each in sent.values() if isinstance(each, CellFinding)]
        company, event, note = sent.pop(ACCOUNT), sent.pop(EVENT), sent.pop(NOTE, None)
        if problems or not isinstance(company, str) or not isinstance(event, str):
            return self._problems(cells, problems)
        fields = tuple([(name, each) for name, each in sent.items() if isinstance(each, str)])
        return Activity(company, int(event), note if isinstance(note, str) else None, fields)

    def lookup_values(self, row: Row) -> Iterator[tuple[Lookup, str]]:
        """What this row asks for; cells that are empty or no good ask for nothing."""
        if row.problem is not None or not self._asking:
            return
        cells = self._padded(row.cells)
        for field in self._asking:
            value = field.reference(cells)
            if isinstance(value, str) and value and field.lookup is not None:
                yield field.lookup, value

    def _problems(self, cells: Cells, problems: list[CellFinding]) -> list[CellFinding]:
        """Each problem once; of a row that is not a record, only what it looks like."""
        found = _not_a_record(cells, self._header, self._company.index)
        if found is None:
            return list(dict.fromkeys(problems))
        first = next((each for each in problems if each.index == self._company.index), problems[0])
        kind, message, remedy = found
        return [replace(first, kind=kind, message=f"{first.message} {message}", remedy=remedy)]

    def file_findings(self, row: Row) -> list[CellFinding]:
        """What the file itself shows about this row's cells, as far as the mapping uses them, as texts where
        it matters only there, and does not name the very text."""
        return [
            found
            for found in row.findings
            if found.index is None
            or (
                found.index in (self._texts if found.kind in _OF_TEXTS else self._used)
                and not self._lists(found.index, row.cells)
            )
        ]

    def _lists(self, index: int, cells: Cells) -> bool:
        """Whether a field names the very text of the cell in `values` or `one_of`."""
        return any(field.index == index and field.lists(trimmed(cells[index])) for field in self._naming)

    def notices(self, row: Row, activity: Activity) -> list[CellFinding]:
        """What of this row will arrive other than it looks in the sheet."""
        cells = self._padded(row.cells)
        found: list[CellFinding] = []
        for heading, index, reader in self._watches:
            cell = cells[index]
            if isinstance(cell, ErrorCell) or (type(cell) is str and LOST not in cell):
                continue  # a text arrives as it looks
            cell = trimmed(cell)
            fault = reader(cell)
            if fault is not None:
                found.append(finding(Severity.NOTICE, heading, index, str(cell), fault))
        if activity.note is not None and (len(activity.note) > NOTE_LENGTH_SAFE or "{" in activity.note):
            found += self._note_notices(activity.note)
        return list(dict.fromkeys(found)) if found else found

    def _note_notices(self, note: str) -> Iterator[CellFinding]:
        if self._note is None:
            return
        faults: list[Fault] = []
        if len(note) > NOTE_LENGTH_SAFE:
            text = (
                f"The note has {len(note):,} characters; LeadSquared may cut it off after {NOTE_LENGTH_SAFE}."
            )
            faults.append(Fault("long-note", text, "Send one row with --canary 1 first: it is read back."))
        markup = _NOTE_MARKUP.search(note)
        if markup is not None:
            text = f"The note holds {markup.group()}, which LeadSquared takes for its own markup."
            faults.append(Fault("note-markup", text, "Remove it unless it is meant."))
        for fault in faults:
            yield finding(Severity.NOTICE, self._note.heading, self._note.index, note, fault)

    def columns(self) -> dict[str, str]:
        """Schema name → heading of the column (or template) that fills it."""
        return {field.name: field.source for field in self.fields}

    def parts(self, row: Row) -> list[Part]:
        """Every part of the row's activity, also where other parts cannot be sent."""
        cells = self._padded(row.cells)
        parts = []
        for field in self.fields:
            sent = field.reference(cells)
            value, problem = (sent, None) if sent is None or isinstance(sent, str) else (None, sent)
            parts.append(Part(field.name, field.type_name, field.shown(cells), value, problem))
        return parts

    def _padded(self, cells: Cells) -> Cells:
        missing = self._width - len(cells)
        return cells if missing <= 0 else cells + ("",) * missing


def _not_a_record(
    cells: Sequence[str], header: Sequence[str], account: int | None
) -> tuple[str, str, str] | None:
    """(kind, message, remedy) if the row is not a record, but a total, repeated headings, a title or footer
    of a report; None if it may be one. Asked only of rows that cannot be sent. account: the place of the
    column that says which account; a row with an Id there is a record."""
    filled = [(index, trimmed(cell)) for index, cell in enumerate(cells) if trimmed(cell)]
    if not filled:
        return None
    if account is not None and isinstance(IdValue().read(str(trimmed(cells[account]))), str):
        return None
    texts = [(index, str(text)) for index, text in filled]
    same = sum(index < len(header) and folded(header[index]) == folded(text) for index, text in texts)
    if same >= 2 and same >= _REPEATED_LEAST * len(texts):
        return "repeated-headings", "The row repeats the headings.", _REMEDY
    numbers = all(isinstance(cell, NumberCell) or _ONLY_NUMBER.fullmatch(cell) for _, cell in filled)
    if (account is not None and not trimmed(cells[account]) and numbers) or any(
        _TOTALS.fullmatch(text.strip("*-= ")) for _, text in texts[:2]
    ):
        what = "holds nothing but numbers, as totals do" if numbers else "looks like a total"
        return "total-row", f"The row {what}.", _REMEDY
    columns = sum(map(bool, header))
    sparse = len(texts) <= _FOOTER_CELLS_MAX and len(texts) < columns
    ruled = not any(map(str.isalnum, "".join(text for _, text in texts)))
    sentence = len(texts) == 1 and columns > _FOOTER_CELLS_MAX and len(texts[0][1].split()) >= _SENTENCE_WORDS
    if ruled or (sparse and (sentence or _FOOTERS.match(texts[0][1]))):
        return "footer-row", "The row looks like a title or footer of a report.", _REMEDY
    return None
