"""`prepare` and `start`: the two steps of everything that sends.

`prepare_run`, `prepare_resume` and `prepare_correct` do all that can be done before anything is sent, and
give a `Plan`: facts, counts, findings, and the questions that only a person can decide. `answer` goes on
where answers are needed to go on (rows that Excel hides, invalid rows, an overlap), and gives the next plan.
`start` publishes or changes the batch and sends; `discard` leaves nothing behind. One of the two ends every
plan.

    plan = await prepare_run(options, store, observer)
    while plan.questions:
        plan = await answer(plan, Answers({question.key: chosen}))
    result = await start(plan, stop=stop)

Coroutines of one plan belong to one event loop. They do blocking work in between (a sheet is read, rows are
stored): a server runs them in a thread with a loop of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from collections.abc import Mapping as MappingOf
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, TypeVar

from importer.app.connecting import Session, looked_up, persistently, session
from importer.app.observer import Observer, StopHandle
from importer.app.options import BatchOptions, CallOptions, SendingOptions
from importer.app.questions import (
    LAST_ONES,
    NO_ANSWERS,
    STOP,
    Answers,
    Choice,
    DeclinedError,
    Question,
    QuestionKind,
    QuestionOpenError,
)
from importer.app.records import NOTHING_FOUND, PlanFacts, SheetFindings
from importer.app.results_file import edits_of_file, from_screen, place_here, write_results_file
from importer.app.staging import AskedValues, Digests, asked_values
from importer.app.stores import NamedBatch, batch_to_call
from importer.errors import StoreError, UserError, WorkError
from importer.leadsquared.answers import CurrentUser
from importer.leadsquared.calls import Tenant, Unreachable
from importer.mapping.choices import Resolved
from importer.mapping.mapping import Mapping
from importer.mapping.row_mapper import RowMapper
from importer.results.edits import Edits
from importer.sending.engine import tenant_name
from importer.sending.preflight import FoundActivity, SentBeforeCheck
from importer.sending.reconcile.account_lookup import Claimed, OtherBatches
from importer.sheets.rows import Cells, Row
from importer.store.batch_rows import BatchRows
from importer.store.ownership import Ownership
from importer.store.records import REHEARSAL, Batch
from importer.store.store import Store, computer, os_user

CANNOT_BE_UNDONE: Final = "This cannot be undone: LeadSquared has no way to delete activities."
Look = Callable[[BatchRows, Tenant, Claimed], Awaitable[SentBeforeCheck]]
"""What `preflight` looks for."""
ResultT = TypeVar("ResultT")


class Preparation(ABC, Generic[ResultT]):
    """What lies behind a plan until it is started or discarded: steps that stop at open questions, and what
    they opened (staged rows, a connection, the batch's ownership).

    A step may `ask`; the next one runs only when everything asked so far is answered. Whatever a step raises,
    and a "no", closes all that was opened (`opened`), so that nothing is left behind.

    results: where the results file goes; replaces: finished batches whose results file it may overwrite.
    read: digest of the results file when its changes were taken over.
    """

    of_known_batch: ClassVar[bool] = True
    """Where LeadSquared cannot be reached, the batch waits (exit 3)."""
    batch: Batch
    mapping: Mapping
    mapper: RowMapper
    session: Session
    owned: Ownership
    results: Path

    def __init__(
        self, calls: CallOptions, sending: SendingOptions, store: Store, observer: Observer,
        given: MappingOf[QuestionKind, str],
    ) -> None:  # fmt: skip
        self.calls, self.sending, self.store, self.observer = calls, sending, store, observer
        self.answers = Answers({str(kind): value for kind, value in given.items()})
        self.opened = AsyncExitStack()
        self.stop = StopHandle()
        self.steps: list[Callable[[], Awaitable[None]]] = []
        self.replaces: tuple[str, ...] = ()
        self.read: str | None = None
        self.findings = NOTHING_FOUND
        self.facts: PlanFacts | None = None
        self._questions: list[Question] = []

    @abstractmethod
    def plan(self) -> Plan[ResultT]:
        """As far as the steps came."""

    @abstractmethod
    def begin(self) -> None:
        """Publishes or changes the batch, once everything is answered; or nothing at all, and raises."""

    @abstractmethod
    async def send(self) -> ResultT:
        """Sends, and sums up."""

    @property
    def typed(self) -> MappingOf[int, Cells]:
        """By row number, cells of created rows as a person changed them: they stay so in the results file."""
        return {}

    async def answered(self, answers: Answers = NO_ANSWERS) -> Plan[ResultT]:
        """Goes on with these answers as well. Raises DeclinedError for a "no"."""
        async with self._nothing_left_behind():
            await self._advance(answers)
        return self.plan()

    async def started(self, answers: Answers, stop: StopHandle) -> ResultT:
        """Begins and sends; everything is closed at the end. Raises QuestionOpenError unless nothing is left
        to be decided."""
        self.stop = stop
        async with self._nothing_left_behind():
            await self._advance(answers)
            plan = self.plan()
            if plan.preparation is self:
                if plan.questions:
                    raise QuestionOpenError(plan.questions)
                self.begin()
        if plan.preparation is not self:
            return await plan.preparation.started(self.answers, stop)
        async with self.opened:
            return await self.send()

    async def discarded(self) -> None:
        """Removes what was staged, gives back what was owned."""
        await self.opened.aclose()

    @property
    def open_questions(self) -> tuple[Question, ...]:
        """Those without an answer, in the order in which they were asked."""
        return tuple(one for one in self._questions if self.answers.to(one) is None)

    def ask(self, question: Question | None) -> None:
        """Asks; None asks nothing."""
        if question is not None:
            self._questions.append(question)

    def forget(self, kinds: Collection[QuestionKind]) -> None:
        """Questions of these kinds were not asked after all; answers to them stay, by their keys."""
        self._questions = [one for one in self._questions if one.kind not in kinds]

    def answer_to(self, kind: QuestionKind) -> str | None:
        """What was answered to the question of that kind; None if it was not asked, or is open."""
        found = [self.answers.to(one) for one in self._questions if one.kind is kind]
        return found[-1] if found else None

    async def connect(self, batch_id: str, asked: AskedValues) -> None:
        """Opens `session`. asked: what is to be looked up (see `connecting.session`)."""
        rehearsal = batch_id if self.calls.sandbox else ""
        opening = session(self.calls, self.store, self.sending, rehearsal=rehearsal, asked=asked)
        self.session = await self.opened.enter_async_context(opening)

    async def look_up(self, asked: AskedValues, kept: dict[str, str] | None = None) -> Resolved:
        """LeadSquared's answers, those that were kept among them."""
        tenant, max_outage_s = self.session.connection.tenant, self.calls.max_outage_s
        return await looked_up(tenant, asked, self.observer, kept=kept, max_outage_s=max_outage_s)

    def new_batch(
        self, batch_id: str, created_at: str, user: CurrentUser, mapping: Mapping, digests: Digests,
        **sheet: Any,
    ) -> Batch:  # fmt: skip
        """A batch that is started, or rebuilt, here and with these keys. sheet: its other fields."""
        host, rehearsal = self.session.settings.base_url, batch_id.startswith(REHEARSAL)
        return Batch(
            id=batch_id,
            created_at=created_at,
            tenant=tenant_name(host, user, rehearsal=rehearsal),
            host=host,
            organisation=user.organisation,
            user=user.name,
            rehearsal=rehearsal,
            mapping=mapping.record(),
            marker=mapping.marker,
            content=digests.content,
            source_cells=digests.source_cells,
            os_user=os_user(),
            computer=computer(),
            **sheet,
        )

    async def look_before(
        self, look: Look, rows: BatchRows, *, what: str, unreadable: str = ""
    ) -> tuple[FoundActivity, ...]:
        """What LeadSquared has of rows that are to be sent, and the store does not know (`preflight`). what:
        for the person, as in `persistently`. unreadable: what follows where the keys may not read."""
        tenant, claimed = self.session.connection.tenant, OtherBatches(self.store, self.batch).claimed
        found = await persistently(
            lambda: look(rows, tenant, claimed), self.calls.max_outage_s, self.observer, what=what
        )
        if found.cannot_read:
            text = f"These keys may not read activities back ({found.cannot_read}){unreadable}."
            self.observer.notice(text, warning=True)
        return found.found

    def state_facts(
        self, user: str, events: MappingOf[int, int], pending: int, *, in_doubt: int = 0, left_out: int,
        already: int,
    ) -> None:  # fmt: skip
        """The facts that a person sees before anything is sent; asks whether to send, but for a rehearsal.
        events: activity type → rows."""
        settings, limit = self.session.settings, self.sending.limit
        self.facts = facts = PlanFacts(
            batch=self.batch,
            user=user,
            host=settings.base_url,
            keys_from=settings.origin,
            rate=settings.rate,
            events=tuple(sorted(events.items())),
            to_send=pending if limit is None else min(limit, pending),
            pending=pending,
            in_doubt=in_doubt,
            left_out=left_out,
            already=already,
            results=self.results,
        )
        if (facts.to_send or in_doubt) and not self.batch.rehearsal:
            self.ask(send_question())

    def say(self, lines: Iterable[str], *, warning: bool = False) -> None:
        """Gives notice of each."""
        for line in lines:
            self.observer.notice(line, warning=warning)

    def write_results(self) -> Path:
        """Writes the results file; where it is now. Raises as `write_results_file`."""
        return write_results_file(
            self.owned.rows, self.owned.keep_facts, self.observer, self.results,
            replaces=self.replaces, read=self.read, typed=self.typed,
        )  # fmt: skip

    async def _advance(self, answers: Answers) -> None:
        self.answers = Answers({**self.answers.given, **answers.given})
        self._refuse_declined()
        while self.steps and not self.open_questions:
            await self.steps.pop(0)()
            self._refuse_declined()

    def _refuse_declined(self) -> None:
        if any(self.answers.to(question) == STOP for question in self._questions):
            raise DeclinedError("Nothing was sent.")

    @asynccontextmanager
    async def _nothing_left_behind(self) -> AsyncIterator[None]:
        try:
            yield
        except BaseException as error:
            await self.discarded()
            if isinstance(error, Unreachable) and self.of_known_batch:
                raise WorkError(
                    error.what, where=error.where, remedy=error.remedy, code="unreachable"
                ) from error
            if isinstance(error, StoreError):  # before the first Create, this is not one of the work
                remedy = "Check that the disk has room and the folder can be written, then try again."
                raise UserError(
                    f"{error.what} Nothing was sent.",
                    where=error.where,
                    remedy=error.remedy or remedy,
                    code=error.error_code,
                ) from error
            raise


class BatchPreparation(Preparation[ResultT]):
    """Of a batch that exists: what a person changed in it is read, and what that needs is looked up."""

    named: NamedBatch

    def __init__(
        self, options: BatchOptions, sending: SendingOptions, store: Store, observer: Observer,
        given: MappingOf[QuestionKind, str],
    ) -> None:  # fmt: skip
        super().__init__(options.calls, sending, store, observer, given if options.yes else {})
        self.options = options
        self.edits = Edits()
        self.asked: AskedValues = {}
        self.resolved: Resolved = {}

    def ask(self, question: Question | None) -> None:
        """See `Preparation`. What `--yes` answers is said all the same."""
        super().ask(question)
        if question and question.kind not in LAST_ONES and self.answers.to(question):
            self.say((question.text, *question.details), warning=True)

    def find(self, remedy: str) -> None:
        """The batch that was named. remedy: what to do with a rehearsal that was named without --sandbox."""
        options, sandbox = self.options, self.calls.sandbox
        self.named = batch_to_call(options.results, self.store, sandbox=sandbox, remedy=remedy)
        if options.remap and options.mapping is None:
            raise UserError("--remap needs the new mapping.", remedy="Add it with -m MAPPING.")

    def bind(self, mapping: Mapping) -> None:
        """Takes the mapping to read the batch's rows with."""
        self.mapping, self.mapper = mapping, mapping.bind(self.batch.header)
        self.results = self.named.results or place_here(self.owned.rows)

    def read_changes(self) -> None:
        """What a person changed, on the screen or in the results file."""
        changes, rows = self.options.changes, self.owned.rows
        if changes is not None:
            self.edits = from_screen(changes, rows, self.batch.header)
        else:
            self.edits, self.read = edits_of_file(self.named.results, self.batch, rows, self.observer)

    async def connect_and_look_up(
        self, mapped: Iterable[Row], last: Question | None, *, connected: bool = False
    ) -> CurrentUser:
        """Connects, and finds answers for what these rows ask to be looked up; whose keys these are. last:
        the question that will be asked in the end; no call is made where nobody can answer it."""
        if last and self.options.unattended and not (self.options.yes or self.batch.rehearsal):
            raise QuestionOpenError((last,))
        self.asked = asked_values(mapped, self.mapper)
        if not connected:
            await self.connect(self.batch.id, self.asked)
        user = await self.session.user_of(self.batch)
        self.resolved = await self.look_up(self.asked, self.owned.rows.lookups())
        return user


def send_question() -> Question:
    """The last one."""
    send = Choice("send", "Send", "--yes")
    return Question(QuestionKind.SEND, "Send?", (send,), details=(CANNOT_BE_UNDONE,))


@dataclass(frozen=True, slots=True)
class Plan(Generic[ResultT]):
    """What would be done, before it is done.

    batch: its id. resumes: whether the batch exists already. questions: those that are open, in the order in
    which they are asked; the last one is SEND or CORRECT.
    facts: None until nothing but SEND is open (before that LeadSquared was not asked). counts: rows by shown
    status. changes: what `resume` takes over, or `correct` sends, sentences ("row 17, Outcome: 'Wno' →
    'Won'"); refused: what `correct` cannot send. rows: that `correct` would change;
    unfinished: that an earlier correction did not finish.
    nothing_to_send: no row would be sent; `start` then only writes the results file.
    """

    batch: str
    resumes: bool
    questions: tuple[Question, ...]
    preparation: Preparation[ResultT] = field(repr=False, compare=False)
    counts: MappingOf[str, int] = field(default_factory=dict)
    facts: PlanFacts | None = None
    findings: SheetFindings = NOTHING_FOUND
    changes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    rows: int = 0
    unfinished: int = 0
    nothing_to_send: bool = False


async def answer(plan: Plan[ResultT], answers: Answers) -> Plan[ResultT]:
    """The next plan, with these answers taken into account. Raises DeclinedError for a "no": the plan is
    discarded then. Raises as `prepare_run` does."""
    return await plan.preparation.answered(answers)


async def start(
    plan: Plan[ResultT], answers: Answers = NO_ANSWERS, *, stop: StopHandle | None = None
) -> ResultT:
    """Sends. The results file exists from before the first call that creates, and is written on every way
    out.

    answers: to the questions still open, SEND among them. Raises QuestionOpenError (nothing was sent) while
    one is open, DeclinedError for a "no", ImportedBeforeError when another computer was faster, WorkError and
    StoreError in the middle, after the results file was written.
    """
    return await plan.preparation.started(answers, stop or StopHandle())


async def discard(plan: Plan[ResultT]) -> None:
    """Leaves nothing behind. Harmless on a plan that was started, or discarded before."""
    await plan.preparation.discarded()
