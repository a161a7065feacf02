"""`importer store`: where the store is and what it holds; its copy to a team's."""

from __future__ import annotations

from importer.app import stores
from importer.app.records import StoreInfo
from importer.app.stores import open_store
from importer.cli import options
from importer.cli.console import Console
from importer.cli.progress import ConsoleObserver
from importer.errors import UserError
from importer.text import count, shown


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
