"""What a sheet looks like through a mapping: rows counted, problems, questions and notices gathered. Pure.

`check` and `run` look at each row with this same code, so that they never disagree.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from importer.activity import Activity
from importer.checking.columns import Watch, watches
from importer.checking.findings import ROWS_KEPT, WHOLE_COLUMN, Cells, Findings, RepeatedRows
from importer.findings import CellFinding, Severity
from importer.mapping.row_mapper import RowMapper
from importer.sheets.rows import Row
from importer.sheets.sheet import Sheet

FIRST_KEPT: Final = 2
REPEATED_SHOWN: Final = 5
LOOKUP_KINDS: Final = frozenset({"not-found", "found-twice", "inactive", "not-looked-up"})
LEFT_OUT_KINDS: Final = frozenset({"total-row", "repeated-headings", "footer-row"})
"""Rows that are not records: nobody wants them sent, so they do not stop a trial with `--limit`."""


class Survey:
    """Counts and findings of the rows taken in so far; complete after `close`.

    first: the first `FIRST_KEPT` valid rows with their activities, for a preview.
    records_invalid: invalid rows without those that only look like totals, headings or footers.
    `rows` is always `valid + invalid`.
    """

    def __init__(self, mapper: RowMapper, accepted: Collection[str] = (), also: Sequence[Watch] = ()) -> None:
        """accepted: kinds of questions that a person has answered with "fine as it is". also: further columns
        to watch (`columns.option_watches`)."""
        self.rows = 0
        self.valid = 0
        self.records_invalid = 0
        self.problems = Findings()
        self.questions = Findings()
        self.notices = Findings()
        self.repeated = RepeatedRows()
        self.first: list[tuple[int, Activity]] = []
        self._mapper = mapper
        self._accepted = frozenset(accepted)
        self._watches = [*watches(mapper), *also]

    def __repr__(self) -> str:
        return f"<Survey {self.valid} of {self.rows} rows valid, {self.problems!r}, {self.questions!r}>"

    @property
    def invalid(self) -> int:
        """Rows with at least one problem."""
        return self.rows - self.valid

    def take(self, row: Row, mapped: Activity | Sequence[CellFinding]) -> None:
        """The row became `mapped`: an activity, or its problems. What will merely look different is not
        counted for rows that have problems, since fixing those comes first."""
        self.rows += 1
        number = row.number
        for watch in self._watches:
            watch.see(row)
        problems = () if isinstance(mapped, Activity) else mapped
        is_record = any(problem.kind not in LEFT_OUT_KINDS for problem in problems)
        if row.findings:
            for found in self._mapper.file_findings(row):
                asked = found.severity is Severity.QUESTION and (is_record or found.index is None)
                if asked or not problems:
                    self._add(number, found)
        if not isinstance(mapped, Activity):
            self._invalid(number, mapped)
            return
        self.valid += 1
        self.repeated.add(number, mapped)
        if len(self.first) < FIRST_KEPT:
            self.first.append((number, mapped))
        for notice in self._mapper.notices(row, mapped):
            self.notices.add(number, notice)

    def add_whole(self, found: CellFinding) -> None:
        """A finding about the mapping, a column or the sheet as a whole."""
        self._add(WHOLE_COLUMN, found)

    def looked_up(self, number: int, mapped: Activity | Sequence[CellFinding], *, was_valid: bool) -> None:
        """A row that was taken in before its lookups were answered, mapped once more with the answers."""
        if isinstance(mapped, Activity):
            self.first = [(at, mapped if at == number else activity) for at, activity in self.first]
            return
        if was_valid:
            self.valid -= 1
            self.first = [(at, activity) for at, activity in self.first if at != number]
            self._invalid(number, mapped)
            return
        for problem in mapped:
            if problem.kind in LOOKUP_KINDS:
                self.problems.add(number, problem)

    def close(self, sheet: Sheet) -> None:
        """Add what only the sheet as a whole shows. To be called once, after its last row."""
        for row, found in sheet.closing_findings():
            if self._mapper.uses(found.index):
                self._add(row, found)
        for watch in self._watches:
            for found, cells in watch.findings():
                self._add(WHOLE_COLUMN, found, cells)
        for text in sheet.warnings:
            about = CellFinding(Severity.NOTICE, None, None, "about-the-sheet", "", text, "")
            self.notices.add(WHOLE_COLUMN, about)
        if sheet.hidden_rows and sheet.how.hidden is None:
            rows = "1 row is" if sheet.hidden_rows == 1 else f"{sheet.hidden_rows:,} rows are"
            hidden = CellFinding(
                Severity.QUESTION, None, None, "hidden-rows", "",
                f"{rows} hidden in Excel, by a filter or by hand.",
                "Use --hidden include to send hidden rows too, or --hidden skip to leave them out.",
            )  # fmt: skip
            self._add(WHOLE_COLUMN, hidden)
        self._add_repeated()

    def _invalid(self, number: int, problems: Sequence[CellFinding]) -> None:
        self.records_invalid += any(problem.kind not in LEFT_OUT_KINDS for problem in problems)
        for problem in problems:
            self.problems.add(number, problem)

    def _add(self, row: int, found: CellFinding, cells: Cells | None = None) -> None:
        """cells: all that share the finding, if counted elsewhere. An accepted question is a notice."""
        group = self.notices
        if found.severity is Severity.QUESTION and found.kind in self._accepted:
            found = replace(found, severity=Severity.NOTICE)
        elif found.severity is Severity.QUESTION:
            group = self.questions
        if cells is None:
            group.add(row, found)
        else:
            group.add_cells(found, cells)

    def _add_repeated(self) -> None:
        surplus, groups = self.repeated.groups()
        if not surplus:
            return
        shown = "; ".join(" and ".join(f"{row}" for row in rows[:3]) for rows in groups[:REPEATED_SHOWN])
        more = " …" if len(groups) > REPEATED_SHOWN or any(len(rows) > 3 for rows in groups) else ""
        rows = "1 row repeats" if surplus == 1 else f"{surplus:,} rows repeat"
        found = CellFinding(
            Severity.NOTICE, None, None, "same-activity", "",
            f"{rows} another one: the same activity would be created more than once (rows {shown}{more}).",
            "Delete the repetition if it is not meant.",
        )  # fmt: skip
        repeats = sorted(row for rows in groups for row in rows[1:])[:ROWS_KEPT]
        self.notices.add_cells(found, Cells(surplus, repeats, []))
