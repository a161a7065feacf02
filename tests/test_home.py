"""The support log: the owner's alone, without keys, bounded, and never in the way."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer import home


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """An open log in a home of its own."""
    yield home.open_log(tmp_path / "home")
    home.close_log()


def test_nothing_is_created_before_the_first_line(log: Path) -> None:
    """A command that ends with 2 leaves nothing behind, not even an empty log."""
    assert not log.parent.parent.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_the_log_is_the_owners_alone(log: Path) -> None:
    """It names accounts and messages: mode 0600, its folder 0700."""
    logging.getLogger("importer.calls").info("row 17 created")

    assert [stat.S_IMODE(path.stat().st_mode) for path in (log, log.parent)] == [0o600, 0o700]


def test_secrets_never_reach_the_log(log: Path) -> None:
    """Not in a message, not in its arguments, not in a traceback."""
    home.hide(["u$r0123456789", "s3cr3t-key"])
    logger = logging.getLogger("importer.calls")
    logger.info("asked with %s", "u$r0123456789")
    logger.error("unexpected", exc_info=_raised("https://host/?secretKey=s3cr3t-key"))

    text = log.read_text(encoding="utf-8")
    assert ("u$r0123456789" in text, "s3cr3t-key" in text, text.count("[hidden]")) == (False, False, 2)


def test_calls_and_what_is_said_between_are_all_there_in_order(log: Path) -> None:
    """One line each."""
    home.hide(["s3cr3t-key"])
    for row in range(100):
        home.log_call("Create", 200, 0.3, f"created {row}")
    logging.getLogger("importer.cli").error("unexpected")
    home.log_call("Create", None, 0.3, "s3cr3t-key")
    home.close_log()

    lines = log.read_text(encoding="utf-8").splitlines()
    told = [line.split(" ", 2)[2] for line in lines]
    assert told == [
        *(f"INFO importer.calls Create 200 0.300 s created {row}" for row in range(100)),
        "ERROR importer.cli unexpected",
        "INFO importer.calls Create - 0.300 s [hidden]",
    ]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z \d+ .*", line) for line in lines)


def test_the_log_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A year of imports keeps a bounded number of files of a bounded size."""
    monkeypatch.setattr(home, "LOG_BYTES_MAX", 2_000)
    log = home.open_log(tmp_path)
    logger = logging.getLogger("importer.calls")
    for row in range(1_000):
        logger.info("row %d created", row)
    home.close_log()

    files = sorted(log.parent.iterdir())
    assert len(files) == home.LOGS_KEPT + 1
    assert max(file.stat().st_size for file in files) <= 2_000
    assert "row 999 created" in log.read_text(encoding="utf-8")


@pytest.mark.security
def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """No log is better than another file with our lines in it."""
    victim = tmp_path / "victim"
    victim.write_text("theirs", encoding="utf-8")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "importer.log").symlink_to(victim)
    home.open_log(tmp_path)
    logging.getLogger("importer.calls").info("row 17 created")
    home.close_log()

    assert victim.read_text(encoding="utf-8") == "theirs"


def test_a_log_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where the folder should be: the import goes on, without a word."""
    (tmp_path / "logs").write_text("", encoding="utf-8")
    home.open_log(tmp_path)
    logging.getLogger("importer.calls").info("row 17 created")
    home.close_log()

    assert capsys.readouterr() == ("", "")


def _raised(message: str) -> ValueError:
    """An error with a traceback, its message not in the source line that the traceback quotes."""
    try:
        int(message)
    except ValueError as error:
        return error
    raise AssertionError("int() took it")
