"""What the preparations of `run` and `resume` share: steps that stop at open questions, and what closes
them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from typing import Final

from importer.app.questions import (
    STOP,
    Answers,
    Choice,
    DeclinedError,
    Question,
    QuestionKind,
    QuestionOpenError,
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
