"""How a use case is watched (what it says on its way) and stopped (in good order)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Final, Protocol

from importer.pacing.rules import Rate


class Stage(StrEnum):
    """What a use case is doing; the value is a verb in its -ing form, for people. Once it is SENDING or
    CORRECTING, which is said before the first call leaves, there is something to resume."""

    READING = "Reading"
    LOOKING_UP = "Looking up"
    MAPPING = "Mapping"
    COMPARING = "Comparing"
    SENDING = "Sending"
    READING_BACK = "Reading back"
    CORRECTING = "Correcting"
    WRITING = "Writing results"
    COPYING = "Copying"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work is.

    done, total: rows (values, with LOOKING_UP) of this stage of this call: rows that were finished before are
    not in them, and with `limit` total is what the limit allows. total: None while unknown. counts: rows of
    the whole batch by shown status (`created`, `failed`, …), not 0. note: one sentence on what is going on.
    calls: Create calls that left in this run. limit: of calls, as it is in force.
    """

    stage: Stage
    done: int
    total: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    calls: int = 0
    limit: Rate | None = None


class Observer(Protocol):
    """Watches a use case. Called from the thread that the use case runs in, at least twice a second while
    sending; must return quickly."""

    def progress(self, progress: Progress) -> None:
        """The work went on."""
        ...

    def notice(self, text: str, *, warning: bool = False) -> None:
        """Something that a person should know although the work goes on: one sentence or two."""
        ...


class Silent:
    """An observer that looks away, for scripts."""

    def progress(self, progress: Progress) -> None:
        """Nothing."""

    def notice(self, text: str, *, warning: bool = False) -> None:
        """Nothing."""


SILENT: Final = Silent()


SHOW_EVERY_S: Final = 0.2


@asynccontextmanager
async def shown_regularly(show: Callable[[], None]) -> AsyncIterator[None]:
    """In here `show` is called several times a second, and once more at the end."""

    async def watch() -> None:
        while True:
            show()
            await asyncio.sleep(SHOW_EVERY_S)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        show()


class StopHandle:
    """Ends a use case in good order: no further row is sent, calls under way are waited for. Any thread may
    ask for it, more than once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: list[Callable[[], object]] = []
        self._requested = False

    def __repr__(self) -> str:
        return f"<StopHandle requested={self._requested}>"

    @property
    def requested(self) -> bool:
        """Whether somebody has asked."""
        return self._requested

    def request(self) -> None:
        """Ask for it."""
        with self._lock:
            self._requested = True
            ends = tuple(self._ends)
        for end in ends:
            with suppress(RuntimeError):  # its loop has ended since, and so has the work
                end()

    def when_requested(self, end: Callable[[], object], loop: asyncio.AbstractEventLoop) -> None:
        """Have `end` called in `loop` when somebody asks, soon if somebody has."""
        ends = partial(loop.call_soon_threadsafe, end)
        with self._lock:
            self._ends.append(ends)
            if not self._requested:
                return
        ends()
