"""What a column holds, by its values: Ids, e-mail addresses, dates, numbers, yes or no, a few words, text.

A guess counts only if (nearly) every cell can be read with it by the very code that will read it later; the
cells that cannot are named.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rapidfuzz.distance import OSA

from importer.mapping.choices import folded
from importer.mapping.dates import DateTimeValue, DateValue, Order, count_of
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
from importer.sheets.rows import (
    BooleanCell,
    DateCell,
    DurationCell,
    ErrorCell,
    NumberCell,
    column_letters,
)
from importer.starter.date_guesses import guess_dates, time_format
from importer.starter.header import ADDRESS, Role, likeness
from importer.text import count, listed, quoted

FITTING_LEAST: Final = 0.9
CHOICES_MAX: Final = 12
SPELLINGS_MAX: Final = 4 * CHOICES_MAX
CHOICE_LENGTH_MAX: Final = 40
NUMBER_DIGITS_MAX: Final = 11
SAMPLE_LENGTH: Final = 30
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


_TYPED: Final = frozenset(Holds) - {Holds.NOTHING, Holds.EMAIL, Holds.TIME, Holds.CODE, Holds.TEXT}


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column holds, and how a field says so.

    settings: the keys of its block besides `column`, in order. why: for the comment. doubts: sentences for a
    person, who has to decide or to look. order: which of day and month the column shows to come first.
    mark: which decimal mark it shows.
    """

    holds: Holds
    settings: dict[str, Setting] = field(default_factory=dict)
    why: str = ""
    doubts: tuple[str, ...] = ()
    order: Order | None = None
    mark: str | None = None


class Seen(NamedTuple):
    """One distinct value: the cell, how many rows have it, and the first of them."""

    cell: str
    rows: int
    first: int


class Column:
    """One column of a sheet: its first values, each distinct one once, in order, and the guess about them.

    unusable: why no mapping can name it, "" if one can. filled: cells that are not empty.
    """

    def __init__(self, index: int, heading: str, unusable: str = "") -> None:
        self.index, self.heading, self.unusable = index, heading, unusable
        self.letters = column_letters(index)
        self.filled = 0
        self.guess = Guess(Holds.NOTHING)
        self._seen: dict[tuple[type, str], Seen] = {}

    def __repr__(self) -> str:
        return f"<Column {self.letters} {self.heading!r} {self.guess.holds.value}, filled={self.filled}>"

    def add(self, row: int, cell: str) -> None:
        """The cell of the next row."""
        text = trimmed(cell)
        if text or isinstance(cell, ErrorCell):
            self.filled += 1
            key = (type(cell), str(text))
            known = self._seen.get(key, Seen(text, 0, row))
            self._seen[key] = known._replace(rows=known.rows + 1)

    @property
    def seen(self) -> list[Seen]:
        """Its distinct values."""
        return list(self._seen.values())

    @property
    def is_typed(self) -> bool:
        """Whether its values alone say enough for a field."""
        return not self.unusable and self.guess.holds in _TYPED

    def sounds_like(self, *roles: Role) -> float:
        """How much the heading sounds like one of the roles, 0 if like none."""
        return max(likeness(self.heading, role) for role in roles)


def guess_column(
    column: Column, zone: str, prefer: Order | None = None, prefer_mark: str | None = None
) -> Guess:
    """What the column holds: the first reading that (nearly) every cell allows. zone: the time zone for
    date-times. prefer, prefer_mark: which of day and month comes first, and the decimal mark, where the
    column does not show it."""
    if not column.filled:
        return Guess(Holds.NOTHING)
    dates, numbers = _dates(column, zone, prefer), _numbers(column, prefer_mark)
    for guess, reads, least in itertools.chain(_plain_kinds(column), dates, numbers):
        share, misfits = _fit(column, reads, guess.holds.value)
        if share >= least:
            return replace(guess, doubts=(*guess.doubts, *misfits))
    return _lists(column) or _choices(column) or _text(column)


Reader = ValueType | Callable[[str], object]


def _fit(column: Column, reads: Reader, what: str) -> tuple[float, tuple[str, ...]]:
    """The share of cells that are read by a type, or are accepted by a function, and the doubt about the
    others, if there are any."""
    misfits = []
    for each in column.seen:
        fits = reads(each.cell) if callable(reads) else not isinstance(reads.read(each.cell), Fault)
        if isinstance(each.cell, ErrorCell) or not fits:
            misfits.append(each)
    if not misfits:
        return 1.0, ()
    rows = sum(each.rows for each in misfits)
    named = [f"{quoted(str(each.cell), SAMPLE_LENGTH)} in row {each.first}" for each in misfits[:3]]
    shown = listed(named, 3, total=len(misfits))
    doubt = f"{count(rows, 'cell')} cannot be read as {what} ({shown}); `importer check` names them."
    return 1 - rows / column.filled, (doubt,)


def _plain_kinds(column: Column) -> Iterator[tuple[Guess, Reader, float]]:
    """Guesses, likelier ones first, each with what reads its cells and the share of them to be readable."""
    # Codes typed among Ids are exactly what `check` is for.
    yield Guess(Holds.ID, {"type": "id"}), IdValue(), 0.5
    yield Guess(Holds.EMAIL), ADDRESS.fullmatch, FITTING_LEAST
    # 0 and 1 alone may as well be numbers, which are sent as they are.
    if any(isinstance(one.cell, BooleanCell) or one.cell.isalpha() for one in column.seen):
        why = 'sent as true and false; for others use send: {true: "1", false: "0"}'
        yield Guess(Holds.BOOLEAN, {"type": "boolean"}, why), BooleanValue(), FITTING_LEAST
    # Times of day: nothing that a field could hold alone, but part of a date-time.
    formats: Counter[str] = Counter()
    for each in column.seen:
        if form := time_format(each.cell):
            formats[form] += each.rows
    if formats.total() >= FITTING_LEAST * column.filled:
        settings: dict[str, Setting] = {"format": tuple(text for text, _ in formats.most_common())}
        yield Guess(Holds.TIME, settings), bool, 0.0


def _dates(column: Column, zone: str, prefer: Order | None) -> Iterator[tuple[Guess, Reader, float]]:
    compact = column.sounds_like(Role.DATE) > 0
    found = guess_dates(((each.cell, each.rows) for each in column.seen), prefer=prefer, compact=compact)
    if found is None:
        return
    settings: dict[str, Setting] = {"type": "datetime" if found.timed else "date"}
    if found.formats:
        settings["format"] = found.formats if len(found.formats) > 1 else found.formats[0]
    if found.timed:
        settings["timezone"] = zone
    timed = DateTimeValue(ZoneInfo(zone), found.formats)
    guess = Guess(
        Holds.DATETIME if found.timed else Holds.DATE, settings, found.why, found.doubts, found.order
    )
    yield guess, timed if found.timed else DateValue(found.formats), 0.0 if found.mixed else FITTING_LEAST


def _numbers(column: Column, prefer: str | None) -> Iterator[tuple[Guess, Reader, float]]:
    if column.sounds_like(Role.LABEL) or any(_is_label(each.cell) for each in column.seen):
        return
    texts = [each for each in column.seen if type(each.cell) is str]
    currency = any(currency_of(each.cell) for each in texts)
    dot, comma = NumberValue(".", currency=currency), NumberValue(",", currency=currency)
    read = [(each, dot.read(each.cell), comma.read(each.cell)) for each in texts]
    only_dot = sum(each.rows for each, _, other in read if isinstance(other, Fault))
    only_comma = sum(each.rows for each, one, _ in read if isinstance(one, Fault))
    different = [
        each.cell for each, *both in read if both[0] != both[1] and all(isinstance(one, str) for one in both)
    ]
    mark = "," if only_comma > only_dot else "."
    doubts: list[str] = []
    if different and not only_dot and not only_comma:
        # Three digits after the mark: more likely thousands than decimals.
        likely = "," if "." in (without_currency(different[0]) or different[0]) else "."
        mark = prefer or likely
        meant = (comma if mark == "," else dot).read(different[0])
        doubts.append(
            f"Whether {quoted(different[0])} has decimals or thousands cannot be seen in this column; it is"
            f" sent as {meant}. If that is wrong, change `decimal`."
        )
    settings: dict[str, Setting] = {"decimal": mark} if different or only_dot or only_comma else {}
    settings |= {"currency": "true"} if currency else {}
    if column.sounds_like(Role.DATE):
        doubts += _no_dates(column)
    shown = mark if only_dot or only_comma else None
    for holds, whole, least in ((Holds.INTEGER, True, 1.0), (Holds.NUMBER, False, FITTING_LEAST)):
        of_type: dict[str, Setting] = {"type": "integer" if whole else "number", **settings}
        guess = Guess(holds, of_type, doubts=tuple(doubts), mark=shown)
        yield guess, NumberValue(mark, whole=whole, currency=currency), least


def _no_dates(column: Column) -> list[str]:
    """What the numbers of a column that is called a date stand for, if they count days or seconds."""
    first = column.seen[0].cell
    counted = count_of(int(first)) if first.isdecimal() and len(first) <= NUMBER_DIGITS_MAX + 2 else None
    return [f"{quoted(first)} is {counted[0]}, and is sent as a number. {counted[1]}"] if counted else []


def _is_label(cell: str) -> bool:
    """A number in form only: leading zeros count, or there are more digits than anybody adds up."""
    if len(cell) > SAMPLE_LENGTH:
        return False
    digits = sum(char.isdecimal() for char in cell)
    number = isinstance(cell, NumberCell) or not isinstance(NumberValue(",").read(cell), Fault)
    return _LEADING_ZERO.fullmatch(cell) is not None or (number and digits > NUMBER_DIGITS_MAX)


def _lists(column: Column) -> Guess | None:
    """Several of a few words in one cell."""
    seen = column.seen
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
        if several < LISTS_LEAST * column.filled or not 2 <= len(words) <= min(CHOICES_MAX, len(seen)):
            continue
        if times.total() >= 3 * len(words) and all(map(_is_word, words)):
            shown = "line breaks" if separator == "\n" else quoted(separator)
            why = f"items separated by {shown}; any other item is a problem of its row"
            return Guess(Holds.LIST, {"type": "list", "separator": separator, "one_of": words}, why)
    return None


def _is_word(text: str) -> bool:
    read = TextValue(CHOICE_LENGTH_MAX).read(text)
    return not isinstance(read, Fault) and any(map(str.isalpha, text))


def _choices(column: Column) -> Guess | None:
    if column.sounds_like(*_ACCOUNT_ROLES):
        return None  # new customers come along
    texts = [each for each in column.seen if not isinstance(each.cell, ErrorCell)]
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
    if not _few(column, texts, len(words)):
        return None
    others = [
        quoted(word, SAMPLE_LENGTH) for group in groups.values() for word in group if word not in counts
    ]
    why = "any other value is a problem of its row"
    if others:
        why += f"; other spellings ({listed(others, 3)}) are sent as they are written here"
    doubts = [
        f"{quoted(stray, SAMPLE_LENGTH)} ({count(counts[stray], 'row')}) looks like a misspelling of"
        f" {quoted(meant, SAMPLE_LENGTH)}, so it is not listed and `importer check` names it. If it is right,"
        " add it."
        for stray, meant in strays.items()
    ]
    _, errors = _fit(column, lambda _: True, "words")
    return Guess(Holds.CHOICE, {"one_of": words}, why, (*doubts, *errors))


def _few(column: Column, texts: list[Seen], distinct: int) -> bool:
    """Whether so many different words are a closed list rather than chance."""
    typed = NumberCell | DateCell | DurationCell
    if not 2 <= distinct <= CHOICES_MAX or any(
        isinstance(each.cell, typed) or not _is_word(each.cell) for each in texts
    ):
        return False
    named = column.sounds_like(Role.CHOICE, Role.EVENT)
    return column.filled >= 3 * distinct or bool(named and column.filled > distinct)


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


def _text(column: Column) -> Guess:
    coded = sum(any(map(str.isdigit, each.cell)) for each in column.seen) >= 0.8 * len(column.seen)
    share, _ = _fit(column, CODE.fullmatch, "codes")
    return Guess(Holds.CODE if coded and share >= FITTING_LEAST else Holds.TEXT)
