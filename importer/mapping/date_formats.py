"""How dates are written: one `strptime` format, compiled; and the ISO forms that need no format.

The formats are those of `strptime`, without its traps: month and weekday names are English whatever the
system's locale; digits that touch (`%d%m%Y`) have their full width, so that `1072026` is not read as
10 July; `%H` with `%p`, a format without a month, text that is left over: all of these are faults.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from importer.mapping.values import Fault
from importer.text import quoted

MONTHS: Final = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH_NUMBERS: Final = {
    **{name: number for number, name in enumerate(MONTHS, 1)},
    **{name[:3]: number for number, name in enumerate(MONTHS, 1)},
    "sept": 9,
}
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _names(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


_MONTH_NAME: Final = f"(?ai:{_names(_MONTH_NUMBERS)})"
_WEEKDAY_NAME: Final = f"(?ai:{_names((*_WEEKDAYS, *(name[:3] for name in _WEEKDAYS)))})"


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
    "b": _Directive("month_name", _MONTH_NAME, _MONTH_NAME, "Jul"),
    "B": _Directive("month_name", _MONTH_NAME, _MONTH_NAME, "July"),
    "a": _Directive("weekday", _WEEKDAY_NAME, _WEEKDAY_NAME, "Fri"),
    "A": _Directive("weekday", _WEEKDAY_NAME, _WEEKDAY_NAME, "Friday"),
    "j": _Directive("day_of_year", r"\d{1,3}", r"\d{3}", "212"),
    "H": _Directive("hour", r"\d{1,2}", r"\d{2}", "14"),
    "I": _Directive("hour12", r"\d{1,2}", r"\d{2}", "02"),
    "p": _Directive("half", r"am|pm|a\.m\.|p\.m\.", r"am|pm|a\.m\.|p\.m\.", "PM"),
    "M": _Directive("minute", r"\d{1,2}", r"\d{2}", "05"),
    "S": _Directive("second", r"\d{1,2}", r"\d{2}", "09"),
    "f": _Directive("fraction", r"\d{1,9}", r"\d{6}", "000000"),
    "z": _Directive("offset", r"z|[+-]\d{2}:?\d{2}", r"z|[+-]\d{2}:?\d{2}", "+0530"),
}
_SHORTHANDS: Final = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y", "%e": "%d"}
_TOKEN: Final = re.compile(r"%-?(.)|(\s+)|(.)", re.DOTALL)
_DIGITS: Final = frozenset("dmYyjHIMSf")


class Moment(NamedTuple):
    """local: as written, whole seconds. offset: from UTC, if the text gives it. has_time: a time was written.
    swappable: day and month could change places and give another date."""

    local: dt.datetime
    offset: dt.timedelta | None
    has_time: bool
    swappable: bool


class FormatError(ValueError):
    """The format cannot be used; `str()` is the sentence for a person."""


class DateFormat:
    """One `strptime` format, compiled. Raises FormatError if it cannot give a whole date."""

    __slots__ = ("_regex", "_swappable", "example", "has_time", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        expanded = text
        for short, long in _SHORTHANDS.items():
            expanded = expanded.replace(short, long)
        tokens = _tokens(expanded, text)
        groups = [token[0].group for token in tokens if isinstance(token[0], _Directive)]
        _demand_whole_date(groups, text)
        self._regex = re.compile("".join(pattern for _, pattern in tokens), re.IGNORECASE)
        self.example = "".join(part.example if isinstance(part, _Directive) else part for part, _ in tokens)
        self.has_time = "hour" in groups or "hour12" in groups
        numeric = [group for group in groups if group in {"year", "short_year", "month", "day"}]
        self._swappable = "month" in numeric and "day" in numeric and numeric[0] != "year"

    def __repr__(self) -> str:
        return f"DateFormat({self.text!r})"

    def parse(self, text: str) -> Moment | Fault | None:
        """The moment; None if the text has another shape; a Fault if it has, but there is no such date."""
        match = self._regex.fullmatch(text)
        if match is None:
            return None
        found = match.groupdict()
        try:
            return self._moment(found)
        except (ValueError, OverflowError):
            return Fault(
                "no-such-date",
                f"{quoted(text)} names a day or time that does not exist (read as {self.text}).",
                "Correct it; if day and month are the other way round, mend `format` in the mapping.",
            )

    def _moment(self, found: dict[str, str | None]) -> Moment:
        year = int(found["year"] or 0) if found.get("year") else _full_year(int(found["short_year"] or 0))
        if found.get("day_of_year"):
            day = dt.date(year, 1, 1) + dt.timedelta(days=int(found["day_of_year"] or 0) - 1)
            if day.year != year:
                raise ValueError
        else:
            name = found.get("month_name")
            month = _MONTH_NUMBERS[name.lower()] if name else int(found["month"] or 0)
            day = dt.date(year, month, int(found["day"] or 0))
        weekday = found.get("weekday")
        if weekday and _WEEKDAYS[day.weekday()][:3] != weekday[:3].lower():
            raise ValueError
        hour = _hour(found)
        time = dt.time(hour, int(found.get("minute") or 0), int(found.get("second") or 0))
        swappable = self._swappable and day.day <= 12 and day.day != day.month
        return Moment(dt.datetime.combine(day, time), _offset(found.get("offset")), self.has_time, swappable)


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
        tokens.append((part, f"(?P<{part.group}>{part.tight if touching else part.loose})"))
    return tokens


def _is_digits(part: _Directive | str, end: int) -> bool:
    """Whether the neighbour is made of digits, so that widths must be fixed to tell the two apart."""
    if isinstance(part, _Directive):
        return part.tight.startswith(r"\d")
    return part[end:][:1].isdigit()


def _demand_whole_date(groups: list[str], text: str) -> None:
    """Raise FormatError unless the groups give one whole date, without contradictions."""
    has = set(groups)
    year, month, hour = has & {"year", "short_year"}, has & {"month", "month_name"}, has & {"hour", "hour12"}
    hint = " %M stands for minutes." if "minute" in has else ""
    by_day_of_year = "day_of_year" in has
    wrong = (
        (len(groups) > len(has), "names the same thing twice."),
        (len(year) > 1 or len(month) > 1 or len(hour) > 1, "names the year, the month or the hour twice."),
        (not year, "has no year (%Y, or %y for two digits)."),
        (not month and not by_day_of_year, f"has no month (%m, or %b for its name).{hint}"),
        ("day" not in has and not by_day_of_year, "has no day (%d)."),
        (by_day_of_year and ("day" in has or month), "has the day of the year beside day or month."),
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


def _full_year(short: int) -> int:
    """The year of two digits, by the POSIX rule: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068."""
    return short + (1900 if short >= 69 else 2000)


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
    if text in "zZ":
        return dt.timedelta()
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    if int(text[1:3]) > 14 or int(text[-2:]) > 59:
        raise ValueError
    return dt.timedelta(minutes=-minutes if text[0] == "-" else minutes)


_ISO_TIMES: Final = tuple(
    f"{mark}{time}{zone}"
    for mark in (" ", "T")
    for time in ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f")
    for zone in ("", "%z", " %z")
)
ISO_FORMATS: Final = tuple(DateFormat(f"%Y-%m-%d{time}") for time in ("", *_ISO_TIMES))
"""Year first is the one order that nobody misreads: what is understood when a mapping names no format."""
