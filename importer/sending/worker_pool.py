"""The worker pool: claim → pace → mark → POST → record.

A worker sends one row at a time. Its turn in the pace comes first, then the durable mark, then the call; the
outcome is durable before anything else is said of it (`outcome_handling.py`). Rows in doubt go to the
reconciler and come back, if they do, verified.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from importer.activity import Activity, addressed
from importer.errors import StoreError
from importer.leadsquared.outcomes import Outcome, OutcomeKind
from importer.pacing.pacing import Slot
from importer.sending.other_batches import OtherBatches
from importer.sending.outcome_handling import ClaimedRow, EndedCall, OutcomeHandling
from importer.sending.reconcile.final_lookup import FinalLookup
from importer.sending.reconcile.reconciler import MARK_GOOD_FOR_S, Reconciler
from importer.sending.run_state import RunState, Stop
from importer.store.records import Fact, RowStatus, StoredRow

STOPPING_LONGEST_S: Final = 30.0
PROGRESS_EVERY_S: Final = 2.0
MARK_AHEAD_S: Final = 1.0
"""A row's turn in the pace is granted so long before its call may leave, and the mark made meanwhile: a slow
store does not shift the call (design.md 5.1, rule 2)."""
CONFLICT_PAUSE_S: Final = 2.0
_UNANSWERED: Final = frozenset({OutcomeKind.DOUBTFUL, OutcomeKind.NOT_SENT})
_NEVER_MADE: Final = Outcome(OutcomeKind.NOT_SENT, "not-sent", "", None)


def awake_clock() -> Callable[[], float]:
    """A clock in seconds that goes on while the process is stopped or the computer is asleep.

    Linux has one; elsewhere the larger of the monotonic and the wall clock's advance (macOS's monotonic clock
    stands still in sleep; the wall clock may be set back).
    """
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    if boot_time is not None:
        return lambda: time.clock_gettime(boot_time)
    monotonic, wall = time.monotonic(), time.time()
    return lambda: max(time.monotonic() - monotonic, time.time() - wall)


class WorkerPool:
    """Sends the rows of a batch until none is left that may be sent, or something stops it."""

    def __init__(
        self,
        run: RunState,
        reconciler: Reconciler,
        others: OtherBatches | None,
        columns: Mapping[str, str],
        *,
        awake: Callable[[], float] | None = None,
    ) -> None:
        self._run = run
        self._reconciler = reconciler
        self._others = others
        self._handling = OutcomeHandling(run, reconciler, columns)
        self._final_lookup = FinalLookup(run, reconciler)
        self._awake = awake or awake_clock()
        self._trial: ClaimedRow | None = None
        self._conflicted: set[int] = set()

    async def run(self) -> Stop | None:
        """Everything that can be done now. Returns why it stopped, None when it did all it could.

        Never raises for what the tenant or the store did; a fault of ours comes out after the calls under way
        have ended and are recorded.
        """
        progress = asyncio.create_task(self._keep_progress())
        try:
            await self._reconciler.open()
            await self._pool()
            while await self._final_lookup.again():
                await self._pool()
            self._name_waiting_rows()
        except StoreError as error:
            self._run.stop_for(error)
        finally:
            await self._reconciler.close()
            progress.cancel()
            await asyncio.gather(progress, return_exceptions=True)
        return self._run.stopped

    def _name_waiting_rows(self) -> None:
        """Rows that stay pending although nothing stopped the run: the next to resume should know why."""
        run = self._run
        if waiting := run.queue.waiting + len(run.ready):
            run.notices.append(
                f"{waiting:,} rows were not sent: they look the same as rows that are uncertain. Set"
                " import_status of the uncertain rows in the results file (see README), then resume."
            )

    # ---- the pool ---------------------------------------------------------------------------------

    async def _pool(self) -> None:
        run = self._run
        helpers = [asyncio.create_task(self._reconciler.work()) for _ in range(self._reconciler.parallel)]
        helpers.append(asyncio.create_task(self._probe()))
        workers = [asyncio.create_task(self._work()) for _ in range(run.options.workers)]
        stopper = asyncio.create_task(self._stop_workers(workers))
        try:
            await _until_done(workers, helpers, run)
            await run.in_flight.ended(longest_s=self._stopping_s)  # the row tried in an outage
        finally:
            for task in (*helpers, stopper, *workers):
                task.cancel()
            await asyncio.gather(*helpers, stopper, *workers, return_exceptions=True)

    @property
    def _stopping_s(self) -> float:
        """How long a stop waits for calls under way."""
        return min(self._run.options.timeout_s, STOPPING_LONGEST_S)

    async def _stop_workers(self, workers: list[asyncio.Task[None]]) -> None:
        """After a stop, calls under way get a while to end; then they are cancelled, and in doubt."""
        await self._run.stop_called()
        await asyncio.wait(workers, timeout=self._stopping_s)
        for worker in workers:
            worker.cancel()

    async def _work(self) -> None:
        while (claim := await self._next()) is not None:
            await self._send(claim)

    async def _next(self) -> ClaimedRow | None:
        """The next row to send, as soon as there is one; None at the end."""
        run = self._run
        while not run.stopping:
            if not run.breaker.is_open and not run.unanswered.too_many and (claim := self._take()):
                return claim
            if self._nothing_left():
                run.changed()
                return None
            await run.wait()
        return None

    def _take(self) -> ClaimedRow | None:
        run = self._run
        for doubt in [ready for ready in run.ready if not run.blocked(ready)]:
            run.ready.remove(doubt)
            if run.row_limit.grant(doubt.row.position):
                return ClaimedRow(doubt.row, doubt)
            run.queue.release(doubt.row.position)
        while run.may_send_fresh and (row := run.queue.take()) is not None:
            if not run.row_limit.grant(row.position):
                run.queue.release(row.position)
            elif not row.doubted:
                return ClaimedRow(row)
            else:
                self._reconciler.before_send(row)
        return None

    def _nothing_left(self) -> bool:
        run = self._run
        if len(run.in_flight) or len(run.doubts) or self._handling.later or self._trial:
            return False
        if run.may_send_again:
            return False
        return run.queue.empty or (run.row_limit.reached and not run.queue.returned)

    # ---- one call ---------------------------------------------------------------------------------

    async def _send(self, claim: ClaimedRow) -> None:
        """One call for a row, recorded; or none, and the row goes back."""
        run = self._run
        body = self._body(claim.row)
        run.last_account, _ = addressed(body)
        try:
            with run.in_flight.call(run.last_account.lower()):
                await self._take_turn(claim, body)
        except StoreError as error:
            run.stop_for(error)
        run.changed()

    async def _take_turn(self, claim: ClaimedRow, body: bytes) -> None:
        if claim.row.position in self._conflicted and self._waits_for_others(claim):
            return
        slot = await self._run.unless_stopped(self._run.pace.slot(ahead_s=MARK_AHEAD_S))
        if slot is None:
            return
        try:
            if not self._may_leave(claim):
                self._handling.put_back(claim)
                return
            call = await self._call(claim, body, slot)
        finally:
            slot.unused()  # says nothing once the call has left
        if call.outcome is not _NEVER_MADE:
            await self._handling.handle(call)
            return
        await self._handling.give_back(call)
        if not self._waits_for_others(claim):
            self._handling.put_back(claim)

    async def _call(self, claim: ClaimedRow, body: bytes, slot: Slot) -> EndedCall:
        """The durable mark, then the call; `_NEVER_MADE` when the mark is to be given back."""
        run = self._run
        difference = run.tenant.clock_difference_s
        number = run.unanswered.begin()
        answered = False
        try:
            marking = self._awake()
            kept = body if run.marker else None
            attempt, at = await run.writer.mark(claim.row.position, kept, difference)
            run.counts.moved(RowStatus.PENDING, RowStatus.SENDING)
            outcome, left_at = _NEVER_MADE, None
            if not self._conflict(claim.row):
                outcome, left_at = await self._when_due(claim, body, slot, marking)
            answered = outcome.kind not in _UNANSWERED
        finally:
            run.unanswered.end(number, answered=answered)
        return EndedCall(claim, body, attempt, at, difference, outcome, left_at)

    async def _when_due(
        self, claim: ClaimedRow, body: bytes, slot: Slot, marking: float
    ) -> tuple[Outcome, float | None]:
        """The call at its moment, and when it left. `_NEVER_MADE` after a stop, in an outage, or with a mark
        that is too old by then."""
        left_at: float | None = None
        withheld = False

        def may_leave() -> bool:
            nonlocal left_at, withheld
            withheld = self._awake() - marking > MARK_GOOD_FOR_S
            left_at = None if withheld else self._run.wall()
            self._run.counts.calls += not withheld
            return not withheld

        due = await self._run.unless_stopped(_due(slot))
        if not due or not self._may_still_leave(claim):
            return _NEVER_MADE, None
        outcome = await self._run.tenant.create(body, slot, may_leave)
        return _NEVER_MADE if withheld else outcome, left_at

    def _body(self, row: StoredRow) -> bytes:
        """What is sent for a row."""
        body, marker = row.activity or b"", self._run.marker
        return body if marker is None else marker.on(Activity.decoded(body), row.number).encoded()

    def _may_leave(self, claim: ClaimedRow) -> bool:
        """Whether the row may be marked."""
        return self._may_still_leave(claim) and (claim is self._trial or not self._run.unanswered.too_many)

    def _may_still_leave(self, claim: ClaimedRow) -> bool:
        """Whether the call of a marked row may be made."""
        run = self._run
        if run.stopping or (run.breaker.is_open and claim is not self._trial):
            return False
        return claim.doubt is None or not claim.doubt.too_old(run.clock())

    # ---- other batches of the tenant --------------------------------------------------------------

    def _conflict(self, row: StoredRow) -> bool:
        if self._others is None or self._run.pace.is_alone:
            return False
        return self._others.conflict(Activity.decoded(row.activity or b""), self._run.keys_of)

    def _waits_for_others(self, claim: ClaimedRow) -> bool:
        """Whether the row is set aside because a running batch has one in doubt that looks the same."""
        if not self._conflict(claim.row):
            self._conflicted.discard(claim.row.position)
            return False
        self._conflicted.add(claim.row.position)
        # Two that wait for each other must not try again at the same moments.
        self._handling.wait(claim, CONFLICT_PAUSE_S * random.uniform(0.5, 1.5))
        return True

    # ---- outage -----------------------------------------------------------------------------------

    async def _probe(self) -> None:
        """While the breaker is open: a read at growing intervals, and once it is answered, one row."""
        run = self._run
        while not run.stopping:
            if not run.breaker.is_open:
                await run.wait()
                continue
            await run.pause(run.breaker.next_probe_s())
            run.check_outage()
            if not await self._reconciler.tenant_reads() or not run.breaker.is_open:
                run.changed()
                continue
            self._trial = trial = self._take() or await self._reconciler.settle_one(self._take)
            try:
                if trial is not None:
                    await self._send(trial)
            finally:
                self._trial = None
            if self._nothing_left():
                run.breaker.answered()
            run.changed()

    async def _keep_progress(self) -> None:
        """What `status` shows of a run elsewhere; and `--max-outage` while no answer comes at all."""
        run = self._run
        while True:
            progress = {"at": run.wall(), "pace": run.pace.describe(), "throttled": run.pace.throttled,
                        "outage": run.breaker.is_open}  # fmt: skip
            try:
                await run.writer.write(Fact("going_on", progress))
            except StoreError as error:
                return run.stop_for(error)
            await asyncio.sleep(PROGRESS_EVERY_S)
            if run.breaker.is_open or run.breaker.refused_for_rate:
                run.check_outage()


async def _due(slot: Slot) -> bool:
    await slot.due()
    return True


async def _until_done(
    workers: list[asyncio.Task[None]], helpers: list[asyncio.Task[None]], run: RunState
) -> None:
    """Until every worker has ended. A fault of ours in any task stops the others in good order first."""
    waiting = {*workers, *helpers}
    while not waiting.isdisjoint(workers):
        ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, StoreError):
                run.stop_for(error)
            elif error is not None:
                run.met(error)
    if run.fault is not None:
        raise run.fault
