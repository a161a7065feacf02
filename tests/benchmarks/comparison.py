"""What people would use instead, on the same tenant in one run.

    python tests/benchmarks/comparison.py [--rows 250] [--write]

A strict tenant (25 in 5 s, 5 s penalty, 300 ms latency, up to 100 ms of jitter) that answers 2 % of the
Creates with 500 although it has created them. One after the other: newman with a CSV data file (installed
with npm on the first run), a bare aiohttp loop, the obvious script (the same with every failure tried again),
and the importer. Then the truth is asked of the tenant. `--write` keeps the table and the plot beside this
file (`comparison.md`, `comparison.svg`). Takes about six minutes.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the tests' own modules
from benchmarks.bare_loop import body
from benchmarks.comparison_plot import plot
from benchmarks.measuring import HEADER, WORK, Tenant, folder, importer, machine, measure, rows, table, tenant

HERE: Final = Path(__file__).parent
RATE: Final = "25/5"
A_SECOND: Final = 5.0
SETTLED_S: Final = 12.0
"""Between two contestants: by then nobody's calls or penalties are left in the window."""
TENANT: Final[dict[str, Any]] = {
    "rate": RATE,
    "penalty_s": 5.0,
    "latency_s": 0.3,
    "jitter_s": 0.1,
    "seed": 11,
    "faults": {"faults": [{"do": "answer", "status": 500, "text": "", "commit": True, "chance": 0.02}]},
}
TABLE_HEADER: Final = (
    "",
    "rows/s",
    "share of the allowance",
    "refused calls",
    "rows twice",
    "rows lost",
    "rows misreported",
    "peak MB",
)


@dataclass(frozen=True)
class Contestant:
    """A way to send a sheet. command: started in the folder of the sheet."""

    name: str
    mark: str
    command: list[str | Path]


@dataclass(frozen=True)
class Course:
    """How it went. arrived_s: when its Creates arrived, since the first; refused ones are in `refused_s`."""

    name: str
    arrived_s: list[float]
    refused_s: list[float]
    twice: int
    lost: int
    misreported: int
    peak_mb: float

    def line(self, count: int) -> tuple[str, ...]:
        """Its line of the table. rows/s: from the first call to the last, the rows that are there once."""
        took_s = max(self.arrived_s[-1], 1e-9)
        let_in = len(self.arrived_s) - len(self.refused_s)
        return (
            self.name,
            f"{(count - self.lost) / took_s:.2f}",
            f"{min(1.0, (let_in - 1) / took_s / A_SECOND):.1%}",
            str(len(self.refused_s)),
            str(self.twice),
            str(self.lost),
            str(self.misreported),
            f"{self.peak_mb:.0f}",
        )


def contestants() -> list[Contestant]:
    """In the order in which they run. Their sheet is `visits.csv` in the folder where they are started."""
    run = importer("run", "visits.csv", "-m", "visits.yaml", "--yes", "--json", "--settle", "5")
    return [
        Contestant("newman, CSV data file", "N", [newman(), "run", "collection.json", *_newman_options()]),
        Contestant("bare aiohttp loop, AsyncLimiter(25, 5)", "B", _python("bare_loop.py")),
        Contestant("obvious script: the same, retrying", "O", _python("obvious_script.py")),
        Contestant("importer run", "I", run),
    ]


def _python(script: str) -> list[str | Path]:
    return [sys.executable, HERE / script, "visits.csv", RATE]


def _newman_options() -> list[str]:
    return ["-d", "visits.csv", "-r", "json", "--reporter-json-export", "newman.json", "--suppress-exit-code"]


def newman() -> Path:
    """newman's command; installed on the first run. Raises RuntimeError where there is no npm."""
    home = WORK / "newman"
    command = home / "node_modules" / ".bin" / "newman"
    if not command.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise RuntimeError("newman needs Node.js: npm was not found")
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run([npm, "install", "--no-fund", "--no-audit", "newman@6"], cwd=home, check=True)
    return command


def collection(served: Tenant) -> dict[str, Any]:
    """A Postman collection with the one request; `{{…}}` are the sheet's columns."""
    environment = served.environment
    sent = body(dict(zip(HEADER, next(rows(1, len(HEADER))), strict=True)))
    sent["RelatedCompanyId"] = "{{Account ID}}"
    sent["ActivityNote"] = "{{Outcome}}: {{Remarks}}"
    sent["Fields"] = [
        {"SchemaName": "mx_Custom_1", "Value": "{{Outcome}}"},
        {"SchemaName": "mx_Custom_3", "Value": "{{Amount}}"},
        {"SchemaName": "mx_Custom_4", "Value": "{{Visit no}}"},
    ]
    headers = {
        "x-LSQ-AccessKey": environment["LEADSQUARED_ACCESS_KEY"],
        "x-LSQ-SecretKey": environment["LEADSQUARED_SECRET_KEY"],
        "Content-Type": "application/json",
    }
    request = {
        "method": "POST",
        "url": f"{served.url}/v2/CompanyActivity.svc/Create",
        "header": [{"key": key, "value": value} for key, value in headers.items()],
        "body": {"mode": "raw", "raw": json.dumps(sent)},
    }
    schema = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
    return {"info": {"name": "visits", "schema": schema}, "item": [{"name": "create", "request": request}]}


def sheet(path: Path, mark: str, count: int) -> None:
    """Rows of this contestant's own: its mark begins each visit's number."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(HEADER)
        writer.writerows([f"{mark}{cells[0]}", *cells[1:]] for cells in rows(count, len(HEADER)))


def reported_created(name: str, work: Path, said: str) -> int:
    """How many rows it says it created."""
    if name.startswith("newman"):
        run = json.loads((work / "newman.json").read_text("utf-8"))["run"]
        answers = [execution.get("response", {}).get("stream", {}) for execution in run["executions"]]
        return sum(b'"Success"' in bytes(answer.get("data", b"")) for answer in answers)
    return int(json.loads(said)["created"])


def course(contestant: Contestant, served: Tenant, count: int) -> Course:
    """One contestant, and the truth about what it did."""
    with folder() as work:
        sheet(work / "visits.csv", contestant.mark, count)
        (work / "collection.json").write_text(json.dumps(collection(served)), "utf-8")
        before = len(served.ask("calls"))
        environment = {**served.environment, "IMPORTER_HOME": str(work / "home")}
        found = measure(contestant.command, cwd=work, environment=environment).expect(0, 1)
        said = reported_created(contestant.name, work, found.said)
    calls = [call for call in served.ask(f"calls?after={before}") if call["kind"] == "create"]
    numbers = [activity["fields"]["mx_Custom_4"] for activity in served.ask("activities")]
    held = Counter(number for number in numbers if number.startswith(contestant.mark))
    first = calls[0]["arrived_s"]
    return Course(
        name=contestant.name,
        arrived_s=[call["arrived_s"] - first for call in calls],
        refused_s=[call["arrived_s"] - first for call in calls if call["refused"]],
        twice=sum(there > 1 for there in held.values()),
        lost=count - len(held),
        misreported=abs(len(held) - said),
        peak_mb=found.peak_mb,
    )


def main() -> None:
    """Prints the table; keeps it and the plot with --write."""
    parser = argparse.ArgumentParser(description="What people would use instead, on the same tenant.")
    parser.add_argument("--rows", type=int, default=250)
    parser.add_argument("--write", action="store_true", help="keep table and plot beside this file")
    options = parser.parse_args()
    courses: list[Course] = []
    with tenant(**TENANT) as served:
        for contestant in contestants():
            if courses:
                time.sleep(SETTLED_S)
            courses.append(course(contestant, served, options.rows))
            print("  ".join(courses[-1].line(options.rows)), file=sys.stderr, flush=True)
    shown = table(TABLE_HEADER, [each.line(options.rows) for each in courses])
    drawn = plot({each.name: each.arrived_s for each in courses}, limit=25, period_s=5.0)
    print(f"{machine()}, {options.rows} rows each\n\n{shown}")
    if options.write:
        (HERE / "comparison.md").write_text(f"{shown}\n", "utf-8")
        (HERE / "comparison.svg").write_text(drawn, "utf-8")


if __name__ == "__main__":
    main()
