"""`resume`, up to the first POST: a batch is owned, what was changed is read and computed, LeadSquared is
asked whether the batch was continued elsewhere, and everything is shown and asked about before it is
applied.  Until then the batch is as it was; no transaction is open while a person thinks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from importer.activity import addressed
from importer.app.changes import WITHOUT_REFUSAL, BatchChanges
from importer.app.observer import SILENT, Observer, Progress, Stage
from importer.app.options import ResumeOptions
from importer.app.plan import BatchPreparation, Plan, send_question
from importer.app.questions import Choice, Question, QuestionKind
from importer.app.rebuild import rebuild
from importer.app.records import RunResult
from importer.app.results_file import replaceable
from importer.app.running import send_and_conclude
from importer.app.sheet_questions import refuse_sent_elsewhere
from importer.app.staging import loaded_mapping, source_row
from importer.errors import StoreError, UserError
from importer.leadsquared.answers import CurrentUser
from importer.leadsquared.calls import ReadFailed, Unreachable
from importer.leadsquared.lookups import to_plain
from importer.mapping.mapping import Mapping
from importer.results.edits import Named, NewerLine, StatusEdit
from importer.results.results_reader import batch_id_in
from importer.results.results_writer import results_path
from importer.sending.engine import mark_interrupted
from importer.sending.preflight import (
    FoundActivity,
    assume_all_sent,
    look_for_continuation,
    why_not_gone,
    why_not_this_rows,
)
from importer.sending.reconcile.account_lookup import OtherBatches
from importer.sheets.rows import Cells, Row
from importer.store.batch_rows import shown_counts
from importer.store.records import IN_DOUBT, MAY_BE_SENT, RowStatus, StoredRow, iso
from importer.store.store import Store
from importer.text import be, count

READ_TOGETHER: Final = 8
"""Questions about single Ids under way at a time; the pace spaces them."""
DELETED_NAMED_MAX: Final = 10
BY_WORD: Final = {
    StatusEdit.SKIP: ("never sent, as you asked.", BatchChanges.skip),
    StatusEdit.TAKE_BACK: ("to be sent after all.", BatchChanges.take_back),
    StatusEdit.NOT_THERE: (
        "not in LeadSquared, as you found; it is looked up once more, then sent.", BatchChanges.not_there,
    ),
}  # fmt: skip


async def prepare_resume(
    options: ResumeOptions, store: Store, observer: Observer = SILENT
) -> Plan[RunResult]:
    """Owns the batch, reads what was changed, and asks LeadSquared whether it was continued elsewhere.
    Changes are computed, not applied: a batch whose plan is discarded is as it was. A batch that the store
    does not have is rebuilt from its results file (`options.mapping`). Raises UserError (the batch
    untouched), WorkError when LeadSquared cannot be reached."""
    return await ResumePreparation(options, store, observer).answered()


class ResumePreparation(BatchPreparation[RunResult]):
    """One `resume`, from its options to its result."""

    options: ResumeOptions

    def __init__(self, options: ResumeOptions, store: Store, observer: Observer) -> None:
        given = {
            QuestionKind.CONTINUED_ELSEWHERE: "look-up",
            QuestionKind.DELETED: "again",
            QuestionKind.SEND: "send",
        }
        super().__init__(options, options.sending, store, observer, given)
        self.steps = [
            self._own, self._read_changes, self._connect, self._compute, self._look_elsewhere, self._sum_up,
        ]  # fmt: skip
        self._user: CurrentUser
        self._changes: BatchChanges | None = None
        self._remaps = options.remap
        self._rebuilt = self._begun = False

    def plan(self) -> Plan[RunResult]:
        """See `Preparation`."""
        changes = self._changes
        counts = shown_counts(changes.counts() if changes else self.owned.rows.counts())
        counts["created"] -= self.owned.rows.fact("already", 0)
        return Plan(
            batch=self.batch.id,
            resumes=True,
            questions=self.open_questions,
            preparation=self,
            counts=counts,
            facts=self.facts,
            changes=tuple(changes.described()) if changes else (),
            nothing_to_send=self.facts is None or not (self.facts.to_send or self.facts.in_doubt),
        )

    @property
    def typed(self) -> dict[int, Cells]:
        """See `Preparation`."""
        return {edit.number: edit.cells for edit in self.edits.corrections if not edit.stale}

    # ---- the steps --------------------------------------------------------------------------------

    async def _own(self) -> None:
        self.find("Continue the rehearsal with --sandbox, or start the import with `importer run`.")
        if not self.store.knows(self.named.id):
            self.owned = await rebuild(self)
            self._rebuilt = True
            self.opened.callback(self._close_rebuilt)
        else:
            self.owned = self.opened.enter_context(self.store.own(self.named.id))
        mark_interrupted(self.owned)
        self.batch = self.owned.rows.batch()
        self._remaps = self.options.remap or bool(self.owned.rows.fact("map_again"))
        self.bind(self._chosen_mapping())
        self._choose_place()

    def _close_rebuilt(self) -> None:
        """A batch that was rebuilt and is not continued is not left behind."""
        if not self._begun:
            with suppress(StoreError):  # why it is not continued says more
                self.store.withdraw(self.owned)
        self.owned.close()

    async def _read_changes(self) -> None:
        """What a person said; and whether there is anything to do at all."""
        if self.options.changes is not None or not self._rebuilt:
            self.read_changes()
        if not self._anything_to_do():
            self.steps.clear()
            self.observer.notice("Nothing is left to send.")
            self._say_of_created()

    async def _connect(self) -> None:
        last = send_question() if self.owned.rows.has(*MAY_BE_SENT) else None
        self._user = await self.connect_and_look_up(self._mapped_again(), last, connected=self._rebuilt)

    async def _compute(self) -> None:
        tenant = self.session.connection.tenant
        changes = BatchChanges(
            self.owned.rows, self.batch, self.mapper, self.resolved,
            at=iso(datetime.now(UTC).timestamp()), clock_s=tenant.clock_difference_s,
        )  # fmt: skip
        self._changes = changes
        confirmed = await _record_newer(self, changes)
        if confirmed < self.edits.unknown_created:
            self.read = None  # the file stays as it is; ours goes beside it
        if self._remaps:
            changes.remap()
        changes.correct(self.edits.rows)
        self.ask(await _heed(self, changes))
        if self.mapper.needs_lookups:
            changes.map_invalid()
        changes.retry(refused_too=self.options.retry_failed)
        self.say(changes.described())
        self._say_of_created()

    async def _look_elsewhere(self) -> None:
        """Was the batch continued on another computer, whose store is not ours?"""
        if self.batch.rehearsal:
            return
        found = await self.look_before(
            look_for_continuation, self.owned.rows, what="Reading accounts of open rows"
        )
        if found:
            self.ask(_continued_question(found[0], shown_counts(self.owned.rows.counts())["pending"]))

    async def _sum_up(self) -> None:
        assert self._changes is not None, "computed before"
        counts = self._changes.counts()
        pending = counts.get(RowStatus.PENDING, 0)
        in_doubt = sum(counts.get(status, 0) for status in IN_DOUBT)
        if self.answer_to(QuestionKind.CONTINUED_ELSEWHERE) is not None:
            pending, in_doubt = 0, in_doubt + pending
        self.state_facts(
            self._user.name, self._changes.events_pending() if pending else {}, pending,
            in_doubt=in_doubt, left_out=counts.get(RowStatus.INVALID, 0),
            already=self.owned.rows.fact("already", 0),
        )  # fmt: skip

    # ---- applying and sending ---------------------------------------------------------------------

    def begin(self) -> None:
        """See `Preparation`: everything that was shown, in one transaction."""
        if self._changes is not None:
            self._apply(self._changes)
        self._begun = True

    def _apply(self, changes: BatchChanges) -> None:
        with self.owned.change() as change:
            changes.apply(change)
            back = [one for one, row in changes.changed.items() if row.status in MAY_BE_SENT]
            if back and not self.batch.rehearsal:  # before any is in doubt: only pending ones are compared
                refuse_sent_elsewhere(change.duplicates(self.batch, back), change.rows)
            changes.assume(change)
            if self.asked:
                change.keep_lookups(to_plain(self.resolved))
            if self.answer_to(QuestionKind.CONTINUED_ELSEWHERE) is not None:
                started = datetime.fromisoformat(self.batch.created_at).timestamp()
                since = started + self.session.connection.tenant.clock_difference_s
                assume_all_sent(change, since, changes.marker)
            if self._remaps:
                change.keep_facts(mapping=self.mapping.record(), marker=self.mapping.marker, map_again=False)

    async def send(self) -> RunResult:
        """See `Preparation`."""
        nothing = self._changes is None or not self.owned.rows.has(*MAY_BE_SENT)
        if not nothing and not self.results.is_file():  # it exists from before the first POST
            self.write_results()
        return await send_and_conclude(self, nothing=nothing)

    # ---- what a person said -----------------------------------------------------------------------

    def _chosen_mapping(self) -> Mapping:
        """The batch's mapping, or with --remap the new one. Raises UserError for another one without it."""
        own = Mapping.from_record(self.batch.mapping)
        if self.options.mapping is None or self._rebuilt:
            return own
        given = loaded_mapping(self.options.mapping)
        if given.content != own.content and not self.options.remap:
            raise UserError(
                "This is not the mapping that the batch was started with.",
                where=str(self.options.mapping) if isinstance(self.options.mapping, Path) else "",
                remedy="Leave -m out to continue as before, or use --remap to map again what is not created.",
                code="mapping",
            )
        return given

    def _choose_place(self) -> None:
        """The results file goes where the person says, else where they had it."""
        explicit = self.sending.results
        if explicit is None:
            return
        source, rehearsal = Path(self.batch.source), self.batch.rehearsal
        self.results = results_path(source, self.batch.family, rehearsal=rehearsal, explicit=explicit)
        if self.sending.replace and batch_id_in(self.results) != self.batch.id:
            self.replaces = replaceable(self.results, self.store)

    def _say_of_created(self) -> None:
        """Changed cells of created rows are named, with the command that sends them."""
        named, stale = Named(), Named()
        for edit in self.edits.corrections:
            for line in edit.described():
                (stale if edit.stale else named).add(line)
        self.say(stale.sentences("Ignored, from before the row's last change"))
        self.say(named.sentences("Not sent by resume, since the row was created"))
        if named.total:
            self.observer.notice("`importer correct RESULTS` sends changed cells of created rows as updates.")

    def _anything_to_do(self) -> bool:
        rows = self.owned.rows
        if rows.has(*MAY_BE_SENT) or self._remaps:
            return True
        if self.edits.rows or self.edits.words or self.edits.newer_lines:
            return True
        if self.mapper.needs_lookups and rows.has(RowStatus.INVALID):
            return True
        return rows.has(RowStatus.FAILED) and (
            self.options.retry_failed
            or any(row.error_code == WITHOUT_REFUSAL for row in rows.rows(RowStatus.FAILED))
        )

    def _mapped_again(self) -> Iterator[Row]:
        """The rows whose lookups are needed."""
        rows = self.owned.rows
        for row in rows.rows(None if self._remaps else RowStatus.INVALID):
            if row.status is not RowStatus.CREATED:
                yield source_row(row)
        for edit in self.edits.rows:
            yield from (Row(edit.number, one.cells) for one in (edit, edit.typed) if one is not None)
        for line in self.edits.newer:
            if line.edit is not None:
                yield Row(line.number, line.edit.cells)
        for position in rows.positions(word.number for word in self.edits.words).values():
            yield source_row(rows.row(position))


def _continued_question(one: FoundActivity, pending: int) -> Question:
    return Question(
        QuestionKind.CONTINUED_ELSEWHERE,
        f"This batch was continued elsewhere: LeadSquared has an activity equal to row {one.row_number} (Id"
        f" {one.activity_id}, created {one.created_on}) that this store does not know.",
        (
            Choice(
                "look-up", f"Look up all {pending:,} open rows first, and send only those not found", "--yes"
            ),
        ),
        rows=pending,
    )


async def _record_newer(work: ResumePreparation, changes: BatchChanges) -> int:
    """What a colleague's run wrote into the file is read back: what is confirmed is created; every other
    such row is looked up before it is sent. How many were confirmed."""
    positions = work.owned.rows.positions(line.number for line in work.edits.newer)
    newer = [
        one for one in work.edits.newer if not _has_another_id(work, changes.row(positions[one.number]), one)
    ]
    if not newer:
        return 0
    gate = asyncio.Semaphore(READ_TOGETHER)
    done = 0

    async def confirm(line: NewerLine) -> str:
        nonlocal done
        row = changes.as_sent_elsewhere(positions[line.number], line.edit)
        async with gate:
            why = await _why_not(work, row, line.activity_id, equal=True)
        done += 1
        work.observer.progress(Progress(Stage.LOOKING_UP, done, len(newer)))
        return why

    answers = await asyncio.gather(*(confirm(line) for line in newer))
    confirmed = 0
    for line, why in zip(newer, answers, strict=True):
        if why:
            work.observer.notice(
                f"Row {line.number}: the file says created, but {why} It is looked up.", warning=True
            )
            changes.sent_elsewhere(positions[line.number], line)
        else:
            changes.created_elsewhere(positions[line.number], line)
            confirmed += 1
    work.observer.notice(
        f"This batch was continued elsewhere: {count(confirmed, 'row')} of the file {be(confirmed)}"
        " confirmed in LeadSquared and recorded as created."
    )
    return confirmed


def _has_another_id(work: ResumePreparation, row: StoredRow, line: NewerLine) -> bool:
    """Whether the store has the row as created by another activity, which it stays; both are named."""
    created = row.status is RowStatus.CREATED
    if created:
        work.observer.notice(
            f"Row {line.number}: the file says created with Id {line.activity_id}, this store with Id"
            f" {row.activity_id}. Look at both in LeadSquared: one of them may be a duplicate.",
            warning=True,
        )
    return created


async def _heed(work: ResumePreparation, changes: BatchChanges) -> Question | None:
    """Takes over every word that holds; says which does not, and why. The question about rows that were
    deleted in LeadSquared, if there are any."""
    positions = work.owned.rows.positions(word.number for word in work.edits.words)
    deleted: list[int] = []
    for word in work.edits.words:
        position = positions[word.number]
        if word.said in BY_WORD:
            sentence, make = BY_WORD[word.said]
            work.observer.notice(f"Row {word.number}: {sentence}")
            make(changes, position)
        elif word.said is StatusEdit.DELETED:
            if await _is_gone(work, changes.row(position)):
                changes.deleted(position)
                deleted.append(word.number)
        elif why := await _why_not(work, changes.row(position), word.activity_id, equal=False):
            work.observer.notice(f"Row {word.number}: {why} It stays uncertain.", warning=True)
        else:
            changes.created(position, word.activity_id)
            work.observer.notice(f"Row {word.number}: created, as you found, with Id {word.activity_id}.")
    return _deleted_question(deleted) if deleted else None


async def _why_not(work: ResumePreparation, row: StoredRow, activity_id: str, *, equal: bool) -> str:
    claimed = OtherBatches(work.store, work.batch).claimed
    return await why_not_this_rows(
        activity_id, row, work.session.connection.tenant, claimed, marker=work.batch.marker, equal=equal
    )


async def _is_gone(work: ResumePreparation, row: StoredRow) -> bool:
    """Whether a created row's activity was deleted by hand."""
    account = addressed(row.activity or b"")[0]
    attempts = work.owned.rows.attempts(row.position)
    start = min((one.marked_at for one in attempts), default=0.0)
    since = datetime.fromtimestamp(max(start - 86_400, 0), UTC)
    until = datetime.now(UTC) + timedelta(days=1)
    try:
        tenant, wait_s = work.session.connection.tenant, work.session.options.settle_s
        why_not = await why_not_gone(row.activity_id or "", account, (since, until), tenant, wait_s=wait_s)
    except Unreachable:
        raise
    except ReadFailed as error:
        work.observer.notice(f"Row {row.number}: {error.what} It stays created.", warning=True)
        return False
    if why_not:
        work.observer.notice(
            f"Row {row.number}: its activity {row.activity_id} {why_not} in LeadSquared. It stays created.",
            warning=True,
        )
    return not why_not


def _deleted_question(numbers: list[int]) -> Question:
    named = ", ".join(str(number) for number in numbers[:DELETED_NAMED_MAX])
    more = f" and {len(numbers) - DELETED_NAMED_MAX:,} more" if len(numbers) > DELETED_NAMED_MAX else ""
    rows = "row" if len(numbers) == 1 else "rows"
    return Question(
        QuestionKind.DELETED,
        f"The {'activity' if len(numbers) == 1 else 'activities'} of {rows} {named}{more}"
        f" {'was' if len(numbers) == 1 else 'were'} deleted in LeadSquared.",
        (Choice("again", f"Send {'it' if len(numbers) == 1 else 'them'} again", "--yes"),),
        rows=len(numbers),
    )
