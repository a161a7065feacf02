"""A use case on the terminal: its progress, its notices, and Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from importer.app.observer import Progress, Stage, StopHandle
from importer.cli.console import Console
from importer.cli.progress import ProgressBar

IN_GOOD_ORDER: Final = frozenset({Stage.SENDING, Stage.READING_BACK, Stage.CORRECTING})
"""Stages in which Ctrl-C lets calls under way end first."""
COUNTED: Final = ("created", "corrected", "conflict", "failed", "invalid", "uncertain")
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

    def progress(self, progress: Progress) -> None:
        """A bar for each stage."""
        if self._bar is None or self.stage is not progress.stage:
            self.close()
            self.stage = progress.stage
            self._bar = ProgressBar(self._console, str(progress.stage), progress.total)
            self._bar.open()
        counts = {name: rows for name, rows in progress.counts.items() if name in COUNTED}
        self._bar.show(progress.done, total=progress.total, note=progress.note, **counts)

    def notice(self, text: str, *, warning: bool = False) -> None:
        """A line."""
        if warning:
            self._console.warn(text)
        else:
            self._console.say(text)

    def sending(self) -> None:
        """From now on an unexpected end leaves something to resume."""
        self._console.sending = True

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
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(interrupted)

    try:
        with _handled(handler):
            yield observer, stop
    finally:
        observer.close()


@contextmanager
def _handled(handler: Any) -> Iterator[None]:  # noqa: ANN401 - what the signal module calls a handler
    """`handler` for the signals that ask a program to end."""
    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            try:
                before[number] = signal.signal(number, handler)
            except ValueError:  # not in the main thread: whoever runs us there has another way to stop us
                break
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
