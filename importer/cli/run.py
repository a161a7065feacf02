"""`importer run` and `importer resume`: check, ask, send, write the results file; continue."""

from __future__ import annotations

from importer.app.options import ResumeOptions, RunOptions
from importer.app.plan import discard, send_question, start
from importer.app.questions import QuestionOpenError
from importer.app.records import RunResult
from importer.app.resume import prepare_resume
from importer.app.run import prepare_run
from importer.app.stores import open_store
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import run_shown, settled
from importer.cli.progress import watched
from importer.errors import UserError


def run(
    console: Console,
    *,
    sheet: options.Sheet,
    mapping: options.MappingFile,
    calls: options.Calls,
    yes: options.Yes = False,
    sending: options.Sending,
    skip_invalid: options.SkipInvalid = False,
    accept: options.Accept = None,
    again: options.Again = False,
    only_new: options.OnlyNew = False,
    resume: options.ResumeOpen = False,
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
    if only_new and again:
        raise UserError(
            "--only-new leaves out what was sent before, --again sends all of it again.",
            remedy="Use one of them.",
        )
    if not yes and not calls.sandbox and not console.has_terminal:
        raise QuestionOpenError((send_question(),))
    asked = RunOptions(
        sheet=sheet,
        mapping=mapping,
        calls=calls,
        sending=sending,
        yes=yes,
        skip_invalid=skip_invalid,
        accept=options.accepted(accept),
        only_new=only_new,
        again=again,
        resume=resume,
    )
    return run_shown(console, _done(console, asked))


async def _done(console: Console, asked: RunOptions | ResumeOptions) -> RunResult:
    with open_store(notice=console.warn) as store, watched(console) as (observer, stop):
        if isinstance(asked, RunOptions):
            plan = await prepare_run(asked, store, observer)
        else:
            plan = await prepare_resume(asked, store, observer)
        try:
            plan = await settled(console, plan, shows_findings=not plan.resumes)
        except BaseException:
            await discard(plan)
            raise
        if plan.nothing_to_send and not plan.resumes:
            console.say("Nothing is new: every row of this sheet was sent before.")
        return await start(plan, stop=stop)


def resume(
    console: Console,
    *,
    results: options.Results,
    mapping: options.OptionalMappingFile = None,
    remap: options.Remap = False,
    retry_failed: options.RetryFailed = False,
    calls: options.Calls,
    yes: options.Yes = False,
    sending: options.Sending,
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
        calls=calls,
        sending=sending,
        yes=yes,
        unattended=not console.has_terminal,
    )
    return run_shown(console, _done(console, asked))
