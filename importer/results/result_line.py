"""What a line of the results file is: shared by writing, reading back and comparing."""

from __future__ import annotations

from typing import Final, NamedTuple

from importer.sheets.rows import Cells
from importer.text import one_line

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

SHEET_NAME: Final = "Results"
ERROR_MAX_CHARACTERS: Final = 2_000


class ResultLine(NamedTuple):
    """One row as the results file tells it.

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
    """An error as its column holds it: one line of bounded length, without control characters."""
    return one_line(text, ERROR_MAX_CHARACTERS)
