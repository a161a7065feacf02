"""A batch while it is staged: rows that nobody sees until they are published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Self

from sqlalchemy import Connection, delete, select

from importer.errors import StoreError
from importer.store import schema
from importer.store.batch_rows import BatchRows, chunked
from importer.store.database import Database, Lock
from importer.store.ownership import BatchChange, of_activity, plain
from importer.store.records import CHUNK_ROWS, StagedRow

REMOVED_TOGETHER: Final = 20_000


class Staging:
    """Rows on their way to a batch, invisible until `Store.publish`. A context manager: what was not
    published at its end is discarded. What a killed process leaves is removed by the next command that
    stages.

    rows: reads what was staged so far (facts are empty until it is published).
    """

    def __init__(self, database: Database, connection: Connection, lock: Lock, rows: BatchRows) -> None:
        self.id = rows.id
        self.rows = rows
        self._database = database
        self._connection = connection
        self._lock: Lock | None = lock
        self._last = 0

    def __repr__(self) -> str:
        return f"<Staging {self.id} rows={self._last}>"

    def add(self, rows: Iterable[StagedRow], at: str) -> int:
        """Appends rows in the source's order, committed in chunks; how many. No transaction is open while the
        iterable computes. at: UTC, ISO 8601."""
        before = self._last
        for some in chunked(rows, CHUNK_ROWS):
            values = [self._column_values(row, at, self._last + count) for count, row in enumerate(some, 1)]
            with self._database.writing(self._connection) as connection:
                self._database.insert_rows(connection, schema.row, values)
            self._last += len(some)
        return self._last - before

    def _column_values(self, row: StagedRow, at: str, position: int) -> dict[str, Any]:
        return {
            "batch": self.rows.key,
            "position": position,
            "number": row.number,
            "cells": row.cells,
            "problem": row.problem,
            "status": int(row.status),
            "activity_id": row.activity_id,
            "error_code": row.error_code,
            "error": plain(row.error),
            "attempts": row.attempts,
            "changed_at": at,
            **of_activity(row.activity),
        }

    @contextmanager
    def change(self) -> Iterator[BatchChange]:
        """Changes to staged rows (mapped again, taken over), lookups and facts, as one transaction."""
        if self._lock is None:
            raise StoreError("This batch is not staged any more.", where=self.id)
        with self._database.writing(self._connection, patient=True) as connection:
            yield BatchChange(self._database, connection, self.rows.key, self.id)

    def release(self) -> tuple[Lock, Connection]:
        """For this room: lock and connection, which are the caller's from now on."""
        lock, self._lock = self._lock, None
        if lock is None:
            raise StoreError("This batch is not staged any more.", where=self.id)
        return lock, self._connection

    def discard(self) -> None:
        """Leaves nothing; of what was published, everything. What cannot be removed now is removed later."""
        if self._lock is None:
            return
        lock, connection = self.release()
        try:
            with suppress(StoreError):
                remove_rows(self._database, self.rows.key, connection)
        finally:
            lock.forget()
            with suppress(Exception):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


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
