"""Step 5, Progress: how far a run is, live, and how to stop it. The page may be closed and opened again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from markupsafe import Markup

from importer.app.observer import Stage
from importer.app.records import BatchStatus
from importer.pacing.pacing import Rate
from importer.web.imports import WebImport
from importer.web.jobs import DeskState, Job
from importer.web.screen import Route, Screen, see_other, step_path
from importer.web.send_step import (
    CORRECTING,
    STEPS_BEFORE,
    TRIAL,
    VERIFYING,
    SendStep,
    is_done,
    open_rows,
    send_key,
    status_of,
)

EVERY_S: Final = 0.7
STREAM_MAX_S: Final = 3_600.0
"""The browser opens the stream again by itself."""

STOPPING_SENTENCE: Final = "Stopping: waiting for the calls under way."
COUNTED_STATUSES: Final = ("created", "failed", "invalid", "uncertain", "pending", "skipped")


@dataclass(frozen=True)
class Live:
    """A moment of a run as the page shows it. done, total: of this stage. chart: None where nothing is
    known of the calls, as of a run of another computer. stoppable: whether this server runs it."""

    sentence: str
    done: int
    total: int | None
    counts: dict[str, int]
    left_s: float | None
    chart: Markup | None
    notices: tuple[str, ...]
    stoppable: bool
    stopping: bool


class ProgressStep:
    """The pages of this step."""

    def __init__(self, screen: Screen, send: SendStep) -> None:
        self._screen, self._send = screen, send

    def routes(self) -> list[Route]:
        base = "/imports/{import_id}/progress"
        return [
            ("GET", base, self.page),
            ("GET", f"{base}/events", self.events),
            ("POST", f"{base}/stop", self.stop),
        ]

    async def page(self, request: web.Request, own: WebImport) -> web.Response:
        """A run under way; one that was stopped, with Resume; a finished one leads to Results."""
        live, status = await self._live(own)
        if live is None:
            leads_on = self._leads_on(own, status)
            if leads_on:
                return see_other(leads_on)
        job = self._screen.jobs.of(send_key(own, self._screen.mode))
        error = str(job.error) if job is not None and not job.running and job.error else ""
        return self._screen.show(
            request, "progress.html", heading="Progress", step="progress", own=own, live=live, status=status,
            error=error, reached=[*((*STEPS_BEFORE, "send") if own.has_sheet else ()), "results"],
            once=self._screen.once.current(send_key(own, self._screen.mode)),
            open_rows=open_rows(status) if status else 0, counted=COUNTED_STATUSES,
            stopped=_stopped(job),
        )  # fmt: skip

    async def events(self, request: web.Request, own: WebImport) -> web.StreamResponse:
        """What the page shows, again and again, until the run ends."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        until_s = time.monotonic() + STREAM_MAX_S
        before = ""
        while time.monotonic() < until_s:
            live, status = await self._live(own)
            if live is None:
                path = self._leads_on(own, status) or step_path(own.id, "progress")
                await response.write(_event("done", path))
                break
            piece = self._screen.pages.piece("progress_live.html", live=live, counted=COUNTED_STATUSES)
            if piece != before:
                await response.write(_event("live", piece))
                before = piece
            await asyncio.sleep(EVERY_S)
        return response

    async def stop(self, request: web.Request, own: WebImport) -> web.Response:
        """No further row is sent; calls under way are waited for."""
        job = self._screen.jobs.running(send_key(own, self._screen.mode))
        if job is not None:
            job.stop.request()
        return see_other(step_path(own.id, "progress"))

    async def _live(self, own: WebImport) -> tuple[Live | None, BatchStatus | None]:
        """What goes on now, here or elsewhere; None where nothing does."""
        key = send_key(own, self._screen.mode)
        job, desk = self._screen.jobs.running(key), self._send.desk_of(key)
        if job is not None and (desk is None or desk.state is not DeskState.WAITING):
            return _of_job(job), None
        status = await status_of(self._screen, own)
        if status is not None and status.running and job is None:
            return _of_status(status), status
        return None, status

    def _leads_on(self, own: WebImport, status: BatchStatus | None) -> str:
        """Where to go when nothing is under way; "" to stay: there is something to resume here."""
        key = send_key(own, self._screen.mode)
        job, desk = self._screen.jobs.of(key), self._send.desk_of(key)
        if desk is not None and job is not None and job.running:  # it waits for an answer
            return step_path(own.id, "send")
        if job is not None and job.error is not None:
            return step_path(own.id, "results") if job.name in {VERIFYING, CORRECTING} else ""
        if status is None:
            return step_path(own.id, "send")
        if job is not None and job.name in {VERIFYING, CORRECTING}:
            return step_path(own.id, "results")
        if job is not None and job.name == TRIAL and not job.stop.requested and not is_done(status):
            return step_path(own.id, "send" if status.counts.get("created") else "results")
        return step_path(own.id, "results") if is_done(status) else ""


def _of_job(job: Job[Any]) -> Live:
    latest = job.latest
    chart = None
    if latest.stage is Stage.SENDING and latest.limit is not None:
        samples = [(at, calls) for at, _, calls in job.samples]
        chart = calls_chart(samples, latest.limit, time.monotonic())
    return Live(
        sentence=STOPPING_SENTENCE if job.stop.requested else latest.note or f"{latest.stage}.",
        done=latest.done,
        total=latest.total,
        counts=dict(latest.counts),
        left_s=job.left_s(),
        chart=chart,
        notices=tuple(job.notices),
        stoppable=True,
        stopping=job.stop.requested,
    )  # fmt: skip


def _of_status(status: BatchStatus) -> Live:
    """A run of another window or computer."""
    rows = int(status.counts.get("rows", 0))
    left = open_rows(status)
    where = f" on {status.running_on}" if status.running_on else ""
    return Live(
        sentence=status.note or f"Sending{where}, in another window or on another computer.",
        done=rows - left,
        total=rows,
        counts={name: int(status.counts.get(name, 0)) for name in COUNTED_STATUSES},
        left_s=left / status.rate if status.rate else None,
        chart=None,
        notices=(),
        stoppable=False,
        stopping=False,
    )


def _stopped(job: Job[Any] | None) -> str:
    """Why the last run ended before its rows did."""
    result = job.result if job is not None and not job.running else None
    return str(getattr(result, "stopped", "")) if result is not None else ""


def _event(name: str, text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines())
    return f"event: {name}\n{lines}\n".encode()


CHART_WIDTH: Final = 640
CHART_HEIGHT: Final = 150
CHART_LEFT: Final = 40
CHART_BOTTOM: Final = 22
CHART_TOP: Final = 12
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


def calls_chart(samples: Sequence[tuple[float, int]], rate: Rate, now_s: float) -> Markup:
    """Calls in each window of the rate's period, the newest at the right, with the limit as a line."""
    points = [(at, calls) for at, calls in calls_in_windows(samples, rate.period_s) if now_s - at <= SHOWN_S]
    latest = points[-1][1] if points else 0
    top = max(rate.calls, *(calls for _, calls in points), 1) * 1.1 if points else rate.calls * 1.1

    def x(at: float) -> float:
        return CHART_WIDTH - 8 - (now_s - at) / SHOWN_S * (CHART_WIDTH - CHART_LEFT - 8)

    def y(calls: float) -> float:
        return CHART_HEIGHT - CHART_BOTTOM - calls / top * (CHART_HEIGHT - CHART_TOP - CHART_BOTTOM)

    line = " ".join(f"{x(at):.1f},{y(calls):.1f}" for at, calls in points)
    floor, limit = y(0), y(rate.calls)
    area = f"{x(points[0][0]):.1f},{floor:.1f} {line} {x(points[-1][0]):.1f},{floor:.1f}" if points else ""
    period = "second" if rate.period_s == 1 else f"{rate.period_s:g} seconds"
    words = f"{latest} of {rate.calls} calls in the last {period}"
    return Markup(  # noqa: S704 - numbers and our own words
        f'<svg class="chart" viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" aria-label="{words}">'
        f'<line class="axis" x1="{CHART_LEFT}" x2="{CHART_WIDTH - 8}" y1="{floor:.1f}" y2="{floor:.1f}"/>'
        f'<polygon class="area" points="{area}"/><polyline class="calls" points="{line}"/>'
        f'<line class="limit" x1="{CHART_LEFT}" x2="{CHART_WIDTH - 8}" y1="{limit:.1f}" y2="{limit:.1f}"/>'
        f'<text x="{CHART_LEFT - 6}" y="{limit + 4:.1f}" text-anchor="end">{rate.calls}</text>'
        f'<text x="{CHART_LEFT - 6}" y="{floor + 4:.1f}" text-anchor="end">0</text>'
        f'<text x="{CHART_LEFT}" y="{CHART_HEIGHT - 4}">3 minutes ago</text>'
        f'<text x="{CHART_WIDTH - 8}" y="{CHART_HEIGHT - 4}" text-anchor="end">now</text></svg>'
        f'<p class="chart-words">{words}; the line is the limit.</p>'
    )
