"""The least that sends a sheet with aiohttp: workers on one session, nothing kept, nothing checked.

    python tests/benchmarks/bare_loop.py SHEET RATE      RATE: `none`, or such as 25/5

One of the contestants of `comparison.py`, and what `unlimited.py` compares with. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import aiohttp
from aiolimiter import AsyncLimiter

WORKERS = 32
INDIA = timezone(timedelta(hours=5, minutes=30))


def body(row: dict[str, str]) -> dict[str, Any]:
    """What the mapping of the benchmarks makes of a row."""
    visited = datetime.strptime(row["Visit date"], "%d/%m/%Y %H:%M").replace(tzinfo=INDIA)
    fields = {
        "mx_Custom_1": row["Outcome"],
        "mx_Custom_2": visited.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "mx_Custom_3": row["Amount"],
        "mx_Custom_4": row["Visit no"],
    }
    return {
        "RelatedCompanyId": row["Account ID"],
        "ActivityEvent": 10001,
        "ActivityNote": f"{row['Outcome']}: {row['Remarks']}",
        "Fields": [{"SchemaName": name, "Value": value} for name, value in fields.items()],
    }


def rows(sheet: str) -> Iterator[dict[str, str]]:
    """The sheet's rows, one after the other."""
    with Path(sheet).open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


@asynccontextmanager
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session with the keys of the environment."""
    keys = {
        "x-LSQ-AccessKey": os.environ["LEADSQUARED_ACCESS_KEY"],
        "x-LSQ-SecretKey": os.environ["LEADSQUARED_SECRET_KEY"],
    }
    async with aiohttp.ClientSession(os.environ["LEADSQUARED_HOST"], headers=keys) as opened:
        yield opened


def limiter(rate: str) -> AsyncLimiter | None:
    """The limiter that everybody writes."""
    if rate == "none":
        return None
    calls, _, seconds = rate.partition("/")
    return AsyncLimiter(int(calls), float(seconds))


async def main(sheet: str, rate: str) -> None:
    """Every row once; what is refused is lost."""
    limit = limiter(rate)
    done = {"created": 0, "failed": 0}

    async def worker(opened: aiohttp.ClientSession, left: Iterator[dict[str, str]]) -> None:
        for row in left:
            if limit is not None:
                await limit.acquire()
            async with opened.post("/v2/CompanyActivity.svc/Create", json=body(row)) as response:
                answer = await response.json() if response.status == 200 else {}
                done["created" if answer.get("Status") == "Success" else "failed"] += 1

    left = rows(sheet)
    async with session() as opened:
        await asyncio.gather(*(worker(opened, left) for _ in range(WORKERS)))
    print(json.dumps(done))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
