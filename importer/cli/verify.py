"""`importer verify`: read created activities back and compare them with what was sent."""

from __future__ import annotations

import asyncio

from importer.app.records import VerifyResult
from importer.app.stores import open_store
from importer.app.verify_batch import verify as verify_batch
from importer.cli import options
from importer.cli.console import Console
from importer.cli.plans import show_result
from importer.cli.progress import watched
from importer.text import count


def verify(console: Console, *, asked: options.Verify) -> int:
    """Read created activities back and compare them with what was sent.

    Nothing is sent or changed in LeadSquared.

    Says for each field how it came back, and writes a .verified.csv beside the results file, with every
    difference (sent and stored). After Ctrl-C or an outage, the same command continues.

    Exit codes: 0 if all is equal, 1 if something differs, 3 if rows are still unread, 130 after Ctrl-C.

    \b
    Examples:
      importer verify visits.results.csv
      importer verify visits.csv --sandbox
      importer verify visits.results.csv --json
    """

    async def done() -> VerifyResult:
        with watched(console) as (observer, stop), open_store(notice=console.warn) as store:
            return await verify_batch(asked, store, observer, stop)

    found = asyncio.run(done())
    return show_result(console, found, _comparison(found))


def _comparison(found: VerifyResult) -> list[str]:
    if found.verified is None:
        return []
    equal = f"{found.equal:,} equal to what was sent"
    return [
        f"{count(found.rows, 'created row')}: {equal}.",
        *found.differences,
        f"Every row and difference: {found.verified}",
    ]
