"""What calamine does not tell of a sheet: which cells are errors, which rows are hidden."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Marks:
    """errors: text of each error cell, by row and column index. hidden: row indexes (all from 0).
    known: False where a file's age or damage keeps them from us."""

    known: bool = True
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)


def read_marks(path: Path, sheet: str) -> Marks:
    """The marks of that sheet; unknown ones where its records are not as the formats have them."""
    from importer.source.open_document import marks_of_ods
    from importer.source.records import marks_of_xls, marks_of_xlsb

    readers = {".xls": marks_of_xls, ".xlsb": marks_of_xlsb, ".ods": marks_of_ods}
    try:
        return readers[path.suffix.lower()](path, sheet)
    except (ValueError, LookupError, struct.error):
        return Marks(known=False)
