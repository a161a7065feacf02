"""`resume`, up to the first POST: a batch is owned, what was changed is read and computed, LeadSquared is
asked whether the batch was continued elsewhere, and everything is shown and asked about before it is
applied.  Until then the batch is as it was; no transaction is open while a person thinks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from importer.activity import Marker
from importer.app import results_file
from importer.app.changes import WITHOUT_REFUSAL, BatchChanges, StatusWords, from_screen
from importer.app.connecting import Session, looked_up, persistently, send_options, session
from importer.app.observer import SILENT, Observer, StopHandle
from importer.app.options import ResumeOptions
from importer.app.plan import Plan, Preparation, send_question
from importer.app.questions import Choice, Question, QuestionKind, QuestionOpenError
from importer.app.rebuild import RebuildRequest, asked_by, rebuild
from importer.app.records import PlanFacts, RunResult
from importer.app.running import (
    Work,
    plan_facts,
    send_and_conclude,
)
from importer.app.sheet_questions import refuse_sent_elsewhere
from importer.app.staging import AskedValues, asked_values, loaded_mapping, source_row
from importer.app.stores import NamedBatch, batch_to_call
from importer.errors import ResultsError, UserError
from importer.leadsquared.answers import CurrentUser
from importer.leadsquared.lookups import to_plain
from importer.mapping.mapping import Mapping
from importer.mapping.references import Resolved
from importer.mapping.row_mapper import RowMapper
from importer.results.edits import Edits, Named
from importer.results.results_reader import batch_id_in
from importer.results.results_writer import results_path
from importer.sending.engine import mark_interrupted
from importer.sending.preflight import SentBeforeCheck, assume_all_sent, look_for_continuation
from importer.sending.reconcile.account_lookup import OtherBatches
from importer.sending.run_state import SendOptions
from importer.sheets.rows import Row
from importer.store.batch_rows import shown_counts
from importer.store.ownership import BatchChange, Ownership
from importer.store.records import IN_DOUBT, Batch, RowStatus, iso
from importer.store.store import Store


async def prepare_resume(options: ResumeOptions, store: Store, observer: Observer = SILENT) -> Plan:
    """Owns the batch, reads what was changed, and asks LeadSquared whether it was continued elsewhere.
    Changes are computed, not applied: a batch whose plan is discarded is as it was. A batch that the store
    does not have is rebuilt from its results file (`options.mapping`). Raises UserError (the batch
    untouched), WorkError when LeadSquared cannot be reached."""
    return await ResumePreparation(options, store, observer).answered()


class ResumePreparation(Preparation[Plan, RunResult]):
    """One `resume`, from its options to its result."""

    def __init__(self, options: ResumeOptions, store: Store, observer: Observer) -> None:
        answers = ((QuestionKind.CONTINUED_ELSEWHERE, "look-up"), (QuestionKind.DELETED, "again"))
        given = {**dict(answers), QuestionKind.SEND: "send"} if options.yes else {}
        steps = (
            self._own,
            self._read_changes,
            self._connect,
            self._compute,
            self._look_elsewhere,
            self._sum_up,
        )
        super().__init__(store, observer, steps, {str(kind): value for kind, value in given.items()})
        self.options = options
        self._named: NamedBatch
        self._owned: Ownership
        self._batch: Batch
        self._mapping: Mapping
        self._mapper: RowMapper
        self._opened: Session | None = None
        self._user: CurrentUser
        self._edits = Edits()
        self._read: str | None = None
        self._asked: AskedValues = {}
        self._resolved: Resolved = {}
        self._changes: BatchChanges | None = None
        self._remaps = options.remap
        self._facts: PlanFacts | None = None
        self._replaces = ""
        self._rebuilt = self._begun = False

    @property
    def _session(self) -> Session:
        assert self._opened is not None, "a batch without open rows needs no connection"
        return self._opened

    def plan(self) -> Plan:
        """See `Preparation`."""
        changes = self._changes
        counts = shown_counts(changes.counts() if changes else self._owned.rows.counts())
        counts["created"] -= self._owned.rows.fact("already", 0)
        return Plan(
            batch=self._batch.id,
            resumes=True,
            questions=self.open_questions,
            counts=counts,
            facts=self._facts,
            changes=tuple(self._described(changes)) if changes else (),
            nothing_to_send=self._facts is None or not (self._facts.to_send or self._facts.in_doubt),
            preparation=self,
        )

    # ---- the steps --------------------------------------------------------------------------------

    async def _own(self) -> None:
        sandbox = self.options.calls.sandbox
        remedy = "Continue the rehearsal with --sandbox, or start the import with `importer run`."
        self._named = batch_to_call(self.options.results, self.store, sandbox=sandbox, remedy=remedy)
        if self.options.remap and self.options.mapping is None:
            raise UserError("--remap needs the new mapping.", remedy="Add it with -m MAPPING.")
        if not self.store.knows(self._named.id):
            await self._rebuild()
        else:
            self._owned = self.opened.enter_context(self.store.own(self._named.id))
        mark_interrupted(self._owned)
        self._batch = self._owned.rows.batch()
        self._mapping = self._chosen_mapping()
        self._remaps = self.options.remap or bool(self._owned.rows.fact("map_again"))
        self._mapper = self._mapping.bind(self._batch.header)

    async def _rebuild(self) -> None:
        request = _rebuild_request(self._named, self.options)
        asked = asked_by(request)
        await self._open(request.batch_id, asked)
        user = await self._session.user()
        self._owned = await rebuild(
            request, self.store, self._session, user, self.observer, asked=asked,
            rehearsal=self._named.rehearsal, max_outage_s=self.options.calls.max_outage_s,
        )  # fmt: skip
        self._rebuilt = True
        self.opened.callback(self._close_rebuilt)

    def _close_rebuilt(self) -> None:
        """A batch that was rebuilt and is not continued is not left behind."""
        if self._begun:
            self._owned.close()
        else:
            self.store.withdraw(self._owned)

    async def _open(self, batch_id: str, asked: AskedValues) -> None:
        calls = self.options.calls
        self._send_options = send_options(calls, self.options.sending)
        opening = session(
            calls, self._send_options, self.store, rehearsal=batch_id if calls.sandbox else "", asked=asked
        )
        self._opened = await self.opened.enter_async_context(opening)

    async def _read_changes(self) -> None:
        """What a person said; and whether there is anything to do at all."""
        self._results = self._results_place()
        if self.options.changes is not None:
            self._edits = from_screen(self.options.changes, self._owned.rows, self._batch.header)
        elif not self._rebuilt:
            path = self._named.results
            self._edits, self._read = results_file.edits_of_file(
                path, self._batch, self._owned.rows, self.observer
            )
        if not self._anything_to_do():
            self.steps.clear()
            self.observer.notice("Nothing is left to send.")
            self._say_of_created()

    async def _connect(self) -> None:
        asks = not self.options.yes and not self._batch.rehearsal and results_file.is_open(self._owned.rows)
        if asks and self.options.unattended:
            raise QuestionOpenError((send_question(),))
        self._asked = asked_values(self._mapped_again(), self._mapper)
        if self._opened is None:
            await self._open(self._batch.id, self._asked if self._batch.rehearsal else {})
        self._user = await self._session.user_of(self._batch)
        self._resolved = await looked_up(
            self._session.connection.tenant, self._asked, self.observer, kept=self._owned.rows.lookups(),
            max_outage_s=self.options.calls.max_outage_s,
        )  # fmt: skip

    async def _compute(self) -> None:
        tenant = self._session.connection.tenant
        changes = BatchChanges(
            self._owned.rows, self._batch, self._mapper, self._resolved,
            at=iso(dt.datetime.now(dt.UTC).timestamp()), clock_s=tenant.clock_difference_s,
        )  # fmt: skip
        self._changes = changes
        words = StatusWords(
            self.store, self._owned.rows, self._batch, tenant, observer=self.observer,
            wait_s=self.options.sending.settle_s,
        )  # fmt: skip
        confirmed = await words.record_newer(self._edits.newer, changes)
        if confirmed < self._edits.unknown_created:
            self._read = None  # the file stays as it is; ours goes beside it
        if self._remaps:
            changes.remap()
        changes.correct(self._edits.rows)
        self.ask(await words.heed(self._edits.words, changes))
        if self._mapper.needs_lookups:
            changes.map_invalid()
        changes.retry(refused_too=self.options.retry_failed)
        for line in self._described(changes):
            self.observer.notice(line)
        self._say_of_created()

    async def _look_elsewhere(self) -> None:
        """Was the batch continued on another computer, whose store is not ours?"""
        if self._batch.rehearsal:
            return
        tenant = self._session.connection.tenant
        claimed = OtherBatches(self.store, self._batch).claimed
        found = await persistently(
            lambda: look_for_continuation(self._owned.rows, tenant, claimed),
            self.options.calls.max_outage_s, self.observer, what="Reading accounts of open rows",
        )  # fmt: skip
        if found.cannot_read:
            self.observer.notice(
                f"These keys may not read activities back ({found.cannot_read}).", warning=True
            )
        if found.found:
            self.ask(_continued_question(found, shown_counts(self._owned.rows.counts())["pending"]))

    async def _sum_up(self) -> None:
        assert self._changes is not None, "computed before"
        counts = self._changes.counts()
        pending = counts.get(RowStatus.PENDING, 0)
        in_doubt = sum(counts.get(status, 0) for status in IN_DOUBT)
        if self.answer_to(QuestionKind.CONTINUED_ELSEWHERE) is not None:
            pending, in_doubt = 0, in_doubt + pending
        self._facts = plan_facts(
            self._batch, self._session.settings, self._user.name, results=self._results, pending=pending,
            events=self._changes.events_pending() if pending else {}, limit=self.options.sending.limit,
            in_doubt=in_doubt, left_out=counts.get(RowStatus.INVALID, 0),
            already=self._owned.rows.fact("already", 0),
        )  # fmt: skip
        if (self._facts.to_send or in_doubt) and not self._batch.rehearsal:
            self.ask(send_question())

    # ---- applying and sending ---------------------------------------------------------------------

    def begin(self) -> None:
        """See `Preparation`: everything that was shown, in one transaction."""
        self._begun = True
        if self._changes is None:
            return
        changes = self._changes
        with self._owned.change() as change:
            changes.apply(change)
            if self._asked:
                change.keep_lookups(to_plain(self._resolved))
            if self.answer_to(QuestionKind.CONTINUED_ELSEWHERE) is not None:
                self._assume_all_sent(change)
            if self._remaps:
                change.keep_facts(
                    mapping=self._mapping.record(), marker=self._mapping.marker, map_again=False
                )
            if changes.to_send and not self._batch.rehearsal:
                check = change.duplicates(self._batch, changes.to_send)
                refuse_sent_elsewhere(check, changes.numbers_to_send)

    def _assume_all_sent(self, change: BatchChange) -> None:
        started = dt.datetime.fromisoformat(self._batch.created_at).timestamp()
        since = started + self._session.connection.tenant.clock_difference_s
        marker = Marker(self._batch.marker, self._batch.id) if self._batch.marker else None
        assume_all_sent(change, since, marker)

    async def send(self, stop: StopHandle) -> RunResult:
        """See `Preparation`."""
        options = self._send_options if self._opened else SendOptions()
        work = Work(
            self.store, self._owned, self._opened, options, self._mapper, self.observer, stop,
            results=self._results, read=self._read,
            typed={edit.number: edit.cells for edit in self._edits.corrections if not edit.stale},
            replaces=(self._replaces,) if self._replaces else (),
        )  # fmt: skip
        nothing = self._changes is None or not results_file.is_open(self._owned.rows)
        if not nothing and not self._results.is_file():  # it exists from before the first POST
            results_file.write_results_file(
                self._owned.rows, self._owned.keep_facts, self.observer, self._results, read=self._read,
                replaces=work.replaces, typed=work.typed,
            )  # fmt: skip
        return await send_and_conclude(work, self.options.sending.canary, nothing=nothing)

    # ---- what a person said -----------------------------------------------------------------------

    def _chosen_mapping(self) -> Mapping:
        """The batch's mapping, or with --remap the new one. Raises UserError for another one without it."""
        own = Mapping.from_record(self._batch.mapping)
        if self.options.mapping is None or self._rebuilt:
            return own
        given = loaded_mapping(self.options.mapping)
        if given.digest != own.digest and not self.options.remap:
            raise UserError(
                "This is not the mapping that the batch was started with.",
                where=str(self.options.mapping) if isinstance(self.options.mapping, Path) else "",
                remedy="Leave -m out to continue as before, or use --remap to map again what is not created.",
                code="mapping",
            )
        return given

    def _results_place(self) -> Path:
        """Where the results file goes: where the person says, or where they had it."""
        explicit = self.options.sending.results
        if explicit is None:
            return self._named.results or results_file.place_here(self._owned.rows)
        source, rehearsal = Path(self._batch.source), self._batch.rehearsal
        place = results_path(source, self._batch.family, rehearsal=rehearsal, explicit=explicit)
        if self.options.sending.replace and batch_id_in(place) != self._batch.id:
            self._replaces = results_file.replaceable(place, self.store)
        return place

    def _say_of_created(self) -> None:
        """Changed cells of created rows are named, with the command that sends them."""
        named, stale = Named(), Named()
        for edit in self._edits.corrections:
            for line in edit.described():
                (stale if edit.stale else named).add(line)
        results_file.say_named(stale, "Ignored, from before the row's last change", self.observer.notice)
        if named.total:
            results_file.say_named(
                named, "Not sent by resume, since the row was created", self.observer.notice
            )
            self.observer.notice("`importer correct RESULTS` sends changed cells of created rows as updates.")

    def _anything_to_do(self) -> bool:
        rows = self._owned.rows
        if results_file.is_open(rows) or self._remaps:
            return True
        if self._edits.rows or self._edits.words or self._edits.newer_lines:
            return True
        if self._mapper.needs_lookups and rows.has(RowStatus.INVALID):
            return True
        return rows.has(RowStatus.FAILED) and (
            self.options.retry_failed
            or any(row.error_code == WITHOUT_REFUSAL for row in rows.rows(RowStatus.FAILED))
        )

    def _mapped_again(self) -> Iterator[Row]:
        """The rows whose lookups are needed."""
        rows = self._owned.rows
        for row in rows.rows(None if self._remaps else RowStatus.INVALID):
            if row.status is not RowStatus.CREATED:
                yield source_row(row)
        for edit in self._edits.rows:
            yield from (Row(edit.number, cells) for cells in (edit.cells, edit.typed) if cells is not None)
        for position in rows.positions(word.number for word in self._edits.words).values():
            yield source_row(rows.row(position))

    # ---- small things -----------------------------------------------------------------------------

    @staticmethod
    def _described(changes: BatchChanges) -> Iterator[str]:
        for line in changes.shown:
            yield f"Changed: {line}"
        if changes.shown_total > len(changes.shown):
            yield f"… and {changes.shown_total - len(changes.shown):,} more changes."
        for line in changes.problems:
            yield f"Still invalid: {line}"
        if changes.problems_total > len(changes.problems):
            yield f"… and {changes.problems_total - len(changes.problems):,} more invalid rows."


def _rebuild_request(named: NamedBatch, options: ResumeOptions) -> RebuildRequest:
    if named.results is None:
        raise ResultsError(
            "This store does not have the batch, and its results file was not named.",
            where=named.id,
            remedy="Name the results file: importer resume RESULTS -m MAPPING.",
        )
    if options.mapping is None:
        raise ResultsError(
            "This store does not have the batch (another computer sent it, or the store was deleted).",
            where=named.id,
            remedy="Resume it where it was sent, or here with its mapping:",
            command=("resume", str(named.results), "-m", "MAPPING"),
        )
    return RebuildRequest(named.id, named.results, loaded_mapping(options.mapping))


def _continued_question(found: SentBeforeCheck, pending: int) -> Question:
    one = found.found[0]
    return Question(
        QuestionKind.CONTINUED_ELSEWHERE,
        f"This batch was continued elsewhere: LeadSquared has an activity equal to row {one.row_number} (Id"
        f" {one.activity_id}, created {one.created_on}) that this store does not know.",
        (
            Choice(
                "look-up", f"Look up all {pending:,} open rows first, and send only those not found", "--yes"
            ),
        ),
        "--yes (look up all open rows first, and send only those that are not found)",
        rows=pending,
    )
