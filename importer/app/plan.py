"""`prepare` and `start`: the two steps of everything that sends.

`prepare_run` and `prepare_resume` do all that can be done before anything is sent, and give a `Plan`: facts,
counts, findings, and the questions that only a person can decide. `answer` goes on where answers are needed
to go on (rows that Excel hides, invalid rows, an overlap), and gives the next plan. `start` publishes the
batch and sends; `discard` leaves nothing behind. One of the two ends every plan.

    plan = await prepare_run(options, store, observer)
    while plan.questions:
        plan = await answer(plan, Answers({question.key: chosen}))
    result = await start(plan, stop=stop)

Coroutines of one plan belong to one event loop. They do blocking work in between (a sheet is read, rows are
stored): a server runs them in a thread with a loop of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Final, Generic, TypeVar

from importer.app.observer import Observer, StopHandle
from importer.app.questions import (
    NO_ANSWERS,
    STOP,
    Answers,
    Choice,
    DeclinedError,
    Question,
    QuestionKind,
    QuestionOpenError,
)
from importer.app.records import NOTHING_FOUND, PlanFacts, RunResult, SheetFindings
from importer.errors import StoreError, UserError, WorkError
from importer.leadsquared.calls import Unreachable
from importer.store.store import Store

CANNOT_BE_UNDONE: Final = "This cannot be undone: LeadSquared has no way to delete activities."
PlanT = TypeVar("PlanT")
ResultT = TypeVar("ResultT")


class Preparation(ABC, Generic[PlanT, ResultT]):
    """What lies behind a plan until it is started or discarded: steps that stop at open questions, and what
    they opened (staged rows, a connection, the batch's ownership).

    A step may `ask`; the next one runs only when everything asked so far is answered. Whatever a step raises,
    and a "no", closes all that was opened (`opened`), so that nothing is left behind.
    """

    of_known_batch: ClassVar[bool] = True
    """Where LeadSquared cannot be reached, the batch waits (exit 3)."""

    def __init__(
        self,
        store: Store,
        observer: Observer,
        steps: Sequence[Callable[[], Awaitable[None]]],
        given: Mapping[str, str],
    ) -> None:
        self.store, self.observer = store, observer
        self.answers = Answers(given)
        self.opened = AsyncExitStack()
        self.steps = list(steps)
        self._questions: list[Question] = []

    @abstractmethod
    def plan(self) -> PlanT:
        """As far as the steps came."""

    @abstractmethod
    def begin(self) -> None:
        """Publishes or changes the batch, once everything is answered; or nothing at all, and raises."""

    @abstractmethod
    async def send(self, stop: StopHandle) -> ResultT:
        """Sends, and sums up."""

    async def answered(self, answers: Answers = NO_ANSWERS) -> PlanT:
        """Goes on with these answers as well. Raises DeclinedError for a "no"."""
        async with self._nothing_left_behind():
            await self._advance(answers)
        return self.plan()

    async def started(self, answers: Answers, stop: StopHandle) -> ResultT:
        """Begins and sends; everything is closed at the end. Raises QuestionOpenError unless nothing is left
        to be decided."""
        async with self._nothing_left_behind():
            await self._advance(answers)
            if self.open_questions:
                raise QuestionOpenError(self.open_questions)
            self.begin()
        async with self.opened:
            return await self.send(stop)

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

    async def _advance(self, answers: Answers) -> None:
        self.answers = self.answers.joined(answers)
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


def send_question() -> Question:
    """The last one."""
    send = Choice("send", "Send", "--yes")
    return Question(QuestionKind.SEND, "Send?", (send,), "--yes", details=(CANNOT_BE_UNDONE,))


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, before it is done.

    batch: its id. resumes: whether it continues a batch. questions: those that are open, in the order in
    which they are asked; the last one is SEND.
    facts: None until nothing but SEND is open (before that LeadSquared was not asked). counts: rows by shown
    status. changes: what `resume` takes over, sentences ("row 17, Outcome: 'Wno' → 'Won'"). nothing_to_send:
    no row would be sent; `start` then only writes the results file.
    """

    batch: str
    resumes: bool
    questions: tuple[Question, ...]
    counts: Mapping[str, int]
    preparation: Preparation[Plan, RunResult] = field(repr=False, compare=False)
    facts: PlanFacts | None = None
    findings: SheetFindings = NOTHING_FOUND
    changes: tuple[str, ...] = ()
    nothing_to_send: bool = False


async def answer(plan: Plan, answers: Answers) -> Plan:
    """The next plan, with these answers taken into account. Raises DeclinedError for a "no": the plan is
    discarded then. Raises as `prepare_run` does."""
    return await plan.preparation.answered(answers)


async def start(plan: Plan, answers: Answers = NO_ANSWERS, *, stop: StopHandle | None = None) -> RunResult:
    """Sends. The results file exists from before the first call that creates, and is written on every way
    out.

    answers: to the questions still open, SEND among them. Raises QuestionOpenError (nothing was sent) while
    one is open, DeclinedError for a "no", ImportedBeforeError when another computer was faster, WorkError and
    StoreError in the middle, after the results file was written.
    """
    return await plan.preparation.started(answers, stop or StopHandle())


async def discard(plan: Plan) -> None:
    """Leaves nothing behind. Harmless on a plan that was started, or discarded before."""
    await plan.preparation.discarded()
