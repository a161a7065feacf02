"""`importer resume`: continue a batch, with what a person corrected."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from importer.app.resume import prepare_resume
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import carried_out, rows_sent


def resume(console: Console, *, asked: options.Resume) -> int:
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
    asked = replace(asked, unattended=not console.has_terminal)
    return carried_out(console, partial(prepare_resume, asked), rows_sent)
