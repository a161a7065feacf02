"""The command line: `importer COMMAND …`. Parses, runs the command, and turns how it ended into an exit code.

    0    done                                  (the command's own return value)
    1    finished, but some rows need a person (the command's own return value)
    2    UserError, a wrong command line, and anything unexpected before the first call that creates
    3    WorkError, and anything unexpected after it: there is something to resume
    130  Ctrl-C

This is the only place that does so, and `main` the only place that exits. A command's module is loaded when
the command is called, so that `importer --help` does not wait for what one of them needs. A command is `def
name(console: Console, …) -> int`: its parameters are typer's, its docstring is its help, and what it returns
is its exit code. It ends by returning or by raising; it never exits.
"""

from __future__ import annotations

import errno
import inspect
import logging
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_type_hints

import typer
from typer.core import TyperGroup
from typer.models import ParameterInfo

from importer.app.questions import DeclinedError
from importer.cli.console import CommandEnd, Console, Details
from importer.errors import ImporterError
from importer.home import CALLS, home, open_log

PROGRAM: Final = "importer"


def usage_message(error: typer.TyperException, commands: Iterable[str]) -> str:
    """One or two sentences for a person. commands: those that exist."""
    context: typer.Context | None = getattr(error, "ctx", None)
    path = context.command_path if context is not None else PROGRAM
    option = getattr(error, "option_name", None)
    if type(error).__name__ == "NoSuchOption" and option:
        what = f"There is no option {option}.{_nearest(str(option), _options(context))}"
    else:
        what = _tidy(error.format_message())
        if (unknown := re.match("There is no command ([^ ]+?)[.]$", what)) is not None:
            what += _nearest(unknown[1], list(commands))
    return f"{what} See `{path} --help`."


def _options(context: typer.Context | None) -> list[str]:
    if context is None:
        return []
    return [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]


def _nearest(given: str, known: list[str]) -> str:
    near = get_close_matches(given, known, n=1, cutoff=0.5)
    return f" Did you mean {near[0]}?" if near else ""


def _tidy(message: str) -> str:
    """`Invalid value for '--workers': 0 is …` as `--workers: 0 is …`, and no line breaks."""
    line = " ".join(message.split()).replace(": Value error, ", ": ")
    line = re.sub(r"^Invalid value for '(-[^']*)'(?: / '[^']*')*: ", r"\1: ", line)
    line = re.sub(r"^Invalid value for '([A-Za-z.\[\]]+)': ", r"\1: ", line)
    line = re.sub(r"^Missing option '(-[^']*)'(?: / '[^']*')*", r"Option \1 is missing", line)
    line = re.sub(r"^Missing argument '([^']*)'", r"\1 is missing", line)
    line = re.sub(r"^No such command '([^']*)'", r"There is no command \1", line)
    line = re.sub(r"Did you mean '([^']*)'", r"Did you mean \1", line)
    return line if line.endswith((".", "?", "!")) else f"{line}."


EXIT_USAGE: Final = 2
EXIT_STOPPED: Final = 3
EXIT_INTERRUPTED: Final = 130

_DISK_FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_GROUP_DEPTH_MOST: Final = 10


def ending_of(console: Console, work: Callable[[], int]) -> CommandEnd:
    """Runs `work`."""
    try:
        return CommandEnd(work())
    except KeyboardInterrupt as error:
        return _explain(console, error)
    except BaseExceptionGroup as group:
        return _explain(console, _first(group))
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, a person gets a sentence
        return _explain(console, error)


def _explain(console: Console, error: BaseException) -> CommandEnd:
    if isinstance(error, ImporterError):
        chosen = isinstance(error, DeclinedError)
        return CommandEnd(error.exit_code, str(error), error.command, error.error_code, chosen)
    if isinstance(error, KeyboardInterrupt) or isinstance(error.__cause__, KeyboardInterrupt):
        return CommandEnd(EXIT_INTERRUPTED, "Interrupted.", error_code="interrupted")
    code = EXIT_STOPPED if console.sending else EXIT_USAGE
    then = (
        " The batch is intact: continue with `importer resume`." if console.sending else " Nothing was sent."
    )
    log = _keep_traceback(error)
    if isinstance(error, OSError):
        return CommandEnd(code, _system_trouble(error) + then, error_code="disk")
    if isinstance(error, MemoryError):
        text = f"This computer has not enough free memory for that.{then} Close other programs and try again."
        return CommandEnd(code, text, error_code="unexpected")
    send = f" Please send {log} to your support contact." if log else ""
    return CommandEnd(
        code, f"Unexpected error ({type(error).__name__}).{then}{send}", error_code="unexpected"
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error in a group of tasks' errors that says most: one of ours, else the first."""
    ours = group.subgroup(ImporterError)
    error: BaseException = ours if ours is not None else group
    for _ in range(_GROUP_DEPTH_MOST):
        if not isinstance(error, BaseExceptionGroup):
            break
        error = error.exceptions[0]
    return error


def _system_trouble(error: OSError) -> str:
    """What the operating system refused, as a sentence."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in _DISK_FULL:
        return f"{where}The disk is full. Make room on it and try again."
    if isinstance(error, PermissionError):
        return f"{where}You may not read or write that. Close it in other programs, or choose another place."
    if isinstance(error, FileNotFoundError):
        return f"{where}There is no such file or folder."
    return f"{where}{error.strerror or error}."


def _keep_traceback(error: BaseException) -> Path | None:
    """Put the traceback into the log; where that is, or None when even that failed."""
    try:
        log = open_log(home().root)
        logging.getLogger("importer.cli").error("unexpected", exc_info=error)
    except (OSError, ImporterError):
        return None
    return log


AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout at the end, and nothing else there.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only results, warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show each call to LeadSquared, too.")]
_KEYWORD: Final = inspect.Parameter.KEYWORD_ONLY


def takes_console(function: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """`function` as typer wants it, with the three common options.

    Parsing gives the call to make instead of making it: typer turns some exceptions of a command into exits
    of its own, and how a command ends is for `ending_of` to say.
    """
    own = inspect.signature(function, eval_str=True).parameters
    asked = {name: each.annotation for name, each in own.items() if name != "console"}
    parameters = [made for name, each in asked.items() for made in _parameters(name, each, own[name].default)]
    for name, kind in {"as_json": AsJson, "quiet": Quiet, "verbose": Verbose}.items():
        parameters.append(inspect.Parameter(name, _KEYWORD, default=False, annotation=kind))
    context = inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)

    def command(
        ctx: typer.Context, *, as_json: bool, quiet: bool, verbose: bool, **values: Any
    ) -> Callable[[], int]:
        console = ctx.find_object(Console)
        assert console is not None, "main.run hands the console to typer"
        console.configure(as_json=as_json, quiet=quiet, verbose=verbose)
        console.command_name = function.__name__

        def call() -> int:
            return function(console, **{name: _given(name, each, values) for name, each in asked.items()})

        return call

    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__signature__ = inspect.Signature([context, *parameters])  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in (context, *parameters)}
    return command


def _parameters(name: str, annotation: Any, default: Any) -> Iterator[inspect.Parameter]:  # noqa: ANN401
    """The parameters of the command line that one of a function becomes. A record of options, annotated with
    what its fields are on the command line (`options.Calls`), is one there and many here."""
    kind, *fields_of = get_args(annotation) or (annotation,)
    if is_dataclass(kind):
        types, defaults = get_type_hints(kind), {one.name: one.default for one in fields(kind)}
        for field, each in fields_of[0].items():
            alone = Annotated[types[field], each] if isinstance(each, ParameterInfo) else each
            yield from _parameters(f"{name}_{field}", alone, defaults[field])
    else:
        # Keyword-only, so that options with and without defaults may stand in any order.
        default = inspect.Parameter.empty if default is MISSING else default
        yield inspect.Parameter(name, _KEYWORD, default=default, annotation=annotation)


def _given(name: str, annotation: Any, values: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """What was given for it."""
    kind, *fields_of = get_args(annotation) or (annotation,)
    if not is_dataclass(kind):
        return values[name]
    make: Any = kind
    return make(**{field: _given(f"{name}_{field}", each, values) for field, each in fields_of[0].items()})


COMMANDS: Final[dict[str, str]] = {
    "init": "Write a commented starter mapping from a sheet's own columns.",
    "check": "Read and map every row of a sheet, and report what is wrong with it.",
    "run": "Check a sheet, ask, send every row, write the results file.",
    "resume": "Continue a batch, with what you corrected in its results file.",
    "status": "Show a batch's progress, or list all batches.",
    "web": "Serve the same in your browser, on this computer.",
    "verify": "Read created activities back and compare them with what was sent.",
    "correct": "Send changed cells of created rows as updates.",
    "report": "Write an HTML page about a batch.",
    "erase": "Remove a batch's customer data from the store.",
    "store": "Show where the store is, its version, its batches and its size.",
    "whoami": "Show which user, organisation and host the keys belong to.",
    "login": "Try the keys and keep them in the system's keyring.",
    "logout": "Remove the keys from the system's keyring.",
    "sandbox": "Serve a LeadSquared tenant on this computer, for rehearsals.",
    "schema": "Print the mapping's JSON Schema, for editors.",
}
"""Each command and its help in a line; its module in `importer.cli` and the function there have its name."""

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
            formatter.write_dl(list(COMMANDS.items()))


def loaded(name: str) -> Any:  # noqa: ANN401
    """A command as typer has it."""
    module = import_module(f"importer.cli.{name}")
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
    details = Details(console)
    CALLS.addHandler(details)
    end = ending_of(console, work)
    CALLS.removeHandler(details)
    if console.command_name in NOTIFYING and os.environ.get("IMPORTER_NOTIFY_URL"):
        _notify(console, end)
    console.finish(end)
    return end.exit_code


def _notify(console: Console, end: CommandEnd) -> None:
    """One message about how the command ended; that it failed is a warning."""
    from importer.cli.notify import notify

    failed = {"error_code": end.error_code} if end.error_code else {}
    warning = notify(console.command_name, {**console.data, **failed}, end.exit_code)
    if warning:
        console.warn(warning)


def main() -> None:
    """The console script."""
    code = run(sys.argv[1:])
    if code == EXIT_INTERRUPTED:
        # Python ends by the signal itself if that came while a text was executed, as `dataclass` does.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
