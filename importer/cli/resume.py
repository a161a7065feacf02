"""`importer resume`: go on with a batch, with whatever a person changed in its results file."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from importer.cli import options
from importer.cli.console import Console
from importer.cli.wishes import ResumeWishes
from importer.errors import UserError

if TYPE_CHECKING:
    from importer.batches import Named


def resume(
    console: Console,
    *,
    results: options.Results,
    mapping: options.OptionalMappingFile = None,
    remap: options.Remap = False,
    retry_failed: options.RetryFailed = False,
    host: options.Host = None,
    sandbox: options.Sandbox = False,
    yes: options.Yes = False,
    limit: options.Limit = None,
    canary: options.Canary = None,
    results_path: options.ResultsPath = None,
    rate: options.RateLimit = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    timeout: options.Timeout = options.DEFAULT_TIMEOUT_S,
    max_outage: options.MaxOutage = options.DEFAULT_MAX_OUTAGE_S,
    settle: options.Settle = options.DEFAULT_SETTLE_S,
    max_attempts: options.MaxAttempts = options.DEFAULT_MAX_ATTEMPTS,
    keep_going: options.KeepGoing = False,
) -> int:
    """Go on with a batch, with what you mended in its results file.

    Sends rows still pending, rows in doubt (looked up first), and rows that you mended. Rows that are
    created are never sent again.

    In the results file you may change the cells of rows that are not created, and in import_status say
    skipped (never send it), pending (take that back; on an uncertain row: I looked, it is not there), or
    created on an uncertain row, with the Id pasted in.

    Ends as run does. A finished batch sends nothing and ends as it did.

    \b
    Examples:
      importer resume visits.results.csv
      importer resume visits.results.csv --retry-failed
      importer resume visits.results.csv -m mended.yaml --remap
    """
    import asyncio

    from importer.cli.rebuilding import rebuild_batch
    from importer.cli.resuming import Resumption
    from importer.cli.sending import ended_by_signals
    from importer.sending.run_state import Orders

    if remap and mapping is None:
        raise UserError("--remap needs the new mapping.", remedy="Say it with -m MAPPING.")
    orders = Orders(
        workers=workers,
        settle_s=settle,
        timeout_s=timeout,
        max_attempts=max_attempts,
        max_outage_s=max_outage,
        keep_going=keep_going,
        limit=limit,
    )
    wishes = ResumeWishes(yes, sandbox, retry_failed, remap, mapping, results_path, canary)
    with ExitStack() as stack:
        stack.enter_context(ended_by_signals())
        named = _named(results, sandbox=sandbox)
        if not named.journal.is_file():
            asyncio.run(rebuild_batch(console, named, orders, wishes, host=host, rate=rate))
        resumption = Resumption.of(console, named, orders, wishes, stack)
        return asyncio.run(resumption.go(host, rate))


def _named(results: str, *, sandbox: bool) -> Named:
    from importer import batches
    from importer.home import home

    named = batches.find(results, home(), rehearsal=sandbox)
    remedy = "Go on with the rehearsal with --sandbox, or start the import with `importer run`."
    batches.expect_kind(named, sandbox=sandbox, remedy=remedy)
    return named
