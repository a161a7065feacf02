"""`run`, up to the first POST: a sheet is staged, looked up, compared with what was imported before, asked
about, and published.  Everything up to `started` leaves nothing behind; comparison and registration are one
transaction after the answers, so that of two runs started at the same moment only one goes on."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from importer.app.connecting import (
    Session,
    asked_fields,
    looked_up,
    persistently,
    send_options,
    session,
)
from importer.app.observer import SILENT, Observer, Progress, Stage, StopHandle
from importer.app.options import ResumeOptions, RunOptions
from importer.app.plan import Plan, Preparation, Preparing, send_question
from importer.app.questions import Answers, Choice, Question, QuestionKind
from importer.app.records import NO_ROWS, NOTHING_FOUND, PlanFacts, RunResult
from importer.app.results_file import remove_meaningless, remove_own, replaceable, write_results_file
from importer.app.resume import prepare_resume
from importer.app.running import (
    Work,
    conclude,
    expected_s,
    results_whatever_happens,
    send_with_trial,
    spoken_rate,
)
from importer.app.sheet_questions import (
    accept_questions,
    findings_of,
    first_rows,
    hidden_question,
    invalid_question,
    overlap_question,
    refuse_created_since,
    refuse_open_elsewhere,
    refuse_same_sheet,
    refuse_unsendable,
    take_over,
)
from importer.app.staging import (
    AskedValues,
    Digests,
    asked_values,
    bound,
    loaded_mapping,
    map_looked_up,
    new_batch_id,
    opened_sheet,
    rows_of,
    source_row,
    stage_rows,
    with_hidden,
)
from importer.app.stores import remove_rehearsal_file
from importer.checking.columns import mapping_findings
from importer.checking.survey import Survey
from importer.errors import StoreError, UserError
from importer.leadsquared.answers import CurrentUser
from importer.leadsquared.lookups import to_plain
from importer.mapping.row_mapper import RowMapper
from importer.results.results_writer import results_path
from importer.sending.engine import tenant_name
from importer.sending.preflight import FoundActivity, look_at_first_row
from importer.sending.reconcile.account_lookup import OtherBatches
from importer.settings import load_settings
from importer.sheets import Sheet
from importer.store.duplicates import DuplicateCheck
from importer.store.ownership import Ownership
from importer.store.records import Batch, RowStatus, iso
from importer.store.staging import Staging
from importer.store.store import Store, computer, os_user
from importer.wording import be, count


async def prepare_run(options: RunOptions, store: Store, observer: Observer = SILENT) -> Plan:
    """Reads and maps the sheet, looks accounts and users up, and asks LeadSquared who and where we are.
    With `options.resume` and an open batch of the same sheet: the plan that continues it. Raises UserError
    with nothing left behind: SheetError, MappingError, SettingsError, TenantError, ImportedBeforeError (the
    same sheet, or rows that another batch holds open), ResultsError."""
    preparation = RunPreparation(options, store, observer)
    return await preparation.answered(Answers())


def answers_in_advance(options: RunOptions) -> Answers:
    """What the options answer."""
    given: dict[str, str] = {}
    if options.skip_invalid:
        given[QuestionKind.INVALID] = "skip"
    if options.only_new:
        given[QuestionKind.OVERLAP] = "only-new"
    if options.again:
        given[QuestionKind.EQUAL_ACTIVITY] = "again"
    if options.yes:
        given[QuestionKind.SEND] = "send"
    return Answers(given)


class RunPreparation:
    """One `run`, from its options to its result."""

    def __init__(self, options: RunOptions, store: Store, observer: Observer) -> None:
        self.options, self.store, self.observer = options, store, observer
        self.started_at = datetime.now(UTC)
        self.at = iso(self.started_at.timestamp())
        self.batch_id = new_batch_id(self.started_at, rehearsal=self._rehearsal)
        self.mapping = loaded_mapping(options.mapping)
        self.input = options.sheet
        self.notices: list[str] = []
        self._steps = Preparing(
            (
                self._begin,
                self._stage,
                self._leave_out_hidden_rows,
                self._connect,
                self._compare,
                self._look_first,
                self._sum_up,
            ),
            answers_in_advance(options),
        )
        self._staging: Staging
        self._sheet: Sheet
        self._mapper: RowMapper
        self._survey: Survey
        self._digests: Digests
        self._asked: AskedValues = {}
        self._session: Session
        self._user: CurrentUser
        self._batch: Batch
        self._replaces = ""
        self._facts: PlanFacts | None = None
        self._resumed: Plan | None = None
        self._counts: dict[str, int] = {}

    @property
    def _rehearsal(self) -> bool:
        return self.options.calls.sandbox

    # ---- the protocol of `plan.Preparation` -------------------------------------------------------

    async def answered(self, answers: Answers) -> Plan:
        """See `Preparation`."""
        try:
            await self._steps.advance(answers)
        except StoreError as error:
            raise _nothing_sent(error) from error
        return self._resumed or self._plan()

    async def started(self, answers: Answers, stop: StopHandle) -> RunResult:
        """See `Preparation`."""
        try:
            await self._steps.finish(answers)
            if self._resumed is not None:
                resuming: Preparation | None = self._resumed.preparation
                assert resuming is not None
                return await resuming.started(answers, stop)
            owned = self._publish()
        except StoreError as error:
            await self.discarded()
            raise _nothing_sent(error) from error
        except BaseException:
            await self.discarded()
            raise
        async with self._steps.opened:
            with owned:
                return await self._send(owned, stop)

    async def discarded(self) -> None:
        """See `Preparation`."""
        if self._resumed is not None and self._resumed.preparation is not None:
            await self._resumed.preparation.discarded()
        await self._steps.opened.aclose()

    def _plan(self) -> Plan:
        survey = getattr(self, "_survey", None)
        return Plan(
            batch=self.batch_id,
            resumes=False,
            questions=self._steps.open_questions,
            counts=self._counts,
            facts=self._facts,
            findings=findings_of(survey) if survey else NOTHING_FOUND,
            first=first_rows(survey, self._mapper) if survey else NO_ROWS,
            notices=tuple(self.notices),
            answered=self._steps.answered,
            nothing_to_send=self._facts is not None and not self._facts.to_send,
            preparation=self,
        )

    # ---- the steps --------------------------------------------------------------------------------

    async def _begin(self) -> None:
        if not self._rehearsal:  # missing keys are said before a million rows are read
            load_settings(host=self.options.calls.host, rate=self.options.calls.rate)
        with opened_sheet(self.input, self.mapping) as sheet:
            bound(self.mapping, sheet, self.input)
            place = results_path(
                sheet.path.absolute(), sheet.family, rehearsal=self._rehearsal,
                explicit=self.options.sending.results,
            )  # fmt: skip
            if self.options.sending.replace:
                self._replaces = replaceable(place, self.store)
            self._results = place

    async def _leave_out_hidden_rows(self) -> None:
        """Everything was read with them, so that all questions are known at once."""
        if self._steps.answer_to(QuestionKind.HIDDEN) == "skip":
            self._staging.discard()
            self.input = with_hidden(self.input, "skip")
            self._steps.forget({QuestionKind.HIDDEN, QuestionKind.ACCEPT, QuestionKind.INVALID})
            await self._stage()

    async def _stage(self) -> None:
        accepted = self.mapping.accept | self.options.accept
        with opened_sheet(self.input, self.mapping) as sheet:
            self._sheet, self._mapper = sheet, self.mapping.bind(sheet.header)
            self._survey = Survey(self._mapper, accepted)
            self._staging = self._steps.opened.enter_context(self.store.stage(self.batch_id))
            self._digests = stage_rows(
                self._staging, rows_of(sheet, self.input), self._mapper, self._survey, at=self.at,
                advance=lambda rows: self._progress(Stage.READING, rows),
            )  # fmt: skip
            sheet.check_unchanged()
            self._survey.close(sheet)
        refuse_unsendable(self._survey, sheet)
        self._steps.ask(hidden_question(sheet, accepted))
        for question in accept_questions(self._survey.questions.all()):
            self._steps.ask(question)
        self._ask_about_invalid()
        self._count()

    def _ask_about_invalid(self) -> None:
        trial = self.options.sending.limit is not None
        if self._steps.answer_to(QuestionKind.INVALID) is None:
            self._steps.ask(invalid_question(self._survey, self._sheet, trial=trial))

    async def _connect(self) -> None:
        self._asked = asked_values(map(source_row, self._staging.rows.rows()), self._mapper)
        calls = self.options.calls
        self._send_options = send_options(calls, self.options.sending)
        opening = session(
            calls, self._send_options, self.store, rehearsal=self.batch_id if self._rehearsal else "",
            asked=self._asked,
        )  # fmt: skip
        self._session = await self._steps.opened.enter_async_context(opening)
        self._user = await self._session.user()
        if not self._rehearsal:
            for code, fields in await asked_fields(self._session.connection.tenant, self.mapping):
                for finding in mapping_findings(self.mapping.fields, self.mapping.marker, code, fields):
                    self._survey.add_whole(finding)
        if self._asked:
            await self._look_up()

    async def _look_up(self) -> None:
        resolved = await looked_up(
            self._session.connection.tenant, self._asked, self.observer,
            max_outage_s=self.options.calls.max_outage_s,
        )  # fmt: skip
        content = map_looked_up(
            self._staging, self._mapper, resolved, self._survey, at=self.at,
            advance=lambda rows: self._progress(Stage.MAPPING, rows),
        )  # fmt: skip
        self._digests = Digests(content, self._digests.source_cells)
        with self._staging.change() as change:
            change.keep_lookups(to_plain(resolved))
        refuse_unsendable(self._survey, self._sheet)
        self._ask_about_invalid()
        self._count()

    async def _compare(self) -> None:
        self._batch = self._make_batch()
        with self._staging.change() as change:
            change.keep_facts(**self._batch.facts())
        if self._rehearsal or self.options.again:
            return
        check = self.store.duplicates(self._batch)
        same = check.same_sheet()
        if same and self.options.resume and (not self.options.only_new or same[0].open_rows):
            await self._steps.opened.aclose()
            self._resumed = await prepare_resume(self._as_resume(same[0].batch.id), self.store, self.observer)
            return
        if not self.options.only_new:
            refuse_same_sheet(same)
        overlap = check.overlap()
        refuse_open_elsewhere(overlap)
        self._steps.ask(overlap_question(overlap))

    def _as_resume(self, batch_id: str) -> ResumeOptions:
        options = self.options
        return ResumeOptions(results=batch_id, calls=options.calls, sending=options.sending, yes=options.yes)

    async def _look_first(self) -> None:
        """May these keys read? And has a colleague, whose store is not ours, imported this sheet?"""
        if self._resumed is not None:
            return
        if self._steps.answer_to(QuestionKind.OVERLAP) == "only-new":
            already = take_over(self._staging, self.store.duplicates(self._batch), self.at)
            self._say(f"{count(already, 'row')} {be(already)} there already and not sent again.")
            self._count()
        if self._rehearsal:
            return
        tenant = self._session.connection.tenant
        claimed = OtherBatches(self.store, self._batch).claimed
        found = await persistently(
            lambda: look_at_first_row(self._staging.rows, tenant, claimed),
            self.options.calls.max_outage_s, self.observer, what="Reading the first row's account",
        )  # fmt: skip
        if found.cannot_read:
            self._say(
                f"These keys may not read activities back ({found.cannot_read}): rows for which LeadSquared"
                " does not confirm whether it created them will end as uncertain.",
                warning=True,
            )
        if found.found and not self.options.again:
            self._steps.ask(_equal_question(found.found[0]))

    async def _sum_up(self) -> None:
        if self._resumed is not None:
            return
        self._count()
        pending = self._counts["pending"]
        limit = self.options.sending.limit
        to_send = pending if limit is None else min(limit, pending)
        settings, batch = self._session.settings, self._batch
        events = self._staging.rows.event_counts(RowStatus.PENDING)
        self._facts = PlanFacts(
            batch=batch.id,
            source=batch.source_name,
            sheet=batch.sheet,
            organisation=batch.organisation or batch.tenant,
            user=batch.user,
            host=batch.host,
            keys_from=settings.origin,
            events=tuple(sorted(events.items())),
            to_send=to_send,
            pending=pending,
            in_doubt=0,
            left_out=self._counts["invalid"],
            already=self._counts["created"],
            seconds=expected_s(to_send, settings.rate),
            rate=spoken_rate(settings.rate),
            results=self._results,
            rehearsal=self._rehearsal,
        )
        if not self._rehearsal and to_send:
            self._steps.ask(send_question())

    # ---- letting it in ----------------------------------------------------------------------------

    def _publish(self) -> Ownership:
        """The batch, visible and owned, and its results file with every row pending; or nothing at all. What
        another run did since the answers makes them void."""
        check = self.store.duplicates(self._batch)
        replaced = [] if self._rehearsal else [one.batch for one in check.replaced()]
        owned = self.store.publish(self._staging, self._batch, self._still_new)
        try:
            if self._rehearsal:
                replaced = self.store.replace_rehearsals(self._batch.source, apart_from=self._batch.id)
                for batch in replaced:
                    remove_rehearsal_file(batch.id)
            owned.keep_facts(already=self._counts["created"])
            over = [one.id for one in replaced] + ([self._replaces] if self._replaces else [])
            path = write_results_file(owned.rows, owned.keep_facts, self.observer, replaces=over)
        except BaseException:
            with suppress(StoreError):
                self.store.withdraw(owned)
            remove_own(self._results, self._batch.id)
            raise
        remove_meaningless(replaced, path)
        return owned

    def _still_new(self, check: DuplicateCheck) -> None:
        if self._rehearsal or self.options.again:
            return
        if not self.options.only_new:
            refuse_same_sheet(check.same_sheet())
        overlap = check.overlap()
        refuse_open_elsewhere(overlap)
        if self._steps.answer_to(QuestionKind.OVERLAP) != "again":
            refuse_created_since(overlap)

    async def _send(self, owned: Ownership, stop: StopHandle) -> RunResult:
        findings = findings_of(self._survey)
        work = Work(
            self.store, owned, self._session, self._send_options, self._mapper, self.observer, stop,
            questions=tuple(one.as_json() for one in findings.questions),
            notices=tuple(one.as_json() for one in findings.notices),
        )  # fmt: skip
        if not owned.rows.has(RowStatus.PENDING):
            return conclude(work, None)
        async with results_whatever_happens(work):
            sent = await send_with_trial(work, self.options.sending.canary)
        return conclude(work, sent)

    # ---- small things -----------------------------------------------------------------------------

    def _make_batch(self) -> Batch:
        sheet, user, settings = self._sheet, self._user, self._session.settings
        return Batch(
            id=self.batch_id,
            created_at=self.at,
            tenant=tenant_name(settings.base_url, user, rehearsal=self._rehearsal),
            host=settings.base_url,
            organisation=user.organisation,
            user=user.name,
            rehearsal=self._rehearsal,
            source=str(sheet.path.absolute()),
            family=sheet.family,
            sheet=sheet.name,
            header=sheet.header,
            header_row=sheet.header_row,
            delimiter=sheet.delimiter,
            encoding=sheet.encoding,
            hidden=sheet.how.hidden,
            mapping=self.mapping.record(),
            content=self._digests.content,
            source_cells=self._digests.source_cells,
            rows=self._survey.rows,
            skip_invalid=self._survey.invalid > 0,
            results=str(self._results),
            marker=self.mapping.marker,
            os_user=os_user(),
            computer=computer(),
        )

    def _count(self) -> None:
        self._counts = {status.shown: 0 for status in RowStatus}
        for status, rows in self._staging.rows.counts().items():
            self._counts[status.shown] += rows
        self._counts = {"rows": self._survey.rows, **self._counts}

    def _progress(self, stage: Stage, rows: int) -> None:
        invalid = {"invalid": self._survey.invalid} if self._survey.invalid else {}
        self.observer.progress(Progress(stage, rows, counts=invalid))

    def _say(self, text: str, *, warning: bool = False) -> None:
        self.notices.append(text)
        self.observer.notice(text, warning=warning)


def _equal_question(found: FoundActivity) -> Question:
    return Question(
        QuestionKind.EQUAL_ACTIVITY,
        f"LeadSquared has an activity equal to row {found.row_number} already (Id {found.activity_id},"
        " created"
        f" {found.created_on}). A colleague may have imported this sheet.",
        (Choice("again", "Send all rows anyway", "--again"),),
        "--again, after you asked your colleagues",
        rows=1,
    )


def _nothing_sent(error: StoreError) -> UserError:
    """Before the first Create, trouble with the store leaves nothing behind, and is not one of the work."""
    return UserError(
        f"{error.what} Nothing was sent.",
        where=error.where,
        remedy=error.remedy or "Check that the disk has room and the folder can be written, then try again.",
        code=error.error_code,
    )
