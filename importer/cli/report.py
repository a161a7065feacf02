"""`importer report`: a self-contained HTML page about a batch."""

from __future__ import annotations

from importer.app.report_batch import write_report
from importer.app.stores import open_store
from importer.cli import options
from importer.cli.console import Console
from importer.cli.progress import ConsoleObserver


def report(console: Console, *, results: options.Results, sandbox: options.OfRehearsal = False) -> int:
    """Write an HTML page about a batch.

    Beside its results file: the results of all rows, what needs attention and what to do, calls over time,
    the read-back if verify was run, and a search box for single rows.

    The page needs no network and sends nothing; it opens in any browser and prints. It makes no calls, and
    works while the batch runs in another window.

    \b
    Examples:
      importer report visits.results.csv
      importer report visits.csv --sandbox
      importer report visits.results.csv --json
    """
    with open_store(create=False) as store:
        written = write_report(results, store, ConsoleObserver(console), rehearsal=sandbox)
    if written.aside:
        console.warn(written.aside)
    lines = [f"Report: {written.path}", *([written.note] if written.note else [])]
    console.result("\n".join(lines), written.as_json())
    return 0
