"""Step 4, Send: who, where, how many, how long; a trial of three rows; then all of them, asked once more.
Step 5, Progress: how far that is, live, and how to stop it. The pages may be closed and opened again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from importer.app.observer import Stage
from importer.app.questions import QuestionKind
from importer.app.records import BatchStatus
from importer.errors import SettingsError
from importer.pacing.pacing import Rate
from importer.text import count
from importer.web.check_step import bad_cells
from importer.web.imports import WebImport
from importer.web.jobs import (
    CORRECTING,
    IMPORTED_BEFORE_KEY,
    SHOWN_AT_ONCE_S,
    TRIAL,
    VERIFYING,
    Job,
    SendJob,
    looks_of,
    open_rows,
    signature,
)
from importer.web.screen import Route, Screen, answers_in, form_of, to_step

TRIAL_ROWS: Final = 3
EVERY_S: Final = 0.7
STREAM_MAX_S: Final = 3_600.0
"""The browser opens the stream again by itself."""
CHART_HEIGHT: Final = 118
SHOWN_S: Final = 180.0


async def page(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """What would be sent; prepared when the page is opened. Behind `/confirm`: the last question."""
    running = screen.jobs.running(own.key)
    if running is not None and running.started:
        return to_step(own, "progress")
    status = await screen.status_of(own)
    if status is not None and not open_rows(status):
        return to_step(own, "results")
    job = screen.jobs.of(own.key)
    anew = job is None or not (job.running or job.error)  # one that failed is shown once
    job = await _job(screen, own, status, anew=anew)
    await _settled(job)
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


async def _job(
    screen: Screen, own: WebImport, status: BatchStatus | None, *, anew: bool, **how: Any
) -> SendJob:
    """The plan for what the import is now; another one where it changed."""
    job = screen.jobs.of(own.key)
    if anew or not isinstance(job, SendJob) or job.signature != signature(own, status):
        await screen.jobs.give_up(own.key)
        job = SendJob(await screen.store(), own, status, settle_s=screen.settle_s, **how)
        screen.jobs.begin(own.key, job)
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
    status = await screen.status_of(own)
    looks, retry_failed = form.get("looks", ""), "retry_failed" in form
    waits = isinstance(job, SendJob) and job.waiting
    anew = limit is not None or retry_failed or not waits  # another plan than the one that waits
    job = await _job(screen, own, status, anew=anew, limit=limit, retry_failed=retry_failed)
    job.go_on(own.here.answers, looks)
    return to_step(own, "progress")


async def progress(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """A run under way; one that was stopped, with Resume; a finished one leads to Results."""
    live, status = await _live(screen, own)
    step = "progress" if live else _leads_to(screen, own, status)
    if step != "progress":
        return to_step(own, step)
    job = screen.jobs.of(own.key)
    ended = job if job is not None and not job.running else None
    return screen.show(
        request, "progress.html", "Progress", own, live=live, status=status,
        error=str(ended.error or "") if ended else "", stopped=getattr(ended and ended.result, "stopped", ""),
        open_rows=open_rows(status) if status else 0,
    )  # fmt: skip


async def events(screen: Screen, request: web.Request, own: WebImport) -> web.StreamResponse:
    """What the page shows, again and again, until the run ends."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    until_s = time.monotonic() + STREAM_MAX_S
    before = ""
    with suppress(ConnectionResetError):  # the page was left
        while time.monotonic() < until_s:
            own = screen.imports.find(own.id, own.mode) or own  # its batch is known once it begins
            live, status = await _live(screen, own)
            if live is None:
                await response.write(_event("done", f"/imports/{own.id}/{_leads_to(screen, own, status)}"))
                break
            piece = screen.render("progress_live.html", live=live)
            if piece != before:
                await response.write(_event("live", piece))
                before = piece
            await asyncio.sleep(EVERY_S)
    return response


async def stop(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """No further row is sent; calls under way are waited for."""
    job = screen.jobs.running(own.key)
    if job is not None:
        job.stop.request()
    return to_step(own, "progress")


async def _live(screen: Screen, own: WebImport) -> tuple[dict[str, Any] | None, BatchStatus | None]:
    """What goes on now, here or elsewhere, for the page; None where nothing does."""
    job = screen.jobs.running(own.key)
    if job is not None and not (isinstance(job, SendJob) and job.waiting):
        return _of_job(job), None
    status = await screen.status_of(own)
    elsewhere = status is not None and status.running and job is None
    return (_of_status(status) if status is not None and elsewhere else None), status


def _leads_to(screen: Screen, own: WebImport, status: BatchStatus | None) -> str:
    """The step to go to when nothing is under way; `progress` to stay: there is something to resume."""
    job = screen.jobs.of(own.key)
    if job is not None and job.running:  # it waits for an answer
        return "send"
    if job is not None and job.name in {VERIFYING, CORRECTING}:
        return "results"
    if job is not None and job.error is not None:
        return "progress"
    if status is None:
        return "send"
    tried = job is not None and job.name == TRIAL and not job.stop.requested
    if not open_rows(status) or (tried and not status.counts.get("created")):
        return "results"
    return "send" if tried else "progress"


def _of_job(job: Job[Any]) -> dict[str, Any]:
    """done, total: of this stage. chart: None where nothing is known of the calls."""
    latest, chart = job.latest, None
    if latest.stage is Stage.SENDING and latest.limit is not None:
        samples = [(at, calls) for at, _, calls in job.samples]
        chart = calls_chart(samples, latest.limit, time.monotonic())
    return {
        "sentence": _sentence(job), "done": latest.done, "total": latest.total,
        "counts": latest.counts, "left_s": job.left_s(), "chart": chart, "notices": list(job.notices),
        "stoppable": True, "stopping": job.stop.requested,
    }  # fmt: skip


def _sentence(job: Job[Any]) -> str:
    """What goes on. When only uncertain rows are left, they are looked up."""
    latest = job.latest
    if job.stop.requested:
        return "Stopping: waiting for the calls under way."
    uncertain = latest.counts.get("uncertain", 0)
    if not latest.note and uncertain and not latest.counts.get("pending"):
        return f"Looking {count(uncertain, 'uncertain row')} up in LeadSquared. This takes up to a minute."
    return latest.note or f"{latest.stage}."


def _of_status(status: BatchStatus) -> dict[str, Any]:
    """The same of a run of another window or computer, which this server cannot stop."""
    rows, left = int(status.counts.get("rows", 0)), open_rows(status)
    where = f" ({status.running_on})" if status.running_on else ""
    return {
        "sentence": status.note or f"Sending{where}, in another window or on another computer.",
        "done": rows - left, "total": rows, "counts": status.counts, "chart": None, "notices": (),
        "left_s": left / status.rate if status.rate else None, "stoppable": False, "stopping": False,
    }  # fmt: skip


def _event(name: str, text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n".encode()


def calls_in_windows(samples: Sequence[tuple[float, int]], window_s: float) -> list[tuple[float, int]]:
    """(moment, calls in the window that ends there). samples: (moment in seconds, calls so far)."""
    found, first = [], 0
    for at, calls in samples:
        while samples[first][0] < at - window_s and samples[first + 1][0] <= at - window_s:
            first += 1
        before = samples[first][1] if samples[first][0] <= at - window_s else samples[0][1]
        found.append((at, calls - before))
    return found


def calls_chart(samples: Sequence[tuple[float, int]], rate: Rate, now_s: float) -> dict[str, Any]:
    """Calls in each window of the rate's period. points: (share of the time shown, back from now; height in
    pixels). limit: the height of the line that they stay below."""
    recent = [(at, calls) for at, calls in calls_in_windows(samples, rate.period_s) if now_s - at <= SHOWN_S]
    scale = CHART_HEIGHT / 1.1 / max(rate.calls, *(calls for _, calls in recent), 1)
    period = "second" if rate.period_s == 1 else f"{rate.period_s:g} seconds"
    return {
        "points": [((now_s - at) / SHOWN_S, round(calls * scale, 1)) for at, calls in recent],
        "limit": round(rate.calls * scale, 1),
        "calls": rate.calls,
        "words": f"{recent[-1][1] if recent else 0} of {rate.calls} calls in the last {period}",
    }


BASE: Final = "/imports/{import_id}"
ROUTES: Final[list[Route]] = [
    ("GET", f"{BASE}/send", page),
    ("GET", f"{BASE}/send/confirm", page),
    ("POST", f"{BASE}/send/answer", answered),
    ("POST", f"{BASE}/send/try", trial),
    ("POST", f"{BASE}/send", send),
    ("POST", f"{BASE}/resume", send),
    ("GET", f"{BASE}/progress", progress),
    ("GET", f"{BASE}/progress/events", events),
    ("POST", f"{BASE}/progress/stop", stop),
]
