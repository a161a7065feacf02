"""The one writer of a batch while it is sent: many rows, one commit.

A thread takes whatever has gathered since its last commit and writes it in one transaction; only then is it
said to be there. A failure is final: nothing more is taken, so no further call can leave without its mark.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Boolean, Connection, Update, and_, bindparam, func, insert, not_, or_, select, update

from importer.activity import NOTE, Activity
from importer.errors import StoreError
from importer.store import schema
from importer.store.database import IdTakenError
from importer.store.ownership import Ownership, expect, keep_facts, plain
from importer.store.records import (
    AttemptResult,
    CorrectionMark,
    CorrectionResult,
    CorrectionStatus,
    Entry,
    Fact,
    Resolution,
    RowStatus,
    iso,
)

__all__ = ["IdTakenError", "StoreWriter"]

GROUP_MAX: Final = 1_000
T = TypeVar("T")
_row: Final = schema.row.c
_attempt: Final = schema.attempt.c
_field: Final = schema.correction.c
_plan: Final = schema.correction_plan.c


class _Mark(NamedTuple):
    """A call for this row is about to leave. body: what it sends, None when that is the row's activity."""

    attempt: int
    position: int
    body: bytes | None
    at: float
    clock_difference: float


_Waiting = tuple[Entry | _Mark, asyncio.Future[None]]


class StoreWriter:
    """Writes from `start` to `close`. To be used from one event loop. wall: Unix seconds.

    failure: why nothing more is taken; None as long as all is well. outstanding: entries not yet durable.
    """

    def __init__(self, owned: Ownership, wall: Callable[[], float] = time.time) -> None:
        self.owned = owned
        self.wall = wall
        self.failure: StoreError | None = None
        self.outstanding = 0
        self._attempt = owned.rows.last_attempt_id()
        self._entries: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="store-writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    def __repr__(self) -> str:
        batch = self.owned.rows.id
        return f"<StoreWriter {batch} outstanding={self.outstanding} failure={self.failure!r}>"

    def start(self) -> None:
        """Starts the thread. To be called in the loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def close(self) -> bool:
        """Returns when all that was submitted is durable (True), or has failed. Idempotent."""
        if not self._closed:
            self._closed = True
            self._entries.put(None)
            while self._thread.is_alive():
                await asyncio.to_thread(self._thread.join)
            await asyncio.sleep(0)  # futures are resolved in the loop
        whole = self.failure is None or self.failure is _OVER
        if whole:
            self.failure = _OVER
        return whole

    async def mark(self, position: int, body: bytes | None, clock_difference: float) -> tuple[int, float]:
        """Durably marks a pending row as being sent; the attempt's id and the time of the mark (`wall`).

        body: what is sent, None when that is the row's activity. Raises StoreError."""
        self._attempt += 1
        mark = _Mark(self._attempt, position, body, self.wall(), clock_difference)
        await self.submit(mark)
        return mark.attempt, mark.at

    async def write(self, entry: Entry) -> None:
        """Returns once `entry` is durable. Raises StoreError (IdTakenError) when it is not and never will
        be."""
        await self.submit(entry)

    def submit(self, entry: Entry | _Mark) -> asyncio.Future[None]:
        """The same without waiting. Entries become durable in the order of their submission. Raises
        StoreError at once when something before it could not be written."""
        if self.failure is not None:
            raise self.failure
        if self._loop is None:
            raise RuntimeError("the writer was not started")
        future: asyncio.Future[None] = self._loop.create_future()
        future.add_done_callback(self._done)
        self.outstanding += 1
        self._entries.put((entry, future))
        return future

    def _done(self, future: asyncio.Future[None]) -> None:
        self.outstanding -= 1
        if not future.cancelled():
            future.exception()  # whoever waits gets it; nobody has to

    # ---- the thread ---------------------------------------------------------------------------------

    def _write(self) -> None:
        while (group := self._gather()) is not None:
            try:
                self._commit(group)
            except StoreError as error:
                self._refuse(group, error)
                return
            except Exception as error:  # noqa: BLE001 - a fault of ours must not leave anybody waiting
                self._refuse(group, StoreError(f"The store's writer failed: {error!r}."))
                return

    def _gather(self) -> list[_Waiting] | None:
        """All that has gathered, at most GROUP_MAX; waits for the first. None at the end."""
        group = []
        found = self._entries.get()
        while found is not None:
            group.append(found)
            if len(group) >= GROUP_MAX:
                return group
            try:
                found = self._entries.get_nowait()
            except queue.Empty:
                return group
        if group:
            self._entries.put(None)
        return group or None

    def _commit(self, group: list[_Waiting]) -> None:
        try:
            self._apply([entry for entry, _ in group])
        except IdTakenError as error:
            if len(group) == 1:
                self._resolve(group, error)
                return
            # One of the group gives a row the Id of another: the others are not to suffer for it.
            for each in group:
                self._commit([each])
        else:
            self._resolve(group, None)

    def _apply(self, entries: Sequence[Entry | _Mark]) -> None:
        with self.owned.transaction() as connection:
            for some in _apart(entries):
                _Writing(connection, self.owned).write(some)

    def _refuse(self, group: list[_Waiting], error: StoreError) -> None:
        self.failure = error
        self._resolve(group, error)
        while (following := self._entries.get()) is not None:  # until close()
            self._resolve([following], error)

    def _resolve(self, group: Sequence[_Waiting], error: StoreError | None) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_resolved, [future for _, future in group], error)


_OVER: Final = StoreError("Nothing more is written: the run is over.")


def _resolved(futures: list[asyncio.Future[None]], error: StoreError | None) -> None:
    for future in futures:
        if future.done():  # who was cancelled meanwhile still finds the entry whole in the store
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


def _apart(entries: Sequence[Entry | _Mark]) -> Iterator[list[Entry | _Mark]]:
    """Cut where a row comes up again: its entries have an order."""
    some: list[Entry | _Mark] = []
    seen: set[int | str] = set()
    for entry in entries:
        one: int | str = entry.name if isinstance(entry, Fact) else entry.position
        if one in seen:
            yield some
            some, seen = [], set()
        seen.add(one)
        some.append(entry)
    yield some


class _Writing:
    """What one transaction does for entries of different rows: their order does not matter."""

    def __init__(self, connection: Connection, owned: Ownership) -> None:
        self._connection = connection
        self._database = owned.database
        self._key = owned.rows.key

    def write(self, entries: Sequence[Entry | _Mark]) -> None:
        """Each kind as one statement or two."""
        if marks := _of(entries, _Mark):
            self._marks(marks)
        if results := _of(entries, AttemptResult):
            self._results(results)
        if resolutions := _of(entries, Resolution):
            self._change(_RESOLVE, map(_row_values, resolutions))
        if facts := _of(entries, Fact):
            keep_facts(self._database, self._connection, self._key, {one.name: one.value for one in facts})
        if correction_marks := _of(entries, CorrectionMark):
            self._correction_marks(correction_marks)
        if correction_results := _of(entries, CorrectionResult):
            self._correction_results(correction_results)

    def _change(self, statement: Update, parameters: Iterable[dict[str, Any]]) -> None:
        """Each of them must fit one row, in the state that it is in."""
        bound = [{"b_batch": self._key, **each} for each in parameters]
        expect(self._connection.execute(statement, bound).rowcount, len(bound))

    def _marks(self, marks: list[_Mark]) -> None:
        self._connection.execute(
            insert(schema.attempt).values(stored_at=self._database.clock()),
            [
                {
                    "batch": self._key, "id": mark.attempt, "position": mark.position, "body": mark.body,
                    "marked_at": mark.at, "clock_difference": mark.clock_difference,
                }
                for mark in marks
            ],
        )  # fmt: skip
        self._change(
            _MARK_ROW, ({"b_position": mark.position, "b_changed_at": iso(mark.at)} for mark in marks)
        )

    def _results(self, results: list[AttemptResult]) -> None:
        self._change(
            _END_ATTEMPT,
            (
                {
                    "b_id": one.attempt, "b_left_at": one.left_at, "b_ended_at": one.at,
                    "b_http_status": one.http_status, "b_outcome": str(one.outcome),
                    "b_code": plain(one.code), "b_detail": plain(one.detail),
                }
                for one in results
            ),
        )  # fmt: skip
        self._change(
            _END_ROW,
            (
                {**_row_values(one), "b_unspent": int(not one.spent), "b_doubted": one.doubted}
                for one in results
            ),
        )

    def _correction_marks(self, marks: list[CorrectionMark]) -> None:
        """What LeadSquared held before the first Update of a field stays."""
        self._change(
            _MARK_FIELD,
            (
                {
                    "b_position": mark.position, "b_field": field, "b_replaced": plain(value),
                    "b_changed_at": iso(mark.at),
                }
                for mark in marks
                for field, value in mark.replaced.items()
            ),
        )  # fmt: skip

    def _correction_results(self, results: list[CorrectionResult]) -> None:
        self._change(
            _END_FIELD,
            (
                {
                    "b_position": one.position, "b_field": field, "b_status": int(one.status),
                    "b_code": plain(one.code), "b_error": plain(one.error), "b_changed_at": iso(one.at),
                }
                for one in results
                for field in one.fields
            ),
        )  # fmt: skip
        for one in results:
            if one.status is CorrectionStatus.CORRECTED:
                self._take_over(one)

    def _take_over(self, one: CorrectionResult) -> None:
        """What the row holds now; its cells once all that was planned is corrected."""
        ours = and_(_plan.batch == self._key, _plan.position == one.position)
        planned = select(_plan.round, _plan.cells, _plan.holds).where(ours).order_by(_plan.round.desc())
        last, cells, holds = self._connection.execute(planned.limit(1)).one()
        left = select(_field.field, _field.before).where(
            _field.batch == self._key,
            _field.round == last,
            _field.position == one.position,
            _field.status != int(CorrectionStatus.CORRECTED),
        )
        before = {field: value for field, value in self._connection.execute(left)}  # noqa: C416 - rows are no pairs
        values = {"holds": _without(holds, before), "changed_at": iso(one.at)}
        self._connection.execute(
            update(schema.row)
            .where(_row.batch == self._key, _row.position == one.position)
            .values(values if before else {**values, "cells": cells})
        )


def _of(entries: Sequence[Entry | _Mark], kind: type[T]) -> list[T]:
    return [entry for entry in entries if isinstance(entry, kind)]


def _row_values(one: AttemptResult | Resolution) -> dict[str, Any]:
    return {
        "b_position": one.position, "b_status": int(one.status), "b_activity_id": one.activity_id,
        "b_error_code": plain(one.error_code), "b_error": plain(one.error), "b_changed_at": iso(one.at),
    }  # fmt: skip


def _without(holds: bytes, before: dict[str, str]) -> bytes:
    """An activity with these fields as they were."""
    if not before:
        return holds
    planned = Activity.decoded(holds)
    fields = [(name, before.get(name, value)) for name, value in planned.fields]
    known = {name for name, _ in fields}
    fields += [(name, value) for name, value in before.items() if name not in known and name != NOTE]
    kept = tuple((name, value) for name, value in fields if value or name not in before)
    return Activity(planned.company_id, planned.event, before.get(NOTE, planned.note), kept).encoded()


_THIS_ROW: Final = and_(_row.batch == bindparam("b_batch"), _row.position == bindparam("b_position"))
_SENDING: Final = int(RowStatus.SENDING)
_MARK_ROW: Final = (
    update(schema.row)
    .where(_THIS_ROW, _row.status == int(RowStatus.PENDING))
    .values(status=_SENDING, attempts=_row.attempts + 1, changed_at=bindparam("b_changed_at"))
)
_ENDING: Final = ("left_at", "ended_at", "http_status", "outcome", "code", "detail")
_END_ATTEMPT: Final = (
    update(schema.attempt)
    .where(_attempt.batch == bindparam("b_batch"), _attempt.id == bindparam("b_id"))
    .values({name: bindparam(f"b_{name}") for name in _ENDING})
)
_RESOLVED: Final[dict[str, Any]] = {
    name: bindparam(f"b_{name}") for name in ("status", "activity_id", "error_code", "error", "changed_at")
}
_RESOLVE: Final = update(schema.row).where(_THIS_ROW).values(_RESOLVED)
# What a person saw was seen before this call: of what it may have created they know nothing.
_END_ROW: Final = (
    update(schema.row)
    .where(_THIS_ROW, _row.status == _SENDING)
    .values(
        {
            **_RESOLVED,
            "attempts": _row.attempts - bindparam("b_unspent"),
            "doubted": or_(_row.doubted, bindparam("b_doubted", type_=Boolean)),
            "released": and_(_row.released, not_(bindparam("b_doubted", type_=Boolean))),
        }
    )
)
_THIS_FIELD: Final = and_(
    _field.batch == bindparam("b_batch"),
    _field.position == bindparam("b_position"),
    _field.field == bindparam("b_field"),
    or_(
        _field.status == int(CorrectionStatus.PLANNED), _field.status == int(CorrectionStatus.SENDING)
    ),  # not IN: it cannot be executed for many rows at once
)
_MARK_FIELD: Final = (
    update(schema.correction)
    .where(_THIS_FIELD)
    .values(
        status=int(CorrectionStatus.SENDING),
        attempts=_field.attempts + 1,
        replaced=func.coalesce(_field.replaced, bindparam("b_replaced")),
        changed_at=bindparam("b_changed_at"),
    )
)
_END_FIELD: Final = (
    update(schema.correction)
    .where(_THIS_FIELD)
    .values({name: bindparam(f"b_{name}") for name in ("status", "code", "error", "changed_at")})
)
