"""A tenant that is not ours alone, and one with a smaller plan than `--rate` says.

    python tests/benchmarks/crowded.py [--rows 300]

Three tenants at the same time, each strict (5 s penalty, 300 ms latency, up to 100 ms of jitter): another
client takes 40 % of the allowance; it does so and stops half-way; the plan is 5 in 5 s under `--rate 25/5`.
Takes about four minutes. `pacing_simulation.py` has many more cases, on a virtual clock; several imports of
ours are in `together.py`.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the tests' own modules
from benchmarks.measuring import csv_sheet, folder, importer, machine, measure, table, tenant

SHARE = 0.4
STOPS_AFTER_S = 60.0
LATENCY: dict[str, Any] = {"penalty_s": 5.0, "latency_s": 0.3, "jitter_s": 0.1}
Line = tuple[str, str, str, str]


def creates_of(rows: int, **options: Any) -> tuple[list[float], int]:
    """When the Creates were let in, in seconds since the first; and how many calls of ours were refused."""
    with folder() as work, tenant(**LATENCY, **options) as served:
        sheet = csv_sheet(work / "visits.csv", rows)
        command = importer("run", sheet, "-m", work / "visits.yaml", "--yes", "--json", "--rate", "25/5")
        environment = {**served.environment, "IMPORTER_HOME": str(work / "home")}
        measure(command, cwd=work, environment=environment).expect(0)
        let_in = [call["arrived_s"] for call in served.creates if not call["refused"]]
        return [at - let_in[0] for at in let_in], served.ask("counts")["refused"]


def others(rows: int) -> list[Line]:
    """Another client all the time."""
    at, refused = creates_of(rows, rate="25/5", faults={"other_clients": [{"share": SHARE}]})
    share = (len(at) - 1) / at[-1] / (5 * (1 - SHARE))
    what = f"another client takes 40 %, {rows} rows"
    return [
        (what, "of what it leaves", f"{share:.1%}", "≥ 75 %"),
        ("", "refused", f"{refused} ({refused / rows:.2%})", "< 2 %"),
    ]


def stops(rows: int) -> list[Line]:
    """Another client that stops after a minute."""
    client = {"share": SHARE, "until_s": STOPS_AFTER_S}
    at, refused = creates_of(rows * 5 // 2, rate="25/5", faults={"other_clients": [client]})
    back_s = next(
        (
            start
            for start in range(int(STOPS_AFTER_S), int(at[-1]) - 20)
            if per_s(at, start, start + 20) >= 4.75
        ),
        None,
    )
    shown = "never" if back_s is None else f"{back_s + 20 - STOPS_AFTER_S:.0f} s"
    last = per_s(at, at[-1] - 20, at[-1]) / 5
    return [
        ("another client takes 40 %, then stops", "95 % again after", shown, "≤ 120 s"),
        ("", "at the end", f"{last:.1%}", "≥ 95 %"),
        ("", "refused", str(refused), ""),
    ]


def per_s(at: list[float], start: float, end: float) -> float:
    """Calls a second from `start` to `end`."""
    return sum(start <= one < end for one in at) / (end - start)


def smaller(rows: int) -> list[Line]:
    """A plan of 5 in 5 s under --rate 25/5."""
    at, refused = creates_of(rows // 2, rate="5/5")
    return [
        ("plan of 5/5 under --rate 25/5", "after a minute", f"{per_s(at, 60, at[-1]):.1%}", "≥ 90 %"),
        ("", "refused", str(refused), ""),
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Tenants that are shared, or that allow less.")
    parser.add_argument("--rows", type=int, default=300)
    rows: int = parser.parse_args().rows
    with ThreadPoolExecutor() as together:
        found = [together.submit(case, rows) for case in (others, stops, smaller)]
        lines = [line for each in found for line in each.result()]
    print(f"{machine()}\n")
    print(table(("case", "what", "measured", "target"), lines))


if __name__ == "__main__":
    main()
