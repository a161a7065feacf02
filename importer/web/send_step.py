"""Step 4, Send: who, where, how many, how long; a trial of three rows; then all of them, asked once more."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from importer.app.options import (
    CallOptions,
    ResumeOptions,
    RunOptions,
    ScreenChanges,
    SendingOptions,
    VerifyOptions,
)
from importer.app.plan import Plan
from importer.app.questions import QuestionKind
from importer.app.records import BatchStatus, RunResult
from importer.app.resume import prepare_resume
from importer.app.run import prepare_run
from importer.app.sheet_questions import ImportedBeforeError
from importer.app.stores import batch_status
from importer.app.verify_batch import verify
from importer.checking.findings import Finding
from importer.errors import ResultsError, SettingsError
from importer.store.store import Store
from importer.web.check_step import SHOWN_AT_ONCE_S, bad_cells
from importer.web.imports import WebImport
from importer.web.jobs import Desk, DeskState, Job, Order, looks
from importer.web.screen import Route, Screen, form_of, see_other, step_path
from importer.web.sheet_step import sheet_input

STEPS_BEFORE: Final = ("sheet", "mapping", "check")
TRIAL_ROWS: Final = 3
TRIAL: Final = "trial"
VERIFYING: Final = "reading back"
CORRECTING: Final = "correcting"
"""Names of jobs."""
IMPORTED_BEFORE_KEY: Final = "imported-before"
"""Key of the answer to "this sheet was imported before"."""
AGAIN_CHOICES: Final = (
    ("only-new", "Send only the rows that are new"),
    ("again", "Send all rows again: this makes duplicates"),
)


SHEET_NEEDED_FOR: Final = ("pending", "uncertain", "failed", "invalid")
"""While LeadSquared has not all rows, their mapping may change, and the uploaded sheet is kept."""


class SendStep:
    """The pages of this step, and the start of everything that sends."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._desks: dict[str, Desk] = {}

    def routes(self) -> list[Route]:
        base = "/imports/{import_id}"
        return [
            ("GET", f"{base}/send", self.page),
            ("GET", f"{base}/send/confirm", self.confirm),
            ("POST", f"{base}/send/answer", self.answer),
            ("POST", f"{base}/send/try", self.trial),
            ("POST", f"{base}/send", self.send),
            ("POST", f"{base}/resume", self.resume),
        ]

    async def page(self, request: web.Request, own: WebImport) -> web.Response:
        """What would be sent; prepared when the page is opened."""
        return await self._show(request, own, "send.html")

    async def confirm(self, request: web.Request, own: WebImport) -> web.Response:
        """The last question."""
        return await self._show(request, own, "send_confirm.html")

    async def answer(self, request: web.Request, own: WebImport) -> web.Response:
        """Answers to the questions that come up before sending."""
        form = await form_of(request)
        mode = self._screen.mode
        chosen = {
            name.removeprefix("answer."): value for name, value in form.items() if name.startswith("answer.")
        }
        kept = {**own.state.answers.get(mode, {}), **chosen}
        own.changed_in(mode, answers=kept)
        desk = self._desks.get(self._key(own))
        if desk is not None and IMPORTED_BEFORE_KEY not in chosen:
            desk.order(Order(kept))
            await self._settled(own)
        return see_other(step_path(own.id, "send"))

    async def trial(self, request: web.Request, own: WebImport) -> web.Response:
        """Try 3 rows: sent without another question, and read back."""
        form = await form_of(request)
        return await self._start(own, form, limit=TRIAL_ROWS)

    async def send(self, request: web.Request, own: WebImport) -> web.Response:
        """Yes, send."""
        form = await form_of(request)
        return await self._start(own, form, limit=None)

    async def resume(self, request: web.Request, own: WebImport) -> web.Response:
        """Resume: the batch goes on with what was changed."""
        form = await form_of(request)
        return await self._start(own, form, limit=None, retry_failed="retry_failed" in form)

    def desk_of(self, key: str) -> Desk | None:
        """The desk about that, open or closed."""
        return self._desks.get(key)

    async def _show(self, request: web.Request, own: WebImport, template: str) -> web.Response:
        key = self._key(own)
        running = self._screen.jobs.running(key)
        desk = self._desks.get(key)
        if running is not None and (desk is None or desk.state is DeskState.SENDING):
            return see_other(step_path(own.id, "progress"))
        status = await status_of(self._screen, own)
        if status is not None and is_done(status):
            return see_other(step_path(own.id, "results"))
        shown: dict[str, Any] = {
            "heading": "Send", "step": "send", "own": own,
            "reached": [*(STEPS_BEFORE if own.has_sheet else ()), *(("results",) if status else ())],
        }  # fmt: skip
        job, desk = await self._prepared(own, status)
        if desk.state is DeskState.PREPARING and job.running:
            return self._screen.show(request, "working.html", job=job, **shown)
        if desk.plan is None:
            self._screen.jobs.forget(key)
            return self._screen.show(request, "send_failed.html", **_failure(job), **shown)
        problems: tuple[Finding, ...] = ()
        if any(each.kind is QuestionKind.INVALID for each in desk.open_questions):
            problems = desk.plan.findings.problems
        cells = await asyncio.to_thread(bad_cells, own, problems) if problems else None
        return self._screen.show(
            request, template, problems=problems, cells=cells, plan=desk.plan, questions=desk.open_questions,
            trial_rows=_trial_rows(desk.plan), to_send=_to_send(desk.plan),
            once=self._screen.once.current(key), looks=looks(desk.plan),
            notices=[text for text in job.notices if text not in desk.plan.changes],
            read_back=own.state.read_back.get(self._screen.mode, {}), **shown,
        )  # fmt: skip

    async def _prepared(self, own: WebImport, status: BatchStatus | None) -> tuple[Job[Any], Desk]:
        """The desk for what the import is now, after a short wait."""
        key = self._key(own)
        signature = self._signature(own, status)
        desk, job = self._desks.get(key), self._screen.jobs.of(key)
        failed = job is not None and job.error is not None and desk is not None and desk.job is job
        closed = desk is not None and desk.state is DeskState.CLOSED and not failed
        if desk is None or closed or desk.signature != signature:
            await self._give_up(key)
            await self._begin(own, status, Order(own.state.answers.get(self._screen.mode, {})), limit=None)
        return await self._settled(own)

    async def _settled(self, own: WebImport) -> tuple[Job[Any], Desk]:
        """After what is going on, or a short time."""
        key = self._key(own)
        job, desk = self._screen.jobs.of(key), self._desks[key]
        assert job is not None, "a desk's job is kept until it was shown"
        for _ in range(int(SHOWN_AT_ONCE_S / 0.05)):
            if desk.state is not DeskState.PREPARING or not job.running:
                break
            await asyncio.sleep(0.05)
        return job, desk

    async def _start(
        self, own: WebImport, form: dict[str, str], *, limit: int | None, retry_failed: bool = False
    ) -> web.Response:
        """Starts a run if the form is good for one; in any case the way leads to Progress."""
        key, mode = self._key(own), self._screen.mode
        progress = see_other(step_path(own.id, "progress"))
        if form.get("mode") != mode:
            self._screen.say("The rehearsal was switched in another window. Nothing was sent.", bad=True)
            return see_other(step_path(own.id, "send"))
        desk = self._desks.get(key)
        if desk is not None and desk.state is DeskState.SENDING and self._screen.jobs.running(key):
            return progress
        if not self._screen.once.use(key, form.get("once", "")):
            return progress
        own.changed_in(mode, read_back=None)
        status = await status_of(self._screen, own)
        order = Order(own.state.answers.get(mode, {}), send=True, looks=form.get("looks", ""))
        waits = desk is not None and desk.state is DeskState.WAITING
        fits = limit is None and not retry_failed
        if desk is not None and waits and fits and desk.signature == self._signature(own, status):
            desk.order(order)
        else:
            await self._give_up(key)
            await self._begin(own, status, order, limit=limit, retry_failed=retry_failed)
        return progress

    async def _begin(
        self,
        own: WebImport,
        status: BatchStatus | None,
        first: Order,
        *,
        limit: int | None,
        retry_failed: bool = False,
    ) -> None:
        store = await self._screen.store()
        mode = self._screen.mode
        sending = SendingOptions(limit=limit, settle_s=self._screen.settle_s)

        async def prepare(job: Job[RunResult | None]) -> Plan:
            if status is not None:
                how = resume_options(own, status, mode, sending)
                return await prepare_resume(replace(how, retry_failed=retry_failed), store, job)
            return await prepare_run(_run_options(own, mode, sending), store, job)

        def starting(plan: Plan) -> None:
            own.changed_in(mode, batches=plan.batch, mapped=mapping_digest(own))

        async def then(job: Job[RunResult | None], result: RunResult) -> None:
            if limit is not None and result.counts.get("created"):
                await read_back(own, mode, self._screen.reading(result.batch, mode), store, job)
            if mode == "real" and not any(map(result.counts.get, SHEET_NEEDED_FOR)):
                own.source.unlink(missing_ok=True)

        desk = Desk(self._signature(own, status), prepare, first=first, starting=starting, then=then)
        key = self._key(own)
        name = TRIAL if limit is not None else "import"
        if self._screen.jobs.begin(key, Job(name, desk.work, sends=True)) is not None:
            self._desks[key] = desk

    async def _give_up(self, key: str) -> None:
        """A plan that is not wanted any more is discarded, and waited for."""
        desk, job = self._desks.get(key), self._screen.jobs.running(key)
        if desk is not None and job is not None and desk.state is not DeskState.SENDING:
            job.stop.request()
            await asyncio.to_thread(job.wait, 60.0)

    def _key(self, own: WebImport) -> str:
        return send_key(own, self._screen.mode)

    def _signature(self, own: WebImport, status: BatchStatus | None) -> str:
        """Everything that a plan of this import depends on."""
        state = own.state
        mode = self._screen.mode
        parts = (
            mapping_digest(own), repr(sheet_input(own)), state.leave_out_invalid,
            status and (status.batch, status.counts),
            state.marks.get(mode), state.ids.get(mode), state.answers.get(mode, {}).get(IMPORTED_BEFORE_KEY),
        )  # fmt: skip
        return hashlib.sha256(repr(parts).encode()).hexdigest()


async def read_back(own: WebImport, mode: str, asked: VerifyOptions, store: Store, job: Job[Any]) -> None:
    """Created rows compared with what was sent; how many are equal is kept for the pages."""
    result = await verify(asked, store, job, job.stop)
    kept = {"equal": f"{result.equal:,} of {result.rows:,} rows equal"}
    kept |= {f"field {one['field']}": f"{one['equal']:,} of {one['sent']:,} equal" for one in result.fields}
    kept |= {f"difference {number}": text for number, text in enumerate(result.differences)}
    own.changed_in(mode, read_back=kept)


def send_key(own: WebImport, mode: str) -> str:
    """What a sending job is about."""
    return f"send:{own.id}:{mode}"


def mapping_digest(own: WebImport) -> str:
    """Identifies the mapping as it is now."""
    content = own.mapping.read_bytes() if own.mapping.exists() else b""
    return hashlib.sha256(content).hexdigest()


async def status_of(screen: Screen, own: WebImport) -> BatchStatus | None:
    """How the import's batch stands; None while it has none."""
    batch = own.state.batches.get(screen.mode)
    if batch is None:
        return None
    store = await screen.store()
    try:
        return await asyncio.to_thread(batch_status, batch, store)
    except ResultsError:
        return None


def is_done(status: BatchStatus) -> bool:
    """Whether nothing is left to send."""
    return not open_rows(status)


def open_rows(status: BatchStatus) -> int:
    """Rows that a resume would send or look up."""
    return int(status.counts.get("pending", 0)) + int(status.counts.get("uncertain", 0))


def resume_options(own: WebImport, status: BatchStatus, mode: str, sending: SendingOptions) -> ResumeOptions:
    """The batch goes on with the changes made on the screen, and with another mapping if it was changed."""
    state = own.state
    changed = own.mapping.exists() and state.mapped.get(mode, mapping_digest(own)) != mapping_digest(own)
    marks = {int(row): mark for row, mark in state.marks.get(mode, {}).items() if row.isdigit()}
    ids = {int(row): made for row, made in state.ids.get(mode, {}).items() if row.isdigit()}
    made_here = own.has_sheet or marks or state.corrections
    return ResumeOptions(
        results=status.batch,
        mapping=own.mapping if changed else None,
        remap=changed,
        calls=CallOptions(sandbox=mode == "rehearsal"),
        sending=sending,
        changes=ScreenChanges(cells=own.corrections, statuses=marks, ids=ids) if made_here else None,
    )


def _run_options(own: WebImport, mode: str, sending: SendingOptions) -> RunOptions:
    again = own.state.answers.get(mode, {}).get(IMPORTED_BEFORE_KEY, "")
    return RunOptions(
        sheet=sheet_input(own),
        mapping=own.mapping,
        calls=CallOptions(sandbox=mode == "rehearsal"),
        sending=sending,
        skip_invalid=own.state.leave_out_invalid,
        again=again == "again",
        only_new=again == "only-new",
    )


def _failure(job: Job[Any]) -> dict[str, Any]:
    """What the page says when there is no plan."""
    error = job.error
    earlier = error.earlier if isinstance(error, ImportedBeforeError) else ()
    text = str(error) if error else "The preparation was given up. Reload the page."
    no_keys = isinstance(error, SettingsError)
    return {"text": text, "earlier": earlier, "again": AGAIN_CHOICES, "no_keys": no_keys}


def _to_send(plan: Plan) -> int:
    return 0 if plan.facts is None else plan.facts.to_send + plan.facts.in_doubt


def _trial_rows(plan: Plan) -> int:
    """How many rows a trial sends; none where one was made already."""
    return min(TRIAL_ROWS, _to_send(plan))
