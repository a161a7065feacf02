"""What only a whole column shows: dates in two orders, years far from the others, points that may group
thousands, amounts in several currencies, values that LeadSquared does not offer. Pure; each watch sees every
row and speaks at the end.

What LeadSquared says about an activity type makes notices only: whether it tells the whole truth about
account activities is not documented, so that nothing here may stop an import.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from importer.activity import ActivityField
from importer.findings import CellFinding, Severity
from importer.mapping.choices import did_you_mean, listing
from importer.mapping.dates import MONTHS, YEAR_PLAUSIBLE, DatedValue
from importer.mapping.row_mapper import MappedField, RowMapper
from importer.mapping.values import BLANKS, Fault, NumberValue, TextValue, currency_of, without_currency
from importer.sheets.rows import DateCell, Row
from importer.text import quoted

ROWS_KEPT: Final = 100
EXAMPLES_KEPT: Final = 3
YEARS_APART_LEAST: Final = 8
"""So far from the others a year is more likely mistyped (2062, 1926, 2016) than meant."""
USUAL_SHARE_LEAST: Final = 0.9
USUAL_CELLS_LEAST: Final = 5
COMPARE_DATES: Final = (
    "Compare the cells with their source and correct them in the sheet, in one order. If they are right as"
    " they are: `accept: [mixed-dates]` in the mapping, or --accept mixed-dates."
)
_GROUP_LIKE: Final = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_NO_GROUP: Final = re.compile(
    r"[+-]?(?:\d*\.(?!\d{3}$)\d+|0\.\d+|\.\d+|\d{4,}\.\d+|[\d,]*,\d{3}(?:\.\d*)?)", re.ASCII
)
"""A number with a point that cannot group thousands, or a comma that does."""

_CODE_LENGTH_MAX: Final = 10
_SHORT_MONTHS: Final = "|".join(month[:3] for month in MONTHS)
_CODE_AS_DATE: Final = re.compile(rf"\d\d?-(?:{_SHORT_MONTHS})|(?:{_SHORT_MONTHS})-\d\d")
_CODE_LIKE_DATE: Final = re.compile(r"\w{1,5}[-/]\d{1,4}")
"""3-4 or MAR1 become 03-Apr and 01-Mar when Excel opens a text file."""


class Example(NamedTuple):
    """One cell of a finding: the row as Excel numbers it, and what the cell shows."""

    row: int
    value: str


@dataclass(slots=True)
class Cells:
    """Cells that share a finding: all of them counted, the first ones kept."""

    count: int = 0
    rows: list[int] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)

    def add(self, row: int, value: str) -> None:
        """One more, in row `row`, which shows `value`."""
        self.count += 1
        if self.count > ROWS_KEPT:
            return
        self.rows.append(row)
        if len(self.examples) < EXAMPLES_KEPT and all(each.value != value for each in self.examples):
            self.examples.append(Example(row, value))


FoundCells = tuple[CellFinding, Cells]


class Watch(ABC):
    """Looks at one column, and keeps the cells that are doubtful."""

    def __init__(self, heading: str, index: int) -> None:
        self._heading, self._index = heading, index
        self._doubtful = Cells()

    def see(self, row: Row) -> None:
        """The next row."""
        if self._index < len(row.cells):
            self._see(row.number, row.cells[self._index])

    @abstractmethod
    def _see(self, number: int, cell: str) -> None:
        """The column's cell in row `number`."""

    @abstractmethod
    def findings(self) -> Iterator[FoundCells]:
        """What the column as a whole shows; after the last row."""

    def _found(self, severity: Severity, kind: str, cells: Cells, message: str, remedy: str) -> FoundCells:
        """cells: at least one."""
        example = cells.examples[0].value
        return CellFinding(severity, self._heading, self._index, kind, example, message, remedy), cells


def watches(mapper: RowMapper) -> list[Watch]:
    """A watch for each column of the mapping that can be doubtful as a whole."""
    found: list[Watch] = []
    for plan in mapper.fields:
        if plan.maps or plan.lookup is not None or not plan.columns:
            continue
        heading, index = plan.columns[0]
        if plan.date_and_time is not None:
            found.append(DateWatch(heading, index, plan.date_and_time.date))
        elif plan.literals:
            continue
        elif isinstance(plan.type, DatedValue):
            found.append(DateWatch(heading, index, plan.type))
        elif isinstance(plan.type, NumberValue):
            if plan.type.decimal is None and not plan.type.whole:
                found.append(PointWatch(heading, index, currency=plan.type.currency))
            if plan.type.currency:
                found.append(CurrencyWatch(heading, index))
        elif isinstance(plan.type, TextValue) and plan.choices is None:
            found.append(CodeWatch(heading, index))
    return found


class DateWatch(Watch):
    """A column of dates: their orders and their years."""

    def __init__(self, heading: str, index: int, value: DatedValue) -> None:
        super().__init__(heading, index)
        self._value = value
        self._years: dict[int, Cells] = {}
        self._orders: set[str] = set()
        self._refused_order = 0
        self._swappable_cells = Cells()

    def _see(self, number: int, cell: str) -> None:
        if type(cell) is str:
            self._see_text(number, cell.strip(BLANKS))
        elif isinstance(cell, DateCell) and isinstance(cell.value, dt.date):
            day = cell.value
            self._count_year(day.year, number, cell)
            if day.day <= 12 and day.day != day.month:
                self._swappable_cells.add(number, str(cell))

    def _see_text(self, number: int, text: str) -> None:
        if not text:
            return
        found = self._value.parse(text)
        if isinstance(found, Fault):
            other = any(one.is_other_order(text) for one in self._value.given)
            self._refused_order += found.kind == "no-such-date" and other
            return
        self._count_year(found.local.year, number, text)
        if found.order is not None:
            self._orders.add(found.order)
            if found.swappable:
                self._doubtful.add(number, text)

    def _count_year(self, year: int, number: int, text: str) -> None:
        self._years.setdefault(year, Cells()).add(number, text)

    def findings(self) -> Iterator[FoundCells]:
        yield from self._mixed()
        yield from self._day_or_month()
        yield from self._unusual_years()

    def _mixed(self) -> Iterator[FoundCells]:
        if self._orders and self._swappable_cells.count:
            yield self._found(
                Severity.QUESTION, "mixed-dates", self._swappable_cells,
                "This is a date cell, but the column also holds dates as text. A program that reads dates in"
                " the other order makes date cells of some texts, with day and month exchanged, and leaves"
                " the rest as text.", COMPARE_DATES,
            )  # fmt: skip
        if self._doubtful.count and (len(self._orders) > 1 or self._refused_order):
            yield self._found(
                Severity.QUESTION, "mixed-dates", self._doubtful,
                "The column holds dates with the day first and dates with the month first, so this one can be"
                " read in two ways.", COMPARE_DATES,
            )  # fmt: skip

    def _day_or_month(self) -> Iterator[FoundCells]:
        if not self._doubtful.count:
            return
        text = self._doubtful.examples[0].value
        read = self._value.parse(text)
        if isinstance(read, Fault):  # it was read before
            return
        day, month = read.local.day, read.local.month
        yield self._found(
            Severity.NOTICE, "day-or-month", self._doubtful,
            f"{quoted(text)} is read as {day} {MONTHS[month - 1]} {read.local.year}; with day and month"
            f" exchanged it would be {month} {MONTHS[day - 1]}.",
            "Compare one of them with its source; the order is set by `format` in the mapping.",
        )  # fmt: skip

    def _unusual_years(self) -> Iterator[FoundCells]:
        unlikely = self._of_years(year for year in self._years if year not in YEAR_PLAUSIBLE)
        if unlikely.count:
            message = f"{quoted(unlikely.examples[0].value)} is in an unlikely year."
            yield self._found(Severity.NOTICE, "far-off-date", unlikely, message, "Check the year.")
        total = sum(cells.count for cells in self._years.values())
        usual = _middle(self._years, total)
        near = sum(
            cells.count for year, cells in self._years.items() if abs(year - usual) < YEARS_APART_LEAST
        )
        if near < USUAL_CELLS_LEAST or near < USUAL_SHARE_LEAST * total:
            return
        far = self._of_years(
            year for year in self._years if abs(year - usual) >= YEARS_APART_LEAST and year in YEAR_PLAUSIBLE
        )
        if far.count:
            message = f"The year is far from those of the other cells, most of which are near {usual}."
            yield self._found(Severity.NOTICE, "unusual-year", far, message, "Check it.")

    def _of_years(self, years: Iterable[int]) -> Cells:
        """The cells of some years together."""
        several = [self._years[year] for year in years]
        rows = sorted(row for cells in several for row in cells.rows)[:ROWS_KEPT]
        examples = sorted((each for cells in several for each in cells.examples), key=lambda each: each.row)
        return Cells(sum(cells.count for cells in several), rows, examples[:EXAMPLES_KEPT])


class PointWatch(Watch):
    """A column of numbers for which the mapping sets no `decimal`: does a point group thousands?"""

    def __init__(self, heading: str, index: int, *, currency: bool) -> None:
        super().__init__(heading, index)
        self._currency = currency
        self._decided = False

    def _see(self, number: int, cell: str) -> None:
        if self._decided or type(cell) is not str or not ("." in cell or "," in cell):
            return
        text = cell.strip(BLANKS)
        if self._currency:
            text = without_currency(text) or text
        if _GROUP_LIKE.fullmatch(text):
            self._doubtful.add(number, text)
        elif _NO_GROUP.fullmatch(text):
            self._decided = True

    def findings(self) -> Iterator[FoundCells]:
        if self._decided or not self._doubtful.count:
            return
        text = self._doubtful.examples[0].value
        yield self._found(
            Severity.QUESTION, "decimal-or-thousands", self._doubtful,
            f'{quoted(text)} can be {text} or {text.replace(".", "")}: every point here has three digits'
            " after it.",
            'Set `decimal: "."` in the mapping if the point is the decimal mark, or `decimal: ","` if it'
            f" groups thousands. --accept decimal-or-thousands sends {text}.",
        )  # fmt: skip


class CurrencyWatch(Watch):
    """A column of amounts whose currencies are not sent: are they all the same?"""

    def __init__(self, heading: str, index: int) -> None:
        super().__init__(heading, index)
        self._by_currency: dict[str, Cells] = {}

    def _see(self, number: int, cell: str) -> None:
        if type(cell) is not str or (cell.isascii() and not any(map(str.isalpha, cell)) and "$" not in cell):
            return
        currency = currency_of(cell.strip(BLANKS))
        if currency is not None:
            self._by_currency.setdefault(currency, Cells()).add(number, cell)

    def findings(self) -> Iterator[FoundCells]:
        if len(self._by_currency) < 2:
            return
        rarest = min(self._by_currency.values(), key=lambda cells: cells.count)
        named = ", ".join(sorted(self._by_currency))
        yield self._found(
            Severity.QUESTION, "mixed-currencies", rarest,
            f"The column holds amounts in several currencies ({named}), and only the numbers are sent.",
            "Put the amounts of each currency into a column of their own. If the numbers alone are right:"
            " `accept: [mixed-currencies]` in the mapping, or --accept mixed-currencies.",
        )  # fmt: skip


class CodeWatch(Watch):
    """A column of texts: did Excel make dates of some of its codes?"""

    _code = ""
    """The first one that Excel would make a date of."""

    def _see(self, number: int, cell: str) -> None:
        if len(cell) > _CODE_LENGTH_MAX or not ("-" in cell or "/" in cell) or type(cell) is not str:
            return
        if _CODE_AS_DATE.fullmatch(cell):
            self._doubtful.add(number, cell)
        elif not self._code and _CODE_LIKE_DATE.fullmatch(cell):
            self._code = cell

    def findings(self) -> Iterator[FoundCells]:
        if not self._code or not self._doubtful.count:
            return
        date = quoted(self._doubtful.examples[0].value)
        yield self._found(
            Severity.NOTICE, "code-as-date", self._doubtful,
            f"{date} may be what Excel made of a code such as {quoted(self._code)}; it is sent as it is.",
            "Compare it with its source; if it is a code, export the sheet again with that column as text.",
        )  # fmt: skip


def _middle(years: dict[int, Cells], total: int) -> int:
    """The median year; 0 without any."""
    seen = itertools.accumulate(years[year].count for year in sorted(years))
    return next((year for year, count in zip(sorted(years), seen, strict=True) if 2 * count >= total), 0)


CUSTOM: Final = "mx_"
"""Other names (Status, Owner) are LeadSquared's own, and need not be listed."""


def mapping_findings(
    plans: Sequence[MappedField], marker: str | None, code: int, known: Sequence[ActivityField]
) -> list[CellFinding]:
    """What of the mapping does not fit the activity type `code`, whose fields are `known` (none: nothing is
    known, and nothing is said)."""
    if not known:
        return []
    by_name = {field.schema_name: field for field in known}
    filled = {plan.name: None if plan.literals or not plan.headings else plan.source for plan in plans}
    found: list[CellFinding] = []
    for name, column in (filled | ({marker: None} if marker else {})).items():
        if name not in by_name and name.startswith(CUSTOM):
            hint = did_you_mean(name, by_name) or f" It has {listing(by_name)}."
            user = ", which the marker uses" if name == marker else ""
            message = f"Activity type {code} has no field {name}{user}.{hint}"
            remedy = "Compare it with the activity type in Settings > Accounts Customization."
            found.append(CellFinding(Severity.NOTICE, column, None, "unknown-field", name, message, remedy))
    for plan in plans:
        sent = () if plan.choices is None else plan.choices.sent
        for text in dict.fromkeys((*sent, plan.constant, plan.default)):
            options = by_name[plan.name].options if plan.name in by_name else ()
            if text and options and text not in options:
                found.append(_not_an_option(filled[plan.name], None, text, plan.name, options))
    for name, offered in by_name.items():
        if offered.mandatory and name not in filled:
            message = (
                f"Activity type {code} requires {name} ({quoted(offered.display_name)}), which the mapping"
                " does not fill."
            )
            remedy = f"Add {name} under `Fields:`, or expect that LeadSquared refuses the rows."
            found.append(CellFinding(Severity.NOTICE, None, None, "required-field", name, message, remedy))
    return found


def option_watches(mapper: RowMapper, known: Sequence[ActivityField]) -> list[OptionWatch]:
    """A watch for each column whose texts go into a dropdown as they are; to be given to the `Survey`."""
    options = {field.schema_name: field.options for field in known if field.options}
    return [
        OptionWatch(field.columns[0], field.name, options[field.name])
        for field in mapper.fields
        if field.name in options
        and field.choices is None
        and field.headings
        and not field.literals
        and field.lookup is None
        and isinstance(field.type, TextValue)
    ]


class OptionWatch(Watch):
    """A column of texts for a dropdown."""

    def __init__(self, column: tuple[str, int], name: str, options: Sequence[str]) -> None:
        super().__init__(*column)
        self._name, self._options, self._known = name, options, frozenset(options)

    def _see(self, number: int, cell: str) -> None:
        text = cell.strip(BLANKS)
        if text and text not in self._known:
            self._doubtful.add(number, text)

    def findings(self) -> Iterator[FoundCells]:
        if self._doubtful.count:
            text = self._doubtful.examples[0].value
            found = _not_an_option(self._heading, self._index, text, self._name, self._options)
            yield found, self._doubtful


def _not_an_option(
    column: str | None, index: int | None, text: str, name: str, options: Sequence[str]
) -> CellFinding:
    hint = did_you_mean(text, options) or f" It has {listing(options)}."
    message = f"{quoted(text)} is not an option of {name} in LeadSquared.{hint}"
    remedy = "Correct it, or translate it with `values` in the mapping."
    return CellFinding(Severity.NOTICE, column, index, "not-an-option", text, message, remedy)
