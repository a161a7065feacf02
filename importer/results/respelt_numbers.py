"""How a spreadsheet writes a number that it read from a CSV, or that a workbook held. Pure.

Facts (Excel's documented behaviour and what it is seen to do): a plain number gets the format General and is
written with at most eleven characters, from 1E+11 on as `1.23457E+11`; digits beyond the fifteenth are zeros;
leading zeros, a plus sign and zeros after the decimal mark go. `1e5` becomes `1.00E+05`. Percentages and
amounts of money keep their sign and get no decimals or two. LibreOffice writes up to fifteen digits.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Final, NamedTuple

from importer.sheets.rows import NumberCell

GENERAL_CHARACTERS: Final = 11
GENERAL_BELOW: Final = Decimal(10) ** 11
GENERAL_FROM: Final = Decimal(10) ** -4
DIGITS_KEPT: Final = 15
NUMBER_LENGTH_MAX: Final = 60
_EXPONENT_MAX: Final = 308

_EXACT: Final = Context(prec=400, rounding=ROUND_HALF_UP)
_SPACES: Final = dict.fromkeys(map(ord, "\u00a0\u202f\u2009"), " ")
_MARKS: Final = (".", ",")
_WRITTEN: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:[.,]\d*[1-9])?", re.ASCII)
_WRITTEN_EXPONENT: Final = re.compile(r"-?\d(?:[.,]\d+)?E[+-]\d{2,3}", re.ASCII)


class Number(NamedTuple):
    """A number as some locale reads it. sign: `%`, a currency's, or "". places: decimals, as written.
    digits: significant ones of an exponent's mantissa, 0 without an exponent. indian: grouped as `1,25,000`,
    which no other number is written like."""

    value: Decimal
    sign: str
    places: int
    digits: int
    grouped: bool
    indian: bool


def numbers_respelt(before: str, after: str) -> bool:
    """Whether both are numbers, and `after` is how a spreadsheet writes `before`."""
    if len(before) > NUMBER_LENGTH_MAX or len(after) > NUMBER_LENGTH_MAX:
        return False
    for mark in _MARKS:
        old, new = _read(before, mark), _read(after, mark)
        if old is not None and new is not None and old.sign == new.sign and _written(old, new, after):
            return True
    return False


def number_written(before: NumberCell, after: str) -> bool:
    """Whether `after` is the workbook's number as its own format shows it, rounded as it may be."""
    value = Decimal(repr(before.value))
    plain = before.code in ("", "General")
    for mark in _MARKS:
        new = None if plain else _read(after, mark)
        if new is None:
            continue
        shown = value * 100 if new.sign == "%" else value
        if new.value == shown or (new.digits and _significant(shown, new)):
            return True
        if new.places == _places_of(before.code) and _rounded(shown, new.places) == new.value:
            return True
    return False


def number_kept(before: str, after: str) -> bool:
    """Whether both are the same number in some locale, and no leading zeros went."""
    if len(before) > NUMBER_LENGTH_MAX or len(after) > NUMBER_LENGTH_MAX or re.match(r"\s*[+-]?0\d", before):
        return False
    readings = ((_read(before, mark), _read(after, mark)) for mark in _MARKS)
    return any(one is not None and two is not None and one.value == two.value for one, two in readings)


def _places_of(code: str) -> int:
    """The decimals that a number format shows."""
    match = re.search(r"\.([0#?]+)", code.split(";", maxsplit=1)[0])
    return len(match.group(1)) if match else 0


def _written(old: Number, new: Number, after: str) -> bool:
    text = after.strip()
    if new.digits:
        size = abs(old.value)
        odd = old.digits or size >= GENERAL_BELOW or 0 < size < GENERAL_FROM
        return bool(odd and _WRITTEN_EXPONENT.fullmatch(text)) and _significant(old.value, new)
    if old.sign:
        return new.places <= 2 and _rounded(old.value, new.places) == new.value
    if new.grouped:
        known = old.grouped or new.indian
        return known and new.places in (0, 2) and _rounded(old.value, new.places) == new.value
    return bool(_WRITTEN.fullmatch(text)) and new.value in set(_shown(old.value))


def _shown(value: Decimal) -> Iterator[Decimal]:
    """The values that a plain number may show: itself, fifteen digits of it, eleven characters of it."""
    yield value
    if not value:
        return
    unit = value.adjusted() - DIGITS_KEPT + 1
    for rounding in (ROUND_HALF_UP, ROUND_DOWN):
        yield value.quantize(Decimal(1).scaleb(unit), rounding=rounding, context=_EXACT)
    if abs(value) < GENERAL_BELOW:
        whole = max(1, value.adjusted() + 1)
        yield _rounded(value, max(0, GENERAL_CHARACTERS - 1 - whole))
    yield _rounded(value, 10)  # LibreOffice's standard format


def _significant(value: Decimal, new: Number) -> bool:
    if not value:
        return not new.value
    unit = Decimal(1).scaleb(value.adjusted() - new.digits + 1)
    return value.quantize(unit, context=_EXACT) == new.value


def _rounded(value: Decimal, places: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-places), context=_EXACT)


@lru_cache(maxsize=1024)
def _read(text: str, mark: str) -> Number | None:
    """The number that `text` is where `mark` is the decimal mark; None if it is none there."""
    body, sign, negative = _without_sign(text.translate(_SPACES).strip())
    match = _shape(mark).fullmatch(body)
    if match is None:
        return None
    whole, grouped, indian, decimals, exponent = match.groups()
    digits = re.sub(r"\D", "", whole or grouped or indian or "")
    decimals = decimals or ""
    if not digits and not decimals:
        return None
    value = Decimal(f"{'-' if negative else ''}{digits or 0}.{decimals or 0}E{exponent or 0}")
    if abs(value.adjusted()) > _EXPONENT_MAX:
        return None
    significant = len(digits) + len(decimals) if exponent else 0
    return Number(value, sign, len(decimals), significant, bool(grouped or indian), bool(indian))


@lru_cache(maxsize=2)
def _shape(mark: str) -> re.Pattern[str]:
    group = re.escape(",'’ " if mark == "." else ".'’ ")
    indian = r"|(\d{1,2}(?:,\d\d)+,\d{3})" if mark == "." else "|(?!)()"
    return re.compile(
        rf"(?:(\d+)|(\d{{1,3}}(?:[{group}]\d{{3}})+){indian})?"
        rf"(?:{re.escape(mark)}(\d*))?(?:[eE]([+-]?\d{{1,3}}))?",
        re.ASCII,
    )


def _without_sign(text: str) -> tuple[str, str, bool]:
    """The digits alone; the sign of a percentage or currency; whether the number is negative."""
    negative = False
    if text.startswith("(") and text.endswith(")"):
        text, negative = text[1:-1].strip(), True
    sign = ""
    for _ in range(2):  # `-$5` and `$-5`
        if text[:1] in {"-", "+"}:
            negative, text = negative != (text[0] == "-"), text[1:].strip()
        if text[:1] and unicodedata.category(text[0]) == "Sc" and not sign:
            sign, text = text[0], text[1:].strip()
    if text[-1:] and (text[-1] == "%" or unicodedata.category(text[-1]) == "Sc") and not sign:
        sign, text = text[-1], text[:-1].strip()
    return text, sign, negative
