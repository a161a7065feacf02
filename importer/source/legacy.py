"""Old and other workbooks (.xls, .xlsb, .ods)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from importer.errors import SheetError
from importer.source.rows import Row
from importer.source.sheet import Sheet, SheetOptions


class LegacySheet(Sheet):
    """One worksheet of such a file."""

    family: Literal["text", "workbook"] = "workbook"

    def __init__(self, path: Path, how: SheetOptions) -> None:
        super().__init__(path, how)
        raise SheetError("This format cannot be read yet.", where=path.name, remedy="Save it as .xlsx.")

    def rows(self) -> Iterator[Row]:
        raise NotImplementedError

    def close(self) -> None:
        pass
