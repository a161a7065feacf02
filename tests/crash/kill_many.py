"""Kill the real process again and again, and count what is lost, doubled or mistaken for another.

    python tests/crash/kill_many.py --kills 1000 --rows 20000

Takes about three quarters of an hour on two cores. The tenant has faults and a read lag of its own meanwhile.
Prints the number of kills and rows, and how many rows were lost, were created twice, or bear a wrong Id: all
three are 0. Ends with 1 if one of them is not. `--seed` chooses instants, sheets and faults; the same seed
kills at nearly the same instants only, since the load of the computer has a say.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from crash.killing import killed_batches


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description="Kill the importer again and again; count what goes wrong.")
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tally = killed_batches(Path(folder), kills=asked.kills, rows=asked.rows, seed=asked.seed, tell=True)
    print(tally)
    return 1 if tally.wrongs else 0


if __name__ == "__main__":
    sys.exit(main())
