"""Progress: plain lines where there is no terminal, a bar where there is one, silence with `--quiet`."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from conftest import child_environment

from importer.app.observer import Progress, Stage
from importer.cli.console import Console
from importer.cli.progress import ProgressBar, Speed, ends_at_sigterm, watched


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def sending(done: int, total: int | None = None, note: str = "", **counts: int) -> Progress:
    return Progress(Stage.SENDING, done, total, counts, note)


def test_a_plain_line_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal: rows done, what became of them, rows a second, time left, every five seconds."""
    clock = Clock()
    with closing(ProgressBar(Console(), sending(0, 100), now=clock)) as progress:
        for second in range(1, 11):
            clock.now_s = 1000.0 + second
            progress.show(sending(second * 5, 100, created=second * 5 - 2, failed=2, uncertain=0))

    assert capsys.readouterr().err.splitlines() == [
        "Sending: 25 of 100 rows, 15 seconds left, 5.0 rows/s, 23 created, 2 failed",
        "Sending: 50 of 100 rows, 10 seconds left, 5.0 rows/s, 48 created, 2 failed",
        "Sending: 50 of 100 rows, 10 seconds left, 5.0 rows/s, 48 created, 2 failed",
    ]


def test_reading_has_no_end_in_sight(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the total is unknown there is no time left to tell, and no closing line."""
    clock = Clock()
    with closing(ProgressBar(Console(), Progress(Stage.READING, 0), now=clock)) as progress:
        clock.now_s += 5
        progress.show(Progress(Stage.READING, 60_000))

    assert capsys.readouterr().err == "Reading: 60,000 rows, 12,000 rows/s\n"


def test_quiet_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """`--quiet` shows no progress at all."""
    clock = Clock()
    with closing(ProgressBar(Console(quiet=True), sending(0, 10), now=clock)) as progress:
        clock.now_s += 50
        progress.show(sending(10, 10, note="Waiting.", created=10))

    assert capsys.readouterr() == ("", "")


def test_a_note_is_said_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    """What the pace has to tell is said once, not with every row, and not more often than one can read."""
    clock = Clock()
    with closing(ProgressBar(Console(), sending(0), now=clock)) as progress:
        for note in ("", "Another integration is busy.", "Another integration is busy.", "Flutter."):
            clock.now_s += 1
            progress.show(sending(1, note=note))

    assert capsys.readouterr().err == "Another integration is busy.\n"


def test_speed_forgets_an_old_pause() -> None:
    """The time left follows the last half minute, so an outage an hour ago does not spoil it."""
    speed = Speed()
    speed.note(0.0, 0)
    speed.note(3600.0, 0)
    for second in range(40):
        speed.note(3600.0 + second, second * 5)

    assert speed.rows_per_s == pytest.approx(5.0)


def test_speed_says_nothing_before_it_knows() -> None:
    """One sample, or two at the same instant, tell no speed."""
    speed = Speed()
    speed.note(0.0, 0)
    speed.note(0.0, 10)

    assert speed.rows_per_s == 0.0


@pytest.mark.skipif(os.name == "nt", reason="pseudo-terminals are POSIX's")
def test_a_terminal_shows_a_bar_of_80_columns() -> None:
    """On a terminal one line is rewritten in place; messages stand above it."""
    import pty

    code = (
        "from contextlib import closing\n"
        "from importer.app.observer import Progress, Stage\n"
        "from importer.cli.console import Console\nfrom importer.cli.progress import ProgressBar\n"
        "console = Console()\n"
        "with closing(ProgressBar(console, Progress(Stage.SENDING, 0, 500))) as progress:\n"
        "    for done in range(0, 501, 100):\n"
        "        progress.show(Progress(Stage.SENDING, done, 500, {'created': done}))\n"
        "    console.say('a message')\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs, env=child_environment()) as child:
        os.close(theirs)
        shown = _read_all(ours)
    os.close(ours)

    lines = shown.replace("\r", "\n").splitlines()
    assert (child.returncode, "a message" in lines) == (0, True)
    assert "500/500" in lines[-1] or "500/500" in lines[-2]
    assert max(map(len, lines)) <= 80


def _read_all(descriptor: int) -> str:
    """Until the other end closes; Linux says so with an error."""
    parts = []
    for _ in range(10_000):
        try:
            part = os.read(descriptor, 65_536)
        except OSError:
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode("utf-8")


def test_ctrl_break_of_windows_is_as_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere another signal stands for it here."""
    number = getattr(signal, "SIGBREAK", None) or signal.SIGUSR1
    monkeypatch.setattr(signal, "SIGBREAK", number, raising=False)
    with pytest.raises(KeyboardInterrupt), ends_at_sigterm():
        signal.raise_signal(number)


def test_ctrl_c_before_a_command_listens_is_not_lost() -> None:
    """asyncio took the signal, and would tell a task that waits; one that reads a sheet does not wait."""
    reached = []

    async def command() -> None:
        signal.raise_signal(signal.SIGINT)
        with watched(Console(quiet=True)):
            reached.append("the sheet is read")

    with ends_at_sigterm(), pytest.raises(KeyboardInterrupt):  # else it is ignored where `&` started us
        asyncio.run(command())
    assert reached == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_that_python_drops_is_not_lost() -> None:
    """What a signal raises in a finaliser goes nowhere: in one start of a hundred rows were sent."""

    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    reached = []

    async def command() -> None:
        with watched(Console(quiet=True)) as (observer, _):
            Finalised()
            reached.append("dropped")
            observer.progress(Progress(Stage.READING, 1))
            reached.append("the sheet is read")

    with ends_at_sigterm(), pytest.raises(KeyboardInterrupt):
        asyncio.run(command())
    assert reached == ["dropped"]
