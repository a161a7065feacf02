"""The real process ended at chosen instants: killed, interrupted once and twice, its disk taken away."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from stores import Place

from crash.killing import MAPPING, Far, serving

pytestmark = pytest.mark.crash
ACCOUNT = "8933fa5e-5b39-11e9-826a-0622360da6fe"
QUICK = ("--yes", "--json", "--rate", "100/1", "--workers", "4", "--settle", "0.3")
PATIENCE_S = 180.0


class Sending:
    """One sheet, sent by processes of its own."""

    def __init__(self, folder: Path, tenant: Far, place: Place, rows: int) -> None:
        self.folder = folder
        self.tenant = tenant
        self.rows = rows
        self.place = place
        self.home = place.home
        self.stdout, self.stderr = folder / "stdout.txt", folder / "stderr.txt"
        (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
        lines = [f"{ACCOUNT},Visit,Visit {n},line {n},Won" for n in range(1, rows + 1)]
        (folder / "sheet.csv").write_text("\n".join(["Account,Event,Note,Line,Outcome", *lines]) + "\n")

    def start(
        self, *command: str, under: Sequence[str] = (), timeout_s: float = 2
    ) -> subprocess.Popen[bytes]:
        """under: the command that is to start it. timeout_s: how long a call may take."""
        with self.stdout.open("wb") as stdout, self.stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                [*under, sys.executable, "-m", "importer", *command, *QUICK, "--timeout", str(timeout_s)],
                stdout=stdout,
                stderr=stderr,
                env=self.tenant.environment(self.home, self.place.url),
                cwd=self.folder,
            )
        return self.process

    @property
    def output(self) -> str:
        """All that the last process wrote."""
        return self.stdout.read_text() + self.stderr.read_text()

    def run(self, under: Sequence[str] = (), timeout_s: float = 2) -> subprocess.Popen[bytes]:
        return self.start("run", "sheet.csv", "-m", "mapping.yaml", under=under, timeout_s=timeout_s)

    def resumed(self) -> int:
        """The exit code of a resume to the end, nothing in its way."""
        process = self.start("resume", "sheet.results.csv")
        return process.wait(timeout=PATIENCE_S)

    def held(self, count: int) -> None:
        """Returns once the tenant holds back so many answers."""
        self.until(lambda: len(self.tenant.ask("held")) >= count)

    def until(self, true: object) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not true():  # type: ignore[operator]
            assert time.monotonic() < deadline, f"it did not come to pass: {self.output}"
            assert self.process.poll() is None, f"it ended before: {self.output}"
            time.sleep(0.02)

    def marked(self) -> int:
        """How many calls the store has on record."""
        with self.place.open() as store:
            return sum(store.open(one.batch.id).last_attempt_id() for one in store.batches())

    def created(self) -> int:
        return int(self.tenant.ask("counts")["held"])

    def truth(self) -> tuple[int, int, int]:
        """Rows lost, duplicated, and with a wrong Id."""
        there: dict[str, list[str]] = {}
        for one in self.tenant.ask("activities"):
            there.setdefault(one["fields"]["mx_Custom_1"], []).append(one["id"].lower())
        with (self.folder / "sheet.results.csv").open(encoding="utf-8-sig", newline="") as stream:
            ids = {row["Line"]: row["import_activity_id"].lower() for row in csv.DictReader(stream)}
        assert len(ids) == self.rows
        lost = sum(line not in there for line in ids)
        duplicated = sum(len(found) - 1 for found in there.values())
        return lost, duplicated, sum(one not in there.get(line, []) for line, one in ids.items())

    def statuses(self) -> Counter[str]:
        with (self.folder / "sheet.results.csv").open(encoding="utf-8-sig", newline="") as stream:
            return Counter(row["import_status"] for row in csv.DictReader(stream))


@pytest.fixture
def embedded(tmp_path: Path) -> Place:
    return Place(tmp_path / "home", None)


@contextmanager
def sending(
    folder: Path, place: Place, *rules: dict[str, object], rows: int = 12, latency_s: float = 0.01
) -> Iterator[Sending]:
    with serving(folder, {"faults": list(rules)}, latency_s=latency_s) as tenant:
        yield Sending(folder, tenant, place, rows)


@pytest.mark.parametrize("commit", ["before", "after"])
def test_killed_between_call_and_answer(tmp_path: Path, place: Place, commit: str) -> None:
    """Four calls are with the tenant: created already, or not yet and perhaps never."""
    with sending(tmp_path, place, {"do": "hold", "commit": commit, "nth": [3, 4, 5, 6]}) as batch:
        process = batch.run()
        batch.held(4)
        process.kill()
        process.wait()
        assert (batch.resumed(), batch.truth()) == (0, (0, 0, 0))


def test_killed_between_answer_and_record(tmp_path: Path, place: Place) -> None:
    """The answers leave the tenant as the process is stopped, and it is killed before it can read them."""
    with sending(tmp_path, place, {"do": "hold", "nth": [3, 4, 5, 6]}) as batch:
        process = batch.run()
        batch.held(4)
        process.send_signal(signal.SIGSTOP)
        batch.tenant.ask("release", "POST")
        process.kill()
        process.wait()
        assert (batch.resumed(), batch.truth()) == (0, (0, 0, 0))


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (Debian: strace)")
@pytest.mark.parametrize("call", ["connect", "sendto"])
def test_killed_between_mark_and_call(tmp_path: Path, call: str) -> None:
    """As the process asks the system to connect, or to send a call's bytes, until rows were marked of which
    nothing has left: which of its calls to the system that is differs between computers."""
    for nth in range(3, 20):
        folder = tmp_path / str(nth)
        folder.mkdir()
        with sending(folder, Place(folder / "home", None), rows=6) as batch:
            kill = f"{call}:signal=SIGKILL:when={nth}"
            traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"]
            process = batch.run(under=[*traced, "-e", f"inject={kill}"])
            process.wait(timeout=PATIENCE_S)
            if "ptrace" in batch.output:
                pytest.skip(f"strace may not trace here: {batch.output[:200]}")
            assert process.returncode == -signal.SIGKILL, batch.output
            if batch.marked() > batch.created():
                assert (batch.resumed(), batch.truth()) == (0, (0, 0, 0))
                return
    pytest.fail("never was a row marked of which nothing had left")


def test_interrupted_once_it_ends_the_calls_under_way(tmp_path: Path, place: Place) -> None:
    """Ctrl-C: no further row is sent, answers are waited for, exit 130, and nothing is in doubt."""
    with sending(tmp_path, place, {"do": "hold", "nth": [5, 6, 7, 8]}, rows=40) as batch:
        process = batch.run(timeout_s=60)
        batch.held(4)
        process.send_signal(signal.SIGINT)
        batch.until(lambda: "Stopping:" in batch.output)
        batch.tenant.ask("release", "POST")
        process.wait(timeout=PATIENCE_S)
        assert (process.returncode, batch.statuses()) == (130, {"created": 8, "pending": 32})
        assert batch.created() == 8
        assert (batch.resumed(), batch.truth()) == (0, (0, 0, 0))


def test_a_long_pause_does_not_hold_up_an_interruption(tmp_path: Path, place: Place) -> None:
    """All calls wait ten minutes for the tenant's limit, a lookup too: Ctrl-C ends it at once all the
    same."""
    rules = [{"do": "answer", "status": 500, "nth": 4}, {"do": "throttle", "retry_after": 600, "nth": 8}]
    with sending(tmp_path, place, *rules, rows=40) as batch:
        process = batch.run(timeout_s=60)
        batch.until(lambda: int(batch.tenant.ask("counts")["refused"]) >= 1)
        time.sleep(0.5)  # the lookup falls due meanwhile
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=PATIENCE_S) == 130
        assert batch.statuses()["created"] == batch.created()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_twice_it_leaves_at_once(tmp_path: Path, place: Place, number: int) -> None:
    """Whatever is under way, for up to ten minutes: the second signal ends the process, exit 130."""
    with sending(tmp_path, place, {"do": "hold", "nth": [2, 3, 4, 5]}) as batch:
        process = batch.run(timeout_s=600)
        batch.held(4)
        process.send_signal(number)
        batch.until(lambda: "Stopping:" in batch.output)  # two signals at the same instant are one
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE_S) == 130
        assert (batch.resumed(), batch.truth()) == (0, (0, 0, 0))


def test_terminated_it_cuts_off_what_is_not_answered_and_says_so(tmp_path: Path, place: Place) -> None:
    """SIGTERM once while answers are held back: they are waited for `--timeout`, then they are in doubt."""
    with sending(tmp_path, place, {"do": "hold", "nth": [2, 3, 4, 5]}) as batch:
        process = batch.run(timeout_s=10)
        batch.held(4)
        process.terminate()
        process.wait(timeout=PATIENCE_S)
        assert (process.returncode, batch.statuses()["uncertain"]) == (130, 4)
        assert (batch.resumed(), batch.truth()) == (0, (0, 0, 0))


def test_the_store_is_removed_in_mid_run(tmp_path: Path, embedded: Place) -> None:
    """No further call leaves, exit 3, and what was created and could not be written is printed with its
    Id."""
    with sending(tmp_path, embedded, {"do": "hold", "nth": [5, 6, 7, 8]}, rows=60) as batch:
        process = batch.run(timeout_s=60)
        batch.held(4)
        kept = shutil.copytree(batch.home, tmp_path / "kept")
        for file in batch.home.glob("importer.db*"):
            file.unlink()
        batch.tenant.ask("release", "POST")
        process.wait(timeout=PATIENCE_S)
        created = [one["id"] for one in batch.tenant.ask("activities")][4:]
        assert (process.returncode, len(created)) == (3, 4), batch.output
        assert all(one in batch.output for one in created), batch.output
        assert json.loads(batch.stdout.read_text())["exit"] == 3
        shutil.rmtree(batch.home)
        kept.rename(batch.home)
        (batch.home / "importer.db-shm").unlink()
        assert (batch.resumed(), batch.truth()) == (0, (0, 0, 0))


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may mount a small disk")
def test_the_disk_is_full_in_mid_run(tmp_path: Path, embedded: Place) -> None:
    """Neither store nor results file can grow: no further call leaves, and what is lost is printed."""
    with sending(tmp_path, embedded, {"do": "hold", "nth": [5, 6, 7, 8]}, rows=60) as batch:
        batch.home.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(batch.home)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("a small disk cannot be mounted here")
        try:
            process = batch.run(timeout_s=60)
            batch.held(4)
            with contextlib.suppress(OSError), (batch.home / "filler").open("wb", buffering=0) as filler:
                while filler.write(b"x" * 4096):
                    pass
            batch.tenant.ask("release", "POST")
            process.wait(timeout=PATIENCE_S)
            created = [one["id"] for one in batch.tenant.ask("activities")][4:]
            assert process.returncode == 3, batch.output
            known = batch.output + (batch.folder / "sheet.results.csv").read_text(encoding="utf-8-sig")
            assert all(one in known for one in created), batch.output
            (batch.home / "filler").unlink()
            assert (batch.resumed(), batch.truth()) == (0, (0, 0, 0))
        finally:
            subprocess.run(["umount", "-l", str(batch.home)], check=True)
