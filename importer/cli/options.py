"""Every option and argument of the command line, once: name, help text, limits.

Commands use these as annotations, so that an option means and says the same everywhere. A number out of its
range is refused here, before anything is read or sent. Defaults that the environment can set are None here
and named in the help text only; `settings.py` decides.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from typer.models import OptionInfo

from importer.app.options import CallOptions, SendingOptions, SheetInput
from importer.errors import UserError
from importer.finding_kinds import QUESTIONS
from importer.pacing.rules import Rate

WORKERS_MOST: Final = 256
HOUR_S: Final = 3600.0
WEEK_S: Final = 7 * 24 * HOUR_S


DELIMITER_NAMES: Final = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|"}


def whole_number(least: int, most: int) -> Callable[[object], int]:
    """A reader of whole numbers from `least` to `most`."""

    def read(given: object) -> int:
        try:
            number = int(str(given))
        except ValueError:
            raise typer.BadParameter(f"{given!r} is not a whole number.") from None
        if not least <= number <= most:
            raise typer.BadParameter(f"{given} is not between {least:,} and {most:,}.")
        return number

    return read


def seconds(least: float, most: float) -> Callable[[object], float]:
    """A reader of lengths of time in seconds, from `least` to `most`; neither nan nor infinite."""

    def read(given: object) -> float:
        try:
            number = float(str(given))
        except ValueError:
            raise typer.BadParameter(f"{given!r} is not a number of seconds.") from None
        if not math.isfinite(number) or not least <= number <= most:
            raise typer.BadParameter(f"{given} is not between {least:g} and {most:g} seconds.")
        return number

    return read


def rate(given: str) -> Rate:
    """A rate written as `CALLS/SECONDS`."""
    try:
        return Rate.parse(given)
    except ValueError as error:
        raise typer.BadParameter(f"{error}" or f"{given!r} is not a rate such as 25/5.") from None


def sandbox_rate(given: str) -> str:
    """The limit that the sandbox enforces, spelt as it does: `25/5`, or `none`."""
    from importer.sandbox.limit import Plan

    try:
        return str(Plan.parse(given))
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None


def delimiter(given: str) -> str:
    """One character, or its name."""
    character = DELIMITER_NAMES.get(given.casefold(), given)
    if len(character) != 1 or character in "\"'\r\n\0" or character.isalnum():
        names = ", ".join(name for name in DELIMITER_NAMES if name.isalpha())
        raise typer.BadParameter(
            f"{given!r} is not one character that separates cells ({names}, or the character itself)."
        )
    return character


def accepted(kinds: list[str] | None) -> frozenset[str]:
    """The kinds of `--accept`. Raises UserError for what is not a kind of question."""
    for kind in kinds or ():
        if kind not in QUESTIONS:
            raise UserError(
                f"--accept {kind}: that is not a kind of question.",
                remedy=f"Use one of {', '.join(QUESTIONS)}.",
            )
    return frozenset(kinds or ())


def _number(*names: str, least: int, most: int, text: str) -> OptionInfo:
    option: OptionInfo = typer.Option(*names, parser=whole_number(least, most), metavar="N", help=text)
    return option


def _seconds(name: str, *, least: float = 0.0, most: float, text: str) -> OptionInfo:
    option: OptionInfo = typer.Option(name, parser=seconds(least, most), metavar="SECONDS", help=text)
    return option


# What a command works on

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="The spreadsheet: .csv, .tsv, .txt, .xlsx, .xlsm, .xls, .xlsb or .ods.",
        show_default=False,
    ),
]
Results = Annotated[
    str,
    typer.Argument(
        metavar="RESULTS", help="The results file, the batch's id, or the source sheet.", show_default=False
    ),
]
OptionalResults = Annotated[
    str | None,
    typer.Argument(
        metavar="RESULTS",
        help="The results file, the batch's id, or the source sheet; without it, all batches.",
        show_default=False,
    ),
]
MappingFile = Annotated[
    Path,
    typer.Option(
        "--mapping",
        "-m",
        metavar="MAPPING",
        help="The mapping (YAML): what each column becomes.",
        show_default=False,
    ),
]
OptionalMappingFile = Annotated[
    Path | None,
    typer.Option(
        "--mapping",
        "-m",
        metavar="MAPPING",
        help="A new mapping (with --remap), or the batch's own where the store does not have the batch.",
        show_default=False,
    ),
]

NewMappingFile = Annotated[
    Path | None,
    typer.Option(
        "--mapping", "-m", metavar="MAPPING", help="A new mapping (with --remap).", show_default=False
    ),
]

# Sheets

SheetName = Annotated[
    str | None, typer.Option("--sheet", metavar="NAME", help="The workbook's sheet to read.")
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding", metavar="NAME", help="A text file's encoding, such as cp1252, where it is not UTF-8."
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        parser=delimiter,
        metavar="CHARACTER",
        help="The character between a text file's cells, or comma, semicolon, tab, pipe.",
    ),
]
Hidden = Annotated[
    Literal["include", "skip"] | None,
    typer.Option("--hidden", help="Include or skip rows that a filter hides in Excel."),
]

# Calls

Host = Annotated[
    str | None,
    typer.Option("--host", metavar="HOST", help="The tenant's API host (default: LEADSQUARED_HOST)."),
]
Sandbox = Annotated[
    bool,
    typer.Option(
        "--sandbox",
        help="Rehearse on the embedded sandbox: no keys, no question, nothing leaves this computer.",
    ),
]
OfRehearsal = Annotated[
    bool, typer.Option("--sandbox", help="The rehearsal of a sheet, where it was also imported.")
]
RateLimit = Annotated[
    Rate | None,
    typer.Option(
        "--rate",
        parser=rate,
        metavar="CALLS/SECONDS",
        help="The tenant's limit of calls (default: LEADSQUARED_RATE, else 25/5).",
    ),
]
Workers = Annotated[
    int, _number("--workers", least=1, most=WORKERS_MOST, text="Send at most N calls at once.")
]
Timeout = Annotated[float, _seconds("--timeout", least=0.1, most=HOUR_S, text="Wait so long for an answer.")]
MaxOutage = Annotated[
    float,
    _seconds(
        "--max-outage",
        most=WEEK_S,
        text="Wait so long for a tenant that does not answer, then stop (exit 3).",
    ),
]

# run and resume

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Send without asking.")]
Limit = Annotated[
    int | None, _number("--limit", least=1, most=10_000_000, text="Send at most N rows, then stop: a trial.")
]
Canary = Annotated[
    int | None,
    _number(
        "--canary",
        least=1,
        most=1_000,
        text="Send N rows, read them back, and go on only if all came back as sent.",
    ),
]
Settle = Annotated[
    float,
    _seconds(
        "--settle",
        most=HOUR_S,
        text="Time that a new activity may take to show up in LeadSquared's own look-up.",
    ),
]
MaxAttempts = Annotated[
    int, _number("--max-attempts", least=1, most=100, text="Make at most N Create calls for one row.")
]
KeepGoing = Annotated[
    bool,
    typer.Option("--keep-going", help="Continue when the first rows are all refused for the same reason."),
]
ResultsPath = Annotated[
    Path | None,
    typer.Option("--results", metavar="PATH", help="Write the results file here, a file or a folder."),
]
SkipInvalid = Annotated[
    bool, typer.Option("--skip-invalid", help="Send the valid rows although others are invalid.")
]
Replace = Annotated[
    bool,
    typer.Option("--replace", help="Replace the results file of a finished batch at that path."),
]
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept",
        metavar="KIND",
        help="Accept this kind of question as fine, such as mixed-dates; may be repeated.",
    ),
]
ResumeOpen = Annotated[
    bool, typer.Option("--resume", help="Continue an open batch of the same sheet instead of refusing it.")
]
Again = Annotated[
    bool, typer.Option("--again", help="Send this sheet although it was imported before. Creates duplicates.")
]
OnlyNew = Annotated[bool, typer.Option("--only-new", help="Send only rows that no earlier batch has sent.")]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Send all failed rows again: the cause was fixed in LeadSquared."),
]
Remap = Annotated[
    bool, typer.Option("--remap", help="Map the rows that are not created again, with the new mapping (-m).")
]

# correct, erase, store

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace values that somebody changed in LeadSquared.")
]
Undo = Annotated[bool, typer.Option("--undo", help="Restore the values from before the last correction.")]
YesToAll = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
BatchId = Annotated[
    str, typer.Argument(metavar="BATCH", help="The batch's id, or its results file.", show_default=False)
]
StoreAction = Annotated[
    Literal["copy"] | None,
    typer.Argument(metavar="[copy]", help="Copy the store to another one (--to).", show_default=False),
]
StoreUrl = Annotated[
    str | None,
    typer.Option("--to", metavar="URL", help="The team's store: postgresql://USER@HOST/DATABASE."),
]

# check, init, sandbox

Online = Annotated[
    bool, typer.Option("--online", help="Look up accounts and users in LeadSquared too; sends nothing.")
]
InitOnline = Annotated[
    bool,
    typer.Option("--online", help="Ask LeadSquared for the activity type's fields, to use their names."),
]
ReportPath = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.xlsx",
        help="Write a copy of the sheet with the bad cells coloured and the reasons as comments.",
    ),
]
OutputMapping = Annotated[
    Path, typer.Option("--output", "-o", metavar="MAPPING", help="The mapping to write.", show_default=False)
]
EventCode = Annotated[
    int | None, _number("--event", least=1, most=999_999_999, text="The activity type's code.")
]
Port = Annotated[
    int,
    typer.Option(
        "--port",
        parser=whole_number(0, 65_535),
        metavar="PORT",
        help="The port to listen on; 0 takes a free one.",
    ),
]
NoOpen = Annotated[bool, typer.Option("--no-open", help="Do not open the browser; only print the address.")]
Rehearsing = Annotated[
    bool, typer.Option("--sandbox", help="Begin with the rehearsal switched on: no keys are needed.")
]
FaultsFile = Annotated[
    Path | None,
    typer.Option("--faults", metavar="FILE", help="Faults to simulate, by rate or by row (YAML or JSON)."),
]
SandboxRate = Annotated[
    str,
    typer.Option(
        "--rate",
        parser=sandbox_rate,
        metavar="CALLS/SECONDS",
        help="Enforce this limit of calls, or none.",
    ),
]
Penalty = Annotated[
    float, _seconds("--penalty", most=HOUR_S, text="Refuse calls so long after the limit is exceeded.")
]
Latency = Annotated[float, _seconds("--latency", most=HOUR_S, text="Take so long for each answer.")]
Lag = Annotated[
    float, _seconds("--lag", most=HOUR_S, text="Time that a new activity is missing from Retrieve.")
]

# Records of the use cases, each field with its option (`main.takes_console`)

Sheet = Annotated[
    SheetInput,
    {"path": Source, "sheet": SheetName, "encoding": Encoding, "delimiter": Delimiter, "hidden": Hidden},
]
Calls = Annotated[
    CallOptions,
    {
        "host": Host,
        "sandbox": Sandbox,
        "rate": RateLimit,
        "workers": Workers,
        "timeout_s": Timeout,
        "max_outage_s": MaxOutage,
    },
]
Sending = Annotated[
    SendingOptions,
    {
        "limit": Limit,
        "canary": Canary,
        "results": ResultsPath,
        "replace": Replace,
        "settle_s": Settle,
        "max_attempts": MaxAttempts,
        "keep_going": KeepGoing,
    },
]
