"""The plot of `comparison.py`: calls in the five seconds before each moment, and the limit as a line. SVG."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Final

WIDTH: Final = 860
HEIGHT: Final = 420
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 40, 84
STEP_S: Final = 0.25
COLOURS: Final = ("#8c6d31", "#1f77b4", "#d62728", "#2ca02c")


def in_window(arrived_s: Sequence[float], at: float, period_s: float) -> int:
    """Calls that arrived in the period that ends at `at`."""
    return bisect_right(arrived_s, at) - bisect_right(arrived_s, at - period_s)


def plot(arrived_s: Mapping[str, Sequence[float]], *, limit: int, period_s: float) -> str:
    """An SVG document: one line a contestant, by the seconds since its own first call."""
    longest_s = max((times[-1] for times in arrived_s.values() if times), default=1.0) + period_s
    steps = [number * STEP_S for number in range(math.ceil(longest_s / STEP_S) + 1)]
    counts = {
        name: [(at, in_window(times, at, period_s)) for at in steps if at <= times[-1]]
        for name, times in arrived_s.items()
    }
    most = max([limit, *(count for points in counts.values() for _, count in points)])
    top = math.ceil(most / 10) * 10

    def x(at: float) -> float:
        return LEFT + at / longest_s * (WIDTH - LEFT - RIGHT)

    def y(count: float) -> float:
        return HEIGHT - BOTTOM - count / top * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"',
        ' font-size="12" role="img">',
        f"<title>Calls per {period_s:g} seconds over time, and the tenant's limit of {limit}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">Calls in the last {period_s:g} seconds</text>',
        *_axes(x, y, top, longest_s),
    ]
    for number, (name, points) in enumerate(counts.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{x(at):.1f},{y(count):.1f}" for at, count in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.3"/>')
        column, row = number % 2, number // 2
        at_x, at_y = LEFT + column * 380, HEIGHT - 28 + row * 18
        parts.append(f'<rect x="{at_x}" y="{at_y - 9}" width="14" height="4" fill="{colour}"/>')
        parts.append(f'<text x="{at_x + 20}" y="{at_y}">{escape(name)}</text>')
    parts.append(
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(limit):.1f}" y2="{y(limit):.1f}" stroke="black"'
        ' stroke-dasharray="6 3"/>'
    )
    parts.append(
        f'<text x="{WIDTH - RIGHT}" y="{y(limit) - 5:.1f}" text-anchor="end">the limit, {limit}</text>'
    )
    return "\n".join([*parts, "</svg>\n"])


def _axes(x: Callable[[float], float], y: Callable[[float], float], top: int, longest_s: float) -> list[str]:
    parts = []
    for count in range(0, top + 1, 10):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(count):.1f}" y2="{y(count):.1f}" stroke="#ddd"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y(count) + 4:.1f}" text-anchor="end">{count}</text>')
    parts += [
        f'<text x="{x(at):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{at} s</text>'
        for at in range(0, int(longest_s) + 1, 20)
    ]
    return parts
