"""`importer init`: write a commented starter mapping from a sheet's own columns."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.atomic_file import write_new
from importer.cli import options
from importer.cli.console import Console
from importer.errors import UserError

if TYPE_CHECKING:
    from importer.sheets import Sheet
    from importer.starter.look import Guesses
    from importer.starter.writing import Proposal, Remark

ASKED_TIMES_MOST: Final = 3
COLUMN_SHOWN: Final = 30
QUESTION: Final = "Code of the activity type (Settings > Accounts Customization; Enter to fill it in later)"


def init(
    console: Console,
    *,
    source: options.Source,
    output: options.OutputMapping,
    event: options.EventCode = None,
    sheet: options.SheetName = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    hidden: options.Hidden = None,
) -> int:
    """Write a commented starter mapping from a sheet's own columns. Nothing is sent.

    Columns that were recognised are mapped; the others stand there as comments, with sample values. The
    message says which lines want to be filled in or looked at.

    \b
    Examples:
      importer init visits.csv -o visits.yaml --event 10001
      importer init calls.xlsx -o calls.yaml --sheet October
      importer init export.csv -o visits.yaml --encoding cp1252
    """
    from importer.cli.reading import open_source, sheet_options
    from importer.starter.entries import propose
    from importer.starter.header import find_header_row
    from importer.starter.look import look_at_sheet
    from importer.starter.zone import UNKNOWN_ZONE, local_zone

    _demand_free(output)
    how = sheet_options(None, sheet=sheet, encoding=encoding, delimiter=delimiter, hidden=hidden)
    header = find_header_row(source, how)
    with open_source(source, replace(how, header_row=header.row)) as opened:
        findings = look_at_sheet(opened, local_zone(), UNKNOWN_ZONE)
        if not header.certain:
            console.warn(
                f"No row looks like headings; row {header.row} was taken for them, and its values are not"
                " sent. If that is wrong, give the sheet a row of headings and start again."
            )
        for text in opened.warnings:
            console.warn(text)
        if event is None and findings.event is None:
            event = _asked_event(console)
        at_hand = (output.parent / _schema_file()).is_file()
        proposal = propose(findings, opened, how, output.name, event, schema_at_hand=at_hand)
        _write(output, proposal.text, source)
        _tell(console, opened, findings, proposal, output)
    return 0


def _schema_file() -> str:
    from importer.mapping.model import SCHEMA_FILE

    return SCHEMA_FILE


def _demand_free(output: Path) -> None:
    """Raises UserError unless a file can be created there without touching another."""
    if output.exists() or output.is_symlink():
        raise _taken(output)
    if not output.parent.is_dir():
        raise UserError(
            "There is no such folder to write the mapping into.",
            where=str(output.parent),
            remedy="Make it first, or name another with -o.",
        )


def _taken(output: Path) -> UserError:
    return UserError(
        "It is there already, and is not overwritten.",
        where=str(output),
        remedy="Name another file with -o, or delete this one first.",
    )


def _asked_event(console: Console) -> int | None:
    """The code that the person at the terminal types; None without a terminal, or if they leave it open."""
    if not console.has_terminal:
        return None
    for _ in range(ASKED_TIMES_MOST):
        given = console.ask_text(QUESTION, without_terminal="Say --event CODE.")
        if not given:
            return None
        if re.fullmatch("[0-9]{1,9}", given) and int(given) > 0:
            return int(given)
        console.say("That is no code of an activity type: it is a whole number, such as 10001.")
    return None


def _write(output: Path, text: str, source: Path) -> None:
    """Create the file. Raises UserError if somebody else just did, FileError if the disk refuses."""
    try:
        write_new(output, text, source=source)
    except FileExistsError as error:
        raise _taken(output) from error


def _tell(console: Console, sheet: Sheet, findings: Guesses, proposal: Proposal, output: Path) -> None:
    columns = len(findings.columns)
    rows = "1 row" if findings.rows == 1 else f"{findings.rows:,} rows"
    read = f"the first {rows}" if findings.more else rows
    lines = [
        f"{output} was written: columns mapped: {findings.mapped} of {columns} (the others are comments).",
        f"  Headings in row {sheet.header_row} of {sheet.place()}; guessed from {read}.",
        *_listed("Fill in, then it can be used:", proposal.fill_in),
        *_listed("Look at:", proposal.look_at),
        "",
        f"Then: importer check {_quoted(sheet.path)} -m {_quoted(output)}",
    ]
    console.result(
        "\n".join(lines),
        {
            "mapping": str(output),
            "sheet": sheet.name,
            "header_row": sheet.header_row,
            "rows": findings.rows,
            "columns": columns,
            "mapped": findings.mapped,
            "fill_in": [each.as_json() for each in proposal.fill_in],
            "look_at": [each.as_json() for each in proposal.look_at],
        },
    )


def _listed(title: str, remarks: tuple[Remark, ...]) -> list[str]:
    from importer.cli.wording import SCREEN_COLUMNS, one_line, shorten, wrap

    if not remarks:
        return []
    lines = ["", title]
    for each in remarks:
        column = f" ({shorten(each.column, COLUMN_SHOWN)})" if each.column else ""
        text = f"line {each.line}, {each.key}{column}: {one_line(each.message)}"
        lines += [f"  {line}" for line in wrap(text, SCREEN_COLUMNS - 2)]
    return lines


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text
