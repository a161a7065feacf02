"""Which worksheet of a workbook is read: the only visible one, or the one that was named."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from importer.errors import SheetError
from importer.sheets.sheet import place
from importer.text import listed, quoted

LISTED_MAX: Final = 20
PROBLEM_LIST: Final = "Importer problems"
"""The list of problems in a marked copy (`check --report`): no sheet to import, so that the copy can be."""


@dataclass(frozen=True, slots=True)
class Worksheet:
    """name: on its tab. visible: not hidden. part: the archive member that holds it (.xlsx), else empty."""

    name: str
    visible: bool
    part: str = ""


class SheetChoiceError(SheetError):
    """It takes a person to choose the worksheet. names: those to choose from, as on their tabs."""

    def __init__(self, what: str, *, where: str, remedy: str, names: tuple[str, ...]) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.names = names


def choose_sheet(path: Path, sheets: Sequence[Worksheet], wanted: str | None) -> Worksheet:
    """The worksheet to read. Raises SheetChoiceError, with the names there are, if that would be a guess.

    A hidden sheet is read only if it is named. Names match exactly, else without regard to case.
    """
    if not sheets:
        raise SheetError(
            "The workbook has no worksheet.",
            where=place(path),
            remedy="Choose a workbook with a table in it.",
        )
    visible = [sheet for sheet in sheets if sheet.visible and sheet.name != PROBLEM_LIST]
    remedy = "Name one with --sheet, or with `sheet:` in the mapping."
    if wanted is None:
        if len(visible) == 1:
            return visible[0]
        if visible:
            what = f"The workbook has {len(visible)} visible sheets: {_names(visible)}."
        else:
            what = f"Every sheet of the workbook is hidden: {_names(sheets)}."
        names = tuple(sheet.name for sheet in visible or sheets)
        raise SheetChoiceError(what, where=place(path), remedy=remedy, names=names)
    exact = [sheet for sheet in sheets if sheet.name == wanted]
    alike = [sheet for sheet in sheets if sheet.name.strip().casefold() == wanted.strip().casefold()]
    if exact or len(alike) == 1:
        return (exact or alike)[0]
    near = difflib.get_close_matches(wanted, [sheet.name for sheet in sheets], n=1)
    hint = f" Did you mean {quoted(near[0])}?" if near else ""
    raise SheetChoiceError(
        f"The workbook has no sheet {quoted(wanted)}, but {_names(visible or sheets)}.{hint}",
        where=place(path),
        remedy=remedy,
        names=tuple(sheet.name for sheet in visible or sheets),
    )


def _names(sheets: Sequence[Worksheet]) -> str:
    return listed([quoted(sheet.name) for sheet in sheets], LISTED_MAX)
