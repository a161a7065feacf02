"""A tenant without a limit: what the store, the checks and the results file cost.

    python tests/benchmarks/unlimited.py [--rows 20000] [--rounds 3] [--postgresql [--delay 0.0005]]

Whole commands by turns on the same tenant, start-up, reading and results included, beside `bare_loop.py`.
With `--postgresql` the store is a team's; `--delay` is what each way to it takes, in seconds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the tests' own modules
from benchmarks.measuring import (
    Measured,
    csv_sheet,
    folder,
    importer,
    machine,
    measure,
    postgresql,
    table,
    tenant,
)

BARE = Path(__file__).with_name("bare_loop.py")
NO_LIMIT = {"rate": "none", "penalty_s": 0.0, "latency_s": 0.0, "jitter_s": 0.0}


def one_round(rows: int, store: str | None) -> tuple[Measured, Measured]:
    """The importer, then the bare loop on the same tenant (the importer would ask about equal rows)."""
    with folder() as work, tenant(**NO_LIMIT) as served:
        sheet = csv_sheet(work / "visits.csv", rows)
        environment = {**served.environment, "IMPORTER_HOME": str(work / "home")}
        if store is not None:
            environment["IMPORTER_STORE"] = store
        command = importer("run", sheet, "-m", work / "visits.yaml", "--yes", "--json", "--rate", "100000/1")
        ours = measure(command, cwd=work, environment=environment).expect(0)
        bare = measure([sys.executable, BARE, sheet, "none"], cwd=work, environment=environment).expect(0)
        if bare.json["created"] != rows or ours.json["created"] != rows:
            raise RuntimeError(f"not every row was created: {bare.said} {ours.said}")
    return bare, ours


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="A tenant without a limit, beside a bare aiohttp loop.")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--postgresql", action="store_true", help="with a team's store")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds to it, each way (default 0)")
    options = parser.parse_args()
    with ExitStack() as stack:
        store = stack.enter_context(postgresql(options.delay)) if options.postgresql else None
        show(options.rows, options.rounds, store)


def show(rows: int, rounds: int, store: str | None) -> None:
    """Measures, and prints."""
    lines: list[tuple[str, ...]] = []
    ratios = []
    print(f"{machine()}\n")
    for number in range(1, rounds + 1):
        bare, ours = one_round(rows, store)
        ratios.append(bare.wall_s / ours.wall_s)
        for name, found in (("bare aiohttp loop", bare), ("importer run", ours)):
            shown = (f"{found.wall_s:.2f}", f"{found.cpu_s:.2f}", f"{rows / found.wall_s:,.0f}")
            lines.append((str(number), name, *shown, f"{found.peak_mb:.0f}", ""))
        lines.append(
            ("", "ratio", "", f"{bare.cpu_s / ours.cpu_s:.2f} ×", f"{ratios[-1]:.2f} ×", "", "≥ 0.15 ×")
        )
    lines.append(("", "median ratio", "", "", f"{statistics.median(ratios):.2f} ×", "", "≥ 0.15 ×"))
    header = ("round", f"{rows:,} rows", "seconds", "CPU s", "rows/s", "peak MB", "target")
    print(table(header, lines))


if __name__ == "__main__":
    main()
