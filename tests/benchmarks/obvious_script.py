"""The script that people write first: aiohttp, a limiter at the tenant's rate, and every failure tried again.

    python tests/benchmarks/obvious_script.py SHEET RATE

One of the contestants of `comparison.py`. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the tests' own modules
from benchmarks.bare_loop import WORKERS, body, limiter, rows, session

TRIES = 5


async def main(sheet: str, rate: str) -> None:
    """Every row until it is said to be created, five times at most."""
    limit = limiter(rate)
    done = {"created": 0, "failed": 0}

    async def created(opened: aiohttp.ClientSession, row: dict[str, str]) -> bool:
        if limit is not None:
            await limit.acquire()
        try:
            async with opened.post("/v2/CompanyActivity.svc/Create", json=body(row)) as response:
                answer = await response.json()
                return bool(answer.get("Status") == "Success")
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False

    async def worker(opened: aiohttp.ClientSession, left: Iterator[dict[str, str]]) -> None:
        for row in left:
            for attempt in range(TRIES):
                if await created(opened, row):
                    done["created"] += 1
                    break
                await asyncio.sleep(2.0**attempt)
            else:
                done["failed"] += 1

    left = rows(sheet)
    async with session() as opened:
        await asyncio.gather(*(worker(opened, left) for _ in range(WORKERS)))
    print(json.dumps(done))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
