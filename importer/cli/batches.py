"""`importer status`, `report`, `erase`, `store`: what the store knows of batches, and of itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from importer.app import stores
from importer.app.questions import DeclinedError, QuestionOpenError
from importer.app.records import BatchStatus, StoreInfo
from importer.app.report_batch import write_report
from importer.app.stores import open_store
from importer.cli import options
from importer.cli.console import Console
from importer.cli.progress import ConsoleObserver
from importer.errors import UserError
from importer.store.records import Shown
from importer.text import count, duration, local_time, pad, shorten, shown

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


def erase(console: Console, *, batch: options.BatchId, yes: options.YesToAll = False) -> int:
    """Remove a batch's customer data from the store.

    Cells, messages and look-ups are overwritten. Fingerprints and Ids stay, so that the sheet is still
    recognised. An erased batch cannot be resumed, verified or corrected. What is in LeadSquared stays.

    \b
    Examples:
      importer erase b20261123-210501-7f3a9c
      importer erase visits.results.csv --yes
    """
    with open_store(create=False) as store:
        named = stores.find_batch(batch, store)
        question = stores.erase_question(named.id, store)
        if not yes:
            if not console.has_terminal:
                raise QuestionOpenError((question,))
            choices = [(each.value, each.text) for each in question.choices]
            if console.ask(question.text, choices) is None:
                raise DeclinedError("Nothing was removed.")
        result = stores.erase(named.id, store)
    lines = [f"The data of {count(result.rows, 'row')} of batch {result.batch} was removed from the store."]
    if result.files:
        lines.append("These files still hold it; delete them yourself if they are not needed:")
        lines += [f"  {path}" for path in result.files]
    console.result("\n".join(lines), result.as_json())
    return 0


def store(console: Console, *, action: options.StoreAction = None, to: options.StoreUrl = None) -> int:
    """Show where the store is, its version, its batches and its size.

    With copy, take this computer's store along to the team's PostgreSQL store. From then on this one is
    read-only, and names the team's. The password is never part of the address: use PGPASSFILE.

    \b
    Examples:
      importer store
      importer store --json
      importer store copy --to postgresql://importer@db.example.com/importer
    """
    if (action is None) != (to is None):
        raise UserError("A copy needs both: importer store copy --to URL.")
    with open_store(create=action is not None, notice=console.warn) as opened:
        if to is None:
            found = stores.store_info(opened)
            console.result("\n".join(_store_described(found)), found.as_json())
            return 0
        observer = ConsoleObserver(console)
        copied = stores.copy_store(opened, to, observer)
        observer.close()
    console.result("\n".join(("Copied.", *_store_described(copied))), copied.as_json())
    console.say("Set IMPORTER_STORE to that address on every computer of the team.")
    return 0


def _store_described(found: StoreInfo) -> list[str]:
    lines = [
        f"Store     {shown(found.location)}",
        f"Version   {found.version} ({found.dialect})",
        f"Batches   {found.batches:,}, {count(found.rows, 'row')}",
        f"Size      {found.size_bytes / 1_000_000:,.1f} MB",
        f"Answers   in {found.latency_ms:g} ms",
    ]
    lines += [f"Running   {shown(one)}" for one in found.running]
    if found.team:
        lines.append(f"It is read-only: it was copied to {shown(found.team)}.")
    return lines


def counted(counts: Mapping[str, int], already: int) -> list[str]:
    """`39 created`, `1 failed`, …"""
    found = {str(status): counts[status] for status in Shown} | {"already there": already}
    return [f"{rows:,} {name}" for name, rows in found.items() if rows]


def summary(counts: Mapping[str, int], already: int, seconds: float, results: str) -> str:
    """`40 rows: 39 created, 1 failed in 8 seconds.`, and where the results file is."""
    took = f" in {duration(seconds)}" if seconds >= 1 else ""
    parts = ", ".join(counted(counts, already)) or "none"
    return f"{count(counts['rows'], 'row')}: {parts}{took}.\nResults: {results}"
