"""What is found in a sheet: one type for the rooms that read, map and check it.

A sheet (`sheets/`) finds what the file shows: the shape of its records, damage left by other programs. The
mapping (`mapping/`) finds what a cell means for its field. Checking groups both for people and for `--json`.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

VALUE_SHOWN_MAX: Final = 200
"""Characters of a cell that a finding keeps."""


class Severity(enum.StrEnum):
    """What a finding means for the import (design: reading and findings)."""

    PROBLEM = "problem"
    """This row cannot be sent as it is."""
    QUESTION = "question"
    """The sheet can be read in two ways and only a person knows: nothing is sent until it is settled."""
    NOTICE = "notice"
    """The row is sent, but may look different from what the person expects."""


@dataclass(frozen=True, slots=True)
class CellFinding:
    """One finding, of one cell or of a row as a whole.

    column: its heading, None if it is no single column. index: the column's place from 0, None for a row.
    kind: a stable name for grouping, one of those in README's table. value: what the cell shows, cut to 200
    characters. message, remedy: full sentences; a question's remedy names the mapping key that settles it.
    """

    severity: Severity
    column: str | None
    index: int | None
    kind: str
    value: str
    message: str
    remedy: str

    def __str__(self) -> str:
        head = f"{self.column}: " if self.column else ""
        return f"{head}{self.message} {self.remedy}".rstrip()


QUESTIONS: Final = (
    "decimal-or-thousands",
    "mixed-dates",
    "mixed-currencies",
    "hidden-rows",
    "rows-swallowed",
    "not-recalculated",
)
"""The kinds of questions, which `accept` in a mapping and `--accept` can name. One that was accepted appears
as a notice."""
