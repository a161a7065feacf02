"""What `run` and `resume` share: showing how it goes, stopping on Ctrl-C, and telling how it ended."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

from importer.cli.console import Console
from importer.cli.progress import Progress
from importer.cli.standing import STATUSES, exit_code, quoted, summary
from importer.errors import FileError, ResultsError, WorkError

if TYPE_CHECKING:
    from importer.journal.journal import Journal
    from importer.results.results_writer import Written
    from importer.sending.engine import Line, Sent
    from importer.sending.reconcile.verifier import Claimed
    from importer.sending.run_state import Orders, Posting

SHOW_EVERY_S: Final = 0.2
STOPPING: Final = (
    "Stopping: no further row is sent; waiting for the calls under way. Press Ctrl-C again to leave at once."
)
LEFT: Final = "Left at once. The batch is intact: go on with `importer resume`."


async def send_watched(
    console: Console, journal: Journal, line: Line, orders: Orders, claimed: Claimed
) -> Sent:
    """Sends while progress is shown and Ctrl-C is heeded."""
    from importer.sending.engine import send

    total = journal.shown_counts()["rows"]
    journal.state(rate=str(line.pace.ceiling))  # for `report`
    shown: list[asyncio.Task[None]] = []
    with Progress(console, "Sending", total) as progress, interruptible(console) as interrupts:

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
    """Until it is cancelled, and once more then."""
    try:
        while True:
            _show_now(posting, progress)
            await asyncio.sleep(SHOW_EVERY_S)
    finally:
        _show_now(posting, progress)


def _show_now(posting: Posting, progress: Progress) -> None:
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


@contextmanager
def interruptible(
    console: Console, stopping: str = STOPPING, left: str = LEFT
) -> Iterator[list[Callable[[], None]]]:
    """Ctrl-C (SIGTERM, Ctrl-Break) once ends in good order, twice at once. Handlers are put back.

    stopping, left: what is said then. Gives the list of what is to be called at the first.
    """
    ends: list[Callable[[], None]] = []
    loop = asyncio.get_running_loop()
    times = 0

    def interrupted() -> None:
        nonlocal times
        times += 1
        if times > 1:
            console.error(left)
            sys.stdout.flush()
            os._exit(130)
        console.say(stopping)
        for end in ends:
            end()

    def handler(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(interrupted)

    with _handled(handler):
        yield ends


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Before anything is sent, Ctrl-C and SIGTERM end a command where it stands: in the middle of a sheet, or
    at the question. (Left to asyncio, the first Ctrl-C would wait for the next `await`.) Handlers are put
    back."""

    def handler(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled(handler):
        yield


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """`handler` for the signals that ask a program to end."""
    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            try:
                before[number] = signal.signal(number, handler)
            except ValueError:  # not in the main thread: whoever runs us there has its own way to stop us
                break
    try:
        yield
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


@contextmanager
def told_all_the_same(
    console: Console, journal: Journal, path: Path | None = None, read: str | None = None
) -> Iterator[None]:
    """A fault of ours, too, leaves a results file that tells how far the batch came."""
    try:
        yield
    except Exception:
        with suppress(Exception):  # the first one says more
            conclude(console, journal, None, path, read)
        raise


def conclude(
    console: Console,
    journal: Journal,
    sent: Sent | None,
    path: Path | None = None,
    read: str | None = None,
) -> int:
    """Writes the results file (at `path`, or where it was last), tells how the batch stands, and gives the
    exit code. read: the file's digest when its changes were taken over."""
    from importer.sending.engine import unwritten

    batch = journal.batch()
    for notice in sent.notices if sent else ():
        console.warn(notice)
    trouble = unwritten(sent, batch) if sent else None
    results, written = _results_written(console, journal, path, read)
    counts = journal.shown_counts()
    seconds = sent.seconds if sent else 0.0
    code = exit_code(counts, sent) if written else max(3, exit_code(counts, sent))
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
    named = f"{quoted(results)}{' --sandbox' if batch.rehearsal else ''}"
    if code == 3 and stop is None and counts["created"] and written:  # a trial
        console.say(f"See how they arrived: importer verify {named}")
    if code in {3, 130} and written:
        console.say(f"Go on with: importer resume {named}")
    return code


def _results_written(
    console: Console, journal: Journal, path: Path | None, read: str | None
) -> tuple[str, bool]:
    """Where the results file is, or was to be; and whether it could be written."""
    from importer import batches

    try:
        written = write_results_shown(
            console, lambda told: batches.write(journal, path, read=read, progress=told)
        )
    except (FileError, ResultsError, WorkError) as error:
        batch = journal.batch()
        console.warn(
            f"{error} What happened is in the journal. Write the file with: importer resume {batch.id}"
            " --results PATH"
        )
        return batch.results, False
    return str(written.path), True
