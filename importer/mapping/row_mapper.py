"""A mapping bound to a sheet's header: a row → an activity, or the problems of its cells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from importer.activity import Activity
from importer.findings import CellFinding, Severity
from importer.mapping.date_values import DateTimeValue, DateValue, PartFault
from importer.mapping.field_plan import FieldPlan
from importer.mapping.not_records import looks_like
from importer.mapping.references import Found, Lookup, Resolved
from importer.mapping.values import BLANKS, LOST, Fault, ListValue, TextValue, trimmed, unsendable
from importer.sheets.rows import Cells, ErrorCell, Row
from importer.text import quoted

CELL_ECHO_MAX: Final = 200
NOTE_LENGTH_SAFE: Final = 200
"""`MaxFieldLength` of notes of other activity kinds (leadsquared.md, "More"); longer ones may be cut off."""
_NOTE_MARKUP: Final = re.compile(r"\{(?:next|=|keyvalueinfo)\}", re.IGNORECASE)
_PLAIN_TEXT: Final = TextValue()
_OF_TEXTS: Final = frozenset({"point-zero", "number-format", "lost-characters"})
"""Findings of a file that mean nothing in a field of numbers or dates: its reader takes the number itself."""
_ONLY_TEXTS: Final = frozenset({str})


class Preview(NamedTuple):
    """One line of `check`'s preview. source: the heading, the template, or the constant in quotes."""

    source: str
    schema_name: str
    type: str


class Part(NamedTuple):
    """One part of a row's activity by itself. name: schema name, or place in the mapping. type: as in
    `Preview`. shown: the cell, or the filled template. sent: what is sent, None if nothing is. problem: why
    it cannot be sent."""

    name: str
    type: str
    shown: str
    sent: str | None
    problem: CellFinding | None


class BoundField:
    """A field of the mapping that knows its columns' places in the row."""

    __slots__ = (
        "_constant", "_headings", "_index", "_lookup", "_notices", "_pieces", "_read", "_strip", "heading",
        "plan",
    )  # fmt: skip

    def __init__(self, plan: FieldPlan, places: dict[str, int]) -> None:
        self.plan = plan
        self.heading = plan.column
        self._index = 0 if plan.column is None else places[plan.column]
        self._pieces: tuple[tuple[str, int | None], ...] = ()
        if plan.template is not None:
            self._pieces = tuple(
                (literal, None if column is None else places[column])
                for literal, column in plan.template.pieces
            )
            self.heading = plan.template.columns[0]
            self._index = places[self.heading]
        used = plan.template.columns if plan.template is not None else (plan.column,)
        self._headings = tuple((column, places[column]) for column in used if column is not None)
        self._read = plan.type.read if plan.choices is None else plan.read
        self._strip, self._constant, self._lookup = plan.strip, plan.constant, plan.lookup
        self._notices = self._notice_readers()

    @property
    def index(self) -> int | None:
        """The place of its (first) column from 0; None for a constant."""
        return None if self.heading is None else self._index

    @property
    def is_text(self) -> bool:
        """Whether its cells are sent as they are shown."""
        return self.plan.template is not None or isinstance(self.plan.type, TextValue | ListValue)

    @property
    def columns(self) -> tuple[tuple[str, int], ...]:
        """Heading and place of each column that it uses."""
        return self._headings

    def _notice_readers(self) -> tuple[Callable[[str], Fault | None], ...]:
        """For each of its columns, what will arrive other than it looks."""
        plan = self.plan
        if plan.date_and_time is not None:
            return (plan.date_and_time.date.notice, _nothing)
        if plan.template is None:
            return (plan.type.notice,) if plan.column is not None else ()
        dated = isinstance(plan.type, DateValue | DateTimeValue)
        return (_nothing if dated else _PLAIN_TEXT.notice,) * len(self._headings)

    def send(self, cells: Cells, resolved: Resolved | None) -> str | CellFinding | None:
        """What is sent; None if nothing is; the problem if the cell cannot be sent."""
        sent = self.reference(cells)
        if self._lookup is not None and type(sent) is str and sent:
            return self._looked_up(sent, self._lookup, cells, resolved)
        return sent

    def reference(self, cells: Cells) -> str | CellFinding | None:
        """As `send`, but for a lookup the value that is looked up."""
        if self._constant is not None:
            return self._constant
        if self.plan.date_and_time is not None:
            return self._date_and_time(cells)
        cell = self._filled(cells) if self._pieces else cells[self._index]
        if type(cell) is str:
            if self._strip:
                cell = cell.strip(BLANKS)
            elif not cell.strip(BLANKS):
                cell = ""
        elif isinstance(cell, ErrorCell):
            if self._pieces or not self._names_error(cell):
                fault = Fault("unusable-cell", cell.reason)
                return self._piece_problem(fault, cells) if self._pieces else self._problem(fault, cell)
            cell = str(cell)
        if not cell:
            return self._empty()
        sent = self._read(cell)
        if isinstance(sent, Fault):
            return self._piece_problem(sent, cells) if self._pieces else self._problem(sent, cell)
        return sent or self._empty()

    def _names_error(self, cell: ErrorCell) -> bool:
        """Whether the mapping says what this error value means, as `values: {"#N/A": ""}` does. A number that
        lost its digits means nothing, whatever the mapping says."""
        return cell.startswith(("#", "Err:")) and self.plan.lists(cell)

    @property
    def may_notice(self) -> bool:
        """Whether `notices` can ever find anything."""
        return bool(self._headings) and not self.plan.maps and self.plan.lookup is None

    def notices(self, cells: Cells) -> list[CellFinding]:
        """What will arrive other than it looks. Asked only of fields that `may_notice`."""
        noticed: list[CellFinding] = []
        for (heading, index), reader in zip(self._headings, self._notices, strict=True):
            cell = trimmed(cells[index])
            found = reader(cell) if cell and not isinstance(cell, ErrorCell) else None
            if found is not None:
                noticed.append(_finding(Severity.NOTICE, heading, index, str(cell), found))
        return noticed

    def shown(self, cells: Cells) -> str:
        """What a person sees in the sheet of what this field is made of."""
        return "" if self._constant is not None else self._cell(cells)

    def _date_and_time(self, cells: Cells) -> str | CellFinding | None:
        """The value of a date column and a time column; a problem is reported at the cell that has it."""
        assert self.plan.date_and_time is not None
        parts = [trimmed(cells[index]) for _, index in self._headings]
        for (heading, index), part in zip(self._headings, parts, strict=True):
            if isinstance(part, ErrorCell):
                fault = Fault("unusable-cell", part.reason)
                return _finding(Severity.PROBLEM, heading, index, str(part), fault)
        if not any(parts):
            return self._empty()
        sent = self.plan.date_and_time.read(parts)
        if isinstance(sent, PartFault):
            heading, index = self._headings[sent.part]
            return _finding(Severity.PROBLEM, heading, index, str(parts[sent.part]), sent.fault)
        return sent

    def _cell(self, cells: Cells) -> str:
        return self._filled(cells) if self._pieces else cells[self._index]

    def _filled(self, cells: Cells) -> str:
        """The template with the cells in it; nothing if all of them are empty."""
        text, filled = "", False
        for literal, index in self._pieces:
            text += literal
            if index is None:
                continue
            cell = cells[index]
            if isinstance(cell, ErrorCell):
                return cell
            part = cell.strip(BLANKS) if self._strip else cell
            filled = filled or bool(part.strip(BLANKS))
            text += part
        return text if filled else ""

    def _empty(self) -> str | CellFinding | None:
        plan = self.plan
        if plan.default is not None:
            return plan.default
        if plan.required:
            return self._problem(Fault("missing", "There is nothing in the cell.", "Fill it in."), "")
        return "" if plan.send_empty else None

    def _problem(self, fault: Fault, cell: str) -> CellFinding:
        return _finding(Severity.PROBLEM, self.heading, self.index, str(cell), fault)

    def _piece_problem(self, fault: Fault, cells: Cells) -> CellFinding:
        """A template's problem, blamed on the first of its columns whose cell is no good by itself."""
        for column, index in self._headings:
            cell = cells[index]
            found = Fault(fault.kind, cell.reason) if isinstance(cell, ErrorCell) else unsendable(cell)
            if found is not None:
                return _finding(Severity.PROBLEM, column, index, str(cell), found)
        return self._problem(fault, self._cell(cells))

    def _looked_up(
        self, value: str, lookup: Lookup, cells: Cells, resolved: Resolved | None
    ) -> str | CellFinding:
        if resolved is None:
            return lookup.placeholder(value)
        answer = resolved.get((lookup, lookup.key(value)))
        if isinstance(answer, Found):
            return answer.id
        if answer is None:
            fault = Fault(
                "not-looked-up", f"{quoted(value)} has not been looked up in LeadSquared.", "Run it again."
            )
        else:
            fault = Fault(answer.kind, answer.message, answer.remedy)
        return self._problem(fault, self._cell(cells) if self.plan.constant is None else value)


def _nothing(_cell: str) -> None:
    return None


def _finding(
    severity: Severity, heading: str | None, index: int | None, cell: str, fault: Fault
) -> CellFinding:
    return CellFinding(
        severity, heading, index, fault.kind, cell[:CELL_ECHO_MAX], fault.message, fault.remedy
    )


class RowMapper:
    """Turns rows of one sheet into activities."""

    def __init__(
        self,
        company: FieldPlan,
        event: FieldPlan,
        note: FieldPlan | None,
        fields: Sequence[FieldPlan],
        *,
        places: dict[str, int],
        header: Sequence[str],
    ) -> None:
        """places: where each column of the mapping is in a row, from 0. header: the sheet's headings."""
        self._company = BoundField(company, places)
        self._event = BoundField(event, places)
        self._event_code = None if event.constant is None else int(event.constant)
        self._note = None if note is None else BoundField(note, places)
        self._fields = tuple((plan.name, BoundField(plan, places)) for plan in fields)
        self._width = max(places.values(), default=-1) + 1
        self._header = tuple(header)
        self._used = frozenset(places.values())
        self._texts = frozenset(index for field in self._all() for _, index in field.columns if field.is_text)
        self._naming = tuple(field for field in self._all() if field.plan.choices is not None)
        self._asking = tuple(field for field in self._all() if field.plan.lookup is not None)
        self._noticing = tuple(field for field in self._all() if field.may_notice)

    def __repr__(self) -> str:
        return f"RowMapper({', '.join(f'{line.source} → {line.schema_name}' for line in self.describe())})"

    def _all(self) -> Iterator[BoundField]:
        yield self._company
        yield self._event
        if self._note is not None:
            yield self._note
        yield from (field for _, field in self._fields)

    @property
    def lookups(self) -> tuple[Lookup, ...]:
        """What has to be asked, each once."""
        return tuple(
            dict.fromkeys(field.plan.lookup for field in self._asking if field.plan.lookup is not None)
        )

    @property
    def needs_lookups(self) -> bool:
        return bool(self._asking)

    @property
    def fields(self) -> tuple[BoundField, ...]:
        """All parts of the activity, in the order in which they are sent."""
        return tuple(self._all())

    def uses(self, index: int | None) -> bool:
        """Whether the column at `index` is mapped; a whole row or sheet (None) always counts."""
        return index is None or index in self._used

    def map(self, row: Row, resolved: Resolved | None = None) -> Activity | list[CellFinding]:
        """The row's activity, or all its problems. Without `resolved` lookups leave `lookup:account:CODE`."""
        if row.problem is not None:
            return [CellFinding(Severity.PROBLEM, None, None, "unreadable-row", "", row.problem, "")]
        cells = self._padded(row.cells)
        problems: list[CellFinding] = []
        company = self._company.send(cells, resolved)
        event: str | int | CellFinding | None = self._event_code
        if event is None:
            event = self._event.send(cells, resolved)
        note = None if self._note is None else self._note.send(cells, resolved)
        problems.extend(sent for sent in (company, event, note) if isinstance(sent, CellFinding))
        fields: list[tuple[str, str]] = []
        for name, field in self._fields:
            sent = field.send(cells, resolved)
            if type(sent) is str:
                fields.append((name, sent))
            elif sent is not None:
                problems.append(sent)  # type: ignore[arg-type]
        if problems or not isinstance(company, str) or isinstance(event, CellFinding) or event is None:
            return self._problems(row, cells, problems)
        return Activity(company, int(event), note if isinstance(note, str) else None, tuple(fields))

    def lookup_values(self, row: Row) -> Iterator[tuple[Lookup, str]]:
        """What this row asks for; cells that are empty or no good ask for nothing."""
        if row.problem is not None or not self._asking:
            return
        cells = self._padded(row.cells)
        for field in self._asking:
            value = field.reference(cells)
            if isinstance(value, str) and value and field.plan.lookup is not None:
                yield field.plan.lookup, value

    def _problems(self, row: Row, cells: Cells, problems: list[CellFinding]) -> list[CellFinding]:
        """Each problem once; of a row that is not a record, only what it looks like."""
        found = looks_like(cells, self._header, self._company.index)
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
        return any(field.index == index and field.plan.lists(trimmed(cells[index])) for field in self._naming)

    def notices(self, row: Row, activity: Activity) -> list[CellFinding]:
        """What of this row will arrive other than it looks in the sheet."""
        cells = self._padded(row.cells)
        found: list[CellFinding] = []
        if LOST in "".join(cells) or not _ONLY_TEXTS.issuperset(map(type, cells)):
            found = [notice for field in self._noticing for notice in field.notices(cells)]
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
            yield _finding(Severity.NOTICE, self._note.heading, self._note.index, note, fault)

    def describe(self) -> list[Preview]:
        """Where each part of the activity comes from, in the order in which it is sent."""
        return [
            Preview(_source(field.plan), field.plan.name, _type_name(field.plan)) for field in self._all()
        ]

    def columns(self) -> dict[str, str]:
        """Schema name → heading of the column (or template) that fills it."""
        return {each.schema_name: each.source for each in self.describe()}

    def parts(self, row: Row) -> list[Part]:
        """Every part of the row's activity, also where other parts cannot be sent."""
        cells = self._padded(row.cells)
        parts = []
        for field in self._all():
            sent = field.reference(cells)
            problem = None if sent is None or isinstance(sent, str) else sent
            value = sent if isinstance(sent, str) else None
            parts.append(Part(field.plan.name, _type_name(field.plan), field.shown(cells), value, problem))
        return parts

    def _padded(self, cells: Cells) -> Cells:
        missing = self._width - len(cells)
        return cells if missing <= 0 else cells + ("",) * missing


def _source(plan: FieldPlan) -> str:
    if plan.template is not None:
        return plan.template.text
    return plan.column if plan.column is not None else quoted(plan.constant or "")


def _type_name(plan: FieldPlan) -> str:
    if plan.lookup is not None:
        return f"{plan.lookup.kind} by {plan.lookup.by}"
    return plan.type.name
