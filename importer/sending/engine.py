"""One run of a batch, put together: tenant, pace, writer, reconciler and worker pool; and what came of it.

Used by `run` and `resume` alike. Nothing here asks or prints.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from importer.credentials import Keys
from importer.errors import WorkError
from importer.leadsquared.answers import CurrentUser
from importer.leadsquared.calls import Tenant
from importer.leadsquared.client import LeadSquared, OnExchange
from importer.pacing.pacing import Pace, Rate
from importer.remedies import remedy_for
from importer.sending.outage import Stop
from importer.sending.reconcile.reconciler import Reconciler
from importer.sending.run_state import RunState, SendOptions, TenantConnection
from importer.sending.worker_pool import WorkerPool
from importer.store.ownership import Ownership
from importer.store.records import RowStatus
from importer.store.store import Store
from importer.store.writer import StoreWriter

CONNECT_TIMEOUT_S: Final = 10.0
SANDBOX_TENANT: Final = "sandbox"


@dataclass(frozen=True, slots=True)
class SendResult:
    """What a run did. unrecorded: (row number, Id) of what was created and the store could not take."""

    stop: Stop | None
    seconds: float
    throttled: int
    notices: tuple[str, ...]
    unrecorded: tuple[tuple[int, str], ...]


def tenant_name(base_url: str, user: CurrentUser, *, rehearsal: bool) -> str:
    """API host and organisation, never the keys: those rotate, and colleagues have others."""
    if rehearsal:
        return SANDBOX_TENANT
    return f"{urlsplit(base_url).netloc.lower()}/{user.org_code}"


@asynccontextmanager
async def connected(
    base_url: str, keys: Keys, rate: Rate, options: SendOptions, *, on_exchange: OnExchange | None = None
) -> AsyncIterator[TenantConnection]:
    """A connection to the tenant at `base_url`. Where runs share one pace: `connection.pace.join(record)`."""
    api = LeadSquared(
        base_url,
        keys,
        timeout_s=options.timeout_s,
        connect_timeout_s=min(CONNECT_TIMEOUT_S, options.timeout_s),
        connections=options.workers + Reconciler.parallel,
        on_exchange=on_exchange,
    )
    async with Pace(rate) as pace, api:
        yield TenantConnection(Tenant(api, pace, patience_s=options.max_outage_s), pace)


async def send(
    store: Store,
    owned: Ownership,
    connection: TenantConnection,
    options: SendOptions,
    *,
    observer: Callable[[RunState], None],
    columns: Mapping[str, str] | None = None,
    wall: Callable[[], float] = time.time,
) -> SendResult:
    """Sends what can be sent of a batch that is owned.

    observer: is given the run's state before it begins, to show progress and to stop it. columns: schema name
    → heading of the column that a field comes from, for messages. Raises what only a fault of ours raises,
    after everything under way is recorded.
    """
    loop = asyncio.get_running_loop()
    started, throttled = loop.time(), connection.pace.throttled
    mark_interrupted(owned)
    writer = StoreWriter(owned, wall)
    try:
        run = RunState(store, owned, writer, connection, options, wall=wall)
        observer(run)
        reconciler = Reconciler(run, owner_may_live=owned.taken_over_s is not None)
        stop = await WorkerPool(run, reconciler, columns or {}).run()
    finally:
        written = await writer.close()
    seconds, refused = loop.time() - started, connection.pace.throttled - throttled
    if written:
        _conclude(owned, seconds, refused)
    return SendResult(stop, seconds, refused, tuple(run.notices), tuple(run.unrecorded))


def mark_interrupted(owned: Ownership) -> None:
    """Rows that are marked while nobody sends: their calls were interrupted, and are in doubt."""
    if owned.rows.has(RowStatus.SENDING):
        entry = remedy_for("interrupted")
        with owned.change() as change:
            change.interrupted(code=entry.code, error=f"{entry.meaning} {entry.action}")


def _conclude(owned: Ownership, seconds: float, throttled: int) -> None:
    mark_interrupted(owned)
    rows = owned.rows
    owned.keep_facts(
        seconds=rows.fact("seconds", 0.0) + seconds,
        throttled=rows.fact("throttled", 0) + throttled,
        going_on=None,
    )


def unrecorded_error(result: SendResult, batch_id: str) -> WorkError | None:
    """The error that names what was created and is recorded nowhere."""
    if not result.unrecorded:
        return None
    rows = "; ".join(f"row {number}: {activity_id}" for number, activity_id in result.unrecorded)
    return WorkError(
        f"These rows were created, but their Ids could not be recorded: {rows}.",
        where=batch_id,
        remedy="Keep this message. `importer resume` finds them in LeadSquared and does not send them again.",
    )
