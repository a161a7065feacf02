"""Accounts and users are looked up before anything is sent: shown, and kept in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.cli.console import Console
from importer.cli.progress import Progress

if TYPE_CHECKING:
    from importer.journal.journal import Journal
    from importer.leadsquared.calls import Tenant
    from importer.mapping.references import Resolved
    from importer.staging import Asked


async def looked_up(
    console: Console, tenant: Tenant, asked: Asked, journal: Journal | None = None
) -> Resolved:
    """Answers for everything asked, those that the journal keeps among them. Raises ReadFailed."""
    from importer.leadsquared.lookups import from_plain, resolve, to_plain

    questions = [(lookup, value) for lookup, values in asked.items() for value in values.values()]
    kept = from_plain(journal.answers()) if journal is not None else None
    with Progress(console, "Looking up", len(questions)) as progress:
        resolved = await resolve(
            tenant, questions, kept=kept, progress=lambda done, _total: progress.show(done)
        )
    if journal is not None:
        journal.keep_answers(to_plain(resolved))
    return resolved
