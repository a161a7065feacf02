"""`correct`: changed cells of created rows become updates of their activities."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from importer.app.connecting import heed_stop
from importer.app.observer import SILENT, Observer, Progress, Stage, shown_regularly
from importer.app.options import CorrectOptions, SendingOptions
from importer.app.plan import BatchPreparation, Plan
from importer.app.planned_changes import (
    UNFINISHED,
    FormerValues,
    PlannedChanges,
    from_edits,
    from_mapping,
    taking_back,
)
from importer.app.questions import Choice, Question, QuestionKind
from importer.app.records import CorrectionOutcome, NextStep
from importer.app.results_file import CHANGED
from importer.app.running import REASONS_MAX, STOP_CODES
from importer.app.staging import loaded_mapping, source_row
from importer.app.stores import own_created
from importer.errors import UserError
from importer.mapping.mapping import Mapping
from importer.results.edits import FIRST_NAMED_MAX, Named
from importer.results.results_writer import CORRECTIONS_ENDING, beside, write_corrections
from importer.sending.corrections import CorrectionPass, CorrectionSummary
from importer.sheets.rows import Cells, Row
from importer.store.records import CorrectionStatus, PlannedCorrection, RowStatus, StoredCorrection, iso
from importer.store.store import Store
from importer.text import NOT_ANSWERING, count, shown

UPDATES_AT_ONCE: Final = 8
NOT_CREATED: Final = tuple(each for each in RowStatus if each not in {RowStatus.CREATED, RowStatus.SKIPPED})


async def prepare_correct(
    options: CorrectOptions, store: Store, observer: Observer = SILENT
) -> Plan[CorrectionOutcome]:
    """Owns the batch and computes what would be corrected; nothing is changed. Raises UserError
    (ResultsError: in use, erased, nothing created), WorkError when LeadSquared cannot be reached."""
    return await CorrectionPreparation(options, store, observer).answered()


class CorrectionPreparation(BatchPreparation[CorrectionOutcome]):
    """One `correct`, from its options to its outcome."""

    options: CorrectOptions

    def __init__(self, options: CorrectOptions, store: Store, observer: Observer) -> None:
        sending = SendingOptions(settle_s=options.settle_s, max_attempts=options.max_attempts)
        super().__init__(options, sending, store, observer, {QuestionKind.CORRECT: "correct"})
        self.steps = [self._own, self._read, self._connect, self._plan]
        self._planned = PlannedChanges()
        self._unfinished: dict[int, dict[str, StoredCorrection]] = {}
        """What an earlier correction left, by position and field; an undo withdraws it."""
        self._continues_undo = False
        self._keeps_file = False
        """The results file holds changes that this correction does not take."""
        self._file_is_behind = False
        """The results file has lines from before their row's last change."""

    def plan(self) -> Plan[CorrectionOutcome]:
        """See `Preparation`."""
        return Plan(
            batch=self.batch.id,
            resumes=True,
            questions=self.open_questions,
            preparation=self,
            changes=tuple(self._planned.shown),
            refused=tuple(self._planned.refused),
            rows=len(self._planned.plans),
            unfinished=0 if self._withdraws else len(self._unfinished),
        )

    @property
    def typed(self) -> dict[int, Cells]:
        """See `Preparation`."""
        return self._planned.unsent

    def begin(self) -> None:
        """See `Preparation`."""
        facts = self._mapping_facts()
        with self.owned.change() as change:
            if self._planned.plans or self._withdraws:
                at = iso(datetime.now(UTC).timestamp())
                change.plan_corrections(self._planned.plans, at=at, undo=self.options.undo)
                facts[CHANGED] = True  # until it is written again
            change.keep_facts(**facts)

    def _mapping_facts(self) -> dict[str, Any]:
        """The batch keeps another mapping from now on, and an undo brings the former one back. The next
        `resume` maps the rows with it that are not created."""
        rows, own = self.owned.rows, Mapping.from_record(self.batch.mapping)
        former = rows.fact("former_mapping")
        if self.options.remap and self.mapping.content != own.content:
            kept = self.mapping
            number = rows.last_round() + 1
            former = {"round": number, "mapping": own.record()} if self._planned.plans else None
        elif self.options.undo and former and former["round"] == self._planned.takes_back:
            kept, former = Mapping.from_record(former["mapping"]), None
        else:
            return {}
        facts = {"mapping": kept.record(), "marker": kept.marker, "former_mapping": former}
        return {**facts, "map_again": rows.has(*NOT_CREATED)}

    async def send(self) -> CorrectionOutcome:
        """See `Preparation`."""
        if not (self._planned.plans or self._unfinished):
            if self._file_is_behind or (self._undoes and self.edits.corrections):  # killed before that
                self._rewrite_results(None)
            return self._outcome(None)
        summary = await self._updated()
        self._rewrite_results(summary)
        return self._outcome(summary)

    def _rewrite_results(self, summary: CorrectionSummary | None) -> None:
        """What was corrected is in the file, and nothing that a person wants and did not get is lost."""
        left = summary and (summary.stop or summary.conflicts or summary.failed)
        if not (left or self._planned.refused or self._keeps_file):
            self.write_results()

    # ---- the steps --------------------------------------------------------------------------------

    async def _own(self) -> None:
        self.find("Use --sandbox to correct the rehearsal.")
        if self.options.undo and self.options.remap:
            raise UserError("--undo and --remap cannot be used together.", remedy="Use one of them.")
        self.owned = self.opened.enter_context(own_created(self.named, self.store, "correct"))
        self.batch = self.owned.rows.batch()
        given = self.options.mapping if self.options.remap else None
        self.bind(loaded_mapping(given or Mapping.from_record(self.batch.mapping)))

    async def _read(self) -> None:
        """What was changed, and what an earlier correction left."""
        rows, options = self.owned.rows, self.options
        for one in (one for status in UNFINISHED for one in rows.corrections(status=status)):
            self._unfinished.setdefault(one.position, {})[one.field] = one
            self._continues_undo |= one.undo
        self.read_changes()
        found = self.edits
        if options.changes is None:
            self._keeps_file = bool(found.rows or found.words or found.newer_lines or found.unknown_created)
            self._file_is_behind = bool(found.older)
        if not (options.undo or options.remap or found.corrections or self._unfinished):
            self.steps.clear()  # nothing to do

    @property
    def _undoes(self) -> bool:
        return self.options.undo or self._continues_undo

    @property
    def _withdraws(self) -> bool:
        """What an earlier correction left is not sent any more."""
        return self.options.undo and not self._continues_undo and bool(self._unfinished)

    async def _connect(self) -> None:
        await self.connect_and_look_up(self._mapped_again(), _question(len(self.edits.corrections)))

    def _mapped_again(self) -> list[Row]:
        rows, edits = self.owned.rows, self.edits.corrections
        if self.options.undo or self.options.remap:
            before = [source_row(row) for row in rows.rows(RowStatus.CREATED)]
        else:
            numbers = [edit.number for edit in edits]
            before = [source_row(rows.row(position)) for position in rows.positions(numbers).values()]
        return before + [Row(edit.number, edit.cells) for edit in edits if not self.options.remap]

    async def _plan(self) -> None:
        rows = self.owned.rows
        if not self.options.remap:
            self._leave_former_values()
        if self._undoes:
            if not self._continues_undo:
                self._planned = taking_back(rows, self.mapper, self.resolved)
            self._keeps_file |= self._has_new_edits()
        elif self.options.remap:
            self._planned = from_mapping(rows, self.mapper, self.resolved)
            self._keeps_file |= bool(self.edits.corrections)
        else:
            self._planned = from_edits(rows, self.edits.corrections, self.mapper, self.resolved)
        if not self._undoes:
            joined = map(self._joined, self._planned.plans)
            self._planned.plans = [plan for plan in joined if plan is not None]
        self._show()
        total = self._rows_to_change()
        if total and not self.batch.rehearsal:
            self.ask(_question(total))

    def _leave_former_values(self) -> None:
        if not any(edit.stale for edit in self.edits.corrections):
            return
        former = FormerValues(self.owned.rows, self.mapper, self.resolved)
        self.edits.corrections, ignored = former.without(self.edits.corrections)
        self.say(ignored.sentences("Ignored, from before the row's last correction"))
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
        return plan._replace(fields=fields)

    def _has_new_edits(self) -> bool:
        """Whether the file holds changes that no correction was to make: those that are undone are not kept
        in it."""
        rows, edits = self.owned.rows, self.edits.corrections
        known = {(one.position, one.field, one.after) for one in rows.corrections() if not one.undo}
        plans = from_edits(rows, edits, self.mapper, self.resolved).plans
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
        for lines, what, warning in ((found.shown, "Change", False), (found.refused, "Not corrected", True)):
            self.say(Named(len(lines), lines[:FIRST_NAMED_MAX]).sentences(what), warning=warning)
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

    async def _updated(self) -> CorrectionSummary:
        connection = self.session.connection
        updates = replace(self.session.options, workers=min(self.calls.workers, UPDATES_AT_ONCE))
        work = CorrectionPass(
            self.owned,
            connection,
            updates,
            overwrite=self.options.overwrite,
            columns=self.mapper.columns(),
        )

        def show() -> None:
            note = NOT_ANSWERING if work.in_trouble else connection.pace.describe()
            counts = {status.name.lower(): rows for status, rows in work.counts.items()}
            self.observer.progress(Progress(Stage.CORRECTING, work.done, work.total, counts, note))

        heed_stop(self.stop, work.stop)
        self.observer.progress(Progress(Stage.CORRECTING, 0, work.total))
        async with shown_regularly(show):
            return await work.run()

    def _outcome(self, summary: CorrectionSummary | None) -> CorrectionOutcome:
        rows, batch = self.owned.rows, self.batch
        path = None
        if rows.last_round():
            place = beside(self.results, CORRECTIONS_ENDING).absolute()
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
        again = ("correct", str(self.results), *how)
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
            reasons=tuple(self._reasons()) if summary else (),
            stopped=stop.message if stop else "",
            stop_code=STOP_CODES[stop.reason] if stop else "",
            next_steps=tuple(steps),
        )

    def _reasons(self) -> list[str]:
        """Why fields of the last round were not corrected."""
        rows = self.owned.rows
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
        details=("What LeadSquared holds now is kept, so that --undo can restore it.",),
        rows=rows,
    )
