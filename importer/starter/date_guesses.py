"""How a column's dates are written: one or several formats, and whether day or month comes first.

Where nothing in the column shows the order (no number above 12), that is said, and the order in which the
dates lie closer together is taken: nobody guesses unseen.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from importer.mapping.dates import ISO_FORMATS, MONTHS, YEAR_PLAUSIBLE, DateFormat, Order, WrittenDate
from importer.sheets.rows import DateCell
from importer.text import quoted

READ_LENGTH_MAX: Final = 60
ORDERS: Final[tuple[Order, ...]] = ("day", "month")
_ISO_TEXTS: Final = frozenset(each.text for each in ISO_FORMATS)
_TIME: Final = re.compile(
    r"(?P<gap>,? |T)?(?P<hour>\d{1,2}):\d{2}(?P<second>:\d{2})?(?:\.\d{1,6})?"
    r"(?P<half> ?[ap]\.?m\.?)?(?P<zone> ?(?:z|(?:gmt|utc)?[+-]\d{1,2}:?\d{2}))?",
    re.IGNORECASE | re.ASCII,
)
_WEEKDAY: Final = re.compile(r"[a-z]{3,9}(,? )(?=\d|[a-z]{3,9}\.?,? \d)", re.IGNORECASE)
_BETWEEN: Final = r"( ?[-/.,]? ?)"
_NUMERIC: Final = re.compile(r"\d{1,2}( ?[-/.] ?| )\d{1,2}\1(\d{4}|\d{2})", re.ASCII)
_NAMED: Final = tuple(
    (re.compile(pattern, re.ASCII | re.IGNORECASE), first, second)
    for pattern, first, second in (
        (rf"\d{{1,2}}{_BETWEEN}[a-z]{{3,9}}{_BETWEEN}(\d{{4}}|\d{{2}})", "%d", "%b"),
        (rf"[a-z]{{3,9}}{_BETWEEN}\d{{1,2}}{_BETWEEN}(\d{{4}})", "%b", "%d"),
    )
)
_YEAR_FIRST: Final = re.compile(r"\d{4}([-/.])\d{1,2}\1\d{1,2}", re.ASCII)
_YEARS: Final = {4: "%Y", 2: "%y"}
_COMPACT: Final = re.compile(r"(?:19|20)\d{6}", re.ASCII)

Readings = dict[str, tuple[str, WrittenDate]]
"""The ways to read a text as a date: by order (`day`, `month`, or `fixed`) the format and the moment."""


def time_format(cell: str) -> str | None:
    """The format of a cell that is a time of day, such as `10:30` or `2:15 PM`; None for others."""
    if isinstance(cell, DateCell):
        return "%H:%M:%S" if isinstance(cell.value, dt.time) else None
    match = _TIME.fullmatch(" ".join(cell.split()) if len(cell) <= READ_LENGTH_MAX else "")
    if match is None or match["gap"] or match["zone"]:
        return None
    format_ = _time_format(match)
    return format_ if DateFormat(format_, time_only=True).parse_time(match[0]) is not None else None


@lru_cache(maxsize=8192)
def readings(text: str, *, compact: bool = False) -> Readings:
    """The ways to read a text as a date. compact: take `20260731` for a date, which otherwise is a number."""
    if not 6 <= len(text) <= READ_LENGTH_MAX:
        return {}
    found: Readings = {}
    for order, format_ in _formats(" ".join(text.split()), compact=compact):
        moment = _compiled(format_).parse(text)
        if isinstance(moment, WrittenDate) and moment.local.year in YEAR_PLAUSIBLE:
            found[order] = (format_, moment)
    return found


def _formats(line: str, *, compact: bool) -> Iterator[tuple[str, str]]:
    """The formats that have the form of the line, with the order that each stands for."""
    before, day_part, after = "", line, ""
    time = next((each for each in _TIME.finditer(line) if each.end() == len(line) and each["gap"]), None)
    if time is not None:
        day_part, after = line[: time.start()], _time_format(time)
    weekday = _WEEKDAY.match(day_part)
    if weekday is not None and not any(pattern.fullmatch(day_part) for pattern, _, _ in _NAMED):
        before, day_part = f"%a{weekday.group(1)}", day_part[weekday.end() :]
    if compact and _COMPACT.fullmatch(day_part):
        yield "fixed", f"%Y%m%d{after}"
    if match := _YEAR_FIRST.fullmatch(day_part):
        mark = match.group(1)
        yield "fixed", f"{before}%Y{mark}%m{mark}%d{after}"
    if match := _NUMERIC.fullmatch(day_part):
        mark, year = match.group(1), _YEARS[len(match.group(2))]
        yield "day", f"{before}%d{mark}%m{mark}{year}{after}"
        yield "month", f"{before}%m{mark}%d{mark}{year}{after}"
    for pattern, first, second in _NAMED:
        if match := pattern.fullmatch(day_part):
            year = _YEARS[len(match.group(3))]
            yield "fixed", f"{before}{first}{match.group(1)}{second}{match.group(2)}{year}{after}"


def _time_format(match: re.Match[str]) -> str:
    half, zone = match["half"] or "", match["zone"] or ""
    parts = [(match["gap"] or "").upper(), "%I" if half else "%H", ":%M", ":%S" if match["second"] else ""]
    parts += [" %p" if half.startswith(" ") else "%p"] if half else []
    parts += [re.sub(r"(?i)z$|[+-].*", "%z", zone)] if zone else []
    return "".join(parts)


_compiled: Final = lru_cache(maxsize=512)(DateFormat)


class DateGuess(NamedTuple):
    """formats: as found, the most frequent first; empty if every text is in the ISO form. timed: some cell
    has a time of day. order: what the column itself shows. mixed: it shows both. why, doubts: as in `Guess`.
    """

    formats: tuple[str, ...]
    timed: bool
    order: Order | None
    mixed: bool
    why: str
    doubts: tuple[str, ...]


def guess_dates(
    cells: Iterable[tuple[str, int]], *, prefer: Order | None = None, compact: bool = False
) -> DateGuess | None:
    """How the dates among the cells (each with its number of rows) are written; None if there are none.

    prefer: the order to take where the column shows none, such as that of the sheet's other columns.
    """
    stored: list[dt.datetime] = []
    texts: list[tuple[str, int, Readings]] = []
    for cell, count in cells:
        if isinstance(cell, DateCell):
            if not isinstance(cell.value, dt.time):
                stored.append(dt.datetime.combine(cell.value, getattr(cell.value, "time", dt.time)()))
        elif ways := readings(cell, compact=compact):
            texts.append((cell, count, ways))
    if not stored and not texts:
        return None
    only = {order: [(text, rows) for text, rows, ways in texts if set(ways) == {order}] for order in ORDERS}
    votes = {order: sum(rows for _, rows in only[order]) for order in ORDERS}
    order: Order = "day" if votes["day"] > votes["month"] else "month"
    if votes["day"] == votes["month"]:
        order = prefer or _closer(stored, [ways for _, _, ways in texts])
    counts: Counter[str] = Counter()
    for _, rows, ways in sorted(texts, key=lambda each: "fixed" not in each[2]):
        if way := ways.get("fixed") or ways.get(order):
            counts[way[0]] += rows
    formats = tuple(text for text, _ in counts.most_common())
    formats = () if _ISO_TEXTS.issuperset(formats) else formats
    moments = [*stored, *(moment.local for _, _, ways in texts for _, moment in ways.values())]
    reasons = [f"written in {len(formats)} ways, tried in this order"] if len(formats) > 1 else []
    shown = [each for each in ORDERS if only[each]]
    proofs = [quoted(only[each][0][0]) for each in shown]
    both = () if shown else (text for text, _, ways in texts if len(ways) == 2 and ways["day"][1].swappable)
    doubts = [_MIXED.format(*proofs)] if len(shown) == 2 else []
    doubts += [_order_unseen(text, order) for text in itertools.islice(both, 1)]
    if len(shown) == 1:
        reasons.append(f"the {shown[0]} comes first, as {proofs[0]} shows")
    return DateGuess(
        formats=formats,
        timed=any(moment.time() != dt.time() for moment in moments),
        order=shown[0] if len(shown) == 1 else None,
        mixed=len(shown) == 2,
        why="; ".join(reasons),
        doubts=tuple(doubts),
    )


_MIXED: Final = (
    "Some dates have the day first ({}), others the month ({}): one order is used for all, and dates that fit"
    " both may be read the wrong way round. Correct the sheet."
)


def _order_unseen(text: str, chosen: Order) -> str:
    """The doubt about a text that is a date in both orders."""
    ways = readings(text)
    format_, (taken, *_) = ways[chosen]
    other = ways["month" if chosen == "day" else "day"][1].local
    swapped = format_.replace("%d", "%?").replace("%m", "%d").replace("%?", "%m")
    return (
        f"Whether day or month comes first cannot be seen in this column: {quoted(text)} is read as"
        f" {taken.day} {MONTHS[taken.month - 1]} {taken.year}, not {other.day} {MONTHS[other.month - 1]}."
        f" If that is wrong, write {swapped} instead."
    )


def _closer(stored: Sequence[dt.datetime], texts: Sequence[Readings]) -> Order:
    """The order in which all the dates lie within fewer days; day first if both do."""

    def span(order: Order) -> dt.timedelta:
        read = [ways.get(order) or next(iter(ways.values())) for ways in texts]
        days = [*stored, *(moment.local for _, moment in read)]
        return max(days) - min(days)

    return min(ORDERS, key=span)
