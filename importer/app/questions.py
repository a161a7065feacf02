"""What a person must decide, as data: questions, and the answers that flags, prompts and forms give to them.

A use case never asks. It gives `Question`s; its caller finds the answers in its own way (an option of
the command line, a prompt, a form, a script) and hands them back as `Answers`. The same answers give the same
result, from wherever they come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from importer.errors import UserError

STOP: Final = "stop"
"""The answer "no" to any question: nothing is sent."""


class QuestionKind(StrEnum):
    """What a question is about; its value is part of `--json`."""

    HIDDEN = "hidden"
    """Rows that a filter hides in Excel. Choices `include`, `skip`."""
    ACCEPT = "accept"
    """The sheet can be read in two ways; one question for each kind of finding. Choice `accept`."""
    INVALID = "invalid"
    """Some rows cannot be sent. Choice `skip`: send the others."""
    OVERLAP = "overlap"
    """Earlier batches created some of these rows. Choices `only-new`, `again`."""
    EQUAL_ACTIVITY = "equal-activity"
    """LeadSquared holds an activity equal to the first row that no batch here created. Choice `again`."""
    CONTINUED_ELSEWHERE = "continued-elsewhere"
    """The batch was continued on another computer. Choice `look-up`: each open row is looked up first."""
    DELETED = "deleted"
    """Created rows that were deleted in LeadSquared by hand are to be sent again. Choice `again`."""
    SEND = "send"
    """The last one: send now. Choice `send`."""
    CORRECT = "correct"
    """Send the shown differences as updates. Choice `correct`."""
    ERASE = "erase"
    """Remove a batch's customer data. Choice `erase`."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to answer. value: what goes into `Answers`. text: for a button or a prompt, an imperative.
    option: the command line's option that chooses it, "" if none does."""

    value: str
    text: str
    option: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that only a person can decide.

    text: what is the case and what is asked, full sentences of one line each (`details` carries the rest).
    choices: all but "no", which is `STOP` for every question. subject: the kind of finding, with ACCEPT.
    rows: how many rows it is about, 0 where that means nothing. batch: the earlier batch it is about.
    """

    kind: QuestionKind
    text: str
    choices: tuple[Choice, ...]
    subject: str = ""
    details: tuple[str, ...] = ()
    rows: int = 0
    batch: str = ""

    @property
    def key(self) -> str:
        """What its answer is kept under: `send`, `accept:ambiguous-date`."""
        return f"{self.kind}:{self.subject}" if self.subject else str(self.kind)

    @property
    def unattended(self) -> str:
        """Which options answer it where nobody can be asked: `--hidden include (send hidden rows too)`."""
        return " or ".join(f"{one.option} ({one.text[:1].lower()}{one.text[1:]})" for one in self.choices)

    def as_json(self) -> dict[str, Any]:
        """One entry of `questions` in `--json`, for a question that is not about what was found in the
        sheet."""
        return {
            "kind": str(self.kind),
            "text": self.text,
            "message": self.text,
            "remedy": f"Use {self.unattended}.",
            "batch": self.batch or None,
        }


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers by `Question.key`; immutable, so that what was shown is what is done."""

    given: Mapping[str, str] = field(default_factory=dict)

    def to(self, question: Question) -> str | None:
        """The value that was chosen, None while the question is open. Raises ValueError for a value that is
        none of its choices."""
        value = self.given.get(question.key)
        if value is not None and value != STOP and value not in {choice.value for choice in question.choices}:
            raise ValueError(f"{value!r} does not answer {question.key!r}")
        return value


NO_ANSWERS: Final = Answers()
LAST_ONES: Final = frozenset({QuestionKind.SEND, QuestionKind.CORRECT, QuestionKind.ERASE})
"""Shall it be done now? Asked when nothing else is open; their values are what is done."""


class DeclinedError(UserError):
    """A person answered "no". Nothing was sent; no error to be shown as one."""

    error_code = "declined"


class QuestionOpenError(UserError):
    """A question was not answered, and nobody could be asked. questions: those that are open."""

    error_code = "question-open"

    def __init__(self, questions: Iterable[Question]) -> None:
        self.questions = tuple(questions)
        asked = [one for one in self.questions if one.kind is not QuestionKind.SEND]
        what = " ".join(" ".join((one.text, *one.details)) for one in asked)
        ways = [one.unattended for one in asked if one.kind not in LAST_ONES]
        last = next((one.kind for one in self.questions if one.kind in LAST_ONES), None)
        if last is not None:
            what = f"{what} There is no terminal to ask at.".lstrip()
            ways.append(f"--yes to {last} without being asked")
        done = "removed" if last is QuestionKind.ERASE else "sent"
        super().__init__(f"{what} Nothing was {done}.", remedy=f"Use {'; and '.join(ways)}.")
