"""What a person at a terminal is shown before the first POST, and what "no" and Ctrl-C leave: nothing."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
import visits
from conftest import RunningTenant, child_environment, importer_command
from visits import write_csv, write_mapping

from importer.store.records import StoredRow
from importer.store.store import open_store

pty = pytest.importorskip("pty", reason="pseudo-terminals are a thing of Unix")


class Seat:
    """A terminal with a person before it."""

    def __init__(self, *arguments: str | Path) -> None:
        self.own, theirs = pty.openpty()
        self.process = subprocess.Popen(
            importer_command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
            start_new_session=True, env=child_environment({"NO_COLOR": "1"}),
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    def read_until(self, text: str) -> str:
        """What stands on the screen once `text` does."""
        deadline = time.monotonic() + 180
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            try:
                self.seen += os.read(self.own, 65536).decode("utf-8", "replace")
            except OSError:  # the program has gone
                break
        return self.seen

    def type(self, text: str) -> None:
        os.write(self.own, text.encode())

    def ended(self) -> int:
        """The exit code."""
        self.read_until("\0")
        code = self.process.wait(timeout=180)
        os.close(self.own)
        return code


@pytest.fixture
def sheet(home: Path) -> Path:
    write_mapping(Path("visits.yaml"))
    return write_csv(Path("visits.csv"), visits.visits(3))


def test_the_question_shows_what_is_about_to_happen(tenant: RunningTenant, sheet: Path) -> None:
    seat = Seat("run", sheet, "-m", "visits.yaml")
    shown = seat.read_until("[y/N]")
    seat.type("y\n")
    assert seat.ended() == 0
    assert "[y/N] y\r\n" in seat.seen  # no bar stands where one types
    facts = [
        "Sandbox",
        "Asha Rao",
        tenant.url,
        "visits.csv",
        "10001",
        "Rows to send   3",
        "1,000 calls in 1 second",
    ]
    assert [fact for fact in facts if fact not in shown] == []
    assert "cannot be undone" in shown
    assert len(tenant.creates) == 3


@pytest.mark.parametrize("answer", ["n\n", "\n", "nonsense\n", "\x04"])
def test_anything_but_yes_sends_nothing_and_leaves_nothing(
    tenant: RunningTenant, home: Path, sheet: Path, answer: str
) -> None:
    seat = Seat("run", sheet, "-m", "visits.yaml")
    seat.read_until("[y/N]")
    seat.type(answer)
    assert seat.ended() == 2
    assert "Error:" not in seat.seen
    assert "Nothing was sent." in seat.seen
    assert tenant.creates == []
    assert visits.left_behind(home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_at_the_question_ends_at_once_and_leaves_nothing(
    tenant: RunningTenant, home: Path, sheet: Path, number: signal.Signals
) -> None:
    seat = Seat("run", sheet, "-m", "visits.yaml")
    seat.read_until("[y/N]")
    seat.process.send_signal(number)
    assert seat.ended() == 130
    assert tenant.creates == []
    assert visits.left_behind(home) == []


def test_an_overlap_is_asked_about_and_only_the_new_rows_are_sent(tenant: RunningTenant, sheet: Path) -> None:
    first = Seat("run", sheet, "-m", "visits.yaml", "--yes")
    assert first.ended() == 0
    more = write_csv(Path("more.csv"), visits.visits(4))
    seat = Seat("run", more, "-m", "visits.yaml")
    seat.read_until("Send only the other rows? [y/N]")
    seat.type("y\n")
    seat.read_until("Send? [y/N]")
    seat.type("y\n")
    assert seat.ended() == 0
    assert len(tenant.creates) == 4
    assert visits.statuses("more.results.csv") == ["created"] * 4


def test_a_command_to_be_pasted_is_one_line_however_narrow_the_terminal(
    tenant: RunningTenant, sheet: Path
) -> None:
    folder = Path("A folder with a name that is longer than any line of a terminal should be, and blanks")
    folder.mkdir()
    first = Seat("run", sheet, "-m", "visits.yaml", "--yes", "--limit", "1", "--results", folder)
    assert first.ended() == 3
    commands = [
        line.partition("importer ")[2] for line in first.seen.splitlines() if "importer resume" in line
    ]
    results = str(Path(folder, "visits.results.csv").absolute())
    assert [shlex.split(command) for command in commands] == [["resume", results]]
    second = Seat("run", sheet, "-m", "visits.yaml", "--yes")
    assert second.ended() == 2
    (command,) = [line for line in second.seen.splitlines() if "importer resume" in line]
    assert shlex.split(command) == ["importer", "resume", results]


def test_the_question_of_resume_names_user_activity_type_and_that_it_is_final(
    tenant: RunningTenant, sheet: Path
) -> None:
    assert Seat("run", sheet, "-m", "visits.yaml", "--yes", "--limit", "1").ended() == 3
    seat = Seat("resume", "visits.results.csv")
    shown = seat.read_until("[y/N]")
    seat.type("n\n")
    assert seat.ended() == 2
    facts = ("Asha Rao", "10001 (2 rows)", "Rows to send   2", "cannot be undone")
    assert [fact for fact in facts if fact not in shown] == []


def test_progress_counts_what_this_run_sends(tenant: RunningTenant, sheet: Path) -> None:
    """Rows that were done before, or that the limit leaves, are no part of it."""
    write_csv(sheet, visits.visits(12))
    trial = Seat("run", sheet, "-m", "visits.yaml", "--yes", "--limit", "3")
    assert trial.ended() == 3
    assert "3/3" in trial.seen
    rest = Seat("resume", "visits.results.csv", "--yes", "--rate", "4/1", "--workers", "1")
    assert rest.ended() == 0
    shown = set(re.findall(r"(\d+)/9", rest.seen))
    assert {"9"} < shown
    assert len(shown) > 3  # it moves while rows are sent, and does not jump from the first to the last


def test_no_at_the_question_of_resume_leaves_the_batch_as_it_was(
    tenant: RunningTenant, home: Path, sheet: Path
) -> None:
    begun = Seat("run", sheet, "-m", "visits.yaml", "--yes", "--limit", "1")
    assert begun.ended() == 3
    visits.edit("visits.results.csv", {4: {"Outcome": "Lost", "import_status": "skipped"}})
    edited = Path("visits.results.csv").read_bytes()
    before = _rows(home)
    seat = Seat("resume", "visits.results.csv")
    seat.read_until("[y/N]")
    seat.type("n\n")
    assert seat.ended() == 2
    assert Path("visits.results.csv").read_bytes() == edited
    assert _rows(home) == before
    assert len(tenant.creates) == 1


def _rows(home: Path) -> list[StoredRow]:
    with open_store(home) as store:
        (summary,) = store.batches()
        return list(store.open(summary.batch.id).rows())
