"""What a person sees, and what a program reads: the only place that writes to the terminal or asks.

Results go to stdout. Messages, errors, questions and progress go to stderr. With `--json` stdout holds
exactly one JSON object, written at the very end by `finish`; what a command hands to `result` is kept
until then. A terminal that went away, or cannot show a character, never ends a command.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

from importer.errors import SettingsError, UserError
from importer.text import SCREEN_COLUMNS, command_line, json_line, printable, wrap

if TYPE_CHECKING:
    from tqdm import tqdm

BEFORE_COMMAND_MAX: Final = 40
_RED: Final = "31"
_YELLOW: Final = "33"


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ends. message: the sentence that explains it, "" when it needs none. command: a command
    line that helps, its words without `importer`. error_code: one of `errors.ERROR_CODES`. chosen: a person
    chose this end, so that the message is not an error."""

    exit_code: int
    message: str = ""
    command: tuple[str, ...] = ()
    error_code: str = ""
    chosen: bool = False


class Details(logging.Handler):
    """Shows each call to LeadSquared as it is answered, with `--verbose`."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.detail(record.getMessage())


class Console:
    """One command's way of speaking.

    json, quiet, verbose: the options that every command takes.
    sending: set by a command at its first Create call; an unexpected error then ends with exit code 3
    (something is there to resume) instead of 2.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        self.json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.sending = False
        self.command_name = ""
        self.bar: tqdm[NoReturn] | None = None
        self._result: dict[str, Any] = {}
        self._json_written = False
        self._gone: set[int] = set()
        for stream in (sys.stdout, sys.stderr):
            _never_fail_on_a_character(stream)

    def __repr__(self) -> str:
        return f"<Console json={self.json} quiet={self.quiet} verbose={self.verbose} sending={self.sending}>"

    @property
    def has_terminal(self) -> bool:
        """Is there a person who can read a question and answer it?"""
        return _is_terminal(sys.stdin) and _is_terminal(sys.stderr)

    @property
    def shows_progress(self) -> bool:
        """Is there a screen for a bar, and is it wanted?"""
        return not self.quiet and _is_terminal(sys.stderr)

    @property
    def data(self) -> Mapping[str, Any]:
        """What the command has given as its result so far."""
        return self._result

    def configure(self, *, as_json: bool, quiet: bool, verbose: bool) -> None:
        """What the parser found; `--quiet` given before the command counts as well."""
        self.json = as_json or self.json
        self.quiet = quiet or self.quiet
        self.verbose = verbose or self.verbose

    def say(self, text: str) -> None:
        """A message on the way; nothing with `--quiet`."""
        if not self.quiet:
            self._message(text)

    def detail(self, text: str) -> None:
        """A message that only `--verbose` shows."""
        if self.verbose:
            self._message(text)

    def warn(self, text: str) -> None:
        """Something that a person should know although the work goes on; shown with `--quiet` too."""
        self._message(text, prefix="Warning: ", colour=_YELLOW)

    def error(self, text: str) -> None:
        """Why the command ends as it does."""
        self._message(text, prefix="Error: ", colour=_RED)

    def command(self, command: Sequence[str], *, before: str = "") -> None:
        """A command line to be pasted, never wrapped. before: what it is for; on the same line if short."""
        if self.quiet:
            return
        line = command_line("importer", *command)
        if len(before) <= BEFORE_COMMAND_MAX:
            self._write(sys.stderr, f"{before} {line}".lstrip())
            return
        self._message(before)
        self._write(sys.stderr, f"  {line}")

    def result(self, text: str, data: Mapping[str, Any]) -> None:
        """What the command was called for: `text` on stdout at once, or `data` in the JSON object at the end.

        May be called several times; later keys win.
        """
        self._result.update(data)
        if not self.json and text:
            self.show(text)

    def result_now(self, text: str, data: Mapping[str, Any]) -> None:
        """The result of a command that then serves until Ctrl-C: with `--json` the one object is written
        here, since its caller waits for it, and nothing at the end."""
        self._result.update(data)
        if self.json:
            self._write_json(CommandEnd(0))
        else:
            self.show(text)
        self._flush(sys.stdout)

    def show(self, text: str) -> None:
        """A part of the result that a person reads; nothing with `--json`."""
        if not self.json:
            self._write(sys.stdout, printable(text))

    def raw(self, text: str) -> None:
        """A JSON object on stdout exactly as it is: the JSON Schema, with `--json` too."""
        self._write(sys.stdout, text)
        self._json_written = True

    def ask(self, question: str, choices: Sequence[tuple[str, str]]) -> str | None:
        """The value that a person chooses, None for "no" (anything that is no choice).

        choices: (value, text). Of one, it is a matter of yes or no. Only where there is a terminal.
        """
        if len(choices) == 1:
            (value, text), *_ = choices
            yes = self._answer(f"{question} {text}? [y/N] ".lstrip()).strip().casefold() in {"y", "yes"}
            return value if yes else None
        if question:
            self._message(question)
        for number, (_, text) in enumerate(choices, 1):
            self._message(f"  {number}  {text}")
        given = self._answer("Number of your choice (Enter to stop): ").strip()
        numbers = {str(number): value for number, (value, _) in enumerate(choices, 1)}
        return numbers.get(given)

    def ask_text(self, question: str, *, without_terminal: str) -> str:
        """One line of text, trimmed; "" when the person gave none. Raises UserError without a terminal."""
        self._demand_terminal(question, without_terminal)
        return self._answer(f"{question}: ").strip()

    def ask_secret(self, question: str, *, without_terminal: str) -> str:
        """One line that is not shown while it is typed. Raises UserError without a terminal."""
        self._demand_terminal(question, without_terminal)
        with warnings.catch_warnings():
            # getpass falls back to showing what is typed, with no more than a warning.
            warnings.simplefilter("error", getpass.GetPassWarning)
            try:
                return getpass.getpass(f"{question} (not shown): ", stream=sys.stderr).strip()
            except getpass.GetPassWarning:
                raise SettingsError(
                    "This terminal cannot hide what is typed.", remedy=without_terminal
                ) from None
            except EOFError:
                return ""

    def _demand_terminal(self, question: str, remedy: str) -> None:
        if not self.has_terminal:
            raise UserError(f"{question} needs an answer, and there is no terminal to ask at.", remedy=remedy)

    def finish(self, end: CommandEnd) -> None:
        """The last word: the error on stderr, and with `--json` the one object on stdout."""
        if end.message and end.chosen:
            self.say(end.message)
        elif end.message:
            self.error(end.message)
        if end.command and end.message:
            self._write(sys.stderr, f"  {command_line('importer', *end.command)}")
        if self.json and not self._json_written:
            self._write_json(end)
        for stream in (sys.stdout, sys.stderr):
            self._flush(stream)

    def _write_json(self, end: CommandEnd) -> None:
        whole = {**self._result}
        if end.message:
            command = f"\n{command_line('importer', *end.command)}" if end.command else ""
            whole["error"] = end.message + command
            whole["error_code"] = end.error_code
        whole["exit"] = end.exit_code
        line = json_line(whole) if _speaks_unicode(sys.stdout) else json.dumps(whole)
        self._write(sys.stdout, line)
        self._json_written = True

    def _answer(self, question: str) -> str:
        self._write(sys.stderr, printable(question), end="")
        self._flush(sys.stderr)
        return sys.stdin.readline()

    def _message(self, text: str, *, prefix: str = "", colour: str = "") -> None:
        line = printable(prefix + text)
        if _is_terminal(sys.stderr):
            line = "\n".join(wrap(line, SCREEN_COLUMNS - 1, indent="  "))
        if prefix and _shows_colour(sys.stderr):
            line = f"\x1b[{colour}m{prefix.rstrip()}\x1b[0m" + line[len(prefix.rstrip()) :]
        self._write(sys.stderr, line)

    def _write(self, stream: TextIO | None, text: str, end: str = "\n") -> None:
        if stream is None or id(stream) in self._gone:
            return
        if self.bar is not None:  # it steps aside while a line is written
            self.bar.clear()
        try:
            stream.write(text + end)
        except (OSError, ValueError):
            self._lose(stream)
        if self.bar is not None:
            self.bar.refresh()

    def _flush(self, stream: TextIO | None) -> None:
        if stream is None or id(stream) in self._gone:
            return
        try:
            stream.flush()
        except (OSError, ValueError):
            self._lose(stream)

    def _lose(self, stream: TextIO) -> None:
        """The reader went away (`importer check … | head`): the work is what counts, and goes on.

        The descriptor is pointed at nothing, or the interpreter would complain about it at exit.
        """
        self._gone.add(id(stream))
        try:
            descriptor = stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        except (OSError, ValueError):
            return


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _shows_colour(stream: TextIO) -> bool:
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    # Windows' old console shows the codes instead of obeying them.
    return _is_terminal(stream) and (os.name != "nt" or "WT_SESSION" in os.environ)


def _speaks_unicode(stream: TextIO | None) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "").startswith("utf8")


def _never_fail_on_a_character(stream: TextIO | None) -> None:
    """A cp1252 terminal shows `?` for what it lacks; Python's default would raise in the middle of a run."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace" if _speaks_unicode(stream) else "replace")
