"""A mapping bound to a sheet's header: a row → an activity, or the problems of its cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from importer.activity import Activity
from importer.mapping.field_plan import FieldPlan
from importer.mapping.references import Found, Lookup, Resolved
from importer.mapping.values import BLANKS, LOST, Fault, TextValue, trimmed, unsendable
from importer.sheets.rows import Cells, ErrorCell, Row
from importer.text import quoted

VALUE_LENGTH_MAX: Final = 200
_PLAIN_TEXT: Final = TextValue()
_ONLY_TEXTS: Final = frozenset({str})


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row cannot be sent.

    column: its heading, None if it is no single column. index: its place in the row from 0. kind: a stable
    slug for grouping. value: what the cell shows, cut to 200 characters. message, remedy: full sentences.
    """

    column: str | None
    index: int | None
    kind: str
    value: str
    message: str
    remedy: str

    def __str__(self) -> str:
        head = f"{self.column}: " if self.column else ""
        return f"{head}{self.message} {self.remedy}".rstrip()


class Notice(Problem):
    """Nothing is wrong with the row, but what arrives is other than it looks."""

    __slots__ = ()


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
    problem: Problem | None


class BoundField:
    """A field of the mapping that knows its columns' places in the row."""

    __slots__ = (
        "_constant", "_headings", "_index", "_lookup", "_notice", "_pieces", "_read", "_strip", "heading",
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
        self._notice = plan.type.notice if plan.template is None else _PLAIN_TEXT.notice

    def send(self, cells: Cells, resolved: Resolved | None) -> str | Problem | None:
        """What is sent; None if nothing is; the Problem if the cell is no good."""
        sent = self.reference(cells)
        if self._lookup is not None and type(sent) is str and sent:
            return self._looked_up(sent, self._lookup, cells, resolved)
        return sent

    def reference(self, cells: Cells) -> str | Problem | None:
        """As `send`, but for a lookup the value that is looked up."""
        if self._constant is not None:
            return self._constant
        cell = self._filled(cells) if self._pieces else cells[self._index]
        if type(cell) is str:
            if self._strip:
                cell = cell.strip(BLANKS)
            elif not cell.strip(BLANKS):
                cell = ""
        elif isinstance(cell, ErrorCell):
            fault = Fault("unusable-cell", cell.reason)
            return self._piece_problem(fault, cells) if self._pieces else self._problem(fault, cell)
        if not cell:
            return self._empty()
        sent = self._read(cell)
        if isinstance(sent, Fault):
            return self._piece_problem(sent, cells) if self._pieces else self._problem(sent, cell)
        return sent or self._empty()

    @property
    def _place(self) -> int | None:
        return None if self.heading is None else self._index

    @property
    def may_notice(self) -> bool:
        """Whether `notices` can ever find anything."""
        return bool(self._headings) and not self.plan.maps and self.plan.lookup is None

    @property
    def notices_texts(self) -> bool:
        """Whether `notices` can find anything in plain texts, none of which has lost characters."""
        return self.may_notice and self.plan.template is None and self.plan.type.notices_texts

    def notices(self, cells: Cells) -> Sequence[Notice]:
        """What will arrive other than it looks. Asked only of fields that `may_notice`."""
        noticed: list[Notice] = []
        for heading, index in self._headings:
            cell = trimmed(cells[index])
            found = self._notice(cell) if cell and not isinstance(cell, ErrorCell) else None
            if found is not None:
                value = str(cell)[:VALUE_LENGTH_MAX]
                noticed.append(Notice(heading, index, found.kind, value, found.message, found.remedy))
        return noticed

    def shown(self, cells: Cells) -> str:
        """What a person sees in the sheet of what this field is made of."""
        return "" if self._constant is not None else self._cell(cells)

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

    def _empty(self) -> str | Problem | None:
        plan = self.plan
        if plan.default is not None:
            return plan.default
        if plan.required:
            return self._problem(Fault("missing", "There is nothing in the cell.", "Fill it in."), "")
        return "" if plan.send_empty else None

    def _problem(self, fault: Fault, cell: str) -> Problem:
        value = str(cell)[:VALUE_LENGTH_MAX]
        return Problem(self.heading, self._place, fault.kind, value, fault.message, fault.remedy)

    def _piece_problem(self, fault: Fault, cells: Cells) -> Problem:
        """A template's problem, blamed on the first of its columns whose cell is no good by itself."""
        for column, index in self._headings:
            cell = cells[index]
            found = Fault(fault.kind, cell.reason) if isinstance(cell, ErrorCell) else unsendable(cell)
            if found is not None:
                return Problem(
                    column, index, found.kind, str(cell)[:VALUE_LENGTH_MAX], found.message, found.remedy
                )
        return self._problem(fault, self._cell(cells))

    def _looked_up(
        self, value: str, lookup: Lookup, cells: Cells, resolved: Resolved | None
    ) -> str | Problem:
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


class RowMapper:
    """Turns rows of one sheet into activities."""

    def __init__(
        self,
        company: FieldPlan,
        event: FieldPlan,
        note: FieldPlan | None,
        fields: Sequence[FieldPlan],
        places: dict[str, int],
    ) -> None:
        self._company = BoundField(company, places)
        self._event = BoundField(event, places)
        self._event_code = None if event.constant is None else int(event.constant)
        self._note = None if note is None else BoundField(note, places)
        self._fields = tuple((plan.name, BoundField(plan, places)) for plan in fields)
        self._width = max(places.values(), default=-1) + 1
        self._asking = tuple(field for field in self._all() if field.plan.lookup is not None)
        self._noticing = tuple(field for field in self._all() if field.may_notice)
        self._noticing_texts = tuple(field for field in self._noticing if field.notices_texts)

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

    def map(self, row: Row, resolved: Resolved | None = None) -> Activity | list[Problem]:
        """The row's activity, or all its problems. Without `resolved` lookups leave `lookup:account:CODE`."""
        if row.problem is not None:
            return [Problem(None, None, "unreadable-row", "", row.problem, "")]
        cells = self._padded(row.cells)
        problems: list[Problem] = []
        company = self._company.send(cells, resolved)
        event: str | int | Problem | None = self._event_code
        if event is None:
            event = self._event.send(cells, resolved)
        note = None if self._note is None else self._note.send(cells, resolved)
        problems.extend(sent for sent in (company, event, note) if isinstance(sent, Problem))
        fields: list[tuple[str, str]] = []
        for name, field in self._fields:
            sent = field.send(cells, resolved)
            if type(sent) is str:
                fields.append((name, sent))
            elif sent is not None:
                problems.append(sent)  # type: ignore[arg-type]
        if problems or not isinstance(company, str) or isinstance(event, Problem) or event is None:
            return list(dict.fromkeys(problems))
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

    def warnings(self, row: Row) -> list[Notice]:
        """What of this row will arrive other than it looks in the sheet."""
        if row.problem is not None:
            return []
        cells = self._padded(row.cells)
        plain = _ONLY_TEXTS.issuperset(map(type, cells)) and LOST not in "".join(cells)
        noticing = self._noticing_texts if plain else self._noticing
        found = [notice for field in noticing for notice in field.notices(cells)]
        return list(dict.fromkeys(found)) if found else found

    def describe(self) -> list[Preview]:
        """Where each part of the activity comes from, in the order in which it is sent."""
        return [
            Preview(_source(field.plan), field.plan.name, _type_name(field.plan)) for field in self._all()
        ]

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
