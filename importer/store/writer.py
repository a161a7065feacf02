"""The one writer of a batch while it is sent: many rows, one commit.

Whatever has gathered since the last commit is written in one transaction, in a thread; only then is it said
to be there. A failure is final: nothing more is taken, so no further call can leave without its mark.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Boolean, and_, bindparam, func, insert, not_, or_, select, update

from importer.activity import Activity
from importer.errors import StoreError
from importer.store import schema
from importer.store.database import IdTakenError
from importer.store.ownership import THIS_ROW, BatchChange, Ownership, plain
from importer.store.records import (
    AttemptResult,
    CorrectionChange,
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


class _Mark(NamedTuple):
    """A call for this row is about to leave. body: what it sends, None when that is the row's activity."""

    attempt: int
    position: int
    body: bytes | None
    at: float
    clock_difference: float


_Waiting = tuple[Entry | _Mark, asyncio.Future[None]]


class StoreWriter:
    """Writes until `close`. To be used from one event loop. wall: Unix seconds.

    failure: why nothing more is taken; None as long as all is well.
    """

    def __init__(self, owned: Ownership, wall: Callable[[], float] = time.time) -> None:
        self.owned = owned
        self.wall = wall
        self.failure: StoreError | None = None
        self._attempt = owned.rows.last_attempt_id()
        self._waiting: deque[_Waiting] = deque()
        self._writing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        batch = self.owned.rows.id
        return f"<StoreWriter {batch} waiting={len(self._waiting)} failure={self.failure!r}>"

    async def close(self) -> bool:
        """Returns when all that was submitted is durable (True), or has failed. Idempotent."""
        if self._writing is not None:
            await asyncio.wait([self._writing])
        whole = self.failure is None or self.failure is _OVER
        if whole:
            self.failure = _OVER
        return whole

    async def mark(self, position: int, body: bytes | None, clock_difference: float) -> tuple[int, float]:
        """Durably marks a pending row as being sent; the attempt's id and the time of the mark (`wall`).

        body: what is sent, None when that is the row's activity. Raises StoreError."""
        self._attempt += 1
        mark = _Mark(self._attempt, position, body, self.wall(), clock_difference)
        await self.write(mark)
        return mark.attempt, mark.at

    def write(self, entry: Entry | _Mark) -> asyncio.Future[None]:
        """Done once `entry` is durable; StoreError (IdTakenError) when it is not and never will be. Entries
        become durable in the order of their submission. Raises StoreError at once when something before it
        could not be written."""
        if self.failure is not None:
            raise self.failure
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_seen)
        self._waiting.append((entry, future))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return future

    async def _write_all(self) -> None:
        """All that waits, at most GROUP_MAX at a time."""
        while self._waiting:
            await self._commit([self._waiting.popleft() for _ in range(min(GROUP_MAX, len(self._waiting)))])

    async def _commit(self, group: list[_Waiting]) -> None:
        try:
            if self.failure is not None:
                raise self.failure  # noqa: TRY301 - what waited behind it
            await asyncio.to_thread(self._apply, [entry for entry, _ in group])
        except IdTakenError as error:
            if len(group) == 1:
                _resolve(group, error)
                return
            # One of the group gives a row the Id of another: the others are not to suffer for it.
            for each in group:
                await self._commit([each])
        except StoreError as error:
            self.failure = error
            _resolve(group, error)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not leave anybody waiting
            self.failure = StoreError(f"The store's writer failed: {error!r}.")
            _resolve(group, self.failure)
        else:
            _resolve(group, None)

    def _apply(self, entries: Sequence[Entry | _Mark]) -> None:
        with self.owned.transaction() as connection:
            writing = _Writing(self.owned.rows, connection)
            for some in _apart(entries):
                writing.write(some)


_OVER: Final = StoreError("Nothing more is written: the run is over.")


def _seen(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()  # whoever waits gets it; nobody has to


def _resolve(group: Sequence[_Waiting], error: StoreError | None) -> None:
    for _, future in group:
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


class _Writing(BatchChange):
    """What one transaction does for entries of different rows: their order does not matter."""

    def write(self, entries: Sequence[Entry | _Mark]) -> None:
        """Each kind as one statement or two."""
        if marks := _of(entries, _Mark):
            self._marks(marks)
        self._results(_of(entries, AttemptResult))
        self.execute_each(_RESOLVE, map(_row_values, _of(entries, Resolution)))
        self.keep_facts(**{one.name: one.value for one in _of(entries, Fact)})
        self._corrections(_of(entries, CorrectionChange))

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
        self.execute_each(
            _MARK_ROW, ({"b_position": mark.position, "b_changed_at": iso(mark.at)} for mark in marks)
        )

    def _results(self, results: list[AttemptResult]) -> None:
        self.execute_each(
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
        self.execute_each(
            _END_ROW,
            (
                {**_row_values(one), "b_unspent": int(not one.spent), "b_doubted": one.doubted}
                for one in results
            ),
        )

    def _corrections(self, changes: list[CorrectionChange]) -> None:
        """What LeadSquared held before the first Update of a field stays."""
        self.execute_each(
            _CHANGE_FIELD,
            (
                {
                    "b_position": one.position, "b_field": field, "b_status": int(one.status),
                    "b_replaced": None if held is None else plain(held), "b_code": plain(one.code),
                    "b_error": plain(one.error), "b_changed_at": iso(one.at),
                    "b_left": int(one.status is CorrectionStatus.SENDING),
                }
                for one in changes
                for field, held in one.fields.items()
            ),
        )  # fmt: skip
        for one in changes:
            if one.status is CorrectionStatus.CORRECTED:
                self._take_over_correction(one)

    def _take_over_correction(self, one: CorrectionChange) -> None:
        """What the row holds now; its cells once all that was planned is corrected."""
        ours = and_(_field.batch == self._key, _field.position == one.position)
        last = select(func.max(_field.round)).where(ours).scalar_subquery()
        asked = select(_field.field, _field.after, _field.status, _field.cells)
        fields = self._connection.execute(asked.where(ours, _field.round == last)).all()
        after = {field: text for field, text, *_ in fields if field in one.fields}
        row = self.rows.row(one.position)
        holds = Activity.decoded(row.holds or row.activity or b"").corrected(after).encoded()
        values = {"holds": holds, "changed_at": iso(one.at)}
        if all(status == int(CorrectionStatus.CORRECTED) for _, _, status, _ in fields):
            values["cells"] = fields[0].cells
        self._change_at([one.position], values)


def _of(entries: Sequence[Entry | _Mark], kind: type[T]) -> list[T]:
    return [entry for entry in entries if isinstance(entry, kind)]


def _row_values(one: AttemptResult | Resolution) -> dict[str, Any]:
    return {
        "b_position": one.position, "b_status": int(one.status), "b_activity_id": one.activity_id,
        "b_error_code": plain(one.error_code), "b_error": plain(one.error), "b_changed_at": iso(one.at),
    }  # fmt: skip


_SENDING: Final = int(RowStatus.SENDING)
_MARK_ROW: Final = (
    update(schema.row)
    .where(THIS_ROW, _row.status == int(RowStatus.PENDING))
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
_RESOLVE: Final = update(schema.row).where(THIS_ROW).values(_RESOLVED)
# What a person saw was seen before this call: of what it may have created they know nothing.
_END_ROW: Final = (
    update(schema.row)
    .where(THIS_ROW, _row.status == _SENDING)
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
_CHANGE_FIELD: Final = (
    update(schema.correction)
    .where(_THIS_FIELD)
    .values(
        {
            **{name: bindparam(f"b_{name}") for name in ("status", "code", "error", "changed_at")},
            "attempts": _field.attempts + bindparam("b_left"),
            "replaced": func.coalesce(_field.replaced, bindparam("b_replaced")),
        }
    )
)
