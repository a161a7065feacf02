"""What `run` and `resume` share: showing how it goes, stopping on Ctrl-C, and telling how it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from importer.cli.console import Console
from importer.cli.progress import Progress
from importer.cli.wording import count, duration
from importer.errors import ResultsError, WorkError

if TYPE_CHECKING:
    from importer.journal import Journal
    from importer.posting import Orders, Posting
    from importer.results import Written
    from importer.sending import Line, Sent
    from importer.verify import Claimed

SHOW_EVERY_S: Final = 0.2
STATUSES: Final = ("created", "failed", "invalid", "uncertain", "pending", "skipped")


async def send_watched(
    console: Console, journal: Journal, line: Line, orders: Orders, claimed: Claimed
) -> Sent:
    """Sends while progress is shown and Ctrl-C is heeded."""
    from importer.sending import send

    total = journal.shown_counts()["rows"]
    shown: list[asyncio.Task[None]] = []
    with Progress(console, "Sending", total) as progress, _interruptible(console) as interrupts:

        def watch(posting: Posting) -> None:
            interrupts.append(lambda: posting.stop("interrupted", "Interrupted.", 130))
            shown.append(asyncio.create_task(_show(posting, progress)))

        console.sending = True
        try:
            return await send(journal, line, orders, claimed, watch=watch)
        finally:
            for task in shown:
                task.cancel()
            await asyncio.gather(*shown, return_exceptions=True)


async def _show(posting: Posting, progress: Progress) -> None:
    while True:
        shown = posting.tally.shown()
        done = sum(shown[status] for status in STATUSES if status != "pending")
        note = "LeadSquared is not answering: waiting for it." if posting.breaker.is_open else ""
        progress.show(
            done,
            note=note or posting.pace.describe(),
            created=shown["created"],
            failed=shown["failed"],
            uncertain=shown["uncertain"],
        )
        await asyncio.sleep(SHOW_EVERY_S)


@contextmanager
def _interruptible(console: Console) -> Iterator[list[Callable[[], None]]]:
    """Ctrl-C (SIGTERM, Ctrl-Break) once ends in good order, twice at once. Handlers are put back."""
    ends: list[Callable[[], None]] = []
    loop = asyncio.get_running_loop()
    times = 0

    def interrupted() -> None:
        nonlocal times
        times += 1
        if times > 1:
            console.error("Left at once. The batch is intact: go on with `importer resume`.")
            sys.stdout.flush()
            os._exit(130)
        console.say(
            "Stopping: no further row is sent; waiting for the calls under way. Press Ctrl-C again to leave"
            " at once."
        )
        for end in ends:
            end()

    def handler(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(interrupted)

    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            try:
                before[number] = signal.signal(number, handler)
            except ValueError:  # not in the main thread: whoever runs us there has its own way to stop us
                break
    try:
        yield ends
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def write_results_shown(console: Console, write: Callable[[Callable[[int], None]], Written]) -> Written:
    """Writes a results file while its progress is shown; says so when it went elsewhere."""
    with Progress(console, "Writing results") as progress:
        written = write(progress.show)
    if written.aside:
        console.warn(written.aside)
    return written


def conclude(console: Console, journal: Journal, sent: Sent | None, path: Path | None = None) -> int:
    """Writes the results file (at `path`, or where it was last), tells how the batch stands, and gives the
    exit code."""
    from importer import batches
    from importer.sending import unwritten

    batch = journal.batch()
    for notice in sent.notices if sent else ():
        console.warn(notice)
    trouble = unwritten(sent, batch) if sent else None
    try:
        results = str(
            write_results_shown(console, lambda told: batches.write(journal, path, progress=told)).path
        )
    except (ResultsError, WorkError) as error:
        console.warn(f"{error} What happened is in the journal: {journal.path}")
        results = batch.results
    counts = journal.shown_counts()
    seconds = sent.seconds if sent else 0.0
    code = exit_code(counts, sent)
    told = {
        "batch": batch.id,
        **counts,
        "throttled": sent.throttled if sent else 0,
        "seconds": round(seconds, 3),
        "results": results,
        "journal": str(journal.path),
    }
    stop = sent.stop if sent else None
    console.result(summary(counts, seconds, results), told)
    if trouble is not None:
        raise trouble
    if stop is not None:
        told["error"] = stop.message
        console.result("", {"error": stop.message})
        console.error(stop.message)
    if code in {3, 130}:
        console.say(f"Go on with: importer resume {quoted(results)}{' --sandbox' if batch.rehearsal else ''}")
    return code


def exit_code(counts: dict[str, int], sent: Sent | None) -> int:
    """How a batch that stands like this ends (see the table in README)."""
    if sent is not None and sent.stop is not None:
        return sent.stop.exit_code
    if counts["pending"]:
        return 3
    return 1 if counts["failed"] + counts["invalid"] + counts["uncertain"] else 0


def summary(counts: dict[str, int], seconds: float, results: str) -> str:
    parts = [f"{counts[status]:,} {status}" for status in STATUSES if counts[status]]
    took = f" in {duration(seconds)}" if seconds >= 1 else ""
    return f"{count(counts['rows'], 'row')}: {', '.join(parts) or 'none'}{took}.\nResults: {results}"


def quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path
