"""From what was asked for to an open sheet, and a DataFrame as the sheet it stands for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from importer.app.options import Hidden, SheetInput
from importer.atomic_file import draft_beside
from importer.errors import SheetError
from importer.mapping.mapping import Mapping, load_mapping
from importer.results.result_line import is_results_header
from importer.sheets import Sheet, SheetOptions, open_sheet
from importer.sheets.rows import Row

if TYPE_CHECKING:
    from pandas import DataFrame


def loaded_mapping(mapping: Path | Mapping) -> Mapping:
    """The mapping itself. Raises MappingError."""
    return mapping if isinstance(mapping, Mapping) else load_mapping(mapping)


def reading_options(sheet: SheetInput, mapping: Mapping | None) -> SheetOptions:
    """How the sheet is to be read: what was asked for first, then what the mapping has decided for good."""
    return SheetOptions(
        sheet=sheet.sheet or (mapping.sheet if mapping else None),
        encoding=sheet.encoding or (mapping.encoding if mapping else None),
        delimiter=sheet.delimiter or (mapping.delimiter if mapping else None),
        header_row=sheet.header_row or (mapping.header_row if mapping else None),
        hidden=sheet.hidden,
    )


@contextmanager
def opened_sheet(sheet: SheetInput, mapping: Mapping | None) -> Iterator[Sheet]:
    """The sheet, opened. Raises SheetError, also for a results file of ours, which belongs to a batch."""
    with open_sheet(sheet.path, reading_options(sheet, mapping)) as opened:
        if is_results_header(opened.header):
            raise SheetError(
                "This is a results file: its rows belong to a batch already.",
                where=str(sheet.path),
                remedy="Continue that batch:",
                command=("resume", str(sheet.path)),
            )
        yield opened


def rows_of(opened: Sheet, sheet: SheetInput) -> Iterator[Row]:
    """The sheet's rows, with what was corrected on the screen in place of what the file says."""
    if not sheet.cells:
        yield from opened.rows()
        return
    corrected: dict[int, dict[int, str]] = {}
    for (number, index), text in sheet.cells.items():
        corrected.setdefault(number, {})[index] = text
    for row in opened.rows():
        yield _corrected(row, corrected[row.number]) if row.number in corrected else row


def _corrected(row: Row, by_index: dict[int, str]) -> Row:
    cells = tuple(by_index.get(index, cell) for index, cell in enumerate(row.cells))
    findings = tuple(found for found in row.findings if found.index not in by_index)
    # A row that was not understood as a whole was seen as a whole by whoever corrected it.
    return row._replace(cells=cells, problem=None, findings=findings)


def no_rows(sheet: Sheet) -> SheetError:
    """A sheet that has a header and nothing else."""
    return SheetError(
        "There are no rows below the header.",
        where=sheet.place(),
        remedy="Choose a sheet with rows, or set header_row in the mapping to the row with the headings.",
    )


def save_frame(frame: DataFrame, path: Path) -> SheetInput:
    """Writes a DataFrame as a CSV file (UTF-8), to be checked or imported like any other sheet; its results
    file goes beside it. Missing values are empty cells, dates are ISO. Raises FileError."""
    text = frame.to_csv(index=False, lineterminator="\r\n", date_format="%Y-%m-%d %H:%M:%S")
    with draft_beside(path) as draft:
        draft.stream.write(text.encode("utf-8-sig"))
        draft.put(path)
    return SheetInput(path=path)


def with_hidden(sheet: SheetInput, decided: Hidden) -> SheetInput:
    """The same sheet once it is known what to do with its hidden rows."""
    return replace(sheet, hidden=decided)
