"""`importer status`: a batch's counts and rate, also while it runs elsewhere; or all batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from importer.cli import options
from importer.cli.console import Console
from importer.cli.standing import STATUSES, summary
from importer.cli.wording import count, one_line, pad, shorten

if TYPE_CHECKING:
    from importer.batches import Named
    from importer.home import Home
    from importer.journal.journal import Journal

RATE_OVER_S: Final = 30.0
NAME_COLUMNS: Final = 24


def status(
    console: Console, *, results: options.OptionalResults = None, sandbox: options.OfRehearsal = False
) -> int:
    """Say how a batch stands, or list all batches.

    Works also while it runs in another window.

    \b
    Examples:
      importer status
      importer status visits.results.csv
      importer status visits.csv --json
    """
    from importer.home import home

    if results is None:
        return _list(console, home())
    from importer import batches

    named = batches.find(results, home(), rehearsal=sandbox)
    return _tell(console, named)


def _tell(console: Console, named: Named) -> int:
    from importer.journal.journal import Journal

    path = named.journal
    with Journal.open_to_read(path) as journal:
        batch = journal.batch()
        counts, running = _standing(journal)
        results = str(named.results.absolute()) if named.results else batch.results
        going_on: dict[str, Any] = journal.fact("going_on") or {}
        seconds = journal.fact("seconds", 0.0)
        throttled = journal.fact("throttled", 0) + (going_on.get("throttled", 0) if running else 0)
        rate = journal.calls_per_s(RATE_OVER_S) if running else 0.0
    told = {
        "batch": batch.id,
        **counts,
        "throttled": throttled,
        "seconds": round(seconds, 3),
        "results": results,
        "journal": str(path),
        "running": running,
        "rate": round(rate, 2),
        "note": _note(going_on) if running else "",
    }
    lines = [
        f"Batch {batch.id}: {Path(batch.source).name} to {batch.organisation or batch.tenant}",
        summary(counts, seconds, results),
    ]
    if running:
        lines.append(f"It is running in another window, at {rate:.1f} rows a second.")
        if note := _note(going_on):
            lines.append(note)
    elif counts["pending"] or counts["uncertain"]:
        lines.append("It is not running. Go on with `importer resume`.")
    console.result("\n".join(lines), told)
    return 0


def _standing(journal: Journal) -> tuple[dict[str, int], bool]:
    """A batch's rows by the word that people read, and whether it is running: then a call under way is no
    doubt yet."""
    from importer.journal.journal import RowStatus
    from importer.journal.lock import is_free

    counts, running = journal.shown_counts(), not is_free(journal.path)
    if running:
        under_way = min(journal.counts().get(RowStatus.SENDING, 0), counts["uncertain"])
        counts["pending"] += under_way
        counts["uncertain"] -= under_way
    return counts, running


def _note(going_on: dict[str, Any]) -> str:
    if going_on.get("outage"):
        return "LeadSquared is not answering: waiting for it."
    return str(going_on.get("pace", ""))


def _list(console: Console, home: Home) -> int:
    lines, listed = [], []
    for one in _all(home):
        counts = one.pop("counts")
        shown = ", ".join(f"{counts[each]:,} {each}" for each in STATUSES if counts.get(each))
        stands = "its journal was deleted" if one["journal"] is None else shown or "cannot be read"
        when = one["created_at"][:16].replace("T", " ")
        name = pad(shorten(one_line(Path(one["source"]).name), NAME_COLUMNS), NAME_COLUMNS)
        lines.append(f"{one['batch']}  {when}  {name} {count(one['rows'], 'row')}: {stands}")
        listed.append({**one, **counts})
    console.result("\n".join(lines) or "No batches yet.", {"batches": listed})
    return 0


def _all(home: Home) -> Iterator[dict[str, Any]]:
    """Every batch that the ledger knows, the latest first; then the rehearsals, which it does not know."""
    from importer import batches
    from importer.journal.journal import peek
    from importer.ledger.ledger import Ledger

    with Ledger.open(home.root) as ledger:
        entries = ledger.batches()
    for entry in entries:
        yield {
            "batch": entry.id,
            "tenant": entry.tenant,
            "source": entry.source,
            "created_at": entry.created_at,
            "results": peek(entry.journal).get("results", entry.results),
            "journal": None if entry.missing else str(entry.journal),
            "rows": entry.rows,
            "counts": _counts(entry.journal),
        }
    for journal, batch in batches.rehearsals(home):
        yield {
            "batch": batch.id,
            "tenant": batch.tenant,
            "source": batch.source,
            "created_at": batch.created_at,
            "results": batch.results,
            "journal": str(journal),
            "rows": batch.rows,
            "counts": _counts(journal),
        }


def _counts(path: Path) -> dict[str, int]:
    from importer.errors import ImporterError
    from importer.journal.journal import Journal

    try:
        with Journal.open_to_read(path) as journal:
            return _standing(journal)[0]
    except ImporterError:
        return {}
