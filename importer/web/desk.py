"""A plan at a person's disposal: prepared, asked about, started or given up, all in its own thread.

A plan belongs to the event loop in which it was prepared, so the same job prepares it, waits for the person,
and sends.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

from importer.app.plan import Plan, answer, discard, start
from importer.app.questions import Answers, Question, QuestionKind
from importer.app.records import RunResult
from importer.web.jobs import Job

KEPT_S: Final = 900.0
"""A plan that nobody asks for is given up after that: it may own a batch that somebody else wants."""

SENDING: Final = (QuestionKind.SEND, QuestionKind.CORRECT)


class DeskState(Enum):
    """What a desk is doing."""

    PREPARING = auto()
    WAITING = auto()
    SENDING = auto()
    CLOSED = auto()


@dataclass(frozen=True)
class Order:
    """What the person wants next. answers: to the plan's questions; None gives the plan up. send: go ahead
    once nothing else is open. looks: the plan must look like this then; "" where it was not looked at."""

    answers: Mapping[str, str] | None
    send: bool = False
    looks: str = ""


class Desk:
    """One plan, from its preparation to its end. The pages read `plan` and `state`, and give orders.

    signature: what the plan was prepared from; a page that shows something else makes a new desk. then:
    what is done after sending, in the same job.
    """

    def __init__(
        self,
        signature: str,
        prepare: Callable[[Job[RunResult | None]], Coroutine[Any, Any, Plan]],
        *,
        first: Order,
        starting: Callable[[Plan], None],
        then: Callable[[Job[RunResult | None], RunResult], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        self.signature = signature
        self.state = DeskState.PREPARING
        self.plan: Plan | None = None
        self.job: Job[RunResult | None] | None = None
        self._prepare, self._first, self._starting, self._then = prepare, first, starting, then
        self._loop: asyncio.AbstractEventLoop | None = None
        self._orders: asyncio.Queue[Order] = asyncio.Queue()

    def __repr__(self) -> str:
        return f"<Desk {self.state.name} {self.plan!r}>"

    @property
    def open_questions(self) -> tuple[Question, ...]:
        """What has to be answered before the last question."""
        return (
            ()
            if self.plan is None
            else tuple(each for each in self.plan.questions if each.kind not in SENDING)
        )

    def order(self, order: Order) -> None:
        """From any thread. A desk that is closed takes no orders."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._orders.put_nowait, order)

    async def work(self, job: Job[RunResult | None]) -> RunResult | None:
        """The job's work: its end is the plan's end."""
        self._loop, self.job = asyncio.get_running_loop(), job
        job.stop.when_requested(lambda: self.order(Order(None)))
        try:
            self.plan = await self._prepare(job)
            order: Order | None = self._first
            while order is not None and order.answers is not None and not job.stop.requested:
                await self._answered(order.answers)
                if order.send and not self.open_questions and order.looks in {"", looks(self.plan)}:
                    return await self._sent(job)
                self.state = DeskState.WAITING
                order = await self._next()
                self.state = DeskState.PREPARING
            return None
        finally:
            plan, self.plan, self.state = self.plan, None, DeskState.CLOSED
            if plan is not None:
                await discard(plan)

    async def _answered(self, given: Mapping[str, str]) -> None:
        """Answers may bring new questions, which may have been answered before as well."""
        while self.plan is not None:
            known = {each.key: given[each.key] for each in self.open_questions if each.key in given}
            if not known:
                return
            self.plan = await answer(self.plan, Answers(known))

    async def _sent(self, job: Job[RunResult | None]) -> RunResult:
        assert self.plan is not None, "there is a plan to start"
        self.state = DeskState.SENDING
        self._starting(self.plan)
        yes = {each.key: each.choices[0].value for each in self.plan.questions}
        result = await start(self.plan, Answers(yes), stop=job.stop)
        if self._then is not None and not job.stop.requested:
            await self._then(job, result)
        return result

    async def _next(self) -> Order | None:
        try:
            return await asyncio.wait_for(self._orders.get(), KEPT_S)
        except TimeoutError:
            return None


def looks(plan: Plan | None) -> str:
    """A digest of what the page says of a plan, so that nothing else is sent than what was shown."""
    facts = plan.facts.lines() if plan is not None and plan.facts is not None else ()
    lines = [line for line in facts if line[0] != "Batch"]
    return hashlib.sha256(repr(lines).encode()).hexdigest()[:16]
