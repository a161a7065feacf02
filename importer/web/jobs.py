"""Use cases under way: each in a thread with an event loop of its own, watched and stopped from the pages.

Use cases do blocking work between their awaits (a sheet is read, rows are stored), so they must not share the
loop that answers the browser.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, Generic, TypeVar

from importer.app.observer import Progress, Stage, StopHandle
from importer.app.plan import Plan, answer, discard, start
from importer.app.questions import Answers, Question, QuestionKind
from importer.app.records import RunResult
from importer.errors import ImporterError, WorkError

_T = TypeVar("_T")

NOTICES_MOST: Final = 20
CALL_SAMPLES_MOST: Final = 1_200
SAMPLE_EVERY_S: Final = 0.5
LATELY_S: Final = 30.0
JOBS_KEPT: Final = 200
STOP_WITHIN_S: Final = 120.0
"""Calls under way end within their time-out; nothing else is waited for when the server ends."""

log = logging.getLogger("importer.web")


class Job(Generic[_T]):
    """One use case under way; it is its use case's observer. Pages read it from another thread.

    name: what it is, for people. sends: whether it sends rows. samples: (moment in seconds, rows done, calls
    that left). result, error: how it ended.
    """

    def __init__(self, name: str, work: Callable[[Job[_T]], Coroutine[Any, Any, _T]], *, sends: bool) -> None:
        self.name = name
        self.sends = sends
        self.stop = StopHandle()
        self.result: _T | None = None
        self.error: ImporterError | None = None
        self.latest = Progress(Stage.READING, 0)
        self.notices: deque[str] = deque(maxlen=NOTICES_MOST)
        self.began_s = time.monotonic()
        self.samples: deque[tuple[float, int, int]] = deque(maxlen=CALL_SAMPLES_MOST)
        self._work = work
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"importer {name}", daemon=True)

    def __repr__(self) -> str:
        return f"<Job {self.name} {self.latest.stage} {self.latest.done} running={self.running}>"

    def start(self) -> None:
        """Begin. Once."""
        self._thread.start()

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

    def sending(self) -> None:
        """The first row is about to leave."""

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
        self._lock = threading.Lock()
        self._jobs: dict[str, Job[Any]] = {}

    def __repr__(self) -> str:
        return f"<Jobs {list(self._jobs)}>"

    def of(self, key: str) -> Job[Any] | None:
        """The job about that, running or ended."""
        return self._jobs.get(key)

    def running(self, key: str) -> Job[Any] | None:
        """The job about that, if it runs."""
        job = self._jobs.get(key)
        return job if job is not None and job.running else None

    def begin(self, key: str, job: Job[_T]) -> Job[_T] | None:
        """Start it, unless one about the same runs: then None, and nothing was started."""
        with self._lock:
            if self.running(key) is not None:
                return None
            self._jobs.pop(key, None)
            self._jobs[key] = job
            ended = [each for each, one in self._jobs.items() if not one.running]
            for each in ended[: max(0, len(self._jobs) - JOBS_KEPT)]:
                del self._jobs[each]
            job.start()
        return job

    def forget(self, key: str) -> None:
        """An ended job's outcome is no longer wanted."""
        with self._lock:
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


KEPT_S: Final = 900.0
"""A plan that nobody asks for is given up after that: it may own a batch that somebody else wants."""

SENDING: Final = (QuestionKind.SEND, QuestionKind.CORRECT)


class DeskState(Enum):
    """What a desk is doing."""

    PREPARING = auto()
    WAITING = auto()
    SENDING = auto()
    CLOSED = auto()


@dataclass(frozen=True)
class Order:
    """What the person wants next. answers: to the plan's questions; None gives the plan up. send: go ahead
    once nothing else is open. looks: the plan must look like this then; "" where it was not looked at."""

    answers: Mapping[str, str] | None
    send: bool = False
    looks: str = ""


class Desk:
    """One plan, from its preparation to its end. The pages read `plan` and `state`, and give orders.

    signature: what the plan was prepared from; a page that shows something else makes a new desk. then:
    what is done after sending, in the same job.
    """

    def __init__(
        self,
        signature: str,
        prepare: Callable[[Job[RunResult | None]], Coroutine[Any, Any, Plan]],
        *,
        first: Order,
        starting: Callable[[Plan], None],
        then: Callable[[Job[RunResult | None], RunResult], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.signature = signature
        self.state = DeskState.PREPARING
        self.plan: Plan | None = None
        self.job: Job[RunResult | None] | None = None
        self._prepare, self._first, self._starting, self._then = prepare, first, starting, then
        self._loop: asyncio.AbstractEventLoop | None = None
        self._orders: asyncio.Queue[Order] = asyncio.Queue()

    def __repr__(self) -> str:
        return f"<Desk {self.state.name} {self.plan!r}>"

    @property
    def open_questions(self) -> tuple[Question, ...]:
        """What has to be answered before the last question."""
        return (
            ()
            if self.plan is None
            else tuple(each for each in self.plan.questions if each.kind not in SENDING)
        )

    def order(self, order: Order) -> None:
        """From any thread. A desk that is closed takes no orders."""
        loop = self._loop
        if loop is None:
            return
        if self.state is DeskState.WAITING:
            self.state = DeskState.PREPARING  # at once: the next page must not show what was answered
        loop.call_soon_threadsafe(self._orders.put_nowait, order)

    async def work(self, job: Job[RunResult | None]) -> RunResult | None:
        """The job's work: its end is the plan's end."""
        self._loop, self.job = asyncio.get_running_loop(), job
        job.stop.when_requested(lambda: self.order(Order(None)))
        try:
            self.plan = await self._prepare(job)
            order: Order | None = self._first
            while order is not None and order.answers is not None and not job.stop.requested:
                await self._answered(order.answers)
                if order.send and not self.open_questions and order.looks in {"", looks(self.plan)}:
                    return await self._sent(job)
                self.state = DeskState.WAITING
                order = await self._next()
                self.state = DeskState.PREPARING
            return None
        finally:
            plan, self.plan, self.state, self._loop = self.plan, None, DeskState.CLOSED, None
            if plan is not None:
                await discard(plan)

    async def _answered(self, given: Mapping[str, str]) -> None:
        """Answers may bring new questions, which may have been answered before as well."""
        while self.plan is not None:
            known = {each.key: given[each.key] for each in self.open_questions if each.key in given}
            if not known:
                return
            self.plan = await answer(self.plan, Answers(known))

    async def _sent(self, job: Job[RunResult | None]) -> RunResult:
        assert self.plan is not None, "there is a plan to start"
        self.state = DeskState.SENDING
        self._starting(self.plan)
        yes = {each.key: each.choices[0].value for each in self.plan.questions}
        result = await start(self.plan, Answers(yes), stop=job.stop)
        if self._then is not None and not job.stop.requested:
            await self._then(job, result)
        return result

    async def _next(self) -> Order | None:
        try:
            return await asyncio.wait_for(self._orders.get(), KEPT_S)
        except TimeoutError:
            return None


def looks(plan: Plan | None) -> str:
    """A digest of what the page says of a plan, so that nothing else is sent than what was shown."""
    facts = plan.facts.lines() if plan is not None and plan.facts is not None else ()
    lines = [line for line in facts if line[0] != "Batch"]
    return hashlib.sha256(repr(lines).encode()).hexdigest()[:16]
