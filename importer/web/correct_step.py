"""Correct: changed cells of created rows are sent as updates, once the differences were looked at."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from importer.app.correct_batch import (
    CorrectionPlan,
    discard_correct,
    prepare_correct,
    start_correct,
)
from importer.app.options import CallOptions, CorrectOptions, ScreenChanges
from importer.app.questions import Answers
from importer.app.records import BatchStatus, CorrectionOutcome
from importer.errors import UserError
from importer.web.check_step import SHOWN_AT_ONCE_S
from importer.web.imports import WebImport
from importer.web.jobs import Job
from importer.web.screen import Route, Screen, form_of, see_other, step_path
from importer.web.send_step import CORRECTING, send_key, status_of

CHANGES_SHOWN: Final = 500


class CorrectStep:
    """The pages of this step."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def routes(self) -> list[Route]:
        base = "/imports/{import_id}/correct"
        return [("GET", base, self.page), ("POST", base, self.send)]

    async def page(self, request: web.Request, own: WebImport) -> web.Response:
        """The differences, computed when the page is opened; nothing is kept open."""
        mode = self._screen.mode
        status = await status_of(self._screen, own)
        if status is None or self._screen.jobs.running(send_key(own, mode)):
            return see_other(step_path(own.id, "progress"))
        undo = "undo" in request.query
        job = await self._compared(own, status, undo=undo)
        shown: dict[str, Any] = {"heading": "Correct", "step": "results", "own": own, "reached": ["results"]}
        if job.running:
            return self._screen.show(request, "working.html", job=job, **shown)
        self._screen.jobs.forget(self._key(own, undo=undo))
        return self._screen.show(
            request, "correct.html", found=job.result, looks=_looks(job.result),
            problem=str(job.error or ""), undo=undo,
            changes_shown=CHANGES_SHOWN, organisation=status.organisation,
            once=self._screen.once.current(send_key(own, mode)), **shown,
        )  # fmt: skip

    async def send(self, request: web.Request, own: WebImport) -> web.Response:
        """Yes, send: the updates leave, if they are those that were shown."""
        form = await form_of(request)
        mode, key = self._screen.mode, send_key(own, self._screen.mode)
        status = await status_of(self._screen, own)
        progress = see_other(step_path(own.id, "progress"))
        if status is None or form.get("mode") != mode or self._screen.jobs.running(key):
            return progress
        if not self._screen.once.use(key, form.get("once", "")):
            return progress
        store = await self._screen.store()
        options = self._options(own, status, form)

        async def work(job: Job[CorrectionOutcome]) -> CorrectionOutcome:
            plan = await prepare_correct(options, store, job)
            if _looks(plan) != form.get("looks"):
                await discard_correct(plan)
                raise UserError(
                    "The changes are others by now. Nothing was sent.", remedy="Press Correct again."
                )
            yes = {each.key: each.choices[0].value for each in plan.questions}
            return await start_correct(plan, Answers(yes), stop=job.stop)

        own.changed_in(mode, read_back=None)
        self._screen.jobs.begin(key, Job(CORRECTING, work, sends=True))
        return progress

    async def _compared(self, own: WebImport, status: BatchStatus, *, undo: bool) -> Job[CorrectionPlan]:
        key = self._key(own, undo=undo)
        job = self._screen.jobs.of(key)
        if job is None:
            store = await self._screen.store()
            options = self._options(own, status, {"undo": "1"} if undo else {})

            async def work(job: Job[CorrectionPlan]) -> CorrectionPlan:
                plan = await prepare_correct(options, store, job)
                await discard_correct(plan)
                return plan

            job = Job("correct", work, sends=False)
            job = self._screen.jobs.begin(key, job) or self._screen.jobs.of(key) or job
        await asyncio.to_thread(job.wait, SHOWN_AT_ONCE_S)
        return job

    def _options(self, own: WebImport, status: BatchStatus, form: Mapping[str, str]) -> CorrectOptions:
        cells = own.corrections
        return CorrectOptions(
            results=status.batch,
            calls=CallOptions(sandbox=self._screen.rehearsal),
            changes=ScreenChanges(cells=cells) if own.has_sheet or cells else None,
            settle_s=self._screen.settle_s,
            overwrite="overwrite" in form,
            undo="undo" in form,
        )

    def _key(self, own: WebImport, *, undo: bool) -> str:
        changed = hashlib.sha256(repr(sorted(own.corrections.items())).encode()).hexdigest()
        return f"correct:{own.id}:{self._screen.mode}:{undo}:{changed}"


def _looks(plan: CorrectionPlan | None) -> str:
    """A digest of what the page says, so that nothing else is sent than what was shown."""
    shown = plan and (plan.rows, plan.unfinished, plan.changes, plan.refused)
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:16]
