"""A batch's Create calls over time, in at most some hundred bins: how many, and how they ended. Pure.

Times are Unix seconds by our clock. A batch that was resumed has several sessions with nothing in between;
they are side by side in the charts.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

TimedOutcome = tuple[float, str]
"""When it was marked, and its outcome in one of the words of `OUTCOMES`."""

OUTCOMES: Final = ("created", "refused", "throttled", "in doubt", "not sent")
BINS_WANTED: Final = 120
SESSIONS_MAX: Final = 40
SESSION_GAP_S: Final = 900.0
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


def traffic(calls: Callable[[], Iterable[TimedOutcome]], window_s: float) -> Traffic:
    """calls: gives all calls in the order of their times; asked twice, since there may be millions."""
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
