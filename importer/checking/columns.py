"""What only a whole column shows: dates in two orders, years far from the others, points that may group
thousands, amounts in several currencies. Pure; each watch sees every row and speaks at the end.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from importer.checking.findings import EXAMPLES_KEPT, ROWS_KEPT, Cells
from importer.findings import CellFinding, Severity
from importer.mapping.date_formats import MONTHS
from importer.mapping.date_values import YEAR_PLAUSIBLE, DateTimeValue, DateValue
from importer.mapping.row_mapper import RowMapper
from importer.mapping.values import BLANKS, Fault, NumberValue, currency_of, without_currency
from importer.sheets.rows import DateCell, Row
from importer.text import quoted

YEARS_APART_LEAST: Final = 8
"""So far from the others a year is more likely mistyped (2062, 1926, 2016) than meant."""
USUAL_SHARE_LEAST: Final = 0.9
USUAL_CELLS_LEAST: Final = 5
_GROUP_LIKE: Final = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)
_NO_GROUP: Final = re.compile(
    r"[+-]?(?:\d*\.(?!\d{3}$)\d+|0\.\d+|\.\d+|\d{4,}\.\d+|[\d,]*,\d{3}(?:\.\d*)?)", re.ASCII
)
"""A number with a point that cannot group thousands, or a comma that does."""

FoundCells = tuple[CellFinding, Cells]


class Watch(Protocol):
    """Looks at one column."""

    def see(self, row: Row) -> None:
        """The next row."""

    def findings(self) -> Iterator[FoundCells]:
        """What the column as a whole shows; after the last row."""


def watches(mapper: RowMapper) -> list[Watch]:
    """A watch for each column of the mapping that can be doubtful as a whole."""
    found: list[Watch] = []
    for field in mapper.fields:
        plan = field.plan
        if plan.maps or plan.lookup is not None or not field.columns:
            continue
        heading, index = field.columns[0]
        if plan.date_and_time is not None:
            found.append(DateWatch(heading, index, plan.date_and_time.date))
        elif plan.template is not None:
            continue
        elif isinstance(plan.type, DateValue | DateTimeValue):
            found.append(DateWatch(heading, index, plan.type))
        elif isinstance(plan.type, NumberValue):
            if plan.type.decimal is None and not plan.type.whole:
                found.append(PointWatch(heading, index, currency=plan.type.currency))
            if plan.type.currency:
                found.append(CurrencyWatch(heading, index))
    return found


class DateWatch:
    """A column of dates: their orders and their years."""

    def __init__(self, heading: str, index: int, value: DateValue | DateTimeValue) -> None:
        self._heading = heading
        self._index = index
        self._formats = value.formats
        self._years: dict[int, Cells] = {}
        self._orders: set[str] = set()
        self._refused_order = 0
        self._swappable_texts = Cells()
        self._swappable_cells = Cells()

    def see(self, row: Row) -> None:
        cell = row.cells[self._index] if self._index < len(row.cells) else ""
        if type(cell) is str:
            self._see_text(row.number, cell.strip(BLANKS))
        elif isinstance(cell, DateCell) and isinstance(cell.value, dt.date):
            day = cell.value
            self._count_year(day.year, row.number, cell)
            if day.day <= 12 and day.day != day.month:
                self._swappable_cells.add(row.number, str(cell))

    def _see_text(self, number: int, text: str) -> None:
        if not text:
            return
        found = self._formats.parse(text)
        if isinstance(found, Fault):
            self._refused_order += found.kind == "no-such-date" and self._formats.is_other_order(text)
            return
        self._count_year(found.local.year, number, text)
        if found.order is not None:
            self._orders.add(found.order)
            if found.swappable:
                self._swappable_texts.add(number, text)

    def _count_year(self, year: int, number: int, text: str) -> None:
        cells = self._years.get(year)
        if cells is None:
            cells = self._years[year] = Cells()
        cells.add(number, text)

    def findings(self) -> Iterator[FoundCells]:
        yield from self._mixed()
        yield from self._day_or_month()
        yield from self._unusual_years()

    def _mixed(self) -> Iterator[FoundCells]:
        if self._orders and self._swappable_cells.count:
            yield self._question(
                self._swappable_cells,
                "This is a date cell, but the column also holds dates as text. A program that reads dates in"
                " the other order makes date cells of some texts, with day and month exchanged, and leaves"
                " the rest as text.",
            )
        if self._swappable_texts.count and (len(self._orders) > 1 or self._refused_order):
            yield self._question(
                self._swappable_texts,
                "The column holds dates with the day first and dates with the month first, so this one can be"
                " read in two ways.",
            )

    def _question(self, cells: Cells, message: str) -> FoundCells:
        found = CellFinding(
            Severity.QUESTION, self._heading, self._index, "mixed-dates", _first(cells), message,
            "Compare the cells with their source and correct them in the sheet, in one order. If they are"
            " right as they are: `accept: [mixed-dates]` in the mapping, or --accept mixed-dates.",
        )  # fmt: skip
        return found, cells

    def _day_or_month(self) -> Iterator[FoundCells]:
        if not self._swappable_texts.count:
            return
        text = _first(self._swappable_texts)
        read = self._formats.parse(text)
        if isinstance(read, Fault):  # it was read before
            return
        day, month = read.local.day, read.local.month
        found = CellFinding(
            Severity.NOTICE, self._heading, self._index, "day-or-month", text,
            f"{quoted(text)} is read as {day} {MONTHS[month - 1]} {read.local.year}; with day and month"
            f" exchanged it would be {month} {MONTHS[day - 1]}.",
            "Compare one of them with its source; the order is set by `format` in the mapping.",
        )  # fmt: skip
        yield found, self._swappable_texts

    def _unusual_years(self) -> Iterator[FoundCells]:
        unlikely = self._of_years(year for year in self._years if year not in YEAR_PLAUSIBLE)
        if unlikely.count:
            text = _first(unlikely)
            found = CellFinding(
                Severity.NOTICE, self._heading, self._index, "far-off-date", text,
                f"{quoted(text)} is in an unlikely year.", "Check the year.",
            )  # fmt: skip
            yield found, unlikely
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
            found = CellFinding(
                Severity.NOTICE, self._heading, self._index, "unusual-year", _first(far),
                f"The year is far from those of the other cells, most of which are near {usual}.",
                "Check it.",
            )  # fmt: skip
            yield found, far

    def _of_years(self, years: Iterable[int]) -> Cells:
        """The cells of some years together."""
        several = [self._years[year] for year in years]
        rows = sorted(row for cells in several for row in cells.rows)[:ROWS_KEPT]
        examples = sorted((each for cells in several for each in cells.examples), key=lambda each: each.row)
        return Cells(sum(cells.count for cells in several), rows, examples[:EXAMPLES_KEPT])


class PointWatch:
    """A column of numbers for which the mapping sets no `decimal`: does a point group thousands?"""

    def __init__(self, heading: str, index: int, *, currency: bool) -> None:
        self._heading = heading
        self._index = index
        self._currency = currency
        self._group_like = Cells()
        self._decided = False

    def see(self, row: Row) -> None:
        cell = row.cells[self._index] if self._index < len(row.cells) else ""
        if self._decided or type(cell) is not str or not ("." in cell or "," in cell):
            return
        text = cell.strip(BLANKS)
        if self._currency:
            text = without_currency(text) or text
        if _GROUP_LIKE.fullmatch(text):
            self._group_like.add(row.number, text)
        elif _NO_GROUP.fullmatch(text):
            self._decided = True

    def findings(self) -> Iterator[FoundCells]:
        if self._decided or not self._group_like.count:
            return
        text = _first(self._group_like)
        found = CellFinding(
            Severity.QUESTION, self._heading, self._index, "decimal-or-thousands", text,
            f'{quoted(text)} can be {text} or {text.replace(".", "")}: every point here has three digits'
            " after it.",
            'Set `decimal: "."` in the mapping if the point is the decimal mark, or `decimal: ","` if it'
            f" groups thousands. --accept decimal-or-thousands sends {text}.",
        )  # fmt: skip
        yield found, self._group_like


class CurrencyWatch:
    """A column of amounts whose currencies are not sent: are they all the same?"""

    def __init__(self, heading: str, index: int) -> None:
        self._heading = heading
        self._index = index
        self._by_currency: dict[str, Cells] = {}

    def see(self, row: Row) -> None:
        cell = row.cells[self._index] if self._index < len(row.cells) else ""
        if type(cell) is not str or (cell.isascii() and not any(map(str.isalpha, cell)) and "$" not in cell):
            return
        currency = currency_of(cell.strip(BLANKS))
        if currency is not None:
            self._by_currency.setdefault(currency, Cells()).add(row.number, cell)

    def findings(self) -> Iterator[FoundCells]:
        if len(self._by_currency) < 2:
            return
        rarest = min(self._by_currency.values(), key=lambda cells: cells.count)
        named = ", ".join(sorted(self._by_currency))
        found = CellFinding(
            Severity.QUESTION, self._heading, self._index, "mixed-currencies", _first(rarest),
            f"The column holds amounts in several currencies ({named}), and only the numbers are sent.",
            "Put the amounts of each currency into a column of their own. If the numbers alone are right:"
            " `accept: [mixed-currencies]` in the mapping, or --accept mixed-currencies.",
        )  # fmt: skip
        yield found, rarest


def _first(cells: Cells) -> str:
    return cells.examples[0].value if cells.examples else ""


def _middle(years: dict[int, Cells], total: int) -> int:
    """The median year."""
    seen = 0
    for year in sorted(years):
        seen += years[year].count
        if 2 * seen >= total:
            return year
    return 0
