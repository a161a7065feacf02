"""The folder of the importer's own files (the store, logs, the sandbox's memory), and the log in it.

Light on purpose: commands that need no keys need only this. The folder is on a local disk by default
(sheets live on network drives and synchronised folders, a SQLite file must not), and its owner's alone:
it holds customer data. Modules log to `logging.getLogger(__name__)`: every call's outcome, no bodies, no keys
(what is registered with `hide` is blotted out of every line). A log that cannot be written stops
no import.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from importer.atomic_file import FILE_MODE, absolute, private_folder
from importer.errors import SettingsError

VARIABLE: Final = "IMPORTER_HOME"


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything lies under `root`, an absolute path. Nothing is created before `prepare`."""

    root: Path

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def sandbox(self) -> Path:
        """What the embedded sandbox created."""
        return self.root / "sandbox"

    @property
    def uploads(self) -> Path:
        """Sheets that were brought on the screen, a folder for each import."""
        return self.root / "uploads"

    def prepare(self) -> list[str]:
        """Create the folders, readable by their owner only. What a person should know: each folder that was
        open to others, and was tightened. Raises SettingsError if that is impossible."""
        notices = []
        for folder in (self.root, self.logs, self.sandbox):
            try:
                tightened = private_folder(folder)
            except OSError as error:
                raise SettingsError(
                    f"The folder cannot be created, or kept from other users ({error.strerror or error}).",
                    where=str(folder),
                    remedy=f"Free the name or the disk, or set {VARIABLE} to a folder of your own.",
                ) from error
            if tightened:
                notices.append(f"{folder} could be read by other users of this computer; it is now private.")
        if not os.access(self.root, os.W_OK | os.X_OK):
            raise SettingsError(
                "The folder cannot be written.",
                where=str(self.root),
                remedy=f"Set {VARIABLE} to a folder that you may write.",
            )
        return notices


def home() -> Home:
    """The home in force: `IMPORTER_HOME`, else the user's data folder. Touches nothing. Raises SettingsError
    when `~` in IMPORTER_HOME names nobody."""
    named = os.environ.get(VARIABLE, "").strip()
    if not named:
        import platformdirs

        return Home(Path(platformdirs.user_data_dir("importer", appauthor=False)))
    try:
        return Home(absolute(Path(named).expanduser()))
    except (RuntimeError, ValueError) as error:
        raise SettingsError(
            f"{named!r} is not a folder.", where=VARIABLE, remedy="Set it to a folder that you may write."
        ) from error


LOGGER: Final = logging.getLogger("importer")
CALLS: Final = logging.getLogger("importer.calls")
LOG_NAME: Final = "importer.log"
LOG_BYTES_MAX: Final = 5_000_000
LOGS_KEPT: Final = 5
BLOT: Final = "[hidden]"
SECRET_LENGTH_LEAST: Final = 4  # blotting out every `a` would make the log unreadable and the key guessable

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
_LINE: Final = "%(asctime)s.%(msecs)03dZ {pid} %(levelname)s %(name)s %(message)s"
_secrets: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """From now on these texts never reach the log."""
    _secrets.update(secret for secret in secrets if len(secret) >= SECRET_LENGTH_LEAST)


def open_log(home: Path) -> Path:
    """Log to `home/logs/importer.log` from now on; its path. The file is created with the first line."""
    path = home / "logs" / LOG_NAME
    for handler in list(LOGGER.handlers):
        if isinstance(handler, _OwnersFile) and Path(handler.baseFilename) == path.absolute():
            return path
    close_log()
    file = _OwnersFile(path)
    file.setFormatter(_Blotting(_LINE.format(pid=os.getpid()), datefmt="%Y-%m-%dT%H:%M:%S"))
    LOGGER.addHandler(file)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    return path


def log_call(call: str, status: int | None, seconds: float, meaning: str) -> None:
    """One line for a call: what it was, what came back, how long it took."""
    CALLS.info("%s %s %.3f s %s", call, status or "-", seconds, meaning)


def close_log() -> None:
    """Let go of the file (Windows cannot delete an open one)."""
    for handler in list(LOGGER.handlers):
        if isinstance(handler, _OwnersFile):
            LOGGER.removeHandler(handler)
            handler.close()


class _Blotting(logging.Formatter):
    """UTC, secrets blotted out."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in _secrets:
            text = text.replace(secret, BLOT)
        return text


class _OwnersFile(RotatingFileHandler):
    """A rotating file of mode 0600 in a folder of mode 0700, both made with the first line. A full disk, or
    another process that holds the file on Windows, is passed over in silence: the import goes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=LOG_BYTES_MAX, backupCount=LOGS_KEPT, encoding="utf-8", delay=True)

    def _open(self) -> TextIOWrapper:
        folder = Path(self.baseFilename).parent
        private_folder(folder.parent)
        private_folder(folder)
        descriptor = os.open(self.baseFilename, _FLAGS, FILE_MODE)
        if os.name != "nt":
            os.fchmod(descriptor, FILE_MODE)
        return TextIOWrapper(os.fdopen(descriptor, "ab"), encoding="utf-8", errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        """Nothing: the base class would print a traceback."""
