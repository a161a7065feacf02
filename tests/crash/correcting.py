"""One life of a pass of corrections, to be killed: `python correcting.py HOME BATCH`; prints how it ended."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from pydantic import SecretStr

from importer.credentials import Keys
from importer.pacing.pacing import Rate
from importer.sending.corrections import CorrectionPass, UpdateOptions
from importer.sending.engine import connected
from importer.sending.run_state import SendOptions
from importer.store.store import open_store


async def main(home: Path, batch: str) -> str:
    """What the pass left."""
    keys = Keys(
        SecretStr(os.environ["LEADSQUARED_ACCESS_KEY"]), SecretStr(os.environ["LEADSQUARED_SECRET_KEY"])
    )
    options = UpdateOptions(workers=4, settle_s=0.1, max_attempts=8)
    url = os.environ["LEADSQUARED_HOST"]
    with open_store(home) as store, store.own(batch) as owned:
        async with connected(url, keys, Rate(20, 1.0), SendOptions(timeout_s=1.5)) as connection:
            one = CorrectionPass(owned, connection.tenant, connection.pace, options)
            summary = await one.run()
    return f"stop={summary.stop} conflicts={summary.conflicts} failed={summary.failed}"


if __name__ == "__main__":
    print(asyncio.run(main(Path(sys.argv[1]), sys.argv[2])))
