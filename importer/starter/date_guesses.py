"""How a column's dates are written: one or several formats, and whether day or month comes first.

Where nothing in the column tells the order (no number above 12), that is said, and the order in which the
dates lie closer together is taken: nobody guesses unseen.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal

from importer.mapping.date_formats import ISO_FORMATS, DateFormat, FormatError, Moment
from importer.mapping.date_values import YEAR_PLAUSIBLE
from importer.sheets.rows import DateCell

Order = Literal["day", "month"]

TEXT_LENGTH_MAX: Final = 60
_ISO_TEXTS: Final = frozenset(each.text for each in ISO_FORMATS)
_TIME: Final = re.compile(
    r"(?P<gap>,? |T)(?P<hour>\d{1,2}):\d{2}(?P<second>:\d{2})?(?P<fraction>\.\d{1,6})?"
    r"(?P<half> ?[ap]\.?m\.?)?(?P<zone> ?(?:z|[+-]\d{2}:?\d{2}))?",
    re.IGNORECASE | re.ASCII,
)
_WEEKDAY: Final = re.compile(r"[a-z]{3,9}(,? )(?=\d|[a-z]{3,9}\.?,? \d)", re.IGNORECASE)
_BETWEEN: Final = r"( ?[-/.,]? ?)"
_NUMERIC: Final = re.compile(r"\d{1,2}( ?[-/.] ?| )\d{1,2}\1(\d{4}|\d{2})", re.ASCII)
_NAMED: Final = (
    (
        re.compile(rf"\d{{1,2}}{_BETWEEN}[a-z]{{3,9}}{_BETWEEN}(\d{{4}}|\d{{2}})", re.ASCII | re.IGNORECASE),
        "d%b%",
    ),
    (re.compile(rf"[a-z]{{3,9}}{_BETWEEN}\d{{1,2}}{_BETWEEN}(\d{{4}})", re.ASCII | re.IGNORECASE), "b%d%"),
)
_YEAR_FIRST: Final = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}", re.ASCII)
_COMPACT: Final = re.compile(r"(?:19|20)\d{6}", re.ASCII)


def reads_as_date(text: str) -> bool:
    """Whether a text is a date in any of the ways that people write one."""
    return bool(readings(text))


@lru_cache(maxsize=8192)
def readings(text: str, *, compact: bool = False) -> dict[str, tuple[str, Moment]]:
    """The ways to read a text as a date: by order (`day`, `month`, or `fixed`) the format and the moment.

    compact: take `20260731` for a date, which otherwise is a number.
    """
    if not 6 <= len(text) <= TEXT_LENGTH_MAX:
        return {}
    line = " ".join(text.split())
    found: dict[str, tuple[str, Moment]] = {}
    for order, shape in _formats(line, compact=compact):
        moment = _compiled(shape).parse(text)
        if isinstance(moment, Moment) and moment.local.year in YEAR_PLAUSIBLE:
            found[order] = (shape, moment)
    return found


def _formats(line: str, *, compact: bool) -> Iterator[tuple[str, str]]:
    """The formats that have the shape of the line, with the order that each stands for."""
    before, day_part, after = "", line, ""
    time = next((each for each in _TIME.finditer(line) if each.end() == len(line)), None)
    if time is not None:
        day_part, after = line[: time.start()], _time_format(time)
    weekday = _WEEKDAY.match(day_part)
    if weekday is not None and not any(pattern.fullmatch(day_part) for pattern, _ in _NAMED):
        before, day_part = f"%a{weekday.group(1)}", day_part[weekday.end() :]
    if compact and _COMPACT.fullmatch(day_part):
        yield "fixed", f"%Y%m%d{after}"
    if match := _YEAR_FIRST.fullmatch(day_part):
        mark = match.group(1)
        yield "fixed", f"{before}%Y{mark}%m{mark}%d{after}"
    if match := _NUMERIC.fullmatch(day_part):
        mark, year = match.group(1), _year(match.group(2))
        yield "day", f"{before}%d{mark}%m{mark}{year}{after}"
        yield "month", f"{before}%m{mark}%d{mark}{year}{after}"
    for pattern, directives in _NAMED:
        if match := pattern.fullmatch(day_part):
            first, second = directives[0], directives[2]
            year = _year(match.group(3))
            yield "fixed", f"{before}%{first}{match.group(1)}%{second}{match.group(2)}{year}{after}"


def _time_format(match: re.Match[str]) -> str:
    half, zone = match.group("half") or "", match.group("zone") or ""
    parts = [match.group("gap").upper(), "%I" if half else "%H", ":%M"]
    parts += [":%S"] if match.group("second") else []
    parts += [".%f"] if match.group("fraction") else []
    parts += [" %p" if half.startswith(" ") else "%p"] if half else []
    parts += [" %z" if zone.startswith(" ") else "%z"] if zone else []
    return "".join(parts)


def _year(digits: str) -> str:
    return "%Y" if len(digits) == 4 else "%y"


@lru_cache(maxsize=512)
def _compiled(shape: str) -> DateFormat:
    try:
        return DateFormat(shape)
    except FormatError as error:  # every format here is built from known parts
        raise AssertionError(shape) from error


@dataclass(slots=True)
class _Shape:
    """What the cells of one shape tell. Counts of rows: readable only in that order, or in either."""

    formats: dict[str, str] = field(default_factory=dict)
    only: dict[str, int] = field(default_factory=lambda: {"day": 0, "month": 0})
    example: dict[str, str] = field(default_factory=dict)
    either: int = 0
    open_text: str = ""


@dataclass(frozen=True, slots=True)
class DateGuess:
    """formats: as found, the most frequent first; empty if every text is in the ISO form.

    timed: some cell has a time of day. order: what the column itself shows, None if it shows nothing or
    both. proof: a text that can be read in that order only. open_text: a text whose order had to be chosen;
    chosen: the order taken for it. mixed: texts that are dates in the one order only, and in the other only.
    """

    formats: tuple[str, ...]
    timed: bool
    order: Order | None = None
    proof: str = ""
    open_text: str = ""
    chosen: Order | None = None
    mixed: tuple[str, ...] = ()


def guess_dates(
    cells: Iterable[tuple[str, int]], *, prefer: Order | None = None, compact: bool = False
) -> DateGuess | None:
    """How the dates among the cells (each with its number of rows) are written; None if there are none.

    prefer: the order to take where the column tells none, such as that of the sheet's other columns.
    """
    shapes: dict[str, _Shape] = {}
    counts: dict[str, int] = {}
    fixed: list[dt.datetime] = []
    open_days: list[tuple[dt.datetime, dt.datetime]] = []
    timed = False
    for cell, count in cells:
        if isinstance(cell, DateCell):
            if (when := _stored(cell)) is not None:
                fixed.append(when)
                timed = timed or when.time() != dt.time()
            continue
        ways = readings(cell, compact=compact)
        if not ways:
            continue
        timed = timed or any(way.local.time() != dt.time() for _, way in ways.values())
        if "fixed" in ways:
            shape, moment = ways["fixed"]
            counts[shape] = counts.get(shape, 0) + count
            fixed.append(moment.local)
        else:
            _tally(shapes, cell, ways, count)
            if len(ways) == 2:
                open_days.append((ways["day"][1].local, ways["month"][1].local))
            else:
                fixed += [moment.local for _, moment in ways.values()]
    if not fixed and not open_days:
        return None
    return _decided(shapes, counts, prefer or _closer(fixed, open_days), timed=timed)


def _tally(shapes: dict[str, _Shape], cell: str, ways: dict[str, tuple[str, Moment]], count: int) -> None:
    # Both orders of a shape differ in nothing but the letters of day and month.
    key = next(iter(ways.values()))[0].replace("%d", "%?").replace("%m", "%?")
    shape = shapes.setdefault(key, _Shape())
    shape.formats |= {order: text for order, (text, _) in ways.items()}
    if len(ways) == 1:
        order = next(iter(ways))
        shape.only[order] += count
        shape.example.setdefault(order, cell)
        return
    shape.either += count
    if ways["day"][1].swappable and not shape.open_text:
        shape.open_text = cell


def _decided(shapes: dict[str, _Shape], counts: dict[str, int], fallback: Order, *, timed: bool) -> DateGuess:
    """The formats, by what each shape tells, else what the other shapes tell, else the fallback."""
    shown: set[Order] = set()
    for order in _ORDERS:
        if any(shape.only[order] for shape in shapes.values()):
            shown.add(order)
    common: Order | None = next(iter(shown)) if len(shown) == 1 else None
    mixed: tuple[str, ...] = ()
    open_text, chosen = "", None
    for shape in shapes.values():
        day, month = shape.only["day"], shape.only["month"]
        order = "day" if day > month else "month" if month > day else common or fallback
        if day and month:
            mixed = mixed or (shape.example["day"], shape.example["month"])
        elif not day and not month and common is None and shape.open_text:
            open_text, chosen = open_text or shape.open_text, order
        text = shape.formats.get(order) or _swapped(next(iter(shape.formats.values())))
        counts[text] = counts.get(text, 0) + shape.either + shape.only[order]
    examples = (
        [shape.example[common] for shape in shapes.values() if common in shape.example] if common else []
    )
    formats = tuple(sorted(counts, key=lambda text: -counts[text]))
    return DateGuess(
        formats=() if _ISO_TEXTS.issuperset(formats) else formats,
        timed=timed,
        order=common,
        proof=examples[0] if examples else "",
        open_text=open_text,
        chosen=chosen,
        mixed=mixed,
    )


_ORDERS: Final[tuple[Order, ...]] = ("day", "month")


def _swapped(text: str) -> str:
    return text.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")


def other_order(text: str) -> str:
    """The same format with day and month exchanged."""
    return _swapped(text)


def _stored(cell: DateCell) -> dt.datetime | None:
    value = cell.value
    if isinstance(value, dt.time):
        return None
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    return dt.datetime.combine(value, dt.time())


def _closer(fixed: Sequence[dt.datetime], open_days: Sequence[tuple[dt.datetime, dt.datetime]]) -> Order:
    """The order in which all the dates lie within fewer days; day first if both do."""
    if not open_days:
        return "day"
    spans = []
    for at in (0, 1):
        days = [*fixed, *(pair[at] for pair in open_days)]
        spans.append(max(days) - min(days))
    return "month" if spans[1] < spans[0] else "day"
