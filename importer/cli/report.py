"""`importer report`: a self-contained HTML page about a batch."""

from __future__ import annotations

from pathlib import Path

from importer.cli import options
from importer.cli.console import Console
from importer.cli.progress import Progress


def report(console: Console, *, results: options.Results, sandbox: options.OfRehearsal = False) -> int:
    """Write an HTML page about a batch.

    Beside its results file: what became of the rows, what went wrong and what to do, calls over time, the
    read-back if `verify` was run, and a search box for single rows.

    The page needs no network and sends nothing; it opens in any browser and prints. It makes no calls, and
    works while the batch runs in another window.

    \b
    Examples:
      importer report visits.results.csv
      importer report visits.csv --sandbox
      importer report visits.results.csv --json
    """
    from importer import batches
    from importer.home import home
    from importer.journal.journal import Journal
    from importer.journal.lock import is_free
    from importer.report.facts import gather
    from importer.report.page import ENDING, write_report
    from importer.report.search import rows_for_search
    from importer.results.beside import beside

    named = batches.find(results, home(), rehearsal=sandbox)
    with Journal.open_to_read(named.journal) as journal:
        facts = gather(journal, running=not is_free(named.journal))
        with Progress(console, "Gathering") as progress:
            rows = rows_for_search(journal, facts.counts["rows"])
            progress.show(facts.counts["rows"])
    path = beside(named.results or Path(facts.batch.results), ENDING).absolute()
    placed = write_report(path, facts, rows)
    if placed.aside:
        console.warn(placed.aside)
    told = {"batch": facts.batch.id, **facts.counts, "report": str(placed.path)}
    lines = [f"Report: {placed.path}", *([rows.note] if rows.note else [])]
    console.result("\n".join(lines), told)
    return 0
