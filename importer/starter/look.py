"""Which column of a sheet plays which part, guessed by its heading and by its values.

The parts: `header.py` (which row holds the headings, and what they say), `columns.py` and `date_guesses.py`
(what a column holds), `entries.py` (the mapping's text). Nothing is guessed unseen: each guess is a comment
at its line.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zoneinfo import available_timezones

from importer.mapping.values import EventValue, Fault
from importer.sheets import Sheet
from importer.sheets.rows import Row
from importer.starter.columns import Column, Holds, guess_column
from importer.starter.header import Role, is_of_others

UNKNOWN_ZONE: Final = "UTC"
HEADING_LENGTH_MAX: Final = 500
SAMPLE_ROWS: Final = 20_000
SAMPLE_ROWS_LEAST: Final = 100
SAMPLE_CELLS: Final = 2_000_000
CODED: Final = (Holds.CODE, Holds.TEXT, Holds.INTEGER, Holds.CHOICE)


@dataclass(frozen=True, slots=True)
class Guesses:
    """What a sheet seems to hold. rows: how many were read; more: there are others below them. zone: this
    computer's, if it is known.

    account, owner, note, event: the columns that play these parts, None where none does. times: the column of
    times of day beside a column of dates, by the place of the latter.
    """

    columns: Sequence[Column]
    rows: int
    more: bool
    zone: str | None
    account: Column | None
    owner: Column | None
    note: Column | None
    event: Column | None
    times: dict[int, Column]


def look_at_sheet(sheet: Sheet, zone: str | None) -> Guesses:
    """Read the first rows of the sheet and guess. zone: this computer's, if it is known."""
    named = Counter(sheet.header)
    columns = [
        Column(index, heading, _unusable(heading, named[heading]))
        for index, heading in enumerate(sheet.header)
    ]
    rows, more = _sample(columns, sheet.rows())
    for column in columns:
        column.guess = guess_column(column, zone or UNKNOWN_ZONE)
    # The person who typed one column of the sheet typed the others.
    orders = {column.guess.order for column in columns} - {None}
    marks = {column.guess.mark for column in columns} - {None}
    order = orders.pop() if len(orders) == 1 else None
    mark = marks.pop() if len(marks) == 1 else None
    for column in _holding(columns, Holds.DATE, Holds.DATETIME, Holds.INTEGER, Holds.NUMBER):
        if order or mark:
            column.guess = guess_column(column, zone or UNKNOWN_ZONE, order, mark)
    usable = [column for column in columns if not column.unusable]
    account = _account(usable)
    others = [column for column in usable if column is not account]
    note = best_of(_holding(others, Holds.TEXT, Holds.CHOICE, Holds.NOTHING), Role.NOTE)
    event = best_of(filter(_gives_events, usable), Role.EVENT)
    return Guesses(columns, rows, more, zone, account, _owner(others), note, event, _times_beside(usable))


def _sample(columns: Sequence[Column], rows: Iterable[Row]) -> tuple[int, bool]:
    """Take in the first rows: how many those are, and whether there are more."""
    most = max(SAMPLE_ROWS_LEAST, min(SAMPLE_ROWS, SAMPLE_CELLS // max(1, len(columns))))
    read = 0
    for row in rows:
        if read == most:
            return read, True
        read += 1
        for column, cell in zip(columns, row.cells, strict=True):
            if cell or type(cell) is not str:
                column.add(row.number, cell)
    return read, False


def _times_beside(columns: Iterable[Column]) -> dict[int, Column]:
    """For each column of dates the column of times on its right, else on its left."""
    free = {column.index: column for column in columns if "{" not in column.heading}
    found: dict[int, Column] = {}
    for date in _holding(list(free.values()), Holds.DATE):
        for index in (date.index + 1, date.index - 1):
            if date.index not in found and index in free and free[index].guess.holds is Holds.TIME:
                found[date.index] = free.pop(index)
    return found


def _unusable(heading: str, times: int) -> str:
    if not heading:
        return "it has no heading: give it one in the sheet to use it"
    if times > 1:
        return f"{times} columns have this heading: rename all but one of them to use it"
    if len(heading) > HEADING_LENGTH_MAX:
        return f"its heading has over {HEADING_LENGTH_MAX} characters: shorten it in the sheet to use it"
    return ""


def _holding(columns: Iterable[Column], *kinds: Holds) -> list[Column]:
    return [each for each in columns if each.guess.holds in kinds]


def best_of(columns: Iterable[Column], *roles: Role) -> Column | None:
    """The first of the columns whose headings sound most like one of the roles."""
    best = max(columns, key=lambda each: each.sounds_like(*roles), default=None)
    return best if best is not None and best.sounds_like(*roles) else None


def _account(columns: Sequence[Column]) -> Column | None:
    """The column that says which account: Ids, else codes, else names."""
    ids, codes = _holding(columns, Holds.ID), _holding(columns, *CODED)
    return (
        best_of(ids, Role.ACCOUNT_ID)
        or best_of(ids, Role.ACCOUNT_CODE, Role.ACCOUNT_NAME)
        or best_of(_holding(columns, Holds.NOTHING), Role.ACCOUNT_ID)
        or best_of(codes, Role.ACCOUNT_ID, Role.ACCOUNT_CODE)
        or next((each for each in ids if not each.sounds_like(Role.OWNER, Role.LABEL)), None)
        or best_of(codes, Role.ACCOUNT_NAME)
    )


def _owner(columns: Sequence[Column]) -> Column | None:
    users = [each for each in _holding(columns, Holds.EMAIL) if not is_of_others(each.heading)]
    ids = _holding(columns, Holds.ID)
    return best_of(users, Role.OWNER) or best_of(ids, Role.OWNER) or next(iter(users), None)


def _gives_events(column: Column) -> bool:
    """Whether every cell is the code of an activity type."""
    return column.guess.holds is Holds.INTEGER and not any(
        isinstance(EventValue().read(each.cell), Fault) for each in column.seen
    )


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
