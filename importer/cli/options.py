"""Every option and argument of the command line, once: name, help text, limits.

Commands use these as annotations, so that an option means and says the same everywhere; what fills a field
of a use case's record has that field's type and default. A number out of its range is refused here, before
anything is read or sent. Defaults that the environment can set are None here and named in the help text only;
`settings.py` decides.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import typer
from typer.models import ArgumentInfo, OptionInfo

from importer.app.options import (
    CallOptions,
    CheckOptions,
    CorrectOptions,
    ResumeOptions,
    RunOptions,
    SendingOptions,
    SheetInput,
    VerifyOptions,
)
from importer.findings import QUESTIONS
from importer.pacing.rules import Rate
from importer.sheets.text import DELIMITER_NAMES

WORKERS_MOST: Final = 256
HOUR_S: Final = 3600.0
WEEK_S: Final = 7 * 24 * HOUR_S
T = TypeVar("T", int, float)


def number(kind: type[T], least: float, most: float) -> Callable[[object], T]:
    """A reader of whole numbers, or of seconds, from `least` to `most`."""
    name, unit = ("a whole number", "") if kind is int else ("a number of seconds", " seconds")

    def read(given: object) -> T:
        try:
            found = kind(str(given))
        except ValueError:
            raise typer.BadParameter(f"{given!r} is not {name}.") from None
        if not least <= found <= most:
            raise typer.BadParameter(f"{given} is not between {least:,.12g} and {most:,.12g}{unit}.")
        return found

    return read


AT_MOST_AN_HOUR: Final = number(float, 0, HOUR_S)


def rate(given: str) -> Rate:
    """A rate written as `CALLS/SECONDS`."""
    try:
        return Rate.parse(given)
    except ValueError as error:
        raise typer.BadParameter(f"{error}" or f"{given!r} is not a rate such as 25/5.") from None


def sandbox_rate(given: str) -> str:
    """The limit that the sandbox enforces, spelt as it does: `25/5`, or `none`."""
    from importer.sandbox.traffic import Plan

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


def question_kind(given: str) -> str:
    """A kind of question."""
    if given not in QUESTIONS:
        raise typer.BadParameter(f"{given} is not a kind of question. Use one of {', '.join(QUESTIONS)}.")
    return given


def _argument(value: str, text: str) -> ArgumentInfo:
    argument: ArgumentInfo = typer.Argument(metavar=value, help=text, show_default=False)
    return argument


def _option(spelling: str, text: str, parser: Callable[[Any], Any] | None = None) -> OptionInfo:
    """spelling: its names, and what stands for its value, as in `--rate CALLS/SECONDS`."""
    words = spelling.split()
    names = [word for word in words if word.startswith("-")]
    value = None if names == words else words[-1]
    option: OptionInfo = typer.Option(*names, parser=parser, metavar=value, help=text)
    return option


# What fills fields of the use cases' records, which several of them have (`main.takes_console`)

_RESULTS: Final = _argument("RESULTS", "The results file, the batch's id, or the source sheet.")
_HOST: Final = _option("--host HOST", "The tenant's API host (default: LEADSQUARED_HOST).")
_SANDBOX: Final = _option(
    "--sandbox", "Rehearse on the embedded sandbox: no keys, no question, nothing leaves this computer."
)
_RATE: Final = _option(
    "--rate CALLS/SECONDS", "The tenant's limit of calls (default: LEADSQUARED_RATE, else 25/5).", rate
)
_TIMEOUT: Final = _option("--timeout SECONDS", "Wait so long for an answer.", number(float, 0.1, HOUR_S))
_YES: Final = _option("--yes -y", "Send without asking.")
_SETTLE: Final = _option(
    "--settle SECONDS",
    "Time that a new activity may take to show up in LeadSquared's own look-up.",
    AT_MOST_AN_HOUR,
)
_MAX_ATTEMPTS: Final = _option(
    "--max-attempts N", "Make at most N Create calls for one row.", number(int, 1, 100)
)
_REMAP: Final = _option("--remap", "Map the rows that are not created again, with the new mapping (-m).")

MappingFile = Annotated[
    Path, _option("--mapping -m MAPPING", "The mapping (YAML): what each column becomes.")
]
Accept = Annotated[
    list[str],
    _option(
        "--accept KIND",
        "Accept this kind of question as fine, such as mixed-dates; may be repeated.",
        question_kind,
    ),
]

# Records of the use cases, each field with its option

Sheet = Annotated[
    SheetInput,
    {
        "path": _argument("SOURCE", "The spreadsheet: .csv, .tsv, .txt, .xlsx, .xlsm, .xls, .xlsb or .ods."),
        "sheet": _option("--sheet NAME", "The workbook's sheet to read."),
        "encoding": _option(
            "--encoding NAME", "A text file's encoding, such as cp1252, where it is not UTF-8."
        ),
        "delimiter": _option(
            "--delimiter CHARACTER",
            "The character between a text file's cells, or comma, semicolon, tab, pipe.",
            delimiter,
        ),
        "hidden": _option("--hidden", "Include or skip rows that a filter hides in Excel."),
    },
]
Calls = Annotated[
    CallOptions,
    {
        "host": _HOST,
        "sandbox": _SANDBOX,
        "rate": _RATE,
        "workers": _option("--workers N", "Send at most N calls at once.", number(int, 1, WORKERS_MOST)),
        "timeout_s": _TIMEOUT,
        "max_outage_s": _option(
            "--max-outage SECONDS",
            "Wait so long for a tenant that does not answer, then stop (exit 3).",
            number(float, 0, WEEK_S),
        ),
    },
]
Sending = Annotated[
    SendingOptions,
    {
        "limit": _option("--limit N", "Send at most N rows, then stop: a trial.", number(int, 1, 10_000_000)),
        "canary": _option(
            "--canary N",
            "Send N rows, read them back, and go on only if all came back as sent.",
            number(int, 1, 1_000),
        ),
        "results": _option("--results PATH", "Write the results file here, a file or a folder."),
        "replace": _option("--replace", "Replace the results file of a finished batch at that path."),
        "settle_s": _SETTLE,
        "max_attempts": _MAX_ATTEMPTS,
        "keep_going": _option(
            "--keep-going", "Continue when the first rows are all refused for the same reason."
        ),
    },
]
Check = Annotated[
    CheckOptions,
    {
        "sheet": Sheet,
        "mapping": MappingFile,
        "accept": Accept,
        "marked_copy": _option(
            "--report FILE.xlsx",
            "Write a copy of the sheet with the bad cells coloured and the reasons as comments.",
        ),
        "online": _option("--online", "Look up accounts and users in LeadSquared too; sends nothing."),
        "calls": Annotated[CallOptions, {"host": _HOST, "sandbox": _SANDBOX, "rate": _RATE}],
    },
]
Run = Annotated[
    RunOptions,
    {
        "sheet": Sheet,
        "mapping": MappingFile,
        "calls": Calls,
        "yes": _YES,
        "sending": Sending,
        "skip_invalid": _option("--skip-invalid", "Send the valid rows although others are invalid."),
        "accept": Accept,
        "again": _option("--again", "Send this sheet although it was imported before. Creates duplicates."),
        "only_new": _option("--only-new", "Send only rows that no earlier batch has sent."),
        "resume": _option("--resume", "Continue an open batch of the same sheet instead of refusing it."),
    },
]
Resume = Annotated[
    ResumeOptions,
    {
        "results": _RESULTS,
        "mapping": Annotated[
            Path | None,
            _option(
                "--mapping -m MAPPING",
                "A new mapping (with --remap), or the batch's own where the store does not have the batch.",
            ),
        ],
        "remap": _REMAP,
        "retry_failed": _option(
            "--retry-failed", "Send all failed rows again: the cause was fixed in LeadSquared."
        ),
        "calls": Calls,
        "yes": _YES,
        "sending": Sending,
    },
]
Correct = Annotated[
    CorrectOptions,
    {
        "results": _RESULTS,
        "mapping": Annotated[Path | None, _option("--mapping -m MAPPING", "A new mapping (with --remap).")],
        "remap": _REMAP,
        "overwrite": _option("--overwrite", "Replace values that somebody changed in LeadSquared."),
        "undo": _option("--undo", "Restore the values from before the last correction."),
        "yes": _YES,
        "calls": Calls,
        "settle_s": _SETTLE,
        "max_attempts": _MAX_ATTEMPTS,
    },
]
Verify = Annotated[VerifyOptions, {"results": _RESULTS, "calls": Calls, "settle_s": _SETTLE}]
WhoAmI = Annotated[CallOptions, {"host": _HOST, "sandbox": _SANDBOX, "rate": _RATE, "timeout_s": _TIMEOUT}]

# Options and arguments of single commands

Host = Annotated[str | None, _HOST]
Results = Annotated[str, _RESULTS]
OptionalResults = Annotated[
    str | None,
    _argument("RESULTS", "The results file, the batch's id, or the source sheet; without it, all batches."),
]
OfRehearsal = Annotated[bool, _option("--sandbox", "The rehearsal of a sheet, where it was also imported.")]
YesToAll = Annotated[bool, _option("--yes -y", "Do it without asking.")]
BatchId = Annotated[str, _argument("BATCH", "The batch's id, or its results file.")]
StoreAction = Annotated[Literal["copy"] | None, _argument("[copy]", "Copy the store to another one (--to).")]
StoreUrl = Annotated[str | None, _option("--to URL", "The team's store: postgresql://USER@HOST/DATABASE.")]
InitOnline = Annotated[
    bool, _option("--online", "Ask LeadSquared for the activity type's fields, to use their names.")
]
OutputMapping = Annotated[Path, _option("--output -o MAPPING", "The mapping to write.")]
EventCode = Annotated[
    int | None, _option("--event N", "The activity type's code.", number(int, 1, 999_999_999))
]
Port = Annotated[
    int, _option("--port PORT", "The port to listen on; 0 takes a free one.", number(int, 0, 65_535))
]
NoOpen = Annotated[bool, _option("--no-open", "Do not open the browser; only print the address.")]
Rehearsing = Annotated[
    bool, _option("--sandbox", "Begin with the rehearsal switched on: no keys are needed.")
]
FaultsFile = Annotated[
    Path | None, _option("--faults FILE", "Faults to simulate, by rate or by row (YAML or JSON).")
]
SandboxRate = Annotated[
    str, _option("--rate CALLS/SECONDS", "Enforce this limit of calls, or none.", sandbox_rate)
]
Penalty = Annotated[
    float,
    _option("--penalty SECONDS", "Refuse calls so long after the limit is exceeded.", AT_MOST_AN_HOUR),
]
Latency = Annotated[float, _option("--latency SECONDS", "Take so long for each answer.", AT_MOST_AN_HOUR)]
Lag = Annotated[
    float,
    _option("--lag SECONDS", "Time that a new activity is missing from Retrieve.", AT_MOST_AN_HOUR),
]
