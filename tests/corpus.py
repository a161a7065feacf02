"""The corpus: small sheets with a trap, each with what is found in it and what arrives.

One entry is one line of thought: the column's cells below each other, the block of the mapping that reads
them, the findings (`severity kind cells`), and what is sent for each row: a text, `-` for a row that is not
sent, `` for nothing. Column A holds the account of each row; the trap begins in column B.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openpyxl import Workbook

Cell = Any
"""Text, or whatever a workbook's cell can hold."""


@dataclass(frozen=True)
class Trap:
    """rows: the cells right of the account, texts for a CSV, any values for a workbook. header: their
    headings. top: first lines of the mapping. accounts: what stands in column A of rows that are none."""

    name: str
    rows: Sequence[Cell]
    block: str
    found: tuple[str, ...]
    sent: tuple[str, ...]
    header: tuple[str, ...] = ("Value",)
    top: str = ""
    workbook: bool = False
    accounts: dict[int, str] = field(default_factory=dict)

    def mapping(self) -> str:
        """The mapping: account, activity type, and one field."""
        place = "ActivityNote: " if self.block.startswith("note ") else "Fields:\n  mx_Custom_1: "
        return (
            f"{self.top}RelatedCompanyId: Account\nActivityEvent: 10001\n{place}"
            f"{self.block.removeprefix('note ')}\n"
        )

    def cells(self) -> list[list[Cell]]:
        """All rows with their account; `accounts` replaces it where the row is no record."""
        return [
            [self.accounts.get(at, account(at)), *(row if isinstance(row, tuple) else (row,))]
            for at, row in enumerate(self.rows)
        ]

    def write(self, folder: Path) -> Path:
        """The sheet as a file."""
        if not self.workbook:
            path = folder / "sheet.csv"
            lines = [["Account", *self.header], *self.cells()]
            text = "\r\n".join(",".join(_quoted(str(cell)) for cell in line) for line in lines) + "\r\n"
            path.write_text(text, encoding="utf-8", newline="")
            return path
        path = folder / "sheet.xlsx"
        book = Workbook()
        sheet = book.worksheets[0]
        for line in [["Account", *self.header], *self.cells()]:
            sheet.append(line)
        book.save(path)
        return path


def account(at: int) -> str:
    """An account of its own for each row."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"corpus {at}"))


def _quoted(cell: str) -> str:
    return f'"{cell.replace(chr(34), 2 * chr(34))}"' if set(cell) & set('",\r\n') else cell
