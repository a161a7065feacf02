"""Small pieces of English and of typography that every room shares. Pure.

Widths are in terminal columns: a CJK character takes two, a combining mark none.
"""

from __future__ import annotations

import math
import unicodedata
from datetime import datetime
from typing import Final

from importer.text import ELLIPSIS, shown

SCREEN_COLUMNS: Final = 80
NOT_ANSWERING: Final = "LeadSquared is not answering: waiting for it."
"""What goes on while a tenant gives no answer."""


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
