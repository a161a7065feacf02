"""`importer store` and `importer erase`: where the store is and what it holds; a batch's data removed."""

from __future__ import annotations

from importer.app.questions import DeclinedError
from importer.app.records import StoreInfo
from importer.app.stores import copy_store, erase_question, find_batch, open_store, store_info
from importer.app.stores import erase as erase_batch
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import confirmed
from importer.cli.progress import ConsoleObserver
from importer.errors import UserError
from importer.text import shown
from importer.wording import count


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
            found = store_info(opened)
            console.result("\n".join(_described(found)), found.as_json())
            return 0
        observer = ConsoleObserver(console)
        copied = copy_store(opened, to, observer)
        observer.close()
    console.result("\n".join(("Copied.", *_described(copied))), copied.as_json())
    console.say("Set IMPORTER_STORE to that address on every computer of the team.")
    return 0


def _described(found: StoreInfo) -> list[str]:
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
        named = find_batch(batch, store)
        question = erase_question(named.id, store)
        if not yes and not confirmed(console, question):
            raise DeclinedError("Nothing was removed.")
        result = erase_batch(named.id, store)
    lines = [f"The data of {count(result.rows, 'row')} of batch {result.batch} was removed from the store."]
    if result.files:
        lines.append("These files still hold it; delete them yourself if they are not needed:")
        lines += [f"  {path}" for path in result.files]
    console.result("\n".join(lines), result.as_json())
    return 0
