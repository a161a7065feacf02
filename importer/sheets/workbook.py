"""What the sheets of all workbooks have in common: rows of numbered cells, and what nobody sees of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from openpyxl.utils.cell import range_boundaries

from importer.errors import SheetError
from importer.findings import VALUE_SHOWN_MAX, CellFinding, Severity
from importer.sheets.detect import damaged
from importer.sheets.rows import ErrorCell, NumberCell, Row, column_letters
from importer.sheets.sheet import BLANK_ROWS_MAX, Sheet, unreadable
from importer.sheets.text_damage import find_damage
from importer.text import quoted

BLANK_HEADINGS_MAX: Final = 256
HEADER_MERGES_MAX: Final = 20_000
EXAMPLES_MAX: Final = 3
NEVER_CALCULATED: Final = (
    "The cell holds a formula whose result is not stored. Open the workbook in Excel, which calculates it,"
    " and save it."
)


class RawRow(NamedTuple):
    """number: as Excel shows it. hidden: by filter, by hand or by its height. cells: by column index, empty
    ones absent. problem: why the row cannot be trusted. formulas: columns whose value Excel would calculate
    again on opening. unseen: columns whose number format shows nothing. unfilled: nothing in it was typed:
    formulas give 0 or an error, checkboxes are empty. struck: columns whose text is crossed out in part."""

    number: int
    hidden: bool
    cells: dict[int, str]
    problem: str | None = None
    formulas: Sequence[int] = ()
    unseen: Sequence[int] = ()
    unfilled: bool = False
    struck: Sequence[int] = ()

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing in it but blanks."""
        return self.problem is None and all(
            cell.isspace() and not isinstance(cell, ErrorCell) for cell in self.cells.values()
        )


def nothing_typed(cells: dict[int, str], formulas: Iterable[int]) -> bool:
    """Whether the cells are all empty checkboxes, or formulas about empty cells. formulas: their columns."""
    nothing: list[int] = []
    for column, text in cells.items():
        if text == "FALSE" or text.isspace():
            continue
        if not (text.plain == "0" if isinstance(text, NumberCell) else text and isinstance(text, ErrorCell)):
            return False
        nothing.append(column)
    return set(nothing) <= set(formulas)


def range_name(row: int, column: int, last_row: int, last_column: int) -> str:
    """`A2:B4` for rows and columns from 0."""
    return f"{column_letters(column)}{row + 1}:{column_letters(last_column)}{last_row + 1}"


@dataclass(slots=True)
class Merges:
    """heading: the merged ranges that touch the header's row: first column, first row, last column, last row,
    from 1. below: how many ranges there are below it, `examples` the first of them as Excel writes them."""

    heading: list[tuple[int, int, int, int]] = field(default_factory=list)
    below: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, name: str, header_row: int) -> None:
        """Note a range; one that no sheet has is left out."""
        try:
            # None is for whole columns, `A:B`, which no file writes.
            left, top, right, bottom = [number or 0 for number in range_boundaries(name)]
        except ValueError:
            return
        if top <= header_row <= bottom:
            if len(self.heading) < HEADER_MERGES_MAX:
                self.heading.append((left, top, right, bottom))
        elif top > header_row:
            self.below += 1
            if len(self.examples) < EXAMPLES_MAX:
                self.examples.append(name)


class WorkbookSheet(Sheet):
    """A worksheet; the families differ in how they get at its raw rows."""

    family: Literal["text", "workbook"] = "workbook"

    @abstractmethod
    def stored_rows(self) -> Iterator[RawRow]:
        """Every row that has cells, from the first on."""

    def raw_rows(self) -> Iterator[RawRow]:
        """The same, in order. Raises SheetError for a row that is there twice, or behind a later one."""
        before = 0
        for raw in self.stored_rows():
            if raw.number <= before:
                raise damaged(self.path, f'sheet "{self.name}": row {raw.number} follows row {before}')
            before = raw.number
            yield raw

    def table(self) -> Iterator[RawRow]:
        """The rows with content below the header. Raises SheetError for content far below the table's end."""
        last = self.header_row
        for raw in self.raw_rows():
            if raw.number <= self.header_row or raw.is_blank:
                continue
            if raw.number - last > BLANK_ROWS_MAX:
                raise self.far_below(
                    last, f"cell {column_letters(min(raw.cells, default=0))}{raw.number} holds something"
                )
            last = raw.number
            yield raw

    def rows(self) -> Iterator[Row]:
        self.check_unchanged()
        try:
            yield from self.without_unfilled(self._rows())
        except (OSError, MemoryError) as error:
            raise unreadable(self.path, error) from error

    def _rows(self) -> Iterator[Row]:
        columns = range(len(self.header))
        skip_hidden = self.how.hidden == "skip"
        for raw in self.table():
            if raw.hidden and skip_hidden:
                continue
            cells, get = raw.cells, raw.cells.get
            row = [get(index, "") for index in columns]
            findings = find_damage(row, self.header, formulas=False)
            problem = raw.problem
            if problem is None and cells and max(cells) not in columns:
                problem = self.surplus(raw.number, sorted(cells.items()))
            if raw.unfilled:
                self.computed.add(raw.number)
            if raw.formulas or raw.unseen or raw.struck:
                findings = self._findings(raw) + findings
            yield Row(raw.number, tuple(row), problem, findings)

    def _findings(self, raw: RawRow) -> tuple[CellFinding, ...]:
        """What is to be said of cells whose value is not what a person sees, or will see."""
        found: list[CellFinding] = []
        for index in sorted({*raw.formulas, *raw.unseen, *raw.struck}):
            cell = raw.cells.get(index, "")
            if index >= len(self.header) or isinstance(cell, ErrorCell):
                continue
            value, heading = cell[:VALUE_SHOWN_MAX], self.header[index]
            if index in raw.formulas:
                found.append(
                    CellFinding(
                        Severity.QUESTION, heading, index, kind="not-recalculated", value=value,
                        message="The cell holds a formula, and the workbook asks to be calculated when it"
                        f" is opened: {quoted(cell)} is stored, Excel may show another value.",
                        remedy="Open the workbook in Excel and save it; or, if the stored values are right,"
                        " use --accept not-recalculated (or `accept: [not-recalculated]` in the"
                        " mapping).",
                    )
                )  # fmt: skip
            if index in raw.unseen:
                found.append(
                    CellFinding(
                        Severity.NOTICE, heading, index, kind="unseen-value", value=value,
                        message=f"The cell's number format hides its value; {quoted(cell)} is sent.",
                        remedy="Give the cell another number format to see it, or empty it.",
                    )
                )  # fmt: skip
            if index in raw.struck:
                found.append(
                    CellFinding(
                        Severity.NOTICE, heading, index, kind="crossed-out", value=value,
                        message=f"A part of the text is crossed out, and is sent, too: {quoted(cell)}.",
                        remedy="Delete what does not count.",
                    )
                )  # fmt: skip
        return tuple(found)

    def read_header(self, found: Merges) -> None:
        """Take the header's texts; one merged from above counts, one merged to the right names one column."""
        tops = {(top, left - 1) for left, top, _, _ in found.heading}
        merged_texts: dict[tuple[int, int], str] = {}
        header: dict[int, str] = {}
        first_filled: int | None = None
        for raw in self.raw_rows():
            if first_filled is None and not raw.is_blank:
                first_filled = raw.number
            if raw.number <= self.header_row and tops:
                merged_texts |= {top: raw.cells.get(top[1], "") for top in tops if top[0] == raw.number}
            if raw.number == self.header_row:
                if raw.problem is not None:
                    raise damaged(self.path, raw.problem.partition(":")[0])
                header = dict(raw.cells)
            if raw.number >= self.header_row and first_filled is not None:
                break
        for left, top, right, _ in found.heading:
            text = merged_texts.get((top, left - 1), "").strip()
            if text:
                header.setdefault(left - 1, text)
                self._warn_of_wide_heading(left - 1, right - 1, text)
        self._check_gaps(header)
        width = max(header, default=-1) + 1
        self.adopt_header([header.get(index, "") for index in range(width)], first_filled)
        if len(self.header) == 1:
            self.warnings.append(
                f"Row {self.header_row} holds one heading only, {quoted(self.header[0])}. If that is a title,"
                " set `header_row:` in the mapping to the row that holds the headings."
            )
        self._warn_of_merged_rows(found)

    def _warn_of_merged_rows(self, found: Merges) -> None:
        if found.below:
            more = found.below - len(found.examples)
            shown = ", ".join(found.examples) + (f" and {more} more" if more else "")
            self.warnings.append(
                f"Cells below the headings are merged ({shown}): the value counts for the first cell only,"
                " the others are empty. Unmerge them in Excel and fill the value in where it belongs."
            )

    def _warn_of_wide_heading(self, left: int, right: int, text: str) -> None:
        if right > left:
            first, last = column_letters(left), column_letters(right)
            self.warnings.append(
                f"The heading {quoted(text)} is merged over columns {first} to {last}: it names {first} only,"
                " the others have no heading."
            )

    def _check_gaps(self, header: dict[int, str]) -> None:
        before = -1
        for column in sorted(header):
            if column - before > BLANK_HEADINGS_MAX:
                raise SheetError(
                    f"Cell {column_letters(column)}{self.header_row} is {column - before - 1:,} blank"
                    " columns right of the other headings.",
                    where=self.place(),
                    remedy="Delete it if it is there by mistake (Ctrl+End shows it).",
                )
            before = column
