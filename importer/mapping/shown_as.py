"""What Excel shows for a number that is sent plainly: percentages, currencies, rounded displays."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

_LITERALS: Final = re.compile(r'"[^"]*"|\\.|_.|\*.')
_BRACKETS: Final = re.compile(r"\[(\$[^\]]*|[^\]]*)\]")
_CURRENCY: Final = re.compile(r"[$€£¥₹₩₽₺₪]|\b(?:USD|EUR|GBP|INR|CHF|AED|SGD|Rs)\b")
_CURRENCY_CODE: Final = re.compile(r"\[\$[^\]-]")
"""`[$€-407]` is a currency; `[$-407]` only names a language."""
_GENERAL_DIGITS_MAX: Final = 11
"""More characters than this the General format rounds, whatever the width of the column."""


class _Display(NamedTuple):
    """decimals: digits after the mark, None for General."""

    percent: bool
    currency: bool
    scientific: bool
    thousands: int
    decimals: int | None


@lru_cache(maxsize=512)
def _display(code: str, *, negative: bool) -> _Display:
    """How the section of a number format that applies shows its number (ECMA-376, part 1, 18.8.31)."""
    sections = re.split(r';(?=(?:[^"]*"[^"]*")*[^"]*$)', code)
    section = sections[1] if negative and len(sections) > 1 else sections[0]
    currency = bool(_CURRENCY_CODE.search(section) or _CURRENCY.search(_BRACKETS.sub("", section)))
    bare = _BRACKETS.sub("", _LITERALS.sub("", section))
    if not bare.strip() or bare.strip().lower() in {"general", "@"}:
        return _Display(percent="%" in bare, currency=currency, scientific=False, thousands=0, decimals=None)
    scaled = re.search(r"[0#?](,+)(?![0#?,])", bare)
    mark = re.search(r"\.([0#?]*)", bare)
    return _Display(
        percent="%" in bare,
        currency=currency,
        scientific=bool(re.search(r"[eE][+-]", bare)),
        thousands=len(scaled.group(1)) if scaled else 0,
        decimals=None if "/" in bare else len(mark.group(1)) if mark else 0,
    )


def notice_of_format(text: str, code: str) -> tuple[str, str, str] | None:
    """(kind, message, remedy) if what Excel shows for the number `text` is not what is sent; else None."""
    display = _display(code, negative=text.startswith("-"))
    decimals = len(text.partition(".")[2])
    if display.percent:
        return (
            "shown-as-percent",
            f"In Excel it is {_percent(text)} %; {text} is sent.",
            "If LeadSquared is to store the percentage, put it into a column without the percent format.",
        )
    if display.currency:
        return (
            "shown-with-currency",
            f"Excel shows a currency; {text} is sent.",
            "Map the currency from a column of its own.",
        )
    if display.thousands or display.scientific:
        return (
            "shown-rounded",
            f"Excel shows it shortened; {text} is sent.",
            "Round it in the sheet if that is wrong.",
        )
    if display.decimals is None:
        rounded = decimals > 0 and len(text) > _GENERAL_DIGITS_MAX
    else:
        rounded = decimals > display.decimals
    if rounded:
        return (
            "shown-rounded",
            f"Excel shows it rounded; {text} is sent.",
            "Round it in the sheet if that is wrong.",
        )
    return None


def _percent(text: str) -> str:
    """The number times a hundred, by moving the mark."""
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, _, fraction = digits.partition(".")
    fraction = fraction.ljust(2, "0")
    moved = (whole + fraction[:2]).lstrip("0") or "0"
    rest = fraction[2:].rstrip("0")
    return f"{sign}{moved}.{rest}" if rest else f"{sign}{moved}"
