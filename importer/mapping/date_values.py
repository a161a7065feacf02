"""Dates and date-times: what sheets hold → `YYYY-MM-DD`, or `YYYY-MM-DD HH:MM:SS` in UTC."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Final
from zoneinfo import ZoneInfo

from importer.mapping.date_formats import ISO_FORMATS, MONTHS, DateFormat, Moment
from importer.mapping.values import Fault
from importer.sheets.rows import DateCell, NumberCell
from importer.text import quoted

CACHE_SIZE: Final = 20_000
YEAR_PLAUSIBLE: Final = range(1950, 2101)
"""Activities are of our days; Excel shows a stray 5 that is formatted as a date as 5 January 1900."""


class _Formats:
    """The formats of one field, tried in order; each distinct text is parsed once."""

    def __init__(self, formats: Iterable[str], example: str) -> None:
        self.given = tuple(DateFormat(text) for text in formats)
        self.tried = self.given or ISO_FORMATS
        self.example = example
        self.parse = lru_cache(maxsize=CACHE_SIZE)(self._parse)
        self.notice = lru_cache(maxsize=CACHE_SIZE)(self._notice)

    def _parse(self, text: str) -> Moment | Fault:
        fault: Fault | None = None
        for one in self.tried:
            found = one.parse(text)
            if isinstance(found, Moment):
                return found
            fault = fault or found
        return fault or self.not_a_date(text)

    def not_a_date(self, text: str) -> Fault:
        if self.given:
            shapes = " or ".join(f"{one.text} (such as {one.example})" for one in self.given[:3])
            return Fault(
                "not-a-date",
                f"{quoted(text)} is not a date of the form {shapes}.",
                "Write it in that form, or add its form to `format` in the mapping.",
            )
        return Fault(
            "not-a-date",
            f"{quoted(text)} is not a date of the form {self.example}.",
            'Say in the mapping how dates are written, such as format: "%d/%m/%Y".',
        )

    def _notice(self, text: str) -> Fault | None:
        """A date that could be read with day and month swapped, or lies far off."""
        found = self.parse(text)
        if isinstance(found, Fault):
            return None
        if found.local.year not in YEAR_PLAUSIBLE:
            return _far_off(text, found.local)
        if not found.swappable:
            return None
        day, month = found.local.day, found.local.month
        return Fault(
            "day-or-month",
            f"{quoted(text)} is read as {day} {MONTHS[month - 1].capitalize()} {found.local.year};"
            f" with day and month swapped it would be {month} {MONTHS[day - 1].capitalize()}.",
            "Compare one of them with its source; the order is set by `format` in the mapping.",
        )


def _far_off(text: str, day: dt.date) -> Fault:
    return Fault("far-off-date", f"{quoted(text)} is in the year {day.year}.", "Check the year.")


def _far_off_cell(cell: DateCell) -> Fault | None:
    """A date cell outside of the plausible years."""
    value = cell.value
    if isinstance(value, dt.time) or value.year in YEAR_PLAUSIBLE:
        return None
    return _far_off(str(cell), value)


def _cell_moment(cell: str, formats: _Formats) -> Moment | Fault:
    """What a cell of a workbook or a text holds."""
    if type(cell) is str:
        return formats.parse(cell)
    if not isinstance(cell, DateCell):
        text = str(cell)
        if isinstance(cell, NumberCell) and not formats.given:
            return Fault(
                "not-a-date",
                f"{quoted(text)} is a number, not a date.",
                "Format the cell as a date in Excel, or type the date anew.",
            )
        return formats.parse(text)
    value = cell.value
    if isinstance(value, dt.datetime):
        whole = _nearest_second(value)
        return Moment(whole, None, whole.time() != dt.time(), swappable=False)
    if isinstance(value, dt.date):
        return Moment(dt.datetime.combine(value, dt.time()), None, has_time=False, swappable=False)
    return Fault(
        "not-a-date",
        f"{quoted(str(cell))} is a time of day without a date.",
        "Put date and time into one cell.",
    )


def _nearest_second(value: dt.datetime) -> dt.datetime:
    """Excel keeps 10:30:00 as 10:29:59.999997; what it shows is the rounded second."""
    rounded = value.replace(microsecond=0, tzinfo=None)
    if value.microsecond < 500_000 or value.year == dt.MAXYEAR:
        return rounded
    return rounded + dt.timedelta(seconds=1)


class DateValue:
    """A day: `YYYY-MM-DD`. A time of day that rides along in a workbook's cell is not sent."""

    notices_texts: ClassVar = True
    name: Final = "date"

    def __init__(self, formats: Iterable[str] = ()) -> None:
        self._formats = _Formats(formats, "2026-07-31")

    def read(self, cell: str) -> str | Fault:
        found = _cell_moment(cell, self._formats)
        if isinstance(found, Fault):
            return found
        if (
            type(cell) is str
            and found.has_time
            and found.local.time() != dt.time()
            and not self._formats.given
        ):
            return Fault(
                "not-a-date",
                f"{quoted(cell)} has a time of day, but the field takes a date.",
                "Use `type: datetime`, or say with `format` that the time is to be dropped.",
            )
        return found.local.date().isoformat()

    def notice(self, cell: str) -> Fault | None:
        if not isinstance(cell, DateCell):
            return self._formats.notice(str(cell))
        value = cell.value
        timed = isinstance(value, dt.datetime) and _nearest_second(value).time() != dt.time()
        if timed and "h" in cell.code.lower():
            return Fault(
                "time-dropped",
                f"{quoted(str(cell))} has a time of day; only the date is sent.",
                "Use `type: datetime` if the time matters.",
            )
        return _far_off_cell(cell)


@dataclass(frozen=True, slots=True)
class _Unclear:
    """A wall-clock time that the zone has never or twice."""

    twice: bool


def to_utc(moment: Moment, zone: ZoneInfo) -> dt.datetime | _Unclear:
    """The moment in UTC, naive. A day without a time begins at its first existing instant.

    Raises OverflowError at the ends of the calendar.
    """
    if moment.offset is not None:
        return moment.local - moment.offset
    early = moment.local.replace(tzinfo=zone)
    offset, later_offset = early.utcoffset(), early.replace(fold=1).utcoffset()
    if offset is None or later_offset is None:
        raise OverflowError
    if offset != later_offset and moment.has_time:
        return _Unclear(twice=offset > later_offset)
    return moment.local - offset


class DateTimeValue:
    """An instant: `YYYY-MM-DD HH:MM:SS` in UTC. `zone` is where the sheet's clock hangs, unless the text has
    an offset of its own. A time that the zone skips or has twice (clock changes) is a fault."""

    notices_texts: ClassVar = True
    name: Final = "datetime"

    def __init__(self, zone: ZoneInfo, formats: Iterable[str] = ()) -> None:
        self._zone = zone
        self._formats = _Formats(formats, "2026-07-31 14:05")
        self._sent = lru_cache(maxsize=CACHE_SIZE)(self._read)

    def read(self, cell: str) -> str | Fault:
        return self._sent(cell) if type(cell) is str else self._read(cell)

    def _read(self, cell: str) -> str | Fault:
        moment = _cell_moment(cell, self._formats)
        if isinstance(moment, Fault):
            return moment
        shown = quoted(str(cell))
        try:
            instant = to_utc(moment, self._zone)
        except OverflowError:
            return Fault("no-such-date", f"{shown} lies outside of the calendar.", "Check the year.")
        if isinstance(instant, dt.datetime):
            return instant.isoformat(sep=" ", timespec="seconds")
        if instant.twice:
            return Fault(
                "ambiguous-time",
                f"{shown} comes twice in {self._zone.key}: the clocks went back that day.",
                "Write the offset from UTC behind it, such as +0200, and %z at the end of `format`.",
            )
        return Fault(
            "no-such-time",
            f"{shown} does not exist in {self._zone.key}: the clocks went forward over it.",
            "Correct the time, or `timezone` in the mapping.",
        )

    def notice(self, cell: str) -> Fault | None:
        if not isinstance(cell, DateCell):
            return self._formats.notice(str(cell))
        return _far_off_cell(cell)
