"""Batches that this process may change: a new one while it is staged, and one that it owns.

One process owns a batch at a time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, Self

from sqlalchemy import Connection, Update, and_, bindparam, case, delete, insert, select, update

from importer.activity import addressed, fingerprint
from importer.errors import StoreError
from importer.store import schema
from importer.store.batch_rows import ASKED_MAX, BatchRows, chunked
from importer.store.database import Database
from importer.store.duplicates import DuplicateCheck
from importer.store.records import (
    CHUNK_ROWS,
    Batch,
    CorrectionStatus,
    Earlier,
    PlannedCorrection,
    RowStatus,
    StoredRow,
    iso,
)

ALIVE_EVERY_S: Final = 5.0
_row: Final = schema.row.c
_attempt: Final = schema.attempt.c
_ERASED: Final = (schema.lookup, schema.reading, schema.correction, schema.fact)
_KEPT_FACTS: Final = ("seconds", "throttled", "rate")
REMOVED_TOGETHER: Final = 20_000


def plain(text: str) -> str:
    """Any text as a database can hold it (PostgreSQL's texts cannot hold NUL)."""
    return text.replace("\0", "\ufffd") if "\0" in text else text


def columns_of(row: StoredRow, **others: object) -> dict[str, Any]:
    """Column → value of a row, those that are kept in step with its activity among them. others: in place of
    what is in it. Raises ValueError or KeyError where the activity is none."""
    body = row.activity
    account, event = ("", None) if body is None else addressed(body)
    return {
        **row._asdict(),
        "status": int(row.status),
        "error_code": plain(row.error_code),
        "error": plain(row.error),
        "fingerprint": None if body is None else fingerprint(body),
        "account": account.lower(),
        "event": event,
        **others,
    }


class BatchChange:
    """One transaction on a batch that is owned or staged: all of it, or nothing. See `Ownership.change`.

    rows: reads inside this transaction, and sees what was changed in it.
    """

    def __init__(self, rows: BatchRows, connection: Connection) -> None:
        self._database = rows.database
        self._connection = connection
        self._key = rows.key
        self.rows = rows.inside(connection)

    def change_rows(self, rows: Iterable[StoredRow]) -> None:
        """Rows as they are from now on, written in chunks. A row that is being sent stays so: only the writer
        marks, and only `interrupted` unmarks. Raises StoreError where one is not there or breaks a rule of
        the schema (a created row goes back; IdTakenError: an Id that another row has)."""
        for some in chunked(rows, CHUNK_ROWS):
            for statement, sending in ((_CHANGE, False), (_CHANGE_SENDING, True)):
                changed = [
                    {f"b_{name}": value for name, value in columns_of(row).items()}
                    for row in some
                    if (row.status is RowStatus.SENDING) == sending
                ]
                self.execute_each(statement, changed)

    def execute_each(self, statement: Update, parameters: Iterable[dict[str, Any]]) -> None:
        """For this room. Each of them must fit one row, in the state that it is in."""
        if bound := [{"b_batch": self._key, **each} for each in parameters]:
            expect(self._connection.execute(statement, bound).rowcount, len(bound))

    def take_over(self, found: Iterable[Earlier], at: str) -> int:
        """Rows that another batch created are created, with its row's Id and without an attempt; how many.
        at: UTC, ISO 8601."""
        taken = [
            {
                "b_position": one.position, "b_activity_id": one.activity_id, "b_creator": one.batch,
                "b_taken_position": one.batch_position, "b_changed_at": at,
            }
            for one in found
        ]  # fmt: skip
        self.execute_each(_TAKE_OVER, taken)
        return len(taken)

    def keep_sent_bodies(self, positions: Iterable[int]) -> None:
        """What earlier attempts of these rows sent is kept with them. To be called before a row's activity
        changes; it is what is looked for, whatever the sheet says now."""
        now = (
            select(_row.activity)
            .where(_row.batch == _attempt.batch, _row.position == _attempt.position)
            .scalar_subquery()
        )
        for some in chunked(positions):
            self._connection.execute(
                update(schema.attempt)
                .where(_attempt.batch == self._key, _attempt.position.in_(some), _attempt.body.is_(None))
                .values(body=now)
            )

    def assume_sent(
        self, sent: Mapping[int, bytes], since: float, *, detail: str, code: str, error: str
    ) -> None:
        """Rows of a batch that may have been sent without our knowledge: an attempt is assumed for each
        (position → body) at `since` (Unix seconds, by the tenant's clock), and the row is DOUBTFUL."""
        last = self.rows.last_attempt_id()
        insertion = insert(schema.attempt).values(stored_at=self._database.clock())
        doubtful = {
            "status": int(RowStatus.DOUBTFUL), "doubted": True, "error_code": code, "error": plain(error),
        }  # fmt: skip
        for some in chunked(sent.items()):
            attempts = [
                {
                    "batch": self._key, "id": last + count, "position": position, "body": body,
                    "marked_at": since, "clock_difference": 0.0, "detail": plain(detail), "assumed": True,
                }
                for count, (position, body) in enumerate(some, start=1)
            ]  # fmt: skip
            last += len(some)
            self._connection.execute(insertion, attempts)
            self._change_at([position for position, _ in some], doubtful)

    def interrupted(self, *, code: str, error: str) -> int:
        """Rows that are marked while nobody sends: their calls were interrupted, and are in doubt. How
        many."""
        doubtful = {
            "status": int(RowStatus.DOUBTFUL), "doubted": True, "released": False, "error_code": code,
            "error": plain(error),
        }  # fmt: skip
        marked = and_(_row.batch == self._key, _row.status == int(RowStatus.SENDING))
        return self._connection.execute(update(schema.row).where(marked).values(doubtful)).rowcount

    def deleted_by_hand(self, positions: Iterable[int], at: str) -> None:
        """Created rows whose activity is gone from LeadSquared: PENDING again; the old Id stays
        claimed. The only way back from created. at: UTC, ISO 8601."""
        claim = schema.claim.c
        for some in chunked(positions):
            self._connection.execute(
                update(schema.claim)
                .where(claim.batch == self._key, claim.position.in_(some), claim.deleted_at.is_(None))
                .values(deleted_at=at)
            )
            pending = {"status": int(RowStatus.PENDING), "activity_id": None, "changed_at": at}
            self._change_at(some, {**pending, "error_code": "", "error": ""})

    def _change_at(self, positions: Collection[int], values: dict[str, Any]) -> None:
        statement = update(schema.row).where(_row.batch == self._key, _row.position.in_(positions))
        expect(self._connection.execute(statement.values(values)).rowcount, len(positions))

    def keep_facts(self, **facts: object) -> None:
        """Keeps facts (JSON values), each replacing the one of the same name."""
        rows = [{"batch": self._key, "name": name, "value": _json(value)} for name, value in facts.items()]
        self._database.upsert(self._connection, schema.fact, rows)

    def keep_lookups(self, answers: Mapping[str, str]) -> None:
        """Adds what was looked up: question → Id."""
        for some in chunked(answers.items(), CHUNK_ROWS):
            rows = [{"batch": self._key, "question": plain(one), "answer": plain(two)} for one, two in some]
            self._database.upsert(self._connection, schema.lookup, rows)

    def keep_readings(self, read: Mapping[int, list[list[str]]], at: str) -> None:
        """What was read back, by position: differences as lists of texts, [] is equal. at: UTC, ISO 8601."""
        for some in chunked(read.items(), CHUNK_ROWS):
            rows = [
                {"batch": self._key, "position": position, "read_at": at, "differences": _json(found)}
                for position, found in some
            ]
            self._database.upsert(self._connection, schema.reading, rows)

    def forget_readings(self, only: list[list[str]] | None = None) -> None:
        """All of them, or those that are exactly `only`."""
        statement = delete(schema.reading).where(schema.reading.c.batch == self._key)
        if only is not None:
            statement = statement.where(schema.reading.c.differences == _json(only))
        self._connection.execute(statement)

    def plan_corrections(self, plans: Iterable[PlannedCorrection], *, at: str, undo: bool = False) -> int:
        """Adds a round; its number. What an earlier round did not finish of the same rows (undo: of any row)
        is WITHDRAWN (undo: which changes the row, so that its line in a results file is older from then on);
        what LeadSquared held before it is what it held before this round too. at: UTC, ISO 8601."""
        number = self.rows.last_round() + 1
        withdrawn = update(schema.correction).values(status=int(CorrectionStatus.WITHDRAWN), changed_at=at)
        one = schema.correction.c
        open_ = and_(
            one.batch == self._key,
            one.status.in_([int(CorrectionStatus.PLANNED), int(CorrectionStatus.SENDING)]),
        )
        if undo:
            left = _row.position.in_(select(one.position).where(open_))
            self._connection.execute(
                update(schema.row).where(_row.batch == self._key, left).values(changed_at=at)
            )
        for some in chunked(plans, ASKED_MAX):
            same_rows = and_(open_, one.position.in_([each.position for each in some]))
            asked = select(one.position, one.field, one.replaced).where(same_rows)
            held = {(position, field): text for position, field, text in self._connection.execute(asked)}
            self._connection.execute(withdrawn.where(same_rows))
            changes = [
                {
                    "batch": self._key, "round": number, "position": each.position, "field": field,
                    "before": plain(before), "after": plain(after),
                    "replaced": None if undo else held.get((each.position, field)),
                    "undo": undo, "cells": each.cells, "status": int(CorrectionStatus.PLANNED),
                    "changed_at": at,
                }
                for each in some
                for field, (before, after) in each.fields.items()
            ]  # fmt: skip
            if changes:
                self._connection.execute(insert(schema.correction), changes)
        if undo:
            self._connection.execute(withdrawn.where(open_, one.round < number))
        return number

    def erase(self) -> None:
        """Removes the customer data, in one transaction: cells, bodies, messages, lookups, readings,
        corrections, headings, mapping. Rows that were pending are skipped: nothing can send them any more."""
        batch, kept = self.rows.batch(), self.rows.facts()
        gone = {"cells": "", "problem": None, "error": "", "account": "", "holds": None}
        pending, skipped = int(RowStatus.PENDING), int(RowStatus.SKIPPED)
        self._connection.execute(
            update(schema.row)
            .where(_row.batch == self._key)
            .values(
                **gone,
                activity=case((_row.activity.is_(None), None), else_=b""),
                status=case((_row.status == pending, skipped), else_=_row.status),
            )
        )
        ours = _attempt.batch == self._key
        self._connection.execute(update(schema.attempt).where(ours).values(body=None, detail=""))
        for table in _ERASED:
            self._connection.execute(delete(table).where(table.c.batch == self._key))
        this = schema.batch.c.key == self._key
        self._connection.execute(update(schema.batch).where(this).values(erased_at=iso(time.time())))
        blank = {**batch.facts(), "header": [""] * len(batch.header), "mapping": {}, "sheet": None}
        self.keep_facts(**{name: kept[name] for name in _KEPT_FACTS if name in kept}, **blank)

    def duplicates(self, batch: Batch, positions: Collection[int]) -> DuplicateCheck:
        """Pending rows at `positions`, as they are inside this transaction, compared with other batches."""
        return DuplicateCheck(self._database, batch, positions=positions, connection=self._connection)


class Ownership:
    """A batch that this process owns until `close` or its end. A context manager.

    number: counts up with every owner; each write transaction checks it, so that a process that lost the
    batch can write nothing more (StoreError). taken_over_s: None when the earlier owner is known to have
    ended (embedded store), or left no mark without an outcome. Else how long ago (seconds, the database's
    clock) the newest such mark was made: its call may leave until 10 s after it, and be answered until the
    time-out after that. Safe to use beside the writer's thread: one transaction at a time.
    """

    def __init__(
        self,
        rows: BatchRows,
        connection: Connection,
        held: ExitStack,
        *,
        number: int,
        taken_over_s: float | None = None,
    ) -> None:
        self.rows = rows
        self.number = number
        self.taken_over_s = taken_over_s
        self.connection = connection
        self._held: ExitStack | None = held
        self._one_at_a_time = threading.RLock()
        self._ended = threading.Event()
        if rows.database.dialect == "postgresql":
            threading.Thread(target=self._keep_alive, name="store-owner", daemon=True).start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number} of {self.rows.id}>"

    @contextmanager
    def change(self) -> Iterator[BatchChange]:
        """One transaction for changes while no call is under way. Hold it for computing and writing only,
        never while a person thinks."""
        with self.transaction(patient=True) as connection:
            yield BatchChange(self.rows, connection)

    @contextmanager
    def transaction(self, *, patient: bool = False) -> Iterator[Connection]:
        """For this room: one that ends with StoreError where this process is not the owner any more."""
        with self._one_at_a_time:
            if self._held is None:
                raise StoreError("This process does not own the batch any more.", where=self.rows.id)
            with self.rows.database.writing(self.connection, patient=patient) as connection:
                batch = schema.batch.c
                still = (
                    update(schema.batch)
                    .where(batch.key == self.rows.key, batch.owner == self.number)
                    .values(owner_seen=self.rows.database.clock())
                )
                if connection.execute(still).rowcount != 1:
                    raise StoreError(
                        "Another process has taken this batch over.",
                        where=self.rows.id,
                        remedy="Nothing more is sent from here. See `importer status` for who works on it.",
                    )
                yield connection

    def _keep_alive(self) -> None:
        """Says that this process lives, while it may be waiting for a person's answer."""
        while not self._ended.wait(ALIVE_EVERY_S):
            try:
                with self.transaction():
                    pass
            except StoreError:
                return  # whoever writes next is told

    def keep_facts(self, **facts: object) -> None:
        """`change` with nothing but facts."""
        with self.change() as change:
            change.keep_facts(**facts)

    def release(self) -> ExitStack | None:
        """For this room: what gives lock and connection back is the caller's from now on; None if it was
        given back."""
        self._ended.set()
        with self._one_at_a_time:
            held, self._held = self._held, None
        return held

    def close(self) -> None:
        """Gives the batch back. Idempotent."""
        if held := self.release():
            held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Staging(Ownership):
    """Rows on their way to a batch, invisible until `Store.publish`. What was not published at its end is
    discarded. What a killed process leaves is removed by the next command that stages.

    rows: reads what was staged so far (facts are empty until it is published).
    """

    def __init__(self, rows: BatchRows, connection: Connection, held: ExitStack) -> None:
        super().__init__(rows, connection, held, number=0)
        self._last = 0

    def add(self, rows: Iterable[StoredRow], at: str) -> int:
        """Appends rows in the source's order, committed in chunks; how many. No transaction is open while the
        iterable computes. at: UTC, ISO 8601."""
        before = self._last
        for some in chunked(rows, CHUNK_ROWS):
            values = [
                columns_of(row, batch=self.rows.key, position=position, changed_at=at)
                for position, row in enumerate(some, self._last + 1)
            ]
            with self.transaction() as connection:
                self.rows.database.insert_rows(connection, schema.row, values)
            self._last += len(some)
        return self._last - before

    def close(self) -> None:
        """Leaves nothing; of what was published, everything. What cannot be removed now is removed later."""
        if held := self.release():
            with held, suppress(StoreError):
                held.callback(self.rows.database.forget_lock, self.rows.id)
                remove_rows(self.rows.database, self.rows.key, self.connection)


def remove_rows(database: Database, key: int, connection: Connection | None = None) -> None:
    """Removes a batch that was never published, in steps that hold nobody up."""
    row = schema.row.c
    while True:
        with database.writing(connection) as writing:
            last = writing.execute(
                select(row.position)
                .where(row.batch == key)
                .order_by(row.position)
                .offset(REMOVED_TOGETHER - 1)
                .limit(1)
            ).scalar()
            if last is None:
                writing.execute(delete(schema.batch).where(schema.batch.c.key == key))
                return
            writing.execute(delete(schema.row).where(row.batch == key, row.position <= last))


def expect(found: int, wanted: int) -> None:
    """Raises StoreError when a change fits no row, or not the state that its row is in."""
    if found != wanted:
        raise StoreError(f"A change was written that fits no row ({wanted - found} of {wanted}).")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


THIS_ROW: Final = and_(_row.batch == bindparam("b_batch"), _row.position == bindparam("b_position"))
_KEPT_IN_STEP: Final = ("fingerprint", "account", "event")
_CHANGE_SENDING: Final = (
    update(schema.row)
    .where(THIS_ROW)
    .values(
        {
            name: bindparam(f"b_{name}")
            for name in (*StoredRow._fields, *_KEPT_IN_STEP)
            if name not in {"position", "status"}
        }
    )
)
_CHANGE: Final = _CHANGE_SENDING.values(status=bindparam("b_status"))
_CREATOR: Final = select(schema.batch.c.key).where(schema.batch.c.id == bindparam("b_creator"))
_TAKE_OVER: Final = (
    update(schema.row)
    .where(THIS_ROW)
    .values(
        status=int(RowStatus.CREATED),
        activity_id=bindparam("b_activity_id"),
        taken_batch=_CREATOR.scalar_subquery(),
        taken_position=bindparam("b_taken_position"),
        changed_at=bindparam("b_changed_at"),
    )
)
