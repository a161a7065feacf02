"""A plan on the terminal, and how it ended: what `run`, `resume`, `correct` and `verify` share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from importer.app.observer import Observer
from importer.app.plan import CANNOT_BE_UNDONE, Plan, answer, discard, start
from importer.app.questions import (
    LAST_ONES,
    STOP,
    Answers,
    Question,
    QuestionKind,
    QuestionOpenError,
)
from importer.app.records import CorrectionOutcome, PlanFacts, RunResult, VerifyResult
from importer.app.running import BrokenRunError
from importer.app.stores import open_store
from importer.cli.check import findings_shown
from importer.cli.console import Console
from importer.cli.progress import ConsoleObserver, watched
from importer.store.records import Shown
from importer.store.store import Store
from importer.text import count, duration

LABEL_COLUMNS: Final = 15
ResultT = TypeVar("ResultT", RunResult, CorrectionOutcome)


def carried_out(
    console: Console,
    prepare: Callable[[Store, Observer], Coroutine[Any, Any, Plan[ResultT]]],
    lines: Callable[[ResultT], Sequence[str]],
) -> int:
    """A plan, from its preparation to what was sent, and how it ended (`lines`); the exit code."""

    async def done() -> ResultT:
        with watched(console) as (observer, stop), open_store(notice=console.warn) as store:
            plan = await prepare(store, observer)
            try:
                plan = await _settled(console, plan, observer)
                if plan.nothing_to_send and not plan.resumes:
                    console.say("Nothing is new: every row of this sheet was sent before.")
                observer.heed_interrupt()
            except BaseException:
                await discard(plan)
                raise
            return await start(plan, stop=stop)

    try:
        result = asyncio.run(done())
    except BrokenRunError as broken:  # a fault of ours is raised after what was done
        console.result("", broken.result.as_json())
        raise broken.__cause__ or broken from None
    return show_result(console, result, lines(result))


async def _settled(console: Console, plan: Plan[ResultT], observer: ConsoleObserver) -> Plan[ResultT]:
    """The plan once every question is answered; no bar stands beside one. Raises QuestionOpenError where
    nobody can be asked, DeclinedError for a "no"; the plan is closed then."""
    observer.close()
    findings: list[str] = findings_shown(plan.findings)
    for line in (*findings, "") if findings else ():
        console.say(line)
    facts: PlanFacts | None = None
    while True:
        if facts is None and plan.facts is not None:
            facts = plan.facts
            _show_facts(console, facts)
        if not plan.questions:
            return plan
        if not console.has_terminal:
            console.result("", _open_as_json(plan))
            raise QuestionOpenError(plan.questions)
        answers: dict[str, str] = {}
        for question in plan.questions:
            observer.heed_interrupt()
            answers[question.key] = _asked(console, question)
            if answers[question.key] == STOP:
                break
        plan = await answer(plan, Answers(answers))
        observer.close()


def _open_as_json(plan: Plan[Any]) -> dict[str, list[dict[str, Any]]]:
    """What was found in the sheet, and the questions that are not about that."""
    found = plan.findings.as_json()
    of_findings = {QuestionKind.ACCEPT, QuestionKind.HIDDEN, QuestionKind.INVALID}
    others = [one.as_json() for one in plan.questions if one.kind not in of_findings]
    return {**found, "questions": [*found["questions"], *others]}


def _show_facts(console: Console, facts: PlanFacts) -> None:
    for label, value in facts.lines():
        console.say(f"{label:{LABEL_COLUMNS}}{value}")
    if (facts.to_send or facts.in_doubt) and not facts.batch.rehearsal:
        console.say(CANNOT_BE_UNDONE)


def _asked(console: Console, question: Question) -> str:
    kind = question.kind
    for line in question.details if kind is not QuestionKind.SEND else ():
        console.say(line)
    choices = [(choice.value, choice.text) for choice in question.choices]
    if kind is QuestionKind.OVERLAP:  # duplicates are made by an option only
        choices = choices[:1]
    if kind not in LAST_ONES:
        console.warn(question.text)
    return console.ask(question.text if kind is QuestionKind.CORRECT else "", choices) or STOP


def rows_sent(result: RunResult) -> list[str]:
    """How many rows were sent, and why others were not."""
    return [summary(result.counts, result.already, result.seconds, str(result.results)), *result.reasons]


def show_result(
    console: Console, result: RunResult | VerifyResult | CorrectionOutcome, lines: Sequence[str]
) -> int:
    """How it ended, why, and what is next; the exit code."""
    console.result("\n".join(lines), result.as_json())
    if result.stopped:
        console.error(result.stopped)
    for step in result.next_steps:
        console.command(step.command, before=step.text)
    return result.exit_code


def counted(counts: Mapping[str, int], already: int) -> list[str]:
    """`39 created`, `1 failed`, …"""
    found = {str(status): counts[status] for status in Shown} | {"already there": already}
    return [f"{rows:,} {name}" for name, rows in found.items() if rows]


def summary(counts: Mapping[str, int], already: int, seconds: float, results: str) -> str:
    """`40 rows: 39 created, 1 failed in 8 seconds.`, and where the results file is."""
    took = f" in {duration(seconds)}" if seconds >= 1 else ""
    parts = ", ".join(counted(counts, already)) or "none"
    return f"{count(counts['rows'], 'row')}: {parts}{took}.\nResults: {results}"
