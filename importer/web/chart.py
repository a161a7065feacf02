"""The live chart of the progress page: calls of the last minutes against the limit, as inline SVG. Pure.

Numbers and fixed words only; nothing that a sheet or LeadSquared says gets in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from importer.pacing.pacing import Rate

CHART_WIDTH: Final = 640
CHART_HEIGHT: Final = 150
CHART_LEFT: Final = 40
CHART_BOTTOM: Final = 22
CHART_TOP: Final = 12
SHOWN_S: Final = 180.0


def calls_in_windows(samples: Sequence[tuple[float, int]], window_s: float) -> list[tuple[float, int]]:
    """(moment, calls in the window that ends there). samples: (moment in seconds, calls so far)."""
    found, first = [], 0
    for at, calls in samples:
        while samples[first][0] < at - window_s and samples[first + 1][0] <= at - window_s:
            first += 1
        before = samples[first][1] if samples[first][0] <= at - window_s else samples[0][1]
        found.append((at, calls - before))
    return found


def calls_chart(samples: Sequence[tuple[float, int]], rate: Rate, now_s: float) -> Markup:
    """Calls in each window of the rate's period, the newest at the right, with the limit as a line."""
    points = [(at, calls) for at, calls in calls_in_windows(samples, rate.period_s) if now_s - at <= SHOWN_S]
    latest = points[-1][1] if points else 0
    top = max(rate.calls, *(calls for _, calls in points), 1) * 1.1 if points else rate.calls * 1.1

    def x(at: float) -> float:
        return CHART_WIDTH - 8 - (now_s - at) / SHOWN_S * (CHART_WIDTH - CHART_LEFT - 8)

    def y(calls: float) -> float:
        return CHART_HEIGHT - CHART_BOTTOM - calls / top * (CHART_HEIGHT - CHART_TOP - CHART_BOTTOM)

    line = " ".join(f"{x(at):.1f},{y(calls):.1f}" for at, calls in points)
    floor, limit = y(0), y(rate.calls)
    area = f"{x(points[0][0]):.1f},{floor:.1f} {line} {x(points[-1][0]):.1f},{floor:.1f}" if points else ""
    period = "second" if rate.period_s == 1 else f"{rate.period_s:g} seconds"
    words = f"{latest} of {rate.calls} calls in the last {period}"
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg class="chart" viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" aria-label="{words}">'
        f'<line class="axis" x1="{CHART_LEFT}" x2="{CHART_WIDTH - 8}" y1="{floor:.1f}" y2="{floor:.1f}"/>'
        f'<polygon class="area" points="{area}"/><polyline class="calls" points="{line}"/>'
        f'<line class="limit" x1="{CHART_LEFT}" x2="{CHART_WIDTH - 8}" y1="{limit:.1f}" y2="{limit:.1f}"/>'
        f'<text x="{CHART_LEFT - 6}" y="{limit + 4:.1f}" text-anchor="end">{rate.calls}</text>'
        f'<text x="{CHART_LEFT - 6}" y="{floor + 4:.1f}" text-anchor="end">0</text>'
        f'<text x="{CHART_LEFT}" y="{CHART_HEIGHT - 4}">3 minutes ago</text>'
        f'<text x="{CHART_WIDTH - 8}" y="{CHART_HEIGHT - 4}" text-anchor="end">now</text></svg>'
        f'<p class="chart-words">{words}; the line is the limit.</p>'
    )
