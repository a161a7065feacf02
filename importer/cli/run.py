"""`importer run`: check, ask, send, write the results file."""

from __future__ import annotations

from functools import partial

from importer.app.plan import send_question
from importer.app.questions import QuestionOpenError
from importer.app.run import prepare_run
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import carried_out, rows_sent
from importer.errors import UserError


def run(console: Console, *, asked: options.Run) -> int:
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
    if asked.only_new and asked.again:
        raise UserError(
            "--only-new leaves out what was sent before, --again sends all of it again.",
            remedy="Use one of them.",
        )
    if not asked.yes and not asked.calls.sandbox and not console.has_terminal:
        raise QuestionOpenError((send_question(),))
    return carried_out(console, partial(prepare_run, asked), rows_sent)
