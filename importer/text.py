"""Words for people: strangers' words as they are shown, and small pieces of English and of typography. Pure.

Shown text (names of sheets, people and hosts, values, messages) is one line of bounded length in which
everything can be seen. Otherwise a sheet's name could forge a line of a question, turn its reading direction,
or hide behind blanks. Widths are in terminal columns: a CJK character takes two, a combining mark none.
"""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

NAME_LENGTH_MAX: Final = 200
QUOTED_LENGTH_MAX: Final = 60
_LISTED_MAX: Final = 10
ELLIPSIS: Final = "…"
SCREEN_COLUMNS: Final = 80
NOT_ANSWERING: Final = "LeadSquared is not answering: waiting for it."
"""What goes on while a tenant gives no answer."""

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


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `12,000 rows`."""
    word = noun if number == 1 else (plural or f"{noun}s")
    return f"{number:,} {word}"


def duration(seconds: float) -> str:
    """A length of time as one says it: `less than a second`, `45 seconds`, `2 hours 10 minutes`."""
    if not math.isfinite(seconds):
        return "an unknown time"
    if seconds < 1:
        return "less than a second"
    if seconds < 100:
        return count(round(seconds), "second")
    minutes = round(seconds / 60)
    if minutes < 100:
        return count(minutes, "minute")
    if minutes < 48 * 60:
        hours, minutes = divmod(minutes, 60)
        return count(hours, "hour") + (f" {count(minutes, 'minute')}" if minutes else "")
    days, hours = divmod(round(minutes / 60), 24)
    return count(days, "day") + (f" {count(hours, 'hour')}" if hours else "")


def expected(seconds: float) -> str:
    """An estimate of a length of time: `about 45 seconds`, `less than a second`."""
    return f"about {duration(seconds)}" if seconds >= 1 else duration(seconds)


def be(number: int) -> str:
    """`is` of one, else `are`."""
    return "is" if number == 1 else "are"


def local_time(iso: str) -> str:
    """A time of the store (UTC, ISO 8601) as people here read it: `2026-11-28 09:33 IST`."""
    moment = datetime.fromisoformat(iso).astimezone()
    zone = moment.tzname() or ""
    # Windows spells zones out ("India Standard Time"), and some have no name.
    return f"{moment:%Y-%m-%d %H:%M} {zone if zone.isalpha() else f'{moment:%z}'}"


def clock(seconds: float) -> str:
    """A length of time for a narrow place: `0:07`, `12:05`, `1:02:03`, `?` when it is not known."""
    if not math.isfinite(seconds):
        return "?"
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def width(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    if text.isascii():
        return len(text)
    return sum(map(_character_width, text))


def shorten(text: str, columns: int) -> str:
    """`text` on one line, in `columns` columns at most, cut with `…`."""
    line = shown(text, max(columns, 1) * 8)
    if width(line) <= columns:
        return line
    kept, used = [], 0
    for character in line:
        used += _character_width(character)
        if used > columns - 1:
            break
        kept.append(character)
    return "".join(kept) + ELLIPSIS


def pad(text: str, columns: int) -> str:
    """`text` with spaces after it up to `columns` columns."""
    return text + " " * max(0, columns - width(text))


def wrap(
    text: str, columns: int = SCREEN_COLUMNS, *, indent: str = "", whole_words: bool = True
) -> list[str]:
    """`text` as lines of `columns` columns at most, broken at spaces; later lines begin with `indent`.

    A word that is wider than a line stands alone and whole (a path that is cut cannot be copied), unless
    `whole_words` is false: then it is broken.
    """
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line, empty = ("" if not lines else indent), True
        words = paragraph.split(" ")
        if not whole_words:
            words = [piece for word in words for piece in _pieces(word, columns - width(indent))]
        for word in words:
            joined = line + word if empty else f"{line} {word}"
            if not empty and width(joined) > columns:
                lines.append(line.rstrip(" "))
                joined = indent + word
            line, empty = joined, False
        lines.append(line.rstrip(" "))
    return lines


def _pieces(word: str, columns: int) -> list[str]:
    """`word` in pieces of `columns` columns at most."""
    if width(word) <= columns:
        return [word]
    pieces, used = [""], 0
    for character in word:
        used += _character_width(character)
        if used > columns:
            pieces.append("")
            used = _character_width(character)
        pieces[-1] += character
    return pieces


def _character_width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
