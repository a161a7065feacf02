"""A cell → the text to send, or what is wrong with it: one small class per value type.

Every reader is total: any cell gives a `str` or a `Fault`, never an exception. Readers get cells that are not
empty; texts arrive trimmed. Dates and date-times have a module of their own (`dates.py`).
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Final

from importer.sheets.numbers import is_shown, is_unseen, sections
from importer.sheets.rows import BooleanCell, DateCell, DurationCell, NumberCell
from importer.text import quoted

EXPONENT_MAX: Final = 30
"""Larger exponents are typing errors, and `1e999999999` written out would fill the memory."""

BLANKS: Final = "".join(chr(code) for code in range(0x3001) if chr(code).isspace()) + "\u200b\u2060\ufeff"
"""Trimmed from both ends: white space of every kind, and the marks of no width that web pages leave."""

LOST: Final = "\ufffd"
"""What programs put for a character that they could not read."""
_UNSENDABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a value (or, as a notice, what will arrive other than it looks).

    kind: a stable slug for grouping. message: a full sentence that shows the value. remedy: what to do.
    """

    kind: str
    message: str
    remedy: str = ""


class ValueType(ABC):
    """How the cells of one field are read."""

    __slots__ = ()

    @property
    @abstractmethod
    def name(self) -> str:
        """The type as the mapping calls it."""

    @abstractmethod
    def read(self, cell: str) -> str | Fault:
        """The text to send for a cell that is not empty."""

    def notice(self, cell: str) -> Fault | None:  # noqa: B027 - most types have none
        """What will arrive other than it looks, of a typed cell or a text with �, if `read` accepts it. What
        a column of plain texts shows as a whole is seen in `checking/columns.py`."""


def trimmed(cell: str) -> str:
    """A plain text without the blanks around it; a typed cell as it is."""
    return cell.strip(BLANKS) if type(cell) is str else cell


def unsendable(text: str) -> Fault | None:
    """Control characters and halves of characters: unseen in the sheet, refused by JSON or the tenant."""
    if text.isprintable():
        return None
    found = _UNSENDABLE.search(text)
    if found is None:
        return None
    code = ord(found.group())
    return Fault(
        "control-character",
        f"{quoted(text)} holds a character that cannot be sent (U+{code:04X}).",
        "Delete the invisible character, or type the text again. If many rows have it, the file was probably"
        " saved in another encoding than it was read in.",
    )


@dataclass(frozen=True, slots=True)
class TextValue(ValueType):
    """Text exactly as it is. `max_length` counts characters as a person does."""

    max_length: int | None = None
    name: str = "text"

    def read(self, cell: str) -> str | Fault:
        text = cell if type(cell) is str else str(cell)
        fault = unsendable(text)
        if fault is not None:
            return fault
        if self.max_length is not None and len(text) > self.max_length:
            return Fault(
                "too-long",
                f"{quoted(text)} has {len(text)} characters; at most {self.max_length} are allowed here.",
                "Shorten it.",
            )
        return text

    def notice(self, cell: str) -> Fault | None:
        if isinstance(cell, NumberCell):
            return None if is_shown(cell) else notice_of_number(cell) or _shown_otherwise(cell)
        if isinstance(cell, DurationCell) and not _HOURS_AND_MINUTES.search(cell.code):
            return Fault(
                "number-format",
                f"A duration in a text field is sent as {quoted(str(cell))}, whatever its format.",
                "If the field needs what Excel shows, put it into a column as text.",
            )
        if isinstance(cell, DateCell):
            return Fault(
                "date-as-text",
                f"A date in a text field is sent as {quoted(str(cell))}, whatever its format in the sheet.",
                "Give the field `type: date` or `type: datetime` if it is one in LeadSquared.",
            )
        if LOST in cell:
            return Fault(
                "lost-characters",
                f"{quoted(str(cell))} holds the sign � for characters that were lost before.",
                "Export the sheet again from where it came from.",
            )
        return None


_HOURS_AND_MINUTES: Final = re.compile(r"\[h+\]:m", re.IGNORECASE)
_CURRENCY: Final = re.compile(r"[$€£¥₹₩₽₺₪]|\b(?:USD|EUR|GBP|INR|CHF|AED|SGD|Rs)\b")
_CURRENCY_CODE: Final = re.compile(r"\[\$[^\]-]")
"""`[$€-407]` is a currency; `[$-407]` only names a language."""
_GENERAL_DIGITS_MAX: Final = 11
"""More characters than this the General format rounds, whatever the width of the column."""


@lru_cache(maxsize=512)
def _display(code: str, *, negative: bool) -> tuple[str, int | None]:
    """How a number format shows a number (ECMA-376, part 1, 18.8.31): `percent`, `currency`, `shortened` or
    plainly (""), and its digits after the mark, None for General."""
    parts = sections(code)
    pieces = parts[1] if negative and len(parts) > 1 else parts[0]
    bare = "".join(piece for piece in pieces if piece[0] not in '"\\_*[')
    if "%" in bare:
        return "percent", None
    texts = "".join(piece for piece in pieces if piece[0] != "[")
    if _CURRENCY.search(texts) or any(map(_CURRENCY_CODE.match, pieces)):
        return "currency", None
    if bare.strip(" +-").lower() in {"", "general", "@"}:
        return "", None
    if re.search(r"[eE][+-]|[0#?],+(?![0#?,])", bare):
        return "shortened", None
    mark = re.search(r"\.([0#?]*)", bare)
    return "", None if "/" in bare else len(mark.group(1)) if mark else 0


def notice_of_number(cell: NumberCell) -> Fault | None:
    """Percentages, currencies and rounded displays: the number is sent, not what Excel makes of it."""
    text = cell.plain
    how, places = _display(cell.code, negative=text.startswith("-"))
    if how == "percent":
        return Fault(
            "shown-as-percent",
            f"In Excel it is {(Decimal(text) * 100).normalize():f} %; {text} is sent.",
            "If LeadSquared is to store the percentage, put it into a column without the percent format.",
        )
    if how == "currency":
        return Fault(
            "shown-with-currency",
            f"Excel shows a currency; {text} is sent.",
            "Map the currency from a column of its own.",
        )
    fits = len(text) <= _GENERAL_DIGITS_MAX if places is None else False
    if not how and (fits or len(text.partition(".")[2]) <= (places or 0)):
        return None
    return Fault(
        "shown-rounded",
        f"Excel shows it {how or 'rounded'}; {text} is sent.",
        "Round it in the sheet if that is wrong.",
    )


def _shown_otherwise(cell: NumberCell) -> Fault | None:
    """A format (fractions, conditions) that shows a number as this program cannot. Of a hidden number the
    sheet itself says so."""
    if is_unseen(cell):
        return None
    return Fault(
        "number-format",
        f"The cell's number format shows {quoted(str(cell))} in another way; the number is sent.",
        "If the field needs what Excel shows, put it into a column as text.",
    )


_BY_THREE: Final = r"[1-9]\d{0,2}(?P<separator>[MARKS])\d{3}(?:(?P=separator)\d{3})*"
_THREE_ENGLISH: Final = _BY_THREE.replace("MARKS", ",' ")
_THREE_OTHER: Final = _BY_THREE.replace("MARKS", ".' ")
_INDIAN: Final = r"[1-9]\d?(?:,\d{2})+,\d{3}"
_GROUPED: Final = {
    mark: re.compile(rf"([+-]?)({groups})(?:[{mark}](\d*))?", re.ASCII)
    for mark, groups in {".": f"{_THREE_ENGLISH}|{_INDIAN}", ",": _THREE_OTHER}.items()
}
_PLAIN: Final = {mark: re.compile(rf"([+-]?)(\d*)(?:[{mark}](\d*))?", re.ASCII) for mark in ".,"}
_ONE_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_POINT_GROUPS: Final = re.compile(r"[+-]?[1-9]\d{0,2}(?:\.\d{3})+", re.ASCII)
"""1.000 is a thousand in German, Spanish or Indonesian sheets, and one elsewhere."""
_CURRENCY_WORDS: Final = (
    r"Rs\.?|Re\.?|INR|US\$|USD|EUR|GBP|AED|SGD|S\$|A\$|AUD|CAD|C\$|CHF|CNY|RMB|JPY|MYR|RM|IDR|Rp\.?|PHP|THB"
    r"|VND|LKR|NPR|BDT|Tk\.?|PKR|QAR|SAR|SR|OMR|KWD|BHD|DHS?\.?|ZAR|R\$|BRL|MXN|KES|KSH|NGN|EGP|TRY|PLN|SEK"
    r"|NOK|DKK|HKD|HK\$|NZD|NZ\$|KRW|TWD|ILS|RUB|kr\.?|Kč|CZK|Fr\.|SFr\.?|zł|Ft|HUF|RON|lei|UAH|ARS|CLP|COP"
    r"|LBP|JOD|GHS|TZS|UGX|MMK|KZT"
)
_MONEY: Final = re.compile(
    rf"(?P<sign>[+-]?) ?(?P<before>{_CURRENCY_WORDS}|[^\w\s.,'+-])? ?(?P<number>[+-]?[\d.,][\d.,' ]*?)"
    rf"(?P<cents>[.,][-–—]{{1,2}})? ?(?P<after>{_CURRENCY_WORDS}|[^\w\s.,'+-])?(?:/-|/=)?",
    re.IGNORECASE,
)
_POINT_CURRENCIES: Final = frozenset("₹£")
_SAME_CURRENCY: Final = {
    "RS": "₹", "RE": "₹", "INR": "₹", "₨": "₹", "US$": "$", "USD": "$", "EUR": "€", "GBP": "£", "DHS": "AED",
    "DH": "AED", "KČ": "CZK", "ZŁ": "PLN", "FT": "HUF", "FR": "CHF", "SFR": "CHF",
}  # fmt: skip
_EXPONENT: Final = re.compile(r"[+-]?(?=[.,]?\d)\d*(?:([.,])\d*)?[eE]([+-]?\d{1,4})", re.ASCII)
_EXCEL_EXPONENT: Final = re.compile(r"-?\d(?:[.,]\d+)?E[+-]\d{2,3}", re.ASCII)
_SAME_SIGN: Final = str.maketrans(
    {"−": "-", "\xa0": " ", "\u202f": " ", "\u2009": " ", "’": "'", "٫": ".", "\u200b": ""}
)
_NOT_A_NUMBER: Final = "not-a-number"


def _plain_signs(text: str) -> str:
    """Digits of every script as 0 to 9 (they mean the same), and typographic minus, space and apostrophe."""
    if text.isascii():
        return text
    return "".join(c if c.isascii() else str(unicodedata.decimal(c, c)) for c in text.translate(_SAME_SIGN))


def _decimal_text(sign: str, whole: str, fraction: str | None) -> str | None:
    """Digits as the API wants them; None if there is no digit at all."""
    if not whole and not fraction:
        return None
    head = f"-{whole or '0'}" if sign == "-" else whole or "0"
    return f"{head}.{fraction}" if fraction else head


@dataclass(frozen=True, slots=True)
class NumberValue(ValueType):
    """A number as in the sheet, with the decimal mark `.`; leading zeros and the digits after the mark stay.

    decimal: the sheet's decimal mark; None if the mapping does not say (then `.`, and a lone `1,234` is a
    fault, because it may be either number). Thousands separators (`,` or `.`, space, apostrophe, in groups of
    three, and India's `12,34,567`) are taken out. `1e5` is written out; `1.23457E+11`, how Excel cuts
    long numbers short, is a fault: its digits are lost. Percent signs, NaN, infinity are faults; currencies
    are, unless `currency` allows them beside the number.
    """

    decimal: str | None = None
    whole: bool = False
    currency: bool = False

    @property
    def name(self) -> str:
        return "integer" if self.whole else "number"

    def read(self, cell: str) -> str | Fault:
        if self.currency and type(cell) is str and (bare := without_currency(cell)) is not None:
            # Rupees and pounds are never written with a comma before decimals.
            if self.decimal is None and (cell.endswith("/-") or currency_of(cell) in _POINT_CURRENCIES):
                return replace(self, decimal=".", currency=False).read(bare)
            cell = bare
        found = self._number(cell)
        if not self.whole or isinstance(found, Fault) or found.isdecimal():
            return found
        digits, _, fraction = found.partition(".")
        if fraction.strip("0"):
            exact = found if isinstance(cell, NumberCell) else str(cell)  # what is shown may be rounded
            return Fault("not-whole", f"{quoted(exact)} is not a whole number.", "Write it without decimals.")
        return digits

    def notice(self, cell: str) -> Fault | None:
        return notice_of_number(cell) if isinstance(cell, NumberCell) else None

    def _number(self, cell: str) -> str | Fault:
        mark = self.decimal or "."
        typed = type(cell) is not str
        if typed:
            if not isinstance(cell, NumberCell):
                return _other_than_number(cell)
            cell, mark = cell.plain, "."
        text = cell if cell.isascii() else _plain_signs(cell)
        plain = _PLAIN[mark].fullmatch(text)
        if plain is not None:
            digits = _decimal_text(*plain.groups())
            if digits is not None:
                open_mark = self.whole and self.decimal is None and not typed
                return self._either(cell, text) if open_mark and _POINT_GROUPS.fullmatch(text) else digits
        grouped = _GROUPED[mark].fullmatch(text)
        if grouped is None:
            return self._exponent(cell, text, mark)
        if self.decimal is None and _ONE_COMMA.fullmatch(text):
            return self._either(cell, text)
        sign, whole, _separator, fraction = grouped.groups()
        return _decimal_text(sign, re.sub(r"\D", "", whole), fraction) or self._not_a_number(cell, text, mark)

    def _either(self, cell: str, text: str) -> Fault:
        """A mark that may group thousands or stand before decimals."""
        meant, other = re.sub("[,.]", "", text), text.replace(",", ".")
        return Fault(
            "ambiguous-number",
            f"{quoted(cell)} can be {meant} or {other}.",
            'Set the decimal mark in the mapping: decimal: "." or decimal: ",".',
        )

    def _exponent(self, cell: str, text: str, mark: str) -> str | Fault:
        if _EXCEL_EXPONENT.fullmatch(text):
            return Fault(
                "shortened-number",
                f"{quoted(cell)} is how Excel cuts a long number short; the other digits are lost.",
                "Format the column as Number (or Text) in Excel and export it again.",
            )
        found = _EXPONENT.fullmatch(text)
        if found is None or (found.group(1) or mark) != mark or abs(int(found.group(2))) > EXPONENT_MAX:
            return self._not_a_number(cell, text, mark)
        return format(Decimal(text.replace(",", ".").removeprefix("+")), "f")

    def _not_a_number(self, cell: str, text: str, mark: str) -> Fault:
        shown = quoted(cell)
        if "%" in text:
            return Fault(
                "percent",
                f"{shown} has a percent sign, so 25 % could mean 25 or 0.25.",
                "Write the number as LeadSquared is to store it, without the sign.",
            )
        if not self.currency and _money(text) is not None:
            return Fault(
                "currency",
                f"{shown} holds a currency beside the number.",
                "Set `currency: true` for the field in the mapping, or write the number alone.",
            )
        other = "," if mark == "." else "."
        has_digits = any(c.isdecimal() for c in text)
        if has_digits and any(patterns[other].fullmatch(text) for patterns in (_PLAIN, _GROUPED)):
            return Fault(
                "decimal-mark",
                f'{shown} is not a number with the decimal mark "{mark}".',
                f'If the column\'s decimal mark is "{other}", set it in the mapping: decimal: "{other}".',
            )
        what = "a whole number" if self.whole else "a number"
        return Fault(
            _NOT_A_NUMBER, f"{shown} is not {what}.", f"Write digits only, such as {self._example(mark)}."
        )

    def _example(self, mark: str) -> str:
        return "1250" if self.whole else f"1250{mark}50"


def _money(cell: str) -> re.Match[str] | None:
    """The parts of an amount with a currency; None if there is no currency, or something else beside it."""
    found = _MONEY.fullmatch(_plain_signs(cell))
    if found is None or (found["sign"] and found["number"][:1] in {"+", "-"}):
        return None
    signs = [part for part in (found["before"], found["after"]) if part]
    known = all(part[:1].isalpha() or unicodedata.category(part) == "Sc" for part in signs)
    return found if known and (signs or found["cents"] or cell.endswith(("/-", "/="))) else None


def without_currency(cell: str) -> str | None:
    """`₹ 12,75,000`, `Rs. 1,250/-`, `EUR 5`, `5 $` as the number alone; None for anything else."""
    found = _money(cell)
    return None if found is None else found["sign"] + found["number"].strip()


def currency_of(cell: str) -> str | None:
    """The currency of an amount, `Rs.`, `INR` and `₹` alike; None if the cell has none."""
    found = _money(cell)
    sign = None if found is None else found["before"] or found["after"]
    if not sign:
        return None
    plain = sign.upper().rstrip(".")
    return _SAME_CURRENCY.get(plain, plain)


def _other_than_number(cell: str) -> Fault:
    what = {DateCell: "a date", DurationCell: "a duration", BooleanCell: "TRUE or FALSE"}.get(
        type(cell), "text"
    )
    return Fault(
        _NOT_A_NUMBER,
        f"{quoted(str(cell))} is {what}, not a number.",
        "Put a number into the cell, or map another column.",
    )


_BOOLEAN_WORDS: Final = dict.fromkeys(("true", "yes", "y", "1"), True) | dict.fromkeys(
    ("false", "no", "n", "0"), False
)


@dataclass(frozen=True, slots=True)
class BooleanValue(ValueType):
    """Yes or no, in the words and figures that sheets use; `send` holds what is sent for either."""

    send: tuple[str, str] = ("true", "false")
    name: str = "boolean"

    def read(self, cell: str) -> str | Fault:
        answer = _BOOLEAN_WORDS.get(cell.casefold())
        if answer is None:
            return Fault(
                "not-yes-or-no",
                f"{quoted(str(cell))} is neither yes nor no.",
                "Write yes, no, true, false, 1 or 0; or define in the mapping what it means:"
                " values: {…: true, …: false}.",
            )
        return self.send[0] if answer else self.send[1]


_GUID: Final = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class IdValue(ValueType):
    """A GUID, with or without braces in the sheet, sent without them and otherwise as it is."""

    name: str = "id"

    def read(self, cell: str) -> str | Fault:
        text = str(cell)
        if text[:1] == "{" and text[-1:] == "}":
            text = text[1:-1].strip(BLANKS)
        if _GUID.fullmatch(text):
            return text
        return Fault(
            "not-an-id",
            f"{quoted(str(cell))} is not a LeadSquared Id (32 digits and letters a to f, in five groups).",
            "Use the column that holds the Ids, or let codes and e-mail addresses be looked up (`lookup:`).",
        )


EVENT_CODE_MAX: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class EventValue(ValueType):
    """An activity type's code: a whole number from 1."""

    name: str = "integer"

    def read(self, cell: str) -> str | Fault:
        digits = NumberValue(whole=True).read(cell)
        if isinstance(digits, str) and len(digits) < 20 and 0 < int(digits) <= EVENT_CODE_MAX:
            return str(int(digits))
        return Fault(
            "not-an-activity-type",
            f"{quoted(str(cell))} is not the code of an activity type, such as 10001.",
            "LeadSquared lists them in Settings > Accounts Customization; `values` turns names into codes.",
        )


@dataclass(frozen=True, slots=True)
class ListValue(ValueType):
    """Several values in one cell (multi-select): each item trimmed, empty ones left out, put together again
    with `join`. What the items may be is the field's `one_of` or `values`."""

    separator: str = ";"
    join: str = ";"
    name: str = "list"

    def items(self, cell: str) -> list[str]:
        """The items of a cell, in its order."""
        return [item for part in str(cell).split(self.separator) if (item := part.strip(BLANKS))]

    def read(self, cell: str) -> str | Fault:
        return unsendable(cell) or self.join.join(self.items(cell))
