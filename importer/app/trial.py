"""`--canary N`: send N rows, read them back, and send the others only if all were returned as sent."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from importer.app.reading_back import differences_of, read_back
from importer.app.running import Work, columns_of, send_rows
from importer.errors import ImporterError
from importer.sending.engine import SendResult
from importer.sending.outage import Stop, StopReason
from importer.store.records import RowStatus, StoredRow
from importer.text import shown
from importer.verification import readings
from importer.wording import count

ROWS_NAMED: Final = 3
ERROR_LENGTH_MAX: Final = 200
CONTINUE: Final = (
    "To continue anyway: importer resume RESULTS. With a corrected mapping: importer resume RESULTS"
    " -m MAPPING --remap."
)


async def send_with_trial(work: Work, trial: int | None) -> SendResult:
    """Sends what may be sent; with a trial of so many rows first, and only those if they came back wrong."""
    limit = work.options.limit
    if trial is None:
        return await send_rows(work, limit)
    first = trial if limit is None else min(trial, limit)
    before = work.rows.last_attempt_id()
    sent = await send_rows(work, first)
    tried = work.rows.rows_attempted_since(before)
    if sent.stop is not None or not tried:
        return sent
    stop = await _judged(work, tried)
    if stop is not None:
        return replace(sent, stop=stop)
    work.observer.notice(f"{_the_first(len(tried))} came back as sent.")
    left = None if limit is None else limit - first
    if left == 0 or not work.rows.counts().get(RowStatus.PENDING, 0):
        return sent
    rest = await send_rows(work, left)
    return replace(
        rest,
        seconds=sent.seconds + rest.seconds,
        throttled=sent.throttled + rest.throttled,
        notices=tuple(dict.fromkeys((*sent.notices, *rest.notices))),
        unrecorded=(*sent.unrecorded, *rest.unrecorded),
    )


async def _judged(work: Work, tried: list[StoredRow]) -> Stop | None:
    """Why not to continue; None when every row was created and came back as sent."""
    not_created = [row for row in tried if row.status is not RowStatus.CREATED]
    if not_created:
        return _stop(work, _failures(not_created, len(tried)))
    only = [row.position for row in tried]
    try:
        whole = await read_back(
            work.owned, work.connection, work.options, work.observer, work.stop,
            total=len(only), only=only, settle_s=work.options.settle_s,
        )  # fmt: skip
    except ImporterError as error:
        return _stop(work, [f"{_the_first(len(only))} could not be read back: {error}"])
    if not whole:
        return Stop(StopReason.INTERRUPTED, "Interrupted.", 130)
    summary = readings.summarise(readings.read_rows(work.rows, only))
    if summary.all_equal:
        return None
    differences = differences_of(summary, columns_of(work.mapper))
    return _stop(work, [f"{_the_first(len(only))} did not come back as sent.", *differences])


def _stop(work: Work, sentences: list[str]) -> Stop:
    """Exit 3 as long as there is something to resume, 1 when the trial was all there was."""
    pending = work.rows.counts().get(RowStatus.PENDING, 0)
    end = f"Nothing more was sent. {CONTINUE}" if pending else "All rows had been sent."
    return Stop(StopReason.TRIAL, " ".join((*sentences, end)), 3 if pending else 1)


def _failures(rows: list[StoredRow], tried: int) -> list[str]:
    named = [
        f"Row {row.number} is {row.status.shown}: {shown(row.error or row.error_code, ERROR_LENGTH_MAX)}"
        for row in rows[:ROWS_NAMED]
    ]
    more = f"And {count(len(rows) - ROWS_NAMED, 'more row')}." if len(rows) > ROWS_NAMED else ""
    return [f"{len(rows):,} of {_the_first(tried).lower()} could not be created.", *named, more]


def _the_first(number: int) -> str:
    return "The first row" if number == 1 else f"The first {number:,} rows"
