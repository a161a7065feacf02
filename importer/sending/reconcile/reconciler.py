"""Rows in doubt on their way to an answer: when they are looked up, and what a lookup makes of them.

A row comes here when a call ended without an answer about it, when a batch is opened with it in doubt, and
before every later send. It leaves as created, failed, uncertain, or verified as not created and ready to be
sent.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from importer.activity import Activity, StoredActivity, addressed
from importer.errors import StoreError
from importer.leadsquared.outcomes import REFUSALS, OutcomeKind
from importer.remedies import remedy_for
from importer.sending.outage import StopReason
from importer.sending.reconcile.account_lookup import Finding, NotYet, Unread
from importer.sending.reconcile.doubts import (
    UNREADABLE_LOOKUPS_MAX,
    Doubt,
    backoff_s,
    complete,
    contents,
    in_doubt,
    take_due,
    waiting,
)
from importer.sending.reconcile.matching import (
    Created,
    NotCreated,
    Uncertain,
    UncertainReason,
)
from importer.sending.run_state import RunState
from importer.store.records import IN_DOUBT, Resolution, RowStatus, StoredAttempt, StoredRow

READ_BACK_TRIES: Final = 4
FINAL_TRIES_MAX: Final = 3
SETTLED_PER_PROBE_MAX: Final = 5
LOOKUPS_TO_SETTLE_MAX: Final = 8
READING_BACK_S: Final = 1.0
MARK_GOOD_FOR_S: Final = 10.0
"""A call leaves at most so long after its row was marked (design.md 5.1, rule 3)."""

_T = TypeVar("_T")


class Reconciler:
    """Works on the doubts of one run, beside the worker pool.

    owner_may_live: the process that marked rows may still be running, though it lost the batch.
    """

    parallel: Final = 4

    def __init__(self, run: RunState, *, owner_may_live: bool = False) -> None:
        self._run = run
        self._owner_may_live = owner_may_live
        self._read_backs: dict[int, asyncio.Task[None]] = {}
        self._uncertain: dict[int, Doubt] = {}
        """Rows, by position, that are to be looked up once more at the end of the run."""
        self._resent: dict[int, Doubt] = {}

    # ---- how a row comes here ---------------------------------------------------------------------

    async def open(self) -> None:
        """Whatever the store holds in doubt is looked up before anything else of it is sent."""
        for status in IN_DOUBT:
            for row in self._run.rows.rows(status):
                self._run.queue.elsewhere.add(row.position)
                self.add(self._from_store(row))
        await asyncio.sleep(0)

    def _from_store(self, row: StoredRow) -> Doubt:
        run = self._run
        attempts = run.rows.attempts(row.position)
        doubtful = in_doubt(attempts)
        if not doubtful:
            raise StoreError(f"Row {row.number} is in doubt, but no call of it is on record.")
        first, last = doubtful[0], attempts[-1]
        now = run.clock()
        refused_last = row.status is RowStatus.DOUBTFUL and last.outcome == OutcomeKind.REFUSED
        return Doubt(
            row=row,
            sent=contents(doubtful),
            since=first.marked_at + first.clock_difference,
            ended_at=now + self._still_to_leave_s(last),
            complete=complete(doubtful),
            due=now + run.options.settle_s,
            unknown_refusals={
                one.code or "" for one in doubtful if one.outcome == OutcomeKind.UNKNOWN_REFUSAL
            },
            code=row.error_code,
            reason=row.error,
            refused=refused_last and last.body == row.activity and not row.released,
            tried=len(doubtful),
        )

    def _still_to_leave_s(self, last: StoredAttempt) -> float:
        """How long a call may still leave that another process marked and did not end."""
        if last.outcome is not None or last.assumed or not self._owner_may_live:
            return 0.0
        return max(0.0, MARK_GOOD_FOR_S - last.marked_ago_s)

    def add(self, doubt: Doubt) -> None:
        """A row whose last call left it open. Nothing that could be taken for it is sent meanwhile."""
        self._hold(doubt)
        self._run.doubts[doubt.row.position] = doubt
        self._run.changed()

    def _hold(self, doubt: Doubt) -> None:
        """Of what was sent, and of what would be sent: that may be something else by now."""
        run = self._run
        keys = set(run.conflict_keys(doubt.row)).union(*map(run.keys_of, doubt.sent))
        run.queue.hold(doubt.row.position, keys)

    def before_send(self, row: StoredRow, doubt: Doubt | None = None) -> None:
        """A row that was in doubt once, and is to be sent: one more lookup first."""
        again = self._from_store(row) if doubt is None else doubt
        again.lookups_wanted, again.lookups, again.unreadable = 1, 0, 0
        again.complete = again.complete or doubt is None
        again.due = self._run.clock()
        self.add(again)

    def created(
        self, row: StoredRow, doubt: Doubt | None, body: bytes, since: float, activity_id: str
    ) -> None:
        """A row was created by a call that said so. body: what that sent."""
        run = self._run
        run.queue.release(row.position)
        made = row._replace(activity_id=activity_id, status=RowStatus.CREATED)
        if doubt is not None:
            doubt.row, doubt.ended_at = made, run.clock()
            self._resent[row.position] = doubt
        _, event = addressed(body)
        if event not in run.lookup.learned and event not in self._read_backs:
            sent = Activity.decoded(body)
            self._read_backs[event] = asyncio.create_task(self._read_back(made, sent, since))

    # ---- looking up --------------------------------------------------------------------------------

    async def work(self) -> None:
        """Looks up one account after the other as they fall due; runs until it is cancelled."""
        run = self._run
        while not run.stopping:
            found = waiting(run.doubts.values())
            if run.breaker.is_open or run.unanswered.too_many or not found:
                await run.wait()
            elif group := take_due(found, run.clock()):
                await self._look_up(group)
            else:
                await run.wait(found[0].due - run.clock())

    async def _look_up(self, group: Sequence[Doubt]) -> None:
        run = self._run
        started = run.clock()
        try:
            found = await self._read(group, started)
            if found is None:
                return
            for doubt in group:
                finding = found[doubt.row.position] if isinstance(found, dict) else found
                try:
                    await self._judge(doubt, finding, started)
                except StoreError as error:  # each of them reports what it found and could not write
                    run.stop_for(error)
        finally:
            for doubt in group:
                doubt.being_looked_up = False
            run.changed()

    async def _read(self, group: Sequence[Doubt], started: float) -> dict[int, Finding] | Unread | None:
        """What a lookup says, by position; None when the run is stopped meanwhile."""
        run = self._run
        known = len(run.lookup.learned)
        number = run.unanswered.begin()
        answered = False
        try:
            found = await run.unless_stopped(
                run.lookup.look_up(group, run.calls_ended, partial(self._claimable_from, started), started)
            )
            answered = found is not None and self._heed(group, found)
        except StoreError as error:
            run.stop_for(error)
            return None
        finally:
            run.unanswered.end(number, answered=answered)
        if len(run.lookup.learned) > known:
            self._relearned()
        return None if isinstance(found, Unread) and found.kind is OutcomeKind.UNAUTHORISED else found

    def _heed(self, group: Sequence[Doubt], found: dict[int, Finding] | Unread) -> bool:
        """Whether the tenant answers. A count that does not add up is no outage; refused keys end the run."""
        run = self._run
        run.check_trouble()
        match found:
            case Unread(kind=OutcomeKind.REFUSED):
                return True
            case Unread(kind=OutcomeKind() as kind, message=message):
                run.breaker.read_failed(group[0].row.position)
                if kind is OutcomeKind.UNAUTHORISED:
                    run.stop(StopReason.UNAUTHORISED, message)
                return False
        run.breaker.read_answered()
        return True

    def _relearned(self) -> None:
        """Fields that do not come back tell no rows apart: more rows may look the same than was known."""
        run = self._run
        run.queue.refresh_keys()
        for doubt in run.doubts.values():
            self._hold(doubt)

    async def _judge(self, doubt: Doubt, finding: Finding | Unread, looked_up_at: float) -> None:
        """looked_up_at: when the lookup began; what it did not find may have come since."""
        run = self._run
        doubt.looked_up_at = looked_up_at
        if doubt.row.released and isinstance(finding, Uncertain | Unread):
            finding = NotCreated()
        if looked_up_at < doubt.due and not isinstance(finding, Created):
            return  # it shared another row's lookup; its own is still to come
        match finding:
            case NotYet(until=until):
                doubt.due = max(doubt.due, until)
            case Created(id=activity_id):
                await self._found(doubt, activity_id)
            case NotCreated():
                await self._not_found(doubt, looked_up_at)
            case Uncertain(reason=UncertainReason.UNPROVEN) if run.lookup.proves and self._may_learn(doubt):
                doubt.due = run.clock() + max(READING_BACK_S, run.options.settle_s)
            case Uncertain(detail=detail):
                await self._give_up(doubt, detail)
            case Unread(message=message, kind=OutcomeKind.REFUSED):
                await self._give_up(doubt, message)
            case Unread(message=message):
                await self._unread(doubt, message)

    async def _found(self, doubt: Doubt, activity_id: str) -> None:
        run = self._run
        await self._resolve(doubt, RowStatus.CREATED, activity_id=activity_id)
        run.queue.release(doubt.row.position)
        if doubt.tried > 1:
            doubt.row = doubt.row._replace(activity_id=activity_id, status=RowStatus.CREATED)
            doubt.ended_at = run.clock()
            self._resent[doubt.row.position] = doubt
        run.first_refusals = None

    async def _not_found(self, doubt: Doubt, looked_up_at: float) -> None:
        run = self._run
        settle_s = run.options.settle_s
        arrived_by = -math.inf if doubt.complete else doubt.ended_at + max(settle_s, run.options.timeout_s)
        if doubt.lookups + 1 < doubt.lookups_wanted or looked_up_at < arrived_by:
            doubt.lookups += 1
            apart_s = max(backoff_s(doubt.calls), min(1.0, settle_s))
            doubt.due = max(run.clock() + apart_s, arrived_by)
            return
        if doubt.refused or doubt.unknown_refusals & run.final_types:
            code, message = doubt.code, doubt.reason
        elif doubt.calls >= run.options.max_attempts:
            code = "gave-up"
            message = f"{remedy_for(code).meaning} {doubt.reason}"
        else:
            await self._resolve(doubt, RowStatus.PENDING)
            run.ready.append(doubt)
            return
        await self._resolve(doubt, RowStatus.FAILED, code=code, message=message)
        if code in run.final_types:
            run.refused(code, message, message)
        run.queue.release(doubt.row.position)
        doubt.row = doubt.row._replace(status=RowStatus.FAILED)
        self._resent[doubt.row.position] = doubt

    async def _unread(self, doubt: Doubt, message: str) -> None:
        run = self._run
        doubt.unreadable += 1
        if doubt.unreadable >= UNREADABLE_LOOKUPS_MAX:
            await self._give_up(doubt, message)
        else:
            doubt.due = run.clock() + max(1.0, backoff_s(doubt.unreadable))
        run.check_trouble()

    async def _give_up(self, doubt: Doubt, why: str) -> None:
        """Lookups cannot decide: a person can. Its conflict keys stay held."""
        uncertain = remedy_for("uncertain")
        message = f"{why} {uncertain.action}"
        await self._resolve(doubt, RowStatus.UNCERTAIN, code=doubt.code or "uncertain", message=message)
        self._uncertain[doubt.row.position] = doubt

    async def _resolve(
        self,
        doubt: Doubt,
        status: RowStatus,
        *,
        activity_id: str | None = None,
        code: str = "",
        message: str = "",
    ) -> None:
        """Ends a doubt, durably."""
        run = self._run
        before = run.rows.row(doubt.row.position).status
        resolution = Resolution(doubt.row.position, run.wall(), status, activity_id, code, message)
        try:
            await run.writer.write(resolution)
        except StoreError:
            if activity_id is not None:
                run.unrecorded.append((doubt.row.number, activity_id))
            raise
        run.counts.moved(before, status)
        run.doubts.pop(doubt.row.position, None)
        doubt.being_looked_up = False

    def _reading_back(self, doubt: Doubt) -> bool:
        """A created row of this event is being read back: then it is known which user creates ours."""
        task = self._read_backs.get(doubt.sent[0].event)
        known = doubt.sent[0].event in self._run.lookup.learned
        return not known and task is not None and not task.done()

    def _claimable_from(self, now: float, doubt: Doubt, activity: StoredActivity) -> float:
        """A row that matches exactly may still be given what another row in doubt created: a tenant may have
        dropped, cut or filled the very value in which they differ. No harm, as long as both are not made once
        more: so not before whatever this row's own calls created can be seen."""
        run = self._run
        if self._reading_back(doubt):
            return run.clock() + READING_BACK_S
        arrived_by = doubt.arrived_by(run.options.settle_s, run.options.timeout_s)
        if now >= arrived_by:
            return now
        near = (
            other
            for other in (*run.doubts.values(), *self._uncertain.values())
            if other is not doubt and other.accounts & doubt.accounts
        )
        return arrived_by if any(run.lookup.may_be(other, activity) for other in near) else now

    def _may_learn(self, doubt: Doubt) -> bool:
        """Whether a row of this event may yet be created and read back, to give differences a meaning."""
        run = self._run
        fresh = run.may_send_fresh and not run.queue.empty
        return self._reading_back(doubt) or fresh or bool(run.in_flight) or run.may_send_again

    # ---- reading back -----------------------------------------------------------------------------

    async def _read_back(self, row: StoredRow, sent: Activity, since: float) -> None:
        """The first created row of an event, read once it can be seen: which fields come back as sent."""
        run = self._run
        for attempt in range(1, READ_BACK_TRIES + 1):
            await run.pause(run.options.settle_s * attempt)
            while run.breaker.is_open and not run.stopping:
                await run.wait()
            if run.stopping:
                return
            learned = await run.lookup.learn(row, sent, since)
            if learned is not None:
                self._relearned()
                if learned.altered:
                    run.notices.append(_altered(row, sorted(learned.altered)))
                run.changed()
                return
        run.changed()

    async def close(self) -> None:
        """Ends what still waits to read back."""
        for task in self._read_backs.values():
            task.cancel()
        await asyncio.gather(*self._read_backs.values(), return_exceptions=True)

    # ---- outage -----------------------------------------------------------------------------------

    async def tenant_reads(self) -> bool:
        """Whether a read is answered. Stops the run when the keys are refused."""
        run = self._run
        reading = None if run.stopping else await run.unless_stopped(run.lookup.probe(run.last_account))
        if reading is None:
            return False
        if reading.outcome is None or reading.outcome.kind in REFUSALS:
            run.breaker.read_answered()
            return True
        if reading.outcome.kind is OutcomeKind.UNAUTHORISED:
            run.stop(StopReason.UNAUTHORISED, reading.outcome.message)
        return False

    async def settle_one(self, take: Callable[[], _T | None]) -> _T | None:
        """When only rows in doubt are left: looks one up until it is settled, and gives it to be tried.

        One that turns out to be created is an answer too, a late one: then another one is looked up.
        """
        run = self._run
        for _ in range(SETTLED_PER_PROBE_MAX):
            doubt = min(run.doubts.values(), key=lambda one: (one.calls, one.due), default=None)
            if doubt is None or not await self._settled(doubt) or run.stopping:
                return None
            if (job := take()) is not None:
                return job
        return None

    async def _settled(self, doubt: Doubt) -> bool:
        """Looks up until the row is in doubt no more; False when that is not possible now."""
        run = self._run
        for _ in range(LOOKUPS_TO_SETTLE_MAX):
            await run.pause(max(0.0, doubt.due - run.clock()))
            group = [] if run.stopping else take_due(waiting(run.doubts.values()), run.clock())
            unread = doubt.unreadable
            if group:
                await self._look_up(group)
            if doubt.row.position not in run.doubts:
                return True
            if doubt.unreadable > unread or not group:
                return False
        return False

    # ---- at the end of a run ------------------------------------------------------------------------

    def look_up_uncertain(self) -> bool:
        """Rows that ended uncertain are looked up once more. Whether there are any."""
        if self._run.stopping:
            return False
        uncertain, self._uncertain = self._uncertain, {}
        for doubt in uncertain.values():
            doubt.lookups, doubt.unreadable, doubt.due = 0, 0, self._run.clock()
            self.add(doubt)
        return bool(uncertain)

    async def look_for_duplicates(self) -> None:
        """Rows that were sent again are looked up for a duplicate, rows that failed after a doubt for having
        been created after all; several rows of one account share one lookup."""
        resent, self._resent = self._resent, {}
        accounts: dict[frozenset[str], list[Doubt]] = {}
        for doubt in resent.values():
            accounts.setdefault(frozenset(doubt.accounts), []).append(doubt)
        unread = 0
        for group in accounts.values():
            if self._run.stopping:
                return
            if not await self._duplicates_reported(group):
                unread += len(group)
        if unread:
            self._run.notices.append(_not_looked_up(unread))

    async def _duplicates_reported(self, group: Sequence[Doubt]) -> bool:
        """Whether their account could be read."""
        run = self._run
        latest = max(doubt.ended_at for doubt in group) + run.options.settle_s
        for attempt in range(FINAL_TRIES_MAX):
            await run.pause(max(0.0, latest - run.clock()) if attempt == 0 else backoff_s(attempt))
            if run.stopping:
                return False
            found = await run.unless_stopped(run.lookup.duplicates(group))
            if found is not None:
                taken: set[str] = set()
                for doubt in group:
                    ids = [one for one in found[doubt.row.position] if one not in taken]
                    await self._report_duplicate(doubt, ids)
                    taken.update(ids)
                return True
        return False

    async def _report_duplicate(self, doubt: Doubt, found: Sequence[str]) -> None:
        """found: Ids of activities that are this row's, besides the one it has."""
        if not found:
            return
        row = doubt.row
        if row.status is RowStatus.FAILED and len(found) == 1:
            await self._resolve(doubt, RowStatus.CREATED, activity_id=found[0])
            return
        ids = ", ".join(([row.activity_id] if row.activity_id else []) + list(found))
        duplicate = remedy_for("duplicate")
        message = f"{duplicate.meaning} Ids: {ids}. {duplicate.action}"
        self._run.notices.append(f"Row {row.number}: {message}")
        status = RowStatus.CREATED if row.status is RowStatus.CREATED else RowStatus.UNCERTAIN
        await self._resolve(doubt, status, activity_id=row.activity_id, code="duplicate", message=message)


def _altered(row: StoredRow, names: Sequence[str]) -> str:
    return (
        f"Row {row.number} was created, but these fields were returned with a different value:"
        f" {', '.join(names)}."
        " Check their schema names and types in LeadSquared; doubtful rows are matched without them."
    )


def _not_looked_up(rows: int) -> str:
    return (
        f"{rows:,} rows that were sent after a doubt could not be looked up once more, because LeadSquared"
        " did not return their accounts' activities. `importer verify RESULTS` reads them back."
    )
