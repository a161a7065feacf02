"""Sending a batch that is owned, for `run` and `resume` alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from importer.app.connecting import Session
from importer.app.observer import Observer, Progress, Stage, StopHandle, shown_regularly
from importer.app.records import NextStep, PlanFacts, RunResult
from importer.app.results_file import write_results_file
from importer.app.verify_batch import differences_of, read_back
from importer.errors import FileError, ImporterError, ResultsError, StoreError, WorkError
from importer.mapping.row_mapper import RowMapper
from importer.pacing.pacing import Rate
from importer.pacing.rules import MARGIN
from importer.remedies import remedy_for
from importer.sending.engine import SendResult, send, unrecorded_error
from importer.sending.outage import Stop, StopReason
from importer.sending.run_state import RunState, SendOptions, TenantConnection
from importer.settings import Settings
from importer.sheets.rows import Cells
from importer.store.batch_rows import BatchRows
from importer.store.ownership import Ownership
from importer.store.records import Batch, Problem, RowStatus, StoredRow
from importer.store.store import Store
from importer.text import shown
from importer.verification import readings
from importer.wording import NOT_ANSWERING, count

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


@dataclass(frozen=True, slots=True)
class Work:
    """A batch that is owned and ready to be sent. session: None where nothing is left to send. results:
    where its results file goes; None: where it was. read: digest of the results file when its changes were
    taken over. typed: cells of created rows that a person changed. questions, notices: for `RunResult`.
    replaces: finished batches whose results file may be overwritten."""

    store: Store
    owned: Ownership
    session: Session | None
    options: SendOptions
    mapper: RowMapper
    observer: Observer
    stop: StopHandle
    results: Path | None = None
    read: str | None = None
    typed: Mapping[int, Cells] = field(default_factory=dict)
    replaces: tuple[str, ...] = ()
    questions: tuple[dict[str, Any], ...] = ()
    notices: tuple[dict[str, Any], ...] = field(default=())

    @property
    def rows(self) -> BatchRows:
        """The batch's rows."""
        return self.owned.rows

    @property
    def connection(self) -> TenantConnection:
        """Only where something is sent."""
        assert self.session is not None, "a batch without open rows needs no connection"
        return self.session.connection


def spoken_rate(rate: Rate) -> str:
    """`25 calls in 5 seconds`."""
    seconds = "second" if rate.period_s == 1 else "seconds"
    return f"{count(rate.calls, 'call')} in {rate.period_s:g} {seconds}"


async def send_rows(work: Work, limit: int | None) -> SendResult:
    """Sends `limit` rows at most (None: all) while the observer is kept informed and the stop is heeded."""
    options, start, runs = replace(work.options, limit=limit), _Start.of(work.rows, limit), []
    loop = asyncio.get_running_loop()

    def begin(run: RunState) -> None:
        runs.append(run)
        work.stop.when_requested(partial(run.stop, StopReason.INTERRUPTED, "Interrupted.", 130), loop)

    def show() -> None:
        for run in runs:
            work.observer.progress(start.progress(run))

    work.owned.keep_facts(rate=str(work.connection.pace.ceiling))  # for the report
    work.observer.sending()
    async with shown_regularly(show):
        return await send(
            work.store, work.owned, work.connection, options,
            observer=begin, columns=work.mapper.columns(),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Start:
    """Where the batch stood when this run began: what was finished before is not this run's progress."""

    pending: int
    uncertain: int
    total: int
    already: int

    @classmethod
    def of(cls, rows: BatchRows, limit: int | None) -> _Start:
        counts = rows.shown_counts()
        pending, uncertain = counts["pending"], counts["uncertain"]
        to_send = pending if limit is None else min(limit, pending)
        return cls(pending, uncertain, to_send + uncertain, rows.fact("already", 0))

    def progress(self, run: RunState) -> Progress:
        counts = run.counts.shown()
        settled = max(0, self.uncertain - counts["uncertain"])
        done = min(self.total, max(0, self.pending - counts["pending"]) + settled)
        counts["created"] -= self.already
        note = NOT_ANSWERING if run.breaker.is_open else run.pace.describe()
        rate = spoken_rate(run.pace.ceiling)
        return Progress(
            Stage.SENDING, done, self.total, +counts, note, run.pace.throttled, rate, run.counts.calls,
            run.pace.ceiling,
        )  # fmt: skip


class BrokenRunError(Exception):
    """A fault of the importer (its cause) ended a run. result: how far the batch came."""

    def __init__(self, result: RunResult) -> None:
        super().__init__(result.batch)
        self.result = result


async def send_and_conclude(work: Work, trial: int | None, *, nothing: bool) -> RunResult:
    """Sends, with a trial of so many rows first (see `send_with_trial`), unless there is nothing to send. A
    fault of ours, too, leaves a results file that shows how far the batch came (BrokenRunError)."""
    if nothing:
        return conclude(work, None)
    try:
        sent = await send_with_trial(work, trial)
    except Exception as error:
        result = None
        with suppress(Exception):  # the first one says more
            result = conclude(work, None)
        if result is None:
            raise
        raise BrokenRunError(result) from error
    return conclude(work, sent)


def conclude(work: Work, sent: SendResult | None) -> RunResult:
    """Writes the results file and says how the batch ended. sent: None where nothing was left to send.

    Raises StoreError when the store is lost; Ids that are recorded nowhere are in its message then.
    """
    trouble = unrecorded_error(sent, work.rows.id) if sent else None
    try:
        return _concluded(work, sent, trouble)
    except StoreError as error:
        if trouble is None:
            raise
        raise StoreError(f"{trouble.what} {error}", where=trouble.where, remedy=trouble.remedy) from None


def _concluded(work: Work, sent: SendResult | None, trouble: WorkError | None) -> RunResult:
    batch = work.rows.batch()
    for notice in sent.notices if sent else ():
        work.observer.notice(notice, warning=True)
    path, written = _written(work)
    already = work.rows.fact("already", 0)
    counts = work.rows.shown_counts()
    counts["created"] -= already
    stop = sent.stop if sent else None
    code = stop.exit_code if stop else exit_code_of(counts)
    if not written:
        code = max(3, code)
    result = RunResult(
        batch=batch.id,
        counts=counts,
        already=already,
        throttled=sent.throttled if sent else 0,
        seconds=sent.seconds if sent else 0.0,
        results=path,
        store=work.store.location,
        exit_code=code,
        written=written,
        stopped=stop.message if stop else "",
        stop_code=STOP_CODES[stop.reason] if stop else "",
        reasons=tuple(reasons(work.rows)),
        questions=work.questions,
        notices=work.notices,
        rehearsal=batch.rehearsal,
    )
    result = replace(result, next_steps=tuple(next_steps(result)))
    if trouble is None:
        return result
    # The Ids must be seen whatever happens next: they are nowhere else.
    stopped = f"{trouble} {result.stopped}".rstrip()
    return replace(result, stopped=stopped, stop_code="store", exit_code=max(3, result.exit_code))


def exit_code_of(counts: Mapping[str, int]) -> int:
    """How a batch with these rows ends (see the table in README)."""
    if counts["pending"]:
        return 3
    return 1 if counts["failed"] + counts["invalid"] + counts["uncertain"] else 0


def reasons(rows: BatchRows) -> Iterator[str]:
    """Why rows were not created: a sentence for each status and code, the most frequent first."""
    found: dict[tuple[RowStatus, str], tuple[int, Problem]] = {}
    for problem in rows.problems():
        if problem.status in {RowStatus.CREATED, RowStatus.SKIPPED, RowStatus.PENDING}:
            continue
        number, first = found.get((problem.status, problem.code), (0, problem))
        found[problem.status, problem.code] = number + 1, first
    ordered = sorted(found.values(), key=lambda one: -one[0])
    for number, first in ordered[:REASONS_MAX]:
        why = shown(first.error, REASON_LENGTH_MAX) if first.error else remedy_for(first.code).meaning
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
        path = write_results_file(
            work.rows, work.owned.keep_facts, work.observer, work.results, read=work.read,
            replaces=work.replaces, typed=work.typed,
        )  # fmt: skip
    except (ResultsError, FileError, WorkError) as error:
        work.observer.notice(
            f"{error} What happened is in the store. Write the file again with --results PATH:"
            f" importer resume {work.rows.id}",
            warning=True,
        )
        _log.warning("the results file could not be written: %s", error)
        return work.results or Path(work.rows.batch().results), False
    return path, True


def expected_s(rows: int, rate: Rate) -> float:
    """How long it takes to send so many rows, spaced as the pace spaces them, in seconds."""
    return rows / rate.per_s * MARGIN


def plan_facts(
    batch: Batch, settings: Settings, user: str, *, results: Path, events: Mapping[int, int], pending: int,
    limit: int | None, in_doubt: int = 0, left_out: int, already: int,
) -> PlanFacts:  # fmt: skip
    """What a person sees before anything is sent. events: activity type → rows. limit: of rows to send."""
    to_send = pending if limit is None else min(limit, pending)
    return PlanFacts(
        batch=batch.id,
        source=batch.source_name,
        sheet=batch.sheet,
        organisation=batch.organisation or batch.tenant,
        user=user,
        host=settings.base_url,
        keys_from=settings.origin,
        events=tuple(sorted(events.items())),
        to_send=to_send,
        pending=pending,
        in_doubt=in_doubt,
        left_out=left_out,
        already=already,
        seconds=expected_s(to_send, settings.rate),
        rate=spoken_rate(settings.rate),
        results=results,
        rehearsal=batch.rehearsal,
    )


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
    if left == 0 or not work.rows.has(RowStatus.PENDING):
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
    differences = differences_of(summary, work.mapper.columns())
    return _stop(work, [f"{_the_first(len(only))} did not come back as sent.", *differences])


def _stop(work: Work, sentences: list[str]) -> Stop:
    """Exit 3 as long as there is something to resume, 1 when the trial was all there was."""
    pending = work.rows.has(RowStatus.PENDING)
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
