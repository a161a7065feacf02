"""Correct: changed cells of created rows are sent as updates, once the differences were looked at."""

from __future__ import annotations

import hashlib
from typing import Final

from aiohttp import web

from importer.app.correct_batch import prepare_correct
from importer.app.options import CorrectOptions, ScreenChanges
from importer.app.plan import Plan, discard, start
from importer.app.questions import Answers
from importer.app.records import BatchStatus, CorrectionOutcome
from importer.errors import UserError
from importer.web.imports import WebImport
from importer.web.jobs import Job
from importer.web.screen import Route, Screen, form_of, to_step
from importer.web.send_step import CORRECTING, looks_of, status_of

CHANGES_SHOWN: Final = 500


async def page(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The differences, computed when the page is opened; nothing is kept open."""
    await screen.jobs.give_up(own.key)
    status = await status_of(screen, own)
    if status is None or screen.jobs.running(own.key):
        return to_step(own, "progress")
    store, undo = await screen.store(), "undo" in request.query
    options = _options(screen, own, status, undo=undo)
    key = f"correct:{own.id}:{hashlib.sha256(repr(options).encode()).hexdigest()}"

    async def work(job: Job[Plan[CorrectionOutcome]]) -> Plan[CorrectionOutcome]:
        plan = await prepare_correct(options, store, job)
        await discard(plan)
        return plan

    job = await screen.jobs.outcome(key, "correct", work)
    if job.running:
        return screen.show(request, "working.html", "Correct", own, job=job)
    screen.jobs.forget(key)
    return screen.show(
        request, "correct.html", "Correct", own, found=job.result, looks=looks_of(job.result),
        problem=str(job.error or ""), undo=undo, changes_shown=CHANGES_SHOWN,
        organisation=status.organisation,
    )  # fmt: skip


async def send(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Yes, send: the updates leave, if they are those that were shown."""
    form = await form_of(request)
    status, store = await status_of(screen, own), await screen.store()
    refused = status is None or form.get("mode") != own.mode or screen.jobs.running(own.key)
    if status is None or refused or not screen.once.use(own.key, form.get("once", "")):
        return to_step(own, "progress")
    options = _options(screen, own, status, undo="undo" in form, overwrite="overwrite" in form)

    async def work(job: Job[CorrectionOutcome]) -> CorrectionOutcome:
        plan = await prepare_correct(options, store, job)
        if looks_of(plan) != form.get("looks"):
            await discard(plan)
            raise UserError("The changes are others by now. Nothing was sent.", remedy="Press Correct again.")
        yes = {each.key: each.choices[0].value for each in plan.questions}
        return await start(plan, Answers(yes), stop=job.stop)

    own.changed(read_back=None)
    screen.jobs.begin(own.key, Job(CORRECTING, work))
    return to_step(own, "progress")


def _options(
    screen: Screen, own: WebImport, status: BatchStatus, *, undo: bool, overwrite: bool = False
) -> CorrectOptions:
    cells = own.corrections
    return CorrectOptions(
        results=status.batch,
        calls=own.calls,
        changes=ScreenChanges(cells=cells) if own.has_sheet or cells else None,
        settle_s=screen.settle_s,
        overwrite=overwrite,
        undo=undo,
    )


BASE: Final = "/imports/{import_id}/correct"
ROUTES: Final[list[Route]] = [("GET", BASE, page), ("POST", BASE, send)]
