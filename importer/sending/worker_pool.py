"""The worker pool: claim → pace → mark → POST → record.

A worker sends one row at a time. Its slot in the pace comes first, then the durable mark, then the call;
the outcome is on the disk before anything else is said of it (`aftermath.py`). Rows in doubt go to
`looks.py` and come back, if they do, verified.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from importer.activity import Activity, addressed
from importer.errors import JournalError
from importer.journal.entries import Note
from importer.journal.journal import JournalRow, RowStatus
from importer.leadsquared.outcomes import Kind
from importer.pacing.pacing import Slot
from importer.sending.outcome_handling import Aftermath, Job, Sent
from importer.sending.reconcile.final_lookup import Sweep
from importer.sending.reconcile.lookups import Looks
from importer.sending.run_state import Posting, Stop

STOPPING_LONGEST_S: Final = 30.0
NOTE_EVERY_S: Final = 2.0
_UNANSWERED: Final = frozenset({Kind.DOUBTFUL, Kind.NOT_SENT})


class Poster:
    """Sends the rows of a batch until none is left that may be sent, or something stops it."""

    def __init__(self, posting: Posting, looks: Looks) -> None:
        self._posting = posting
        self._looks = looks
        self._aftermath = Aftermath(posting, looks)
        self._sweep = Sweep(posting, looks)
        self._trial: Job | None = None
        self._waiting_for_slot: set[asyncio.Task[None]] = set()

    async def run(self) -> Stop | None:
        """Everything that can be done now. Returns why it stopped, None when it did all it could.

        Never raises for what the tenant or the disk did; a fault of ours comes out after the calls under
        way have ended and are recorded.
        """
        notes = asyncio.create_task(self._keep_notes())
        try:
            await self._looks.open()
            await self._pool()
            while await self._sweep.again():
                await self._pool()
            self._tell_who_waits()
        except JournalError as error:
            self._posting.stop_for(error)
        finally:
            await self._looks.close()
            notes.cancel()
            await asyncio.gather(notes, return_exceptions=True)
        return self._posting.stopped

    def _tell_who_waits(self) -> None:
        """Rows that stay pending although nothing stopped the run: whoever resumes should know why."""
        posting = self._posting
        if waiting := posting.claims.waiting + len(posting.ready):
            posting.notices.append(
                f"{waiting:,} rows were not sent: they equal rows that are uncertain, and could be taken for"
                " them. Say of the uncertain ones whether they are there (see README), then resume."
            )

    # ---- the pool ---------------------------------------------------------------------------------

    async def _pool(self) -> None:
        helpers = [asyncio.create_task(self._looks.work()) for _ in range(self._looks.parallel)]
        helpers.append(asyncio.create_task(self._probe()))
        workers = [asyncio.create_task(self._work()) for _ in range(self._posting.orders.workers)]
        stopper = asyncio.create_task(self._stop_workers(workers))
        try:
            await _until_done(workers, helpers, self._posting)
            await self._posting.flights.landed(longest_s=self._longest_s)  # the row tried in an outage
        finally:
            for task in (*helpers, stopper, *workers):
                task.cancel()
            await asyncio.gather(*helpers, stopper, *workers, return_exceptions=True)

    @property
    def _longest_s(self) -> float:
        """How long a stop waits for calls under way."""
        return min(self._posting.orders.timeout_s, STOPPING_LONGEST_S)

    async def _stop_workers(self, workers: list[asyncio.Task[None]]) -> None:
        """After a stop, calls under way get a while to end; then they are cut off, and in doubt."""
        await self._posting.stop_called()
        for waiter in self._waiting_for_slot:
            waiter.cancel()
        await asyncio.wait(workers, timeout=self._longest_s)
        for worker in workers:
            worker.cancel()

    async def _work(self) -> None:
        while (job := await self._next()) is not None:
            await self._send(job)

    async def _next(self) -> Job | None:
        """The next row to send, as soon as there is one; None at the end."""
        posting = self._posting
        while not posting.stopping:
            if not posting.breaker.is_open and not posting.silence.too_long and (job := self._take()):
                return job
            if self._nothing_left():
                posting.changed()
                return None
            await posting.idle()
        return None

    def _take(self) -> Job | None:
        posting = self._posting
        for doubt in [ready for ready in posting.ready if not posting.blocked(ready)]:
            posting.ready.remove(doubt)
            if posting.allowance.grant(doubt.row.position):
                return Job(doubt.row, doubt)
            posting.claims.free(doubt.row.position)
        while posting.may_send_fresh and (row := posting.claims.take()) is not None:
            if not posting.allowance.grant(row.position):
                posting.claims.free(row.position)
            elif not row.doubted:
                return Job(row)
            else:
                self._looks.before_send(row)
        return None

    def _nothing_left(self) -> bool:
        posting = self._posting
        if posting.flights or len(posting.doubts) or self._aftermath.later or self._trial:
            return False
        if posting.may_send_again:
            return False
        return posting.claims.empty or (posting.allowance.spent and not posting.claims.returned)

    # ---- one call ---------------------------------------------------------------------------------

    async def _send(self, job: Job) -> None:
        """One call for a row, recorded; or none, and the row goes back."""
        posting = self._posting
        body = self._body(job.row)
        posting.last_account, _ = addressed(body)
        flight = posting.flights.take_off(posting.last_account.lower())

        def landed() -> None:
            posting.landed(flight)

        sent: Sent | None = None
        try:
            slot = await self._slot()
            if not self._may_leave(job):
                slot.unused()
                self._aftermath.put_back(job)
                return
            sent = await self._call(job, body, slot)
            await self._aftermath.follow(sent, landed)
        except JournalError as error:
            posting.stop_for(error)
        finally:
            if sent is None:
                landed()

    async def _call(self, job: Job, body: bytes, slot: Slot) -> Sent:
        """The durable mark, then the call."""
        posting = self._posting
        difference = posting.tenant.clock_difference_s
        number = posting.silence.left()
        if not posting.silence.too_long:
            posting.next_worker()  # who finds another row wakes the next one in turn
        answered = False
        try:
            kept = body if posting.marker else None
            attempt, at = await posting.writer.mark(job.row.position, kept, difference)
            posting.tally.moved(RowStatus.PENDING, RowStatus.SENDING)
            posting.tally.calls += 1
            outcome = await posting.tenant.create(body, slot)
            answered = outcome.kind not in _UNANSWERED
        finally:
            slot.unused()  # says nothing once the call has left
            posting.silence.ended(number, answered=answered)
        return Sent(job, body, attempt, at, difference, outcome)

    async def _slot(self) -> Slot:
        """A slot in the pace; a stop need not wait for those who wait here."""
        waiter = asyncio.current_task()
        if waiter is None:
            raise RuntimeError("a slot is waited for in a task")
        self._waiting_for_slot.add(waiter)
        if self._posting.stopping:
            waiter.cancel()
        try:
            return await self._posting.pace.slot()
        finally:
            self._waiting_for_slot.discard(waiter)

    def _body(self, row: JournalRow) -> bytes:
        """What is sent for a row."""
        body, marker = row.activity or b"", self._posting.marker
        return body if marker is None else marker.on(Activity.decoded(body), row.number).encoded()

    def _may_leave(self, job: Job) -> bool:
        posting = self._posting
        if posting.stopping or (posting.breaker.is_open and job is not self._trial):
            return False
        if job.doubt is not None and job.doubt.too_old(posting.clock()):
            return False
        return job is self._trial or not posting.silence.too_long

    # ---- outage -----------------------------------------------------------------------------------

    async def _probe(self) -> None:
        """While the breaker is open: a read at growing intervals, and once it is answered, one row."""
        posting = self._posting
        while not posting.stopping:
            if not posting.breaker.is_open:
                await posting.wait()
                continue
            await posting.pause(posting.breaker.next_probe_s())
            posting.trouble()
            if not await self._looks.tenant_reads() or not posting.breaker.is_open:
                posting.changed()
                continue
            self._trial = trial = self._take() or await self._looks.settle_one(self._take)
            try:
                if trial is not None:
                    await self._send(trial)
            finally:
                self._trial = None
            if self._nothing_left():
                posting.breaker.answered()
            posting.changed()

    async def _keep_notes(self) -> None:
        """What `status` tells of a run elsewhere, and the end of patience while nobody is being answered."""
        posting = self._posting
        while True:
            note = {"at": posting.writer.wall(), "pace": posting.pace.describe(),
                    "throttled": posting.pace.throttled, "outage": posting.breaker.is_open}  # fmt: skip
            try:
                await posting.writer.write(Note("going_on", json.dumps(note)))
            except JournalError as error:
                return posting.stop_for(error)
            await asyncio.sleep(NOTE_EVERY_S)
            if posting.breaker.is_open or posting.breaker.refused_for_rate:
                posting.trouble()


async def _until_done(
    workers: list[asyncio.Task[None]], helpers: list[asyncio.Task[None]], posting: Posting
) -> None:
    """Until every worker has ended. A fault of ours in any task stops the others in good order first."""
    waiting = {*workers, *helpers}
    while not waiting.isdisjoint(workers):
        ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, JournalError):
                posting.stop_for(error)
            elif error is not None:
                posting.met(error)
    if posting.fault is not None:
        raise posting.fault
