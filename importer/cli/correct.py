"""`importer correct`: send changed cells of created rows as updates."""

from __future__ import annotations

import asyncio

from importer.app.correct_batch import CorrectionPlan, discard_correct, prepare_correct, start_correct
from importer.app.options import (
    DEFAULT_MAX_ATTEMPTS,
    DEFAULT_SETTLE_S,
    CorrectOptions,
)
from importer.app.questions import Answers, DeclinedError
from importer.app.records import CorrectionOutcome
from importer.app.stores import open_store
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import confirmed, show_result
from importer.cli.progress import watched
from importer.wording import count


def correct(
    console: Console,
    *,
    results: options.Results,
    mapping: options.NewMappingFile = None,
    remap: options.Remap = False,
    overwrite: options.Overwrite = False,
    undo: options.Undo = False,
    yes: options.Yes = False,
    calls: options.Calls,
    settle: options.Settle = DEFAULT_SETTLE_S,
    max_attempts: options.MaxAttempts = DEFAULT_MAX_ATTEMPTS,
) -> int:
    """Send changed cells of created rows as updates.

    Change cells of created rows in the results file, then run this. It shows each difference and asks. Before
    each update the activity is read: a field that somebody changed in LeadSquared is left alone. The account
    and the activity type cannot be corrected.

    Exit codes: 0 if all were corrected, 1 for conflicts or refusals, 3 if changes are left, 130 after Ctrl-C.

    \b
    Examples:
      importer correct visits.results.csv
      importer correct visits.results.csv --undo
      importer correct visits.results.csv -m corrected.yaml --remap
    """
    asked = CorrectOptions(
        results=results,
        mapping=mapping,
        remap=remap,
        overwrite=overwrite,
        undo=undo,
        calls=calls,
        settle_s=settle,
        max_attempts=max_attempts,
        yes=yes,
        unattended=not console.has_terminal,
    )
    found = asyncio.run(_correct(console, asked))
    return show_result(console, found, _described(found, undo=undo), stopped=found.stopped)


async def _correct(console: Console, asked: CorrectOptions) -> CorrectionOutcome:
    with watched(console) as (observer, stop), open_store(notice=console.warn) as store:
        plan = await prepare_correct(asked, store, observer)
        try:
            answers = _answers(console, plan)
        except BaseException:
            await discard_correct(plan)
            raise
        return await start_correct(plan, answers, stop=stop)


def _answers(console: Console, plan: CorrectionPlan) -> Answers:
    """Raises DeclinedError for a "no"."""
    answers = Answers()
    for question in plan.questions:
        if not confirmed(console, question):
            raise DeclinedError("Nothing was changed.")
        answers = answers.having(question.key, question.choices[0].value)
    return answers


def _described(found: CorrectionOutcome, *, undo: bool) -> list[str]:
    if not found.changed and undo:
        return ["Nothing to undo: no correction of this batch is left to take back."]
    if not found.changed:
        return ["Nothing to correct: no cell of a created row was changed."]
    parts = {
        "corrected": found.corrected,
        "conflicts": found.conflicts,
        "failed": found.failed,
        "not sent yet": found.left,
    }
    counts = ", ".join(f"{rows:,} {name}" for name, rows in parts.items() if rows)
    lines = [f"{count(found.changed, 'row')}: {counts}.", *found.reasons]
    if found.corrections is not None:
        lines.append(f"Every change: {found.corrections}")
    return lines
