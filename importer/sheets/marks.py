"""What calamine does not tell of a sheet: which cells are errors, which rows are hidden."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Marks:
    """errors: text of each error cell, by row and column index. hidden: row indexes (all from 0).
    known: False where a file's age or damage keeps them from us."""

    known: bool = True
    errors: dict[tuple[int, int], str] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
