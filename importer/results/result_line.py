"""What a line of the results file is: shared by writing, reading back and comparing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from importer.sheets.rows import Cells
from importer.text import no_formula, one_line

COLUMNS: Final = (
    "import_row",
    "import_status",
    "import_activity_id",
    "import_error_code",
    "import_error",
    "import_attempts",
    "import_time",
    "import_batch",
)
"""Our columns, in the order in which they are written, before the source's."""

NEEDED: Final = ("import_row", "import_batch")
"""Without these two a line belongs to no row; people delete the others."""

PROGRESS_ROWS: Final = 1_000
"""Progress is reported so often."""
SHEET_NAME: Final = "Results"
ERROR_MAX_CHARACTERS: Final = 2_000
SHOWN_CODE_MAX_CHARACTERS: Final = 200


class ResultLine(NamedTuple):
    """One row as the results file shows it.

    status: the word shown. error: any text (`shown_error` makes one line of it). time: UTC, ISO 8601, of the
    row's last change, to the millisecond; no two states of a row may share it. cells: the source's, typed.
    """

    number: int
    status: str
    activity_id: str
    error_code: str
    error: str
    attempts: int
    time: str
    cells: Cells


def shown_error(text: str) -> str:
    """An error as its column holds it: one line of bounded length that is not a formula."""
    return no_formula(one_line(text, ERROR_MAX_CHARACTERS))


def shown_code(code: str) -> str:
    """An error's code as its column holds it."""
    return no_formula(one_line(code, SHOWN_CODE_MAX_CHARACTERS))


def is_results_header(header: Iterable[str]) -> bool:
    """Whether a sheet with these headings is a results file: the one rule. `run`, `check` and `init` refuse
    it and name `resume`; `resume` demands it."""
    found = {heading.strip().lower() for heading in header}
    return found.issuperset(NEEDED)
