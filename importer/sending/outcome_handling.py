"""What the outcome of a call means for its row: recorded durably first, then acted on.

One table (`_HANDLERS`) has an entry for every kind of outcome.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from importer.activity import Activity
from importer.errors import StoreError
from importer.leadsquared.outcomes import Outcome, OutcomeKind
from importer.remedies import remedy_for
from importer.sending.reconcile.doubts import Doubt, FinalRefusal, again, backoff_s
from importer.sending.reconcile.reconciler import Reconciler
from importer.sending.refused_values import with_columns
from importer.sending.run_state import RunState, StopReason
from importer.store.records import AttemptResult, RowStatus, StoredRow
from importer.store.writer import IdTakenError


@dataclass(frozen=True, slots=True)
class ClaimedRow:
    """A row that is to be sent, and, if it was ever in doubt, the doubt that a lookup has just settled."""

    row: StoredRow
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class EndedCall:
    """A call that has ended.

    body: what it sent. at: Unix seconds of the mark by our clock; difference: the tenant's clock minus ours.
    left_at: Unix seconds of its first byte; None if it never left.
    """

    claim: ClaimedRow
    body: bytes
    attempt: int
    at: float
    difference: float
    outcome: Outcome
    left_at: float | None

    @property
    def position(self) -> int:
        return self.claim.row.position


class OutcomeHandling:
    """For one run. columns: schema name → heading of its column, for messages.

    later: how many rows wait out a back-off before they may be claimed again.
    """

    def __init__(self, run: RunState, reconciler: Reconciler, columns: Mapping[str, str]) -> None:
        self._run = run
        self._reconciler = reconciler
        self._columns = columns
        self._not_sent_in_a_row = 0
        self.later = 0

    async def handle(self, call: EndedCall) -> None:
        """Records the outcome, durably, and does what it asks for. Raises StoreError."""
        await _HANDLERS[call.outcome.kind](self, call)

    async def _record(
        self, call: EndedCall, status: RowStatus, *, spent: bool = True, doubted: bool = False
    ) -> None:
        outcome, shown = call.outcome, status not in {RowStatus.PENDING, RowStatus.CREATED}
        result = AttemptResult(
            attempt=call.attempt,
            position=call.position,
            at=self._run.wall(),
            http_status=outcome.http_status,
            outcome=outcome.kind,
            code=outcome.code,
            detail=outcome.said,
            status=status,
            activity_id=outcome.activity_id if status is RowStatus.CREATED else None,
            error_code=outcome.code if shown else "",
            error=outcome.message if shown else "",
            spent=spent,
            doubted=doubted,
            left_at=call.left_at,
        )
        await self._run.writer.write(result)
        self._run.counts.moved(RowStatus.SENDING, status)

    async def created(self, call: EndedCall) -> None:
        run, activity_id = self._run, call.outcome.activity_id or ""
        # Before the store has its say: answers count in the order that they came.
        run.identical_refusals.created()
        run.breaker.answered()
        self._not_sent_in_a_row = 0
        try:
            await self._record(call, RowStatus.CREATED)
        except IdTakenError:
            await self._id_taken(call)
            return
        except StoreError:
            run.unrecorded.append((call.claim.row.number, activity_id))
            raise
        since = call.at + call.difference
        self._reconciler.created(call.claim.row, call.claim.doubt, call.body, since, activity_id)

    async def _id_taken(self, call: EndedCall) -> None:
        """LeadSquared says "created" with the Id that another row has: that says nothing of this row."""
        entry = remedy_for("id-taken")
        said = f"LeadSquared says: {call.outcome.activity_id}."
        message = f"{entry.meaning} {said} {entry.action}"
        outcome = call.outcome._replace(
            kind=OutcomeKind.DOUBTFUL, code=entry.code, activity_id=None, said=said, message=message
        )
        await self._doubt(replace(call, outcome=outcome), None)

    async def refused(self, call: EndedCall) -> None:
        run = self._run
        run.breaker.answered()
        message = call.outcome.message
        call = self._with_columns(call)
        run.refused(call.outcome.code, message, call.outcome.message)
        if call.claim.doubt is not None:
            await self._doubt(call, FinalRefusal(call.outcome.code, call.outcome.message))
            return
        await self._record(call, RowStatus.FAILED)
        run.queue.release(call.position)

    async def unknown_refusal(self, call: EndedCall) -> None:
        """Doubtful once; the same exception twice for a row is its refusal, and then for the others too."""
        run, code = self._run, call.outcome.code
        run.breaker.answered()
        call = self._with_columns(call)
        seen = call.claim.doubt.unknown_refusals if call.claim.doubt else set()
        if code in seen:
            run.final_types.add(code)
        refusal = FinalRefusal(code, call.outcome.message) if code in run.final_types else None
        doubt = await self._doubt(call, refusal)
        doubt.unknown_refusals = seen | {code}

    def _with_columns(self, call: EndedCall) -> EndedCall:
        """With the columns and values of the fields that LeadSquared's message names."""
        outcome = call.outcome
        message = with_columns(outcome.message, outcome.code, Activity.decoded(call.body), self._columns)
        return replace(call, outcome=outcome._replace(message=message))

    async def doubtful(self, call: EndedCall) -> None:
        self._run.breaker.failed(call.position)
        await self._doubt(call, None)
        self._run.check_outage()

    async def _doubt(self, call: EndedCall, refusal: FinalRefusal | None) -> Doubt:
        """The row is in doubt from here; lookups decide."""
        await self._record(call, RowStatus.DOUBTFUL, doubted=True)
        row, earlier = call.claim.row._replace(released=False), call.claim.doubt
        activity = Activity.decoded(call.body)
        now = self._run.clock()
        due = self._run.schedule.first_lookup(now)
        if earlier is None:
            doubt = Doubt(
                row=row, sent=(activity,), since=call.at + call.difference, ended_at=now,
                complete=call.outcome.complete, due=due,
            )  # fmt: skip
        else:
            contents = tuple(dict.fromkeys((*earlier.sent, activity)))
            doubt = again(earlier, now, due, answer_complete=call.outcome.complete)
            doubt.sent, doubt.row = contents, row
            doubt.tried += 1
        doubt.calls += 1
        doubt.refusal, doubt.code, doubt.reason = refusal, call.outcome.code, call.outcome.message
        self._reconciler.add(doubt)
        return doubt

    async def not_sent(self, call: EndedCall) -> None:
        self._run.breaker.failed(call.position, costless=True)
        await self._record(call, RowStatus.PENDING, spent=False)
        self._run.check_outage()
        self._not_sent_in_a_row = min(self._not_sent_in_a_row + 1, 6)
        self.wait(call.claim, backoff_s(self._not_sent_in_a_row))

    async def give_back(self, call: EndedCall) -> None:
        """The mark of a call that was never made, for a reason that is not the row's."""
        await self._record(call, RowStatus.PENDING, spent=False)

    def wait(self, claim: ClaimedRow, seconds: float) -> None:
        """The row may be claimed again after so long."""
        self.later += 1
        asyncio.get_running_loop().call_later(seconds, self._come_back, claim)

    def _come_back(self, claim: ClaimedRow) -> None:
        self.later -= 1
        self.put_back(claim)
        self._run.changed()

    async def throttled(self, call: EndedCall) -> None:
        run = self._run
        await self._record(call, RowStatus.PENDING, spent=False)
        run.breaker.throttled()
        self.put_back(call.claim)
        run.check_outage()
        run.check_quota()

    async def stopping(self, call: EndedCall) -> None:
        """Keys revoked, or not LeadSquared's address any more: the row stays pending."""
        outcome = call.outcome
        self._run.stop(StopReason(outcome.kind.value), outcome.message)
        await self._record(call, RowStatus.PENDING)
        self.put_back(call.claim)

    def put_back(self, claim: ClaimedRow) -> None:
        """A claimed row that did not leave: it may be claimed again, looked up first if it was in doubt."""
        if claim.doubt is None:
            self._run.queue.put_back(claim.row)
        else:
            self._reconciler.before_send(claim.row, claim.doubt)


_HANDLERS: Final[dict[OutcomeKind, Callable[[OutcomeHandling, EndedCall], Awaitable[None]]]] = {
    OutcomeKind.CREATED: OutcomeHandling.created,
    OutcomeKind.THROTTLED: OutcomeHandling.throttled,
    OutcomeKind.UNAUTHORISED: OutcomeHandling.stopping,
    OutcomeKind.REFUSED: OutcomeHandling.refused,
    OutcomeKind.UNKNOWN_REFUSAL: OutcomeHandling.unknown_refusal,
    OutcomeKind.WRONG_ADDRESS: OutcomeHandling.stopping,
    OutcomeKind.NOT_SENT: OutcomeHandling.not_sent,
    OutcomeKind.DOUBTFUL: OutcomeHandling.doubtful,
}
