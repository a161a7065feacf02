"""Step 5, Progress: how far a run is, live, and how to stop it. The page may be closed and opened again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from aiohttp import web

from importer.app.observer import Stage
from importer.app.records import BatchStatus
from importer.pacing.pacing import Rate
from importer.web.imports import WebImport
from importer.web.jobs import Job
from importer.web.screen import Route, Screen, to_step
from importer.web.send_step import CORRECTING, TRIAL, VERIFYING, SendJob, open_rows, status_of
from importer.wording import count

EVERY_S: Final = 0.7
STREAM_MAX_S: Final = 3_600.0
"""The browser opens the stream again by itself."""


async def page(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
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
    status = await status_of(screen, own)
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


CHART_HEIGHT: Final = 118
SHOWN_S: Final = 180.0


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


BASE: Final = "/imports/{import_id}/progress"
ROUTES: Final[list[Route]] = [
    ("GET", BASE, page),
    ("GET", f"{BASE}/events", events),
    ("POST", f"{BASE}/stop", stop),
]
