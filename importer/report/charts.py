"""A batch's Create calls over time, in at most some hundred bins, and their charts as inline SVG. Pure.

Times are Unix seconds by our clock. A batch that was resumed has several sessions with nothing in between;
they are side by side. In the charts are numbers and fixed words only, coloured by the page's own classes:
nothing that a sheet or LeadSquared says gets in here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from importer.text import duration

OUTCOMES: Final = ("created", "refused", "throttled", "in doubt", "not sent")
BINS_WANTED: Final = 120
SESSIONS_MAX: Final = 40
SESSION_GAP_S: Final = 900.0
WIDTH: Final = 720
HEIGHT: Final = 220
_LEFT: Final = 46
_RIGHT: Final = 8
_TOP: Final = 14
_BOTTOM: Final = 36
LABEL_WIDTH: Final = 96
BAR_WIDEST: Final = 40.0
_NICE_S: Final = (5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400, 604800)


@dataclass(slots=True)
class Bin:
    """Calls from `start` on. busiest: most calls that lie in any one window that ends in this bin."""

    start: float
    session: int
    busiest: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Traffic:
    """window_s: the window of the tenant's limit. busiest: of all bins. left_out: sessions not shown."""

    bins: tuple[Bin, ...]
    bin_s: float
    window_s: float
    totals: Counter[str]
    busiest: int
    left_out: int

    @property
    def calls(self) -> int:
        return self.totals.total()


def traffic(calls: Callable[[], Iterable[tuple[float, str]]], window_s: float) -> Traffic:
    """calls: gives all calls in the order of their times, each with one of `OUTCOMES`; asked twice, since
    there may be millions."""
    sessions = _sessions(at for at, _ in calls())
    shown = sessions[-SESSIONS_MAX:]
    active_s = sum(end - start for start, end in shown)
    bin_s = next((nice for nice in _NICE_S if nice >= max(window_s, active_s / BINS_WANTED)), _NICE_S[-1])
    bins = list(_bins(shown, bin_s))
    totals: Counter[str] = Counter()
    busiest = at_bin = 0
    window: deque[float] = deque()
    for at, outcome in calls():
        totals[outcome] += 1
        window.append(at)
        while window[0] <= at - window_s:
            window.popleft()
        busiest = max(busiest, len(window))
        if not bins or at < bins[0].start:
            continue
        while at_bin + 1 < len(bins) and bins[at_bin + 1].start <= at:
            at_bin += 1
        bins[at_bin].outcomes[outcome] += 1
        bins[at_bin].busiest = max(bins[at_bin].busiest, len(window))
    return Traffic(tuple(bins), bin_s, window_s, totals, busiest, len(sessions) - len(shown))


def _sessions(times: Iterable[float]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for at in times:
        if found and at - found[-1][1] < SESSION_GAP_S:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    return found


def _bins(sessions: Iterable[tuple[float, float]], bin_s: float) -> Iterator[Bin]:
    for number, (start, end) in enumerate(sessions):
        for step in range(int((end - start) // bin_s) + 1):
            yield Bin(start + step * bin_s, number)


def calls_chart(traffic: Traffic, limit: int) -> Markup:
    """The busiest window of each bin against the limit of calls in a window."""
    top = _nice(max(traffic.busiest, limit))
    frame = _Frame(traffic.bins, top)
    bars = (frame.bar("calls", x, bin_.busiest) for bin_, x in frame.places() if bin_.busiest)
    at = frame.y(limit)
    line = (
        f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text class="limit-label" x="{WIDTH - _RIGHT}" y="{at - 4:.1f}" text-anchor="end">'
        f"limit {limit:,}</text>"
    )
    title = f"Most calls in any window of {duration(traffic.window_s)}"
    caption = f"At most {traffic.busiest:,} calls fell into one window; the limit is {limit:,}."
    return _svg("calls", title, caption, "".join((*frame.axes(), *bars, line)))


def outcomes_chart(traffic: Traffic) -> Markup:
    """How the calls of each bin ended, stacked."""
    top = _nice(max((bin_.outcomes.total() for bin_ in traffic.bins), default=1))
    frame = _Frame(traffic.bins, top)
    parts = []
    for bin_, x in frame.places():
        below = 0
        for name in filter(bin_.outcomes.get, OUTCOMES):
            parts.append(frame.bar(outcome_class(name), x, bin_.outcomes[name], below))
            below += bin_.outcomes[name]
    title = f"Calls by outcome, in steps of {duration(traffic.bin_s)}"
    caption = ", ".join(f"{traffic.totals[name]:,} {name}" for name in OUTCOMES if traffic.totals[name])
    return _svg("outcomes", title, f"{caption}.", "".join((*frame.axes(), *parts)))


def outcome_class(name: str) -> str:
    """The class of an outcome's colour, on the page and in the charts."""
    return "o-" + name.replace(" ", "-")


class _Frame:
    """Where things are: bins from left to right, sessions with a gap between, values from 0 to `top`."""

    def __init__(self, bins: Sequence[Bin], top: int) -> None:
        self._bins, self._top = bins, top
        gaps = bins[-1].session - bins[0].session if bins else 0
        self._slot = min(BAR_WIDEST, (WIDTH - _LEFT - _RIGHT) / max(1, len(bins) + gaps))

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - self.height(value)

    def height(self, value: float) -> float:
        return value / self._top * (HEIGHT - _TOP - _BOTTOM)

    def bar(self, kind: str, x: float, value: int, below: int = 0) -> str:
        return (
            f'<rect class="{kind}" x="{x:.1f}" y="{self.y(below + value):.1f}"'
            f' width="{max(0.5, self._slot * 0.86):.1f}" height="{self.height(value):.1f}"/>'
        )

    def places(self) -> Iterator[tuple[Bin, float]]:
        """Each bin and its left edge."""
        for number, bin_ in enumerate(self._bins):
            yield bin_, _LEFT + (number + bin_.session - self._bins[0].session) * self._slot

    def axes(self) -> Iterator[str]:
        for value in sorted({0, self._top // 2, self._top}):
            at = self.y(value)
            yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:,}</text>'
        free, session, day = _LEFT - 1.0, -1, ""
        for bin_, x in self.places():
            begins, session = bin_.session != session, bin_.session
            if begins and x > _LEFT:
                yield f'<line class="session" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
            if _LEFT < x < free or x > WIDTH - _RIGHT - LABEL_WIDTH * 0.7:
                continue
            moment = datetime.fromtimestamp(bin_.start, UTC).astimezone()
            y = HEIGHT - _BOTTOM + 16
            yield f'<text x="{x:.1f}" y="{y}">{moment:%H:%M:%S}</text>'
            if f"{moment:%Y-%m-%d}" != day:
                day = f"{moment:%Y-%m-%d}"
                yield f'<text x="{x:.1f}" y="{y + 14}">{day}</text>'
            free = x + LABEL_WIDTH


def _nice(value: int) -> int:
    """An even number not below `value`, for the axis."""
    nice = (factor * int(10**power) for power in range(12) for factor in (2, 4, 6, 10))
    return next((each for each in nice if each >= value), value)


def _svg(name: str, title: str, caption: str, content: str) -> Markup:
    return Markup(  # noqa: S704 - numbers and our own words, see above
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-title {name}-caption">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-caption">{caption}</desc>{content}</svg>'
    )
