"""A use case on the terminal: its progress, its notices, and Ctrl-C."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from tqdm import tqdm

from importer.app.observer import Progress, Stage, StopHandle
from importer.cli.console import Console
from importer.text import SCREEN_COLUMNS, clock, count, duration

LINE_EVERY_S: Final = 5.0
NOTE_EVERY_S: Final = 10.0
SPEED_OVER_S: Final = 30.0
SAMPLES_MOST: Final = 1_000


class Speed:
    """Rows a second over the last half minute, so that a pause shows and an old one is forgotten."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=SAMPLES_MOST)

    def __repr__(self) -> str:
        return f"<Speed {self.rows_per_s:.2f} rows/s over {len(self._samples)} samples>"

    def note(self, now_s: float, done: int) -> None:
        """`done` rows are done at `now_s`."""
        self._samples.append((now_s, done))
        while len(self._samples) > 2 and now_s - self._samples[1][0] >= SPEED_OVER_S:
            self._samples.popleft()

    @property
    def rows_per_s(self) -> float:
        """0 while nothing can be said."""
        (first_s, first), (last_s, last) = self._samples[0], self._samples[-1]
        return max(0.0, (last - first) / (last_s - first_s)) if last_s > first_s else 0.0


COUNTED: Final = ("created", "corrected", "conflict", "failed", "invalid", "uncertain")


class ProgressBar:
    """`bar.show(progress)` until `bar.close()`; on the screen at once, where there is one.

    `show` may be called as often as one likes; the screen is touched a few times a second at most.
    """

    def __init__(
        self, console: Console, first: Progress, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._console, self._latest, self._now = console, first, now
        self._speed = Speed()
        self._note, self._note_at_s = "", -math.inf
        self._line_at_s = now()
        self._speed.note(self._line_at_s, 0)
        self._bar = _new_bar(first) if console.shows_progress else None
        console.bar = self._bar

    def __repr__(self) -> str:
        return f"<ProgressBar {self._latest} {self._speed!r}>"

    def close(self) -> None:
        """Leaves it as it is."""
        if self._bar is not None:
            self._console.bar = None
            self._bar.set_postfix_str(self._details(clock, "/s"), refresh=True)
            self._bar.close()
            self._bar = None
        elif self._latest.total is not None and self._latest.done:
            self._console.say(self._line())

    def show(self, latest: Progress) -> None:
        """How far the work is. Its note is said when it changes."""
        self._latest, now_s = latest, self._now()
        self._speed.note(now_s, latest.done)
        if latest.note != self._note and now_s - self._note_at_s >= NOTE_EVERY_S:
            self._note, self._note_at_s = latest.note, now_s
            if latest.note:
                self._console.say(latest.note)
        if self._bar is not None:
            self._bar.total = latest.total
            self._bar.set_postfix_str(self._details(clock, "/s"), refresh=False)
            self._bar.update(latest.done - self._bar.n)
        elif now_s - self._line_at_s >= LINE_EVERY_S:
            self._line_at_s = now_s
            self._console.say(self._line())

    def _line(self) -> str:
        done, total = self._latest.done, self._latest.total
        details = self._details(duration, " rows/s")
        rows = count(done, "row") if total is None else f"{done:,} of {total:,} rows"
        return f"{self._latest.stage}: {rows}" + (f", {details}" if details else "")

    def _details(self, spell: Callable[[float], str], unit: str) -> str:
        parts, latest = [], self._latest
        speed = self._speed.rows_per_s
        if latest.total is not None and 0 < latest.done < latest.total and speed:
            parts.append(f"{spell((latest.total - latest.done) / speed)} left")
        if speed:
            parts.append(f"{speed:,.0f}{unit}" if speed >= 100 else f"{speed:.1f}{unit}")
        parts += [f"{rows:,} {name}" for name, rows in latest.counts.items() if rows and name in COUNTED]
        return ", ".join(parts)


def _new_bar(first: Progress) -> Any:  # noqa: ANN401 - tqdm's own type is generic over an iterable
    # Its watchdog thread would outlive the bar, and there is nothing for it to watch: `show` sets the pace.
    tqdm.monitor_interval = 0
    encoding = (getattr(sys.stderr, "encoding", None) or "").lower()
    layout = "{desc} {percentage:3.0f}% {bar} {n_fmt}/{total_fmt}{postfix}"  # the bar takes what is left
    return tqdm(
        desc=str(first.stage),
        total=first.total,
        file=sys.stderr,
        ascii=not encoding.startswith("utf"),
        ncols=max(SCREEN_COLUMNS, shutil.get_terminal_size().columns) - 1,
        nrows=24,  # a pseudo-terminal without a size has 0 rows, and tqdm would show nothing on it
        bar_format=layout if first.total is not None else "{desc} {n_fmt} rows{postfix}",
        mininterval=0.2,
        # 0: whatever the number of rows since, or a burst at the start would set it so high that the bar
        # stands still for minutes.
        miniters=0,
        leave=first.total is not None,
    )


IN_GOOD_ORDER: Final = frozenset({Stage.SENDING, Stage.READING_BACK, Stage.CORRECTING})
"""Stages in which Ctrl-C lets calls under way end first."""
STOPPING: Final = (
    "Stopping: no further row is sent; waiting for the calls under way."
    " Press Ctrl-C again to stop immediately."
)
STOPPED: Final = "Stopped immediately. The batch is intact: continue with `importer resume`."
STOPPING_READING: Final = "Stopping. What was read is kept; `importer verify` continues from there."


class ConsoleObserver:
    """Shows what a use case does (`app.observer.Observer`)."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: ProgressBar | None = None
        self.stage: Stage | None = None
        self.interrupted = False
        """Ctrl-C came. Kept, since Python drops what is raised in a finaliser or a weak reference's callback,
        and a signal may come in one."""

    def heed_interrupt(self) -> None:
        """Raises KeyboardInterrupt where Ctrl-C came and what it raised was dropped."""
        if self.interrupted:
            raise KeyboardInterrupt

    def progress(self, progress: Progress) -> None:
        """A bar for each stage."""
        if progress.stage not in IN_GOOD_ORDER:
            self.heed_interrupt()
        if self._bar is None or self.stage is not progress.stage:
            self.close()
            self.stage = progress.stage
            self._console.sending |= self.stage in {Stage.SENDING, Stage.CORRECTING}
            self._bar = ProgressBar(self._console, progress)
        self._bar.show(progress)

    def notice(self, text: str, *, warning: bool = False) -> None:
        """A line."""
        if warning:
            self._console.warn(text)
        else:
            self._console.say(text)

    def close(self) -> None:
        """Leaves the last bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        self.stage = None


@contextmanager
def watched(console: Console) -> Iterator[tuple[ConsoleObserver, StopHandle]]:
    """An observer, and a stop handle that Ctrl-C (SIGTERM, Ctrl-Break) pulls. To be entered inside the loop.

    Before anything is sent, a signal ends the command at once: in the middle of a sheet, or at a question.
    While rows are sent or read, once ends in good order and twice at once. Handlers are restored.
    """
    observer, stop = ConsoleObserver(console), StopHandle()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        if stop.requested:
            console.error(STOPPED)
            sys.stdout.flush()
            os._exit(130)
        console.say(STOPPING_READING if observer.stage is Stage.READING_BACK else STOPPING)
        stop.request()

    def handler(_number: int, _frame: FrameType | None) -> None:
        if observer.stage not in IN_GOOD_ORDER:
            observer.interrupted = True
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(interrupted)

    try:
        with _handled(handler, "SIGINT", "SIGTERM", "SIGBREAK"):
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise KeyboardInterrupt  # asyncio took the signal before us: reading a sheet never sees that
            yield observer, stop
    finally:
        observer.close()


@contextmanager
def ends_at_sigterm() -> Iterator[None]:
    """SIGTERM (Windows: Ctrl-Break too) as Ctrl-C, in here; Ctrl-C too where a script started us with `&`."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # Through SIGINT: asyncio listens to that everywhere, cancels its tasks, raises KeyboardInterrupt.
        signal.raise_signal(signal.SIGINT)

    with _handled(signal.default_int_handler, "SIGINT"), _handled(interrupt, "SIGTERM", "SIGBREAK"):
        yield


@contextmanager
def _handled(handler: Any, *names: str) -> Iterator[None]:  # noqa: ANN401 - what the signal module calls one
    """`handler` for these signals, where the system has them."""
    numbers = [number for name in names if (number := getattr(signal, name, None)) is not None]
    if threading.current_thread() is not threading.main_thread():  # it has another way to be stopped
        numbers = []
    before: dict[Any, Any] = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
