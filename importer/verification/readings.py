"""Created activities are read back and compared with what was sent; what was read is kept, and summed up.

Rows of one account that were created about the same time cost one Retrieve together; a row that is alone on
its account, or that Retrieve does not show, is read by its Id. A *pass* reads every created row once, and
keeps each in the store at once: one that was cut off goes on, the next after a finished one begins again.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from importer.activity import ACCOUNT, EVENT, NOTE, Activity, StoredActivity
from importer.errors import ImporterError, TenantError, WorkError
from importer.leadsquared.calls import ReadFailed, Unreachable
from importer.leadsquared.outcomes import FINAL_FOR_ALL, REFUSALS, Outcome, OutcomeKind
from importer.sending.outage import Breaker, StopReason, TenantWork
from importer.sending.reconcile.doubts import IN_DOUBT_OUTCOMES
from importer.sending.reconcile.matching import compare
from importer.sending.reconcile.normalise import Comparison, id_key, same_value
from importer.sending.run_state import SendOptions, TenantConnection
from importer.store.batch_rows import BatchRows, chunked
from importer.store.ownership import Ownership
from importer.store.records import StoredAttempt, iso

READERS_MAX: Final = 16
TOGETHER_MAX: Final = 1_000
"""So many rows of an account share one window at most; a page has a hundred activities."""
GAP_S: Final = 3600.0
"""Rows that were sent further apart do not share a window: the account may have many others in between."""
MARGIN_S: Final = 300.0
"""Before and after the calls. An activity that was changed since may be outside; it is read by its Id."""
TRIES_BEFORE_ASKING: Final = 3
KEPT: Final = "What was read is kept; `importer verify` goes on from there."

EXAMPLES_PER_FIELD: Final = 3
GOES_ON_FOR: Final = dt.timedelta(days=1)
"""A pass that was cut off longer ago is begun again: LeadSquared has changed since."""

_PASS: Final = "read_back"  # noqa: S105 - the name of a fact of the batch, no password


class ReadingVerdict(StrEnum):
    """How a row or one of its fields came back."""

    EQUAL = "equal"
    MISSING = "missing"  # a field: sent, and empty there
    ALTERED = "altered"  # a field: it has another value there
    NOT_FOUND = "not found"  # a row: LeadSquared shows no activity of its Id
    NOT_READ = "not read"  # a row: LeadSquared gave no answer about it


class Difference(NamedTuple):
    """One field of one row. detail: in which way it was altered, if that is known, else ""."""

    field: str
    verdict: ReadingVerdict
    sent: str
    stored: str
    detail: str = ""


NOT_FOUND: Final = (Difference("", ReadingVerdict.NOT_FOUND, "", ""),)


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A created row: what it should hold in LeadSquared, and how it was read back.

    sent: what its creating call sent, or what it holds since its last correction; several where a lookup
    found the activity and the attempts differed; none where it is not known any more. since, until: Unix
    seconds by the tenant's clock, between which it was created; None as well. differences: None when it was
    not read, () when all is equal.
    """

    position: int
    number: int
    activity_id: str
    sent: tuple[Activity, ...]
    since: float | None
    until: float | None
    read_at: str
    differences: tuple[Difference, ...] | None

    @property
    def verdict(self) -> ReadingVerdict:
        if self.differences is None:
            return ReadingVerdict.NOT_READ
        if not self.differences:
            return ReadingVerdict.EQUAL
        return ReadingVerdict.NOT_FOUND if self.differences == NOT_FOUND else ReadingVerdict.ALTERED

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that were sent with a value; the note is one."""
        if not self.sent:
            return ()
        sent = self.sent[-1]
        note = (NOTE,) if (sent.note or "").strip() else ()
        return (*note, *(name for name, value in sent.fields if value.strip()))


# ---- comparing ----------------------------------------------------------------------------------------


def differences(sent: Iterable[Activity], stored: StoredActivity) -> tuple[Difference, ...]:
    """In what `stored` is not what was sent; of several possible contents, the one that is nearest to it.

    Fields that were not sent are no difference: LeadSquared fills in defaults of its own.
    """
    return min((tuple(_differences(each, stored)) for each in sent), key=len, default=())


def _differences(sent: Activity, stored: StoredActivity) -> Iterator[Difference]:
    if stored.company_id and id_key(stored.company_id) != id_key(sent.company_id):
        yield Difference(ACCOUNT, ReadingVerdict.ALTERED, sent.company_id, stored.company_id)
    if stored.event is not None and stored.event != sent.event:
        yield Difference(EVENT, ReadingVerdict.ALTERED, str(sent.event), str(stored.event))
    for one in compare(sent, stored):
        match one.verdict:
            case Comparison.EQUAL | Comparison.UNEXPECTED:
                continue
            case Comparison.MISSING:
                yield Difference(one.field, ReadingVerdict.MISSING, one.sent, one.stored)
            case Comparison.RESPELT if same_value(one.sent, one.stored):
                continue
            case Comparison.RESPELT | Comparison.CUT_SHORT:
                detail = "cut short" if one.verdict is Comparison.CUT_SHORT else "spelled differently"
                yield Difference(one.field, ReadingVerdict.ALTERED, one.sent, one.stored, detail)
            case Comparison.ALTERED:
                yield Difference(one.field, ReadingVerdict.ALTERED, one.sent, one.stored)


# ---- the store ----------------------------------------------------------------------------------------


def begin(owned: Ownership) -> int:
    """Begins a pass, or goes on with one that was cut off; how many rows that had read already."""
    last, now = owned.rows.fact(_PASS, {}), dt.datetime.now(dt.UTC)
    begun = last.get("begun")
    goes_on = begun and not last.get("ended") and now - dt.datetime.fromisoformat(begun) < GOES_ON_FOR
    with owned.change() as change:
        if goes_on:
            # What was not found a moment ago may show by now.
            change.forget_readings(_plain(NOT_FOUND))
        else:
            change.forget_readings()
            change.keep_facts(**{_PASS: {"begun": now.isoformat(), "ended": None}})
    return owned.rows.readings_count()


def end(owned: Ownership) -> None:
    """Every created row was read."""
    begun = owned.rows.fact(_PASS, {}).get("begun")
    owned.keep_facts(**{_PASS: {"begun": begun, "ended": dt.datetime.now(dt.UTC).isoformat()}})


def ended_at(rows: BatchRows) -> str | None:
    """When the last pass was finished (UTC, ISO 8601); None if none was, or one is not finished."""
    ended: str | None = rows.fact(_PASS, {}).get("ended")
    return ended


def _plain(found: Sequence[Difference]) -> list[list[str]]:
    return [[str(part) for part in each] for each in found]


def read_rows(rows: BatchRows, only: Collection[int] | None = None) -> Iterator[ReadRow]:
    """Every created row (or those at the positions `only`), in the source's order, with what was read."""
    for created in rows.created_rows(only):
        row, making = created.row, _making(created.attempts)
        # Never what its cells say now. Without attempts another batch created it, or the batch was rebuilt.
        sent = [row.holds] if row.holds is not None else list(dict.fromkeys(one.body for one in making))
        if not sent and not making and row.activity is not None:
            sent = [row.activity]
        found = created.differences
        yield ReadRow(
            row.position,
            row.number,
            row.activity_id or "",
            tuple(map(Activity.decoded, sent)),
            min((one.marked_at + one.clock_difference for one in making), default=None),
            max(((one.ended_at or one.marked_at) + one.clock_difference for one in making), default=None),
            created.read_at or "",
            None if found is None else tuple(map(_difference, found)),
        )


def _difference(plain: Sequence[str]) -> Difference:
    name, verdict, *rest = plain
    return Difference(name, ReadingVerdict(verdict), *rest)


def _making(attempts: Sequence[StoredAttempt]) -> list[StoredAttempt]:
    """Those of a row's attempts that may have created it."""
    return [one for one in attempts if one.outcome == OutcomeKind.CREATED] or [
        one for one in attempts if one.outcome in IN_DOUBT_OUTCOMES
    ]


# ---- summing up ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class FieldSummary:
    """How one field came back, over the rows that were found.

    examples: (row number, sent, stored, detail).
    """

    name: str
    sent: int = 0
    missing: int = 0
    altered: int = 0
    examples: list[tuple[int, str, str, str]] = field(default_factory=list)

    @property
    def equal(self) -> int:
        return self.sent - self.missing - self.altered

    def plain(self) -> dict[str, object]:
        """For `--json`."""
        examples = [
            {"row": number, "sent": sent, "stored": stored, "detail": detail}
            for number, sent, stored, detail in self.examples
        ]
        counts = {name: getattr(self, name) for name in ("sent", "equal", "missing", "altered")}
        return {"field": self.name, **counts, "examples": examples}


@dataclass(slots=True)
class VerificationSummary:
    """Rows by verdict, and every field that was sent, in the mapping's order."""

    rows: Counter[ReadingVerdict] = field(default_factory=Counter)
    fields: dict[str, FieldSummary] = field(default_factory=dict)
    not_found: list[int] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.rows.total()

    @property
    def all_equal(self) -> bool:
        return self.rows[ReadingVerdict.EQUAL] == self.total

    @property
    def differing(self) -> list[FieldSummary]:
        return [each for each in self.fields.values() if each.missing or each.altered]

    def add(self, row: ReadRow) -> None:
        self.rows[row.verdict] += 1
        if row.verdict is ReadingVerdict.NOT_FOUND and len(self.not_found) < EXAMPLES_PER_FIELD:
            self.not_found.append(row.number)
        if row.verdict in {ReadingVerdict.NOT_FOUND, ReadingVerdict.NOT_READ}:
            return
        for name in row.names:
            self._field(name).sent += 1
        for each in row.differences or ():
            summary = self._field(each.field)
            summary.sent += each.field in {ACCOUNT, EVENT}
            if each.verdict is ReadingVerdict.MISSING:
                summary.missing += 1
            else:
                summary.altered += 1
            if len(summary.examples) < EXAMPLES_PER_FIELD:
                summary.examples.append((row.number, each.sent, each.stored, each.detail))

    def _field(self, name: str) -> FieldSummary:
        return self.fields.setdefault(name, FieldSummary(name))


def summarise(rows: Iterable[ReadRow]) -> VerificationSummary:
    """The summary of `rows`."""
    summary = VerificationSummary()
    for row in rows:
        summary.add(row)
    return summary


# ---- reading back --------------------------------------------------------------------------------------


class VerificationPass(TenantWork):
    """One pass over the created rows of a batch that is owned. `stop` ends it early.

    only: positions to read, None for all that are not read yet.
    """

    nothing = "LeadSquared gave no answer"
    go_on = "Read back again"

    def __init__(
        self,
        owned: Ownership,
        connection: TenantConnection,
        options: SendOptions,
        *,
        only: Collection[int] | None = None,
    ) -> None:
        breaker = Breaker(options.max_outage_s, time.monotonic, failures_to_open=1, rows_to_open=1)
        super().__init__(breaker, connection.pace, time.monotonic)
        self._owned = owned
        self._tenant = connection.tenant
        self._readers = min(options.workers, READERS_MAX)
        self._groups = _groups(owned.rows, only)
        self.read = 0

    def __repr__(self) -> str:
        return f"<VerificationPass read={self.read} {self.breaker!r}>"

    async def run(self) -> None:
        """Reads all that there is to read, or until stopped: what was read is kept, and a read that is broken
        off does no harm.

        Raises WorkError when LeadSquared gives no answer for `--max-outage`, TenantError when the keys were
        revoked or may not read. A row about which alone no answer comes stays unread.
        """
        try:
            await self.each(self._groups, self._read, self._readers)
        finally:
            self._groups.close()
        if self.fault is not None:
            raise self.fault
        if self.stopped is not None and self.stopped.reason in {StopReason.OUTAGE, StopReason.QUOTA}:
            raise WorkError(self.stopped.message, where=self._tenant.base_url, remedy=KEPT)

    async def _read(self, rows: Sequence[ReadRow], tries: int = 0) -> None:
        """Until the rows are read. Where whoami is answered meanwhile, it is these rows: then one by one,
        then not at all."""
        while True:
            await self.may_call()
            try:
                found = await self.unless_stopped(self._find(rows))
            except ReadFailed as error:
                if error.outcome.kind in FINAL_FOR_ALL | REFUSALS:
                    raise _final(error) from error
                tries += 1
                if tries % TRIES_BEFORE_ASKING == 0 and await self._answers():
                    self.breaker.read_answered()
                    for row in rows if len(rows) > 1 else ():
                        await self._read([row], TRIES_BEFORE_ASKING - 1)
                    return
                self.breaker.read_failed(rows[0].position)
                self.check_trouble()
            else:
                if found is not None:
                    self._keep(rows, found)
                return

    def _keep(self, rows: Sequence[ReadRow], found: Mapping[str, StoredActivity]) -> None:
        self.breaker.read_answered()
        with self._owned.change() as change:
            read = [found.get(id_key(row.activity_id)) for row in rows]
            plain = {
                row.position: _plain(NOT_FOUND if stored is None else differences(row.sent, stored))
                for row, stored in zip(rows, read, strict=True)
            }
            change.keep_readings(plain, iso(time.time()))
        self.read += len(rows)

    async def _answers(self) -> bool:
        try:
            return await self.unless_stopped(self._tenant.current_user()) is not None
        except Unreachable:
            return False

    async def _find(self, rows: Sequence[ReadRow]) -> dict[str, StoredActivity]:
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

    async def _account(self, rows: Sequence[ReadRow]) -> dict[str, StoredActivity]:
        """What Retrieve shows of an account between the rows' calls; incomplete is as good as it gets."""
        company = rows[0].sent[-1].company_id if rows[0].sent else ""
        if not company:
            return {}
        now = time.time() + self._tenant.clock_difference_s
        since, until = min(row.since or now for row in rows), max(row.until or now for row in rows)
        window = (dt.datetime.fromtimestamp(at, dt.UTC) for at in (since - MARGIN_S, until + MARGIN_S))
        reading = await self._tenant.activities(company, *window)
        outcome = reading.outcome
        if outcome is not None and (outcome.kind not in REFUSALS or _is_about_rights(outcome)):
            raise ReadFailed(outcome, outcome.message, where=self._tenant.base_url)
        return {id_key(stored.id): stored for stored in reading.activities}


def _is_about_rights(outcome: Outcome) -> bool:
    """Any other refusal is about this account only: it was merged or deleted, say."""
    return outcome.code.lower().startswith("mxunauthori")


def _final(error: ReadFailed) -> ImporterError:
    """A refusal that asking again does not change."""
    if error.outcome.kind in REFUSALS:
        return TenantError(
            f"These keys may not read activities back: {error.what}",
            where=error.where,
            remedy="Use the keys of a user who may view activities of accounts. What was read is kept.",
        )
    return WorkError(
        error.what,
        where=error.where,
        remedy=f"{error.remedy} {KEPT}".strip(),
    )


# ---- which rows are read together ---------------------------------------------------------------------


def _groups(rows: BatchRows, only: Collection[int] | None) -> Generator[list[ReadRow]]:
    """The rows to read, in groups."""
    for _, found in groupby(rows.unread(only), key=itemgetter(0)):
        for some in chunked((position for _, position in found), TOGETHER_MAX):
            yield from _together(list(read_rows(rows, some)))


def _together(rows: Sequence[ReadRow]) -> Iterator[list[ReadRow]]:
    """Rows of one account, cut where they were sent far apart; each alone of which no call is known."""
    timed = [row for row in rows if row.since is not None and row.sent]
    yield from ([row] for row in rows if row.since is None or not row.sent)
    timed.sort(key=lambda row: (id_key(row.sent[-1].company_id), row.since or 0.0))
    group: list[ReadRow] = []
    for row in timed:
        if group:
            one, account = group[-1], id_key(row.sent[-1].company_id)
            same = id_key(one.sent[-1].company_id) == account
            if not same or (row.since or 0.0) - (one.until or 0.0) >= GAP_S:
                yield group
                group = []
        group.append(row)
    if group:
        yield group
