"""What `verify` and `run --canary` share: reading back while it is shown, and telling what came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from importer.cli.console import Console
from importer.cli.progress import Progress
from importer.cli.sending import interruptible
from importer.cli.wording import count, shorten

if TYPE_CHECKING:
    from importer.journal.journal import Journal
    from importer.sending.engine import Line
    from importer.sending.run_state import Orders
    from importer.verification.comparison import ReadBack
    from importer.verification.readings import FieldSummary, ReadBackSummary

SHOW_EVERY_S: Final = 0.2
VALUE_COLUMNS: Final = 30
STOPPING: Final = "Stopping. What was read is kept; `importer verify` goes on from there."


async def read_back(
    console: Console,
    journal: Journal,
    line: Line,
    orders: Orders,
    *,
    total: int,
    done: int = 0,
    only: Collection[int] | None = None,
    settle_s: float = 0.0,
) -> bool:
    """Reads created rows back while progress is shown and Ctrl-C is heeded; False when interrupted.

    total: rows to be read, `done` of them in an earlier pass. settle_s: how long to wait first. Raises
    WorkError in an outage, TenantError for keys that may not read.
    """
    from importer.verification.comparison import ReadBack

    reading = ReadBack(
        journal, line.tenant, readers=orders.workers, max_outage_s=orders.max_outage_s, only=only
    )
    with (
        Progress(console, "Reading back", total) as progress,
        interruptible(console, stopping=STOPPING, left=STOPPING) as interrupts,
    ):
        stopped = asyncio.Event()
        interrupts += [reading.stop, stopped.set]
        await _settled(stopped, settle_s)
        shown = asyncio.create_task(_show(reading, line, progress, done))
        try:
            if not stopped.is_set():
                await reading.run()
        finally:
            shown.cancel()
            await asyncio.gather(shown, return_exceptions=True)
            progress.show(done + reading.read)
    return not reading.interrupted


async def _settled(stopped: asyncio.Event, settle_s: float) -> None:
    """A new activity may take so long to show up in LeadSquared's own look-up."""
    if settle_s > 0:
        try:
            async with asyncio.timeout(settle_s):
                await stopped.wait()
        except TimeoutError:
            return


async def _show(reading: ReadBack, line: Line, progress: Progress, done: int) -> None:
    while True:
        note = "LeadSquared is not answering: waiting for it." if reading.in_trouble else ""
        progress.show(done + reading.read, note=note or line.pace.describe())
        await asyncio.sleep(SHOW_EVERY_S)


def described(summary: ReadBackSummary) -> Iterator[str]:
    """What came back otherwise, a sentence for each field, for a person."""
    from importer.verification.readings import Verdict

    missing = summary.rows[Verdict.NOT_FOUND]
    if missing:
        first = ", ".join(f"{number}" for number in summary.not_found)
        which = f"row {first}" if missing == 1 else f"rows {first}" + (" …" if missing > 3 else "")
        yield (
            f"{missing:,} of {count(summary.total, 'row')} {_was(missing)} not found in LeadSquared"
            f" ({which}): deleted since, or not to be seen with these keys?"
        )
    unread = summary.rows[Verdict.NOT_READ]
    if unread:
        yield f"{count(unread, 'row')} could not be read: `importer verify` tries again."
    for field in summary.differing:
        yield from _field(field)


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


def _field(field: FieldSummary) -> Iterator[str]:
    number, sent, stored, detail = field.examples[0]
    if field.missing:
        hint = (
            ": is the schema name right?"
            if field.missing == field.sent
            else f", row {number} among them (sent {_value(sent)})."
            if not stored.strip()
            else "."
        )
        yield f"{field.name} arrived empty in {field.missing:,} of {field.sent:,}{hint}"
    altered = next((example for example in field.examples if example[2].strip()), None)
    if field.altered:
        how = "arrived altered"
        if altered is not None:
            number, sent, stored, detail = altered
            how = {"cut short": "was cut short", "spelt otherwise": "is spelt otherwise"}.get(detail, how)
        example = (
            f": row {number} sent {_value(sent)}, stored {_value(stored)}" if altered is not None else ""
        )
        yield f"{field.name} {how} in {field.altered:,} of {field.sent:,}{example}."


def _value(text: str) -> str:
    return f'"{shorten(text, VALUE_COLUMNS)}"'
