"""A batch without its customer data: what is removed, and what stays so that its sheet is recognised."""

from __future__ import annotations

import time
from typing import Final

from sqlalchemy import case, delete, update

from importer.store import schema
from importer.store.database import Database
from importer.store.ownership import Ownership, keep_facts
from importer.store.records import RowStatus, iso

_KEPT: Final = ("seconds", "throttled", "rate")
_GONE: Final = (schema.lookup, schema.reading, schema.correction, schema.correction_plan)


def erase_batch(database: Database, owned: Ownership) -> None:
    """In one transaction. Rows that were pending are skipped: nothing can send them any more."""
    key, now = owned.rows.key, iso(time.time())
    batch = owned.rows.batch()
    row, attempt = schema.row.c, schema.attempt.c
    with owned.transaction(patient=True) as connection:
        connection.execute(
            update(schema.row)
            .where(row.batch == key)
            .values(
                cells="",
                activity=case((row.activity.is_(None), None), else_=b""),
                problem=None,
                error="",
                account="",
                holds=None,
                status=case((row.status == int(RowStatus.PENDING), int(RowStatus.SKIPPED)), else_=row.status),
            )
        )
        connection.execute(update(schema.attempt).where(attempt.batch == key).values(body=None, detail=""))
        for table in _GONE:
            connection.execute(delete(table).where(table.c.batch == key))
        connection.execute(update(schema.batch).where(schema.batch.c.key == key).values(erased_at=now))
        blank = {**batch.facts(), "header": [""] * len(batch.header), "mapping": {}, "sheet": None}
        kept = {name: value for name, value in owned.rows.facts().items() if name in _KEPT}
        connection.execute(delete(schema.fact).where(schema.fact.c.batch == key))
        keep_facts(database, connection, key, {**kept, **blank})
