"""The marks of one sheet, whichever of the old formats it has."""

from __future__ import annotations

import struct
from pathlib import Path

from importer.sheets.biff_records import marks_of_xls, marks_of_xlsb
from importer.sheets.marks import Marks
from importer.sheets.open_document import marks_of_ods


def read_marks(path: Path, sheet: str) -> Marks:
    """The marks of that sheet; unknown ones where its records are not as the formats have them."""
    readers = {".xls": marks_of_xls, ".xlsb": marks_of_xlsb, ".ods": marks_of_ods}
    try:
        return readers[path.suffix.lower()](path, sheet)
    except (ValueError, LookupError, struct.error):
        return Marks(known=False)
