"""`run`, up to the first POST: a sheet is staged, looked up, compared with what was imported before, asked
about, and published.  Everything up to `started` leaves nothing behind; comparison and registration are one
transaction after the answers, so that of two runs started at the same moment only one goes on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from importer.app import sheet_questions, staging
from importer.app.connecting import asked_fields
from importer.app.observer import SILENT, Observer, Progress, Stage
from importer.app.options import ResumeOptions, RunOptions
from importer.app.plan import Plan, Preparation, discard
from importer.app.questions import Choice, Question, QuestionKind
from importer.app.records import RunResult
from importer.app.results_file import remove_results, replaceable
from importer.app.resume import prepare_resume
from importer.app.running import send_and_conclude
from importer.app.staging import AskedValues, Digests
from importer.app.stores import remove_rehearsal_file
from importer.checking.columns import mapping_findings
from importer.checking.survey import Survey
from importer.errors import StoreError
from importer.leadsquared.answers import CurrentUser
from importer.leadsquared.lookups import to_plain
from importer.results.results_writer import results_path
from importer.sending.preflight import FoundActivity, look_at_first_row
from importer.settings import load_settings
from importer.sheets import Sheet
from importer.store.batch_rows import shown_counts
from importer.store.duplicates import DuplicateCheck
from importer.store.ownership import Staging
from importer.store.records import Batch, RowStatus, iso
from importer.store.store import Store
from importer.text import be, count


async def prepare_run(options: RunOptions, store: Store, observer: Observer = SILENT) -> Plan[RunResult]:
    """Reads and maps the sheet, looks accounts and users up, and asks LeadSquared who and where we are.
    With `options.resume` and an open batch of the same sheet: the plan that continues it. Raises UserError
    with nothing left behind: SheetError, MappingError, SettingsError, TenantError, ImportedBeforeError (the
    same sheet, or rows that another batch holds open), ResultsError."""
    return await RunPreparation(options, store, observer).answered()


class RunPreparation(Preparation[RunResult]):
    """One `run`, from its options to its result."""

    of_known_batch = False

    def __init__(self, options: RunOptions, store: Store, observer: Observer) -> None:
        given = (
            (options.skip_invalid, QuestionKind.INVALID, "skip"),
            (options.only_new, QuestionKind.OVERLAP, "only-new"),
            (options.again, QuestionKind.EQUAL_ACTIVITY, "again"),
            (options.yes, QuestionKind.SEND, "send"),
        )
        answers = {kind: value for wanted, kind, value in given if wanted}
        super().__init__(options.calls, options.sending, store, observer, answers)
        self.steps = [
            self._begin, self._stage, self._leave_out_hidden_rows, self._connect, self._compare,
            self._check_place, self._look_first, self._sum_up,
        ]  # fmt: skip
        self.options, self._rehearsal = options, options.calls.sandbox
        started_at = datetime.now(UTC)
        self.at = iso(started_at.timestamp())
        self.batch_id = staging.new_batch_id(started_at, rehearsal=self._rehearsal)
        self.mapping = staging.loaded_mapping(options.mapping)
        self.input = options.sheet
        self._staging: Staging
        self._sheet: Sheet
        self._survey: Survey
        self._digests: Digests
        self._resumed: Plan[RunResult] | None = None

    def plan(self) -> Plan[RunResult]:
        """See `Preparation`."""
        if self._resumed is not None:
            return self._resumed
        self.findings = sheet_questions.findings_of(self._survey)
        return Plan(
            batch=self.batch_id,
            resumes=False,
            questions=self.open_questions,
            preparation=self,
            counts=self._counts(),
            facts=self.facts,
            findings=self.findings,
            nothing_to_send=self.facts is not None and not self.facts.to_send,
        )

    # ---- the steps --------------------------------------------------------------------------------

    async def _begin(self) -> None:
        if not self._rehearsal:  # missing keys are said before a million rows are read
            load_settings(host=self.calls.host, rate=self.calls.rate)
        with staging.opened_sheet(self.input, self.mapping) as sheet:
            staging.bound(self.mapping, sheet, self.input)
            self.results = results_path(
                sheet.path.absolute(), sheet.family, rehearsal=self._rehearsal,
                explicit=self.sending.results,
            )  # fmt: skip

    async def _leave_out_hidden_rows(self) -> None:
        """Everything was read with them, so that all questions are known at once."""
        if self.answer_to(QuestionKind.HIDDEN) == "skip":
            self._staging.close()
            self.input = replace(self.input, hidden="skip")
            self.forget({QuestionKind.HIDDEN, QuestionKind.ACCEPT, QuestionKind.INVALID})
            await self._stage()

    async def _stage(self) -> None:
        accepted = self.mapping.accept.union(self.options.accept)
        with staging.opened_sheet(self.input, self.mapping) as sheet:
            self._sheet, self.mapper = sheet, self.mapping.bind(sheet.header)
            self._survey = Survey(self.mapper, accepted)
            self._staging = self.opened.enter_context(self.store.stage(self.batch_id))
            self._digests = staging.stage_rows(
                self._staging, staging.rows_of(sheet, self.input), self.mapper, self._survey, at=self.at,
                advance=lambda rows: self._progress(Stage.READING, rows),
            )  # fmt: skip
            sheet.check_unchanged()
            self._survey.close(sheet)
        sheet_questions.refuse_unsendable(self._survey, sheet)
        for question in sheet_questions.questions_about(sheet, self._survey.questions.all(), accepted):
            self.ask(question)
        self._ask_about_invalid()

    def _ask_about_invalid(self) -> None:
        trial = self.sending.limit is not None
        if self.answer_to(QuestionKind.INVALID) is None:
            self.ask(sheet_questions.invalid_question(self._survey, self._sheet, trial=trial))

    async def _connect(self) -> None:
        asked = staging.asked_values(map(staging.source_row, self._staging.rows.rows()), self.mapper)
        await self.connect(self.batch_id, asked)
        user = await self.session.user()
        if not self._rehearsal:
            for code, fields in await asked_fields(self.session.connection.tenant, self.mapping):
                for finding in mapping_findings(self.mapping.fields, self.mapping.marker, code, fields):
                    self._survey.add_whole(finding)
        if asked:
            await self._map_looked_up(asked)
        self.batch = self._make_batch(user)

    async def _map_looked_up(self, asked: AskedValues) -> None:
        resolved = await self.look_up(asked)
        self._digests = staging.map_looked_up(
            self._staging, self.mapper, resolved, self._survey, at=self.at,
            advance=lambda rows: self._progress(Stage.MAPPING, rows),
        )  # fmt: skip
        with self._staging.change() as change:
            change.keep_lookups(to_plain(resolved))
        sheet_questions.refuse_unsendable(self._survey, self._sheet)
        self._ask_about_invalid()

    async def _compare(self) -> None:
        with self._staging.change() as change:
            change.keep_facts(**self.batch.facts())
        if self._rehearsal or self.options.again:
            return
        check = self.store.duplicates(self.batch)
        same = check.same_sheet()
        if same and self.options.resume and (not self.options.only_new or same[0].open_rows):
            await self.opened.aclose()
            again = ResumeOptions(
                results=same[0].batch.id, calls=self.calls, sending=self.sending, yes=self.options.yes
            )
            self._resumed = await prepare_resume(again, self.store, self.observer)
            self.opened.push_async_callback(discard, self._resumed)
            self.steps.clear()
            return
        if not self.options.only_new:
            sheet_questions.refuse_same_sheet(same)
        overlap = check.overlap()
        sheet_questions.refuse_open_elsewhere(overlap)
        self.ask(sheet_questions.overlap_question(overlap))

    async def _check_place(self) -> None:
        """Only now: the unfinished batch whose file it is may be the one that goes on (`--resume`)."""
        if self.sending.replace:
            self.replaces = replaceable(self.results, self.store)

    async def _look_first(self) -> None:
        """May these keys read? And has a colleague, whose store is not ours, imported this sheet?"""
        if self.answer_to(QuestionKind.OVERLAP) == "only-new":
            already = sheet_questions.take_over(self._staging, self.store.duplicates(self.batch), self.at)
            self.observer.notice(f"{count(already, 'row')} {be(already)} there already and not sent again.")
        if self._rehearsal:
            return
        found = await self.look_before(
            look_at_first_row, self._staging.rows, what="Reading the first row's account",
            unreadable=": rows for which LeadSquared does not confirm whether it created them will end as"
            " uncertain",
        )  # fmt: skip
        if found and not self.options.again:
            self.ask(_equal_question(found[0]))

    async def _sum_up(self) -> None:
        counts = self._counts()
        self.state_facts(
            self.batch.user, self._staging.rows.event_counts(RowStatus.PENDING), counts["pending"],
            left_out=counts["invalid"], already=counts["created"],
        )  # fmt: skip

    # ---- letting it in ----------------------------------------------------------------------------

    def begin(self) -> None:
        """See `Preparation`: the batch, visible and owned, and its results file with every row pending. What
        another run did since the answers makes them void."""
        check, already = self.store.duplicates(self.batch), self._counts()["created"]
        replaced = [] if self._rehearsal else [one.batch for one in check.replaced()]
        self.owned = self.store.publish(self._staging, self.batch, self._still_new)
        try:
            if self._rehearsal:
                replaced = self.store.replace_rehearsals(self.batch.source, apart_from=self.batch.id)
                for batch in replaced:
                    remove_rehearsal_file(batch.id)
            self.owned.keep_facts(already=already)
            self.replaces = (*(one.id for one in replaced), *self.replaces)
            self.results = self.write_results()
        except BaseException:
            with suppress(StoreError):
                self.store.withdraw(self.owned)
            self.owned.close()
            remove_results(self.results, self.batch.id)
            raise
        self.opened.enter_context(self.owned)
        for batch in replaced:
            remove_results(Path(batch.results), batch.id)

    def _still_new(self, check: DuplicateCheck) -> None:
        if self._rehearsal or self.options.again:
            return
        if not self.options.only_new:
            sheet_questions.refuse_same_sheet(check.same_sheet())
        overlap = check.overlap()
        sheet_questions.refuse_open_elsewhere(overlap)
        if self.answer_to(QuestionKind.OVERLAP) != "again":
            sheet_questions.refuse_created_since(overlap)

    async def send(self) -> RunResult:
        """See `Preparation`."""
        nothing = not self.owned.rows.has(RowStatus.PENDING)
        return await send_and_conclude(self, nothing=nothing)

    # ---- small things -----------------------------------------------------------------------------

    def _make_batch(self, user: CurrentUser) -> Batch:
        sheet = self._sheet
        return self.new_batch(
            self.batch_id, self.at, user, self.mapping, self._digests,
            source=str(sheet.path.absolute()),
            family=sheet.family,
            sheet=sheet.name,
            header=sheet.header,
            header_row=sheet.header_row,
            delimiter=sheet.delimiter,
            encoding=sheet.encoding,
            hidden=sheet.how.hidden,
            rows=self._survey.rows,
            results=str(self.results),
        )  # fmt: skip

    def _counts(self) -> dict[str, int]:
        return shown_counts(self._staging.rows.counts())

    def _progress(self, stage: Stage, rows: int) -> None:
        invalid = {"invalid": self._survey.invalid} if self._survey.invalid else {}
        self.observer.progress(Progress(stage, rows, counts=invalid))


def _equal_question(found: FoundActivity) -> Question:
    return Question(
        QuestionKind.EQUAL_ACTIVITY,
        f"LeadSquared has an activity equal to row {found.row_number} already (Id {found.activity_id},"
        " created"
        f" {found.created_on}). A colleague may have imported this sheet: ask first.",
        (Choice("again", "Send all rows anyway", "--again"),),
        rows=1,
    )
