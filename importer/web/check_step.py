"""Step 3, Check: what is wrong with the sheet, cells corrected in place, questions answered by choice."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from importer.app.check_sheet import check
from importer.app.options import CallOptions, CheckOptions
from importer.app.questions import Question, QuestionKind
from importer.app.records import CheckReport
from importer.checking.findings import Finding
from importer.errors import MappingError
from importer.mapping.yaml_file import MappingText
from importer.sheets import open_sheet
from importer.sheets.rows import column_letters
from importer.web.imports import WebImport
from importer.web.jobs import Job
from importer.web.screen import Route, Screen, form_of, see_other, step_path
from importer.web.sheet_step import sheet_input, sheet_options

SHOWN_AT_ONCE_S: Final = 2.0
"""So long a page waits for a check before it shows that one is under way."""
CELLS_SHOWN: Final = 25
CORRECTION_LENGTH_MAX: Final = 32_767
"""Excel's own limit."""
ACCEPT: Final = "accept"
BACK: Final = {"send": "send", "look-up": "check?look-up=yes"}
"""Where a corrected cell leads back to."""


@dataclass(frozen=True)
class BadCell:
    """A cell to correct. name: as Excel has it. value: what it shows, correction included."""

    row: int
    index: int
    column: str
    name: str
    value: str


@dataclass(frozen=True)
class BadCells:
    """The texts of the cells that findings name, by row, corrections included. header: the sheet's."""

    header: tuple[str, ...]
    rows: dict[int, tuple[str, ...]]

    def of(self, finding: Finding) -> list[BadCell]:
        """The first cells of a problem."""
        if finding.index is None:
            return []
        return [
            self._cell(row, finding.index)
            for row in finding.rows[:CELLS_SHOWN]
            if row in self.rows and finding.index < len(self.rows[row])
        ]

    def _cell(self, row: int, index: int) -> BadCell:
        return BadCell(row, index, self.header[index], f"{column_letters(index)}{row}", self.rows[row][index])


@dataclass(frozen=True)
class CheckedSheet:
    """A check's report, and the cells that it names."""

    report: CheckReport
    cells: BadCells


class CheckStep:
    """The pages of this step."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def routes(self) -> list[Route]:
        base = "/imports/{import_id}/check"
        return [("GET", base, self.page), ("POST", base, self.settle), ("POST", f"{base}/cell", self.correct)]

    async def page(self, request: web.Request, own: WebImport) -> web.Response:
        """The findings; while the sheet is being read, how far that is."""
        if not own.has_sheet:
            return see_other(step_path(own.id, "results"))
        online = "look-up" in request.query
        job = await self._checked(own, online=online)
        shown: dict[str, Any] = {
            "step": "check",
            "own": own,
            "reached": ["sheet", "mapping"],
            "heading": "Check",
        }
        if job.running:
            return self._screen.show(request, "working.html", job=job, **shown)
        if job.result is None:
            self._screen.jobs.forget(self._key(own, online=online))
            return self._screen.show(request, "check_failed.html", text=str(job.error), **shown)
        return self._screen.show(
            request, "check.html", checked=job.result, changes=_changes(own, job.result),
            accepted=_accepted(own), online=online, **shown,
        )  # fmt: skip

    async def correct(self, request: web.Request, own: WebImport) -> web.Response:
        """Save one cell's new text, in the import's copy alone."""
        form = await form_of(request)
        row, column = form.get("row", ""), form.get("column", "")
        if row.isascii() and row.isdigit() and column.isascii() and column.isdigit():
            own = save_correction(own, int(row), int(column), form.get("text", ""), undo="undo" in form)
        back = BACK.get(form.get("back", ""), "check")
        return see_other(f"{step_path(own.id, back)}#problems")

    async def settle(self, request: web.Request, own: WebImport) -> web.Response:
        """Continue: keep the answers, and go on if nothing is open."""
        form = await form_of(request)
        online = form.get("back") == "look-up"
        job = await self._checked(own, online=online)
        here = step_path(own.id, BACK["look-up"] if online else "check")
        if job.result is None:
            return see_other(here)
        report = job.result.report
        open_questions = [
            question
            for question in report.questions
            if not _answered(own, question, form.get(question.key, ""))
        ]
        leaves_out = "leave_out" in form
        own.changed(leave_out_invalid=leaves_out)
        if open_questions:
            self._screen.say("Answer each question first, or correct the sheet.", bad=True)
        elif report.invalid and not leaves_out:
            self._screen.say("Correct the invalid rows, or choose to leave them out.", bad=True)
        elif not report.valid:
            self._screen.say("No row is valid, so there is nothing to send.", bad=True)
        else:
            return see_other(step_path(own.id, "send"))
        return see_other(here)

    async def _checked(self, own: WebImport, *, online: bool) -> Job[CheckedSheet]:
        """The check of the import as it is now: under way, or done. online: with accounts and users looked
        up."""
        key = self._key(own, online=online)
        job = self._screen.jobs.of(key)
        if job is None:
            store = await self._screen.store()
            calls = CallOptions(sandbox=self._screen.rehearsal)

            async def work(job: Job[CheckedSheet]) -> CheckedSheet:
                asked = CheckOptions(sheet=sheet_input(own), mapping=own.mapping, calls=calls, online=online)
                report = await check(asked, store, job)
                return CheckedSheet(report, bad_cells(own, report.findings.problems))

            self._screen.jobs.begin(key, Job("check", work, sends=False))
            job = self._screen.jobs.of(key)
            assert job is not None, "it was begun one line above, by this or by another window"
        await asyncio.to_thread(job.wait, SHOWN_AT_ONCE_S)
        return job

    def _key(self, own: WebImport, *, online: bool) -> str:
        """What a check is about: the import, and everything that its outcome depends on."""
        mapping = own.mapping.read_bytes() if own.mapping.exists() else b""
        parts = (mapping, repr(sheet_input(own)).encode(), self._screen.mode.encode() if online else b"")
        return f"check:{own.id}:{hashlib.sha256(b'|'.join(parts)).hexdigest()}"


def save_correction(own: WebImport, row: int, column: int, text: str, *, undo: bool = False) -> WebImport:
    """The import with one more corrected cell, or one fewer."""
    kept = {number: dict(cells) for number, cells in own.state.corrections.items()}
    cells = kept.setdefault(str(row), {})
    if undo:
        cells.pop(str(column), None)
    else:
        cells[str(column)] = text.replace("\r\n", "\n")[:CORRECTION_LENGTH_MAX]
    return own.changed(corrections={number: each for number, each in kept.items() if each})


def bad_cells(own: WebImport, findings: Iterable[Finding]) -> BadCells:
    """Reads the rows that the findings name, for their cells."""
    left = {row for one in findings for row in one.rows[:CELLS_SHOWN]}
    corrections = own.corrections
    rows: dict[int, tuple[str, ...]] = {}
    with open_sheet(own.source, sheet_options(own)) as sheet:
        last = max(left, default=0)
        for row in sheet.rows():
            if row.number > last:
                break
            if row.number in left:
                rows[row.number] = tuple(
                    corrections.get((row.number, index), str(cell)) for index, cell in enumerate(row.cells)
                )
        return BadCells(sheet.header, rows)


def _answered(own: WebImport, question: Question, chosen: str) -> bool:
    """Keep the answer to one question; False while it is open."""
    if chosen not in {choice.value for choice in question.choices}:
        return False
    if question.kind is QuestionKind.HIDDEN:
        own.changed(hidden=chosen)
    elif question.kind is QuestionKind.ACCEPT:
        text = MappingText(own.mapping.read_bytes().decode("utf-8"))
        before = text.block((ACCEPT,)) or []
        kinds = [before] if isinstance(before, str) else list(before)
        text.set((ACCEPT,), [*kinds, question.subject])
        own.save_mapping(text.text())
    return True


def _accepted(own: WebImport) -> list[str]:
    """Kinds of findings that the mapping says are fine."""
    try:
        found = MappingText(own.mapping.read_bytes().decode("utf-8")).block((ACCEPT,)) or []
    except MappingError:
        return []
    return [found] if isinstance(found, str) else [str(each) for each in found]


def _changes(own: WebImport, checked: CheckedSheet) -> list[BadCell]:
    """The cells that were corrected."""
    return [
        BadCell(row, column, checked.cells.header[column], f"{column_letters(column)}{row}", text)
        for (row, column), text in sorted(own.corrections.items())
        if column < len(checked.cells.header)
    ]
