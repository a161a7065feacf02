"""From a function to a command: every command takes `--json`, `--quiet` and `--verbose`, and a Console.

A command is `def name(console: Console, …) -> int`: its parameters are typer's, its docstring is its help,
and what it returns is its exit code. It ends by returning or by raising; it never exits.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from importer.cli.console import Console

AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout at the end, and nothing else there.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show only results, warnings and errors.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show what happens in detail, too.")]


def takes_console(function: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """`function` as typer wants it, with the three common options.

    Parsing gives the call to make instead of making it: typer turns some exceptions of a command into exits
    of its own, and how a command ends is for `ending.py` to say.
    """
    own = inspect.signature(function, eval_str=True)
    parameters = [each for name, each in own.parameters.items() if name != "console"]
    common = {"as_json": AsJson, "quiet": Quiet, "verbose": Verbose}
    kept = [inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)]
    # Keyword-only, so that options with and without defaults may stand in any order.
    kept += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    kept += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in common.items()
    ]

    def command(
        ctx: typer.Context, *, as_json: bool, quiet: bool, verbose: bool, **values: Any
    ) -> Callable[[], int]:
        console = ctx.find_object(Console)
        assert console is not None, "main.run hands the console to typer"
        console.configure(as_json=as_json, quiet=quiet, verbose=verbose)
        console.command_name = function.__name__
        return partial(function, console, **values)

    command.__name__ = function.__name__
    command.__doc__ = function.__doc__
    command.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in kept}
    return command
