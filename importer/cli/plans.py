"""`importer run`, `resume`, `correct`: a plan on the terminal, and how it ended; `verify`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from importer.app.correct_batch import prepare_correct
from importer.app.observer import Observer
from importer.app.plan import CANNOT_BE_UNDONE, Plan, answer, discard, send_question, start
from importer.app.questions import LAST_ONES, STOP, Answers, Question, QuestionKind, QuestionOpenError
from importer.app.records import CorrectionOutcome, PlanFacts, RunResult, VerifyResult
from importer.app.resume import prepare_resume
from importer.app.run import prepare_run
from importer.app.running import BrokenRunError
from importer.app.stores import open_store
from importer.app.verify_batch import verify as verify_batch
from importer.cli import options
from importer.cli.batches import summary
from importer.cli.check import findings_shown
from importer.cli.console import Console
from importer.cli.progress import ConsoleObserver, watched
from importer.errors import UserError
from importer.store.store import Store
from importer.text import count

LABEL_COLUMNS: Final = 15
ResultT = TypeVar("ResultT", RunResult, CorrectionOutcome)


def run(console: Console, *, asked: options.Run) -> int:
    """Check a sheet, ask, send every row, write the results file.

    Exit codes: 0 if every row was created, 1 if some failed or are uncertain, 2 if nothing was sent, 3 if
    rows are still pending (continue with importer resume), 130 after Ctrl-C.

    \b
    Examples:
      importer run visits.csv -m visits.yaml --sandbox
      importer run visits.csv -m visits.yaml --limit 3
      importer run visits.csv -m visits.yaml --yes --json
      importer run feed.csv -m feed.yaml --yes --only-new --resume
    """
    if asked.only_new and asked.again:
        raise UserError(
            "--only-new leaves out what was sent before, --again sends all of it again.",
            remedy="Use one of them.",
        )
    if not asked.yes and not asked.calls.sandbox and not console.has_terminal:
        raise QuestionOpenError((send_question(),))
    return _carried_out(console, partial(prepare_run, asked), _rows_sent)


def resume(console: Console, *, asked: options.Resume) -> int:
    """Continue a batch, with what you corrected in its results file.

    Sends pending rows, rows in doubt (looked up first), and rows that you corrected. Created rows are never
    sent again.

    In the results file you may change the cells of rows that are not created. In import_status you may
    write: skipped (never send it), pending (take that back; on an uncertain row: I looked, it is not there;
    on a created row: it was deleted in LeadSquared), or created on an uncertain row, with the Id pasted in.

    Exit codes as for run. A finished batch sends nothing and exits as it did.

    \b
    Examples:
      importer resume visits.results.csv
      importer resume visits.results.csv --retry-failed
      importer resume visits.results.csv -m corrected.yaml --remap
    """
    asked = replace(asked, unattended=not console.has_terminal)
    return _carried_out(console, partial(prepare_resume, asked), _rows_sent)


def correct(console: Console, *, asked: options.Correct) -> int:
    """Send changed cells of created rows as updates.

    Change cells of created rows in the results file, then run this. It shows each difference and asks. Before
    each update the activity is read: a field that somebody changed in LeadSquared is left alone. The account
    and the activity type cannot be corrected.

    Exit codes: 0 if all were corrected, 1 for conflicts or refusals, 3 if changes are left, 130 after Ctrl-C.

    \b
    Examples:
      importer correct visits.results.csv
      importer correct visits.results.csv --undo
      importer correct visits.results.csv -m corrected.yaml --remap
    """
    asked = replace(asked, unattended=not console.has_terminal)
    return _carried_out(console, partial(prepare_correct, asked), partial(_rows_corrected, undo=asked.undo))


def _rows_corrected(found: CorrectionOutcome, *, undo: bool) -> list[str]:
    if not found.changed and undo:
        return ["Nothing to undo: no correction of this batch is left to take back."]
    if not found.changed:
        return ["Nothing to correct: no cell of a created row was changed."]
    parts = {
        "corrected": found.corrected,
        "conflict" if found.conflicts == 1 else "conflicts": found.conflicts,
        "failed": found.failed,
        "not sent yet": found.left,
    }
    counts = ", ".join(f"{rows:,} {name}" for name, rows in parts.items() if rows)
    lines = [f"{count(found.changed, 'row')}: {counts}.", *found.reasons]
    if found.corrections is not None:
        lines.append(f"Every change: {found.corrections}")
    return lines


def verify(console: Console, *, asked: options.Verify) -> int:
    """Read created activities back and compare them with what was sent.

    Nothing is sent or changed in LeadSquared.

    Says for each field how it came back, and writes a .verified.csv beside the results file, with every
    difference (sent and stored). After Ctrl-C or an outage, the same command continues.

    Exit codes: 0 if all is equal, 1 if something differs, 3 if rows are still unread, 130 after Ctrl-C.

    \b
    Examples:
      importer verify visits.results.csv
      importer verify visits.csv --sandbox
      importer verify visits.results.csv --json
    """

    async def done() -> VerifyResult:
        with watched(console) as (observer, stop), open_store(notice=console.warn) as store:
            return await verify_batch(asked, store, observer, stop)

    found = asyncio.run(done())
    return _show_result(console, found, _comparison(found))


def _comparison(found: VerifyResult) -> list[str]:
    if found.verified is None:
        return []
    equal = f"{found.equal:,} equal to what was sent"
    return [
        f"{count(found.rows, 'created row')}: {equal}.",
        *found.differences,
        f"Every row and difference: {found.verified}",
    ]


def _carried_out(
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
            except BaseException:
                await discard(plan)
                raise
            return await start(plan, stop=stop)

    try:
        result = asyncio.run(done())
    except BrokenRunError as broken:  # a fault of ours is raised after what was done
        console.result("", broken.result.as_json())
        raise broken.__cause__ or broken from None
    return _show_result(console, result, lines(result))


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


def _rows_sent(result: RunResult) -> list[str]:
    """How many rows were sent, and why others were not."""
    return [summary(result.counts, result.already, result.seconds, str(result.results)), *result.reasons]


def _show_result(
    console: Console, result: RunResult | VerifyResult | CorrectionOutcome, lines: Sequence[str]
) -> int:
    """How it ended, why, and what is next; the exit code."""
    console.result("\n".join(lines), result.as_json())
    if result.stopped:
        console.error(result.stopped)
    for step in result.next_steps:
        console.command(step.command, before=step.text)
    return result.exit_code
