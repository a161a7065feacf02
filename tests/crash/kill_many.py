"""Kill the real process again and again, and count what is lost, duplicated or mistaken for another.

    python tests/crash/kill_many.py --kills 1000 --rows 20000
    python tests/crash/kill_many.py --kills 200 --rows 2000 --team     # two computers in turn, on PostgreSQL

Takes about three quarters of an hour on two cores. The tenant has faults and a read lag of its own meanwhile.
Prints the number of kills and rows, and how many rows were lost, were created twice, or have a wrong Id: all
three are 0. Ends with 1 if one of them is not. `--seed` chooses instants, sheets and faults; the same seed
kills at nearly the same instants only, since the load of the computer has a say.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from stores import postgres_database

from crash.killing import killed_batches


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Kill the importer again and again; count what goes wrong.")
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--team", action="store_true")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        postgres_database() if asked.team else nullcontext() as store,
    ):
        tally = killed_batches(
            Path(folder), kills=asked.kills, rows=asked.rows, seed=asked.seed, report=True, store=store
        )
    print(tally)
    return 1 if tally.wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
