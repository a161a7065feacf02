"""`importer run`: check, ask, send, write the results file."""

from __future__ import annotations

from importer.app.options import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_MAX_OUTAGE_S,
    DEFAULT_SETTLE_S,
    DEFAULT_TIMEOUT_S,
    DEFAULT_WORKERS,
    CallOptions,
    RunOptions,
    SendingOptions,
    SheetInput,
)
from importer.app.plan import discard, send_question, start
from importer.app.questions import QuestionOpenError
from importer.app.records import RunResult
from importer.app.run import prepare_run
from importer.app.stores import open_store
from importer.cli import options
from importer.cli.asking import settled
from importer.cli.console import Console
from importer.cli.outcome import run_shown
from importer.cli.watching import watched


def run(
    console: Console,
    *,
    source: options.Source,
    mapping: options.MappingFile,
    host: options.Host = None,
    sandbox: options.Sandbox = False,
    yes: options.Yes = False,
    limit: options.Limit = None,
    canary: options.Canary = None,
    results: options.ResultsPath = None,
    replace: options.Replace = False,
    skip_invalid: options.SkipInvalid = False,
    accept: options.Accept = None,
    again: options.Again = False,
    only_new: options.OnlyNew = False,
    resume: options.ResumeOpen = False,
    sheet: options.SheetName = None,
    encoding: options.Encoding = None,
    delimiter: options.Delimiter = None,
    hidden: options.Hidden = None,
    rate: options.RateLimit = None,
    workers: options.Workers = DEFAULT_WORKERS,
    timeout: options.Timeout = DEFAULT_TIMEOUT_S,
    max_outage: options.MaxOutage = DEFAULT_MAX_OUTAGE_S,
    settle: options.Settle = DEFAULT_SETTLE_S,
    max_attempts: options.MaxAttempts = DEFAULT_MAX_ATTEMPTS,
    keep_going: options.KeepGoing = False,
) -> int:
    """Check a sheet, ask, send every row, write the results file.

    Exit codes: 0 if every row was created, 1 if some failed or are uncertain, 2 if nothing was sent, 3 if
    rows are still pending (continue with importer resume), 130 after Ctrl-C.

    \b
    Examples:
      importer run visits.csv -m visits.yaml --sandbox
      importer run visits.csv -m visits.yaml --limit 3
      importer run visits.csv -m visits.yaml --yes --json
      importer run feed.csv -m feed.yaml --yes --only-new --resume
    """
    if not yes and not sandbox and not console.has_terminal:
        raise QuestionOpenError((send_question(),))
    asked = RunOptions(
        sheet=SheetInput(path=source, sheet=sheet, encoding=encoding, delimiter=delimiter, hidden=hidden),
        mapping=mapping,
        calls=CallOptions(
            host=host, sandbox=sandbox, rate=rate, workers=workers, timeout_s=timeout, max_outage_s=max_outage
        ),
        sending=SendingOptions(
            limit=limit, canary=canary, settle_s=settle, max_attempts=max_attempts, keep_going=keep_going,
            results=results, replace=replace,
        ),
        yes=yes,
        skip_invalid=skip_invalid,
        accept=options.accepted(accept),
        only_new=only_new,
        again=again,
        resume=resume,
    )  # fmt: skip
    return run_shown(console, _run(console, asked))


async def _run(console: Console, asked: RunOptions) -> RunResult:
    with open_store(notice=console.warn) as store, watched(console) as (observer, stop):
        plan = await prepare_run(asked, store, observer)
        try:
            plan = await settled(console, plan)
        except BaseException:
            await discard(plan)
            raise
        if plan.nothing_to_send and not plan.resumes:
            console.say("Nothing is new: every row of this sheet was sent before.")
        return await start(plan, stop=stop)
