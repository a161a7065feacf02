"""Step 3, Check: what is wrong with the sheet, cells corrected in place, questions answered by choice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from aiohttp import web

from importer.app.check_sheet import check
from importer.app.options import CheckOptions, Hidden
from importer.app.questions import Question, QuestionKind
from importer.app.records import CheckReport
from importer.checking.survey import Finding
from importer.errors import MappingError
from importer.mapping.yaml_file import MappingText
from importer.sheets import open_sheet
from importer.web.imports import WebImport
from importer.web.jobs import Job
from importer.web.screen import Route, Screen, answers_in, form_of, number_in, to_step

CELLS_SHOWN: Final = 25
CORRECTION_LENGTH_MAX: Final = 32_767
"""Excel's own limit."""
BACK: Final = {"send": "send", "look-up": "check?look-up=yes"}
"""Where a corrected cell leads back to."""

BadCells = tuple[tuple[str, ...], dict[int, tuple[str, ...]]]
"""The sheet's header, and the texts of the rows that findings name, by row number, corrections included."""
Checked = tuple[CheckReport, BadCells]


async def page(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """The findings; while the sheet is being read, how far that is."""
    if not own.has_sheet:
        return to_step(own, "results")
    online = "look-up" in request.query
    job = await _checked(screen, own, online=online)
    if job.running:
        return screen.show(request, "working.html", "Check", own, job=job)
    if job.result is None:
        screen.jobs.forget(_key(own, online=online))
        return screen.show(request, "check_failed.html", "Check", own, text=str(job.error))
    report, (header, cells) = job.result
    return screen.show(
        request, "check.html", "Check", own, report=report, header=header, cells=cells,
        accepted=_accepted(own), online=online, back="look-up" if online else "check",
    )  # fmt: skip


async def correct(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Save one cell's new text, in the import's copy alone."""
    form = await form_of(request)
    row, column = number_in(form.get("row", "")), number_in(form.get("column", ""))
    if row is not None and column is not None:
        save_correction(own, row, column, None if "undo" in form else form.get("text", ""))
    return to_step(own, f"{BACK.get(form.get('back', ''), 'check')}#problems")


async def keep(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """What is ticked stays so on the next page: another form of this one was sent."""
    own.changed(ticked=answers_in(await form_of(request)))
    return web.Response(status=204)


async def settle(screen: Screen, request: web.Request, own: WebImport) -> web.Response:
    """Continue: keep the answers, and go on if nothing is open."""
    form = await form_of(request)
    online = form.get("back") == "look-up"
    job = await _checked(screen, own, online=online)
    here = to_step(own, BACK["look-up"] if online else "check")
    chosen = answers_in(form)
    if job.result is None:  # another cell was saved with this form: the sheet is read again
        own.changed(ticked=chosen)
        return here
    report, _ = job.result
    answered = [_answered(own, each, chosen.get(each.key, "")) for each in report.questions]
    leaves_out = "leave-out" in chosen
    own.changed(leave_out_invalid=leaves_out, ticked=None)
    if not all(answered):
        screen.say("Answer each question first, or correct the sheet.", bad=True)
    elif report.invalid and not leaves_out:
        screen.say("Correct the invalid rows, or choose to leave them out.", bad=True)
    elif not report.valid:
        screen.say("No row is valid, so there is nothing to send.", bad=True)
    else:
        return to_step(own, "send")
    return here


async def _checked(screen: Screen, own: WebImport, *, online: bool) -> Job[Checked]:
    """The check of the import as it is now: under way, or done. online: with accounts and users looked up."""
    store = await screen.store()
    asked = CheckOptions(sheet=own.sheet_input, mapping=own.mapping, calls=own.calls, online=online)

    async def work(job: Job[Checked]) -> Checked:
        report = await check(asked, store, job)
        return report, bad_cells(own, report.findings.problems)

    return await screen.jobs.outcome(_key(own, online=online), "check", work)


def _key(own: WebImport, *, online: bool) -> str:
    """What a check is about: the import, and everything that its outcome depends on."""
    parts = (own.mapping_text, own.sheet_input, own.mode if online else "")
    return f"check:{own.id}:{hashlib.sha256(repr(parts).encode()).hexdigest()}"


def save_correction(own: WebImport, row: int, column: int, text: str | None) -> WebImport:
    """The import with one more corrected cell; None takes one back."""
    cells = {each: kept for each, kept in own.state.corrections.get(row, {}).items() if each != column}
    if text is not None:
        cells[column] = text.replace("\r\n", "\n")[:CORRECTION_LENGTH_MAX]
    kept = {**own.state.corrections, row: cells}
    return own.changed(corrections={number: each for number, each in kept.items() if each})


def bad_cells(own: WebImport, findings: Iterable[Finding]) -> BadCells:
    """Reads the rows that the findings name, for their cells."""
    left = {row for one in findings for row in one.rows[:CELLS_SHOWN]}
    last = max(left, default=0)
    rows: dict[int, tuple[str, ...]] = {}
    with open_sheet(own.source, own.state.reading) as sheet:
        for row in sheet.rows():
            if row.number > last:
                break
            if row.number in left:
                corrected = own.state.corrections.get(row.number, {})
                rows[row.number] = tuple(
                    corrected.get(index, str(cell)) for index, cell in enumerate(row.cells)
                )
        return sheet.header, rows


def _answered(own: WebImport, question: Question, chosen: str) -> bool:
    """Keep the answer to one question; False while it is open."""
    if chosen not in {choice.value for choice in question.choices}:
        return False
    if question.kind is QuestionKind.HIDDEN:
        hidden: Hidden = "skip" if chosen == "skip" else "include"
        own.changed(reading=replace(own.state.reading, hidden=hidden))
    elif question.kind is QuestionKind.ACCEPT:
        text = MappingText(own.mapping_text)
        text.set(("accept",), [*_accepted(own), question.subject])
        own.save_mapping(text.text())
    return True


def _accepted(own: WebImport) -> list[str]:
    """Kinds of findings that the mapping says are fine."""
    try:
        found = MappingText(own.mapping_text).block(("accept",)) or []
    except MappingError:
        return []
    return [found] if isinstance(found, str) else [str(each) for each in found]


BASE: Final = "/imports/{import_id}/check"
ROUTES: Final[list[Route]] = [
    ("GET", BASE, page),
    ("POST", BASE, settle),
    ("POST", f"{BASE}/cell", correct),
    ("POST", f"{BASE}/ticked", keep),
]
