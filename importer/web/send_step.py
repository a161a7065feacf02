"""Step 4, Send: who, where, how many, how long; a trial of three rows; then all of them, asked once more."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

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
from importer.app.stores import batch_status
from importer.app.verify_batch import verify
from importer.errors import ResultsError, SettingsError, WorkError
from importer.store.batch_rows import BatchRows
from importer.store.records import StoredRow
from importer.store.store import Store
from importer.web.check_step import bad_cells
from importer.web.imports import ReadBack, WebImport
from importer.web.jobs import SHOWN_AT_ONCE_S, Job
from importer.web.screen import Route, Screen, answers_in, form_of, to_step
from importer.web.sheet_step import sheet_input

TRIAL_ROWS: Final = 3
TRIAL: Final = "trial"
VERIFYING: Final = "reading back"
CORRECTING: Final = "correcting"
"""Names of jobs."""
IMPORTED_BEFORE_KEY: Final = "imported-before"
"""Key of the answer to "this sheet was imported before"."""
SHEET_NEEDED_FOR: Final = ("pending", "uncertain", "failed", "invalid")
"""While LeadSquared has not all rows, their mapping may change, and the uploaded sheet is kept."""
KEPT_S: Final = 900.0
"""A plan that nobody asks for is given up after that: it may own a batch that somebody else wants."""


class SendJob(Job[RunResult | None]):
    """One plan from its preparation to its end; it waits for the person in between.

    status: of the batch that goes on, None for a new one. signature: what the plan was prepared from; a page
    that shows something else makes a new one. remaps: rows of the batch are mapped with a changed mapping.
    waiting: for `go_on`.
    """

    started = False

    def __init__(
        self,
        screen: Screen,
        store: Store,
        own: WebImport,
        status: BatchStatus | None,
        *,
        limit: int | None = None,
        retry_failed: bool = False,
    ) -> None:
        super().__init__(TRIAL if limit else "import", lambda _: self._prepared_and_sent())
        self.signature = signature(own, status)
        self.remaps = status is not None and own.mapping_changed
        self.plan: Plan[RunResult] | None = None
        self.waiting = False
        self._screen, self._store, self._own, self._status = screen, store, own, status
        self._limit, self._retry_failed = limit, retry_failed
        self._wanted: tuple[dict[str, str], str | None] = own.here.answers, None
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

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
        if self._loop is not None:
            with suppress(RuntimeError):  # it has ended since
                self._loop.call_soon_threadsafe(self._woken.set)

    async def _prepared_and_sent(self) -> RunResult | None:
        self._loop = asyncio.get_running_loop()
        self.stop.when_requested(self._woken.set, self._loop)
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
                try:
                    await asyncio.wait_for(self._woken.wait(), KEPT_S)
                except TimeoutError:
                    break
                self.waiting = False
            return None
        finally:
            plan, self.plan, self.waiting, self._loop = self.plan, None, False, None
            if plan is not None:
                await discard(plan)

    async def _prepare(self) -> Plan[RunResult]:
        """A batch goes on with the changes made on the screen, and with another mapping if it was changed."""
        own, here = self._own, self._own.here
        sending = SendingOptions(limit=self._limit, settle_s=self._screen.settle_s)
        if self._status is None:
            again = here.answers.get(IMPORTED_BEFORE_KEY)
            run = RunOptions(
                sheet=sheet_input(own), mapping=own.mapping, calls=own.calls, sending=sending,
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
            await read_back(self._screen, own, self._store, self)
        if own.mode == "real" and not any(map(result.counts.get, SHEET_NEEDED_FOR)):
            own.source.unlink(missing_ok=True)
        return result


async def page(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """What would be sent; prepared when the page is opened. Behind `/confirm`: the last question."""
    running = screen.jobs.running(own.key)
    if running is not None and running.started:
        return to_step(own, "progress")
    status = await status_of(screen, own)
    if status is not None and not open_rows(status):
        return to_step(own, "results")
    job = await _prepared(screen, own, status)
    if job.running and not job.waiting:
        return screen.show(request, "working.html", "Send", own, job=job)
    plan, questions = job.plan, job.open_questions
    if plan is None:
        screen.jobs.forget(own.key)
        return screen.show(
            request, "send_failed.html", "Send", own, error=job.error,
            earlier=getattr(job.error, "earlier", ()), no_keys=isinstance(job.error, SettingsError),
        )  # fmt: skip
    problems = plan.findings.problems if any(each.kind is QuestionKind.INVALID for each in questions) else ()
    header, cells = await asyncio.to_thread(bad_cells, own, problems) if problems else ((), {})
    to_send = plan.facts.to_send + plan.facts.in_doubt if plan.facts else 0
    return screen.show(
        request, "send_confirm.html" if request.path.endswith("/confirm") else "send.html", "Send", own,
        plan=plan, remaps=job.remaps, questions=questions, problems=problems, looks=looks_of(plan),
        header=header, cells=cells, to_send=to_send, trial_rows=min(TRIAL_ROWS, to_send),
        notices=[text for text in job.notices if text not in plan.changes],
    )  # fmt: skip


async def answered(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Answers to the questions that come up before sending."""
    form = await form_of(request)
    chosen = answers_in(form)
    own = own.changed(answers={**own.here.answers, **chosen}, ticked=None)
    job = screen.jobs.running(own.key)
    if isinstance(job, SendJob) and IMPORTED_BEFORE_KEY not in chosen:
        job.go_on(own.here.answers)
        await _settled(job)
    return to_step(own, "send")


async def trial(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Try 3 rows: sent without another question, and read back."""
    return await _start(screen, own, await form_of(request), limit=TRIAL_ROWS)


async def send(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Yes, send; or Resume: the batch goes on with what was changed."""
    return await _start(screen, own, await form_of(request), limit=None)


async def _prepared(screen: Screen, own: WebImport, status: BatchStatus | None) -> SendJob:
    """The plan for what the import is now, after a short wait; one that failed is shown once."""
    job = screen.jobs.of(own.key)
    if (
        not isinstance(job, SendJob)
        or job.signature != signature(own, status)
        or not (job.running or job.error)
    ):
        await screen.jobs.give_up(own.key)
        job = SendJob(screen, await screen.store(), own, status)
        screen.jobs.begin(own.key, job)
    await _settled(job)
    return job


async def _settled(job: SendJob) -> None:
    """After what is going on, or a short time."""
    for _ in range(int(SHOWN_AT_ONCE_S / 0.05)):
        if job.waiting or job.started or not job.running:
            break
        await asyncio.sleep(0.05)


async def _start(screen: Screen, own: WebImport, form: dict[str, str], *, limit: int | None) -> web.Response:
    """Starts a run if the form is good for one; in any case the way leads to Progress."""
    if form.get("mode") != own.mode:
        screen.say("The rehearsal was switched in another window. Nothing was sent.", bad=True)
        return to_step(own, "send")
    job = screen.jobs.running(own.key)
    if (isinstance(job, SendJob) and job.started) or not screen.once.use(own.key, form.get("once", "")):
        return to_step(own, "progress")
    own = own.changed(read_back=None)
    status = await status_of(screen, own)
    looks, retry_failed = form.get("looks", ""), "retry_failed" in form
    again = limit is not None or retry_failed  # another plan than the one that waits
    if again or not isinstance(job, SendJob) or not job.waiting or job.signature != signature(own, status):
        await screen.jobs.give_up(own.key)
        job = SendJob(screen, await screen.store(), own, status, limit=limit, retry_failed=retry_failed)
        screen.jobs.begin(own.key, job)
    job.go_on(own.here.answers, looks)
    return to_step(own, "progress")


async def read_back(screen: Screen, own: WebImport, store: Store, job: Job[Any]) -> None:
    """Created rows compared with what was sent; how many are equal is kept for the pages."""
    asked = VerifyOptions(results=own.here.batch, calls=own.calls, settle_s=screen.settle_s)
    result = await verify(asked, store, job, job.stop)
    if result.stopped:
        raise WorkError(result.stopped)
    equal = f"{result.equal:,} of {result.rows:,} rows equal"
    by_field = {one["field"]: f"{one['equal']:,} of {one['sent']:,} equal" for one in result.fields}
    own.changed(read_back=ReadBack(equal, by_field, result.differences))


async def status_of(screen: Screen, own: WebImport) -> BatchStatus | None:
    """How the import's batch stands; None while it has none."""
    if not own.here.batch:
        return None
    try:
        return await asyncio.to_thread(batch_status, own.here.batch, await screen.store())
    except ResultsError:
        return None


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
        own.mapping_digest, repr(sheet_input(own)), state.leave_out_invalid,
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


BASE: Final = "/imports/{import_id}"
ROUTES: Final[list[Route]] = [
    ("GET", f"{BASE}/send", page),
    ("GET", f"{BASE}/send/confirm", page),
    ("POST", f"{BASE}/send/answer", answered),
    ("POST", f"{BASE}/send/try", trial),
    ("POST", f"{BASE}/send", send),
    ("POST", f"{BASE}/resume", send),
]
