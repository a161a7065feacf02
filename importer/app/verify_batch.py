"""`verify`: created activities are read back and compared with what was sent."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from collections.abc import Mapping as MappingOf
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from importer.app.connecting import Session, heed_stop, session
from importer.app.observer import SILENT, Observer, Progress, Stage, StopHandle, shown_regularly
from importer.app.options import VerifyOptions
from importer.app.records import NextStep, VerifyResult
from importer.app.results_file import place_here
from importer.app.stores import NamedBatch, batch_to_call, own_created
from importer.errors import WorkError
from importer.leadsquared.calls import Unreachable
from importer.mapping.mapping import Mapping
from importer.results.results_writer import VERIFIED_ENDING, beside, write_verified
from importer.store.batch_rows import BatchRows
from importer.store.ownership import Ownership
from importer.store.records import Batch, RowStatus
from importer.store.store import Store
from importer.text import NOT_ANSWERING, count, quoted
from importer.verification import readings
from importer.verification.readings import (
    FieldSummary,
    ReadingVerdict,
    ReadRow,
    VerificationPass,
    VerificationSummary,
)

SHOWN_VALUE_MAX: Final = 30


async def read_back(
    owned: Ownership,
    opened: Session,
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
    connection = opened.connection
    reading = VerificationPass(owned, connection, opened.options, only=only)

    def show() -> None:
        note = NOT_ANSWERING if reading.in_trouble else connection.pace.describe()
        observer.progress(Progress(Stage.READING_BACK, reading.read, total, note=note))

    heed_stop(stop, reading.stop)
    await reading.pause(settle_s)  # a new activity may take so long to show up in LeadSquared's own look-up
    async with shown_regularly(show):
        if not reading.stopping:
            await reading.run()
    return not reading.stopping


def unsettled_s(rows: BatchRows, settle_s: float) -> float:
    """How long to wait until what was created last has had `settle_s` seconds to show up."""
    latest = rows.last_change(RowStatus.CREATED)
    if latest is None:
        return 0.0
    age_s = (datetime.now(UTC) - datetime.fromisoformat(latest)).total_seconds()
    return min(settle_s, max(0.0, settle_s - age_s))


def differences_of(summary: VerificationSummary, columns: MappingOf[str, str]) -> Iterator[str]:
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


async def verify(
    options: VerifyOptions, store: Store, observer: Observer = SILENT, stop: StopHandle | None = None
) -> VerifyResult:
    """Reads created activities back and compares them with what was sent. Continues one that was interrupted.

    The batch is owned meanwhile: a run elsewhere would create rows behind our back. Raises ResultsError (in
    use, nothing created, erased), TenantError for keys that may not read.
    """
    sandbox = options.calls.sandbox
    named = batch_to_call(
        options.results, store, sandbox=sandbox, remedy="Use --sandbox to read the rehearsal back."
    )
    async with AsyncExitStack() as stack:
        owned = stack.enter_context(own_created(named, store, "verify"))
        batch = owned.rows.batch()
        total = owned.rows.counts()[RowStatus.CREATED]
        opened = await stack.enter_async_context(
            session(options.calls, store, rehearsal=batch.id if sandbox else "")
        )
        try:
            await opened.user_of(batch)
        except Unreachable as error:  # the batch waits
            raise WorkError(error.what, where=error.where, remedy=error.remedy, code="unreachable") from error
        done = readings.begin(owned)
        if done:
            observer.notice(f"Continuing an interrupted reading: {count(done, 'row')} of {total:,} done.")
        wait_s = 0.0 if batch.rehearsal else unsettled_s(owned.rows, options.settle_s)
        try:
            whole = await read_back(
                owned, opened, observer, stop or StopHandle(),
                total=total - done, settle_s=wait_s,
            )  # fmt: skip
        except WorkError as error:
            found = _stopped(owned, error.exit_code)
            return replace(found, stopped=str(error), stop_code=error.error_code)
        return _conclude(named, owned, observer) if whole else _stopped(owned, 130)


def _stopped(owned: Ownership, code: int) -> VerifyResult:
    """What was read so far."""
    summary = readings.summarise(readings.read_rows(owned.rows))
    return _result(owned.rows.batch(), summary, None, code, ())


def _conclude(named: NamedBatch, owned: Ownership, observer: Observer) -> VerifyResult:
    """Writes the file and sums up."""
    batch = owned.rows.batch()
    path = beside(named.results or place_here(owned.rows), VERIFIED_ENDING).absolute()
    summary = VerificationSummary()

    def read_rows() -> Iterator[ReadRow]:
        for row in readings.read_rows(owned.rows):
            summary.add(row)
            yield row

    placed = write_verified(
        path, read_rows(), batch.id, lambda rows: observer.progress(Progress(Stage.WRITING, rows))
    )
    unread = summary.rows[ReadingVerdict.NOT_READ]
    if not unread:
        readings.end(owned)
    if placed.aside:
        observer.notice(placed.aside, warning=True)
    only_unread = unread and not summary.differing and not summary.not_found
    code = 0 if summary.all_equal else 3 if only_unread else 1
    mapper = Mapping.from_record(batch.mapping).bind(batch.header)
    differences = tuple(differences_of(summary, mapper.columns()))
    return _result(batch, summary, placed.path, code, differences)


def _result(
    batch: Batch, summary: VerificationSummary, verified: Path | None, code: int, differences: tuple[str, ...]
) -> VerifyResult:
    equal, missing, unread = (
        summary.rows[one] for one in (ReadingVerdict.EQUAL, ReadingVerdict.NOT_FOUND, ReadingVerdict.NOT_READ)
    )
    again = ("verify", batch.id, *(("--sandbox",) if batch.rehearsal else ()))
    steps = (NextStep("Continue with:", again),) if verified is None or unread else ()
    return VerifyResult(
        batch=batch.id,
        rows=summary.total,
        equal=equal,
        differing=summary.total - equal - missing - unread,
        missing=missing,
        unread=unread,
        fields=tuple(field.plain() for field in summary.fields.values()),
        differences=differences,
        verified=verified,
        exit_code=code,
        next_steps=steps,
    )
