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

MOVED_TO: Final = "moved_to"
"""A fact of a store: where it was copied to. It is read-only from then on."""
_batch: Final = schema.batch.c
_PARTS: Final = (
    schema.row, schema.attempt, schema.lookup, schema.reading, schema.correction,
    schema.fact,
)  # fmt: skip
"""What belongs to a batch, in an order in which nothing is missing."""
_COMPARED: Final = (schema.row, schema.attempt, schema.correction)


def copy_batches(source: Database, target: Database, progress: Callable[[int], None] | None) -> int:
    """How many rows were copied. Raises ResultsError when a batch is in use, or is there with other contents.

    The source is read-only before anything is visible at the target: a copy that is interrupted is repeated.
    """
    rows = 0
    with ExitStack() as stack:
        with source.reading() as reading:  # those that others were taken over from come first
            asked = select(schema.batch).where(_batch.published).order_by(_batch.key)
            batches = reading.execute(asked).all()
        ours = stack.enter_context(source.connection())
        for each in batches:
            stack.enter_context(_locked(source, ours, each.id))
        keys = {each.key: key for each in batches if (key := _whole(source, target, each)) is not None}
        wanted = [each for each in batches if each.key not in keys]
        with source.writing() as writing:
            source.upsert(writing, schema.store_fact, [{"name": MOVED_TO, "value": target.location}])
        connection = stack.enter_context(target.connection(durable=False))
        for each in wanted:
            stack.enter_context(_locked(target, connection, each.id))
            with target.writing(connection) as writing:
                made = writing.execute(insert(schema.batch).values(id=each.id).returning(_batch.key))
                keys[each.key] = made.scalar_one()
            for table, chunk in _chunks(source, each.key):
                with target.writing(connection, patient=True) as writing:
                    target.insert_rows(writing, table, [_with_keys(values, keys) for values in chunk])
                if table is schema.row:
                    rows += len(chunk)
                    if progress is not None:
                        progress(rows)
        target.set_durable(connection, durable=True)
        with target.writing(connection, patient=True) as writing:
            for each in wanted:
                target.one_at_a_time(writing, f"tenant {each.tenant}")
                _publish(source, writing, each, keys[each.key])
    return rows


def _chunks(source: Database, key: int) -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    with source.reading() as connection:
        streamed = connection.execution_options(yield_per=CHUNK_ROWS)
        for table in _PARTS:
            asked = select(table).where(table.c.batch == key).order_by(*table.primary_key.columns)
            for chunk in streamed.execute(asked).mappings().partitions():
                yield table, [dict(each) for each in chunk]


def _with_keys(values: dict[str, Any], keys: dict[int, int]) -> dict[str, Any]:
    """keys: a batch's key at the source → at the target."""
    ours = {name: keys[values[name]] for name in ("batch", "taken_batch") if values.get(name) is not None}
    return {**values, **ours}


def _publish(source: Database, writing: Connection, batch: Any, key: int) -> None:  # noqa: ANN401 - a row
    """Visible at the target, with its claims, those of activities that were deleted by hand among them."""
    values = {name: value for name, value in batch._mapping.items() if name not in {"key", "id"}}  # noqa: SLF001
    published = writing.execute(
        update(schema.batch).where(_batch.key == key, ~_batch.published).values(values)
    )
    if published.rowcount != 1:
        raise StoreError("The copied batch is not there any more.", where=batch.id)
    claim = schema.claim.c
    asked = select(claim.activity_id, claim.position, claim.deleted_at)
    with source.reading() as reading:
        former = reading.execute(asked.where(claim.batch == batch.key, claim.deleted_at.is_not(None))).all()
    if former:
        others = {"tenant": batch.tenant, "batch": key}
        writing.execute(insert(schema.claim), [{**one._mapping, **others} for one in former])  # noqa: SLF001


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
