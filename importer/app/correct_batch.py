"""`correct`: changed cells of created rows become updates of their activities."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from importer.app.changes import SHOWN_MAX, from_screen
from importer.app.connecting import Session, looked_up, send_options, session
from importer.app.observer import SILENT, Observer, Progress, Stage, StopHandle, shown_regularly
from importer.app.options import CorrectOptions
from importer.app.plan import Preparation
from importer.app.planned_changes import (
    UNFINISHED,
    FormerValues,
    PlannedChanges,
    from_edits,
    from_mapping,
    taking_back,
)
from importer.app.questions import NO_ANSWERS, Answers, Choice, Question, QuestionKind, QuestionOpenError
from importer.app.records import CorrectionOutcome, NextStep
from importer.app.results_file import CHANGED, edits_of_file, place_here, say_named, write_results_file
from importer.app.running import REASONS_MAX, STOP_CODES
from importer.app.staging import asked_values, loaded_mapping, source_row
from importer.app.stores import NamedBatch, batch_to_call
from importer.errors import ResultsError, UserError
from importer.mapping.mapping import Mapping
from importer.mapping.references import Resolved
from importer.mapping.row_mapper import RowMapper
from importer.results.beside import CORRECTIONS_ENDING, beside, write_corrections
from importer.results.edits import Edits
from importer.sending.corrections import CorrectionPass, CorrectionSummary
from importer.sending.outage import StopReason
from importer.sending.run_state import SendOptions
from importer.sheets.rows import Row
from importer.store.ownership import Ownership
from importer.store.records import (
    Batch,
    CorrectionStatus,
    PlannedCorrection,
    RowStatus,
    StoredCorrection,
    iso,
)
from importer.store.store import Store
from importer.text import shown
from importer.wording import NOT_ANSWERING, count

UPDATES_AT_ONCE: Final = 8
NOT_CREATED: Final = tuple(each for each in RowStatus if each not in {RowStatus.CREATED, RowStatus.SKIPPED})


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
    return await CorrectionPreparation(options, store, observer).answered()


async def start_correct(
    plan: CorrectionPlan, answers: Answers = NO_ANSWERS, *, stop: StopHandle | None = None
) -> CorrectionOutcome:
    """Records what is planned, and sends it. Raises QuestionOpenError, DeclinedError: nothing was changed."""
    return await plan.preparation.started(answers, stop or StopHandle())


async def discard_correct(plan: CorrectionPlan) -> None:
    """Gives the batch back."""
    await plan.preparation.discarded()


class CorrectionPreparation(Preparation[CorrectionPlan, CorrectionOutcome]):
    """One `correct`, from its options to its outcome."""

    def __init__(self, options: CorrectOptions, store: Store, observer: Observer) -> None:
        given = {str(QuestionKind.CORRECT): "correct"} if options.yes else {}
        super().__init__(store, observer, (self._own, self._read, self._connect, self._plan), given)
        self.options = options
        self._named: NamedBatch
        self._owned: Ownership
        self._batch: Batch
        self._mapping: Mapping
        self._mapper: RowMapper
        self._session: Session
        self._edits = Edits()
        self._resolved: Resolved = {}
        self._planned = PlannedChanges()
        self._unfinished: dict[int, dict[str, StoredCorrection]] = {}
        """What an earlier correction left, by position and field; an undo withdraws it."""
        self._continues_undo = False
        self._digest: str | None = None
        self._keeps_file = False
        """The results file holds changes that this correction does not take."""
        self._file_is_behind = False
        """The results file has lines from before their row's last change."""

    def plan(self) -> CorrectionPlan:
        """See `Preparation`."""
        return CorrectionPlan(
            batch=self._batch.id,
            rows=len(self._planned.plans),
            unfinished=0 if self._withdraws else len(self._unfinished),
            changes=tuple(self._planned.shown),
            refused=tuple(self._planned.refused),
            questions=self.open_questions,
            preparation=self,
        )

    def begin(self) -> None:
        """See `Preparation`."""
        facts = self._mapping_facts()
        with self._owned.change() as change:
            if self._planned.plans or self._withdraws:
                at = iso(datetime.now(UTC).timestamp())
                change.plan_corrections(self._planned.plans, at=at, undo=self.options.undo)
                facts[CHANGED] = True  # until it is written again
            change.keep_facts(**facts)

    def _mapping_facts(self) -> dict[str, Any]:
        """The batch keeps another mapping from now on, and an undo brings the former one back. The next
        `resume` maps the rows with it that are not created."""
        rows, own = self._owned.rows, Mapping.from_record(self._batch.mapping)
        former = rows.fact("former_mapping")
        if self.options.remap and self._mapping.digest != own.digest:
            kept = self._mapping
            number = rows.last_round() + 1
            former = {"round": number, "mapping": own.record()} if self._planned.plans else None
        elif self.options.undo and former and former["round"] == self._planned.takes_back:
            kept, former = Mapping.from_record(former["mapping"]), None
        else:
            return {}
        facts = {"mapping": kept.record(), "marker": kept.marker, "former_mapping": former}
        return {**facts, "map_again": rows.has(*NOT_CREATED)}

    async def send(self, stop: StopHandle) -> CorrectionOutcome:
        """See `Preparation`."""
        if not (self._planned.plans or self._unfinished):
            if self._file_is_behind or (self._undoes and self._edits.corrections):  # killed before that
                self._rewrite_results(None)
            return self._outcome(None)
        summary = await self._updated(stop)
        self._rewrite_results(summary)
        return self._outcome(summary)

    def _rewrite_results(self, summary: CorrectionSummary | None) -> None:
        """What was corrected is in the file, and nothing that a person wants and did not get is lost."""
        left = summary and (summary.stop or summary.conflicts or summary.failed)
        if not (left or self._planned.refused or self._keeps_file):
            write_results_file(
                self._owned.rows, self._owned.keep_facts, self.observer, self._place(), read=self._digest,
                typed=self._planned.unsent,
            )  # fmt: skip

    # ---- the steps --------------------------------------------------------------------------------

    async def _own(self) -> None:
        sandbox = self.options.calls.sandbox
        remedy = "Use --sandbox to correct the rehearsal."
        self._named = batch_to_call(self.options.results, self.store, sandbox=sandbox, remedy=remedy)
        if self.options.remap and self.options.mapping is None:
            raise UserError("--remap needs the new mapping.", remedy="Add it with -m MAPPING.")
        if self.options.undo and self.options.remap:
            raise UserError("--undo and --remap cannot be used together.", remedy="Use one of them.")
        if not self.store.knows(self._named.id):
            raise ResultsError(
                "This store does not have the batch, and only there is what was sent.",
                where=self._named.id,
                remedy="Correct on the computer that ran the import, or with the team's store.",
            )
        self._owned = self.opened.enter_context(self.store.own(self._named.id))
        self._batch = self._owned.rows.batch()
        if not self._owned.rows.has(RowStatus.CREATED):
            raise ResultsError(
                "No row of this batch is created, so there is nothing to correct.",
                where=self._named.id,
                remedy="See its progress:",
                command=("status", self._named.id),
            )
        given = self.options.mapping if self.options.remap else None
        self._mapping = Mapping.from_record(self._batch.mapping) if given is None else loaded_mapping(given)
        self._mapper = self._mapping.bind(self._batch.header)

    async def _read(self) -> None:
        """What was changed, and what an earlier correction left."""
        rows, options = self._owned.rows, self.options
        for one in (one for status in UNFINISHED for one in rows.corrections(status=status)):
            self._unfinished.setdefault(one.position, {})[one.field] = one
            self._continues_undo |= one.undo
        if options.changes is not None:
            self._edits = from_screen(options.changes, rows, self._batch.header)
        else:
            found, self._digest = edits_of_file(self._named.results, self._batch, rows, self.observer)
            self._edits = found
            self._keeps_file = bool(found.rows or found.words or found.newer_lines or found.unknown_created)
            self._file_is_behind = bool(found.older)
        if not (options.undo or options.remap or self._edits.corrections or self._unfinished):
            self.steps.clear()  # nothing to do

    @property
    def _undoes(self) -> bool:
        return self.options.undo or self._continues_undo

    @property
    def _withdraws(self) -> bool:
        """What an earlier correction left is not sent any more."""
        return self.options.undo and not self._continues_undo and bool(self._unfinished)

    async def _connect(self) -> None:
        if self.options.unattended and not self.options.yes and not self._batch.rehearsal:
            raise QuestionOpenError((_question(len(self._edits.corrections)),))
        calls = self.options.calls
        opening = session(
            calls,
            send_options(calls),
            self.store,
            rehearsal=self._batch.id if calls.sandbox else "",
            asked={},
        )
        self._session = await self.opened.enter_async_context(opening)
        await self._session.user_of(self._batch)
        asked = asked_values(self._mapped_again(), self._mapper)
        self._resolved = await looked_up(
            self._session.connection.tenant, asked, self.observer, kept=self._owned.rows.lookups(),
            max_outage_s=calls.max_outage_s,
        )  # fmt: skip

    def _mapped_again(self) -> list[Row]:
        rows, edits = self._owned.rows, self._edits.corrections
        if self.options.undo or self.options.remap:
            before = [source_row(row) for row in rows.rows(RowStatus.CREATED)]
        else:
            numbers = [edit.number for edit in edits]
            before = [source_row(rows.row(position)) for position in rows.positions(numbers).values()]
        return before + [Row(edit.number, edit.cells) for edit in edits if not self.options.remap]

    async def _plan(self) -> None:
        rows = self._owned.rows
        if not self.options.remap:
            self._leave_former_values()
        if self._undoes:
            if not self._continues_undo:
                self._planned = taking_back(rows, self._mapper, self._resolved)
            self._keeps_file |= self._has_new_edits()
        elif self.options.remap:
            self._planned = from_mapping(rows, self._mapper, self._resolved)
            self._keeps_file |= bool(self._edits.corrections)
        else:
            self._planned = from_edits(rows, self._edits.corrections, self._mapper, self._resolved)
        if not self._undoes:
            joined = map(self._joined, self._planned.plans)
            self._planned.plans = [plan for plan in joined if plan is not None]
        self._show()
        total = self._rows_to_change()
        if total and not self._batch.rehearsal:
            self.ask(_question(total))

    def _leave_former_values(self) -> None:
        if not any(edit.stale for edit in self._edits.corrections):
            return
        former = FormerValues(self._owned.rows, self._mapper, self._resolved)
        self._edits.corrections, ignored = former.without(self._edits.corrections)
        say_named(ignored, "Ignored, from before the row's last correction", self.observer.notice)
        if ignored.total:
            self.observer.notice(
                "The results file was not written after that correction. To send such a value after all,"
                " change the cell again once the file is written."
            )

    def _joined(self, plan: PlannedCorrection) -> PlannedCorrection | None:
        """None if the same is left from an earlier correction, which goes on then: one `--undo` takes all of
        it back. Else what LeadSquared holds may be what an Update without an answer sent."""
        left = self._unfinished.get(plan.position, {})
        if {name: one.after for name, one in left.items()} == {
            name: after for name, (_, after) in plan.fields.items()
        }:
            return None
        sent = {name: one.after for name, one in left.items() if one.status is CorrectionStatus.SENDING}
        fields = {name: (sent.get(name, before), after) for name, (before, after) in plan.fields.items()}
        return replace(plan, fields=fields)

    def _has_new_edits(self) -> bool:
        """Whether the file holds changes that no correction was to make: those that are undone are not kept
        in it."""
        rows, edits = self._owned.rows, self._edits.corrections
        known = {(one.position, one.field, one.after) for one in rows.corrections() if not one.undo}
        plans = from_edits(rows, edits, self._mapper, self._resolved).plans
        return len(plans) < len(edits) or any(
            (plan.position, name, after) not in known
            for plan in plans
            for name, (_, after) in plan.fields.items()
        )

    def _rows_to_change(self) -> int:
        left = () if self._withdraws else self._unfinished
        return len({one.position for one in self._planned.plans}.union(left))

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
            if self._withdraws:
                said = f"Changes of {rows} that an earlier correction left are not sent any more."
            elif self._continues_undo:
                said = f"An undo of {rows} was not finished: it goes on, and nothing else is changed."
            else:
                said = f"Changes of {rows} are left from an earlier correction."
            self.observer.notice(said)

    # ---- sending ----------------------------------------------------------------------------------

    async def _updated(self, stop: StopHandle) -> CorrectionSummary:
        connection, calls = self._session.connection, self.options.calls
        updates = SendOptions(
            workers=min(calls.workers, UPDATES_AT_ONCE),
            settle_s=self.options.settle_s,
            max_attempts=self.options.max_attempts,
            max_outage_s=calls.max_outage_s,
        )
        work = CorrectionPass(
            self._owned,
            connection,
            updates,
            overwrite=self.options.overwrite,
            columns=self._mapper.columns(),
        )

        def show() -> None:
            note = NOT_ANSWERING if work.in_trouble else connection.pace.describe()
            counts = {status.name.lower(): rows for status, rows in work.counts.items()}
            self.observer.progress(Progress(Stage.CORRECTING, work.done, work.total, counts, note))

        end = partial(work.stop, StopReason.INTERRUPTED, "Interrupted.", 130)
        stop.when_requested(end, asyncio.get_running_loop())
        self.observer.sending()
        async with shown_regularly(show):
            return await work.run()

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
        how = [*(["--undo"] if self._undoes else []), *(["--sandbox"] if batch.rehearsal else [])]
        again = ("correct", str(self._place()), *how)
        steps = [NextStep("Continue with:", again)] if left else []
        if conflicts:
            steps.append(NextStep("To replace the values in LeadSquared:", (*again, "--overwrite")))
        return CorrectionOutcome(
            batch=batch.id,
            changed=self._rows_to_change() + refused,
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
        f"Change {count(rows, 'created row') if rows else 'created rows'} in LeadSquared?",
        (Choice("correct", "Send these corrections", "--yes"),),
        "--yes",
        details=("What LeadSquared holds now is kept, so that --undo can restore it.",),
        rows=rows,
    )
