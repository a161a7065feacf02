"""One run of a batch, put together: tenant, pace, writer, looks and pool; and what came of it.

Used by `run` and `resume` alike. Nothing here asks or prints.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from importer.activity import Marker
from importer.credentials import Keys
from importer.errors import WorkError
from importer.home import Home
from importer.journal.journal import Batch, Journal, RowStatus
from importer.journal.writer import JournalWriter
from importer.leadsquared.answers import CurrentUser
from importer.leadsquared.calls import Tenant
from importer.leadsquared.client import LeadSquared, OnExchange
from importer.pacing.pacing import Pace, Rate
from importer.pacing.shared import SharedPace
from importer.sending.reconcile.lookups import Looks
from importer.sending.reconcile.verifier import Claimed, Verifier
from importer.sending.run_state import Orders, Posting, Stop
from importer.sending.worker_pool import Poster

CONNECT_TIMEOUT_S = 10.0
SANDBOX_TENANT = "sandbox"
SWITCH_S = 20e-6
"""How long the journal's thread asks for the interpreter's lock before it must be given it. The loop lets go
of it for a moment in every call to the system, some 100 µs apart, and has it back before the thread is awake,
which begins to ask anew: with the usual 5 ms, and even with 0.5, it gets no turn until the loop has nothing
to do (20 commits in 4 s instead of 1,100)."""


@dataclass(frozen=True, slots=True)
class Line:
    """An open line to a tenant: its calls, and the pace that all of them pass."""

    tenant: Tenant
    pace: Pace


@dataclass(frozen=True, slots=True)
class Sent:
    """What a run did. created_unwritten: (row number, Id) that the journal could not take any more."""

    stop: Stop | None
    seconds: float
    throttled: int
    notices: tuple[str, ...]
    created_unwritten: tuple[tuple[int, str], ...]


def tenant_name(base_url: str, user: CurrentUser, *, rehearsal: bool) -> str:
    """API host and organisation, never the keys: those rotate, and colleagues have others."""
    if rehearsal:
        return SANDBOX_TENANT
    return f"{urlsplit(base_url).netloc.lower()}/{user.org_code}"


@asynccontextmanager
async def connected(
    base_url: str,
    keys: Keys,
    rate: Rate,
    orders: Orders,
    *,
    shared: Home | None = None,
    on_exchange: OnExchange | None = None,
) -> AsyncIterator[Line]:
    """A line to the tenant at `base_url`. shared: where windows on this machine share one pace."""
    record = (
        SharedPace(shared.root / f"pace-{urlsplit(base_url).netloc.replace(':', '-')}") if shared else None
    )
    pace = Pace(rate, shared=record)
    api = LeadSquared(
        base_url,
        keys,
        timeout_s=orders.timeout_s,
        connect_timeout_s=min(CONNECT_TIMEOUT_S, orders.timeout_s),
        connections=orders.workers + Looks.parallel,
        on_exchange=on_exchange,
    )
    try:
        async with api:
            yield Line(Tenant(api, pace, patience_s=orders.max_outage_s), pace)
    finally:
        if record is not None:
            record.close()


async def send(
    journal: Journal,
    line: Line,
    orders: Orders,
    claimed: Claimed,
    *,
    watch: Callable[[Posting], None],
    wall: Callable[[], float] = time.time,
) -> Sent:
    """Sends what can be sent of a batch whose lock is held.

    claimed: which Ids rows of other batches hold. watch: given the posting before it begins, to show how it
    goes and to stop it. Raises what only a fault of ours raises, after everything under way is recorded.
    """
    loop = asyncio.get_running_loop()
    started = loop.time()
    batch = journal.batch()
    cut_off(journal)
    writer = JournalWriter(journal, wall)
    writer.start()
    marker = Marker(batch.marker, batch.id) if batch.marker else None
    proves = not journal.fact("rebuilt")
    verifier = Verifier(line.tenant, journal, claimed, marker=marker, proves=proves, wall=wall)
    posting = Posting(
        journal=journal, writer=writer, tenant=line.tenant, pace=line.pace, verifier=verifier,
        orders=orders, marker=marker, clock=loop.time,
    )  # fmt: skip
    watch(posting)
    throttled = line.pace.throttled
    try:
        with _undisturbed():
            stop = await Poster(posting, Looks(posting)).run()
    finally:
        written = await writer.close()
    seconds = loop.time() - started
    if written:
        _conclude(journal, seconds, line.pace.throttled - throttled)
    return Sent(
        stop, seconds, line.pace.throttled - throttled, tuple(posting.notices), tuple(posting.unrecorded)
    )


@contextmanager
def _undisturbed() -> Iterator[None]:
    """While thousands of rows a second are sent: what was loaded before is left out of garbage collections,
    and the journal's thread gets its turn."""
    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_S)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(switch_s)


def cut_off(journal: Journal) -> None:
    """Rows that are marked while nobody sends: their calls were cut off, and are in doubt."""
    if journal.counts().get(RowStatus.SENDING, 0) == 0:
        return
    with journal.change() as connection:
        connection.execute(
            "UPDATE row SET status = ?, doubted = 1, released = 0, error_code = 'cut-off', error = ?"
            " WHERE status = ?",
            (RowStatus.DOUBTFUL, CUT_OFF, RowStatus.SENDING),
        )


CUT_OFF = (
    "The importer ended while this row was being sent: it may have been created. `importer resume` looks,"
    " and sends it only if it is not there."
)


def _conclude(journal: Journal, seconds: float, throttled: int) -> None:
    cut_off(journal)
    journal.state(
        seconds=journal.fact("seconds", 0.0) + seconds,
        throttled=journal.fact("throttled", 0) + throttled,
        going_on=None,
    )


def unwritten(sent: Sent, batch: Batch) -> WorkError | None:
    """The error that names what was created and stands in no file."""
    if not sent.created_unwritten:
        return None
    rows = "; ".join(f"row {number}: {identifier}" for number, identifier in sent.created_unwritten)
    return WorkError(
        f"These rows were created, but the journal could not take their Ids any more: {rows}.",
        where=batch.id,
        remedy="Keep this message. `importer resume` finds them in LeadSquared and does not send them again.",
    )
