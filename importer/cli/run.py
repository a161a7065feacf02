"""`importer run`: check, ask, send, write the results file."""

from __future__ import annotations

from functools import partial

from importer.app.options import RunOptions
from importer.app.plan import send_question
from importer.app.questions import QuestionOpenError
from importer.app.run import prepare_run
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import run_shown
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
    return run_shown(console, partial(prepare_run, asked))
