"""The order of writes, as the system saw it: the mark durable, then the call; the outcome durable, then told.

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

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian: strace)"),
]
MAPPING = "RelatedCompanyId: Account\nActivityEvent: 10001\nActivityNote: Note\n"
ACCOUNT = "8933fa5e-5b39-11e9-826a-0622360da6fe"


def traced(tmp_path: Path, start_tenant: StartTenant) -> list[str]:
    """The log of a run of three rows, one after the other; one line an event."""
    start_tenant(latency_s=0.02)
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
        timeout=120,
        check=False,
        env=child_environment(),
    )
    if "ptrace" in done.stderr.lower():
        pytest.skip(f"strace may not trace here: {done.stderr.strip()[:200]}")
    assert done.returncode == 0, done.stderr
    return log.read_text(errors="replace").splitlines()


def events(log: list[str]) -> str:
    """One letter each: S the store is on the disk, P a Create leaves, A its answer comes, W somebody is
    told (progress, summary, results file)."""
    found: list[str] = []
    for line in log:
        synced = re.search(r"(fsync|fdatasync)", line) and "= 0" in line
        if synced and ("importer.db" in line or "resumed" in line):
            found.append("S")
        elif (
            re.search(r"(sendto|sendmsg|write|writev)\(\d+<(TCP|socket)", line)
            and "CompanyActivity.svc/Create" in line
        ):
            found.append("P")
        elif (
            re.search(r"(recvfrom|recvmsg|read)\(", line)
            and "Success" in line
            and '"Id' in line.replace("\\", "")
        ):
            found.append("A")
        elif re.search(r"(write|pwrite64)\(\d+<[^>]*(results|pipe)", line) and "created" in line:
            found.append("W")
    return "".join(found)


def test_the_mark_is_durable_before_its_call_and_the_outcome_before_it_is_told(
    tmp_path: Path, start_tenant: StartTenant
) -> None:
    """Between any two calls lies an fsync of the store: the outcome of one and the mark of the next may
    share it."""
    story = events(traced(tmp_path, start_tenant))
    calls = story[: story.rindex("A") + 1]
    told = story[story.rindex("A") + 1 :]
    assert re.fullmatch(r"[SW]*S[W]*PA([SW]*SW*PA){2}", calls), story
    assert told.index("S") < told.index("W"), story
