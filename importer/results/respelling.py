"""Is a cell only respelt, as Excel and its kin respell it on opening and saving a CSV? Pure.

A results file goes through other people's spreadsheets. `00123` comes back as `123`, a long number as
`1.23457E+11`, a date in the local fashion, `Łódź` as `?ód?`: nobody meant that, and nothing of it may be
sent. A cell counts as respelt only if `after` is a text that a spreadsheet *writes* for `before`, in some
locale; what it would never write is a person's edit. So `00123` → `123` is none, and `123` → `00123` is one;
so are `Wno` → `Won`, `12` → `13`, `1.5` → `1,5`, `'Won` → `Won`, trailing spaces taken away, a cell emptied.

A formula is not worked out: `=1+1` that comes back as `2` was opened by a program that calculates, and is
an edit, which is shown before it counts. Where the same text could be either (an ISO date retyped the local
way), it is taken for respelt: the caller shows it, and lets it count on a row that is invalid as it is and
valid with it (`edits`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from importer.results.respelt_dates import dates_respelt, unambiguous
from importer.results.respelt_numbers import number_kept, number_written, numbers_respelt
from importer.sheets.rows import NumberCell

CUT_FROM_CHARACTERS: Final = 32_000
"""Excel holds 32,767 characters a cell, and reads a few less from a CSV."""

_TRUTHS: Final = {
    "true": ("true", "wahr", "vrai", "verdadero", "verdadeiro", "vero"),
    "false": ("false", "falsch", "faux", "falso"),
}
_ERROR: Final = re.compile(r"#[^\W\d_][\w/]*[!?]?")
_HASHES: Final = re.compile(r"#{2,}")
_LIKE_A_FORMULA: Final = ("=", "+", "-", "@")
_CODE_PAGES: Final = ("cp1252", "utf-8", "cp1250", "cp1251", "cp850", "mac_roman")
"""What "ANSI" means on somebody's computer; the results file is read as cp1252 whatever it was."""


def is_respelling(before: str, after: str) -> bool:
    """Whether `after` is `before` as a spreadsheet writes it: no change that a person made.

    before: the store's cell, typed if it came from a workbook. after: the cell of the results file.
    """
    if before == after:
        return True
    old, new = _settled(before), _settled(after)
    if old == new:
        return True
    if not old.strip():  # a blank of an unusual kind may be lost as well
        return not new.strip() or (not old.isascii() and _characters_lost(old, new))
    if not new.strip():
        return False
    return any(_ways(before, old, new))


def may_be_meant(before: str, after: str) -> bool:
    """Whether a respelling could as well be a person's, and means the same in either case: a date that can
    be read in one way only, or a number of the same value that keeps its leading zeros."""
    return unambiguous(after.strip()) or number_kept(before, after)


def _ways(before: str, old: str, new: str) -> Iterator[bool]:
    """Each way in which spreadsheets respell, the commonest first."""
    if old[0] in _DIGITS_AND_SIGNS or old.strip()[:1] in _DIGITS_AND_SIGNS or not old.isascii():
        yield numbers_respelt(old, new)
    if isinstance(before, NumberCell):
        yield number_written(before, new)
    yield dates_respelt(before, new)
    yield _truth(old, new)
    # Composing may take a character apart (a Hebrew letter with its point), and not every program does it.
    yield not old.isascii() and (_characters_lost(old, new) or _characters_lost(_one_break(before), new))
    yield old.lstrip().startswith(_LIKE_A_FORMULA) and bool(_ERROR.fullmatch(new.strip()))  # `-abc`: #NAME?
    yield new == f"'{old}"
    yield bool(_HASHES.fullmatch(new.strip())) and any(char.isdigit() for char in old)  # column too narrow
    yield len(new) >= CUT_FROM_CHARACTERS and old.startswith(new)


_DIGITS_AND_SIGNS: Final = frozenset("0123456789+-.,($£€¥")


def _settled(cell: str) -> str:
    """Line breaks of one kind, characters composed: programs choose both as they like."""
    text = _one_break(cell)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _one_break(cell: str) -> str:
    return cell.replace("\r\n", "\n").replace("\r", "\n")


def _truth(old: str, new: str) -> bool:
    return new.strip().casefold() in _TRUTHS.get(old.strip().casefold(), ())


def _characters_lost(old: str, new: str) -> bool:
    """Whether `new` is `old` written in some code page, its other characters lost, and read as cp1252."""
    saved = old.encode("cp1252", "replace")
    if new in {saved.decode("cp1252"), saved.decode("utf-8", "replace")}:  # the latter: by an odd chance
        return True
    return any(
        re.fullmatch("".join(_as_read(char, page) for char in old), new, re.DOTALL) for page in _CODE_PAGES
    )


@lru_cache(maxsize=4096)
def _as_read(char: str, page: str) -> str:
    """A pattern for what is in the file, as it is read, for one character of the cell."""
    try:
        return "".join(re.escape(_cp1252(byte)) for byte in char.encode(page))
    except UnicodeEncodeError:
        near = "".join(
            part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part)
        )
        kept = [r"\?{1,2}"]  # one for each UTF-16 unit
        if near and near != char and near.isascii():
            kept.append(re.escape(near))
        elif unicodedata.category(char) == "Pd" or char == "\u2212":
            kept.append("-")
        elif unicodedata.category(char) == "Zs":
            kept.append(" ")
        return f"(?:{'|'.join(kept)})"


def _cp1252(byte: int) -> str:
    try:
        return bytes((byte,)).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)
