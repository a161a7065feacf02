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
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Generic, TypeVar

from importer.app.observer import Progress, Stage, StopHandle
from importer.app.options import (
    ResumeOptions,
    RunOptions,
    ScreenChanges,
    SendingOptions,
    VerifyOptions,
)
from importer.app.plan import Plan, answer, discard, start
from importer.app.questions import Answers, Question, QuestionKind
from importer.app.records import BatchStatus, RunResult
from importer.app.resume import prepare_resume
from importer.app.run import prepare_run
from importer.app.verify_batch import verify
from importer.errors import ImporterError, WorkError
from importer.store.batch_rows import BatchRows
from importer.store.records import StoredRow
from importer.store.store import Store
from importer.web.imports import ReadBack, WebImport

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
KEPT_S: Final = 900.0
"""A plan that nobody asks for is given up after that: it may own a batch that somebody else wants."""
LOOKED_S: Final = 0.05
"""So often a plan that waits looks whether it goes on."""
TRIAL: Final = "trial"
VERIFYING: Final = "reading back"
CORRECTING: Final = "correcting"
"""Names of jobs."""
IMPORTED_BEFORE_KEY: Final = "imported-before"
"""Key of the answer to "this sheet was imported before"."""
SHEET_NEEDED_FOR: Final = ("pending", "uncertain", "failed", "invalid")
"""While LeadSquared has not all rows, their mapping may change, and the uploaded sheet is kept."""

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


class SendJob(Job[RunResult | None]):
    """One plan from its preparation to its end; it waits for the person in between.

    status: of the batch that goes on, None for a new one. signature: what the plan was prepared from; a page
    that shows something else makes a new one. remaps: rows of the batch are mapped with a changed mapping.
    waiting: for `go_on`.
    """

    started = False

    def __init__(
        self,
        store: Store,
        own: WebImport,
        status: BatchStatus | None,
        *,
        settle_s: float,
        limit: int | None = None,
        retry_failed: bool = False,
    ) -> None:
        super().__init__(TRIAL if limit else "import", lambda _: self._prepared_and_sent())
        self.signature = signature(own, status)
        self.remaps = status is not None and own.mapping_changed
        self.plan: Plan[RunResult] | None = None
        self.waiting = False
        self._store, self._own, self._status = store, own, status
        self._settle_s, self._limit, self._retry_failed = settle_s, limit, retry_failed
        self._wanted: tuple[dict[str, str], str | None] = own.here.answers, None
        self._woken = threading.Event()

    @property
    def open_questions(self) -> tuple[Question, ...]:
        """What has to be answered before the last question."""
        questions = self.plan.questions if self.plan else ()
        return tuple(each for each in questions if each.kind is not QuestionKind.SEND)

    def go_on(self, answers: dict[str, str], looks: str | None = None) -> None:
        """From any thread: with these answers, and to the end if nothing else is open and the plan looks like
        `looks` ("": it was not looked at, which is not enough for a changed mapping; None: not to be sent
        yet). What was ordered to be sent stays so."""
        if self.started:
            return
        self._wanted = answers, looks
        self.started = looks is not None
        self.waiting = False  # at once: the next page must not show what was answered
        self._woken.set()

    async def _prepared_and_sent(self) -> RunResult | None:
        try:
            self.plan = await self._prepare()
            while not self.stop.requested:
                self._woken.clear()
                answers, looks = self._wanted
                self.started = looks is not None
                await self._answer(answers)
                unseen = "" if self._limit is not None or not self.remaps else None  # a trial is on Send
                if looks is not None and not self.open_questions and looks in {unseen, looks_of(self.plan)}:
                    return await self._send(self.plan)
                self.started, self.waiting = False, not self._woken.is_set()
                until_s = time.monotonic() + KEPT_S
                while not self._woken.is_set() and not self.stop.requested:
                    if time.monotonic() > until_s:
                        return None
                    await asyncio.sleep(LOOKED_S)
                self.waiting = False
            return None
        finally:
            plan, self.plan, self.waiting = self.plan, None, False
            if plan is not None:
                await discard(plan)

    async def _prepare(self) -> Plan[RunResult]:
        """A batch goes on with the changes made on the screen, and with another mapping if it was changed."""
        own, here = self._own, self._own.here
        sending = SendingOptions(limit=self._limit, settle_s=self._settle_s)
        if self._status is None:
            again = here.answers.get(IMPORTED_BEFORE_KEY)
            run = RunOptions(
                sheet=own.sheet_input, mapping=own.mapping, calls=own.calls, sending=sending,
                skip_invalid=own.state.leave_out_invalid,
                again=again == "again", only_new=again == "only-new",
            )  # fmt: skip
            return await prepare_run(run, self._store, self)
        rows = rows_numbered(self._store.open(self._status.batch), here.marks)
        marks = {row.number: mark for row in rows if (mark := own.mark_of(row))}
        changes = ScreenChanges(cells=own.corrections, statuses=marks, ids=here.ids)
        made_here = own.has_sheet or marks or own.state.corrections
        resume = ResumeOptions(
            results=self._status.batch, mapping=own.mapping if self.remaps else None, remap=self.remaps,
            retry_failed=self._retry_failed, calls=own.calls, sending=sending,
            changes=changes if made_here else None,
        )  # fmt: skip
        return await prepare_resume(resume, self._store, self)

    async def _answer(self, given: dict[str, str]) -> None:
        """Answers may bring new questions, which may have been answered before as well."""
        while self.plan and (
            known := {each.key: given[each.key] for each in self.open_questions if each.key in given}
        ):
            self.plan = await answer(self.plan, Answers(known))

    async def _send(self, plan: Plan[RunResult]) -> RunResult:
        own = self._own.changed(batch=plan.batch, mapped=self._own.mapping_digest)
        yes = {each.key: each.choices[0].value for each in plan.questions}
        result = await start(plan, Answers(yes), stop=self.stop)
        if self.stop.requested:
            return result
        if self._limit is not None and result.counts.get("created"):
            await read_back(own, self._store, self._settle_s, self)
        if own.mode == "real" and not any(map(result.counts.get, SHEET_NEEDED_FOR)):
            own.source.unlink(missing_ok=True)
        return result


async def read_back(own: WebImport, store: Store, settle_s: float, job: Job[Any]) -> None:
    """Created rows compared with what was sent; how many are equal is kept for the pages."""
    asked = VerifyOptions(results=own.here.batch, calls=own.calls, settle_s=settle_s)
    result = await verify(asked, store, job, job.stop)
    if result.stopped:
        raise WorkError(result.stopped)
    equal = f"{result.equal:,} of {result.rows:,} rows equal"
    by_field = {one["field"]: f"{one['equal']:,} of {one['sent']:,} equal" for one in result.fields}
    own.changed(read_back=ReadBack(equal, by_field, result.differences))


def rows_numbered(rows: BatchRows, numbers: Iterable[int]) -> list[StoredRow]:
    """Those that there are."""
    return [rows.row(position) for position in rows.positions(dict.fromkeys(numbers)).values()]


def open_rows(status: BatchStatus) -> int:
    """Rows that a resume would send or look up."""
    return int(status.counts.get("pending", 0)) + int(status.counts.get("uncertain", 0))


def signature(own: WebImport, status: BatchStatus | None) -> str:
    """Everything that a plan of an import depends on."""
    state, here = own.state, own.here
    parts = (
        own.mapping_digest, repr(own.sheet_input), state.leave_out_invalid,
        status and (status.batch, status.counts),
        here.marks, here.ids, here.answers.get(IMPORTED_BEFORE_KEY),
    )  # fmt: skip
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def looks_of(plan: Plan[Any] | None) -> str:
    """A digest of what the page says of a plan, so that nothing else is sent than what was shown."""
    lines = plan.facts.lines() if plan and plan.facts else ()
    facts = [line for line in lines if line[0] != "Batch"]  # another one each time
    shown = plan and (facts, plan.unfinished, plan.changes, plan.refused)
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]
