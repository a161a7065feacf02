"""The command line: `importer COMMAND …`. Parses, runs the command, and turns how it ended into an exit code.

    0    done                                  (the command's own return value)
    1    finished, but some rows need a person (the command's own return value)
    2    UserError, a wrong command line, and anything unexpected before the first call that creates
    3    WorkError, and anything unexpected after it: there is something to resume
    130  Ctrl-C

This is the only place that does so, and `main` the only place that exits. A command's module is loaded when
the command is called, so that `importer --help` does not wait for what one of them needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from importer.cli.command import AsJson, Quiet, Verbose, takes_console
from importer.cli.console import CommandEnd, Console
from importer.cli.ending import EXIT_USAGE, ending_of
from importer.cli.usage import PROGRAM, usage_message

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "init": ("init", "Write a commented starter mapping from a sheet's own columns."),
    "check": ("check", "Read and map every row of a sheet, and report what is wrong with it."),
    "run": ("run", "Check a sheet, ask, send every row, write the results file."),
    "resume": ("resume", "Continue a batch, with what you corrected in its results file."),
    "status": ("status", "Show a batch's progress, or list all batches."),
    "web": ("web", "Serve the same in your browser, on this computer."),
    "verify": ("verify", "Read created activities back and compare them with what was sent."),
    "correct": ("correct", "Send changed cells of created rows as updates."),
    "report": ("report", "Write an HTML page about a batch."),
    "erase": ("erase", "Remove a batch's customer data from the store."),
    "store": ("store", "Show where the store is, its version, its batches and its size."),
    "whoami": ("whoami", "Show which user, organisation and host the keys belong to."),
    "login": ("login", "Try the keys and keep them in the system's keyring."),
    "logout": ("login", "Remove the keys from the system's keyring."),
    "sandbox": ("sandbox", "Serve a LeadSquared tenant on this computer, for rehearsals."),
    "schema": ("schema", "Print the mapping's JSON Schema, for editors."),
}
"""Each command, the module of `importer.cli` that holds the function of its name, and its help in a line."""

NOTIFYING: Final = frozenset({"run", "resume", "verify", "correct"})
_SETTINGS: Final = {"help_option_names": ["-h", "--help"], "max_content_width": 80}


class _Commands(TyperGroup):
    """Loads a command's module when the command is asked for."""

    def list_commands(self, _ctx: Any) -> list[str]:  # noqa: ANN401 - typer's own type is private
        return list(COMMANDS)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            self.commands[cmd_name] = loaded(cmd_name)
        return self.commands.get(cmd_name)

    def format_commands(self, _ctx: Any, formatter: Any) -> None:  # noqa: ANN401
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def loaded(name: str) -> Any:  # noqa: ANN401
    """A command as typer has it."""
    module = import_module(f"importer.cli.{COMMANDS[name][0]}")
    alone = _typer()
    alone.command(name, context_settings=_SETTINGS)(takes_console(getattr(module, name)))
    return typer.main.get_command(alone)


def _typer() -> typer.Typer:
    return typer.Typer(
        name=PROGRAM,
        cls=_Commands,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=_SETTINGS,
        suggest_commands=False,
    )


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROGRAM} {_version()}")
        raise typer.Exit


def _version() -> str:
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

    Workflow: init writes a mapping, check reads every row, run --limit 3 tries it, verify compares, run does
    the rest, report shows the results. Try it first with --sandbox: no keys needed, and nothing leaves this
    computer.
    """
    console = ctx.find_object(Console)
    assert console is not None, "run hands the console to typer"
    console.configure(as_json=as_json, quiet=quiet, verbose=verbose)


def parser() -> TyperGroup:
    """The parser of a whole command line; commands are loaded as they are asked for."""
    app = _typer()
    app.callback()(_common)
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return group


def run(argv: Sequence[str]) -> int:
    """Run one command line; the exit code. Speaks through sys.stdout and sys.stderr, never exits."""
    # Before parsing, since a command line that does not parse is answered in the way that it asked for.
    console = Console(as_json="--json" in argv, quiet="--quiet" in argv, verbose="--verbose" in argv)
    try:
        work = parser().main(
            args=list(argv) or ["--help"], prog_name=PROGRAM, obj=console, standalone_mode=False
        )
    except typer.TyperException as error:
        end = CommandEnd(EXIT_USAGE, usage_message(error, COMMANDS), error_code="usage")
        console.finish(end)
        return end.exit_code
    except SystemExit as done:  # shell completion ends like this
        return int(done.code or 0)
    if isinstance(work, int):  # --help, --version
        return work if argv else EXIT_USAGE
    end = ending_of(console, work)
    if console.command_name in NOTIFYING and os.environ.get("IMPORTER_NOTIFY_URL"):
        _notify(console, end)
    console.finish(end)
    return end.exit_code


def _notify(console: Console, end: CommandEnd) -> None:
    """One message about how the command ended; that it failed is a warning."""
    from importer.app.notify import notify

    failed = {"error_code": end.error_code} if end.error_code else {}
    warning = notify(console.command_name, {**console.data, **failed}, end.exit_code)
    if warning:
        console.warn(warning)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
