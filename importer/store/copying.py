"""An embedded store taken along to a team's: everything, all of it at once, and never two that diverge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Table, func, insert, select, update

from importer.errors import ResultsError, StoreError
from importer.store import schema
from importer.store.database import Database
from importer.store.records import CHUNK_ROWS

_batch: Final = schema.batch.c
_PARTS: Final = (
    schema.row, schema.attempt, schema.lookup, schema.reading, schema.correction_plan, schema.correction,
    schema.fact, schema.digest,
)  # fmt: skip
"""What belongs to a batch, in an order in which nothing is missing."""
_COMPARED: Final = (schema.row, schema.attempt, schema.correction)


def copy_batches(source: Database, target: Database, progress: Callable[[int], None] | None) -> int:
    """How many rows were copied. Raises ResultsError when a batch is in use, or is there with other contents.

    The source is read-only before anything is visible at the target: a copy that is interrupted is repeated.
    """
    with ExitStack() as stack:
        batches = _batches(source)
        ours = stack.enter_context(source.connection())
        for each in batches:
            stack.enter_context(_locked(source, ours, each.id))
        there = {each.key: key for each in batches if (key := _whole(source, target, each)) is not None}
        wanted = [each for each in batches if each.key not in there]
        _move(source, target)
        connection = stack.enter_context(target.connection(durable=False))
        for each in wanted:
            stack.enter_context(_locked(target, connection, each.id))
        copying = _Copying(source, target, connection, there, progress)
        for each in wanted:
            copying.copy(each)
        durable = stack.enter_context(target.durable(connection))
        with target.writing(durable, patient=True) as writing:
            for each in wanted:
                copying.publish(writing, each)
    return copying.rows


class _Copying:
    """keys: a batch's key at the source → at the target."""

    def __init__(
        self,
        source: Database,
        target: Database,
        connection: Connection,
        keys: dict[int, int],
        progress: Callable[[int], None] | None,
    ) -> None:
        self.rows = 0
        self._source = source
        self._target = target
        self._connection = connection
        self._keys = keys
        self._progress = progress

    def copy(self, batch: Any) -> None:  # noqa: ANN401 - a row
        """All that belongs to a batch, invisible yet."""
        with self._target.writing(self._connection) as writing:
            made = writing.execute(insert(schema.batch).values(id=batch.id).returning(_batch.key))
            self._keys[batch.key] = made.scalar_one()
        for table in _PARTS:
            for chunk in _chunks(self._source, table, batch.key):
                copied = [self._with_keys(values) for values in chunk]
                with self._target.writing(self._connection, patient=True) as writing:
                    self._target.insert_rows(writing, table, copied)
                if table is schema.row:
                    self.rows += len(chunk)
                    if self._progress is not None:
                        self._progress(self.rows)

    def publish(self, writing: Connection, batch: Any) -> None:  # noqa: ANN401 - a row
        """Visible, with its claims; Ids of activities that were deleted by hand among them."""
        self._target.one_at_a_time(writing, f"tenant {batch.name}")
        tenant, key = self._target.tenant_key(writing, batch.name), self._keys[batch.key]
        published = writing.execute(
            update(schema.batch)
            .where(_batch.key == key, ~_batch.published)
            .values(
                tenant=tenant, published=True, rehearsal=batch.rehearsal, source=batch.source,
                created_at=batch.created_at, erased_at=batch.erased_at, owner=batch.owner,
                owner_name=batch.owner_name, owner_seen=batch.owner_seen,
            )
        )  # fmt: skip
        if published.rowcount != 1:
            raise StoreError("The copied batch is not there any more.", where=batch.id)
        former = [
            {**one, "tenant": tenant, "batch": key} for one in _deleted_by_hand(self._source, batch.key)
        ]
        if former:
            writing.execute(insert(schema.claim), former)

    def _with_keys(self, values: dict[str, Any]) -> dict[str, Any]:
        values["batch"] = self._keys[values["batch"]]
        if values.get("taken_batch") is not None:
            values["taken_batch"] = self._keys[values["taken_batch"]]
        return values


def _deleted_by_hand(source: Database, key: int) -> list[dict[str, Any]]:
    claim = schema.claim.c
    asked = select(claim.activity_id, claim.position, claim.deleted_at)
    with source.reading() as connection:
        found = connection.execute(asked.where(claim.batch == key, claim.deleted_at.is_not(None))).mappings()
        return [dict(each) for each in found]


@contextmanager
def _locked(database: Database, connection: Connection, batch_id: str) -> Iterator[None]:
    with database.holding(batch_id, connection) as held:
        if not held:
            raise ResultsError(
                "The batch is in use by another window.",
                where=batch_id,
                remedy="Wait until it has ended, then copy again.",
                code="in-use",
            )
        yield


def _batches(source: Database) -> list[Any]:
    """In the order in which they were made: those that others were taken over from come first."""
    with source.reading() as connection:
        asked = select(schema.batch, schema.tenant.c.name).join(
            schema.tenant, schema.tenant.c.key == _batch.tenant
        )
        return list(connection.execute(asked.where(_batch.published).order_by(_batch.key)).all())


def _whole(source: Database, target: Database, batch: Any) -> int | None:  # noqa: ANN401 - a row
    """Its key at the target, if it was copied whole. Raises ResultsError where it went on, or is another
    one."""
    with source.reading() as ours, target.reading() as theirs:
        key = theirs.execute(select(_batch.key).where(_batch.id == batch.id, _batch.published)).scalar()
        if key is None:
            return None
        for table in _COMPARED:
            one = ours.execute(select(func.count()).where(table.c.batch == batch.key)).scalar()
            two = theirs.execute(select(func.count()).where(table.c.batch == key)).scalar()
            if one != two:
                raise ResultsError(
                    "This batch is in the team's store already, with other contents.",
                    where=batch.id,
                    remedy="Continue it there. Ask your support contact before you copy again.",
                )
    return int(key)


def _move(source: Database, target: Database) -> None:
    with source.writing() as connection:
        source.upsert(connection, schema.store_fact, [{"name": "moved_to", "value": target.location}])


def _chunks(source: Database, table: Table, key: int) -> Iterator[list[dict[str, Any]]]:
    with source.reading() as connection:
        asked = select(table).where(table.c.batch == key).order_by(*table.primary_key.columns)
        found = connection.execution_options(yield_per=CHUNK_ROWS).execute(asked)
        for chunk in found.mappings().partitions():
            yield [dict(each) for each in chunk]
