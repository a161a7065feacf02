"""`importer correct`: send changed cells of created rows as updates."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from importer.app.correct_batch import prepare_correct
from importer.app.records import CorrectionOutcome
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import carried_out
from importer.text import count


def correct(console: Console, *, asked: options.Correct) -> int:
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
    asked = replace(asked, unattended=not console.has_terminal)
    return carried_out(console, partial(prepare_correct, asked), partial(_rows_corrected, undo=asked.undo))


def _rows_corrected(found: CorrectionOutcome, *, undo: bool) -> list[str]:
    if not found.changed and undo:
        return ["Nothing to undo: no correction of this batch is left to take back."]
    if not found.changed:
        return ["Nothing to correct: no cell of a created row was changed."]
    parts = {
        "corrected": found.corrected,
        "conflict" if found.conflicts == 1 else "conflicts": found.conflicts,
        "failed": found.failed,
        "not sent yet": found.left,
    }
    counts = ", ".join(f"{rows:,} {name}" for name, rows in parts.items() if rows)
    lines = [f"{count(found.changed, 'row')}: {counts}.", *found.reasons]
    if found.corrections is not None:
        lines.append(f"Every change: {found.corrections}")
    return lines
