"""Created rows are corrected: read, compared, updated, read back; each step is recorded before the next.

What is to change is planned in the store: one record for each field of a row (`plan_corrections`).
An Update can be repeated safely, so whatever is not finished is done again by the next pass.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Final

from importer.activity import NOTE, Activity, StoredActivity
from importer.leadsquared.calls import ReadFailed
from importer.leadsquared.outcomes import FINAL_FOR_ALL, REFUSALS, Outcome, OutcomeKind
from importer.remedies import remedy_for
from importer.sending.outage import Breaker, Stop, StoppedError, StopReason, TenantWork
from importer.sending.reconcile.doubts import backoff_s
from importer.sending.reconcile.normalise import same_value
from importer.sending.run_state import SendOptions, TenantConnection
from importer.sending.worker_pool import with_columns
from importer.store.ownership import Ownership
from importer.store.records import CorrectionChange, CorrectionStatus, StoredCorrection
from importer.store.writer import StoreWriter

READ_BACKS_MAX: Final = 3
ACCEPTED_MAX: Final = 2
"""A field that does not hold its value after so many Updates that were accepted never will."""


@dataclass(frozen=True, slots=True)
class CorrectionSummary:
    """Rows by what became of them in one pass; a row with a conflict in one field counts as a conflict."""

    stop: Stop | None
    corrected: int
    conflicts: int
    failed: int


@dataclass(frozen=True, slots=True)
class _Planned:
    """The changes of one row. fields: field → its record."""

    position: int
    number: int
    activity_id: str
    fields: Mapping[str, StoredCorrection]


class CorrectionPass(TenantWork):
    """One pass over the planned corrections of a batch that is owned. `stop` ends it early.

    overwrite: replaces values that somebody changed in LeadSquared since. columns: schema name → heading of
    its column, for messages. done, total: rows. counts: rows by what became of them.
    """

    go_on = "Correct again"

    def __init__(
        self,
        owned: Ownership,
        connection: TenantConnection,
        options: SendOptions,
        *,
        overwrite: bool = False,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        breaker = Breaker(options.max_outage_s, time.monotonic, rows_to_open=1)
        super().__init__(breaker, connection.pace, time.monotonic)
        self._tenant = connection.tenant
        self._options = options
        self._overwrite = overwrite
        self._columns = columns or {}
        self._writer = StoreWriter(owned)
        self._planned = _grouped(owned)
        self.total = len(self._planned)
        self.counts: Counter[CorrectionStatus] = Counter()
        self._tried = False
        """An Update has changed a field, and it was seen what else it changed."""

    def __repr__(self) -> str:
        return f"<CorrectionPass {self.done} of {self.total} stopped={self.stopped!r} {self.breaker!r}>"

    @property
    def done(self) -> int:
        return self.counts.total()

    async def run(self) -> CorrectionSummary:
        """Corrects all that is planned; row by row until the first Update has shown whether it changes more
        than it should. Raises what only a fault of ours raises, after the other rows have ended in good
        order."""
        waiting = iter(self._planned)
        try:
            while not self._tried and not self.stopping and (row := next(waiting, None)):
                await self.each([row], self._correct, 1)
            await self.each(waiting, self._correct, self._options.workers)
        finally:
            await self._writer.close()
        if self.fault is not None:
            raise self.fault
        counts = self.counts
        return CorrectionSummary(
            self.stopped,
            counts[CorrectionStatus.CORRECTED],
            counts[CorrectionStatus.CONFLICT],
            counts[CorrectionStatus.FAILED],
        )

    # ---- one row ----------------------------------------------------------------------------------

    async def _correct(self, row: _Planned) -> None:
        """Reads the row, and updates it until it holds what is planned or cannot."""
        before = stored = await self._read(row)
        if before is None or stored is None:
            await self._end(row, [], list(row.fields), "not-found")
            return
        conflicts = self._conflicts(row, before)
        to_change = wanted = _not_there(row, [name for name in row.fields if name not in conflicts], before)
        outcome: Outcome | None = None
        accepted = 0
        for attempt in range(1, self._options.max_attempts + 1):
            if not wanted or accepted >= ACCEPTED_MAX or (outcome and outcome.kind in REFUSALS):
                break
            if outcome is not None:
                await self.pause(backoff_s(attempt))
            outcome = await self._update(row, wanted, stored)
            accepted += outcome.kind is OutcomeKind.CREATED
            stored = await self._read_back(row, wanted, outcome) or stored
            wanted = _not_there(row, wanted, stored)
            if any(_is_conflict(row.fields[name], _value(stored, name), before) for name in wanted):
                break  # it was changed to something else: LeadSquared's own doing, or a person's
        code, message = self._why(row, outcome)
        await self._end(row, conflicts, wanted, code, message)
        if not self._tried and len(wanted) < len(to_change):
            self._tried = True
            self._judge_trial(row, before, stored)

    def _conflicts(self, row: _Planned, stored: StoredActivity) -> list[str]:
        """Fields that hold neither what we sent nor what is planned: somebody changed them."""
        if self._overwrite:
            return []
        return [name for name, one in row.fields.items() if _is_conflict(one, _value(stored, name))]

    def _why(self, row: _Planned, outcome: Outcome | None) -> tuple[str, str]:
        """Code and message of fields that do not hold their value."""
        if outcome is None or outcome.kind is OutcomeKind.CREATED:
            return "not-corrected", ""
        if outcome.kind not in REFUSALS:
            return "gave-up", ""
        fields = tuple((name, one.after) for name, one in row.fields.items())
        sent = Activity("", 0, None, fields)
        return outcome.code, with_columns(outcome.message, outcome.code, sent, self._columns)

    async def _update(self, row: _Planned, wanted: list[str], stored: StoredActivity) -> Outcome:
        """The intent, durably, and then one Update that was answered or whose answer was lost."""
        found = {name: _value(stored, name) for name in wanted}
        await self._writer.write(CorrectionChange(row.position, time.time(), CorrectionStatus.SENDING, found))
        note = row.fields[NOTE].after if NOTE in wanted else None
        fields = tuple((name, row.fields[name].after) for name in wanted if name != NOTE)
        for failures in count(1):
            await self.may_call()
            outcome = await self._tenant.update(row.activity_id, note, fields)
            if outcome.kind is OutcomeKind.THROTTLED:
                self.breaker.throttled()
                self._go_on_after(outcome)
                continue
            if outcome.kind not in {OutcomeKind.NOT_SENT, OutcomeKind.DOUBTFUL, *FINAL_FOR_ALL}:
                self.breaker.answered()
                return outcome
            self.breaker.failed(row.position, costless=True)
            self._go_on_after(outcome)
            if outcome.kind is OutcomeKind.DOUBTFUL:
                return outcome
            await self.pause(backoff_s(failures))
        raise AssertionError("unreachable")  # pragma: no cover

    async def _read_back(self, row: _Planned, wanted: list[str], outcome: Outcome) -> StoredActivity | None:
        """The row, once it holds what was sent or had the time to: reads lag behind writes."""
        stored: StoredActivity | None = None
        for _ in range(READ_BACKS_MAX if outcome.kind is OutcomeKind.CREATED else 1):
            if outcome.kind not in REFUSALS:
                await self.pause(self._options.settle_s)
            stored = await self._read(row)
            if stored is None or not _not_there(row, wanted, stored):
                break
        return stored

    def _judge_trial(self, row: _Planned, before: StoredActivity, after: StoredActivity) -> None:
        """Stops the pass when the first Update changed a field that it did not name (not documented)."""
        others = (set(before.fields) | set(after.fields) | {NOTE}) - set(row.fields)
        changed = [
            f"{name} was '{_value(before, name)}' and is now '{_value(after, name)}'"
            for name in sorted(others)
            if not same_value(_value(before, name), _value(after, name))
        ]
        if changed:
            self.stop(
                StopReason.TRIAL,
                f"The first update (row {row.number}) changed fields that it did not name:"
                f" {'; '.join(changed)}. Nothing more was sent. Restore these values in LeadSquared, and ask"
                " LeadSquared's support why an update changes other fields.",
            )

    async def _end(
        self, row: _Planned, conflicts: list[str], failed: list[str], code: str, message: str = ""
    ) -> None:
        """Records what became of a row's fields. code, message: of those that failed; without a message the
        catalogue's words."""
        corrected = [name for name in row.fields if name not in conflicts and name not in failed]
        for status, fields, own in (
            (CorrectionStatus.CORRECTED, corrected, ""),
            (CorrectionStatus.FAILED, failed, code),
            (CorrectionStatus.CONFLICT, conflicts, "conflict"),
        ):
            if fields:
                entry = remedy_for(own) if own else None
                words = f"{entry.meaning} {entry.action}" if entry else ""
                error = message if message and status is CorrectionStatus.FAILED else words
                ended = dict.fromkeys(fields)
                await self._writer.write(
                    CorrectionChange(row.position, time.time(), status, ended, own, error)
                )
                worst = status
        self.counts[worst] += 1

    # ---- calls ------------------------------------------------------------------------------------

    async def _read(self, row: _Planned) -> StoredActivity | None:
        """The activity as it is now; None when LeadSquared has none of this Id."""
        for failures in count(1):
            await self.may_call()
            try:
                stored = await self._tenant.activity(row.activity_id)
            except ReadFailed as error:
                self.breaker.read_failed(row.position)
                self._go_on_after(error.outcome, str(error))
                await self.pause(backoff_s(failures))
                continue
            self.breaker.read_answered()
            return stored
        raise AssertionError("unreachable")  # pragma: no cover

    def _go_on_after(self, outcome: Outcome, message: str = "") -> None:
        """Raises StoppedError if nothing more can succeed, an outage has lasted too long, or a quota is used
        up."""
        if outcome.kind in FINAL_FOR_ALL:
            self.stop(StopReason(outcome.kind.value), message or outcome.message)
        self.check_trouble()
        if self.stopping:
            raise StoppedError


def _grouped(owned: Ownership) -> list[_Planned]:
    """What is planned, and what an earlier pass left unfinished, by row."""
    rows: dict[int, dict[str, StoredCorrection]] = {}
    for status in (CorrectionStatus.SENDING, CorrectionStatus.PLANNED):
        for one in owned.rows.corrections(status=status):
            rows.setdefault(one.position, {})[one.field] = one
    planned: list[_Planned] = []
    for position in sorted(rows):
        any_field = next(iter(rows[position].values()))
        planned.append(_Planned(position, any_field.number, any_field.activity_id, rows[position]))
    return planned


def _not_there(row: _Planned, names: Iterable[str], stored: StoredActivity) -> list[str]:
    """Those of the fields that do not hold what is planned."""
    return [name for name in names if not same_value(row.fields[name].after, _value(stored, name))]


def _value(stored: StoredActivity, name: str) -> str:
    if name == NOTE:
        return stored.note
    folded = name.casefold()
    return next((value for field, value in stored.fields.items() if field.casefold() == folded), "")


def _is_conflict(planned: StoredCorrection, now: str, read: StoredActivity | None = None) -> bool:
    """Whether a field holds neither what it should have before the Update nor what it should have after it.

    read: what it held when this pass began, whatever that was.
    """
    ours = [planned.before, planned.after]
    if planned.replaced is not None:  # read before an Update of an earlier pass, and accepted then
        ours.append(planned.replaced)
    if read is not None:
        ours.append(_value(read, planned.field))
    return not any(same_value(value, now) for value in ours)
