"""The one way to put a file in place: whole or not at all, its owner's alone, and never through a link.

What we write goes to a file of a random name beside its destination, which is created and never merely opened
(`O_CREAT|O_EXCL|O_NOFOLLOW`), so that a planted name or link is not followed. It is fsynced and renamed. A
destination that is a link is refused: a folder that was downloaded may bring one that points anywhere.
"""

from __future__ import annotations

import filecmp
import io
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from importer.errors import FileError

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
NAMES_MAX: Final = 99
ABANDONED_AFTER_S: Final = 3600.0
"""A temporary file that nobody has written to for so long was left by a process that was killed."""

_TEMPORARY: Final = re.compile(r"\.importer-[0-9a-f]{16}\.tmp")
_FLAGS: Final = (
    os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)  # Windows has no O_NOFOLLOW; O_EXCL alone does not follow a link either
_REMEDY: Final = "Make room, check that the folder can be written, or choose another place."


class Placed(NamedTuple):
    """A file in place. aside: why it is not at the path that was asked for, a sentence; else ""."""

    path: Path
    aside: str


class Draft:
    """A file while it is written, beside its place. stream: binary, buffered. path: its temporary name."""

    def __init__(self, path: Path, stream: BinaryIO, mode: int) -> None:
        self.path = path
        self.stream = stream
        self._mode = mode

    def __repr__(self) -> str:
        return f"<Draft {self.path}>"

    def text(self, encoding: str = "utf-8") -> io.TextIOWrapper:
        """The stream for text, line ends as they are given; half surrogates become `?`. Leave it with
        `detach()`."""
        return io.TextIOWrapper(self.stream, encoding=encoding, errors="replace", newline="")

    def close(self) -> None:
        """On the disk, and closed; may be called again."""
        if not self.stream.closed:
            self.stream.flush()
            os.fsync(self.stream.fileno())
            self.stream.close()

    def is_already(self, place: Path) -> bool:
        """Whether the file at `place` is the same, bytes and mode: it may stay, and be open in Excel."""
        self.close()
        if not place.is_file() or not filecmp.cmp(self.path, place, shallow=False):
            return False
        return os.name == "nt" or not stat.S_IMODE(place.stat().st_mode) & ~self._mode

    def put(self, place: Path, *, replace: bool = True) -> None:
        """Gives it its name. Raises FileExistsError for a name that is taken if `replace` is false, OSError
        otherwise."""
        self.close()
        if replace:
            os.replace(self.path, place)  # noqa: PTH105 - a whole file takes the name in one step
        else:
            _take_free_name(self.path, place)
        fsync_folder(place.parent)


@contextmanager
def draft_beside(path: Path, *, source: Path | None = None) -> Iterator[Draft]:
    """A new file beside `path`; nothing of it is left unless it is put in place before the block ends.

    source: the file whose content this will hold: where its mode is stricter than 0600, it is followed.
    Raises FileError when `path` is a link, or for whatever the disk refuses inside the block.
    """
    path = absolute(path)
    refuse_link(path)
    mode = _mode_like(source)
    with plain_errors(path):
        _remove_abandoned(path.parent)
        temporary = path.with_name(f".importer-{secrets.token_hex(8)}.tmp")
        descriptor = os.open(temporary, _FLAGS, mode)
        draft = Draft(temporary, os.fdopen(descriptor, "w+b"), mode)
        try:
            yield draft
        finally:
            with suppress(OSError):  # the disk refused before, and that is what is reported
                draft.stream.close()
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def put_in_place(draft: Draft, path: Path, objection: Callable[[Path], str]) -> Placed:
    """Puts the file at `path`, or at the next free name (`visits.results (2).csv`).

    objection: why an existing file may not be replaced, words that follow its name (`belongs to batch 7`);
    "" if it may be. A file that a program holds open (Excel on Windows does) is passed over too.
    """
    path = absolute(path)
    refuse_link(path)
    aside = ""
    refused: PermissionError | None = None
    for place in _names(path):
        reason = _occupied(place, objection)
        if not reason:
            try:
                if not draft.is_already(place):
                    draft.put(place)
            except PermissionError as error:
                if not os.access(path.parent, os.W_OK):
                    raise
                refused, reason = error, "is open in another program"
            else:
                return Placed(place, f"{aside}, so this was written to {place.name}." if aside else "")
        aside = aside or f"{path.name} {reason}"
    if refused is not None:
        raise refused
    raise FileError(
        f"There are {NAMES_MAX} files of that name already.",
        where=str(path),
        remedy="Move the old ones away, or choose another name.",
    )


def write_new(path: Path, text: str, *, source: Path | None = None) -> None:
    """Writes a text file that does not exist yet, UTF-8. Raises FileExistsError, FileError."""
    path = absolute(path)
    with draft_beside(path, source=source) as draft:
        draft.stream.write(text.encode("utf-8"))
        draft.put(path, replace=False)


def absolute(path: Path) -> Path:
    """The path from the root, links in it not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `resolve()` would follow links


def is_link(path: Path) -> bool:
    """Whether `path` is a symbolic link, dangling or not, or a junction (Windows)."""
    return path.is_symlink() or bool(getattr(os.path, "isjunction", lambda _: False)(path))


def refuse_link(path: Path) -> None:
    """Raises FileError if `path` is a link."""
    if is_link(path):
        raise FileError(
            "This is a link to another file, and writing through it could replace that one.",
            where=str(path),
            remedy="Delete the link, or choose another name.",
        )


def private_folder(folder: Path) -> bool:
    """Creates the folder, and its missing parents, for its owner alone whatever the umask.

    True if an existing one was open to others and was tightened. Raises OSError.
    """
    for missing in reversed([folder, *folder.parents]):
        with suppress(FileExistsError):
            if not missing.exists():
                missing.mkdir(mode=FOLDER_MODE)
    if os.name == "nt" or not stat.S_IMODE(folder.stat().st_mode) & ~FOLDER_MODE:
        return False
    folder.chmod(FOLDER_MODE)
    return True


def fsync_folder(folder: Path) -> None:
    """Makes a rename in `folder` durable, where the OS knows such a thing (Windows does not)."""
    with suppress(OSError, AttributeError):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """What the disk says, as a FileError about `path`; a name that is taken stays a FileExistsError."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise FileError(f"The file cannot be written ({reason}).", where=str(path), remedy=_REMEDY) from error


def _mode_like(source: Path | None) -> int:
    """0600, or what the source allows its owner of that; its owner can read it in any case."""
    try:
        return FILE_MODE if source is None else stat.S_IMODE(source.stat().st_mode) & FILE_MODE | stat.S_IRUSR
    except OSError:
        return FILE_MODE


def _occupied(place: Path, objection: Callable[[Path], str]) -> str:
    """Why a file may not be put at `place`, words that follow its name; "" if it may."""
    if is_link(place):
        return "is a link"
    if place.is_dir():
        return "is a folder"
    return objection(place) if place.exists() else ""


def _names(path: Path) -> Iterator[Path]:
    """`visits.csv`, `visits (2).csv`, `visits (3).csv` …"""
    yield path
    for number in range(2, NAMES_MAX + 1):
        yield path.with_name(f"{path.stem} ({number}){path.suffix}")


def _take_free_name(temporary: Path, place: Path) -> None:
    try:
        os.link(temporary, place)  # the only rename that never replaces
    except FileExistsError:
        raise
    except (OSError, NotImplementedError, AttributeError) as error:  # a file system without hard links
        if os.path.lexists(place):
            raise FileExistsError(str(place)) from error
        os.replace(temporary, place)  # noqa: PTH105 - as above


def _remove_abandoned(folder: Path) -> None:
    """What killed processes left here: it holds customers' data."""
    before = time.time() - ABANDONED_AFTER_S
    for found in folder.glob(".importer-*.tmp"):
        with suppress(OSError):
            known = found.lstat()
            if _TEMPORARY.fullmatch(found.name) and stat.S_ISREG(known.st_mode) and known.st_mtime < before:
                found.unlink()
