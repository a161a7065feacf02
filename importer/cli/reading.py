"""From `SOURCE` and the sheet options to an open sheet; what `check`, `run` and `init` refuse to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from importer.errors import SheetError

if TYPE_CHECKING:
    from importer.checking.survey import Survey
    from importer.cli.console import Console
    from importer.mapping.mapping import Mapping
    from importer.sheets import Sheet, SheetOptions

FIX: Final = "Correct the sheet or the mapping (importer check shows every problem)."


def sheet_options(
    mapping: Mapping | None,
    *,
    sheet: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    hidden: Literal["include", "skip"] | None = None,
) -> SheetOptions:
    """How the sheet is to be read: the command line first, then what the mapping has decided for good."""
    from importer.sheets import SheetOptions

    return SheetOptions(
        sheet=sheet or (mapping.sheet if mapping else None),
        encoding=encoding or (mapping.encoding if mapping else None),
        delimiter=delimiter or (mapping.delimiter if mapping else None),
        header_row=mapping.header_row if mapping else None,
        hidden=hidden,
    )


def open_source(path: Path, how: SheetOptions) -> Sheet:
    """The sheet, opened. Raises SheetError, also for a results file of ours, which is no source."""
    from importer.results.result_line import is_results_header
    from importer.sheets import open_sheet

    sheet = open_sheet(path, how)
    if is_results_header(sheet.header):
        sheet.close()
        raise SheetError(
            "This is a results file: its rows belong to a batch already.",
            where=str(path),
            remedy=f"Go on with that batch: importer resume {_quoted(path)}",
        )
    return sheet


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text


def refuse_unless_sendable(console: Console, survey: Survey, sheet: Sheet, *, skip_invalid: bool) -> None:
    """Shows what was found. Raises SheetError when there is nothing to send, for open questions, and for
    invalid rows without --skip-invalid."""
    from importer.cli import check_report

    if survey.rows == 0:
        raise no_rows(sheet)
    if survey.questions:
        for line in check_report.questions(survey):
            console.say(line)
        first = survey.questions.all()[0]
        raise SheetError(
            f"{first.message} Nothing was sent.",
            where=f"{sheet.place()}, {first.cells_text()}",
            remedy=f"{first.remedy} Or use --accept {first.kind} if it is fine as it is.",
        )
    if not survey.invalid:
        return
    if survey.valid and skip_invalid:
        return
    for line in check_report.problems(survey):
        console.say(line)
    if not survey.valid:
        raise SheetError("Not one row is valid, so nothing was sent.", where=sheet.place(), remedy=FIX)
    invalid = "1 row is" if survey.invalid == 1 else f"{survey.invalid:,} rows are"
    raise SheetError(
        f"{invalid} invalid, so nothing was sent.",
        where=sheet.place(),
        remedy=f"{FIX} Or use --skip-invalid to send the other rows.",
    )


def no_rows(sheet: Sheet) -> SheetError:
    """A sheet that has a header and nothing else."""
    return SheetError(
        "There are no rows below the header.",
        where=sheet.place(),
        remedy="Choose a sheet with rows, or say in the mapping which row holds the headings.",
    )
