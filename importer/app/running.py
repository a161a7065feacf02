"""Sending a batch that is owned, for `run` and `resume` alike."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from importer.app.connecting import heed_stop
from importer.app.observer import Progress, Stage, shown_regularly
from importer.app.plan import Preparation
from importer.app.records import NextStep, RunResult
from importer.app.verify_batch import differences_of, read_back
from importer.errors import FileError, ImporterError, ResultsError, StoreError, WorkError
from importer.remedies import remedy_for
from importer.sending.engine import SendResult, send, unrecorded_error
from importer.sending.outage import Stop, StopReason
from importer.sending.run_state import RunState
from importer.store.batch_rows import BatchRows
from importer.store.records import RowStatus, StoredRow
from importer.text import NOT_ANSWERING, count, shown
from importer.verification import readings

REASONS_MAX: Final = 5
REASON_LENGTH_MAX: Final = 300
STOP_CODES: Final = {
    StopReason.INTERRUPTED: "interrupted",
    StopReason.OUTAGE: "outage",
    StopReason.QUOTA: "quota",
    StopReason.UNAUTHORISED: "keys",
    StopReason.WRONG_ADDRESS: "address",
    StopReason.REFUSED_ALIKE: "refused-alike",
    StopReason.TRIAL: "trial",
    StopReason.STORE: "store",
    StopReason.ERROR: "unexpected",
    StopReason.FAULT: "unexpected",
}
"""Each reason to stop, as one of `errors.ERROR_CODES`."""
_log = logging.getLogger(__name__)


Work = Preparation[RunResult]
"""A batch that is owned and ready to be sent."""


async def send_rows(work: Work, limit: int | None) -> SendResult:
    """Sends `limit` rows at most (None: all) while the observer is kept informed and the stop is heeded."""
    rows, runs = work.owned.rows, []
    before, already = rows.shown_counts(), rows.fact("already", 0)
    pending, uncertain = before["pending"], before["uncertain"]
    total = uncertain + (pending if limit is None else min(limit, pending))

    def begin(run: RunState) -> None:
        runs.append(run)
        heed_stop(work.stop, run.stop)

    def show() -> None:
        """What was finished before is not this run's progress."""
        for run in runs:
            counts = run.counts.shown()
            done = max(0, pending - counts["pending"]) + max(0, uncertain - counts["uncertain"])
            counts["created"] -= already
            note = NOT_ANSWERING if run.breaker.is_open else run.pace.describe()
            calls, limit_now = run.counts.calls, run.pace.ceiling
            work.observer.progress(
                Progress(Stage.SENDING, min(total, done), total, +counts, note, calls, limit_now)
            )

    work.owned.keep_facts(rate=str(work.session.connection.pace.ceiling))  # for the report
    work.observer.progress(Progress(Stage.SENDING, 0, total))
    async with shown_regularly(show):
        return await send(
            work.store, work.owned, work.session.connection, replace(work.session.options, limit=limit),
            observer=begin, columns=work.mapper.columns(),
        )  # fmt: skip


class BrokenRunError(Exception):
    """A fault of the importer (its cause) ended a run. result: how far the batch came."""

    def __init__(self, result: RunResult) -> None:
        super().__init__(result.batch)
        self.result = result


async def send_and_conclude(work: Work, *, nothing: bool) -> RunResult:
    """Sends, with a trial first if one was asked for, unless there is nothing to send. A fault of ours, too,
    leaves a results file that shows how far the batch came (BrokenRunError)."""
    if nothing:
        return conclude(work, None)
    try:
        sent = await send_with_trial(work)
    except Exception as error:
        result = None
        with suppress(Exception):  # the first one says more
            result = conclude(work, None)
        if result is None:
            raise
        raise BrokenRunError(result) from error
    return conclude(work, sent)


def conclude(work: Work, sent: SendResult | None) -> RunResult:
    """Writes the results file and says how the batch ended. sent: None where nothing was left to send. Raises
    StoreError when the store is lost."""
    unrecorded = unrecorded_error(sent, work.batch.id) if sent else None
    if unrecorded is not None:  # the Ids must be seen whatever happens next: they are nowhere else
        work.observer.notice(str(unrecorded), warning=True)
    work.say(sent.notices if sent else (), warning=True)
    path, written = _written(work)
    already = work.owned.rows.fact("already", 0)
    counts = work.owned.rows.shown_counts()
    counts["created"] -= already
    stop = sent.stop if sent else None
    code = stop.exit_code if stop else exit_code_of(counts)
    result = RunResult(
        batch=work.batch.id,
        counts=counts,
        already=already,
        throttled=sent.throttled if sent else 0,
        seconds=sent.seconds if sent else 0.0,
        results=path,
        store=work.store.location,
        exit_code=code if written and unrecorded is None else max(3, code),
        written=written,
        stopped=stop.message if stop else "",
        stop_code=STOP_CODES[stop.reason] if stop else "",
        reasons=tuple(reasons(work.owned.rows)),
        findings=work.findings,
        rehearsal=work.batch.rehearsal,
    )
    return replace(result, next_steps=tuple(next_steps(result)))


def exit_code_of(counts: Mapping[str, int]) -> int:
    """How a batch with these rows ends (see the table in README)."""
    if counts["pending"]:
        return 3
    return 1 if counts["failed"] + counts["invalid"] + counts["uncertain"] else 0


def reasons(rows: BatchRows) -> Iterator[str]:
    """Why rows were not created: a sentence for each status and code, the most frequent first."""
    found: dict[tuple[RowStatus, str], tuple[int, StoredRow]] = {}
    for problem in rows.problems():
        if problem.status in {RowStatus.CREATED, RowStatus.SKIPPED, RowStatus.PENDING}:
            continue
        number, first = found.get((problem.status, problem.error_code), (0, problem))
        found[problem.status, problem.error_code] = number + 1, first
    ordered = sorted(found.values(), key=lambda one: -one[0])
    for number, first in ordered[:REASONS_MAX]:
        why = shown(first.error, REASON_LENGTH_MAX) if first.error else remedy_for(first.error_code).meaning
        row = f"row {first.number}" if number == 1 else f"row {first.number} and {number - 1:,} more"
        yield f"{first.status.shown.capitalize()}, {row}: {why}"
    if len(ordered) > REASONS_MAX:
        yield f"… and {count(len(ordered) - REASONS_MAX, 'more reason')}: see the results file."


def next_steps(result: RunResult) -> Iterator[NextStep]:
    """What a person can do now, with the commands to paste."""
    counts = result.counts
    named = (str(result.results), *(("--sandbox",) if result.rehearsal else ()))
    resume = ("resume", *named)
    if not result.written:
        return
    if result.exit_code == 3 and not result.stopped and counts["created"]:  # a trial with --limit
        yield NextStep("See how they arrived:", ("verify", *named))
    if counts["pending"]:
        yield NextStep("Continue with:", resume)
    elif counts["failed"] or counts["invalid"]:
        yield NextStep("Correct these rows in the results file, then:", resume)
    elif counts["uncertain"]:
        yield NextStep(
            "Look for these rows in LeadSquared. In the results file, set import_status to created (with the"
            " Id in import_activity_id) or pending, then:",
            resume,
        )


def _written(work: Work) -> tuple[Path, bool]:
    """Where the results file is, or was to be; and whether it could be written."""
    try:
        return work.write_results(), True
    except (ResultsError, FileError, WorkError) as error:
        how = "What happened is in the store. Write the file again with --results PATH:"
        if isinstance(error, StoreError):  # nothing is wrong with the path
            how = "The results file is not up to date. This writes it again:"
        work.observer.notice(f"{error} {how} importer resume {work.batch.id}", warning=True)
        _log.warning("the results file could not be written: %s", error)
        return work.results, False


CONTINUE: Final = (
    "To continue anyway: importer resume RESULTS. With a corrected mapping: importer resume RESULTS"
    " -m MAPPING --remap."
)


async def send_with_trial(work: Work) -> SendResult:
    """Sends what may be sent; with a trial of some rows first, and only those if they came back wrong."""
    limit, trial = work.sending.limit, work.sending.canary
    if trial is None:
        return await send_rows(work, limit)
    first = trial if limit is None else min(trial, limit)
    before = work.owned.rows.last_attempt_id()
    sent = await send_rows(work, first)
    tried = work.owned.rows.rows_attempted_since(before)
    if sent.stop is not None or not tried:
        return sent
    stop = await _judged(work, tried)
    if stop is not None:
        return replace(sent, stop=stop)
    work.observer.notice(f"{_the_first(len(tried))} came back as sent.")
    left = None if limit is None else limit - first
    if left == 0 or not work.owned.rows.has(RowStatus.PENDING):
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
    failed = sum(row.status is not RowStatus.CREATED for row in tried)
    if failed:
        what = f"{failed:,} of {_the_first(len(tried)).lower()} could not be created."
        return _stop(work, [what, *reasons(work.owned.rows)])
    only = [row.position for row in tried]
    try:
        whole = await read_back(
            work.owned, work.session, work.observer, work.stop,
            total=len(only), only=only, settle_s=work.session.options.settle_s,
        )  # fmt: skip
    except ImporterError as error:
        return _stop(work, [f"{_the_first(len(only))} could not be read back: {error}"])
    if not whole:
        return Stop(StopReason.INTERRUPTED, "Interrupted.", 130)
    summary = readings.summarise(readings.read_rows(work.owned.rows, only))
    if summary.all_equal:
        return None
    differences = differences_of(summary, work.mapper.columns())
    return _stop(work, [f"{_the_first(len(only))} did not come back as sent.", *differences])


def _stop(work: Work, sentences: list[str]) -> Stop:
    """Exit 3 as long as there is something to resume, 1 when the trial was all there was."""
    pending = work.owned.rows.has(RowStatus.PENDING)
    end = f"Nothing more was sent. {CONTINUE}" if pending else "All rows had been sent."
    return Stop(StopReason.TRIAL, " ".join((*sentences, end)), 3 if pending else 1)


def _the_first(number: int) -> str:
    return "The first row" if number == 1 else f"The first {number:,} rows"
