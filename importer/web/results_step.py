"""Step 6, Results: what happened to each row, cells and statuses changed in place, and what can be done
next."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from importer.app.observer import SILENT
from importer.app.records import BatchStatus, CorrectionOutcome, VerifyResult
from importer.app.results_file import write_results_file
from importer.app.stores import write_report
from importer.remedies import remedy_for
from importer.sheets.rows import decode_cells
from importer.store.batch_rows import BatchRows
from importer.store.records import RowStatus, Shown, StoredRow
from importer.web.check_step import save_correction
from importer.web.imports import WebImport
from importer.web.jobs import Job
from importer.web.mapping_step import attachment
from importer.web.screen import Route, Screen, form_of, see_other, step_path
from importer.web.send_step import CORRECTING, VERIFYING, is_done, open_rows, read_back, send_key, status_of

PAGE_ROWS: Final = 50
RESULT_COLUMNS_MAX: Final = 40
SEARCH_MAX: Final = 200
ENDS_WITHIN_S: Final = 20.0
SAVED: Final = "Saved. Resume sends it."
SAVED_CREATED: Final = "Saved. Correct sends it as an update."
ALLOWED_MARKS: Final[dict[Shown, tuple[Shown, ...]]] = {
    Shown.PENDING: (Shown.SKIPPED,),
    Shown.FAILED: (Shown.SKIPPED,),
    Shown.INVALID: (Shown.SKIPPED,),
    Shown.SKIPPED: (Shown.PENDING,),
    Shown.UNCERTAIN: (Shown.PENDING, Shown.CREATED),
    Shown.CREATED: (),
}
"""What a person may make of a row's status, as in the results file."""

_BY_SHOWN: Final = {shown: tuple(status for status in RowStatus if status.shown is shown) for shown in Shown}


@dataclass(frozen=True)
class RowView:
    """A row as the page shows it. cells: corrections included; changed: places of the corrected ones. mark:
    what a person made of its status, "" if nothing. remedy: what to do about its code."""

    number: int
    status: Shown
    activity_id: str
    code: str
    error: str
    cells: tuple[str, ...]
    changed: frozenset[int]
    mark: str
    id: str

    @property
    def marks(self) -> tuple[Shown, ...]:
        """What its status can be made."""
        return ALLOWED_MARKS[self.status]

    @property
    def remedy(self) -> str:
        return remedy_for(self.code).action if self.code else ""


class ResultsStep:
    """The pages of this step."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def routes(self) -> list[Route]:
        base = "/imports/{import_id}/results"
        return [
            ("GET", base, self.page),
            ("POST", f"{base}/row", self.save),
            ("POST", f"{base}/read-back", self.read_back),
            ("GET", f"{base}/report", self.report),
            ("GET", f"{base}/download", self.download),
        ]

    async def page(self, request: web.Request, own: WebImport) -> web.Response:
        """A page of rows, filtered by status and words."""
        status = await status_of(self._screen, own)
        if status is None:
            return see_other(step_path(own.id, "send" if own.has_sheet else "progress"))
        asked = _asked(request.query)
        store = await self._screen.store()
        rows, mode = store.open(status.batch), self._screen.mode
        header, found, waiting = await asyncio.to_thread(_page_of, rows, asked, own, mode)
        views = [_view(row, own, mode) for row in found[:PAGE_ROWS]]
        key = send_key(own, mode)
        job = self._screen.jobs.of(key)
        told = job is not None and job.name in {VERIFYING, CORRECTING}
        failed = str(job.error) if job is not None and told and job.error else ""
        corrected = job.result if job is not None and isinstance(job.result, CorrectionOutcome) else None
        return self._screen.show(
            request, "results.html", heading="Results", step="results", own=own, status=status, rows=views,
            header=header[:RESULT_COLUMNS_MAX],
            more=found[PAGE_ROWS - 1].position if len(found) > PAGE_ROWS else None,
            asked=asked, statuses=tuple(Shown),
            other_ending=_other_ending(status), once=self._screen.once.current(key),
            failed=failed, corrected=corrected,
            open_rows=open_rows(status), done=is_done(status), read_back=own.state.read_back.get(mode, {}),
            waiting=waiting,
            reached=["sheet", "mapping", "check", "send"] if own.has_sheet else [],
        )  # fmt: skip

    async def save(self, request: web.Request, own: WebImport) -> web.Response:
        """Keep what was changed in one row, until it is sent."""
        form = await form_of(request)
        status = await status_of(self._screen, own)
        back = f"{step_path(own.id, 'results')}?{form.get('query', '')}"
        number = form.get("row", "")
        if status is None or not (number.isascii() and number.isdigit()):
            return see_other(back)
        store = await self._screen.store()
        row = await asyncio.to_thread(_row_numbered, store.open(status.batch), int(number))
        if row is not None:
            self._keep(own, row, form)
            self._screen.say(SAVED_CREATED if row.status is RowStatus.CREATED else SAVED)
        return see_other(back)

    def _keep(self, own: WebImport, row: StoredRow, form: Mapping[str, str]) -> None:
        """The texts that differ from the stored ones, and the status."""
        cells = [str(cell) for cell in decode_cells(row.cells)]
        for column, cell in enumerate(cells[:RESULT_COLUMNS_MAX]):
            given = form.get(f"cell.{column}")
            if given is not None:
                text = given.replace("\r\n", "\n")
                own = save_correction(own, row.number, column, text, undo=text == cell)
        mode, mark = self._screen.mode, form.get("status", "")
        marks = {
            each: kept for each, kept in own.state.marks.get(mode, {}).items() if each != str(row.number)
        }
        ids = {each: kept for each, kept in own.state.ids.get(mode, {}).items() if each != str(row.number)}
        if mark in ALLOWED_MARKS[row.status.shown]:
            marks[str(row.number)] = mark
            if mark == Shown.CREATED:
                ids[str(row.number)] = form.get("id", "").strip()
        own.changed_in(mode, marks=marks, ids=ids)

    async def read_back(self, request: web.Request, own: WebImport) -> web.Response:
        """Compare what LeadSquared holds with what was sent."""
        status = await status_of(self._screen, own)
        if status is None:
            return see_other(step_path(own.id, "results"))
        store = await self._screen.store()
        mode = self._screen.mode
        asked = self._screen.reading(status.batch, mode)

        async def work(job: Job[VerifyResult | None]) -> VerifyResult | None:
            await read_back(own, mode, asked, store, job)
            return None

        key = send_key(own, mode)
        ending = self._screen.jobs.running(key)
        if ending is not None and ending.name != VERIFYING and is_done(status):
            await asyncio.to_thread(ending.wait, ENDS_WITHIN_S)  # it writes its results file
        self._screen.jobs.begin(key, Job(VERIFYING, work, sends=False))
        return see_other(step_path(own.id, "progress"))

    async def report(self, request: web.Request, own: WebImport) -> web.Response:
        """The HTML report, as a file."""
        status = await self._existing(own)
        store = await self._screen.store()
        written = await asyncio.to_thread(write_report, status.batch, store)
        content = await asyncio.to_thread(written.path.read_bytes)
        return attachment(content, written.path.name, "text/html; charset=utf-8")

    async def download(self, request: web.Request, own: WebImport) -> web.Response:
        """The results file, as it was last written."""
        status = await self._existing(own)
        path = Path(status.results)
        ending = request.query.get("as", "")
        try:
            if ending in ENDINGS and ending != path.suffix:
                store = await self._screen.store()
                path = await asyncio.to_thread(_written_as, store.open(status.batch), own, path, ending)
            content = await asyncio.to_thread(path.read_bytes)
        except OSError:
            raise web.HTTPNotFound(
                text=f"The results file is not here: {path}. Resume writes it again."
            ) from None
        kind = "text/csv; charset=utf-8" if path.suffix == ".csv" else "application/octet-stream"
        return attachment(content, path.name, kind)

    async def _existing(self, own: WebImport) -> BatchStatus:
        status = await status_of(self._screen, own)
        if status is None:
            raise web.HTTPNotFound(text="Nothing was sent of this import yet.")
        return status


ENDINGS: Final = (".csv", ".xlsx")


@dataclass(frozen=True)
class Asked:
    """Which rows a page shows. status: of these only, "" for all. text: to search for. after: a position."""

    status: str
    text: str
    after: int

    @property
    def statuses(self) -> tuple[RowStatus, ...]:
        return _BY_SHOWN[Shown(self.status)] if self.status else ()


def _other_ending(status: BatchStatus) -> str:
    """The format that the results file does not have."""
    return next(ending for ending in ENDINGS if ending != Path(status.results).suffix)


def _asked(query: Mapping[str, str]) -> Asked:
    status, after = query.get("status", ""), query.get("after", "")
    return Asked(
        status if status in set(Shown) else "",
        query.get("search", "").strip()[:SEARCH_MAX],
        int(after) if after.isascii() and after.isdigit() and len(after) < 12 else 0,
    )


@dataclass(frozen=True)
class Waiting:
    """Rows that were changed on the screen, and not sent since. created: those that are corrections."""

    to_send: int
    created: int


def _page_of(
    rows: BatchRows, asked: Asked, own: WebImport, mode: str
) -> tuple[tuple[str, ...], list[StoredRow], Waiting]:
    """The header, the rows of one page with the first of the next, and how many rows were changed."""
    found = rows.search(statuses=asked.statuses, text=asked.text, after=asked.after, limit=PAGE_ROWS + 1)
    numbers = {
        int(each) for each in (*own.state.corrections, *own.state.marks.get(mode, {})) if each.isdigit()
    }
    views = [_view(rows.row(position), own, mode) for position in rows.positions(numbers).values()]
    changed = [view for view in views if view.changed or view.mark in view.marks]
    created = sum(view.status is Shown.CREATED for view in changed)
    return tuple(rows.batch().header), found, Waiting(len(changed) - created, created)


def _written_as(rows: BatchRows, own: WebImport, results: Path, ending: str) -> Path:
    """The results in the other format, in the import's own folder. Raises FileError."""
    return write_results_file(rows, _kept_nowhere, SILENT, own.folder / f"{results.stem}{ending}")


def _kept_nowhere(**_facts: object) -> None:
    """Where the batch's own results file is does not change."""


def _row_numbered(rows: BatchRows, number: int) -> StoredRow | None:
    position = rows.positions([number]).get(number)
    return None if position is None else rows.row(position)


def _view(row: StoredRow, own: WebImport, mode: str) -> RowView:
    corrected = {int(column): text for column, text in own.state.corrections.get(str(row.number), {}).items()}
    cells = tuple(str(cell) for cell in decode_cells(row.cells))[:RESULT_COLUMNS_MAX]
    shown = tuple(corrected.get(place, cell) for place, cell in enumerate(cells))
    return RowView(
        number=row.number,
        status=row.status.shown,
        activity_id=row.activity_id or "",
        code=row.error_code,
        error=row.error,
        cells=shown,
        changed=frozenset(place for place, cell in enumerate(cells) if shown[place] != cell),
        mark=own.state.marks.get(mode, {}).get(str(row.number), ""),
        id=own.state.ids.get(mode, {}).get(str(row.number), ""),
    )
