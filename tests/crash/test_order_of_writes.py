"""The order of writes, as the system saw it: the mark durable, then the call; the outcome durable, then
shown.

Each call, fsync and write of the real process is in strace's log, in the order in which it happened.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import StartTenant, child_environment
from stores import Place

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian: strace)"),
]
MAPPING = "RelatedCompanyId: Account\nActivityEvent: 10001\nActivityNote: Note\n"
ACCOUNT = "8933fa5e-5b39-11e9-826a-0622360da6fe"


def traced(tmp_path: Path, start_tenant: StartTenant, place: Place) -> list[str]:
    """The log of a run of three rows, one after the other; one line an event."""
    start_tenant(latency_s=0.02)
    store = {"IMPORTER_STORE": place.url} if place.url else {}
    (tmp_path / "mapping.yaml").write_text(MAPPING)
    rows = "".join(f"{ACCOUNT},Visit {n}\n" for n in range(1, 4))
    (tmp_path / "sheet.csv").write_text(f"Account,Note\n{rows}")
    log = tmp_path / "strace.txt"
    calls = "trace=fsync,fdatasync,write,pwrite64,sendto,sendmsg,writev,recvfrom,recvmsg,read"
    strace = ["strace", "-f", "-y", "-qq", "-s", "4000", "-e", calls, "-o", str(log)]
    importer = [sys.executable, "-m", "importer", "run", str(tmp_path / "sheet.csv")]
    how = [
        "-m",
        str(tmp_path / "mapping.yaml"),
        "--yes",
        "--workers",
        "1",
        "--rate",
        "50/1",
        "--settle",
        "0.2",
    ]
    done = subprocess.run(
        [*strace, *importer, *how],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=child_environment(store),
    )
    if "ptrace" in done.stderr.lower():
        pytest.skip(f"strace may not trace here: {done.stderr.strip()[:200]}")
    assert done.returncode == 0, done.stderr
    return log.read_text(errors="replace").splitlines()


class Committed:
    """Watches the connection to PostgreSQL that writes rows: the answer to its COMMIT has been read."""

    def __init__(self) -> None:
        self._begun: dict[str, str] = {}  # of a process: what it had begun to read from
        self._wrote: set[str] = set()  # connections that have written to rows or attempts

    def by(self, line: str) -> bool:
        """Whether this line is that moment."""
        process = line.split(maxsplit=1)[0]
        found = re.search(r"(sendto|sendmsg|write|recvfrom|read)\((\d+<[^>]*>)", line)
        connection = found[2] if found else self._begun.get(process, "")
        if found and "<unfinished" in line:
            self._begun[process] = connection
        if "INSERT INTO attempt" in line or "UPDATE sheet_row" in line or "UPDATE attempt" in line:
            self._wrote.add(connection)
        reads = re.search(r"(recvfrom|read)(\(| resumed)", line)
        if reads and "COMMIT" in line and connection in self._wrote:
            self._wrote.discard(connection)
            return True
        return False


def events(log: list[str], place: Place) -> str:
    """One letter each: S the store has it durably (an fsync, or the answer to COMMIT), P a Create leaves, A
    its answer comes, W it is shown (progress, summary, results file)."""
    found: list[str] = []
    committed = Committed()
    for line in log:
        if place.dialect == "sqlite":
            synced = re.search(r"(fsync|fdatasync)", line) and "= 0" in line
            durable = bool(synced) and ("importer.db" in line or "resumed" in line)
        else:
            durable = committed.by(line)
        if durable:
            found.append("S")
        elif (
            re.search(r"(sendto|sendmsg|write|writev)\(\d+<(TCP|socket)", line)
            and "CompanyActivity.svc/Create" in line
        ):
            found.append("P")
        elif (
            re.search(r"(recvfrom|recvmsg|read)(\(| resumed)", line)
            and "Success" in line
            and '"Id' in line.replace("\\", "")
        ):
            found.append("A")
        elif re.search(r"(write|pwrite64)\(\d+<[^>]*(results|pipe)", line) and "created" in line:
            found.append("W")
    return "".join(found)


def test_the_mark_is_durable_before_its_call_and_the_outcome_before_it_is_shown(
    tmp_path: Path, start_tenant: StartTenant, place: Place
) -> None:
    """Between any two calls the store confirms: the outcome of one and the mark of the next may share it."""
    story = events(traced(tmp_path, start_tenant, place), place)
    calls = story[: story.rindex("A") + 1]
    shown = story[story.rindex("A") + 1 :]
    assert re.fullmatch(r"[ASW]*SW*PA([SW]*SW*PA){2}", calls), story
    assert shown.index("S") < shown.index("W"), story
