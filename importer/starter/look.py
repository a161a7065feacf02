"""A starter mapping out of a sheet: what each column is for, guessed by its heading and by its values.

The parts: `header.py` (which row holds the headings), `heading_words.py` (what a heading says), `columns.py`
and `date_guesses.py` (what a column holds), `entries.py` and `writing.py` (the mapping's text). This module
decides which column plays which part. Nothing is guessed unseen: each guess is a comment at its line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from importer.mapping.values import EventValue, Fault
from importer.sheets import Sheet
from importer.sheets.rows import Row, column_letters
from importer.starter.columns import ColumnValues, Guess, Holds, guess_column
from importer.starter.heading_words import Role, is_of_others, likeness

HEADING_LENGTH_MAX: Final = 500
SAMPLE_ROWS: Final = 20_000
SAMPLE_ROWS_LEAST: Final = 100
SAMPLE_CELLS: Final = 2_000_000
CODED: Final = (Holds.CODE, Holds.TEXT, Holds.INTEGER, Holds.CHOICE)
_DATES: Final = (Holds.DATE, Holds.DATETIME)
_NOTES: Final = (Holds.TEXT, Holds.CHOICE, Holds.NOTHING)
_TYPED: Final = frozenset(Holds) - {Holds.NOTHING, Holds.EMAIL, Holds.TIME, Holds.CODE, Holds.TEXT}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the sheet. unusable: why no mapping can name it, "" if one can."""

    index: int
    values: ColumnValues
    guess: Guess
    unusable: str

    @property
    def heading(self) -> str:
        return self.values.heading

    @property
    def letters(self) -> str:
        return column_letters(self.index)

    @property
    def is_typed(self) -> bool:
        """Whether its values alone say enough for a field."""
        return not self.unusable and self.guess.holds in _TYPED

    def sounds_like(self, *roles: Role) -> float:
        """How much the heading sounds like one of the roles, 0 if like none."""
        return max(likeness(self.heading, role) for role in roles)


@dataclass(frozen=True, slots=True)
class Guesses:
    """What a sheet seems to hold. rows: how many were read; more: there are others below them.

    account, owner, note, event: the columns that play these parts, None where none does. pairs: columns of
    dates with the column of times beside them.
    """

    columns: tuple[Column, ...]
    rows: int
    more: bool
    zone: str | None
    account: Column | None
    owner: Column | None
    note: Column | None
    event: Column | None
    pairs: tuple[tuple[Column, Column], ...]

    @property
    def mapped(self) -> int:
        """Columns that the proposal uses."""
        parts = [
            self.account,
            self.owner,
            self.note,
            self.event,
            *(each for pair in self.pairs for each in pair),
        ]
        typed = [each for each in self.columns if each.is_typed]
        return len({each.index for each in (*parts, *typed) if each is not None})


def look_at_sheet(sheet: Sheet, zone: str | None, fallback_zone: str) -> Guesses:
    """Read the first rows of the sheet and guess. zone: this computer's, if it is known."""
    values, rows, more = sampled(sheet.header, sheet.rows())
    used_zone = zone or fallback_zone
    guesses = [guess_column(each, used_zone) for each in values]
    orders = {guess.order for guess in guesses if guess.order is not None}
    if len(orders) == 1:
        # The person who typed one column of the sheet typed the others.
        order = next(iter(orders))
        guesses = [
            guess_column(each, used_zone, order) if guess.holds in _DATES and guess.order is None else guess
            for each, guess in zip(values, guesses, strict=True)
        ]
    times = Counter(each.heading for each in values)
    columns = tuple(
        Column(index, each, guess, _unusable(each.heading, times[each.heading]))
        for index, (each, guess) in enumerate(zip(values, guesses, strict=True))
    )
    usable = [each for each in columns if not each.unusable]
    account = _account(usable)
    owner = _owner([each for each in usable if each is not account])
    note = best_of([each for each in usable if each.guess.holds in _NOTES and each is not account], Role.NOTE)
    event = best_of([each for each in usable if _gives_events(each)], Role.EVENT)
    return Guesses(columns, rows, more, zone, account, owner, note, event, tuple(_pairs(columns)))


def sampled(header: Sequence[str], rows: Iterable[Row]) -> tuple[list[ColumnValues], int, bool]:
    """The columns' values in the first rows, how many rows those are, and whether there are more."""
    columns = [ColumnValues(heading) for heading in header]
    most = max(SAMPLE_ROWS_LEAST, min(SAMPLE_ROWS, SAMPLE_CELLS // max(1, len(columns))))
    read = 0
    for row in rows:
        if read == most:
            return columns, read, True
        read += 1
        for column, cell in zip(columns, row.cells, strict=True):
            if cell or type(cell) is not str:
                column.add(row.number, cell)
    return columns, read, False


def _pairs(columns: Sequence[Column]) -> list[tuple[Column, Column]]:
    """Each column of dates with the column of times on its right, else on its left."""
    pairs: list[tuple[Column, Column]] = []
    for column in columns:
        if column.guess.holds is not Holds.DATE or column.unusable or "{" in column.heading:
            continue
        for index in (column.index + 1, column.index - 1):
            other = columns[index] if 0 <= index < len(columns) else column
            taken = any(other in pair for pair in pairs)
            if other.guess.holds is Holds.TIME and not (other.unusable or taken or "{" in other.heading):
                pairs.append((column, other))
                break
    return pairs


def _unusable(heading: str, times: int) -> str:
    if not heading:
        return "it has no heading: give it one in the sheet to use it"
    if times > 1:
        return f"{times} columns have this heading: rename all but one of them to use it"
    if len(heading) > HEADING_LENGTH_MAX:
        return f"its heading has over {HEADING_LENGTH_MAX} characters: shorten it in the sheet to use it"
    return ""


def best_of(columns: Sequence[Column], *roles: Role) -> Column | None:
    """The first of the columns whose headings sound most like one of the roles."""
    scored = [(each.sounds_like(*roles), -each.index, each) for each in columns]
    score, _, best = max(scored, default=(0.0, 0, None))
    return best if score else None


def _account(columns: Sequence[Column]) -> Column | None:
    """The column that says which account: Ids, else codes, else names."""
    ids = [each for each in columns if each.guess.holds is Holds.ID]
    codes = [each for each in columns if each.guess.holds in CODED]
    return (
        best_of(ids, Role.ACCOUNT_ID)
        or best_of(ids, Role.ACCOUNT_CODE, Role.ACCOUNT_NAME)
        or best_of([each for each in columns if each.guess.holds is Holds.NOTHING], Role.ACCOUNT_ID)
        or best_of(codes, Role.ACCOUNT_ID, Role.ACCOUNT_CODE)
        or next((each for each in ids if not each.sounds_like(Role.OWNER, Role.LABEL)), None)
        or best_of(codes, Role.ACCOUNT_NAME)
    )


def _owner(columns: Sequence[Column]) -> Column | None:
    emails = [each for each in columns if each.guess.holds is Holds.EMAIL]
    users = [each for each in emails if not is_of_others(each.heading)]
    ids = [each for each in columns if each.guess.holds is Holds.ID]
    return best_of(users, Role.OWNER) or best_of(ids, Role.OWNER) or next(iter(users), None)


def _gives_events(column: Column) -> bool:
    """Whether every cell is the code of an activity type."""
    if column.guess.holds is not Holds.INTEGER or column.values.filled == 0:
        return False
    reader = EventValue()
    return not any(isinstance(reader.read(each.cell), Fault) for each in column.values.seen())
