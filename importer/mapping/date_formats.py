"""How dates are written: one `strptime` format, compiled; and the ISO forms that need no format.

The formats are those of `strptime`, without its traps: month names are English or those of the mapping's
`locale`, whatever the system's; digits that touch (`%d%m%Y`) have their full width, so that `1072026` is not
read as 10 July; `%H` with `%p`, a format without a month, text that is left over: all of these are faults.
"""

from __future__ import annotations

import calendar
import datetime as dt
import re
from typing import Final, Literal, NamedTuple

from importer.mapping.month_names import ENGLISH, folded_name, month_numbers
from importer.mapping.values import Fault
from importer.text import quoted

MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WORD: Final = r"[^\W\d_]+\.?"
_NO_SUCH_DATE: Final = "no-such-date"

Order = Literal["day", "month"]


class _Directive(NamedTuple):
    """group: what it tells. loose, tight: its digits alone and touching others. example: for messages."""

    group: str
    loose: str
    tight: str
    example: str


_DIRECTIVES: Final = {
    "d": _Directive("day", r"\d{1,2}", r"\d{2}", "31"),
    "m": _Directive("month", r"\d{1,2}", r"\d{2}", "07"),
    "Y": _Directive("year", r"\d{4}", r"\d{4}", "2026"),
    "y": _Directive("short_year", r"\d{2}", r"\d{2}", "26"),
    "b": _Directive("month_name", _WORD, _WORD, "Jul"),
    "B": _Directive("month_name", _WORD, _WORD, "July"),
    "a": _Directive("weekday", _WORD, _WORD, "Fri"),
    "A": _Directive("weekday", _WORD, _WORD, "Friday"),
    "j": _Directive("day_of_year", r"\d{1,3}", r"\d{3}", "212"),
    "H": _Directive("hour", r"\d{1,2}", r"\d{2}", "14"),
    "I": _Directive("hour12", r"\d{1,2}", r"\d{2}", "02"),
    "p": _Directive("half", r"am|pm|a\.m\.|p\.m\.", r"am|pm|a\.m\.|p\.m\.", "PM"),
    "M": _Directive("minute", r"\d{1,2}", r"\d{2}", "05"),
    "S": _Directive("second", r"\d{1,2}", r"\d{2}", "09"),
    "f": _Directive("fraction", r"\d{1,9}", r"\d{6}", "000000"),
    "z": _Directive(
        "offset", r"z|utc|gmt|[+-]\d{2}(?::?\d{2})?", r"z|utc|gmt|[+-]\d{2}(?::?\d{2})?", "+0530"
    ),
}
_SHORTHANDS: Final = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y", "%e": "%d"}
_TOKEN: Final = re.compile(r"%-?(.)|(\s+)|(.)", re.DOTALL)
_FRACTION: Final = r"(?:[.,]\d{1,9})?"
"""Databases write seconds with a fraction, which is dropped, whether or not the format says %f."""
_LITERAL_ZONE: Final = re.compile(r"(?<![A-Za-z])(?:Z|UTC|GMT)(?![A-Za-z])|[+-]\d{2}:?\d{2}", re.IGNORECASE)
_TIME_DIRECTIVE: Final = re.compile(r"%-?[HIpMSfzTR]")


class WrittenDate(NamedTuple):
    """local: as written, whole seconds. offset: from UTC, if the text gives it. has_time: a time was written.
    order: whether day or month was written first, both as numbers; None where neither could be the other.
    swappable: day and month could change places and give another date."""

    local: dt.datetime
    offset: dt.timedelta | None
    has_time: bool
    order: Order | None = None
    swappable: bool = False


class FormatError(ValueError):
    """The format cannot be used; `str()` is the sentence for a person."""


class DateFormat:
    """One `strptime` format, compiled. Raises FormatError if it cannot give a whole date (time_only: a time
    of day)."""

    __slots__ = ("_months", "_order", "_regex", "example", "has_time", "text")

    def __init__(self, text: str, locale: str = ENGLISH, *, time_only: bool = False) -> None:
        self.text = text
        self._months = month_numbers(locale)
        expanded = text
        for short, long in _SHORTHANDS.items():
            expanded = expanded.replace(short, long)
        tokens = _tokens(expanded, text)
        groups = [token[0].group for token in tokens if isinstance(token[0], _Directive)]
        if time_only:
            _demand_time(groups, text)
        else:
            _demand_whole_date(groups, text)
        self._regex = re.compile("".join(pattern for _, pattern in tokens), re.IGNORECASE)
        self.example = "".join(part.example if isinstance(part, _Directive) else part for part, _ in tokens)
        self.has_time = "hour" in groups or "hour12" in groups
        numeric = [group for group in groups if group in {"year", "short_year", "month", "day"}]
        self._order: Order | None = None
        if "month" in numeric and "day" in numeric and numeric[0] != "year":
            self._order = "day" if numeric.index("day") < numeric.index("month") else "month"

    def __repr__(self) -> str:
        return f"DateFormat({self.text!r})"

    @property
    def names_months(self) -> bool:
        """Whether months are written by name."""
        return "?P<month_name>" in self._regex.pattern

    def parse(self, text: str) -> WrittenDate | Fault | None:
        """The moment; None if the text has another form; a Fault if it has, but there is no such date."""
        match = self._regex.fullmatch(text)
        if match is None:
            return None
        found = match.groupdict()
        if found.get("month_name") and folded_name(found["month_name"]) not in self._months:
            return None
        try:
            return self._moment(found)
        except (ValueError, OverflowError):
            return self._no_such_date(text, found)

    def parse_time(self, text: str) -> tuple[dt.time, dt.timedelta | None] | None:
        """The time of day, and its offset if it has one, of a format without a date; None for other texts."""
        match = self._regex.fullmatch(text)
        if match is None:
            return None
        found = match.groupdict()
        try:
            return _time(found), _offset(found.get("offset"))
        except ValueError:
            return None

    def is_other_order(self, text: str) -> bool:
        """Whether the text is a date only with day and month exchanged."""
        match = None if self._order is None else self._regex.fullmatch(text)
        if match is None:
            return False
        found = match.groupdict()
        return int(found["month"] or 0) > 12 and 1 <= int(found["day"] or 0) <= 12

    def _moment(self, found: dict[str, str | None]) -> WrittenDate:
        year = _year(found)
        if found.get("day_of_year"):
            day = dt.date(year, 1, 1) + dt.timedelta(days=int(found["day_of_year"] or 0) - 1)
            if day.year != year:
                raise ValueError
        else:
            day = dt.date(year, self._month(found), int(found["day"] or 0))
        weekday = (found.get("weekday") or "").rstrip(".").lower()
        english = self._months is month_numbers(ENGLISH)
        if weekday and english and _WEEKDAYS[day.weekday()][: max(3, len(weekday))] != weekday:
            raise ValueError
        local = dt.datetime.combine(day, _time(found))
        swappable = self._order is not None and local.day <= 12 and local.day != local.month
        return WrittenDate(local, _offset(found.get("offset")), self.has_time, self._order, swappable)

    def _month(self, found: dict[str, str | None]) -> int:
        name = found.get("month_name")
        return self._months[folded_name(name)] if name else int(found["month"] or 0)

    def _no_such_date(self, text: str, found: dict[str, str | None]) -> Fault:
        """What of the date does not exist."""
        month = 0 if found.get("day_of_year") else self._month(found)
        day = int(found.get("day") or 0)
        if self._order is not None and month > 12 and 1 <= day <= 12:
            return Fault(
                _NO_SUCH_DATE,
                f"{quoted(text)} has no month {month} (read as {self.text}).",
                "Correct it; if day and month are the other way round, correct `format` in the mapping.",
            )
        if 1 <= month <= 12 and _year(found) and day > calendar.monthrange(_year(found), month)[1]:
            year = f" {_year(found)}" if month == 2 else ""
            what = f"{day} {MONTHS[month - 1]}{year} does not exist"
        else:
            what = "a day or time that does not exist"
            return Fault(
                _NO_SUCH_DATE, f"{quoted(text)} names {what} (read as {self.text}).", "Correct the cell."
            )
        return Fault(_NO_SUCH_DATE, f"{quoted(text)}: {what}.", "Correct the cell.")


def literal_zone(text: str) -> str | None:
    """A time zone that stands in a format as plain text (`Z`, `UTC`, `+05:30`); None if there is none."""
    text = re.sub(r"(?:GMT|UTC) ?(?=%z)", "", text)  # GMT+0530: the offset is read
    found = _LITERAL_ZONE.search(re.sub(r"%-?.", "\0", text))
    return None if found is None else found.group()


def parted(text: str) -> tuple[str, str] | None:
    """A format of date and time as one of the date and one of the time; None if they are not apart."""
    first = _TIME_DIRECTIVE.search(text)
    if first is None or not first.start():
        return None
    date, time = text[: first.start()], text[first.start() :]
    bare = date.rstrip("T") if date.endswith("T") and not date.endswith("%T") else date
    return bare.strip(" ,"), time.strip()


def _tokens(expanded: str, text: str) -> list[tuple[_Directive | str, str]]:
    """The format's parts, each with its regular expression."""
    parts: list[_Directive | str] = []
    for letter, space, literal in _TOKEN.findall(expanded):
        if letter == "%":
            parts.append("%")
        elif letter:
            directive = _DIRECTIVES.get(letter)
            if directive is None:
                known = ", ".join(f"%{known}" for known in _DIRECTIVES)
                raise FormatError(
                    f'The format "{text}" has %{letter}, which is not known here. Known are {known}.'
                )
            parts.append(directive)
        else:
            parts.append(" " if space else literal)
    if expanded.endswith("%") and (not parts or parts[-1] == "%") and not expanded.endswith("%%"):
        raise FormatError(f'The format "{text}" ends with a single %.')
    tokens: list[tuple[_Directive | str, str]] = []
    for index, part in enumerate(parts):
        if isinstance(part, str):
            tokens.append((part, r"\s+" if part == " " else re.escape(part)))
            continue
        before = parts[index - 1] if index else ""
        after = parts[index + 1] if index + 1 < len(parts) else ""
        touching = _is_digits(before, -1) or _is_digits(after, 0)
        pattern = f"(?P<{part.group}>{part.tight if touching else part.loose})"
        if part.group == "second" and not touching and after not in {".", ","}:
            pattern += _FRACTION
        tokens.append((part, pattern))
    return tokens


def _is_digits(part: _Directive | str, end: int) -> bool:
    """Whether the neighbour is made of digits, so that widths must be fixed to tell the two apart."""
    if isinstance(part, _Directive):
        return part.tight.startswith(r"\d")
    return part[end:][:1].isdigit()


def _demand_whole_date(groups: list[str], text: str) -> None:
    """Raise FormatError unless the groups give one whole date, without contradictions."""
    has = set(groups)
    year, month = has & {"year", "short_year"}, has & {"month", "month_name"}
    hint = " %M stands for minutes." if "minute" in has else ""
    by_day_of_year = "day_of_year" in has
    wrong = (
        (len(year) > 1 or len(month) > 1, "names the year or the month twice."),
        (not year, "has no year (%Y, or %y for two digits)."),
        (not month and not by_day_of_year, f"has no month (%m, or %b for its name).{hint}"),
        ("day" not in has and not by_day_of_year, "has no day (%d)."),
        (by_day_of_year and ("day" in has or month), "has the day of the year beside day or month."),
    )
    for found, what in wrong:
        if found:
            raise FormatError(f'The format "{text}" {what}')
    _demand_consistent_time(groups, text)


def _demand_time(groups: list[str], text: str) -> None:
    """Raise FormatError unless the groups give a time of day."""
    if not {"hour", "hour12"} & set(groups):
        raise FormatError(f'The format "{text}" has no hour (%H, or %I with %p).')
    _demand_consistent_time(groups, text)


def _demand_consistent_time(groups: list[str], text: str) -> None:
    has = set(groups)
    hour = has & {"hour", "hour12"}
    wrong = (
        (len(groups) > len(has), "names the same thing twice."),
        (len(hour) > 1, "names the hour twice."),
        (
            ("half" in has) != ("hour12" in has),
            "needs %I and %p together (%H is the 24-hour clock and knows no %p).",
        ),
        (not hour and has & {"minute", "second"}, "has %M or %S but no hour (%H); months are %m."),
        ("fraction" in has and "second" not in has, "has %f without %S."),
    )
    for found, what in wrong:
        if found:
            raise FormatError(f'The format "{text}" {what}')


def _year(found: dict[str, str | None]) -> int:
    """Two digits are read as Excel does: 30 to 99 are 1930 to 1999, 00 to 29 are 2000 to 2029."""
    if found.get("year"):
        return int(found["year"] or 0)
    short = int(found["short_year"] or 0)
    return short + (1900 if short >= 30 else 2000)


def _time(found: dict[str, str | None]) -> dt.time:
    return dt.time(_hour(found), int(found.get("minute") or 0), int(found.get("second") or 0))


def _hour(found: dict[str, str | None]) -> int:
    hour12 = found.get("hour12")
    if hour12 is None:
        return int(found.get("hour") or 0)
    if not 1 <= int(hour12) <= 12:
        raise ValueError
    return int(hour12) % 12 + (12 if (found.get("half") or "").lower().startswith("p") else 0)


def _offset(text: str | None) -> dt.timedelta | None:
    if text is None:
        return None
    if text[0].isalpha():
        return dt.timedelta()
    hours, minutes = int(text[1:3]), int(text[3:].lstrip(":") or 0)
    if hours > 14 or minutes > 59:
        raise ValueError
    offset = dt.timedelta(hours=hours, minutes=minutes)
    return -offset if text[0] == "-" else offset


_ISO_TIMES: Final = tuple(
    f"{mark}{time}{zone}"
    for mark in (" ", "T")
    for time in ("%H:%M:%S", "%H:%M")
    for zone in ("", "%z", " %z")
)
ISO_FORMATS: Final = tuple(DateFormat(f"%Y-%m-%d{time}") for time in ("", *_ISO_TIMES))
"""Year first is the one order that nobody misreads: what is understood when a mapping names no format."""
