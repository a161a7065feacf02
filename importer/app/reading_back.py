"""Created activities are read back and compared with what was sent: for `verify`, and for a trial."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Final

from importer.app.observer import Observer, Progress, Stage, StopHandle
from importer.app.running import SHOW_EVERY_S
from importer.sending.engine import TenantConnection
from importer.sending.outage import StopReason
from importer.sending.run_state import SendOptions
from importer.store.batch_rows import BatchRows
from importer.store.ownership import Ownership
from importer.store.records import RowStatus
from importer.text import quoted
from importer.verification.readings import (
    FieldSummary,
    ReadingVerdict,
    VerificationPass,
    VerificationSummary,
    utc_now,
)
from importer.wording import NOT_ANSWERING, count

SHOWN_VALUE_MAX: Final = 30


async def read_back(
    owned: Ownership,
    connection: TenantConnection,
    options: SendOptions,
    observer: Observer,
    stop: StopHandle,
    *,
    total: int,
    only: Collection[int] | None = None,
    settle_s: float = 0.0,
) -> bool:
    """Reads created rows back, those at the positions `only` or all that are unread; False when it was
    stopped.

    total: rows to be read. settle_s: how long to wait first. Raises WorkError in an outage, TenantError for
    keys that may not read.
    """
    loop = asyncio.get_running_loop()
    reading = VerificationPass(
        owned, connection.tenant, readers=options.workers, max_outage_s=options.max_outage_s, only=only
    )
    stopped = asyncio.Event()

    def end() -> None:
        with suppress(RuntimeError):  # the loop has ended since
            loop.call_soon_threadsafe(reading.stop, StopReason.INTERRUPTED, "Interrupted.", 130)
            loop.call_soon_threadsafe(stopped.set)

    stop.when_requested(end)

    def show() -> None:
        note = NOT_ANSWERING if reading.in_trouble else connection.pace.describe()
        observer.progress(Progress(Stage.READING_BACK, reading.read, total, note=note))

    await _settled(stopped, settle_s)
    watching = asyncio.create_task(_watch(show))
    try:
        if not stopped.is_set():
            await reading.run()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        show()
    return not (reading.stopping or stopped.is_set())


async def _watch(show: Callable[[], None]) -> None:
    while True:
        show()
        await asyncio.sleep(SHOW_EVERY_S)


async def _settled(stopped: asyncio.Event, settle_s: float) -> None:
    """A new activity may take so long to show up in LeadSquared's own look-up."""
    if settle_s > 0:
        with suppress(TimeoutError):
            async with asyncio.timeout(settle_s):
                await stopped.wait()


def unsettled_s(rows: BatchRows, settle_s: float) -> float:
    """How long to wait until what was created last has had `settle_s` seconds to show up."""
    latest = rows.last_change(RowStatus.CREATED)
    if latest is None:
        return 0.0
    age_s = (utc_now() - datetime.fromisoformat(latest)).total_seconds()
    return min(settle_s, max(0.0, settle_s - age_s))


def differences_of(summary: VerificationSummary, columns: Mapping[str, str]) -> Iterator[str]:
    """What was returned otherwise, a sentence for each field. columns: schema name → heading."""
    missing = summary.rows[ReadingVerdict.NOT_FOUND]
    if missing:
        first = ", ".join(f"{number}" for number in summary.not_found)
        which = f"row {first}" if missing == 1 else f"rows {first}" + (" …" if missing > 3 else "")
        was = "was" if missing == 1 else "were"
        yield (
            f"{missing:,} of {count(summary.total, 'row')} {was} not found in LeadSquared ({which}): deleted"
            " since, or not visible with these keys?"
        )
    unread = summary.rows[ReadingVerdict.NOT_READ]
    if unread:
        yield f"{count(unread, 'row')} could not be read: `importer verify` tries again."
    for each in summary.differing:
        yield from _field(each, columns.get(each.name, ""))


def _field(field: FieldSummary, heading: str) -> Iterator[str]:
    name = f"{field.name} (column {quoted(heading)})" if heading and heading != field.name else field.name
    number, sent, stored, detail = field.examples[0]
    if field.missing:
        hint = (
            ": is the schema name right?"
            if field.missing == field.sent
            else f", row {number} among them (sent {_value(sent)})."
            if not stored.strip()
            else "."
        )
        yield f"{name} arrived empty in {field.missing:,} of {count(field.sent, 'value')}{hint}"
    altered = next((example for example in field.examples if example[2].strip()), None)
    if field.altered:
        how = "arrived changed"
        if altered is not None:
            number, sent, stored, detail = altered
            how = {"cut short": "was cut short", "spelled differently": "is spelled differently"}.get(
                detail, how
            )
        example = (
            f": row {number} sent {_value(sent)}, stored {_value(stored)}" if altered is not None else ""
        )
        yield f"{name} {how} in {field.altered:,} of {count(field.sent, 'value')}{example}."


def _value(text: str) -> str:
    return quoted(text, SHOWN_VALUE_MAX)
