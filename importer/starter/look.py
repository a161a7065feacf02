"""Which column of a sheet plays which part, guessed by its heading and by its values.

The parts: `header.py` (which row holds the headings, and what they say), `columns.py` and `date_guesses.py`
(what a column holds), `entries.py` (the mapping's text). Nothing is guessed unseen: each guess is a comment
at its line.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

from importer.mapping.values import EventValue, Fault
from importer.sheets import Sheet
from importer.sheets.rows import Row, column_letters
from importer.starter.columns import ColumnValues, Guess, Holds, guess_column
from importer.starter.header import Role, is_of_others

UNKNOWN_ZONE: Final = "UTC"
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


@dataclass(frozen=True, slots=True)
class Guesses:
    """What a sheet seems to hold. rows: how many were read; more: there are others below them. zone: this
    computer's, if it is known.

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
        typed = (each for each in self.columns if each.is_typed)
        paired = (each for pair in self.pairs for each in pair)
        parts = (self.account, self.owner, self.note, self.event, *paired, *typed)
        return len({each.index for each in parts if each is not None})


def look_at_sheet(sheet: Sheet, zone: str | None) -> Guesses:
    """Read the first rows of the sheet and guess. zone: this computer's, if it is known."""
    values, rows, more = _sampled(sheet.header, sheet.rows())
    used_zone = zone or UNKNOWN_ZONE
    guesses = [guess_column(each, used_zone) for each in values]
    orders = {guess.order for guess in guesses if guess.order is not None}
    if len(orders) == 1:
        # The person who typed one column of the sheet typed the others.
        order = orders.pop()
        guesses = [
            guess_column(each, used_zone, order) if guess.holds in _DATES and guess.order is None else guess
            for each, guess in zip(values, guesses, strict=True)
        ]
    times = Counter(sheet.header)
    columns = tuple(
        Column(index, each, guess, _unusable(each.heading, times[each.heading]))
        for index, (each, guess) in enumerate(zip(values, guesses, strict=True))
    )
    usable = [each for each in columns if not each.unusable]
    account = _account(usable)
    others = [each for each in usable if each is not account]
    note = best_of(_holding(others, _NOTES), Role.NOTE)
    event = best_of(filter(_gives_events, usable), Role.EVENT)
    return Guesses(columns, rows, more, zone, account, _owner(others), note, event, _pairs(columns))


def _sampled(header: Sequence[str], rows: Iterable[Row]) -> tuple[list[ColumnValues], int, bool]:
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


def _pairs(columns: Sequence[Column]) -> tuple[tuple[Column, Column], ...]:
    """Each column of dates with the column of times on its right, else on its left."""
    free = {each.index: each for each in columns if not each.unusable and "{" not in each.heading}
    pairs: list[tuple[Column, Column]] = []
    for date in _holding(list(free.values()), (Holds.DATE,)):
        beside = (free[index] for index in (date.index + 1, date.index - 1) if index in free)
        time = next((each for each in beside if each.guess.holds is Holds.TIME), None)
        if time is not None:
            pairs.append((date, free.pop(time.index)))
    return tuple(pairs)


def _unusable(heading: str, times: int) -> str:
    if not heading:
        return "it has no heading: give it one in the sheet to use it"
    if times > 1:
        return f"{times} columns have this heading: rename all but one of them to use it"
    if len(heading) > HEADING_LENGTH_MAX:
        return f"its heading has over {HEADING_LENGTH_MAX} characters: shorten it in the sheet to use it"
    return ""


def _holding(columns: Iterable[Column], kinds: Collection[Holds]) -> list[Column]:
    return [each for each in columns if each.guess.holds in kinds]


def best_of(columns: Iterable[Column], *roles: Role) -> Column | None:
    """The first of the columns whose headings sound most like one of the roles."""
    best = max(columns, key=lambda each: each.values.sounds_like(*roles), default=None)
    return best if best is not None and best.values.sounds_like(*roles) else None


def _account(columns: Sequence[Column]) -> Column | None:
    """The column that says which account: Ids, else codes, else names."""
    ids, codes = _holding(columns, (Holds.ID,)), _holding(columns, CODED)
    return (
        best_of(ids, Role.ACCOUNT_ID)
        or best_of(ids, Role.ACCOUNT_CODE, Role.ACCOUNT_NAME)
        or best_of(_holding(columns, (Holds.NOTHING,)), Role.ACCOUNT_ID)
        or best_of(codes, Role.ACCOUNT_ID, Role.ACCOUNT_CODE)
        or next((each for each in ids if not each.values.sounds_like(Role.OWNER, Role.LABEL)), None)
        or best_of(codes, Role.ACCOUNT_NAME)
    )


def _owner(columns: Sequence[Column]) -> Column | None:
    users = [each for each in _holding(columns, (Holds.EMAIL,)) if not is_of_others(each.heading)]
    ids = _holding(columns, (Holds.ID,))
    return best_of(users, Role.OWNER) or best_of(ids, Role.OWNER) or next(iter(users), None)


def _gives_events(column: Column) -> bool:
    """Whether every cell is the code of an activity type."""
    cells = [each.cell for each in column.values.seen()]
    codes = column.guess.holds is Holds.INTEGER
    return codes and not any(isinstance(EventValue().read(cell), Fault) for cell in cells)


def local_zone(
    environment: Mapping[str, str] = os.environ,
    timezone_file: Path = Path("/etc/timezone"),
    localtime: Path = Path("/etc/localtime"),
) -> str | None:
    """The name of the system's time zone, such as Asia/Kolkata; None if it is not known.

    Asked in the C library's order: TZ, then /etc/localtime (a link into the zone files); Debian also keeps
    the name in /etc/timezone.
    """
    known = available_timezones()
    candidates = [environment.get("TZ", "").removeprefix(":")]
    try:
        candidates.append(str(localtime.resolve()).rpartition("/zoneinfo/")[2])
        candidates.append(timezone_file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError, RuntimeError):
        pass  # another system, or a broken link: then it is not known
    return next((name for name in candidates if name in known and name != "localtime"), None)
