"""`importer init`: a starter mapping from a sheet."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Final

from importer.activity import ActivityField
from importer.app.connecting import fields_of_type
from importer.app.options import CallOptions, refuse_host_offline
from importer.app.propose_mapping import ProposedMapping, propose
from importer.atomic_file import is_link, write_new
from importer.cli import options
from importer.cli.console import Console
from importer.errors import UserError
from importer.mapping.model import SCHEMA_FILE
from importer.starter.entries import Remark
from importer.text import SCREEN_COLUMNS, command_line, count, shorten, shown, wrap

ASKED_TIMES_MAX: Final = 3
COLUMN_SHOWN: Final = 30
QUESTION: Final = "Code of the activity type (Settings > Accounts Customization; Enter to fill it in later)"


def init(
    console: Console,
    *,
    sheet: options.Sheet,
    output: options.OutputMapping,
    event: options.EventCode = None,
    online: options.InitOnline = False,
    host: options.Host = None,
) -> int:
    """Write a commented starter mapping from a sheet's own columns.

    Nothing is sent. Columns that were recognised are mapped; the others are comments, with sample values.
    The message names the lines to fill in, and the guesses to review.

    \b
    Examples:
      importer init visits.csv -o visits.yaml --event 10001
      importer init calls.xlsx -o calls.yaml --sheet October
      importer init visits.csv -o visits.yaml --event 10001 --online
    """
    refuse_host_offline(host, online=online)
    _demand_free(output)
    schema_at_hand = (output.parent / SCHEMA_FILE).is_file()
    made = partial(propose, sheet, name=output.name, schema_at_hand=schema_at_hand)
    proposed = made(event=event)
    for text in proposed.notices:
        console.warn(text)
    code = event if proposed.event_known else _asked_event(console)
    if code is not None and (online or event is None):
        known = _known_fields(console, code, host) if online else ()
        proposed = made(event=code, known=known)
    try:
        write_new(output, proposed.text, source=sheet.path)
    except FileExistsError as error:  # somebody has just created it
        raise _taken(output) from error
    _show(console, sheet.path, output, proposed)
    return 0


def _demand_free(output: Path) -> None:
    """Raises UserError unless a file can be created there without touching another."""
    if output.exists() or is_link(output):
        raise _taken(output)
    if not output.parent.is_dir():
        raise UserError(
            "There is no such folder to write the mapping into.",
            where=str(output.parent),
            remedy="Create it first, or name another with -o.",
        )


def _taken(output: Path) -> UserError:
    return UserError(
        "The file exists already, and is not overwritten.",
        where=str(output),
        remedy="Name another file with -o, or delete this one first.",
    )


def _known_fields(console: Console, code: int, host: str | None) -> tuple[ActivityField, ...]:
    """What LeadSquared says of the activity type; for account activities it need not say anything."""
    known = asyncio.run(fields_of_type(code, CallOptions(host=host)))
    if not known:
        console.warn(f"LeadSquared does not list the fields of activity type {code}: fill in their names.")
    return known


def _asked_event(console: Console) -> int | None:
    """The code that the person at the terminal types; None without a terminal, or if they leave it open."""
    if not console.has_terminal:
        return None
    for _ in range(ASKED_TIMES_MAX):
        given = console.ask_text(QUESTION, without_terminal="Use --event CODE.")
        if not given:
            return None
        if re.fullmatch("[0-9]{1,9}", given) and int(given) > 0:
            return int(given)
        console.say("That is not the code of an activity type: it is a whole number, such as 10001.")
    return None


def _show(console: Console, source: Path, output: Path, proposed: ProposedMapping) -> None:
    rows = count(proposed.rows, "row")
    read = f"the first {rows}" if proposed.more else rows
    lines = [
        f"{output} was written. Columns mapped: {proposed.mapped} of {proposed.columns}.",
        f"  Headings in row {proposed.header_row} of {proposed.place}; guessed from {read}.",
        *_listed("Fill in, then it can be used:", proposed.fill_in),
        *_listed("A guess: please review:", proposed.look_at),
        "",
        f"Then: {command_line('importer', 'check', str(source), '-m', str(output))}",
    ]
    console.result(
        "\n".join(lines),
        {
            "mapping": str(output),
            "sheet": proposed.sheet,
            "header_row": proposed.header_row,
            "rows": proposed.rows,
            "columns": proposed.columns,
            "mapped": proposed.mapped,
            "fill_in": [each._asdict() for each in proposed.fill_in],
            "look_at": [each._asdict() for each in proposed.look_at],
        },
    )


def _listed(title: str, remarks: tuple[Remark, ...]) -> list[str]:
    if not remarks:
        return []
    lines = ["", title]
    for each in remarks:
        column = f" ({shorten(each.column, COLUMN_SHOWN)})" if each.column else ""
        text = f"line {each.line}, {each.key}{column}: {shown(each.message, 2_000)}"
        lines += [f"  {line}" for line in wrap(text, SCREEN_COLUMNS - 2)]
    return lines
