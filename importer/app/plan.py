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

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from importer.app.observer import StopHandle
from importer.app.questions import NO_ANSWERS, Answers, Question
from importer.app.records import (
    NO_ROWS,
    NOTHING_FOUND,
    EarlierImport,
    FirstRows,
    PlanFacts,
    RunResult,
    SheetFindings,
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
