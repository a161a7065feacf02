"""A plan's questions, asked on the terminal; and what a person must see before they answer."""

from __future__ import annotations

from typing import Any, Final

from importer.app.plan import CANNOT_BE_UNDONE, Plan, answer
from importer.app.questions import STOP, Answers, Question, QuestionKind, QuestionOpenError
from importer.app.records import PlanFacts
from importer.cli import check_report
from importer.cli.console import Console

LABEL_COLUMNS: Final = 15


async def settled(console: Console, plan: Plan, *, shows_findings: bool = True) -> Plan:
    """The plan once every question is answered. Raises QuestionOpenError where nobody can be asked,
    DeclinedError for a "no"; the plan is closed then."""
    findings_shown = not shows_findings
    facts_shown = False
    while True:
        if not findings_shown and plan.counts:
            findings_shown = True
            _show_findings(console, plan)
        if plan.facts is not None and not facts_shown:
            facts_shown = True
            _show_facts(console, plan.facts)
        if not plan.questions:
            return plan
        if not console.has_terminal:
            console.result("", _open_as_json(plan))
            raise QuestionOpenError(plan.questions)
        answers = Answers()
        for question in plan.questions:
            value = _asked(console, question)
            answers = answers.having(question.key, value)
            if value == STOP:
                break
        plan = await answer(plan, answers)


def confirmed(console: Console, question: Question) -> bool:
    """One question by itself. Raises QuestionOpenError where nobody can be asked."""
    if not console.has_terminal:
        raise QuestionOpenError((question,))
    return _asked(console, question) != STOP


def _asked(console: Console, question: Question) -> str:
    for line in question.details if question.kind is not QuestionKind.SEND else ():
        console.say(line)
    choices = [(choice.value, choice.text) for choice in question.choices]
    if question.kind is QuestionKind.OVERLAP:  # duplicates are made by an option only
        choices = choices[:1]
    text = question.text
    if question.kind is QuestionKind.SEND:
        text = ""
    elif question.kind not in {QuestionKind.ERASE, QuestionKind.CORRECT}:
        console.warn(text)
        text = ""
    return console.ask(text, choices) or STOP


def _open_as_json(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """What was found in the sheet, and the questions that are not about that."""
    found = plan.findings.as_json()
    of_findings = {QuestionKind.ACCEPT, QuestionKind.HIDDEN, QuestionKind.INVALID}
    others = [one.as_json() for one in plan.questions if one.kind not in of_findings]
    return {**found, "questions": [*found["questions"], *others]}


def _show_findings(console: Console, plan: Plan) -> None:
    found = plan.findings
    lines = [
        *check_report.problems(found.problems),
        *check_report.questions(found.questions),
        *check_report.notices(found.notices),
    ]
    for line in lines:
        console.say(line)
    if lines:
        console.say("")


def _show_facts(console: Console, facts: PlanFacts) -> None:
    for label, value in facts.lines():
        console.say(f"{label:{LABEL_COLUMNS}}{value}")
    if facts.to_send and not facts.rehearsal:
        console.say(CANNOT_BE_UNDONE)
