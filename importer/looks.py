"""Rows in doubt on their way to an answer: when they are looked at, and what a look makes of them.

A row comes here when a call ended without telling, when a batch is opened with it in doubt, and before
every later send. It leaves as created, failed, uncertain, or verified as not created and ready to be sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from importer.activity import Activity
from importer.doubts import UNREADABLE_LOOKS_MAX, Doubt, Refusal, backoff_s, complete, contents, in_doubt
from importer.errors import JournalError
from importer.journal import IN_DOUBT, JournalRow, RowStatus
from importer.journal_writer import Ruling
from importer.matching import Created, NotCreated, Uncertain, match_key
from importer.matching import Doubt as Why
from importer.outcomes import Kind
from importer.posting import Posting
from importer.remedies import remedy_for
from importer.verify import Finding, Unread

READ_BACK_TRIES: Final = 4
SWEEPS_MAX: Final = 2

T = TypeVar("T")


class Looks:
    """Works on the doubts of one posting, beside the pool."""

    parallel: Final = 4

    def __init__(self, posting: Posting) -> None:
        self._posting = posting
        self._read_backs: dict[int, asyncio.Task[None]] = {}
        self._uncertain: dict[int, Doubt] = {}
        self._resent: dict[int, Doubt] = {}
        self._sweeps = 0

    # ---- how a row comes here ---------------------------------------------------------------------

    async def open(self) -> None:
        """Whatever the journal holds in doubt is looked at before anything else of it."""
        for status in IN_DOUBT:
            for row in self._posting.journal.rows(status):
                doubt = self._from_journal(row)
                self._posting.claims.elsewhere.add(row.position)
                self.add(doubt)
        await asyncio.sleep(0)

    def _from_journal(self, row: JournalRow) -> Doubt:
        posting = self._posting
        doubtful = in_doubt(posting.journal.attempts(row.position))
        if not doubtful:
            raise JournalError(f"Row {row.number} is in doubt, but no call of it is on record.")
        first = doubtful[0]
        now = posting.clock()
        return Doubt(
            row=row,
            sent=contents(doubtful, row.number, posting.marker),
            since=first.marked_at + first.clock_difference,
            ended_at=now,
            complete=complete(doubtful),
            due=posting.patience.first_look(now),
            unknown_refusals={one.code or "" for one in doubtful if one.outcome == Kind.UNKNOWN_REFUSAL},
            code=row.error_code,
            reason=row.error,
        )

    def add(self, doubt: Doubt) -> None:
        """A row whose last call did not tell. Nothing that could be taken for it is sent meanwhile."""
        posting = self._posting
        left_out = posting.verifier.left_out(doubt.sent[0].event)
        if posting.twins_of(doubt.row):
            posting.claims.hold(doubt.row.position, {match_key(sent, left_out) for sent in doubt.sent})
        posting.doubts.add(doubt)
        posting.changed()

    def before_send(self, row: JournalRow, doubt: Doubt | None = None) -> None:
        """A row that was in doubt once, and is to be sent: one more look first."""
        again = self._from_journal(row) if doubt is None else doubt
        again.looks_wanted, again.looks, again.unreadable = 1, 0, 0
        again.complete = again.complete or doubt is None
        again.due = self._posting.clock()
        self.add(again)

    def created(self, row: JournalRow, doubt: Doubt | None, sent: Activity, since: float, made: str) -> None:
        """A row was created by a call that said so."""
        posting = self._posting
        posting.claims.free(row.position)
        if doubt is not None:
            doubt.row = row._replace(activity_id=made, status=RowStatus.CREATED)
            doubt.ended_at = posting.clock()
            self._resent[row.position] = doubt
        if sent.event not in posting.verifier.learned and sent.event not in self._read_backs:
            made_row = row._replace(activity_id=made)
            self._read_backs[sent.event] = asyncio.create_task(self._read_back(made_row, sent, since))

    # ---- looking ----------------------------------------------------------------------------------

    async def work(self) -> None:
        """Looks at one account after the other as they fall due; runs until it is cancelled."""
        posting = self._posting
        while not posting.stopping:
            due = posting.doubts.next_due()
            if posting.breaker.is_open or due is None:
                await posting.wait()
            elif due > posting.clock():
                await posting.wait(due - posting.clock())
            else:
                await self._look(posting.doubts.take_due(posting.clock()))

    async def _look(self, group: Sequence[Doubt]) -> None:
        posting = self._posting
        token = posting.silence.left()
        try:
            started = posting.clock()
            findings = await posting.verifier.look(group, posting.quiet)
            self._heed(group, findings, token)
            for doubt in group:
                await self._judge(doubt, findings[doubt.row.position], started)
        except JournalError as error:
            posting.stop_for(error)
        finally:
            posting.doubts.looked(group)
            posting.changed()

    def _heed(self, group: Sequence[Doubt], findings: dict[int, Finding], token: int) -> None:
        """What the look says of the tenant. A count that does not add up is no outage."""
        posting = self._posting
        failed = next((one for one in findings.values() if isinstance(one, Unread) and one.kind), None)
        if failed is None:
            posting.breaker.read_answered()
        elif failed.kind is not Kind.REFUSED:
            posting.breaker.read_failed(group[0].row.position)
        posting.silence.ended(token, answered=failed is None)

    async def _judge(self, doubt: Doubt, finding: Finding, looked_at: float) -> None:
        """looked_at: when the look began; what it did not find may have come since."""
        posting = self._posting
        doubt.looked_at = looked_at
        if doubt.row.released and isinstance(finding, Uncertain | Unread):
            finding = NotCreated()
        match finding:
            case Created(id=made):
                await self._found(doubt, made)
            case NotCreated():
                await self._not_found(doubt, looked_at)
            case Uncertain(reason=Why.UNPROVEN) if posting.verifier.proves and self._may_learn(doubt):
                doubt.due = posting.clock() + max(1.0, posting.orders.settle_s)
            case Uncertain(detail=detail):
                await self._give_up(doubt, detail)
            case Unread(message=message, kind=Kind.UNAUTHORISED):
                posting.stop(Kind.UNAUTHORISED.value, message)
            case Unread(message=message, kind=Kind.REFUSED):
                await self._give_up(doubt, message)
            case Unread(message=message):
                await self._unread(doubt, message)

    async def _found(self, doubt: Doubt, made: str) -> None:
        posting = self._posting
        await self._rule(doubt, RowStatus.CREATED, made=made)
        posting.claims.free(doubt.row.position)
        if doubt.calls > 1 or len(doubt.sent) > 1:
            doubt.row = doubt.row._replace(activity_id=made, status=RowStatus.CREATED)
            doubt.ended_at = posting.clock()
            self._resent[doubt.row.position] = doubt
        posting.alike.created()

    async def _not_found(self, doubt: Doubt, looked_at: float) -> None:
        posting = self._posting
        if looked_at < doubt.due:
            return  # it shared another row's look; its own is still to come
        if not posting.patience.settled(doubt, looked_at):
            doubt.looks += 1
            doubt.due = posting.patience.last_look(doubt, posting.clock())
            return
        if doubt.refusal is None and doubt.unknown_refusals & posting.final_types:
            doubt.refusal = Refusal(doubt.code, doubt.reason)
        if doubt.refusal is not None:
            await self._rule(doubt, RowStatus.FAILED, code=doubt.refusal.code, message=doubt.refusal.message)
            if doubt.refusal.code in posting.final_types:
                posting.refused(doubt.refusal.code, doubt.refusal.message)
            self._failed(doubt)
        elif doubt.calls >= posting.orders.max_attempts:
            gave_up = remedy_for("gave-up")
            told = f"{gave_up.meaning} {doubt.reason}"
            await self._rule(doubt, RowStatus.FAILED, code="gave-up", message=told)
            self._failed(doubt)
        else:
            await self._rule(doubt, RowStatus.PENDING)
            posting.ready.append(doubt)

    def _failed(self, doubt: Doubt) -> None:
        self._posting.claims.free(doubt.row.position)
        doubt.row = doubt.row._replace(status=RowStatus.FAILED)
        self._resent[doubt.row.position] = doubt

    async def _unread(self, doubt: Doubt, message: str) -> None:
        posting = self._posting
        doubt.unreadable += 1
        if doubt.unreadable >= UNREADABLE_LOOKS_MAX:
            await self._give_up(doubt, message)
        else:
            doubt.due = posting.clock() + max(1.0, backoff_s(doubt.unreadable))
        posting.trouble()

    async def _give_up(self, doubt: Doubt, why: str) -> None:
        """Looking cannot tell: a person can. Its twins stay taken."""
        uncertain = remedy_for("uncertain")
        message = f"{why} {uncertain.action}"
        await self._rule(doubt, RowStatus.UNCERTAIN, code=doubt.code or "uncertain", message=message)
        self._uncertain[doubt.row.position] = doubt

    async def _rule(
        self, doubt: Doubt, status: RowStatus, *, made: str | None = None, code: str = "", message: str = ""
    ) -> None:
        posting = self._posting
        before = posting.journal.row(doubt.row.position).status
        ruling = Ruling(doubt.row.position, posting.writer.wall(), status, made, code, message)
        try:
            await posting.writer.write(ruling)
        except JournalError:
            if made is not None:
                posting.unrecorded.append((doubt.row.number, made))
            raise
        posting.tally.moved(before, status)
        posting.doubts.end(doubt)

    def _may_learn(self, doubt: Doubt) -> bool:
        """Whether a row of this event may yet be created and read back, to give differences a meaning."""
        posting = self._posting
        task = self._read_backs.get(doubt.sent[0].event)
        return (task is not None and not task.done()) or not posting.claims.empty or posting.under_way > 0

    # ---- reading back -----------------------------------------------------------------------------

    async def _read_back(self, row: JournalRow, sent: Activity, since: float) -> None:
        """The first created row of an event, read once it can be seen: which fields come back as sent."""
        posting = self._posting
        for attempt in range(1, READ_BACK_TRIES + 1):
            await posting.pause(posting.orders.settle_s * attempt)
            while posting.breaker.is_open and not posting.stopping:
                await posting.wait()
            if posting.stopping:
                return
            learned = await posting.verifier.learn(row, sent, since)
            if learned is not None:
                if learned.altered:
                    posting.notices.append(_altered(row, sorted(learned.altered)))
                posting.changed()
                return
        posting.changed()

    async def close(self) -> None:
        """Ends what still waits to read back."""
        for task in self._read_backs.values():
            task.cancel()
        await asyncio.gather(*self._read_backs.values(), return_exceptions=True)

    # ---- outage -----------------------------------------------------------------------------------

    async def tenant_reads(self) -> bool:
        """Whether a read is answered. Stops the run when the keys are refused."""
        posting = self._posting
        if posting.stopping:
            return False
        reading = await posting.verifier.probe(posting.last_account)
        if reading.outcome is None or reading.outcome.kind in {Kind.REFUSED, Kind.UNKNOWN_REFUSAL}:
            posting.breaker.read_answered()
            return True
        if reading.outcome.kind is Kind.UNAUTHORISED:
            posting.stop(Kind.UNAUTHORISED.value, reading.outcome.message)
        return False

    async def settle_one(self, take: Callable[[], T | None]) -> T | None:
        """When only rows in doubt are left: looks at one until it is settled, and gives it to be tried."""
        posting = self._posting
        doubt = min(posting.doubts, key=lambda one: (one.calls, one.due), default=None)
        while doubt is not None and doubt.row.position in posting.doubts and not posting.stopping:
            await posting.pause(max(0.0, doubt.due - posting.clock()))
            group = posting.doubts.take_due(posting.clock())
            unread = doubt.unreadable
            if group:
                await self._look(group)
            if doubt.unreadable > unread or not group:
                return None
        return take()

    # ---- the end of a run -------------------------------------------------------------------------

    async def sweep(self) -> bool:
        """The last looks of a run. True when rows are to be worked on once more.

        Rows that ended uncertain get one more look: more is known by now. Rows that were sent again are
        looked at for a double, and those that failed after a doubt for having been created after all.
        """
        posting = self._posting
        if posting.stopping or self._sweeps >= SWEEPS_MAX:
            return False
        self._sweeps += 1
        resent, self._resent = self._resent, {}
        for doubt in resent.values():
            await posting.pause(max(0.0, posting.patience.first_look(doubt.ended_at) - posting.clock()))
            if posting.stopping:
                return False
            await self._look_again(doubt)
        if self._sweeps > 1:
            return False
        uncertain, self._uncertain = self._uncertain, {}
        for doubt in uncertain.values():
            doubt.looks, doubt.unreadable, doubt.due = 0, 0, posting.clock()
            self.add(doubt)
        return bool(uncertain)

    async def _look_again(self, doubt: Doubt) -> None:
        posting = self._posting
        found = await posting.verifier.doubles(doubt)
        if not found:
            return
        row = doubt.row
        if row.status is RowStatus.FAILED and len(found) == 1:
            await self._rule(doubt, RowStatus.CREATED, made=found[0])
            return
        ids = ", ".join(([row.activity_id] if row.activity_id else []) + found)
        double = remedy_for("double")
        message = f"{double.meaning} Ids: {ids}. {double.action}"
        posting.notices.append(f"Row {row.number}: {message}")
        status = RowStatus.CREATED if row.status is RowStatus.CREATED else RowStatus.UNCERTAIN
        await self._rule(doubt, status, made=row.activity_id, code="double", message=message)


def _altered(row: JournalRow, names: Sequence[str]) -> str:
    return (
        f"Row {row.number} was created, but these fields came back other than sent: {', '.join(names)}."
        " Check their schema names and types in LeadSquared; doubtful rows are matched without them."
    )
