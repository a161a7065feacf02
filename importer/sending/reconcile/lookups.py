"""Rows in doubt on their way to an answer: when they are looked at, and what a look makes of them.

A row comes here when a call ended without telling, when a batch is opened with it in doubt, and before
every later send. It leaves as created, failed, uncertain, or verified as not created and ready to be sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from importer.activity import Activity, addressed
from importer.errors import JournalError
from importer.journal.entries import Ruling
from importer.journal.journal import IN_DOUBT, JournalRow, RowStatus
from importer.leadsquared.outcomes import Kind
from importer.remedies import remedy_for
from importer.sending.reconcile.doubts import (
    UNREADABLE_LOOKS_MAX,
    Doubt,
    Refusal,
    backoff_s,
    complete,
    contents,
    in_doubt,
)
from importer.sending.reconcile.matching import Created, NotCreated, Uncertain, match_key
from importer.sending.reconcile.matching import Doubt as Why
from importer.sending.reconcile.normalise import id_key
from importer.sending.reconcile.verifier import Finding, Unread
from importer.sending.run_state import Posting

READ_BACK_TRIES: Final = 4
SETTLED_A_PROBE_MAX: Final = 5
LOOKS_TO_SETTLE_MAX: Final = 8
READING_BACK_S: Final = 1.0

T = TypeVar("T")


class Looks:
    """Works on the doubts of one posting, beside the pool.

    uncertain, resent: rows, by position, that are to be looked at once more at the end of the run.
    """

    parallel: Final = 4

    def __init__(self, posting: Posting) -> None:
        self._posting = posting
        self._read_backs: dict[int, asyncio.Task[None]] = {}
        self.uncertain: dict[int, Doubt] = {}
        self.resent: dict[int, Doubt] = {}
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
        attempts = posting.journal.attempts(row.position)
        doubtful = in_doubt(attempts)
        if not doubtful:
            raise JournalError(f"Row {row.number} is in doubt, but no call of it is on record.")
        first = doubtful[0]
        now = posting.clock()
        last = attempts[-1]
        refused_last = row.status is RowStatus.DOUBTFUL and last.outcome == Kind.REFUSED
        refused_this = refused_last and last.body == row.activity and not row.released
        return Doubt(
            row=row,
            sent=contents(doubtful),
            since=first.marked_at + first.clock_difference,
            ended_at=now,
            complete=complete(doubtful),
            due=posting.patience.first_look(now),
            unknown_refusals={one.code or "" for one in doubtful if one.outcome == Kind.UNKNOWN_REFUSAL},
            code=row.error_code,
            reason=row.error,
            refusal=Refusal(row.error_code, row.error) if refused_this else None,
            tried=len(doubtful),
        )

    def add(self, doubt: Doubt) -> None:
        """A row whose last call did not tell. Nothing that could be taken for it is sent meanwhile."""
        self._hold(doubt)
        self._posting.doubts.add(doubt)
        self._posting.changed()

    def _hold(self, doubt: Doubt) -> None:
        posting = self._posting
        left_out = posting.verifier.left_out(doubt.sent[0].event)
        if posting.twins_of(doubt.row):
            keys = {match_key(sent, without) for sent in doubt.sent for without in (frozenset(), left_out)}
            # What it would send may be something else by now, and another row's twin.
            accounts = {id_key(sent.company_id) for sent in doubt.sent} | {posting.account_of(doubt.row)}
            posting.claims.hold(doubt.row.position, keys.union(posting.twins_of(doubt.row)), accounts)

    def before_send(self, row: JournalRow, doubt: Doubt | None = None) -> None:
        """A row that was in doubt once, and is to be sent: one more look first."""
        again = self._from_journal(row) if doubt is None else doubt
        again.looks_wanted, again.looks, again.unreadable = 1, 0, 0
        again.complete = again.complete or doubt is None
        again.due = self._posting.clock()
        self.add(again)

    def created(self, row: JournalRow, doubt: Doubt | None, body: bytes, since: float, made: str) -> None:
        """A row was created by a call that said so. body: what that sent."""
        posting = self._posting
        posting.claims.free(row.position)
        if doubt is not None:
            doubt.row = row._replace(activity_id=made, status=RowStatus.CREATED)
            doubt.ended_at = posting.clock()
            self.resent[row.position] = doubt
        _, event = addressed(body)
        if event not in posting.verifier.learned and event not in self._read_backs:
            made_row, sent = row._replace(activity_id=made), Activity.decoded(body)
            self._read_backs[event] = asyncio.create_task(self._read_back(made_row, sent, since))

    # ---- looking ----------------------------------------------------------------------------------

    async def work(self) -> None:
        """Looks at one account after the other as they fall due; runs until it is cancelled."""
        posting = self._posting
        while not posting.stopping:
            due = posting.doubts.next_due()
            if posting.breaker.is_open or posting.silence.too_long or due is None:
                await posting.wait()
            elif due > posting.clock():
                await posting.wait(due - posting.clock())
            else:
                await self._look(posting.doubts.take_due(posting.clock()))

    async def _look(self, group: Sequence[Doubt]) -> None:
        posting = self._posting
        started = posting.clock()
        try:
            findings = await self._read(group)
            for doubt in group if findings and not self._keys_refused(findings) else ():
                try:
                    await self._judge(doubt, findings[doubt.row.position], started)
                except JournalError as error:  # each of them tells what it found and could not write
                    posting.stop_for(error)
        finally:
            posting.doubts.looked(group)
            posting.changed()

    async def _read(self, group: Sequence[Doubt]) -> dict[int, Finding]:
        """What a look tells; nothing when the run is stopped meanwhile."""
        posting = self._posting
        known = len(posting.verifier.learned)
        number = posting.silence.left()
        answered = False
        try:
            findings = await posting.unless_stopped(posting.verifier.look(group, posting.quiet)) or {}
            answered = bool(findings) and self._heed(group, findings)
        except JournalError as error:
            posting.stop_for(error)
            return {}
        finally:
            posting.silence.ended(number, answered=answered)
        if len(posting.verifier.learned) > known:
            self._relearned()
        return findings

    def _heed(self, group: Sequence[Doubt], findings: dict[int, Finding]) -> bool:
        """What the look says of the tenant: whether it answers. A count that does not add up is no outage."""
        posting = self._posting
        posting.quota()
        failed = next((one for one in findings.values() if isinstance(one, Unread) and one.kind), None)
        if failed is None:
            posting.breaker.read_answered()
        elif failed.kind is not Kind.REFUSED:
            posting.breaker.read_failed(group[0].row.position)
        return failed is None or failed.kind is Kind.REFUSED

    def _keys_refused(self, findings: dict[int, Finding]) -> bool:
        """Whether LeadSquared refuses the keys: then nothing more can succeed."""
        for finding in findings.values():
            if isinstance(finding, Unread) and finding.kind is Kind.UNAUTHORISED:
                self._posting.stop(Kind.UNAUTHORISED.value, finding.message)
                return True
        return False

    def _relearned(self) -> None:
        """Fields that do not come back tell no rows apart: more rows may be twins than one knew."""
        posting = self._posting
        posting.claims.rekey()
        for doubt in posting.doubts:
            self._hold(doubt)

    async def _judge(self, doubt: Doubt, finding: Finding, looked_at: float) -> None:
        """looked_at: when the look began; what it did not find may have come since."""
        posting = self._posting
        doubt.looked_at = looked_at
        if doubt.row.released and isinstance(finding, Uncertain | Unread):
            finding = NotCreated()
        if looked_at < doubt.due and not isinstance(finding, Created):
            return  # it shared another row's look; its own is still to come
        match finding:
            case Created() if self._reading_back(doubt) or self._rivalled(doubt):
                doubt.due = max(doubt.due, posting.clock() + READING_BACK_S)
            case Created(id=made):
                await self._found(doubt, made)
            case NotCreated():
                await self._not_found(doubt, looked_at)
            case Uncertain(reason=Why.UNPROVEN) if posting.verifier.proves and self._may_learn(doubt):
                doubt.due = posting.clock() + max(READING_BACK_S, posting.orders.settle_s)
            case Uncertain(detail=detail):
                await self._give_up(doubt, detail)
            case Unread(message=message, kind=Kind.REFUSED):
                await self._give_up(doubt, message)
            case Unread(message=message):
                await self._unread(doubt, message)

    async def _found(self, doubt: Doubt, made: str) -> None:
        posting = self._posting
        await self.rule(doubt, RowStatus.CREATED, made=made)
        posting.claims.free(doubt.row.position)
        if doubt.tried > 1:
            doubt.row = doubt.row._replace(activity_id=made, status=RowStatus.CREATED)
            doubt.ended_at = posting.clock()
            self.resent[doubt.row.position] = doubt
        posting.alike.created()

    async def _not_found(self, doubt: Doubt, looked_at: float) -> None:
        posting = self._posting
        if not posting.patience.settled(doubt, looked_at):
            doubt.looks += 1
            doubt.due = posting.patience.last_look(doubt, posting.clock())
            return
        if doubt.refusal is None and doubt.unknown_refusals & posting.final_types:
            doubt.refusal = Refusal(doubt.code, doubt.reason)
        if doubt.refusal is not None:
            await self.rule(doubt, RowStatus.FAILED, code=doubt.refusal.code, message=doubt.refusal.message)
            if doubt.refusal.code in posting.final_types:
                posting.refused(doubt.refusal.code, doubt.refusal.message)
            self._failed(doubt)
        elif doubt.calls >= posting.orders.max_attempts:
            gave_up = remedy_for("gave-up")
            told = f"{gave_up.meaning} {doubt.reason}"
            await self.rule(doubt, RowStatus.FAILED, code="gave-up", message=told)
            self._failed(doubt)
        else:
            await self.rule(doubt, RowStatus.PENDING)
            posting.ready.append(doubt)

    def _failed(self, doubt: Doubt) -> None:
        self._posting.claims.free(doubt.row.position)
        doubt.row = doubt.row._replace(status=RowStatus.FAILED)
        self.resent[doubt.row.position] = doubt

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
        await self.rule(doubt, RowStatus.UNCERTAIN, code=doubt.code or "uncertain", message=message)
        self.uncertain[doubt.row.position] = doubt

    async def rule(
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

    def _reading_back(self, doubt: Doubt) -> bool:
        """A created row of this event is being read back: then it is known whose name ours bear."""
        task = self._read_backs.get(doubt.sent[0].event)
        known = doubt.sent[0].event in self._posting.verifier.learned
        return not known and task is not None and not task.done()

    def _rivalled(self, doubt: Doubt) -> bool:
        """Another row in doubt could be what was found, and was not part of the look."""
        posting = self._posting
        rivals = posting.claims.rivals(doubt.row.position)
        return any(rival in posting.doubts and not posting.doubts.together(rival, doubt) for rival in rivals)

    def _may_learn(self, doubt: Doubt) -> bool:
        """Whether a row of this event may yet be created and read back, to give differences a meaning."""
        posting = self._posting
        fresh = posting.may_send_fresh and not posting.claims.empty
        return self._reading_back(doubt) or fresh or bool(posting.flights) or posting.may_send_again

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
                self._relearned()
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
        reading = await posting.unless_stopped(posting.verifier.probe(posting.last_account))
        if reading is None:
            return False
        if reading.outcome is None or reading.outcome.kind in {Kind.REFUSED, Kind.UNKNOWN_REFUSAL}:
            posting.breaker.read_answered()
            return True
        if reading.outcome.kind is Kind.UNAUTHORISED:
            posting.stop(Kind.UNAUTHORISED.value, reading.outcome.message)
        return False

    async def settle_one(self, take: Callable[[], T | None]) -> T | None:
        """When only rows in doubt are left: looks at one until it is settled, and gives it to be tried.

        One that turns out to be created is an answer too, late: then at another one.
        """
        posting = self._posting
        for _ in range(SETTLED_A_PROBE_MAX):
            doubt = min(posting.doubts, key=lambda one: (one.calls, one.due), default=None)
            if doubt is None or not await self._settled(doubt) or posting.stopping:
                return None
            if (job := take()) is not None:
                return job
        return None

    async def _settled(self, doubt: Doubt) -> bool:
        """Looks until the row is in doubt no more; False when that cannot be had now."""
        posting = self._posting
        for _ in range(LOOKS_TO_SETTLE_MAX):
            await posting.pause(max(0.0, doubt.due - posting.clock()))
            group = [] if posting.stopping else posting.doubts.take_due(posting.clock())
            unread = doubt.unreadable
            if group:
                await self._look(group)
            if doubt.row.position not in posting.doubts:
                return True
            if doubt.unreadable > unread or not group:
                return False
        return False


def _altered(row: JournalRow, names: Sequence[str]) -> str:
    return (
        f"Row {row.number} was created, but these fields came back other than sent: {', '.join(names)}."
        " Check their schema names and types in LeadSquared; doubtful rows are matched without them."
    )
