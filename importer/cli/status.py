"""`importer status`: a batch's progress, or all batches."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from importer.app import stores
from importer.app.records import BatchStatus
from importer.app.stores import open_store
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import counted, summary
from importer.text import count, local_time, pad, shorten, shown

NAME_COLUMNS: Final = 24


def status(
    console: Console, *, results: options.OptionalResults = None, sandbox: options.OfRehearsal = False
) -> int:
    """Show a batch's progress, or list all batches.

    Works also while the batch runs in another window or on another computer.

    \b
    Examples:
      importer status
      importer status visits.results.csv
      importer status visits.csv --json
    """
    with open_store(create=False) as store:
        if store.moved_to:
            console.warn(
                f"This computer's store was copied to {shown(store.moved_to)}: it is read-only, and does not"
                " know what happened since. Set IMPORTER_STORE to that address."
            )
        if results is None:
            batches = stores.list_batches(store)
            lines = [_batch_line(one) for one in batches]
            entries = [one.as_json() for one in batches]
            console.result("\n".join(lines) or "No batches yet.", {"batches": entries})
            return 0
        one = stores.batch_status(results, store, rehearsal=sandbox)
    console.result("\n".join(_batch_described(one)), one.as_json())
    if not one.running and not one.erased and (one.counts["pending"] or one.counts["uncertain"]):
        sandbox_too = ("--sandbox",) if one.rehearsal else ()
        console.command(("resume", one.results, *sandbox_too), before="It is not running. Continue with:")
    return 0


def _batch_described(one: BatchStatus) -> list[str]:
    to, by = shown(one.organisation or one.tenant), f" by {shown(one.user)}" if one.user else ""
    started = f"started {local_time(one.created_at)}{by}"
    lines = [
        f"Batch {one.batch}: {shown(Path(one.source).name)} to {to}, {started}",
        summary(one.counts, one.already, one.seconds, one.results),
    ]
    if one.running:
        where = f" ({shown(one.running_on)})" if one.running_on else " in another window"
        lines.append(f"It is running{where}, at {one.rate:.1f} rows a second.")
        if one.note:
            lines.append(one.note)
    if one.erased:
        lines.append("Its customer data was removed: it cannot be resumed, verified or corrected.")
    return lines


def _batch_line(one: BatchStatus) -> str:
    """One batch in the list of all."""
    parts = counted(one.counts, one.already)
    parts += [f"running ({shown(one.running_on)})" if one.running_on else "running"] if one.running else []
    parts += ["data removed"] if one.erased else []
    name = pad(shorten(shown(Path(one.source).name), NAME_COLUMNS), NAME_COLUMNS)
    rows = count(one.counts["rows"], "row")
    who = ", ".join(
        shown(each) for each in (one.organisation or one.tenant, one.user, one.started_on) if each
    )
    return f"{one.batch}  {local_time(one.created_at)}  {name} {rows}: {', '.join(parts)} ({who})"
