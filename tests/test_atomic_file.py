"""Putting a file in place: whole or not at all, its owner's alone, never through a link."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from importer.atomic_file import (
    ABANDONED_AFTER_S,
    Placed,
    draft_beside,
    private_folder,
    put_in_place,
    write_new,
)
from importer.errors import FileError

no_modes = pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The umask that takes nothing away."""
    before = os.umask(0)
    yield
    os.umask(before)


def put(path: Path, content: bytes = b"ours", objection: str = "", source: Path | None = None) -> Placed:
    """The content at `path`, where every existing file has the same objection."""
    with draft_beside(path, source=source) as draft:
        draft.stream.write(content)
        return put_in_place(draft, path, lambda _: objection)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_put_in_place_and_nothing_else_is_left(tmp_path: Path) -> None:
    """The temporary name is gone."""
    placed = put(tmp_path / "r.csv")
    assert placed == (tmp_path / "r.csv", "")
    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == {"r.csv": b"ours"}


def test_a_block_that_fails_leaves_the_earlier_file_and_nothing_else(tmp_path: Path) -> None:
    """Half a file never takes the name."""
    put(tmp_path / "r.csv", b"earlier")
    with pytest.raises(KeyError), draft_beside(tmp_path / "r.csv") as draft:  # noqa: PT012
        draft.stream.write(b"half")
        raise KeyError
    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == {"r.csv": b"earlier"}


@pytest.mark.security
@pytest.mark.parametrize("there", [True, False], ids=["to a file", "dangling"])
def test_a_destination_that_is_a_link_is_refused(tmp_path: Path, *, there: bool) -> None:
    """A downloaded folder may bring `visits.results.csv -> ~/.bashrc`."""
    victim = tmp_path / "bashrc"
    if there:
        victim.write_bytes(b"theirs")
    work = tmp_path / "work"
    work.mkdir()
    (work / "r.csv").symlink_to(victim)

    with pytest.raises(FileError, match=r"r\.csv: This is a link to another file"):
        put(work / "r.csv")
    assert (victim.exists(), [found.name for found in work.iterdir()]) == (there, ["r.csv"])
    assert not there or victim.read_bytes() == b"theirs"


@pytest.mark.security
def test_a_link_that_appears_while_the_file_is_written_is_refused(tmp_path: Path) -> None:
    """It is looked at again just before the rename."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    with pytest.raises(FileError, match="link"), draft_beside(tmp_path / "r.csv") as draft:  # noqa: PT012
        draft.stream.write(b"ours")
        (tmp_path / "r.csv").symlink_to(victim)
        put_in_place(draft, tmp_path / "r.csv", lambda _: "")
    assert victim.read_bytes() == b"theirs"


@pytest.mark.security
def test_a_link_at_the_next_free_name_is_passed_over(tmp_path: Path) -> None:
    """`r (2).csv` is a place that we chose ourselves."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    (tmp_path / "r.csv").write_bytes(b"another batch's")
    (tmp_path / "r (2).csv").symlink_to(victim)

    with draft_beside(tmp_path / "r.csv") as draft:
        draft.stream.write(b"ours")
        placed = put_in_place(draft, tmp_path / "r.csv", lambda _: "belongs to batch b1")
    assert placed == (tmp_path / "r (3).csv", "r.csv belongs to batch b1, so this was written to r (3).csv.")
    assert victim.read_bytes() == b"theirs"


@pytest.mark.security
def test_temporary_names_cannot_be_foretold(tmp_path: Path) -> None:
    """Whoever can plant a name can only do so if it is known."""
    with draft_beside(tmp_path / "r.csv") as one, draft_beside(tmp_path / "r.csv") as other:
        names = {one.path.name, other.path.name}
        assert len(names) == 2
        assert all(re.fullmatch(r"\.importer-[0-9a-f]{16}\.tmp", name) for name in names)


@no_modes
@pytest.mark.security
@pytest.mark.usefixtures("open_umask")
def test_a_umask_of_nothing_leaves_nothing_open(tmp_path: Path) -> None:
    """0600, also over an earlier file that others could read."""
    (tmp_path / "r.csv").write_bytes(b"ours")
    (tmp_path / "r.csv").chmod(0o666)
    put(tmp_path / "r.csv", b"ours")
    assert mode(tmp_path / "r.csv") == 0o600


@no_modes
@pytest.mark.security
@pytest.mark.parametrize(("source", "expected"), [(0o644, 0o600), (0o600, 0o600), (0o440, 0o400)])
@pytest.mark.usefixtures("open_umask")
def test_a_stricter_mode_of_the_source_is_followed(tmp_path: Path, source: int, expected: int) -> None:
    """What a person may only read is not to be written in its copy either."""
    sheet = tmp_path / "visits.csv"
    sheet.write_bytes(b"")
    sheet.chmod(source)
    put(tmp_path / "r.csv", source=sheet)
    assert mode(tmp_path / "r.csv") == expected


def test_what_killed_writers_left_is_removed_and_what_is_at_work_is_not(tmp_path: Path) -> None:
    """The instant: half of the temporary file is written, and the process is killed."""
    code = (
        "import os, sys, signal; from pathlib import Path; from importer.atomic_file import draft_beside\n"
        "with draft_beside(Path(sys.argv[1])) as draft:\n"
        "    draft.stream.write(b'half'); draft.stream.flush(); os.kill(os.getpid(), signal.SIGTERM)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r.csv")], check=False)
    (left,) = tmp_path.iterdir()
    put(tmp_path / "r.csv")
    assert (done.returncode in {-signal.SIGTERM, signal.SIGTERM}, left.exists()) == (True, True)

    long_ago = time.time() - ABANDONED_AFTER_S - 60
    os.utime(left, (long_ago, long_ago))
    put(tmp_path / "r.csv", b"again")
    assert [found.name for found in tmp_path.iterdir()] == ["r.csv"]


def test_files_of_that_name_without_end_are_an_error(tmp_path: Path) -> None:
    """Everything has a limit."""
    with pytest.raises(FileError, match="99 files of that name"):  # noqa: PT012
        for _ in range(101):
            put(tmp_path / "r.csv", objection="belongs to batch b1")
    assert len(list(tmp_path.iterdir())) == 99


def test_a_new_file_never_replaces_one(tmp_path: Path) -> None:
    """Not even where somebody made it a moment ago."""
    write_new(tmp_path / "m.yaml", "name: é\n")
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "m.yaml", "other")
    assert {found.name: found.read_text("utf-8") for found in tmp_path.iterdir()} == {"m.yaml": "name: é\n"}


@no_modes
@pytest.mark.security
@pytest.mark.usefixtures("open_umask")
def test_private_folders_are_private_whatever_created_them(tmp_path: Path) -> None:
    """Missing parents too; looser ones are tightened, which is reported."""
    assert private_folder(tmp_path / "a" / "home") is False
    (tmp_path / "loose").mkdir(mode=0o777)
    assert private_folder(tmp_path / "loose") is True
    assert private_folder(tmp_path / "loose") is False
    assert [mode(tmp_path / name) for name in ("a", "a/home", "loose")] == [0o700] * 3
