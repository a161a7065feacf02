"""`importer resume`: continue a batch, with whatever a person changed in its results file."""

from __future__ import annotations

from importer.app.options import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_MAX_OUTAGE_S,
    DEFAULT_SETTLE_S,
    DEFAULT_TIMEOUT_S,
    DEFAULT_WORKERS,
    CallOptions,
    ResumeOptions,
    SendingOptions,
)
from importer.app.plan import discard, start
from importer.app.records import RunResult
from importer.app.resume import prepare_resume
from importer.app.stores import open_store
from importer.cli import options
from importer.cli.asking import settled
from importer.cli.console import Console
from importer.cli.outcome import run_shown
from importer.cli.watching import watched


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
    replace: options.Replace = False,
    rate: options.RateLimit = None,
    workers: options.Workers = DEFAULT_WORKERS,
    timeout: options.Timeout = DEFAULT_TIMEOUT_S,
    max_outage: options.MaxOutage = DEFAULT_MAX_OUTAGE_S,
    settle: options.Settle = DEFAULT_SETTLE_S,
    max_attempts: options.MaxAttempts = DEFAULT_MAX_ATTEMPTS,
    keep_going: options.KeepGoing = False,
) -> int:
    """Continue a batch, with what you corrected in its results file.

    Sends pending rows, rows in doubt (looked up first), and rows that you corrected. Created rows are never
    sent again.

    In the results file you may change the cells of rows that are not created. In import_status you may
    write: skipped (never send it), pending (take that back; on an uncertain row: I looked, it is not there;
    on a created row: it was deleted in LeadSquared), or created on an uncertain row, with the Id pasted in.

    Exit codes as for run. A finished batch sends nothing and exits as it did.

    \b
    Examples:
      importer resume visits.results.csv
      importer resume visits.results.csv --retry-failed
      importer resume visits.results.csv -m corrected.yaml --remap
    """
    asked = ResumeOptions(
        results=results,
        mapping=mapping,
        remap=remap,
        retry_failed=retry_failed,
        calls=CallOptions(
            host=host, sandbox=sandbox, rate=rate, workers=workers, timeout_s=timeout, max_outage_s=max_outage
        ),
        sending=SendingOptions(
            limit=limit, canary=canary, settle_s=settle, max_attempts=max_attempts, keep_going=keep_going,
            results=results_path, replace=replace,
        ),
        yes=yes,
        unattended=not console.has_terminal,
    )  # fmt: skip
    return run_shown(console, _resume(console, asked))


async def _resume(console: Console, asked: ResumeOptions) -> RunResult:
    with open_store(notice=console.warn) as store, watched(console) as (observer, stop):
        plan = await prepare_resume(asked, store, observer)
        try:
            plan = await settled(console, plan, shows_findings=False)
        except BaseException:
            await discard(plan)
            raise
        return await start(plan, stop=stop)
