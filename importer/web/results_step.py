"""Step 6, Results: what happened to each row, cells and statuses changed in place, and what can be done
next."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from importer.app.correct_batch import prepare_correct
from importer.app.observer import SILENT
from importer.app.options import CorrectOptions, ScreenChanges
from importer.app.plan import Plan, discard, start
from importer.app.questions import Answers
from importer.app.records import BatchStatus, CorrectionOutcome
from importer.app.report_batch import write_report
from importer.app.results_file import write_results_file
from importer.errors import UserError
from importer.remedies import remedy_for
from importer.results.edits import ACCEPTED
from importer.sheets.rows import decode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import RowStatus, Shown, StoredRow
from importer.web.check_step import save_correction
from importer.web.imports import WebImport
from importer.web.jobs import CORRECTING, VERIFYING, Job, looks_of, open_rows, read_back, rows_numbered
from importer.web.screen import Route, Screen, attachment, form_of, number_in, to_step

PAGE_ROWS: Final = 50
RESULT_COLUMNS_MAX: Final = 40
SEARCH_MAX: Final = 200
ENDS_WITHIN_S: Final = 20.0
CHANGES_SHOWN: Final = 500
ENDINGS: Final = (".csv", ".xlsx")


async def page(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """A page of rows, filtered by status and words."""
    status = await screen.status_of(own)
    if status is None:
        return to_step(own, "send" if own.has_sheet else "progress")
    store = await screen.store()
    rows = store.open(status.batch)
    asked: dict[str, Any] = {
        "status": next((each for each in Shown if each == request.query.get("status")), ""),
        "text": request.query.get("search", "").strip()[:SEARCH_MAX],
        "after": number_in(request.query.get("after", "")) or 0,
    }
    header, found, changed = await asyncio.to_thread(_page_of, rows, asked, own)
    created = changed.count(Shown.CREATED)
    job = screen.jobs.of(own.key)
    failed = job.error if job is not None and job.name in {VERIFYING, CORRECTING} else None
    return screen.show(
        request, "results.html", "Results", own, status=status, header=header[:RESULT_COLUMNS_MAX],
        rows=[_view(row, own) for row in found[:PAGE_ROWS]],
        more=found[PAGE_ROWS - 1].position if len(found) > PAGE_ROWS else None, asked=asked,
        other_ending=next(each for each in ENDINGS if each != Path(status.results).suffix),
        failed=str(failed or ""),
        corrected=job.result if job is not None and isinstance(job.result, CorrectionOutcome) else None,
        done=not open_rows(status), changed=len(changed) - created, changed_created=created,
    )  # fmt: skip


async def save(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Keep what was changed in one row, until it is sent."""
    form = await form_of(request)
    status, number = await screen.status_of(own), number_in(form.get("row", ""))
    if status is not None and number is not None:
        store = await screen.store()
        found = await asyncio.to_thread(rows_numbered, store.open(status.batch), [number])
        for row in found:
            view = _view(row, _keep(own, row, form))
            sends = "Correct sends it as an update" if row.status is RowStatus.CREATED else "Resume sends it"
            changed = view["changed"] or view["mark"]
            screen.say(f"Saved. {sends}." if changed else f"Row {row.number} was not changed.")
    return to_step(own, f"results?{form.get('query', '')}")


def _keep(own: WebImport, row: StoredRow, form: Mapping[str, str]) -> WebImport:
    """The texts that differ from the stored ones, and the status."""
    for column, cell in enumerate(decode_cells(row.cells)[:RESULT_COLUMNS_MAX]):
        given = form.get(f"cell.{column}")
        if given is not None:
            text = given.replace("\r\n", "\n")
            own = save_correction(own, row.number, column, None if text == str(cell) else text)
    mark = form.get("status", "")
    marks = {each: kept for each, kept in own.here.marks.items() if each != row.number}
    ids = {each: kept for each, kept in own.here.ids.items() if each != row.number}
    if mark in _marks_of(row.status.shown):
        marks[row.number] = mark, row.changed_at
        if mark == Shown.CREATED:
            ids[row.number] = form.get("id", "").strip()
    return own.changed(marks=marks, ids=ids)


async def compare(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Read back: compare what LeadSquared holds with what was sent."""
    await _existing(screen, own)
    work = partial(read_back, own, await screen.store(), screen.settle_s)
    await screen.jobs.give_up(own.key)
    screen.jobs.begin(own.key, Job(VERIFYING, work))
    return to_step(own, "progress")


async def report(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The HTML report, as a file."""
    status, store = await _existing(screen, own), await screen.store()
    written = await asyncio.to_thread(write_report, status.batch, store)
    content = await asyncio.to_thread(written.path.read_bytes)
    return attachment(content, written.path.name, "text/html; charset=utf-8")


async def download(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The results file, as it was last written."""
    status, store = await _existing(screen, own), await screen.store()
    path, ending = Path(status.results), request.query.get("as", "")
    try:
        if ending in ENDINGS and ending != path.suffix:
            other = own.folder / f"{path.stem}{ending}"  # where the batch's own file is does not change
            rows = store.open(status.batch)
            path = await asyncio.to_thread(write_results_file, rows, lambda **_: None, SILENT, other)
        content = await asyncio.to_thread(path.read_bytes)
    except OSError:
        text = f"The results file is not here: {path}. Resume writes it again."
        raise web.HTTPNotFound(text=text) from None
    kind = "text/csv; charset=utf-8" if path.suffix == ".csv" else "application/octet-stream"
    return attachment(content, path.name, kind)


async def differences(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Correct: what updates of created rows would change, computed when the page is opened; nothing is kept
    open."""
    await screen.jobs.give_up(own.key)
    status = await screen.status_of(own)
    if status is None or screen.jobs.running(own.key):
        return to_step(own, "progress")
    store, undo = await screen.store(), "undo" in request.query
    options = _correction(screen, own, status, undo=undo)
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


async def correct(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Yes, send: the updates leave, if they are those that were shown."""
    form = await form_of(request)
    status, store = await screen.status_of(own), await screen.store()
    refused = status is None or form.get("mode") != own.mode or screen.jobs.running(own.key)
    if status is None or refused or not screen.once.use(own.key, form.get("once", "")):
        return to_step(own, "progress")
    options = _correction(screen, own, status, undo="undo" in form, overwrite="overwrite" in form)

    async def work(job: Job[CorrectionOutcome]) -> CorrectionOutcome:
        plan = await prepare_correct(options, store, job)
        if looks_of(plan) != form.get("looks"):
            await discard(plan)
            raise UserError("The changes are others by now. Nothing was sent.", remedy="Press Correct again.")
        yes = {each.key: each.choices[0].value for each in plan.questions}
        rows = store.open(status.batch)
        held = _held(rows, own) if options.undo else set()
        outcome = await start(plan, Answers(yes), stop=job.stop)
        now = screen.imports.find(own.id, own.mode) or own
        for row, column in held - _held(rows, now):  # taken back: else they would be changes to send
            now = save_correction(now, row, column, None)
        return outcome

    own.changed(read_back=None)
    screen.jobs.begin(own.key, Job(CORRECTING, work))
    return to_step(own, "progress")


def _correction(
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


def _held(rows: BatchRows, own: WebImport) -> set[tuple[int, int]]:
    """The places of the corrected cells that the batch's rows hold by now."""
    corrected = own.state.corrections
    return {
        (row.number, column)
        for row in rows_numbered(rows, corrected)
        for column, cell in enumerate(decode_cells(row.cells))
        if corrected[row.number].get(column) == str(cell)
    }


async def _existing(screen: Screen, own: WebImport) -> BatchStatus:
    """The batch; of a run whose rows are done, once it has written its results file. Raises HTTPNotFound."""
    status = await screen.status_of(own)
    if status is None:
        raise web.HTTPNotFound(text="Nothing was sent of this import yet.")
    ending = screen.jobs.running(own.key)
    if ending is not None and ending.started and ending.name != VERIFYING and not open_rows(status):
        await asyncio.to_thread(ending.wait, ENDS_WITHIN_S)
    return status


def _page_of(
    rows: BatchRows, asked: dict[str, Any], own: WebImport
) -> tuple[tuple[str, ...], list[StoredRow], list[Shown]]:
    """The header, the rows of one page with the first of the next, and the statuses of the rows that were
    changed on the screen and not sent since."""
    statuses = [each for each in RowStatus if each.shown == asked["status"]]
    found = rows.search(statuses=statuses, text=asked["text"], after=asked["after"], limit=PAGE_ROWS + 1)
    views = [_view(row, own) for row in rows_numbered(rows, [*own.state.corrections, *own.here.marks])]
    changed = [view["status"] for view in views if view["changed"] or view["mark"] in view["marks"]]
    return tuple(rows.batch().header), found, changed


def _marks_of(status: Shown) -> list[str]:
    """What a person may make of a row's status, as in the results file."""
    return [word for shown, word in ACCEPTED if shown == status != Shown.CREATED]


def _view(row: StoredRow, own: WebImport) -> dict[str, Any]:
    """A row as the page shows it. cells: corrections included; changed: places of the corrected ones. mark:
    what a person made of its status, "" if nothing; marks: what they may."""
    corrected = own.state.corrections.get(row.number, {})
    cells = [str(cell) for cell in decode_cells(row.cells)[:RESULT_COLUMNS_MAX]]
    return {
        "number": row.number,
        "status": row.status.shown,
        "activity_id": row.activity_id or "",
        "error": row.error,
        "remedy": remedy_for(row.error_code).action if row.error_code else "",
        "cells": [corrected.get(place, cell) for place, cell in enumerate(cells)],
        "changed": {place for place, cell in enumerate(cells) if corrected.get(place, cell) != cell},
        "mark": own.mark_of(row),
        "marks": _marks_of(row.status.shown),
        "id": own.here.ids.get(row.number, ""),
    }


BASE: Final = "/imports/{import_id}/results"
ROUTES: Final[list[Route]] = [
    ("GET", BASE, page),
    ("POST", f"{BASE}/row", save),
    ("POST", f"{BASE}/read-back", compare),
    ("GET", f"{BASE}/report", report),
    ("GET", f"{BASE}/download", download),
    ("GET", "/imports/{import_id}/correct", differences),
    ("POST", "/imports/{import_id}/correct", correct),
]
