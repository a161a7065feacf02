"""`prepare` and `start`: the two steps of everything that sends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, Protocol

from importer.app.observer import StopHandle
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
from importer.app.records import (
    NO_ROWS,
    NOTHING_FOUND,
    EarlierImport,
    FirstRows,
    PlanFacts,
    RunResult,
    SheetFindings,
)

CANNOT_BE_UNDONE: Final = "This cannot be undone: LeadSquared has no way to delete activities."
Step = Callable[[], Awaitable[None]]


class Preparing:
    """Goes through steps, in order, as far as the answers reach.

    A step may `ask`; the next one runs only when everything asked so far is answered. Whatever a step raises,
    and a "no", closes all that was opened (`opened`), so that nothing is left behind.
    """

    def __init__(self, steps: Sequence[Step], answers: Answers) -> None:
        self.answers = answers
        self.opened = AsyncExitStack()
        self._steps = list(steps)
        self._asked: list[Question] = []

    @property
    def open_questions(self) -> tuple[Question, ...]:
        """Those without an answer, in the order in which they were asked."""
        return tuple(one for one in self._asked if self.answers.to(one) is None)

    @property
    def answered(self) -> tuple[Question, ...]:
        """Those with one."""
        return tuple(one for one in self._asked if self.answers.to(one) is not None)

    def ask(self, question: Question | None) -> None:
        """Asks; None asks nothing."""
        if question is not None:
            self._asked.append(question)

    def forget(self, kinds: Collection[QuestionKind]) -> None:
        """Questions of these kinds were not asked after all; answers to them stay, by their keys."""
        self._asked = [one for one in self._asked if one.kind not in kinds]

    def answer_to(self, kind: QuestionKind) -> str | None:
        """What was answered to the question of that kind; None if it was not asked, or is open."""
        found = [self.answers.to(one) for one in self._asked if one.kind is kind]
        return found[-1] if found else None

    async def advance(self, answers: Answers) -> None:
        """Takes more answers into account and goes on. Raises DeclinedError for a "no"."""
        self.answers = self.answers.joined(answers)
        try:
            self._refuse_declined()
            while self._steps and not self.open_questions:
                await self._steps.pop(0)()
                self._refuse_declined()
        except BaseException:
            await self.opened.aclose()
            raise

    async def finish(self, answers: Answers) -> None:
        """As `advance`; raises QuestionOpenError, everything closed, unless nothing is left to be decided."""
        await self.advance(answers)
        if self.open_questions:
            await self.opened.aclose()
            raise QuestionOpenError(self.open_questions)

    def _refuse_declined(self) -> None:
        for question in self._asked:
            if self.answers.to(question) == STOP:
                raise DeclinedError("Nothing was sent.")


def send_question(details: Sequence[str] = ()) -> Question:
    """The last one."""
    return Question(
        QuestionKind.SEND,
        "Send?",
        (Choice("send", "Send", "--yes"),),
        "--yes",
        details=(*details, CANNOT_BE_UNDONE),
    )


class Preparation(Protocol):
    """What lies behind a plan until it is started or discarded: staged rows, the open connection, the batch's
    ownership."""

    async def answered(self, answers: Answers) -> Plan:
        """Goes on with these answers as well."""
        ...

    async def started(self, answers: Answers, stop: StopHandle) -> RunResult:
        """Publishes and sends; everything is closed at the end."""
        ...

    async def discarded(self) -> None:
        """Removes what was staged, gives back what was owned."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, before it is done.

    batch: its id. resumes: whether it continues a batch. questions: those that are open, in the order in
    which they are asked; the last one is SEND. answered: those that answers given in advance have decided.
    facts: None until nothing but SEND is open (before that LeadSquared was not asked). counts: rows by shown
    status. changes: what `resume` takes over, sentences ("row 17, Outcome: 'Wno' → 'Won'"). notices: what a
    person should know, sentences. nothing_to_send: no row would be sent; `start` then only writes the
    results file.
    """

    batch: str
    resumes: bool
    questions: tuple[Question, ...]
    counts: Mapping[str, int]
    facts: PlanFacts | None = None
    findings: SheetFindings = NOTHING_FOUND
    first: FirstRows = NO_ROWS
    imported_before: tuple[EarlierImport, ...] = ()
    changes: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    answered: tuple[Question, ...] = ()
    nothing_to_send: bool = False
    preparation: Preparation | None = field(default=None, repr=False, compare=False)


async def answer(plan: Plan, answers: Answers) -> Plan:
    """The next plan, with these answers taken into account. Raises DeclinedError for a "no": the plan is
    discarded then. Raises as `prepare_run` does."""
    assert plan.preparation is not None, "a plan that can be answered comes from prepare"
    return await plan.preparation.answered(answers)


async def start(plan: Plan, answers: Answers = NO_ANSWERS, *, stop: StopHandle | None = None) -> RunResult:
    """Sends. The results file exists from before the first call that creates, and is written on every way
    out.

    answers: to the questions still open, SEND among them. Raises QuestionOpenError (nothing was sent) while
    one is open, DeclinedError for a "no", ImportedBeforeError when another computer was faster, WorkError and
    StoreError in the middle, after the results file was written.
    """
    assert plan.preparation is not None, "a plan that can be started comes from prepare"
    return await plan.preparation.started(answers, stop or StopHandle())


async def discard(plan: Plan) -> None:
    """Leaves nothing behind. Harmless on a plan that was started, or discarded before."""
    if plan.preparation is not None:
        await plan.preparation.discarded()
