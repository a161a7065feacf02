"""The report's charts as inline SVG: numbers and fixed words only, coloured by the page's own classes. Pure.

Nothing that a sheet or LeadSquared says gets in here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from markupsafe import Markup

from importer.report.traffic import OUTCOMES, Bin, Traffic

WIDTH: Final = 720
HEIGHT: Final = 220
_LEFT: Final = 46
_RIGHT: Final = 8
_TOP: Final = 14
_BOTTOM: Final = 36
LABEL_WIDTH: Final = 96
BAR_WIDEST: Final = 40.0


def calls_chart(traffic: Traffic, limit: int) -> Markup:
    """The busiest window of each bin against the limit of calls in a window."""
    top = _nice(max(traffic.busiest, limit))
    frame = _Frame(traffic.bins, top)
    bars = (
        f'<rect class="calls" x="{x:.1f}" y="{frame.y(bin_.busiest):.1f}" width="{width:.1f}"'
        f' height="{frame.height(bin_.busiest):.1f}"/>'
        for bin_, x, width in frame.bars()
        if bin_.busiest
    )
    at = frame.y(limit)
    line = (
        f'<line class="limit" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
        f'<text class="limit-label" x="{WIDTH - _RIGHT}" y="{at - 4:.1f}" text-anchor="end">'
        f"limit {limit:,}</text>"
    )
    title = f"Most calls in any window of {step(traffic.window_s)}"
    caption = f"At most {traffic.busiest:,} calls fell into one window; the limit is {limit:,}."
    return _svg("calls", title, caption, "".join((*frame.axes(), *bars, line)))


def outcomes_chart(traffic: Traffic) -> Markup:
    """How the calls of each bin ended, stacked."""
    top = _nice(max((bin_.outcomes.total() for bin_ in traffic.bins), default=1))
    frame = _Frame(traffic.bins, top)
    parts = []
    for bin_, x, width in frame.bars():
        below = 0
        for name in OUTCOMES:
            number = bin_.outcomes[name]
            if number:
                below += number
                parts.append(
                    f'<rect class="{outcome_class(name)}" x="{x:.1f}" y="{frame.y(below):.1f}"'
                    f' width="{width:.1f}" height="{frame.height(number):.1f}"/>'
                )
    title = f"Calls by outcome, in steps of {step(traffic.bin_s)}"
    caption = ", ".join(f"{traffic.totals[name]:,} {name}" for name in OUTCOMES if traffic.totals[name])
    return _svg("outcomes", title, f"{caption}.", "".join((*frame.axes(), *parts)))


def outcome_class(name: str) -> str:
    """The class of an outcome's colour, on the page and in the charts."""
    return "o-" + name.replace(" ", "-")


def step(seconds: float) -> str:
    """`5 seconds`, `2 minutes`, `1 hour`."""
    for unit_s, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit_s and seconds % unit_s == 0:
            number = int(seconds // unit_s)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"


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

    def bars(self) -> Iterator[tuple[Bin, float, float]]:
        """Each bin, its left edge and its width."""
        first = self._bins[0].session if self._bins else 0
        for number, bin_ in enumerate(self._bins):
            yield (
                bin_,
                _LEFT + (number + bin_.session - first) * self._slot,
                max(0.5, self._slot * 0.86),
            )

    def axes(self) -> Iterator[str]:
        for value in sorted({0, self._top // 2, self._top}):
            at = self.y(value)
            yield f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>'
            yield f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{value:,}</text>'
        free, session, day = _LEFT - 1.0, -1, ""
        for bin_, x, _ in self.bars():
            begins = bin_.session != session
            session = bin_.session
            if begins and x > _LEFT:
                yield f'<line class="session" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}"/>'
            if x < free and not (x <= _LEFT):
                continue
            if x > WIDTH - _RIGHT - LABEL_WIDTH * 0.7:
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
    for power in range(12):
        for factor in (2, 4, 6, 10):
            if factor * 10**power >= value:
                return int(factor * 10**power)
    return value


def _svg(name: str, title: str, caption: str, content: str) -> Markup:
    return Markup(  # noqa: S704 - numbers and our own words, see above
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{name}-title {name}-caption">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-caption">{caption}</desc>{content}</svg>'
    )
