"""Strangers' words as they are shown: names of sheets, people and hosts, values, messages.

Shown text is one line of bounded length in which everything can be seen. Otherwise a sheet's name could
forge a line of a question, turn its reading direction, or hide behind blanks. Pure.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

NAME_LENGTH_MAX: Final = 200
QUOTED_LENGTH_MAX: Final = 60
_LISTED_MAX: Final = 10
ELLIPSIS: Final = "…"

_BLANK: Final = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0"
"""Printable to Unicode, and nothing on a screen: fillers, blank patterns, selectors of variants."""
_JOINERS: Final = "\u200c\u200d"
_HIDDEN: Final = re.compile(f"[{_BLANK}]")
_FORMULA: Final = re.compile(r"(^|[,;|\t\r\n]\"?)(?=[=+\-@＝＋－＠\t\r])")
"""Where a cell begins, or begins in a country whose spreadsheets separate by another sign."""
_SAFE_IN_SHELL: Final = re.compile(r"[\w@%+=:,./\\-]+", re.ASCII)


def shown(text: str, length_max: int = NAME_LENGTH_MAX) -> str:
    """`text` on one line of at most `length_max` characters; whatever could not be seen is an escape (`\\n`,
    `\\u202e`), and what was cut ends with `…`."""
    cut = text[: length_max + 1]
    if not cut.isprintable() or _HIDDEN.search(cut):
        cut = _escaped(cut)
    return cut if len(cut) <= length_max else cut[: length_max - 1] + ELLIPSIS


def quoted(text: str, length_max: int = QUOTED_LENGTH_MAX) -> str:
    """`text` as `shown` gives it, in quotes."""
    return f'"{shown(text, length_max)}"'


def one_line(text: str, length_max: int) -> str:
    """A sentence or a page of a server's on one line: control characters, breaks and runs of blanks are one
    blank, and whatever else could not be seen is left out. No half surrogates, which no file could hold."""
    cut = text[: 4 * length_max]
    if not cut.isprintable() or _HIDDEN.search(cut):
        cut = "".join(char if _seen(char) else " " for char in cut)
    words = " ".join(cut.split())
    return words if len(words) <= length_max else words[: length_max - 1].rstrip() + ELLIPSIS


def printable(text: str) -> str:
    """Text of several lines for a terminal: breaks and tabs stay, whatever else is not to be seen is escaped.
    The last line of defence, for text that was put together from parts that are already `shown`."""
    return "".join(part if part in "\n\t" else _escaped(part) for part in re.split("([\n\t])", text))


def listed(
    words: Sequence[str], most: int = _LISTED_MAX, *, total: int | None = None, last: str = ", "
) -> str:
    """`a, b, c`, or `a, b and 340 more`. total: how many there are, if not all are given. last: what joins
    the last word of a list that is whole."""
    named = list(words[:most])
    more = (len(words) if total is None else total) - len(named)
    if more > 0:
        last = " and "
        named.append(f"{more:,} more")
    return last.join(filter(None, (", ".join(named[:-1]), named[-1]))) if named else ""


def command_line(*words: str) -> str:
    """A command to be pasted into a shell, its first word included. Never to be wrapped.

    A POSIX shell takes '…'; cmd and PowerShell take "…", and no path on Windows holds that mark.
    """
    return " ".join(_in_shell(word) for word in words)


def json_line(data: Mapping[str, Any]) -> str:
    """JSON on one line, in which nothing can turn the terminal around: what is not to be seen is `\\uXXXX`,
    as JSON itself writes it, so that a program reads the same text."""
    text = json.dumps(data, ensure_ascii=False)
    return "".join(char if _seen(char) else json.dumps(char)[1:-1] for char in text)


def no_formula(text: str) -> str:
    """`text` for a column of ours: what a spreadsheet could take for a formula is behind an apostrophe."""
    return _FORMULA.sub(r"\1'", text)


def _escaped(text: str) -> str:
    around = zip(" " + text, text, text[1:] + " ", strict=False)
    return "".join(
        char
        if _seen(char) or (char in _JOINERS and _joins(before, after))
        else char.encode("unicode_escape").decode("ascii")
        for before, char, after in around
    )


def _seen(char: str) -> bool:
    return char.isprintable() and not _HIDDEN.match(char)


def _joins(before: str, after: str) -> bool:
    """Persian words and Indian scripts are spelt with joiners between their letters."""
    return not before.isascii() and before.isprintable() and not after.isascii() and after.isprintable()


def _in_shell(word: str) -> str:
    if not word.isprintable() or _HIDDEN.search(word):
        # No shell takes escapes in quotes alike; such a name is typed by hand, or completed.
        word = shown(word, len(word) * 10)
    if os.name == "nt":
        return word if _SAFE_IN_SHELL.fullmatch(word) else f'"{word}"'
    return shlex.quote(word)
