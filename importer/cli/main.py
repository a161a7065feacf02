"""The command line: `importer COMMAND …`. Parses, runs the command, and turns how it ended into an exit code.

    0    done                                  (the command's own return value)
    1    finished, but some rows need a person (the command's own return value)
    2    UserError, a wrong command line, and anything unexpected before the first call that creates
    3    WorkError, and anything unexpected after it: there is something to resume
    130  Ctrl-C

This is the only place that does so, and `main` the only place that exits. Commands are imported with their
signatures only; what they need is imported when they run, or `importer --help` would wait for pandas.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Final

import typer
from typer.core import TyperGroup

from importer.cli.check import check
from importer.cli.command import AsJson, Quiet, Verbose, takes_console
from importer.cli.console import Console
from importer.cli.ending import EXIT_USAGE, ending_of
from importer.cli.init import init
from importer.cli.login import login, logout
from importer.cli.report import report
from importer.cli.resume import resume
from importer.cli.run import run as run_sheet
from importer.cli.sandbox import sandbox
from importer.cli.schema import schema
from importer.cli.status import status
from importer.cli.usage import PROGRAM, usage_message
from importer.cli.verify import verify
from importer.cli.web import web
from importer.cli.whoami import whoami

GARBAGE_OBJECTS: Final = 20_000
"""So many objects are made from one garbage collection to the next. With the usual 700 they took a quarter of
the time in which `run` imports what it needs, and found nothing: rows leave no cycles behind."""

COMMANDS: Final[dict[str, Callable[..., int]]] = {
    "init": init,
    "check": check,
    "run": run_sheet,
    "resume": resume,
    "status": status,
    "web": web,
    "verify": verify,
    "report": report,
    "whoami": whoami,
    "login": login,
    "logout": logout,
    "sandbox": sandbox,
    "schema": schema,
}


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {_version()}")
        raise typer.Exit


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("importer")
    except PackageNotFoundError:
        return "(not installed: run from its source)"


def _common(
    ctx: typer.Context,
    *,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Post every row of a spreadsheet to LeadSquared as an account activity, exactly once.

    The way: init writes a mapping, check reads every row, run --limit 3 tries it, verify compares, run does
    the rest, report tells. Try it first with --sandbox: no keys needed, and nothing leaves this computer.
    """
    console = ctx.find_object(Console)
    assert console is not None, "run hands the console to typer"
    console.configure(as_json=as_json, quiet=quiet, verbose=verbose)


def _parser() -> TyperGroup:
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 80}
    app = typer.Typer(
        name=PROGRAM, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=settings
    )
    app.callback()(_common)
    for name, function in COMMANDS.items():
        app.command(name, context_settings=settings)(takes_console(function))
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def run(argv: Sequence[str]) -> int:
    """Run one command line; the exit code. Speaks through sys.stdout and sys.stderr, never exits."""
    # Before parsing, since a command line that does not parse is answered in the way that it asked for.
    console = Console(as_json="--json" in argv, quiet="--quiet" in argv, verbose="--verbose" in argv)
    try:
        work = _parser().main(
            args=list(argv) or ["--help"], prog_name=PROGRAM, obj=console, standalone_mode=False
        )
    except typer.TyperException as error:
        console.finish(EXIT_USAGE, usage_message(error))
        return EXIT_USAGE
    except SystemExit as done:  # shell completion ends like this
        return int(done.code or 0)
    if isinstance(work, int):  # --help, --version
        return work if argv else EXIT_USAGE
    code, message = ending_of(console, work)
    console.finish(code, message)
    return code


def main() -> None:
    """The console script."""
    gc.set_threshold(GARBAGE_OBJECTS)
    sys.exit(run(sys.argv[1:]))
