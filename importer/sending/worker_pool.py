"""The worker pool: claim → pace → mark → POST → record.

A worker sends one row at a time. Its turn in the pace comes first, then the durable mark, then the call; the
outcome is durable before anything else is said of it (`_handlers` has an entry for every kind of outcome).
Rows in doubt go to the reconciler and come back, if they do, verified.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from importer.activity import ACCOUNT, NOTE, Activity, addressed
from importer.errors import StoreError
from importer.leadsquared.outcomes import Outcome, OutcomeKind
from importer.pacing.pacing import Slot
from importer.remedies import remedy_for
from importer.sending.outage import Stop, StopReason
from importer.sending.reconcile.doubts import Doubt, backoff_s, sent_body
from importer.sending.reconcile.reconciler import MARK_GOOD_FOR_S, Reconciler
from importer.sending.run_state import RunState
from importer.store.records import AttemptResult, Fact, RowStatus, StoredRow
from importer.store.writer import IdTakenError
from importer.text import one_line

STOPPING_LONGEST_S: Final = 30.0
PROGRESS_EVERY_S: Final = 2.0
MARK_AHEAD_S: Final = 1.0
"""A row's turn in the pace is granted so long before its call may leave, and the mark made meanwhile: a slow
store does not shift the call (design.md 5.1, rule 2)."""
CONFLICT_PAUSE_S: Final = 2.0
FIELDS_NAMED_MAX: Final = 3
REFUSED_VALUE_LENGTH_MAX: Final = 80
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


@dataclass(slots=True)
class RowCall:
    """A row on its way: claimed, marked, sent, answered.

    doubt: the one that a lookup has just settled, if the row was ever in doubt. body: what is sent. attempt,
    at: of the mark, Unix seconds by our clock. difference: the tenant's clock minus ours. left_at: Unix
    seconds of the first byte; None if it never left. outcome: `_NEVER_MADE` until the call has ended.
    """

    row: StoredRow
    doubt: Doubt | None
    body: bytes
    attempt: int = 0
    at: float = 0.0
    difference: float = 0.0
    left_at: float | None = None
    outcome: Outcome = _NEVER_MADE


class WorkerPool:
    """Sends the rows of a batch until none is left that may be sent, or something stops it.

    columns: schema name → heading of the column that it comes from, for messages.
    """

    def __init__(
        self,
        run: RunState,
        reconciler: Reconciler,
        columns: Mapping[str, str],
    ) -> None:
        self._run = run
        self._reconciler = reconciler
        self._columns = columns
        self._awake = awake_clock()
        self._trial: RowCall | None = None
        self._later = 0
        """Rows that wait out a back-off before they may be claimed again."""
        self._not_sent_in_a_row = 0
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
            await self._reconciler.look_for_duplicates()
            if self._reconciler.look_up_uncertain():
                await self._pool()
                await self._reconciler.look_for_duplicates()
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
        lookups = [self._reconciler.work() for _ in range(self._reconciler.parallel)]
        helpers = [asyncio.create_task(run.in_good_order(work)) for work in (*lookups, self._probe())]
        workers = [asyncio.create_task(run.in_good_order(self._work())) for _ in range(run.options.workers)]
        stopper = asyncio.create_task(self._stop_workers(workers))
        try:
            await asyncio.wait(workers)
            await run.calls_ended(longest_s=self._stopping_s)  # the row tried in an outage
        finally:
            for task in (*helpers, stopper, *workers):
                task.cancel()
            await asyncio.gather(*helpers, stopper, *workers, return_exceptions=True)
        if run.fault is not None:
            raise run.fault

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
        while (call := await self._next()) is not None:
            await self._send(call)

    async def _next(self) -> RowCall | None:
        """The next row to send, as soon as there is one; None at the end."""
        run = self._run
        while not run.stopping:
            if not run.breaker.is_open and not run.unanswered.too_many and (call := self._take()):
                return call
            if self._nothing_left():
                run.changed()
                return None
            await run.wait()
        return None

    def _take(self) -> RowCall | None:
        run = self._run
        for doubt in [ready for ready in run.ready if not run.blocked(ready)]:
            run.ready.remove(doubt)
            if run.grant(doubt.row.position):
                return RowCall(doubt.row, doubt, sent_body(doubt.row, run.marker))
            run.queue.release(doubt.row.position)
        while run.may_send_fresh and (row := run.queue.take()) is not None:
            if not run.grant(row.position):
                run.queue.release(row.position)
            elif not row.doubted:
                return RowCall(row, None, sent_body(row, run.marker))
            else:
                self._reconciler.before_send(row)
        return None

    def _nothing_left(self) -> bool:
        run = self._run
        if run.in_flight or run.doubts or self._later or self._trial or run.may_send_again:
            return False
        return run.queue.empty or (run.limit_reached and not run.queue.returned)

    # ---- one call ---------------------------------------------------------------------------------

    async def _send(self, call: RowCall) -> None:
        """One call for a row, recorded; or none, and the row goes back."""
        run = self._run
        run.last_account, _ = addressed(call.body)
        try:
            with run.call_to(run.last_account.lower()):
                await self._take_turn(call)
        except StoreError as error:
            run.stop_for(error)
        run.changed()

    async def _take_turn(self, call: RowCall) -> None:
        if call.row.position in self._conflicted and self._waits_for_others(call):
            return
        slot = await self._run.unless_stopped(self._run.pace.slot(ahead_s=MARK_AHEAD_S))
        if slot is None:
            return
        try:
            if not self._may_leave(call) or (self._run.unanswered.too_many and call is not self._trial):
                self._put_back(call)
                return
            await self._mark_and_call(call, slot)
        finally:
            slot.unused()  # says nothing once the call has left
        if call.outcome is not _NEVER_MADE:
            await self._handlers[call.outcome.kind](self, call)
            return
        await self._record(call, RowStatus.PENDING, spent=False)
        if not self._waits_for_others(call):
            self._put_back(call)

    async def _mark_and_call(self, call: RowCall, slot: Slot) -> None:
        """The durable mark, then the call; none when the mark is to be given back."""
        run = self._run
        call.difference = run.tenant.clock_difference_s
        number = run.unanswered.begin()
        try:
            marking = self._awake()
            kept = call.body if run.marker else None
            call.attempt, call.at = await run.writer.mark(call.row.position, kept, call.difference)
            run.counts.moved(RowStatus.PENDING, RowStatus.SENDING)
            if not self._conflict(call.row):
                await self._call_when_due(call, slot, marking)
        finally:
            run.unanswered.end(number, answered=call.outcome.kind not in _UNANSWERED)

    async def _call_when_due(self, call: RowCall, slot: Slot, marking: float) -> None:
        """The call at its moment. None after a stop, in an outage, or with a mark that is too old by then."""
        run = self._run
        withheld = False

        def may_leave() -> bool:
            nonlocal withheld
            withheld = self._awake() - marking > MARK_GOOD_FOR_S
            call.left_at = None if withheld else run.wall()
            run.counts.calls += not withheld
            return not withheld

        due = await run.unless_stopped(_due(slot))
        if due and self._may_leave(call):
            outcome = await run.tenant.create(call.body, slot, may_leave)
            if not withheld:
                call.outcome = outcome

    def _may_leave(self, call: RowCall) -> bool:
        run = self._run
        if run.stopping or (run.breaker.is_open and call is not self._trial):
            return False
        return call.doubt is None or not call.doubt.too_old(run.clock())

    def _put_back(self, call: RowCall) -> None:
        """A claimed row that did not leave: it may be claimed again, looked up first if it was in doubt."""
        if call.doubt is None:
            self._run.queue.put_back(call.row)
        else:
            self._reconciler.before_send(call.row, call.doubt)

    def _wait(self, call: RowCall, seconds: float) -> None:
        """The row may be claimed again after so long."""
        self._later += 1
        asyncio.get_running_loop().call_later(seconds, self._come_back, call)

    def _come_back(self, call: RowCall) -> None:
        self._later -= 1
        self._put_back(call)
        self._run.changed()

    # ---- other batches of the tenant --------------------------------------------------------------

    def _conflict(self, row: StoredRow) -> bool:
        run = self._run
        if run.pace.is_alone:
            return False
        return run.others.conflict(Activity.decoded(row.activity or b""), run.keys_of)

    def _waits_for_others(self, call: RowCall) -> bool:
        """Whether the row is set aside because a running batch has one in doubt that looks the same."""
        if not self._conflict(call.row):
            self._conflicted.discard(call.row.position)
            return False
        self._conflicted.add(call.row.position)
        # Two that wait for each other must not try again at the same moments.
        self._wait(call, CONFLICT_PAUSE_S * random.uniform(0.5, 1.5))
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
            run.check_trouble()
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
                run.check_trouble()

    # ---- what the outcome of a call means for its row: recorded first, then acted on --------------

    async def _record(
        self, call: RowCall, status: RowStatus, *, spent: bool = True, doubted: bool = False
    ) -> None:
        outcome, shown = call.outcome, status not in {RowStatus.PENDING, RowStatus.CREATED}
        result = AttemptResult(
            attempt=call.attempt,
            position=call.row.position,
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

    async def _created(self, call: RowCall) -> None:
        run, activity_id = self._run, call.outcome.activity_id or ""
        # Before the store has its say: answers count in the order that they came.
        run.first_refusals = None
        run.breaker.answered()
        self._not_sent_in_a_row = 0
        try:
            await self._record(call, RowStatus.CREATED)
        except IdTakenError:
            await self._id_taken(call)
            return
        except StoreError:
            run.unrecorded.append((call.row.number, activity_id))
            raise
        since = call.at + call.difference
        self._reconciler.created(call.row, call.doubt, call.body, since, activity_id)

    async def _id_taken(self, call: RowCall) -> None:
        """LeadSquared says "created" with the Id that another row has: that says nothing of this row."""
        entry = remedy_for("id-taken")
        said = f"LeadSquared says: {call.outcome.activity_id}."
        message = f"{entry.meaning} {said} {entry.action}"
        call.outcome = call.outcome._replace(
            kind=OutcomeKind.DOUBTFUL, code=entry.code, activity_id=None, said=said, message=message
        )
        await self._doubt(call)

    async def _refused(self, call: RowCall) -> None:
        run = self._run
        run.breaker.answered()
        message = call.outcome.message
        self._add_columns(call)
        run.refused(call.outcome.code, message, call.outcome.message)
        if call.doubt is not None:
            await self._doubt(call, refused=True)
            return
        await self._record(call, RowStatus.FAILED)
        run.queue.release(call.row.position)

    async def _unknown_refusal(self, call: RowCall) -> None:
        """Doubtful once; the same exception twice for a row is its refusal, and then for the others too."""
        run, code = self._run, call.outcome.code
        run.breaker.answered()
        self._add_columns(call)
        seen = call.doubt.unknown_refusals if call.doubt else set()
        if code in seen:
            run.final_types.add(code)
        doubt = await self._doubt(call, refused=code in run.final_types)
        doubt.unknown_refusals = seen | {code}

    def _add_columns(self, call: RowCall) -> None:
        """The columns and values of the fields that LeadSquared's message names."""
        outcome = call.outcome
        message = with_columns(outcome.message, outcome.code, Activity.decoded(call.body), self._columns)
        call.outcome = outcome._replace(message=message)

    async def _doubtful(self, call: RowCall) -> None:
        self._run.breaker.failed(call.row.position)
        await self._doubt(call)
        self._run.check_trouble()

    async def _doubt(self, call: RowCall, *, refused: bool = False) -> Doubt:
        """The row is in doubt from here; lookups decide."""
        await self._record(call, RowStatus.DOUBTFUL, doubted=True)
        run, outcome, now = self._run, call.outcome, self._run.clock()
        doubt = call.doubt or Doubt(call.row, (), call.at + call.difference, now, complete=True, due=now)
        doubt.row = call.row._replace(released=False)
        doubt.sent = tuple(dict.fromkeys((*doubt.sent, Activity.decoded(call.body))))
        doubt.ended_at, doubt.due = now, now + run.options.settle_s
        doubt.complete = doubt.complete and outcome.complete
        doubt.lookups_wanted, doubt.lookups, doubt.unreadable = 2, 0, 0
        doubt.tried += 1
        doubt.calls += 1
        doubt.refused, doubt.code, doubt.reason = refused, outcome.code, outcome.message
        self._reconciler.add(doubt)
        return doubt

    async def _not_sent(self, call: RowCall) -> None:
        self._run.breaker.failed(call.row.position, costless=True)
        await self._record(call, RowStatus.PENDING, spent=False)
        self._run.check_trouble()
        self._not_sent_in_a_row = min(self._not_sent_in_a_row + 1, 6)
        self._wait(call, backoff_s(self._not_sent_in_a_row))

    async def _throttled(self, call: RowCall) -> None:
        run = self._run
        await self._record(call, RowStatus.PENDING, spent=False)
        run.breaker.throttled()
        self._put_back(call)
        run.check_trouble()

    async def _stopping(self, call: RowCall) -> None:
        """Keys revoked, or not LeadSquared's address any more: the row stays pending."""
        outcome = call.outcome
        self._run.stop(StopReason(outcome.kind.value), outcome.message)
        await self._record(call, RowStatus.PENDING)
        self._put_back(call)

    _handlers: ClassVar[dict[OutcomeKind, Callable[[WorkerPool, RowCall], Awaitable[None]]]] = {
        OutcomeKind.CREATED: _created,
        OutcomeKind.THROTTLED: _throttled,
        OutcomeKind.UNAUTHORISED: _stopping,
        OutcomeKind.REFUSED: _refused,
        OutcomeKind.UNKNOWN_REFUSAL: _unknown_refusal,
        OutcomeKind.WRONG_ADDRESS: _stopping,
        OutcomeKind.NOT_SENT: _not_sent,
        OutcomeKind.DOUBTFUL: _doubtful,
    }


async def _due(slot: Slot) -> bool:
    await slot.due()
    return True


# ---- whose value is refused -----------------------------------------------------------------------------

_ABOUT_THE_ACCOUNT: Final = "mxinvalidentityreference"
_NAME: Final = re.compile(r"[A-Za-z]\w{0,99}", re.ASCII)


def with_columns(message: str, code: str, sent: Activity, columns: Mapping[str, str]) -> str:
    """`message` and, for each field of the activity that it names, that field's column and value.

    columns: schema name → heading of the column that it comes from; a constant or a template has none.
    """
    values = {ACCOUNT: sent.company_id, NOTE: sent.note or "", **dict(sent.fields)}
    names = {name.casefold(): name for name in (*values, *columns)}
    found = [names[word] for word in map(str.casefold, _NAME.findall(message)) if word in names]
    if not found and code.casefold().startswith(_ABOUT_THE_ACCOUNT):
        found = [ACCOUNT]
    parts = [_described(name, columns.get(name, ""), values.get(name, "")) for name in dict.fromkeys(found)]
    return " ".join((message, *parts[:FIELDS_NAMED_MAX]))


def _described(name: str, column: str, value: str) -> str:
    source = f"{name} is column '{one_line(column, REFUSED_VALUE_LENGTH_MAX)}'" if column else name
    joint = ", value" if column else " has the value"
    shown = f"'{one_line(value, REFUSED_VALUE_LENGTH_MAX)}'" if value.strip() else "(empty)"
    return f"{source}{joint} {shown}."
