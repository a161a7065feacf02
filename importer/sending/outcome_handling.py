"""What the outcome of a call means for its row: recorded durably first, then acted on.

One table (`_FOLLOWS`) has an entry for every kind of outcome but the one that all hope for, which does not
keep its worker waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from importer.activity import Activity
from importer.errors import JournalError
from importer.journal.entries import Ending
from importer.journal.journal import JournalRow, RowStatus
from importer.journal.writer import IdTakenError
from importer.leadsquared.outcomes import Kind, Outcome
from importer.remedies import remedy_for
from importer.sending.reconcile.doubts import Doubt, Refusal, again, backoff_s
from importer.sending.reconcile.lookups import Looks
from importer.sending.run_state import Posting


class Job(NamedTuple):
    """A row that is to be sent, and, if it was ever in doubt, the doubt that a look has just settled."""

    row: JournalRow
    doubt: Doubt | None = None


class Sent(NamedTuple):
    """A call that has ended.

    body: what it sent. at: Unix seconds of the mark by our clock; difference: of the tenant's clock.
    """

    job: Job
    body: bytes
    attempt: int
    at: float
    difference: float
    outcome: Outcome


class Aftermath:
    """For one posting. later: rows that wait out a back-off before they may be claimed again."""

    def __init__(self, posting: Posting, looks: Looks) -> None:
        self._posting = posting
        self._looks = looks
        self._not_sent_in_a_row = 0
        self._mistaken: set[asyncio.Task[None]] = set()
        self.later = 0

    async def follow(self, sent: Sent, landed: Callable[[], None]) -> None:
        """Records the outcome, durably, does what it asks for, and calls `landed`.

        A created row's record may still be on its way to the disk on return: its worker's next row can be
        marked in the same breath.
        """
        if sent.outcome.kind is Kind.CREATED:
            self._created(sent, landed)
            return
        try:
            await _FOLLOWS[sent.outcome.kind](self, sent)
        finally:
            landed()

    async def _record(
        self, sent: Sent, status: RowStatus, *, spent: bool = True, doubted: bool = False
    ) -> None:
        told = status is not RowStatus.PENDING
        ending = self._ending(sent, status)._replace(
            error_code=sent.outcome.code if told else "",
            error=sent.outcome.message if told else "",
            spent=spent,
            doubted=doubted,
        )
        await self._posting.writer.write(ending)
        self._posting.tally.moved(RowStatus.SENDING, status)

    def _ending(self, sent: Sent, status: RowStatus) -> Ending:
        """How the call ended, with nothing to tell a person."""
        outcome = sent.outcome
        return Ending(
            attempt=sent.attempt,
            position=sent.job.row.position,
            at=self._posting.writer.wall(),
            http_status=outcome.http_status,
            outcome=outcome.kind,
            code=outcome.code,
            detail=outcome.said,
            status=status,
            activity_id=outcome.activity_id,
        )

    def _created(self, sent: Sent, landed: Callable[[], None]) -> None:
        posting = self._posting
        # Before the disk has its say: answers count in the order that they came.
        posting.alike.created()
        posting.breaker.answered()
        self._not_sent_in_a_row = 0
        try:
            posting.writer.hand_in(
                self._ending(sent, RowStatus.CREATED),
                lambda error: self._created_recorded(sent, landed, error),
            )
        except JournalError:
            self._unrecorded(sent)
            landed()
            raise

    def _created_recorded(self, sent: Sent, landed: Callable[[], None], error: JournalError | None) -> None:
        posting = self._posting
        if isinstance(error, IdTakenError):
            task = asyncio.create_task(self._id_taken(sent, landed))
            self._mistaken.add(task)
            task.add_done_callback(self._mistaken.discard)
            return
        try:
            if isinstance(error, JournalError):
                self._unrecorded(sent)
                posting.stop_for(error)
                return
            posting.tally.moved(RowStatus.SENDING, RowStatus.CREATED)
            self._looks.created(sent.job.row, sent.job.doubt, sent.body, sent.at + sent.difference,
                                sent.outcome.activity_id or "")  # fmt: skip
        except Exception as fault:  # noqa: BLE001 - a callback's would go unseen
            posting.met(fault)
        finally:
            landed()

    async def _id_taken(self, sent: Sent, landed: Callable[[], None]) -> None:
        """The tenant says "created" and gives the Id that another row of the batch has: that says nothing of
        this row."""
        entry = remedy_for("id-taken")
        said = f"LeadSquared says: {sent.outcome.activity_id}."
        outcome = sent.outcome._replace(
            kind=Kind.DOUBTFUL, code=entry.code, activity_id=None, said=said,
            message=f"{entry.meaning} {said} {entry.action}",
        )  # fmt: skip
        try:
            await self._doubt(sent._replace(outcome=outcome), None)
        except JournalError as error:
            self._posting.stop_for(error)
        except Exception as fault:  # noqa: BLE001 - nobody waits for this task
            self._posting.met(fault)
        finally:
            landed()

    def _unrecorded(self, sent: Sent) -> None:
        self._posting.unrecorded.append((sent.job.row.number, sent.outcome.activity_id or ""))

    async def refused(self, sent: Sent) -> None:
        posting = self._posting
        posting.breaker.answered()
        posting.refused(sent.outcome.code, sent.outcome.message)
        if sent.job.doubt is not None:
            refusal = Refusal(sent.outcome.code, sent.outcome.message)
            await self._doubt(sent, refusal)
            return
        await self._record(sent, RowStatus.FAILED)
        posting.claims.free(sent.job.row.position)

    async def unknown_refusal(self, sent: Sent) -> None:
        """Doubtful once; the same exception twice for a row is its refusal, and then for the others too."""
        posting, code = self._posting, sent.outcome.code
        posting.breaker.answered()
        seen = sent.job.doubt.unknown_refusals if sent.job.doubt else set()
        if code in seen:
            posting.final_types.add(code)
        final = code in posting.final_types
        refusal = Refusal(code, sent.outcome.message) if final else None
        doubt = await self._doubt(sent, refusal)
        doubt.unknown_refusals = seen | {code}

    async def doubtful(self, sent: Sent) -> None:
        self._posting.breaker.failed(sent.job.row.position)
        await self._doubt(sent, None)
        self._posting.trouble()

    async def _doubt(self, sent: Sent, refusal: Refusal | None) -> Doubt:
        """The row is in doubt from here; looks decide."""
        await self._record(sent, RowStatus.DOUBTFUL, doubted=True)
        row, earlier = sent.job.row._replace(released=False), sent.job.doubt
        activity = Activity.decoded(sent.body)
        now = self._posting.clock()
        due = self._posting.patience.first_look(now)
        if earlier is None:
            doubt = Doubt(
                row=row, sent=(activity,), since=sent.at + sent.difference, ended_at=now,
                complete=sent.outcome.complete, due=due,
            )  # fmt: skip
        else:
            contents = tuple(dict.fromkeys((*earlier.sent, activity)))
            doubt = again(earlier, now, due, answer_complete=sent.outcome.complete)
            doubt.sent, doubt.row = contents, row
            doubt.tried += 1
        doubt.calls += 1
        doubt.refusal, doubt.code, doubt.reason = refusal, sent.outcome.code, sent.outcome.message
        self._looks.add(doubt)
        return doubt

    async def not_sent(self, sent: Sent) -> None:
        self._posting.breaker.failed(sent.job.row.position, costless=True)
        await self._record(sent, RowStatus.PENDING, spent=False)
        self._posting.trouble()
        self.later += 1
        self._not_sent_in_a_row = min(self._not_sent_in_a_row + 1, 6)
        asyncio.get_running_loop().call_later(backoff_s(self._not_sent_in_a_row), self._come_back, sent.job)

    def _come_back(self, job: Job) -> None:
        self.later -= 1
        self.put_back(job)
        self._posting.changed()

    async def throttled(self, sent: Sent) -> None:
        posting = self._posting
        await self._record(sent, RowStatus.PENDING, spent=False)
        posting.breaker.throttled()
        self.put_back(sent.job)
        posting.trouble()
        posting.quota()

    async def stopping(self, sent: Sent) -> None:
        """Keys revoked, or not LeadSquared's address any more: the row stays pending."""
        posting = self._posting
        posting.stop(sent.outcome.kind.value, f"{sent.outcome.message}")
        await self._record(sent, RowStatus.PENDING)
        self.put_back(sent.job)

    def put_back(self, job: Job) -> None:
        """A claimed row that did not leave: it may be claimed again, verified first if it was in doubt."""
        if job.doubt is None:
            self._posting.claims.give_back(job.row)
        else:
            self._looks.before_send(job.row, job.doubt)


_FOLLOWS: Final[dict[Kind, Callable[[Aftermath, Sent], Awaitable[None]]]] = {
    Kind.THROTTLED: Aftermath.throttled,
    Kind.UNAUTHORISED: Aftermath.stopping,
    Kind.REFUSED: Aftermath.refused,
    Kind.UNKNOWN_REFUSAL: Aftermath.unknown_refusal,
    Kind.WRONG_ADDRESS: Aftermath.stopping,
    Kind.NOT_SENT: Aftermath.not_sent,
    Kind.DOUBTFUL: Aftermath.doubtful,
}
