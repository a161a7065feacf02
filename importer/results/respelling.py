"""Is a cell only respelt, as Excel and its kin respell it on opening and saving a CSV? Pure.

A results file goes through other people's spreadsheets. `00123` comes back as `123`, a long number as
`1.23457E+11`, a date in the local fashion, `Łódź` as `?ód?`: nobody meant that, and nothing of it may be
sent. A cell counts as respelt only if `after` is a text that a spreadsheet *writes* for `before`, in one of
the common locales; what it would never write is a person's edit. So `00123` → `123` is none, and `123` →
`00123` is one; so are `Wno` → `Won`, `1.5` → `1,5`, `'Won` → `Won`, trailing spaces taken away, a cell
emptied. A formula is not worked out: `=1+1` that comes back as `2` is an edit.

Numbers (Excel's documented behaviour and what it is seen to do): a plain number gets the format General and
is written with at most eleven characters, from 1E+11 on as `1.23457E+11`; digits beyond the fifteenth are
zeros; leading zeros, a plus sign and zeros after the decimal mark go. `1e5` becomes `1.00E+05`. Percentages
and amounts of money keep their sign and get no decimals or two. LibreOffice writes up to fifteen digits.

Dates are read and written in the computer's own order, so both texts are read in the same order: `01/02/2026`
→ `2/1/2026` is not a respelling in either, while `2026-02-01` may come back as `1/2/2026` or `2/1/2026`.
Seconds are lost (`7/31/2026 5:33`), a year that was not there is added, and `1.10` or `Mar-5` become days.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from functools import cache, lru_cache
from typing import Final, NamedTuple

from importer.mapping.month_names import LOCALES, folded_name, month_numbers
from importer.sheets.rows import DateCell, DurationCell, NumberCell

CUT_FROM_CHARACTERS: Final = 32_000
"""Excel holds 32,767 characters a cell, and reads a few less from a CSV."""
GENERAL_CHARACTERS: Final = 11
GENERAL_BELOW: Final = Decimal(10) ** 11
GENERAL_FROM: Final = Decimal(10) ** -4
DIGITS_KEPT: Final = 15
NUMBER_LENGTH_MAX: Final = 60
DATE_LENGTH_MAX: Final = 40
_EXPONENT_MAX: Final = 308

_TRUTHS: Final = {"true": ("true", "wahr", "vrai"), "false": ("false", "falsch", "faux")}
_ERROR: Final = re.compile(r"#[^\W\d_][\w/]*[!?]?")
_HASHES: Final = re.compile(r"#{2,}")
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
    return bool(new.strip()) and any(_ways(before, old, new))


def may_be_meant(before: str, after: str) -> bool:
    """Whether a respelling could as well be a person's, and means the same in either case: a date that can
    be read in one way only, or a number of the same value that keeps its leading zeros."""
    days = set(_moments(after.strip(), day_first=True)) | set(_moments(after.strip(), day_first=False))
    if len(days) == 1 and None not in next(iter(days))[:3]:
        return True
    if len(before) > NUMBER_LENGTH_MAX or re.match(r"\s*[+-]?0\d", before):
        return False
    return any(one.value == other.value for one, other in _both_numbers(before, after))


def _ways(before: str, old: str, new: str) -> Iterator[bool]:
    """Each way in which spreadsheets respell, the commonest first."""
    written, shown = old.strip(), new.strip()
    yield any(one.sign == two.sign and _is_written(one, two, shown) for one, two in _both_numbers(old, new))
    if isinstance(before, NumberCell):
        yield _in_its_format(before, new)
    yield _dates_respelt(before, new)
    yield shown.casefold() in _TRUTHS.get(written.casefold(), ())
    # Composing may take a character apart (a Hebrew letter with its point), and not every program does it.
    yield not old.isascii() and (_characters_lost(old, new) or _characters_lost(_one_break(before), new))
    yield written.startswith(("=", "+", "-", "@")) and bool(_ERROR.fullmatch(shown))  # `-abc`: #NAME?
    yield new == f"'{old}"
    yield bool(_HASHES.fullmatch(shown)) and any(char.isdigit() for char in old)  # the column is too narrow
    yield len(new) >= CUT_FROM_CHARACTERS and old.startswith(new)


def _settled(cell: str) -> str:
    """Line breaks of one kind, characters composed: programs choose both as they like."""
    text = _one_break(cell)
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _one_break(cell: str) -> str:
    return cell.replace("\r\n", "\n").replace("\r", "\n")


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
        read = (bytes((byte,)).decode("cp1252", "ignore") or chr(byte) for byte in char.encode(page))
        return "".join(map(re.escape, read))
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


_EXACT: Final = Context(prec=400, rounding=ROUND_HALF_UP)
_SPACES: Final = dict.fromkeys(map(ord, "\u00a0\u202f\u2009"), " ")
_SHAPES: Final = {
    mark: re.compile(
        rf"(?:(\d+)|(\d{{1,3}}(?:[{group}]\d{{3}})+){indian})?(?:[{mark}](\d*))?(?:[eE]([+-]?\d{{1,3}}))?",
        re.ASCII,
    )
    for mark, group, indian in ((".", ",'’ ", r"|(\d{1,2}(?:,\d\d)+,\d{3})"), (",", ".'’ ", "|(?!)()"))
}
"""By decimal mark: whole digits, digits in groups of three, in India's groups; decimals; exponent."""
_WRITTEN: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:[.,]\d*[1-9])?", re.ASCII)
_WRITTEN_EXPONENT: Final = re.compile(r"-?\d(?:[.,]\d+)?E[+-]\d{2,3}", re.ASCII)


class _Number(NamedTuple):
    """A number as some locale reads it. sign: `%`, a currency's, or "". places: decimals, as written.
    digits: significant ones of an exponent's mantissa, 0 without an exponent. indian: grouped as `1,25,000`,
    which no other number is written like."""

    value: Decimal
    sign: str
    places: int
    digits: int
    grouped: bool
    indian: bool


def _both_numbers(before: str, after: str) -> Iterator[tuple[_Number, _Number]]:
    """The numbers that both texts are, by decimal mark."""
    for mark in _SHAPES:
        old, new = _number(before, mark), _number(after, mark)
        if old is not None and new is not None:
            yield old, new


def _in_its_format(before: NumberCell, after: str) -> bool:
    """Whether `after` is the workbook's number as its own format shows it, rounded as it may be."""
    if before.code in ("", "General"):
        return False
    value = Decimal(repr(before.value))
    places = re.search(r"\.([0#?]+)", before.code.split(";", maxsplit=1)[0])
    for mark in _SHAPES:
        new = _number(after, mark)
        if new is None:
            continue
        shown = value * 100 if new.sign == "%" else value
        if new.value == shown or (new.digits and _significant(shown, new)):
            return True
        if new.places == (len(places[1]) if places else 0) and _rounded(shown, new.places) == new.value:
            return True
    return False


def _is_written(old: _Number, new: _Number, text: str) -> bool:
    """Whether `text`, the number `new`, is how a spreadsheet writes the number `old`."""
    if new.digits:
        size = abs(old.value)
        odd = old.digits or size >= GENERAL_BELOW or 0 < size < GENERAL_FROM
        return bool(odd and _WRITTEN_EXPONENT.fullmatch(text)) and _significant(old.value, new)
    if old.sign:
        return new.places <= 2 and _rounded(old.value, new.places) == new.value
    if new.grouped:
        known = old.grouped or new.indian
        return known and new.places in (0, 2) and _rounded(old.value, new.places) == new.value
    return bool(_WRITTEN.fullmatch(text)) and new.value in _shown(old.value)


def _shown(value: Decimal) -> set[Decimal]:
    """The values that a plain number may show: itself, fifteen digits of it, eleven characters of it."""
    if not value:
        return {value}
    unit = Decimal(1).scaleb(value.adjusted() - DIGITS_KEPT + 1)
    found = {value, _rounded(value, 10)}  # the latter: LibreOffice's standard format
    found |= {value.quantize(unit, rounding, _EXACT) for rounding in (ROUND_HALF_UP, ROUND_DOWN)}
    if abs(value) < GENERAL_BELOW:
        found.add(_rounded(value, max(0, GENERAL_CHARACTERS - 1 - max(1, value.adjusted() + 1))))
    return found


def _significant(value: Decimal, new: _Number) -> bool:
    if not value:
        return not new.value
    return _rounded(value, new.digits - 1 - value.adjusted()) == new.value


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), context=_EXACT)


@lru_cache(maxsize=1024)
def _number(text: str, mark: str) -> _Number | None:
    """The number that `text` is where `mark` is the decimal mark; None if it is none there."""
    if len(text) > NUMBER_LENGTH_MAX:
        return None
    body, sign, negative = _without_sign(text.translate(_SPACES).strip())
    match = _SHAPES[mark].fullmatch(body)
    if match is None:
        return None
    whole, grouped, indian, decimals, exponent = match.groups()
    digits, decimals = re.sub(r"\D", "", whole or grouped or indian or ""), decimals or ""
    if not digits and not decimals:
        return None
    value = Decimal(f"{'-' if negative else ''}{digits or 0}.{decimals or 0}E{exponent or 0}")
    if abs(value.adjusted()) > _EXPONENT_MAX:
        return None
    significant = len(digits) + len(decimals) if exponent else 0
    return _Number(value, sign, len(decimals), significant, bool(grouped or indian), bool(indian))


def _without_sign(text: str) -> tuple[str, str, bool]:
    """The digits alone; the sign of a percentage or currency; whether the number is negative."""
    negative, sign = False, ""
    if text.startswith("(") and text.endswith(")"):
        text, negative = text[1:-1].strip(), True
    for _ in range(2):  # `-$5` and `$-5`
        if text[:1] in {"-", "+"}:
            negative, text = negative != (text[0] == "-"), text[1:].strip()
        if text[:1] and unicodedata.category(text[0]) == "Sc" and not sign:
            sign, text = text[0], text[1:].strip()
    if text[-1:] and (text[-1] == "%" or unicodedata.category(text[-1]) == "Sc") and not sign:
        sign, text = text[-1], text[:-1].strip()
    return text, sign, negative


_TIME: Final = re.compile(
    r"(?:^|[ T,]+)(\d{1,4}):(\d\d)(?::(\d\d)(?:[.,]\d{1,9})?)?(?:\s*([ap])\.?\s?m\.?)?$",
    re.ASCII | re.IGNORECASE,
)
_MINUTES: Final = re.compile(r"(\d\d):(\d\d)[.,]\d", re.ASCII)
_NUMERIC_DAY: Final = re.compile(
    r"(\d{1,4})\s?([./\- ])\s?(\d{1,2}|\d{4})(?:\s?\2\s?(\d{1,4}))?\.?", re.ASCII
)
_NAMED_DAY: Final = re.compile(
    r"(?:(\d{1,2})[ .\-/]*)?([^\W\d_]{3,})\.?(?:[ .\-/,]*(\d{1,2}))??(?:[ .\-/,]*(\d{4}|\d{2}))?"
)
_PARTIAL: Final = re.compile(r"\d{1,2}[./-]\d{1,2}\.?", re.ASCII)
_NAMED_OR_WHOLE: Final = re.compile(r"[^\W\d_]{3}|\d{4}")


class _Moment(NamedTuple):
    """A date, a time, or both; None for what a text does not say."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None


def _dates_respelt(before: str, after: str) -> bool:
    """Whether both are dates or times, and `after` is how a spreadsheet in some locale writes `before`."""
    old, new = before.strip(), after.strip()
    if len(old) > DATE_LENGTH_MAX or len(new) > DATE_LENGTH_MAX or not any(map(str.isdigit, new)):
        return False
    if match := _MINUTES.fullmatch(new):  # Excel's `mm:ss.0`, for a time with a fraction of a second
        return f":{match.group(1)}:{match.group(2)}." in old.replace(",", ".")
    if _PARTIAL.fullmatch(old) and not _NAMED_OR_WHOLE.search(new):
        return False
    loose = isinstance(before, DateCell | DurationCell)
    return any(
        _same_day(one, two, loose=loose) and _same_clock(one, two, loose=loose)
        for day_first in (True, False)
        for one in _moments(old, day_first=day_first)
        for two in _moments(new, day_first=day_first)
    )


@lru_cache(maxsize=2048)
def _moments(text: str, *, day_first: bool) -> tuple[_Moment, ...]:
    """Everything that `text` may say where dates are written so; () if it is not a date or time."""
    match = _TIME.search(text) if len(text) <= DATE_LENGTH_MAX else None
    clock = _clock(match) if match else None
    if match and clock is None:
        return ()
    rest = text[: match.start()].strip().rstrip(",") if match else text
    hour, minute, second = clock or (None, None, None)
    if not rest:
        return (_Moment(hour=hour, minute=minute, second=second),) if clock else ()
    return tuple(
        _Moment(_year(year), month, day, hour, minute, second)
        for year, month, day in _days(rest, day_first=day_first)
        if 1 <= month <= 12 and (day is None or 1 <= day <= 31)
    )


def _clock(match: re.Match[str]) -> tuple[int, int, int | None] | None:
    hour, minute, second = int(match.group(1)), int(match.group(2)), match.group(3)
    if match.group(4):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if match.group(4).lower() == "p" else 0)
    if minute > 59 or (second is not None and int(second) > 59):
        return None
    return hour, minute, None if second is None else int(second)


def _days(text: str, *, day_first: bool) -> Iterator[tuple[str | None, int, int | None]]:
    """(year, month, day) in every shape that fits."""
    if match := _NUMERIC_DAY.fullmatch(text):
        one, _, two, three = match.groups()
        if len(one) > 2 and len(two) <= 2 and len(three or "") <= 2:
            yield one, int(two), int(three) if three else None
        elif len(two) > 2 and three is None:
            yield two, int(one), None
        elif len(one) <= 2 and len(two) <= 2:
            day, month = (one, two) if day_first else (two, one)
            yield three, int(month), int(day)
    elif match := _NAMED_DAY.fullmatch(text):
        before, name, behind, year = match.groups()
        month = _months().get(folded_name(name), 0)
        if not (before and behind):
            yield year, month, int(before or behind or 0) or None
        if not before and year and not behind and len(year) == 2:
            yield None, month, int(year)  # `Mar-26` may be a day


def _year(text: str | None) -> int | None:
    if text is None or len(text) > 2:
        return None if text is None else int(text)
    return int(text) + (2000 if int(text) < 30 else 1900)  # as Excel does


@cache
def _months() -> dict[str, int]:
    """Months by their names, whole or from the third letter on, in the languages that are known."""
    return {name: number for each in reversed(LOCALES) for name, number in month_numbers(each).items()}


def _same_day(old: _Moment, new: _Moment, *, loose: bool) -> bool:
    """Whether `new` says the day that `old` says, less what is left out. loose: any format's choice."""
    if old.month is None or new.month is None:
        return old.month == new.month or loose
    days = old.day == new.day or {old.day, new.day} <= {None, 1} or (loose and new.day is None)
    years = old.year in (new.year, None) or (loose and new.year is None)
    return old.month == new.month and days and years


def _same_clock(old: _Moment, new: _Moment, *, loose: bool) -> bool:
    if new.hour is None:
        return loose or not (old.hour or old.minute or old.second)
    hours = {old.hour or 0, (old.hour or 0) % 24} if loose else {old.hour or 0}
    if new.hour not in hours or new.minute != (old.minute or 0):
        return False
    return new.second is None or new.second == (old.second or 0)
