"""`correct`: changed cells of created rows become updates of their activities. Planned as data, shown, asked
about, recorded before the first update leaves, and resumable: what was not sent yet is sent the next time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from importer.app.changes import SHOWN_MAX, from_screen
from importer.app.connecting import Session, as_work_error, send_options, session
from importer.app.corrections import PlannedChanges, from_edits, from_mapping, taking_back
from importer.app.lookups import looked_up
from importer.app.named import NamedBatch, expect_kind, find_batch
from importer.app.observer import SILENT, Observer, Progress, Stage, StopHandle
from importer.app.options import CorrectOptions
from importer.app.preparing import Preparing
from importer.app.questions import NO_ANSWERS, Answers, Choice, Question, QuestionKind, QuestionOpenError
from importer.app.records import CorrectionOutcome, NextStep
from importer.app.results_file import edits_of_file, place_here, write_results_file
from importer.app.running import REASONS_MAX, SHOW_EVERY_S, STOP_CODES, columns_of
from importer.app.sheet_input import loaded_mapping
from importer.app.staging import asked_values, source_row
from importer.errors import ResultsError, UserError
from importer.leadsquared.calls import Unreachable
from importer.mapping.mapping import Mapping
from importer.mapping.references import Resolved
from importer.mapping.row_mapper import RowMapper
from importer.results.beside import beside
from importer.results.corrections_file import CORRECTIONS_ENDING, write_corrections
from importer.results.edits import Edits
from importer.sending.corrections import CorrectionPass, CorrectionSummary, UpdateOptions
from importer.sending.engine import tenant_name
from importer.sending.run_state import StopReason
from importer.sheets.rows import Row
from importer.store.ownership import Ownership
from importer.store.records import Batch, CorrectionStatus, RowStatus, iso
from importer.store.store import Store
from importer.text import shown
from importer.wording import NOT_ANSWERING, count

UPDATES_AT_ONCE: Final = 8
UNFINISHED: Final = (CorrectionStatus.PLANNED, CorrectionStatus.SENDING)


@dataclass(frozen=True, slots=True)
class CorrectionPlan:
    """What would be corrected. changes: one sentence for each field; refused: what cannot be. rows: how many
    rows. unfinished: rows that an earlier correction did not finish. questions: those that are open."""

    batch: str
    rows: int
    unfinished: int
    changes: tuple[str, ...]
    refused: tuple[str, ...]
    questions: tuple[Question, ...]
    preparation: CorrectionPreparation = field(repr=False, compare=False)


async def prepare_correct(
    options: CorrectOptions, store: Store, observer: Observer = SILENT
) -> CorrectionPlan:
    """Owns the batch and computes what would be corrected; nothing is changed. To be ended by
    `start_correct` or `discard_correct`.

    Raises UserError (ResultsError: in use, erased, nothing created), WorkError when LeadSquared cannot be
    reached.
    """
    preparation = CorrectionPreparation(options, store, observer)
    return await preparation.planned()


async def start_correct(
    plan: CorrectionPlan, answers: Answers = NO_ANSWERS, *, stop: StopHandle | None = None
) -> CorrectionOutcome:
    """Records what is planned, and sends it. Raises QuestionOpenError, DeclinedError: nothing was changed."""
    return await plan.preparation.started(answers, stop or StopHandle())


async def discard_correct(plan: CorrectionPlan) -> None:
    """Gives the batch back."""
    await plan.preparation.discarded()


class CorrectionPreparation:
    """One `correct`, from its options to its outcome."""

    def __init__(self, options: CorrectOptions, store: Store, observer: Observer) -> None:
        self.options, self.store, self.observer = options, store, observer
        given = {str(QuestionKind.CORRECT): "correct"} if options.yes else {}
        self._steps = Preparing((self._own, self._read, self._connect, self._plan), Answers(given))
        self._named: NamedBatch
        self._owned: Ownership
        self._batch: Batch
        self._mapper: RowMapper
        self._session: Session | None = None
        self._edits = Edits()
        self._resolved: Resolved = {}
        self._planned = PlannedChanges()
        self._unfinished: set[int] = set()
        self._digest: str | None = None
        self._keeps_file = False
        """The results file holds changes that this correction does not take."""

    async def planned(self) -> CorrectionPlan:
        """See `prepare_correct`."""
        try:
            await self._steps.advance(NO_ANSWERS)
        except Unreachable as error:
            raise as_work_error(error) from error
        return CorrectionPlan(
            batch=self._batch.id,
            rows=len(self._planned.plans),
            unfinished=len(self._unfinished),
            changes=tuple(self._planned.shown),
            refused=tuple(self._planned.refused),
            questions=self._steps.open_questions,
            preparation=self,
        )

    async def started(self, answers: Answers, stop: StopHandle) -> CorrectionOutcome:
        """See `start_correct`."""
        await self._steps.finish(answers)
        async with self._steps.opened:
            if not self._planned.plans and not self._unfinished:
                return self._outcome(None)
            if self._planned.plans:
                with self._owned.change() as change:
                    at = iso(datetime.now(UTC).timestamp())
                    change.plan_corrections(self._planned.plans, at=at, undo=self.options.undo)
            summary = await self._send(stop)
            self._rewrite_results(summary)
            return self._outcome(summary)

    def _rewrite_results(self, summary: CorrectionSummary) -> None:
        """What was corrected is in the file, and nothing that a person wants and did not get is lost."""
        whole = not (summary.stop or summary.conflicts or summary.failed or self._planned.refused)
        if whole and not self._keeps_file:
            rows, keep_facts = self._owned.rows, self._owned.keep_facts
            write_results_file(rows, keep_facts, self.observer, self._place(), read=self._digest)

    async def discarded(self) -> None:
        """See `discard_correct`."""
        await self._steps.opened.aclose()

    # ---- the steps --------------------------------------------------------------------------------

    async def _own(self) -> None:
        sandbox = self.options.calls.sandbox
        self._named = find_batch(self.options.results, self.store, rehearsal=sandbox)
        expect_kind(self._named, sandbox=sandbox, remedy="Use --sandbox to correct the rehearsal.")
        if self.options.remap and self.options.mapping is None:
            raise UserError("--remap needs the new mapping.", remedy="Add it with -m MAPPING.")
        if self.options.undo and self.options.remap:
            raise UserError("--undo and --remap cannot be used together.", remedy="Use one of them.")
        if self.store.summary(self._named.id) is None:
            raise ResultsError(
                "This store does not have the batch, and only there is what was sent.",
                where=self._named.id,
                remedy="Correct on the computer that ran the import, or with the team's store.",
            )
        self._owned = self._steps.opened.enter_context(self.store.own(self._named.id))
        self._batch = self._owned.rows.batch()
        if not self._owned.rows.counts().get(RowStatus.CREATED):
            raise ResultsError(
                "No row of this batch is created, so there is nothing to correct.",
                where=self._named.id,
                remedy="See its progress:",
                command=("status", self._named.id),
            )
        own = Mapping.from_record(self._batch.mapping)
        given = self.options.mapping if self.options.remap else None
        self._mapper = (own if given is None else loaded_mapping(given)).bind(self._batch.header)

    async def _read(self) -> None:
        """What was changed, and what an earlier correction left."""
        rows = self._owned.rows
        self._unfinished = {one.position for status in UNFINISHED for one in rows.corrections(status=status)}
        if self.options.changes is not None:
            self._edits = from_screen(self.options.changes, rows, self._batch.header)
            return
        found, self._digest = edits_of_file(self._named.results, self._batch, rows, self.observer)
        taken = not (self.options.undo or self.options.remap)
        if taken:
            self._edits = found
        others = found.rows or found.words or found.newer_lines or found.unknown_created
        self._keeps_file = bool(others or (found.corrections and not taken))

    def _anything_to_do(self) -> bool:
        return bool(self.options.undo or self.options.remap or self._edits.corrections or self._unfinished)

    async def _connect(self) -> None:
        if not self._anything_to_do():
            return
        if self.options.unattended and not self.options.yes and not self._batch.rehearsal:
            raise QuestionOpenError((_question(0),))
        calls = self.options.calls
        opening = session(
            calls,
            send_options(calls),
            self.store,
            rehearsal=self._batch.id if calls.sandbox else "",
            asked={},
        )
        self._session = await self._steps.opened.enter_async_context(opening)
        user = await self._session.user()
        tenant = tenant_name(self._session.settings.base_url, user, rehearsal=self._batch.rehearsal)
        if tenant != self._batch.tenant:
            raise ResultsError(
                f"This batch belongs to {self._batch.organisation or self._batch.tenant} on"
                f" {self._batch.tenant}, and the keys to {tenant}.",
                where=self._batch.id,
                remedy="Use the host and keys of the batch's own organisation. Nothing was sent.",
                code="keys",
            )
        asked = asked_values(self._mapped_again(), self._mapper)
        self._resolved = await looked_up(
            self._session.connection.tenant, asked, self.observer, kept=self._owned.rows.lookups(),
            max_outage_s=calls.max_outage_s,
        )  # fmt: skip

    def _mapped_again(self) -> list[Row]:
        rows = self._owned.rows
        if self.options.undo or self.options.remap:
            return [source_row(row) for row in rows.rows(RowStatus.CREATED)]
        numbers = [edit.number for edit in self._edits.corrections]
        before = [source_row(rows.row(position)) for position in rows.positions(numbers).values()]
        return before + [Row(edit.number, edit.cells) for edit in self._edits.corrections]

    async def _plan(self) -> None:
        if not self._anything_to_do():
            return
        rows = self._owned.rows
        if self.options.undo:
            self._planned = taking_back(rows, self._mapper, self._resolved)
        elif self.options.remap:
            self._planned = from_mapping(rows, self._mapper, self._resolved)
        else:
            self._planned = from_edits(rows, self._edits.corrections, self._mapper, self._resolved)
        self._show()
        total = len({one.position for one in self._planned.plans} | self._unfinished)
        if total and not self._batch.rehearsal:
            self._steps.ask(_question(total))

    def _show(self) -> None:
        found = self._planned
        for line in found.shown[:SHOWN_MAX]:
            self.observer.notice(f"Change: {line}")
        if len(found.shown) > SHOWN_MAX:
            self.observer.notice(f"… and {len(found.shown) - SHOWN_MAX:,} more changes.")
        for line in found.refused[:SHOWN_MAX]:
            self.observer.notice(f"Not corrected: {line}", warning=True)
        if len(found.refused) > SHOWN_MAX:
            self.observer.notice(f"… and {len(found.refused) - SHOWN_MAX:,} more.", warning=True)
        if self._unfinished:
            rows = count(len(self._unfinished), "row")
            self.observer.notice(f"Changes of {rows} are left from an earlier correction.")

    # ---- sending ----------------------------------------------------------------------------------

    async def _send(self, stop: StopHandle) -> CorrectionSummary:
        assert self._session is not None
        loop, connection, calls = asyncio.get_running_loop(), self._session.connection, self.options.calls
        updates = UpdateOptions(
            overwrite=self.options.overwrite,
            workers=min(calls.workers, UPDATES_AT_ONCE),
            settle_s=self.options.settle_s,
            max_attempts=self.options.max_attempts,
            max_outage_s=calls.max_outage_s,
        )
        work = CorrectionPass(
            self._owned, connection.tenant, connection.pace, updates, columns=columns_of(self._mapper)
        )

        def end() -> None:
            with suppress(RuntimeError):  # the loop has ended since
                loop.call_soon_threadsafe(work.stop, StopReason.INTERRUPTED, "Interrupted.", 130)

        def show() -> None:
            note = NOT_ANSWERING if work.in_trouble else connection.pace.describe()
            counts = {status.name.lower(): rows for status, rows in work.counts.items()}
            self.observer.progress(Progress(Stage.CORRECTING, work.done, work.total, counts, note))

        async def watch() -> None:
            while True:
                show()
                await asyncio.sleep(SHOW_EVERY_S)

        stop.when_requested(end)
        self.observer.sending()
        watching = asyncio.create_task(watch())
        try:
            return await work.run()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            show()

    def _outcome(self, summary: CorrectionSummary | None) -> CorrectionOutcome:
        rows, batch = self._owned.rows, self._batch
        path = None
        if rows.last_round():
            place = beside(self._place(), CORRECTIONS_ENDING).absolute()
            placed = write_corrections(place, rows.corrections(), batch.id)
            path = placed.path
            if placed.aside:
                self.observer.notice(placed.aside, warning=True)
        left = len({one.position for status in UNFINISHED for one in rows.corrections(status=status)})
        stop = summary.stop if summary else None
        conflicts, failed = (summary.conflicts, summary.failed) if summary else (0, 0)
        refused = len(self._planned.refused)
        code = stop.exit_code if stop else 3 if left else 1 if conflicts + failed + refused else 0
        again = ("correct", str(self._place()), *(("--sandbox",) if batch.rehearsal else ()))
        steps = [NextStep("Continue with:", again)] if left else []
        if conflicts:
            steps.append(NextStep("To replace the values in LeadSquared:", (*again, "--overwrite")))
        return CorrectionOutcome(
            batch=batch.id,
            changed=len({one.position for one in self._planned.plans} | self._unfinished) + refused,
            corrected=summary.corrected if summary else 0,
            conflicts=conflicts,
            failed=failed + refused,
            left=left,
            corrections=path,
            exit_code=code,
            refused=tuple(self._planned.refused),
            reasons=tuple(self._reasons()) if summary else (),
            stopped=stop.message if stop else "",
            stop_code=STOP_CODES[stop.reason] if stop else "",
            next_steps=tuple(steps),
        )

    def _place(self) -> Path:
        return self._named.results or place_here(self._owned.rows)

    def _reasons(self) -> list[str]:
        """Why fields of the last round were not corrected."""
        rows = self._owned.rows
        found = [
            f"Row {one.number}, {one.field}: {shown(one.error, 300)}"
            for one in rows.corrections(in_round=rows.last_round())
            if one.status in {CorrectionStatus.CONFLICT, CorrectionStatus.FAILED}
        ]
        more = [f"… and {len(found) - REASONS_MAX:,} more: see the file."] if len(found) > REASONS_MAX else []
        return found[:REASONS_MAX] + more


def _question(rows: int) -> Question:
    return Question(
        QuestionKind.CORRECT,
        f"Change {count(rows, 'created row')} in LeadSquared?",
        (Choice("correct", "Send these corrections", "--yes"),),
        "--yes",
        details=("What LeadSquared holds now is kept, so that --undo can restore it.",),
        rows=rows,
    )
