"""`--canary N`: send N rows, read them back, and send the others only if all came back as sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from importer.cli.console import Console
from importer.cli.reading_back import described, read_back
from importer.cli.sending import send_watched
from importer.cli.wording import count, shorten
from importer.errors import ImporterError

if TYPE_CHECKING:
    from importer.journal.journal import Journal, JournalRow
    from importer.sending.engine import Line, Sent
    from importer.sending.reconcile.verifier import Claimed
    from importer.sending.run_state import Orders, Stop

ROWS_NAMED: Final = 3
ERROR_COLUMNS: Final = 200
GO_ON: Final = (
    "To go on all the same: importer resume RESULTS. With a mended mapping: importer resume RESULTS"
    " -m MAPPING --remap."
)


async def send_after_canary(
    console: Console, journal: Journal, line: Line, orders: Orders, claimed: Claimed, *, canary: int | None
) -> Sent:
    """Sends what may be sent; with a canary of so many rows first, and only those if they came back wrong."""
    if canary is None:
        return await send_watched(console, journal, line, orders, claimed)
    first = canary if orders.limit is None else min(canary, orders.limit)
    before = journal.last_attempt_id()
    sent = await send_watched(console, journal, line, replace(orders, limit=first), claimed)
    tried = _tried(journal, before)
    if sent.stop is not None or not tried:
        return sent
    stop = await _judged(console, journal, line, orders, tried)
    if stop is not None:
        return replace(sent, stop=stop)
    console.say(f"{_the_first(len(tried))} came back as sent.")
    left = None if orders.limit is None else orders.limit - first
    if left == 0 or not journal.shown_counts()["pending"]:
        return sent
    rest = await send_watched(console, journal, line, replace(orders, limit=left), claimed)
    return replace(
        rest,
        seconds=sent.seconds + rest.seconds,
        throttled=sent.throttled + rest.throttled,
        notices=tuple(dict.fromkeys((*sent.notices, *rest.notices))),
        created_unwritten=(*sent.created_unwritten, *rest.created_unwritten),
    )


def _tried(journal: Journal, before: int) -> list[JournalRow]:
    """The rows of which a call left after the attempt `before`."""
    found = journal.connection.execute(
        "SELECT DISTINCT position FROM attempt WHERE id > ? ORDER BY position", (before,)
    )
    return [journal.row(position) for (position,) in found.fetchall()]


async def _judged(
    console: Console, journal: Journal, line: Line, orders: Orders, tried: list[JournalRow]
) -> Stop | None:
    """Why not to go on; None when every row was created and came back as sent."""
    from importer.journal.journal import RowStatus
    from importer.verification import readings

    not_created = [row for row in tried if row.status is not RowStatus.CREATED]
    if not_created:
        return _stop(journal, _failures(not_created, len(tried)))
    only = [row.position for row in tried]
    readings.begin(journal, readings.utc_now())
    try:
        whole = await read_back(
            console, journal, line, orders, total=len(only), only=only, settle_s=orders.settle_s
        )
    except ImporterError as error:
        return _stop(journal, [f"{_the_first(len(only))} could not be read back: {error}"])
    if not whole:
        return replace(_stop(journal, ["Interrupted."]), exit_code=130, reason="interrupted")
    summary = readings.summarise(readings.read_rows(journal, only))
    if summary.all_equal:
        return None
    return _stop(journal, [f"{_the_first(len(only))} did not come back as sent.", *described(summary)])


def _stop(journal: Journal, sentences: list[str]) -> Stop:
    """Exit 3 as long as there is something to resume, 1 when the canary was all there was."""
    from importer.sending.run_state import Stop

    pending = journal.shown_counts()["pending"]
    end = f"Nothing more was sent. {GO_ON}" if pending else "All rows had been sent."
    return Stop("canary", " ".join((*sentences, end)), 3 if pending else 1)


def _failures(rows: list[JournalRow], tried: int) -> list[str]:
    named = [
        f"Row {row.number} is {row.status.shown}: {shorten(row.error or row.error_code, ERROR_COLUMNS)}"
        for row in rows[:ROWS_NAMED]
    ]
    more = f"And {count(len(rows) - ROWS_NAMED, 'more row')}." if len(rows) > ROWS_NAMED else ""
    return [f"{len(rows):,} of {_the_first(tried).lower()} could not be created.", *named, more]


def _the_first(number: int) -> str:
    return "The first row" if number == 1 else f"The first {number:,} rows"
