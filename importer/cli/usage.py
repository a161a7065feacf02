"""What typer says about a wrong command line, in our words: what is wrong, what is near, where help is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

import typer

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
    line = " ".join(message.split())
    line = re.sub(r"^Invalid value for '(-[^']*)'(?: / '[^']*')*: ", r"\1: ", line)
    line = re.sub(r"^Invalid value for '([A-Z.\[\]]+)': ", r"\1: ", line)
    line = re.sub(r"^Missing option '(-[^']*)'(?: / '[^']*')*", r"Option \1 is missing", line)
    line = re.sub(r"^Missing argument '([^']*)'", r"\1 is missing", line)
    line = re.sub(r"^No such command '([^']*)'", r"There is no command \1", line)
    line = re.sub(r"Did you mean '([^']*)'", r"Did you mean \1", line)
    return line if line.endswith((".", "?", "!")) else f"{line}."
