"""`importer verify`: read created activities back and compare them with what was sent."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from importer.cli import options
from importer.cli.console import Console
from importer.cli.progress import Progress
from importer.cli.wording import count
from importer.errors import ImporterError, ResultsError

if TYPE_CHECKING:
    from pathlib import Path

    from importer.atomic_file import Placed
    from importer.batches import Named
    from importer.journal.journal import Batch, Journal
    from importer.sending.run_state import Orders
    from importer.verification.readings import ReadBackSummary


def verify(
    console: Console,
    *,
    results: options.Results,
    host: options.Host = None,
    sandbox: options.Sandbox = False,
    rate: options.RateLimit = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    max_outage: options.MaxOutage = options.DEFAULT_MAX_OUTAGE_S,
    settle: options.Settle = options.DEFAULT_SETTLE_S,
) -> int:
    """Read created activities back and compare them with what was sent.

    Nothing is sent or changed in LeadSquared.

    Says for each field how it came back, and writes a .verified.csv beside the results file, with every
    difference (sent and stored). After Ctrl-C or an outage, the same command goes on.

    Ends with 0 if all is equal, 1 if something differs, 3 if rows are still unread, 130 after Ctrl-C.

    \b
    Examples:
      importer verify visits.results.csv
      importer verify visits.csv --sandbox
      importer verify visits.results.csv --json
    """
    import asyncio

    from importer import batches
    from importer.home import home
    from importer.sending.run_state import Orders

    orders = Orders(workers=workers, settle_s=settle, timeout_s=timeout, max_outage_s=max_outage)
    named = batches.find(results, home(), rehearsal=sandbox)
    batches.expect_kind(named, sandbox=sandbox, remedy="Say --sandbox to read the rehearsal back.")
    with ExitStack() as stack:
        journal = _opened(named, stack)
        return asyncio.run(_verify(console, named, journal, orders, host=host, rate=rate))


def _opened(named: Named, stack: ExitStack) -> Journal:
    """The batch, locked: a run that goes on in another window would create rows behind our back."""
    from importer.journal.journal import Journal, RowStatus
    from importer.journal.lock import batch_lock

    if not named.journal.is_file():
        raise ResultsError(
            "The batch's journal is not on this computer, and only there stands what was sent.",
            where=named.batch,
            remedy="Verify on the computer that ran the import, or restore its IMPORTER_HOME.",
        )
    stack.callback(batch_lock(named.journal).release)
    journal = stack.enter_context(Journal.open(named.journal))
    if not journal.counts().get(RowStatus.CREATED):
        raise ResultsError(
            "No row of this batch is created, so there is nothing to read back.",
            where=named.batch,
            remedy="`importer status` tells how it stands.",
        )
    return journal


async def _verify(
    console: Console, named: Named, journal: Journal, orders: Orders, *, host: str | None, rate: str | None
) -> int:
    from importer.cli.line import connect_for
    from importer.cli.reading_back import read_back
    from importer.journal.journal import RowStatus
    from importer.sending.engine import tenant_name
    from importer.verification import readings

    batch = journal.batch()
    total = journal.counts()[RowStatus.CREATED]
    async with connect_for(batch.id, orders, host, rate, rehearsal=batch.rehearsal, asked={}) as (
        settings,
        line,
        user,
    ):
        tenant = tenant_name(settings.base_url, user, rehearsal=batch.rehearsal)
        if tenant != batch.tenant:
            raise _another_tenant(batch, tenant)
        done = readings.begin(journal, readings.utc_now())
        if done:
            console.say(f"Going on with a reading that was cut off: {count(done, 'row')} of {total:,} done.")
        wait_s = 0.0 if batch.rehearsal else _unsettled_s(journal, orders.settle_s)
        try:
            whole = await read_back(console, journal, line, orders, total=total, done=done, settle_s=wait_s)
        except ImporterError:
            console.result("", _told(batch, readings.summarise(readings.read_rows(journal))))
            raise
    if not whole:
        summary = readings.summarise(readings.read_rows(journal))
        console.result("", _told(batch, summary))
        return 130
    return _conclude(console, named, journal)


def _another_tenant(batch: Batch, tenant: str) -> ResultsError:
    return ResultsError(
        f"This batch belongs to {batch.organisation or batch.tenant} on {batch.tenant}, and the keys to"
        f" {tenant}.",
        where=batch.id,
        remedy="Use the host and keys of the batch's own organisation.",
    )


def _unsettled_s(journal: Journal, settle_s: float) -> float:
    """How long to wait until what was created last has had `settle_s` seconds to show up."""
    from datetime import datetime

    from importer.verification.readings import utc_now

    (latest,) = journal.connection.execute("SELECT max(changed_at) FROM row WHERE status = 4").fetchone()
    age_s = (utc_now() - datetime.fromisoformat(latest)).total_seconds()
    return min(settle_s, max(0.0, settle_s - age_s))


def _conclude(console: Console, named: Named, journal: Journal) -> int:
    """Writes the file, tells the differences, and gives the exit code."""
    from importer.cli.reading_back import described
    from importer.verification import readings

    batch = journal.batch()
    placed, summary = _write(console, named, journal, batch)
    unread = summary.rows[readings.Verdict.NOT_READ]
    if not unread:
        readings.end(journal, readings.utc_now())
    if placed.aside:
        console.warn(placed.aside)
    equal = f"{summary.rows[readings.Verdict.EQUAL]:,} equal to what was sent"
    lines = [f"{count(summary.total, 'created row')}: {equal}.", *described(summary)]
    lines.append(f"Every row and difference: {placed.path}")
    console.result("\n".join(lines), _told(batch, summary, placed.path))
    if summary.all_equal:
        return 0
    return 3 if unread and not summary.differing and not summary.not_found else 1


def _write(console: Console, named: Named, journal: Journal, batch: Batch) -> tuple[Placed, ReadBackSummary]:
    from pathlib import Path

    from importer.results.beside import beside
    from importer.results.verified_file import ENDING, write_verified
    from importer.verification import readings

    path = beside(named.results or Path(batch.results), ENDING).absolute()
    with Progress(console, "Comparing") as progress:
        return write_verified(path, readings.read_rows(journal), batch.id, progress.show)


def _told(batch: Batch, summary: ReadBackSummary, verified: Path | None = None) -> dict[str, Any]:
    """For `--json`. missing: rows that LeadSquared does not show. unread: rows without an answer."""
    from importer.verification.readings import Verdict

    equal, missing, unread = (
        summary.rows[one] for one in (Verdict.EQUAL, Verdict.NOT_FOUND, Verdict.NOT_READ)
    )
    return {
        "batch": batch.id,
        "rows": summary.total,
        "equal": equal,
        "differing": summary.total - equal - missing - unread,
        "missing": missing,
        "unread": unread,
        "fields": [field.plain() for field in summary.fields.values()],
        "verified": None if verified is None else str(verified),
    }
