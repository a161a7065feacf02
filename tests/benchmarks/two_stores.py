"""The embedded store beside a team's: staging, publishing, marking and recording rows, comparing, reading.

    python tests/benchmarks/two_stores.py [--rows 100000] [--sent 5000] [--delay 0.0005]

`--delay` is what each way to PostgreSQL takes, in seconds (0.0005: 1 ms there and back). Rows are marked and
recorded by 32 workers as in a run, without a tenant: this is the most that the store allows.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the tests' own modules
from stores import AT, batch, guid, staged

from benchmarks.measuring import folder, machine, postgresql, table
from importer.store.ownership import Ownership
from importer.store.records import AttemptResult, RowStatus, StoredRow
from importer.store.store import Store, open_store
from importer.store.writer import StoreWriter

WORKERS = 32


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="The embedded store beside a team's.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--sent", type=int, default=5_000)
    parser.add_argument("--delay", type=float, default=0.0005, help="seconds to PostgreSQL, each way")
    options = parser.parse_args()
    print(f"{machine()}\n")
    lines = []
    with folder() as home, open_store(home) as store:
        lines += [("SQLite", *line) for line in measured(store, options.rows, options.sent)]
    with folder() as home, postgresql(options.delay) as url, open_store(home, url) as store:
        name = f"PostgreSQL, {2_000 * options.delay:g} ms"
        lines += [(name, *line) for line in measured(store, options.rows, options.sent)]
    print(table(("store", "what", "rows", "seconds", "rows/s", "target"), lines))
    print(f"\npeak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")


def measured(store: Store, rows: int, sent: int) -> Iterator[tuple[str, ...]]:
    """A line for each part."""
    prepared = [staged(number) for number in range(1, rows + 1)]
    embedded = store.dialect == "sqlite"
    one = batch(1, rows=rows)
    with store.stage(one.id) as staging:
        with timed() as took:
            staging.add(prepared, AT)
        yield line("staging", rows, took, "≥ 15,000" if embedded else "in seconds")
        with timed() as took:
            owned = store.publish(staging, one)
        yield line("publishing", rows, took, "")
    with owned:
        with timed() as took:
            asyncio.run(send(owned, sent))
        yield line("marking and recording", sent, took, "≥ 500" if embedded else "≥ 200")
        with timed() as took:
            sum(1 for _ in owned.rows.rows())
        yield line("reading", rows, took, "")
    yield from compared(store, prepared)


def compared(store: Store, rows: list[StoredRow]) -> Iterator[tuple[str, ...]]:
    """The same rows once more, in another order: each has an equal one."""
    two = batch(2, rows=len(rows))
    with store.stage(two.id) as staging:
        staging.add(reversed(rows), AT)
        with timed() as took:
            overlap = store.duplicates(two).overlap()
        if overlap.created + overlap.held != len(rows):
            raise RuntimeError(f"not every row was found: {overlap}")
        yield line("comparing, all known", len(rows), took, "")


async def send(owned: Ownership, rows: int) -> None:
    """As a run does, with a tenant that answers at once."""
    writer = StoreWriter(owned)
    positions = iter(range(1, rows + 1))

    async def work() -> None:
        for position in positions:
            attempt, at = await writer.mark(position, None, 0.0)
            writer.write(
                AttemptResult(
                    attempt, position, at, 200, "created", "", "", RowStatus.CREATED, guid(position)
                )
            )

    await asyncio.gather(*(work() for _ in range(WORKERS)))
    await writer.close()


@contextmanager
def timed() -> Iterator[list[float]]:
    """Seconds, once it has ended."""
    took: list[float] = []
    started = time.perf_counter()
    yield took
    took.append(time.perf_counter() - started)


def line(what: str, rows: int, took: list[float], target: str) -> tuple[str, ...]:
    """One line of the table."""
    return what, f"{rows:,}", f"{took[0]:.2f}", f"{rows / took[0]:,.0f}", target


if __name__ == "__main__":
    main()
