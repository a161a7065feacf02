"""What a column holds, by its values: Ids, e-mail addresses, dates, numbers, yes or no, a few words, text.

A guess counts only if (nearly) every cell can be read with it by the very code that will read it later; the
cells that cannot are named.
"""

from __future__ import annotations

import datetime as dt
import enum
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rapidfuzz.distance import OSA

from importer.mapping.choices import folded
from importer.mapping.date_formats import MONTHS
from importer.mapping.date_values import DateTimeValue, DateValue
from importer.mapping.values import BooleanValue, Fault, IdValue, NumberValue, TextValue, ValueType
from importer.sheets.rows import BooleanCell, DateCell, DurationCell, ErrorCell, NumberCell
from importer.starter.date_guesses import DateGuess, Order, guess_dates, other_order, readings
from importer.starter.header import EMAIL
from importer.starter.heading_words import Role, likeness
from importer.starter.sample import SAMPLE_LENGTH, ColumnValues, Seen
from importer.text import listed, quoted

MISFITS_MOST: Final = 0.1
CHOICES_MOST: Final = 12
SPELLINGS_MOST: Final = 4 * CHOICES_MOST
CHOICE_LENGTH_MOST: Final = 40
NUMBER_DIGITS_MOST: Final = 11
CODE: Final = re.compile(r"[^\W_][\w./#-]{1,23}")
_LEADING_ZERO: Final = re.compile(r"[+-]?0\d.*")

Setting = str | tuple[str, ...]


class Holds(enum.Enum):
    """What a column's cells are."""

    NOTHING = "no values"
    ID = "LeadSquared Ids"
    EMAIL = "e-mail addresses"
    DATE = "dates"
    DATETIME = "dates with times of day"
    BOOLEAN = "yes or no"
    INTEGER = "whole numbers"
    NUMBER = "numbers"
    CHOICE = "a few words"
    CODE = "codes"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Guess:
    """What a column holds, and how a field says so.

    settings: the keys of its block besides `column`, in order. why: sentences for the comment. doubts:
    sentences for a person, who has to decide or to look.
    """

    holds: Holds
    settings: dict[str, Setting] = field(default_factory=dict)
    why: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    order: Order | None = None


def guess_column(values: ColumnValues, zone: str, prefer: Order | None = None) -> Guess:
    """What the column holds. zone: the time zone for date-times. prefer: which of day and month comes first
    where the column does not tell."""
    if not values.filled:
        return Guess(Holds.NOTHING)
    seen = values.seen()
    for attempt in (_ids, _emails, _booleans):
        if (found := attempt(values, seen)) is not None:
            return found
    return (
        _dates(values, seen, zone, prefer)
        or _numbers(values, seen)
        or _choices(values, seen)
        or _text(values, seen)
    )


class _Fit(NamedTuple):
    """good: whether enough cells fit. doubt: the sentence about those that do not, "" if all do."""

    good: bool
    doubt: str


def _fit(values: ColumnValues, seen: Sequence[Seen], reads: Callable[[str], bool], what: str) -> _Fit:
    misfits = [each for each in seen if isinstance(each.cell, ErrorCell) or not reads(each.cell)]
    rows = sum(each.rows for each in misfits)
    if not misfits:
        return _Fit(good=True, doubt="")
    shown = ", ".join(f"{quoted(str(each.cell), SAMPLE_LENGTH)} in row {each.first}" for each in misfits[:3])
    more = f" and {len(misfits) - 3} more" if len(misfits) > 3 else ""
    cells = "1 cell" if rows == 1 else f"{rows:,} cells"
    doubt = f"{cells} cannot be read as {what} ({shown}{more}); `importer check` will say so."
    return _Fit(good=rows <= MISFITS_MOST * values.filled, doubt=doubt)


def _reads(reader: ValueType) -> Callable[[str], bool]:
    return lambda cell: not isinstance(reader.read(cell), Fault)


def _doubts(*sentences: str) -> tuple[str, ...]:
    return tuple(sentence for sentence in sentences if sentence)


def _ids(values: ColumnValues, seen: Sequence[Seen]) -> Guess | None:
    fit = _fit(values, seen, _reads(IdValue()), "LeadSquared Ids")
    # Codes typed among Ids are exactly what `check` is for.
    usable = fit.good or _share(values, seen, _reads(IdValue())) >= 0.5
    return Guess(Holds.ID, {"type": "id"}, doubts=_doubts(fit.doubt)) if usable else None


def _emails(values: ColumnValues, seen: Sequence[Seen]) -> Guess | None:
    fit = _fit(values, seen, lambda cell: EMAIL.fullmatch(cell) is not None, "e-mail addresses")
    return Guess(Holds.EMAIL, doubts=_doubts(fit.doubt)) if fit.good else None


def _share(values: ColumnValues, seen: Sequence[Seen], reads: Callable[[str], bool]) -> float:
    return sum(each.rows for each in seen if reads(each.cell)) / values.filled


def _booleans(values: ColumnValues, seen: Sequence[Seen]) -> Guess | None:
    fit = _fit(values, seen, _reads(BooleanValue()), "yes or no")
    # 0 and 1 alone may as well be numbers, which are sent as they stand.
    words = any(isinstance(each.cell, BooleanCell) or each.cell.isalpha() for each in seen)
    if not fit.good or not words:
        return None
    why = 'sent as true and false; for others say send: {true: "1", false: "0"}'
    return Guess(Holds.BOOLEAN, {"type": "boolean"}, (why,), _doubts(fit.doubt))


def _dates(values: ColumnValues, seen: Sequence[Seen], zone: str, prefer: Order | None) -> Guess | None:
    compact = likeness(values.heading, Role.DATE) > 0
    found = guess_dates(((each.cell, each.rows) for each in seen), prefer=prefer, compact=compact)
    if found is None:
        return None
    reader: ValueType = DateValue(found.formats)
    holds, what = Holds.DATE, "dates"
    if found.timed:
        reader, holds = DateTimeValue(ZoneInfo(zone), found.formats), Holds.DATETIME
        what = "dates with times of day"
    fit = _fit(values, seen, _reads(reader), what)
    if not fit.good and not found.mixed:
        return None
    settings: dict[str, Setting] = {"type": "datetime" if found.timed else "date"}
    if found.formats:
        settings["format"] = found.formats if len(found.formats) > 1 else found.formats[0]
    if found.timed:
        settings["timezone"] = zone
    why, doubts = _about_order(found, seen)
    if len(found.formats) > 1:
        why = (f"written in {len(found.formats)} ways, tried in this order", *why)
    return Guess(holds, settings, why, _doubts(*doubts, fit.doubt), found.order)


def _about_order(found: DateGuess, seen: Sequence[Seen]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What to say about day and month: for the comment, and as a doubt."""
    if found.mixed:
        day, month = (quoted(text) for text in found.mixed)
        doubt = (
            f"Some dates have the day first ({day}), others the month ({month}): one order was taken for all,"
            " and dates that fit both may be read the wrong way round. Mend the sheet."
        )
        return (), (doubt,)
    if found.open_text and found.chosen is not None:
        ways = readings(found.open_text)
        taken, other = (ways[way][1].local for way in (found.chosen, _OTHER[found.chosen]))
        doubt = (
            f"Whether day or month comes first cannot be told from this column: {quoted(found.open_text)} was"
            f" taken for {taken.day} {_month(taken)} {taken.year}, not {other.day} {_month(other)}. If that"
            f" is wrong, write {other_order(ways[found.chosen][0])} instead."
        )
        return (), (doubt,)
    if found.order is not None:
        first = "the day" if found.order == "day" else "the month"
        return (f"{first} comes first, as {quoted(found.proof)} shows",), ()
    return (), ()


def _month(day: dt.datetime) -> str:
    return MONTHS[day.month - 1].capitalize()


_OTHER: Final[dict[Order, Order]] = {"day": "month", "month": "day"}


def _numbers(values: ColumnValues, seen: Sequence[Seen]) -> Guess | None:
    if any(_is_label(each.cell) for each in seen) or likeness(values.heading, Role.LABEL):
        return None
    dot, comma = NumberValue("."), NumberValue(",")
    only = {".": 0, ",": 0}
    unclear = ""
    for each in seen:
        if type(each.cell) is not str:
            continue
        as_dot, as_comma = dot.read(each.cell), comma.read(each.cell)
        if isinstance(as_dot, Fault) != isinstance(as_comma, Fault):
            only["," if isinstance(as_dot, Fault) else "."] += each.rows
        elif isinstance(as_dot, str) and as_dot != as_comma:
            unclear = unclear or each.cell
    mark = "," if only[","] > only["."] else "."
    doubt = ""
    if unclear and not only["."] and not only[","]:
        # Three digits after the mark: more likely thousands than decimals.
        mark = "," if "." in unclear else "."
        doubt = (
            f"Whether {quoted(unclear)} has decimals or thousands cannot be told from this column; it is sent"
            f" as {NumberValue(mark).read(unclear)}. If that is wrong, change `decimal`."
        )
    whole = NumberValue(mark, whole=True)
    fit = _fit(values, seen, _reads(whole), "whole numbers")
    if not fit.doubt:
        settings: dict[str, Setting] = {"type": "integer"}
        holds = Holds.INTEGER
    else:
        fit = _fit(values, seen, _reads(NumberValue(mark)), "numbers")
        settings, holds = {"type": "number"}, Holds.NUMBER
    if not fit.good:
        return None
    if unclear or only["."] or only[","]:
        settings["decimal"] = mark
    return Guess(holds, settings, doubts=_doubts(doubt, fit.doubt))


def _is_label(cell: str) -> bool:
    """A number in form only: leading zeros count, or there are more digits than anybody adds up."""
    digits = sum(char.isdecimal() for char in cell)
    number = isinstance(cell, NumberCell) or not isinstance(NumberValue(",").read(cell), Fault)
    return _LEADING_ZERO.fullmatch(cell) is not None or (number and digits > NUMBER_DIGITS_MOST)


def _choices(values: ColumnValues, seen: Sequence[Seen]) -> Guess | None:
    if any(likeness(values.heading, role) for role in _ACCOUNT_ROLES):
        return None  # new customers come along
    texts = [each for each in seen if not isinstance(each.cell, ErrorCell)]
    groups: dict[str, Counter[str]] = {}
    for each in texts:
        groups.setdefault(folded(each.cell), Counter())[" ".join(each.cell.split())] += each.rows
    counts = {max(group, key=lambda word: group[word]): group.total() for group in groups.values()}
    if len(counts) > SPELLINGS_MOST:
        return None  # no list, and each is compared with each below
    strays = _strays(counts)
    words = [word for word in counts if word not in strays]
    if not _few(values, texts, len(words)):
        return None
    others = [
        word for group in groups.values() if len(group) > 1 for word in list(group) if word not in counts
    ]
    why = ["what else a cell says is a problem of its row"]
    if others:
        named = listed([quoted(word, SAMPLE_LENGTH) for word in others], 3)
        why.append(f"other spellings ({named}) are sent as they stand here")
    doubts = [
        f"{quoted(stray, SAMPLE_LENGTH)} ({_rows(counts[stray])}) looks like a misspelling of"
        f" {quoted(meant, SAMPLE_LENGTH)}, so it is not listed and `importer check` will name it. If it is"
        " right, add it."
        for stray, meant in strays.items()
    ]
    fit = _fit(values, seen, lambda cell: not isinstance(cell, ErrorCell), "words")
    return Guess(Holds.CHOICE, {"one_of": tuple(words)}, tuple(why), _doubts(*doubts, fit.doubt))


_ACCOUNT_ROLES: Final = (Role.ACCOUNT_ID, Role.ACCOUNT_CODE, Role.ACCOUNT_NAME)


def _few(values: ColumnValues, texts: Sequence[Seen], distinct: int) -> bool:
    """Whether so many different words are a closed list rather than chance."""
    if not 2 <= distinct <= CHOICES_MOST:
        return False
    plain = TextValue(CHOICE_LENGTH_MOST)
    for each in texts:
        odd = isinstance(each.cell, NumberCell | DateCell | DurationCell) or not each.cell.strip()
        if odd or isinstance(plain.read(each.cell), Fault) or not any(map(str.isalpha, each.cell)):
            return False
    named = likeness(values.heading, Role.CHOICE) or likeness(values.heading, Role.EVENT)
    return values.filled >= 3 * distinct or bool(named and values.filled > distinct)


def _strays(counts: dict[str, int]) -> dict[str, str]:
    """Rare words that differ from a frequent one by a slip of the finger, with the word that was meant."""
    found = {}
    for word, count in counts.items():
        for other, others in counts.items():
            if others >= 5 * count and count <= 3 and _is_slip(folded(word), folded(other)):
                found[word] = other
    return found


def _is_slip(text: str, other: str) -> bool:
    if any(char.isdigit() for char in text + other) or min(len(text), len(other)) < 3:
        return False
    if sorted(text) == sorted(other):
        return OSA.distance(text, other) == 1
    return min(len(text), len(other)) >= 5 and OSA.distance(text, other) == 1


def _text(values: ColumnValues, seen: Sequence[Seen]) -> Guess:
    fit = _fit(values, seen, lambda cell: CODE.fullmatch(cell) is not None, "codes")
    coded = sum(any(map(str.isdigit, each.cell)) for each in seen) >= 0.8 * len(seen)
    return Guess(Holds.CODE if fit.good and coded else Holds.TEXT)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"
