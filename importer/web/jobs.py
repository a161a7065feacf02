"""Use cases under way: each in a thread with an event loop of its own, watched and stopped from the pages.

Use cases do blocking work between their awaits (a sheet is read, rows are stored), so they must not share the
loop that answers the browser.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar

from importer.app.observer import Progress, Stage, StopHandle
from importer.errors import ImporterError, WorkError

_T = TypeVar("_T")
Work = Callable[["Job[_T]"], Coroutine[Any, Any, _T]]

NOTICES_MOST: Final = 20
CALL_SAMPLES_MOST: Final = 1_200
SAMPLE_EVERY_S: Final = 0.5
LATELY_S: Final = 30.0
JOBS_KEPT: Final = 200
SHOWN_AT_ONCE_S: Final = 2.0
"""So long a page waits for a job before it shows that one is under way."""
STOP_WITHIN_S: Final = 120.0
"""Calls under way end within their time-out; nothing else is waited for when the server ends."""

log = logging.getLogger("importer.web")


class Job(Generic[_T]):
    """One use case under way; it is its use case's observer. Pages read it from another thread.

    name: what it is, for people. samples: (moment in seconds, rows done, calls that left). result, error:
    how it ended. started: False while it only prepares what a person may want, and may be given up.
    """

    started = True

    def __init__(self, name: str, work: Work[_T]) -> None:
        self.name = name
        self.stop = StopHandle()
        self.result: _T | None = None
        self.error: ImporterError | None = None
        self.latest = Progress(Stage.READING, 0)
        self.notices: deque[str] = deque(maxlen=NOTICES_MOST)
        self.samples: deque[tuple[float, int, int]] = deque(maxlen=CALL_SAMPLES_MOST)
        self._work = work
        self._done = threading.Event()

    def start(self) -> None:
        """Begin. Once."""
        threading.Thread(target=self._run, name=f"importer {self.name}", daemon=True).start()

    @property
    def running(self) -> bool:
        return not self._done.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within that time."""
        return self._done.wait(seconds)

    def progress(self, progress: Progress) -> None:
        """The work went on."""
        now_s = time.monotonic()
        if progress.stage is not self.latest.stage:
            self.samples.clear()
        if not self.samples or now_s - self.samples[-1][0] >= SAMPLE_EVERY_S:
            self.samples.append((now_s, progress.done, progress.calls))
        self.latest = progress

    def notice(self, text: str, *, warning: bool = False) -> None:
        """Something to know although the work goes on."""
        self.notices.append(text)

    def left_s(self) -> float | None:
        """Seconds until the rows of this stage are done, as fast as lately; None while nothing can be
        said."""
        latest, now_s = self.latest, time.monotonic()
        recent = [sample for sample in self.samples if now_s - sample[0] <= LATELY_S]
        if latest.total is None or len(recent) < 2 or recent[-1][1] <= recent[0][1]:
            return None
        per_s = (recent[-1][1] - recent[0][1]) / max(0.1, now_s - recent[0][0])
        return max(0.0, (latest.total - latest.done) / per_s)

    def _run(self) -> None:
        try:
            self.result = asyncio.run(self._work(self))
        except ImporterError as error:
            self.error = error
        except Exception as error:
            log.exception("%s", self.name)
            self.error = WorkError(
                f"Unexpected error ({type(error).__name__}).",
                remedy="Try again; the rows are safe in the store.",
            )
        finally:
            self._done.set()


class Jobs:
    """All jobs of one server, by what they are about; one at a time for each."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job[Any]] = {}

    def of(self, key: str) -> Job[Any] | None:
        """The job about that, running or ended."""
        return self._jobs.get(key)

    def running(self, key: str) -> Job[Any] | None:
        """The job about that, if it runs."""
        job = self._jobs.get(key)
        return job if job is not None and job.running else None

    def begin(self, key: str, job: Job[Any]) -> None:
        """Start it, unless one about the same runs."""
        if self.running(key) is not None:
            return
        self._jobs[key] = job
        ended = [each for each, one in self._jobs.items() if not one.running and one is not job]
        for each in ended[: max(0, len(self._jobs) - JOBS_KEPT)]:
            del self._jobs[each]
        job.start()

    async def outcome(self, key: str, name: str, work: Work[_T]) -> Job[_T]:
        """The job about that, begun if there is none, after a short wait: running or ended."""
        if self.of(key) is None:
            self.begin(key, Job(name, work))
        job = self._jobs[key]
        await asyncio.to_thread(job.wait, SHOWN_AT_ONCE_S)
        return job

    async def give_up(self, key: str) -> None:
        """What only prepares ends, and is waited for: it may own the batch."""
        job = self.running(key)
        if job is not None and not job.started:
            job.stop.request()
            await asyncio.to_thread(job.wait, STOP_WITHIN_S)

    def forget(self, key: str) -> None:
        """An ended job's outcome is no longer wanted."""
        if self.running(key) is None:
            self._jobs.pop(key, None)

    async def stop_all(self) -> None:
        """Ends every job in good order: calls under way are waited for."""
        running = [job for job in self._jobs.values() if job.running]
        for job in running:
            job.stop.request()
        until_s = time.monotonic() + STOP_WITHIN_S
        for job in running:
            await asyncio.to_thread(job.wait, max(0.0, until_s - time.monotonic()))
