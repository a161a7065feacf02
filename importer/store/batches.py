"""Which batches there are: one question for each list, and what a person is shown of each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, func, select

from importer.errors import StoreError
from importer.store import schema
from importer.store.batch_rows import BatchRows, chunked, shown_counts
from importer.store.database import Database
from importer.store.records import Batch, BatchSummary, RowStatus

_batch: Final = schema.batch.c
_row: Final = schema.row.c


def summaries(
    database: Database, connection: Connection, which: ColumnElement[bool]
) -> list[tuple[int, BatchSummary]]:
    """(key, summary) of the published batches that fit a condition, the latest first."""
    asked = (
        select(_batch.key, _batch.id, _batch.owner_name, _batch.erased_at)
        .where(_batch.published, which)
        .order_by(_batch.created_at.desc(), _batch.key.desc())
    )
    found = connection.execute(asked).all()
    running = database.locked([batch_id for _, batch_id, *_ in found])
    keys = [key for key, *_ in found]
    facts = _facts(database, connection, keys)
    counts = _counts(connection, keys)
    listed = []
    for key, batch_id, owner_name, erased_at in found:
        batch = _sound(database, batch_id, facts.get(key, {}))
        shown = _counted(counts.get(key, {}), running=batch_id in running)
        listed.append(
            (
                key,
                BatchSummary(
                    batch=batch,
                    counts=shown,
                    running=batch_id in running,
                    running_on=owner_name if batch_id in running else "",
                    erased_at=erased_at,
                    facts={name: value for name, value in facts[key].items() if name not in batch.facts()},
                ),
            )
        )
    return listed


def is_void(database: Database, connection: Connection, key: int, summary: BatchSummary) -> bool:
    """A batch that never sent a call and that nobody owns is no batch: a run may replace it."""
    # In this order: who owns it may mark a row at any moment.
    return not summary.running and BatchRows(database, key, summary.batch.id, connection).never_sent()


def _counted(counts: dict[RowStatus, int], *, running: bool) -> dict[str, int]:
    """While it runs, a call under way is no doubt yet."""
    shown = shown_counts(counts)
    if running:
        under_way = counts.get(RowStatus.SENDING, 0)
        shown["pending"] += under_way
        shown["uncertain"] -= under_way
    return shown


def _counts(connection: Connection, keys: Iterable[int]) -> dict[int, dict[RowStatus, int]]:
    counts: dict[int, dict[RowStatus, int]] = {}
    for some in chunked(keys):
        asked = select(_row.batch, _row.status, func.count()).where(_row.batch.in_(some))
        for key, status, count in connection.execute(asked.group_by(_row.batch, _row.status)):
            counts.setdefault(key, {})[RowStatus(status)] = count
    return counts


def _facts(database: Database, connection: Connection, keys: Iterable[int]) -> dict[int, dict[str, Any]]:
    facts: dict[int, dict[str, Any]] = {}
    fact = schema.fact.c
    for some in chunked(keys):
        asked = select(fact.batch, fact.name, fact.value).where(fact.batch.in_(some))
        for key, name, value in connection.execute(asked).all():
            try:
                facts.setdefault(key, {})[name] = json.loads(value)
            except ValueError as error:
                raise _damaged(database, str(key), error) from None
    return facts


def _sound(database: Database, batch_id: str, facts: dict[str, Any]) -> Batch:
    try:
        batch = Batch.of(facts)
        if batch.id != batch_id:
            raise ValueError("its id is another one")  # noqa: TRY301
    except ValueError as error:
        raise _damaged(database, batch_id, error) from None
    return batch


def _damaged(database: Database, batch_id: str, error: ValueError) -> StoreError:
    return StoreError(
        f"The store holds facts of a batch that are damaged: {error}.",
        where=f"{database.location}, batch {batch_id}",
        remedy="Restore the store from a backup.",
    )
