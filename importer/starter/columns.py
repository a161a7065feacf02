"""What a column holds, by its values: Ids, e-mail addresses, dates, numbers, yes or no, a few words, text.

A guess counts only if (nearly) every cell can be read with it by the very code that will read it later; the
cells that cannot are named.
"""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rapidfuzz.distance import OSA

from importer.mapping.choices import folded
from importer.mapping.dates import MONTHS, DateTimeValue, DateValue, Order
from importer.mapping.values import (
    BooleanValue,
    Fault,
    IdValue,
    ListValue,
    NumberValue,
    TextValue,
    ValueType,
    currency_of,
    trimmed,
    without_currency,
)
from importer.sheets.rows import BooleanCell, DateCell, DurationCell, ErrorCell, NumberCell
from importer.starter.date_guesses import DateGuess, guess_dates, other_order, readings, time_format
from importer.starter.header import ADDRESS, Role, likeness
from importer.text import listed, quoted
from importer.wording import count

MISFITS_MAX: Final = 0.1
CHOICES_MAX: Final = 12
SPELLINGS_MAX: Final = 4 * CHOICES_MAX
CHOICE_LENGTH_MAX: Final = 40
NUMBER_DIGITS_MAX: Final = 11
SAMPLE_LENGTH: Final = 30
SAMPLES_SHOWN: Final = 3
LISTS_LEAST: Final = 0.2
LIST_LENGTH_MAX: Final = 200
CODE: Final = re.compile(r"[^\W_][\w./#-]{1,23}")
_LEADING_ZERO: Final = re.compile(r"[+-]?0\d.*")
_ACCOUNT_ROLES: Final = (Role.ACCOUNT_ID, Role.ACCOUNT_CODE, Role.ACCOUNT_NAME)

Setting = str | tuple[str, ...]


class Holds(enum.Enum):
    """What a column's cells are."""

    NOTHING = "no values"
    ID = "LeadSquared Ids"
    EMAIL = "e-mail addresses"
    DATE = "dates"
    DATETIME = "dates with times of day"
    TIME = "times of day"
    BOOLEAN = "yes or no"
    INTEGER = "whole numbers"
    NUMBER = "numbers"
    CHOICE = "a few words"
    LIST = "lists of words"
    CODE = "codes"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column holds, and how a field says so.

    settings: the keys of its block besides `column`, in order. why: sentences for the comment. doubts:
    sentences for a person, who has to decide or to look; empty ones do not count in either.
    """

    holds: Holds
    settings: dict[str, Setting] = field(default_factory=dict)
    why: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    order: Order | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "why", tuple(filter(None, self.why)))
        object.__setattr__(self, "doubts", tuple(filter(None, self.doubts)))


class Seen(NamedTuple):
    """One distinct value: the cell, how many rows have it, and the first of them."""

    cell: str
    rows: int
    first: int


class ColumnValues:
    """The first values of one column, each distinct one once, in order. filled: cells that are not empty."""

    def __init__(self, heading: str) -> None:
        self.heading = heading
        self.filled = 0
        self._seen: dict[tuple[type, str], Seen] = {}

    def __repr__(self) -> str:
        return f"<ColumnValues {self.heading!r} filled={self.filled} distinct={len(self._seen)}>"

    def add(self, row: int, cell: str) -> None:
        """The cell of the next row."""
        text = trimmed(cell)
        if text or isinstance(cell, ErrorCell):
            self.filled += 1
            key = (type(cell), str(text))
            known = self._seen.get(key, Seen(text, 0, row))
            self._seen[key] = known._replace(rows=known.rows + 1)

    def seen(self) -> list[Seen]:
        return list(self._seen.values())

    def samples(self) -> list[str]:
        """Three values for a person to recognise the column by."""
        texts = dict.fromkeys(quoted(str(each.cell), SAMPLE_LENGTH) for each in self.seen()[:SPELLINGS_MAX])
        return list(texts)[:SAMPLES_SHOWN]

    def sounds_like(self, *roles: Role) -> float:
        """How much the heading sounds like one of the roles, 0 if like none."""
        return max(likeness(self.heading, role) for role in roles)


def guess_column(values: ColumnValues, zone: str, prefer: Order | None = None) -> Guess:
    """What the column holds. zone: the time zone for date-times. prefer: which of day and month comes first
    where the column does not show it."""
    if not values.filled:
        return Guess(Holds.NOTHING)
    return (
        _plain_kinds(values)
        or _times(values)
        or _dates(values, zone, prefer)
        or _numbers(values)
        or _lists(values)
        or _choices(values)
        or _text(values)
    )


class _Fit(NamedTuple):
    """good: whether enough cells fit. doubt: the sentence about those that do not, "" if all do."""

    good: bool
    doubt: str
    share: float


def _fit(values: ColumnValues, reads: ValueType | Callable[[str], object], what: str) -> _Fit:
    """How many cells are read by a type, or are accepted by a function."""
    misfits = []
    for each in values.seen():
        fits = reads(each.cell) if callable(reads) else not isinstance(reads.read(each.cell), Fault)
        if isinstance(each.cell, ErrorCell) or not fits:
            misfits.append(each)
    rows = sum(each.rows for each in misfits)
    named = [f"{quoted(str(each.cell), SAMPLE_LENGTH)} in row {each.first}" for each in misfits[:3]]
    shown = listed(named, 3, total=len(misfits))
    doubt = f"{count(rows, 'cell')} cannot be read as {what} ({shown}); `importer check` names them."
    return _Fit(rows <= MISFITS_MAX * values.filled, doubt if rows else "", 1 - rows / values.filled)


def _plain_kinds(values: ColumnValues) -> Guess | None:
    """Ids, e-mail addresses, yes or no."""
    ids = _fit(values, IdValue(), Holds.ID.value)
    if ids.share >= 0.5:  # codes typed among Ids are exactly what `check` is for
        return Guess(Holds.ID, {"type": "id"}, doubts=(ids.doubt,))
    emails = _fit(values, ADDRESS.fullmatch, Holds.EMAIL.value)
    if emails.good:
        return Guess(Holds.EMAIL, doubts=(emails.doubt,))
    answers = _fit(values, BooleanValue(), Holds.BOOLEAN.value)
    # 0 and 1 alone may as well be numbers, which are sent as they are.
    if answers.good and any(isinstance(one.cell, BooleanCell) or one.cell.isalpha() for one in values.seen()):
        why = 'sent as true and false; for others use send: {true: "1", false: "0"}'
        return Guess(Holds.BOOLEAN, {"type": "boolean"}, (why,), (answers.doubt,))
    return None


def _times(values: ColumnValues) -> Guess | None:
    """Times of day: nothing that a field could hold alone, but part of a date-time."""
    formats: Counter[str] = Counter()
    for each in values.seen():
        if not isinstance(each.cell, DateCell):
            formats[time_format(each.cell) or ""] += each.rows
        elif isinstance(each.cell.value, dt.time):
            formats["%H:%M:%S"] += each.rows
    del formats[""]
    if formats.total() < (1 - MISFITS_MAX) * values.filled:
        return None
    return Guess(Holds.TIME, {"format": tuple(text for text, _ in formats.most_common())})


def _dates(values: ColumnValues, zone: str, prefer: Order | None) -> Guess | None:
    compact = values.sounds_like(Role.DATE) > 0
    found = guess_dates(((each.cell, each.rows) for each in values.seen()), prefer=prefer, compact=compact)
    if found is None:
        return None
    holds = Holds.DATETIME if found.timed else Holds.DATE
    timed = DateTimeValue(ZoneInfo(zone), found.formats)
    fit = _fit(values, timed if found.timed else DateValue(found.formats), holds.value)
    if not fit.good and not found.mixed:
        return None
    settings: dict[str, Setting] = {"type": "datetime" if found.timed else "date"}
    if found.formats:
        settings["format"] = found.formats if len(found.formats) > 1 else found.formats[0]
    if found.timed:
        settings["timezone"] = zone
    ways = f"written in {len(found.formats)} ways, tried in this order" if len(found.formats) > 1 else ""
    proof = f"the {found.order} comes first, as {quoted(found.proof)} shows" if found.order else ""
    return Guess(holds, settings, (ways, proof), (_order_doubt(found), fit.doubt), found.order)


def _order_doubt(found: DateGuess) -> str:
    """What is doubtful about day and month."""
    if found.mixed:
        day, month = (quoted(text) for text in found.mixed)
        return (
            f"Some dates have the day first ({day}), others the month ({month}): one order is used for all,"
            " and dates that fit both may be read the wrong way round. Correct the sheet."
        )
    if found.chosen is None:
        return ""
    ways = readings(found.open_text)
    format_, (taken, *_) = ways[found.chosen]
    other = ways["month" if found.chosen == "day" else "day"][1].local
    return (
        f"Whether day or month comes first cannot be seen in this column: {quoted(found.open_text)} is read"
        f" as {taken.day} {MONTHS[taken.month - 1]} {taken.year}, not {other.day} {MONTHS[other.month - 1]}."
        f" If that is wrong, write {other_order(format_)} instead."
    )


def _numbers(values: ColumnValues) -> Guess | None:
    if values.sounds_like(Role.LABEL) or any(_is_label(each.cell) for each in values.seen()):
        return None
    texts = [each for each in values.seen() if type(each.cell) is str]
    currency = any(currency_of(each.cell) for each in texts)
    dot, comma = NumberValue(".", currency=currency), NumberValue(",", currency=currency)
    read = [(each, dot.read(each.cell), comma.read(each.cell)) for each in texts]
    only_dot = sum(each.rows for each, _, other in read if isinstance(other, Fault))
    only_comma = sum(each.rows for each, one, _ in read if isinstance(one, Fault))
    both = [(each.cell, one, other) for each, one, other in read if isinstance(one, str) and one != other]
    different = [cell for cell, _, other in both if isinstance(other, str)]
    mark, doubt = "," if only_comma > only_dot else ".", ""
    if different and not only_dot and not only_comma:
        # Three digits after the mark: more likely thousands than decimals.
        mark = "," if "." in (without_currency(different[0]) or different[0]) else "."
        meant = (comma if mark == "," else dot).read(different[0])
        doubt = (
            f"Whether {quoted(different[0])} has decimals or thousands cannot be seen in this column; it is"
            f" sent as {meant}. If that is wrong, change `decimal`."
        )
    holds, reader = Holds.INTEGER, NumberValue(mark, whole=True, currency=currency)
    fit = _fit(values, reader, holds.value)
    if fit.doubt:
        holds = Holds.NUMBER
        fit = _fit(values, replace(reader, whole=False), holds.value)
    if not fit.good:
        return None
    settings: dict[str, Setting] = {"type": "number" if holds is Holds.NUMBER else "integer"}
    settings |= {"decimal": mark} if different or only_dot or only_comma else {}
    settings |= {"currency": "true"} if currency else {}
    return Guess(holds, settings, doubts=(doubt, fit.doubt))


def _is_label(cell: str) -> bool:
    """A number in form only: leading zeros count, or there are more digits than anybody adds up."""
    if len(cell) > SAMPLE_LENGTH:
        return False
    digits = sum(char.isdecimal() for char in cell)
    number = isinstance(cell, NumberCell) or not isinstance(NumberValue(",").read(cell), Fault)
    return _LEADING_ZERO.fullmatch(cell) is not None or (number and digits > NUMBER_DIGITS_MAX)


def _lists(values: ColumnValues) -> Guess | None:
    """Several of a few words in one cell."""
    seen = values.seen()
    if any(type(each.cell) is not str or len(each.cell) > LIST_LENGTH_MAX for each in seen):
        return None
    for separator in (";", "|", "\n", ","):
        cells = [(ListValue(separator).items(each.cell), each.rows) for each in seen]
        several = sum(rows for items, rows in cells if len(items) > 1)
        times: Counter[str] = Counter()
        for items, rows in cells:
            times.update(dict.fromkeys(items, rows))
        spelled: dict[str, str] = {}
        for item in times:
            spelled.setdefault(folded(item), item)
        words = tuple(spelled.values())
        if several < LISTS_LEAST * values.filled or not 2 <= len(words) <= min(CHOICES_MAX, len(seen)):
            continue
        if times.total() >= 3 * len(words) and all(map(_is_word, words)):
            shown = "line breaks" if separator == "\n" else quoted(separator)
            why = f"items separated by {shown}; any other item is a problem of its row"
            return Guess(Holds.LIST, {"type": "list", "separator": separator, "one_of": words}, (why,))
    return None


def _is_word(text: str) -> bool:
    read = TextValue(CHOICE_LENGTH_MAX).read(text)
    return not isinstance(read, Fault) and any(map(str.isalpha, text))


def _choices(values: ColumnValues) -> Guess | None:
    if values.sounds_like(*_ACCOUNT_ROLES):
        return None  # new customers come along
    texts = [each for each in values.seen() if not isinstance(each.cell, ErrorCell)]
    if any(len(each.cell) > CHOICE_LENGTH_MAX for each in texts):
        return None
    groups: dict[str, Counter[str]] = {}
    for each in texts:
        groups.setdefault(folded(each.cell), Counter())[" ".join(each.cell.split())] += each.rows
    counts = {group.most_common(1)[0][0]: group.total() for group in groups.values()}
    if len(counts) > SPELLINGS_MAX:
        return None  # no list, and each is compared with each below
    strays = _strays(counts)
    words = tuple(word for word in counts if word not in strays)
    if not _few(values, texts, len(words)):
        return None
    others = [
        quoted(word, SAMPLE_LENGTH) for group in groups.values() for word in group if word not in counts
    ]
    spellings = f"other spellings ({listed(others, 3)}) are sent as they are written here" if others else ""
    doubts = [
        f"{quoted(stray, SAMPLE_LENGTH)} ({count(counts[stray], 'row')}) looks like a misspelling of"
        f" {quoted(meant, SAMPLE_LENGTH)}, so it is not listed and `importer check` names it. If it is right,"
        " add it."
        for stray, meant in strays.items()
    ]
    doubts.append(_fit(values, lambda _: True, "words").doubt)
    why = ("any other value is a problem of its row", spellings)
    return Guess(Holds.CHOICE, {"one_of": words}, why, tuple(doubts))


def _few(values: ColumnValues, texts: list[Seen], distinct: int) -> bool:
    """Whether so many different words are a closed list rather than chance."""
    typed = NumberCell | DateCell | DurationCell
    if not 2 <= distinct <= CHOICES_MAX or any(
        isinstance(each.cell, typed) or not _is_word(each.cell) for each in texts
    ):
        return False
    named = values.sounds_like(Role.CHOICE, Role.EVENT)
    return values.filled >= 3 * distinct or bool(named and values.filled > distinct)


def _strays(counts: dict[str, int]) -> dict[str, str]:
    """Rare words that differ from a frequent one by a slip of the finger, with the word that was meant."""
    return {
        word: other
        for word, rows in counts.items()
        for other, others in counts.items()
        if rows <= 3 and others >= 5 * rows and _is_slip(folded(word), folded(other))
    }


def _is_slip(text: str, other: str) -> bool:
    shortest = min(len(text), len(other))
    if any(char.isdigit() for char in text + other) or shortest < 3:
        return False
    return (sorted(text) == sorted(other) or shortest >= 5) and OSA.distance(text, other) == 1


def _text(values: ColumnValues) -> Guess:
    seen = values.seen()
    coded = sum(any(map(str.isdigit, each.cell)) for each in seen) >= 0.8 * len(seen)
    return Guess(Holds.CODE if coded and _fit(values, CODE.fullmatch, "codes").good else Holds.TEXT)
