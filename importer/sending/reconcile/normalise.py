"""How the tenant may spell a value that it was sent: the normal form, and the near misses.

Retrieve gives values back trimmed, GUIDs in either case, numbers respelt (1.50 as 1.5) and date-times as
`2026-07-31 05:33:50`, `2026-07-31 05:33:50.000`, `7/31/2026 5:33:50 AM` or `/Date(1785476030000+0000)/`
(observed by integrators). `normal` removes exactly these differences, so two values with the same normal
form are *equal*. Whatever else a tenant may do to a value on its way (other case, other spaces, `1e5`,
`00123` for `123`, day and month the other way round, a stored start of what was sent) is a *near miss*: it
neither proves that the value is ours nor that it is not.

Everything here is pure, total, and takes and gives single values; `matching.py` compares activities.
"""

from __future__ import annotations

import datetime as dt
import html
import re
import unicodedata
from collections.abc import Sequence
from decimal import Context, Decimal, InvalidOperation
from enum import StrEnum
from typing import Final

from importer.activity import GUID, dotnet_time


class Comparison(StrEnum):
    """How a stored value stands to the one that was sent."""

    EQUAL = "equal"
    RESPELT = "respelt"  # near: other case, spaces, number or date spelling
    CUT_SHORT = "cut short"  # near: a stored start of what was sent
    ALTERED = "altered"
    MISSING = "missing"  # of a field: sent, and empty there
    UNEXPECTED = "unexpected"  # of a field: not sent, yet there


_PLAIN_NUMBER: Final = re.compile(r"(-?)(0|[1-9]\d{0,40})(?:\.(\d{1,40}))?", re.ASCII)
_LOOSE_NUMBER: Final = re.compile(
    r"[+-]?(?:\d{1,3}(?:,\d{3}){1,12}|\d{1,40})?(?:\.\d{0,40})?(?:e[+-]?\d{1,3})?", re.ASCII
)
_DOCUMENTED_ISO: Final = re.compile(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.0+)?)?", re.ASCII)
_DOCUMENTED_SLASHED: Final = re.compile(
    r"\d\d?/\d\d?/\d{4}(?: \d\d?:\d\d:\d\d(?:\.0+)? [ap]m)?", re.ASCII | re.IGNORECASE
)
_DOCUMENTED_DOTNET: Final = re.compile(r"/Date\(-?\d{1,11}000\+0000\)/", re.ASCII)
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:[ t](\d\d?):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?)?(?:z|[+-]00:?00)?",
    re.ASCII | re.IGNORECASE,
)
_SLASHED: Final = re.compile(
    r"(\d\d?)/(\d\d?)/(\d{4})(?:[ t](\d\d?):(\d\d)(?::(\d\d)(?:\.\d{1,9})?)?(?: ?([ap])m)?)?",
    re.ASCII | re.IGNORECASE,
)
_STARTS_OF_SPELLINGS: Final = frozenset("+-./0123456789")
_TRUTH: Final = ({"1", "true"}, {"0", "false"})
"""Yes and no come back as 1 and 0 or as true and false (observed by integrators)."""
_WORDS_AS_NUMBERS: Final = {"true": "#1", "false": "#0"}
_EXACT: Final = Context(prec=200)  # digits: more than two values of the longest spelling can need
_LONGEST_SPELLING: Final = 64  # longer values are neither numbers nor dates; bounds the work per value


def id_key(identifier: str) -> str:
    """An Id as it can be compared: without braces, in lower case, trimmed."""
    text = identifier.strip()
    match = GUID.fullmatch(text)
    return (match.group(1) if match else text).lower()


def normal(value: str) -> str:
    """The normal form of a value: equal for exactly the spellings that Retrieve is known to give back.

    A date-time at midnight and the date alone are the same: which of them a date field returns is not
    documented. Leading zeros, exponents and signs are kept: `00123` is a code, not the number 123.
    """
    text = value.replace("\r\n", "\n").replace("\r", "\n").strip()
    if not text or len(text) > _LONGEST_SPELLING:
        return text
    if len(text) in {36, 38} and (match := GUID.fullmatch(text)):
        return match.group(1).lower()
    if text[0] not in _STARTS_OF_SPELLINGS:
        return text
    if match := _PLAIN_NUMBER.fullmatch(text):
        sign, whole, decimals = match.groups()
        decimals = (decimals or "").rstrip("0")
        number = f"{whole}.{decimals}" if decimals else whole
        return number if number == "0" else sign + number
    instant = _documented_instant(text)
    return text if instant is None else _iso(instant)


def same_value(one: str, other: str) -> bool:
    """Whether two spellings are one value: equal in normal form, or the same of true and false."""
    if normal(one) == normal(other):
        return True
    both = {one.strip().lower(), other.strip().lower()}
    return any(both <= truth for truth in _TRUTH)


def fold(value: str) -> str:
    """A form that near misses share, as far as one form can: case, kinds and runs of spaces, HTML escapes,
    composed characters, number and date spellings, `true` and 1.

    What it cannot join, though `similarity` calls it a near miss: a value and its cut-off start, a number and
    its rounding, characters the tenant replaced by `?`, a date and the same with day and month swapped.
    """
    text = normal(value)
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    text = _loose_text(text)
    if not text or len(text) > _LONGEST_SPELLING:
        return text
    if text[0] not in _STARTS_OF_SPELLINGS:
        return _WORDS_AS_NUMBERS.get(text, text)
    number = _number(text)
    if number is not None:
        return f"#{_EXACT.normalize(number)}" if number else "#0"
    instants = _instants(text)
    return f"@{_iso(instants[0])}" if instants else text


def similarity(sent: str, stored: str) -> Comparison:
    """How `stored` (not empty) stands to `sent` (not empty)."""
    if sent == stored or normal(sent) == normal(stored):
        return Comparison.EQUAL
    if fold(sent) == fold(stored) or _same_instant(sent, stored) or _rounded(sent, stored):
        return Comparison.RESPELT
    if _lossy(sent, stored):
        return Comparison.RESPELT
    return Comparison.CUT_SHORT if _cut_short(sent, stored) else Comparison.ALTERED


def _iso(instant: dt.datetime) -> str:
    return instant.isoformat(" ") if instant.time() != dt.time.min else instant.date().isoformat()


def _documented_instant(text: str) -> dt.datetime | None:
    """The instant that `text` spells in one of the known ways (a fraction of zeros, or none)."""
    shapes = (_DOCUMENTED_ISO, _DOCUMENTED_SLASHED, _DOCUMENTED_DOTNET)
    if not any(shape.fullmatch(text) for shape in shapes):
        return None
    readings = _instants(text)
    return readings[0] if readings else None


def _instants(text: str) -> list[dt.datetime]:
    """Every instant that `text` may spell, the likeliest first (month before day); fractions dropped."""
    if match := _ISO.fullmatch(text):
        year, month, day, *clock = match.groups()
        readings = [_instant((year, month, day), clock)]
    elif match := _SLASHED.fullmatch(text):
        one, two, year, *clock = match.groups()
        readings = [_instant((year, one, two), clock), _instant((year, two, one), clock)]
    else:
        instant = dotnet_time(text)
        readings = [instant and instant.replace(tzinfo=None)]
    return [reading for reading in readings if reading is not None]


def _instant(date: tuple[str, str, str], clock: Sequence[str | None]) -> dt.datetime | None:
    """clock: hour, minute, second and, of a twelve-hour clock, `a` or `p`; None for what is absent."""
    hour, minute, second = (int(part or 0) for part in clock[:3])
    half = clock[3] if len(clock) > 3 else None
    if half is not None:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    year, month, day = (int(part) for part in date)
    try:
        # a spelling has no zone, and only spellings are compared here
        return dt.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001
    except ValueError:
        return None


def _same_instant(sent: str, stored: str) -> bool:
    """Whether some reading of both is one instant, or one day where a side is the day alone."""
    left, right = _instants(" ".join(sent.split())), _instants(" ".join(stored.split()))
    if set(left) & set(right):
        return True
    days_alone = [side for side in (left, right) if all(reading.time() == dt.time.min for reading in side)]
    days = [{reading.date() for reading in side} for side in (left, right)]
    return bool(days_alone) and bool(days[0] & days[1])


def _number(text: str) -> Decimal | None:
    if not text or len(text) > _LONGEST_SPELLING or not _LOOSE_NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text.replace(",", ""))
    except InvalidOperation:  # "+", ".", "e5": shaped like a number, but none
        return None


def _rounded(sent: str, stored: str) -> bool:
    """Whether `stored` is `sent` as a field of fewer digits, or of binary floating point, keeps it."""
    exact, kept = _number(sent.strip().casefold()), _number(stored.strip().casefold())
    if exact is None or kept is None:
        return False
    if float(exact) == float(kept):
        return True
    unit = Decimal((0, (1,), -_decimals(kept)))
    return _decimals(kept) < _decimals(exact) and abs(_EXACT.subtract(exact, kept)) < unit


def _decimals(number: Decimal) -> int:
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _lossy(sent: str, stored: str) -> bool:
    """Whether `stored` is `sent` with `?` where the tenant could not keep a character (UTF-16 units, as it
    counts them)."""
    if "?" not in stored:
        return False
    left, right = sent.strip().encode("utf-16-le", "replace"), stored.strip().encode("utf-16-le", "replace")
    if len(left) != len(right):
        return False
    pairs = zip(memoryview(left).cast("H"), memoryview(right).cast("H"), strict=True)
    return all(one == two or (one > 127 and two == ord("?")) for one, two in pairs)


def _cut_short(sent: str, stored: str) -> bool:
    """Whether `stored` is a start of `sent`, with or without an ellipsis, in whatever case and spaces."""
    start = _loose_text(stored)
    bare = start.rstrip(".…").rstrip()
    whole = _loose_text(sent)
    return any(part and whole.startswith(part) for part in (start, bare))


def _loose_text(value: str) -> str:
    return " ".join(html.unescape(value).casefold().split())
