"""Batches of a few activities and connections to a tenant, for tests of the sending room."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Final

from conftest import RunningTenant
from pydantic import SecretStr
from stores import AT, TENANT, batch

from importer.activity import Activity
from importer.credentials import Keys
from importer.pacing.pacing import Rate
from importer.sending.engine import SendResult, connected, send
from importer.sending.run_state import RunState, SendOptions, TenantConnection
from importer.sheets.rows import encode_cells
from importer.store.ownership import Ownership
from importer.store.records import RowStatus, StoredRow, iso
from importer.store.store import Store

ACCOUNT: Final = "8933fa5e-5b39-11e9-826a-0622360da6f{}"
QUICK: Final = SendOptions(workers=4, settle_s=0.2, timeout_s=1.0, max_attempts=4, max_outage_s=30.0)


def visit(number: int, *, account: int = 0, outcome: str = "Won") -> Activity:
    """One of many, all of which differ in their notes."""
    fields = (("mx_Custom_1", outcome), ("mx_Custom_2", "as ever"))
    return Activity(ACCOUNT.format(account), 10001, f"Visit {number}", fields)


def staged(store: Store, activities: Sequence[Activity], number: int = 1) -> Ownership:
    """A batch of rows 2, 3 … that would send these, begun an hour ago, published and owned."""
    began = iso(time.time() - 3600)
    facts = replace(batch(number, rows=len(activities)), tenant=TENANT, created_at=began)
    rows = [
        StoredRow(row, encode_cells([one.note or ""]), one.encoded(), None, RowStatus.PENDING)
        for row, one in enumerate(activities, start=2)
    ]
    staging = store.stage(facts.id)
    staging.add(rows, AT)
    return store.publish(staging, facts)


@asynccontextmanager
async def connection_to(
    tenant: RunningTenant, options: SendOptions = QUICK
) -> AsyncIterator[TenantConnection]:
    """As a run makes it; without a limit that one would notice."""
    keys = Keys(SecretStr(tenant.sandbox.access_key), SecretStr(tenant.sandbox.secret_key))
    async with connected(tenant.url, keys, Rate(1000, 1.0), options) as connection:
        yield connection


def nothing(_: RunState) -> None:
    """An observer that does not look."""


async def sent(
    store: Store, owned: Ownership, tenant: RunningTenant, options: SendOptions = QUICK
) -> SendResult:
    """One run of the batch."""
    async with connection_to(tenant, options) as connection:
        columns = {"mx_Custom_1": "Outcome"}
        return await send(store, owned, connection, options, observer=nothing, columns=columns)


def statuses(owned: Ownership) -> list[str]:
    """Of the batch's rows, in order."""
    return [row.status.name.lower() for row in owned.rows.rows()]


@contextmanager
def two_batches(
    first: Store, second: Store, one: Sequence[Activity], two: Sequence[Activity]
) -> Iterator[tuple[Ownership, Ownership]]:
    """Of one tenant, owned by two processes, so to speak."""
    with staged(first, one, 1) as owned, staged(second, two, 2) as other:
        yield owned, other
