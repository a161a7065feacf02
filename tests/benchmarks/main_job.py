"""The main job against a strict tenant: is all of its allowance used, and none over it?

    python tests/benchmarks/main_job.py [--rows 500]

The tenant counts strictly (25 calls in any 5 seconds, refuses everything for 5 seconds after a breach), takes
300 ms to answer, and calls arrive up to 100 ms late. Takes 0.2 s a row.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the tests' own modules
from benchmarks.measuring import (
    Tenant,
    count_of,
    csv_sheet,
    folder,
    importer,
    machine,
    measure,
    table,
    tenant,
)

STRICT = {"rate": "25/5", "penalty_s": 5.0, "latency_s": 0.3, "jitter_s": 0.1}
SPACING_S = 0.2


def ids_right(results: Path, activities: list[dict[str, Any]]) -> int:
    """Lines of the results file whose Id is that of the activity made of that very row."""
    visits = {activity["id"]: activity["fields"]["mx_Custom_4"] for activity in activities}
    with results.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.DictReader(stream))
    return count_of(lines, lambda line: visits.get(line["import_activity_id"]) == line["Visit no"])


def duplicates(served: Tenant) -> int:
    """Activities beyond the first of their row."""
    held = Counter(activity["fields"]["mx_Custom_4"] for activity in served.ask("activities"))
    return sum(count - 1 for count in held.values())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="The main job against a strict tenant.")
    parser.add_argument("--rows", type=int, default=500)
    rows: int = parser.parse_args().rows
    with folder() as work, tenant(**STRICT) as served:
        sheet = csv_sheet(work / "visits.csv", rows)
        command = importer("run", sheet, "-m", work / "visits.yaml", "--yes", "--json")
        environment = {**served.environment, "IMPORTER_HOME": str(work / "home")}
        found = measure(command, cwd=work, environment=environment).expect(0)
        arrived = [call["arrived_s"] for call in served.creates]
        took_s, ideal_s = arrived[-1] - arrived[0], (rows - 1) * SPACING_S
        right = ids_right(Path(found.json["results"]), served.ask("activities"))
        lines = [
            ("rows, created", f"{rows}, {found.json['created']}", "all"),
            ("calls refused for the rate", str(served.ask("counts")["refused"]), "0"),
            ("first Create to last", f"{took_s:.2f} s", f"≤ 1.05 × {ideal_s:.1f} s = {1.05 * ideal_s:.2f} s"),
            ("share of the allowance", f"{ideal_s / took_s:.1%}", "≥ 96.5 %"),
            ("duplicates", str(duplicates(served)), "0"),
            ("Ids at the right row", str(right), str(rows)),
            ("peak memory", f"{found.peak_mb:.0f} MB", ""),
        ]
    print(f"{machine()}\n")
    print(table(("what", "measured", "target"), lines))


if __name__ == "__main__":
    main()
