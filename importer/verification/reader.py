"""Reads created activities back and compares them with what was sent.

Rows of one account that were created about the same time cost one Retrieve together; a row that is alone on
its account, or that Retrieve does not show, is read by its Id. Every row read is kept in the store at once
(`readings.py`), so that whatever ends a pass, the next one goes on.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from typing import Final

from importer.activity import StoredActivity
from importer.errors import ImporterError, TenantError, WorkError
from importer.leadsquared.calls import ReadFailed, Tenant, Unreachable
from importer.leadsquared.outcomes import Outcome, OutcomeKind
from importer.sending.breaker import Breaker
from importer.sending.reconcile.normalise import id_key
from importer.sending.run_state import spoken
from importer.store.batch_rows import BatchRows
from importer.store.ownership import Ownership
from importer.store.records import iso
from importer.verification import readings
from importer.verification.readings import NOT_FOUND, Difference, SentRow

READERS_MAX: Final = 16
TOGETHER_MAX: Final = 1_000
"""So many rows of an account share one window at most; a page has a hundred activities."""
GAP_S: Final = 3600.0
"""Rows that were sent further apart do not share a window: the account may have many others in between."""
MARGIN_S: Final = 300.0
"""Before and after the calls. An activity that was changed since may be outside; it is read by its Id."""
TRIES_BEFORE_ASKING: Final = 3

_REFUSED: Final = (OutcomeKind.REFUSED, OutcomeKind.UNKNOWN_REFUSAL)
_FINAL: Final = (OutcomeKind.UNAUTHORISED, OutcomeKind.WRONG_ADDRESS, *_REFUSED)


@dataclass(slots=True)
class _Group:
    """Rows that are read with one call if all goes well. tries: how often that failed."""

    rows: list[SentRow]
    tries: int = 0


class VerificationPass:
    """One pass over the created rows of a batch that is owned.

    only: positions to read, None for all that are not read yet. `stop` ends it early.
    """

    def __init__(
        self,
        owned: Ownership,
        tenant: Tenant,
        *,
        readers: int,
        max_outage_s: float,
        only: Collection[int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._owned = owned
        self._tenant = tenant
        self._readers = min(readers, READERS_MAX)
        self._wall = wall
        self._fresh = _groups(owned.rows, only)
        self._again: deque[_Group] = deque()
        self._at_work = 0
        self._one_at_a_time = asyncio.Lock()
        self._breaker = Breaker(max_outage_s, clock, failures_to_open=1, rows_to_open=1)
        self._tasks: list[asyncio.Task[None]] = []
        self.interrupted = False
        self.read = 0

    def __repr__(self) -> str:
        return f"<VerificationPass read={self.read} again={len(self._again)} {self._breaker!r}>"

    @property
    def in_trouble(self) -> bool:
        """LeadSquared gave no answer last time."""
        return self._breaker.is_open

    def stop(self) -> None:
        """Ends the pass; what was read is kept. A read that is broken off does no harm."""
        self.interrupted = True
        for task in self._tasks:
            task.cancel()

    async def run(self) -> None:
        """Reads all that there is to read, or until stopped.

        Raises WorkError when LeadSquared gives no answer for `max_outage_s`, TenantError when the keys were
        revoked or may not read. A row about which alone no answer comes stays unread.
        """
        self._tasks = [asyncio.create_task(self._work()) for _ in range(self._readers)]
        try:
            done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._fresh.close()
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    # ---- the readers ------------------------------------------------------------------------------

    async def _work(self) -> None:
        while not self.interrupted:
            group = self._next()
            if group is None:
                if not self._at_work:
                    return
                await asyncio.sleep(0.05)  # what others are reading may have to be read again
                continue
            self._at_work += 1
            try:
                await self._turn(group)
            finally:
                self._at_work -= 1

    def _next(self) -> _Group | None:
        """Fresh rows first, so that rows which the tenant cannot read hold nobody up."""
        fresh = next(self._fresh, None)
        if fresh is not None:
            return fresh
        return self._again.popleft() if self._again else None

    async def _turn(self, group: _Group) -> None:
        """In an outage one reader tries at a time, at growing intervals: it must not cost the quota."""
        if not self.in_trouble:
            await self._try(group)
            return
        async with self._one_at_a_time:
            if self.in_trouble:
                await asyncio.sleep(self._breaker.next_probe_s())
            await self._try(group)

    async def _try(self, group: _Group) -> None:
        try:
            found = await self._find(group.rows)
        except ReadFailed as error:
            if error.outcome.kind in _FINAL:
                raise _final(error) from error
            await self._no_answer(group, error)
            return
        self._breaker.read_answered()
        compared = {row.position: _compared(row, found.get(id_key(row.activity_id))) for row in group.rows}
        readings.keep(self._owned, compared, iso(self._wall()))
        self.read += len(compared)

    async def _no_answer(self, group: _Group, error: ReadFailed) -> None:
        """Later again. Where whoami is answered, it is these rows: then one by one, then not at all."""
        group.tries += 1
        if group.tries % TRIES_BEFORE_ASKING == 0 and await self._answers():
            self._breaker.read_answered()
            if len(group.rows) > 1:
                self._again.extend(_Group([row], TRIES_BEFORE_ASKING - 1) for row in group.rows)
            return
        self._again.append(group)
        self._breaker.read_failed(group.rows[0].position)
        if self._breaker.exhausted:
            raise WorkError(
                f"LeadSquared gave no answer for {spoken(self._breaker.trouble_s)} (--max-outage):"
                f" {error.what}",
                where=error.where,
                remedy="What was read is kept; `importer verify` goes on from there.",
            )

    async def _answers(self) -> bool:
        try:
            await self._tenant.current_user()
        except Unreachable:
            return False
        return True

    # ---- one group --------------------------------------------------------------------------------

    async def _find(self, rows: Sequence[SentRow]) -> dict[str, StoredActivity]:
        """What LeadSquared has of these rows, by `id_key`. Raises ReadFailed."""
        together = len(rows) > 1
        found = await self._account(rows) if together else {}
        for row in rows:
            key = id_key(row.activity_id)
            if key not in found and (stored := await self._tenant.activity(row.activity_id)) is not None:
                found[key] = stored
        if not together and not found:
            # "No such Id" and "you may not read" are both refusals: only Retrieve tells them apart.
            found = await self._account(rows)
        return found

    async def _account(self, rows: Sequence[SentRow]) -> dict[str, StoredActivity]:
        """What Retrieve shows of an account between the rows' calls; incomplete is as good as it gets."""
        company, since, until = _window(rows, self._wall() + self._tenant.clock_difference_s)
        if not company:
            return {}
        reading = await self._tenant.activities(company, since, until)
        outcome = reading.outcome
        if outcome is not None and (outcome.kind not in _REFUSED or _is_about_rights(outcome)):
            raise ReadFailed(outcome, outcome.message, where=self._tenant.base_url)
        return {id_key(stored.id): stored for stored in reading.activities}


def _compared(row: SentRow, stored: StoredActivity | None) -> Sequence[Difference]:
    return NOT_FOUND if stored is None else readings.differences(row.sent, stored)


def _is_about_rights(outcome: Outcome) -> bool:
    """Any other refusal is about this account only: it was merged or deleted, say."""
    return outcome.code.lower().startswith("mxunauthori")


def _final(error: ReadFailed) -> ImporterError:
    """A refusal that asking again does not change."""
    if error.outcome.kind in _REFUSED:
        return TenantError(
            f"These keys may not read activities back: {error.what}",
            where=error.where,
            remedy="Use the keys of a user who may view activities of accounts. What was read is kept.",
        )
    return WorkError(
        error.what,
        where=error.where,
        remedy=f"{error.remedy} What was read is kept; `importer verify` goes on from there.".strip(),
    )


# ---- which rows are read together ---------------------------------------------------------------------


def _groups(rows: BatchRows, only: Collection[int] | None) -> Generator[_Group]:
    """The rows to read, in groups."""
    for _, found in groupby(rows.unread(only), key=itemgetter(0)):
        positions = (position for _, position in found)
        while some := list(islice(positions, TOGETHER_MAX)):
            sent = [readings.sent_row(row) for row in rows.created_rows(some)]
            yield from (_Group(list(each)) for each in _together(sent))


def _together(rows: Iterable[SentRow]) -> Iterator[list[SentRow]]:
    """Rows of one account, cut where they were sent far apart; each alone of which no call is known."""
    timed = [row for row in rows if row.since is not None and row.sent]
    yield from ([row] for row in rows if row.since is None or not row.sent)
    timed.sort(key=lambda row: (id_key(row.sent[-1].company_id), row.since or 0.0))
    group: list[SentRow] = []
    for row in timed:
        if group and not _near(group[-1], row):
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _near(one: SentRow, two: SentRow) -> bool:
    same = id_key(one.sent[-1].company_id) == id_key(two.sent[-1].company_id)
    return same and (two.since or 0.0) - (one.until or 0.0) < GAP_S


def _window(rows: Sequence[SentRow], now: float) -> tuple[str, dt.datetime, dt.datetime]:
    """The account, and between which times (UTC, tenant's clock) to look for the rows on it."""
    since = min(row.since or now for row in rows) - MARGIN_S
    until = max(row.until or now for row in rows) + MARGIN_S
    company = rows[0].sent[-1].company_id if rows[0].sent else ""
    return company, dt.datetime.fromtimestamp(since, dt.UTC), dt.datetime.fromtimestamp(until, dt.UTC)
