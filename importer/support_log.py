"""The log for support: every call's outcome, and what went wrong, in `IMPORTER_HOME/logs/importer.log`.

Modules log to `logging.getLogger(__name__)`; this attaches one rotating file to the `importer` logger. No
keys (whatever is registered with `hide` is blotted out of every line, tracebacks included), and no bodies:
nobody logs them. The file is the owner's alone (mode 0600). A log that cannot be written stops no import.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from importer.atomic_file import FILE_MODE, private_folder

LOGGER: Final = logging.getLogger("importer")
FILE_NAME: Final = "importer.log"
SIZE_MAX_BYTES: Final = 5_000_000
FILES_KEPT: Final = 5
BLOT: Final = "[hidden]"
SECRET_LENGTH_LEAST: Final = 4  # blotting out every `a` would make the log unreadable and the key guessable

WRITE_EVERY_S: Final = 0.1
"""Calls that end faster after each other are written together; what a killed process loses of their lines,
the journal has."""
CALLS: Final = "importer.calls"

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
_SECOND: Final = "%Y-%m-%dT%H:%M:%S"
_LINE: Final = "%(asctime)s.%(msecs)03dZ {pid} %(levelname)s %(name)s %(message)s"
_secrets: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """From now on these texts never reach the log."""
    _secrets.update(secret for secret in secrets if len(secret) >= SECRET_LENGTH_LEAST)


def open_log(home: Path) -> Path:
    """Log to `home/logs/importer.log` from now on; its path. The file is created with the first line."""
    path = home / "logs" / FILE_NAME
    for handler in list(LOGGER.handlers):
        if isinstance(handler, _OwnersFile):
            if Path(handler.baseFilename) == path.absolute():
                return path
            LOGGER.removeHandler(handler)
            handler.close()
    file = _OwnersFile(path)
    file.setFormatter(_Blotting(_LINE.format(pid=os.getpid()), datefmt=_SECOND))
    LOGGER.addHandler(file)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    return path


def log_call(call: str, status: int | None, seconds: float, meaning: str) -> None:
    """One line for a call: what it was, what came back, how long it took. Not by way of a `LogRecord`: there
    may be thousands in a second, and making and formatting those took a twelfth of the time of sending."""
    for handler in LOGGER.handlers:
        if isinstance(handler, _OwnersFile):
            handler.call(call, status, seconds, meaning)


def close_log() -> None:
    """Let go of the file (Windows cannot delete an open one)."""
    for handler in list(LOGGER.handlers):
        if isinstance(handler, _OwnersFile):
            LOGGER.removeHandler(handler)
            handler.close()


class _Blotting(logging.Formatter):
    """One line a record, UTC, secrets blotted out."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        return _blotted(super().format(record))


def _blotted(text: str) -> str:
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, BLOT)
    return text


class _OwnersFile(RotatingFileHandler):
    """A rotating file of mode 0600 in a folder of mode 0700, both made with the first line.

    The size is counted here instead of asking the file system before each line, as the base class does.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=SIZE_MAX_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True)
        self._size_bytes = 0
        self._called = f"Z {os.getpid()} INFO {CALLS}"
        self._second = (-1, "")
        self._gathered: list[str] = []
        self._written_at = 0.0

    def _open(self) -> TextIOWrapper:
        folder = Path(self.baseFilename).parent
        private_folder(folder.parent)
        private_folder(folder)
        descriptor = os.open(self.baseFilename, _FLAGS, FILE_MODE)
        if os.name != "nt":
            os.fchmod(descriptor, FILE_MODE)
        stream = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
        assert isinstance(stream, TextIOWrapper)
        self._size_bytes = os.fstat(descriptor).st_size
        return stream

    def emit(self, record: logging.LogRecord) -> None:
        self._write(self.format(record) + self.terminator, record.created)

    def call(self, call: str, status: int | None, seconds: float, meaning: str) -> None:
        """See `log_call`."""
        at = time.time()
        second = int(at)
        if second != self._second[0]:
            self._second = (second, time.strftime(_SECOND, time.gmtime(second)))
        self._gathered.append(
            f"{self._second[1]}.{int((at - second) * 1000):03d}{self._called}"
            f" {call} {status or '-'} {seconds:.3f} s {meaning}\n"
        )
        if not 0 <= at - self._written_at < WRITE_EVERY_S:
            self.acquire()
            try:
                self._write("", at)
            finally:
                self.release()

    def flush(self) -> None:
        """What has gathered is written too: the base class asks for it at the end."""
        if self._gathered:
            self._write("", time.time())

    def _write(self, line: str, at: float) -> None:
        gathered, self._gathered = self._gathered, []
        try:
            if self.stream is None:
                self.stream = self._open()
            if self._size_bytes >= SIZE_MAX_BYTES:
                self.doRollover()
                self.stream = self._open()
            text = _blotted("".join(gathered)) + line
            self.stream.write(text)
            self.stream.flush()
            self._size_bytes += len(text)
        except OSError:
            return  # full disk, or another process holds the file on Windows: the import goes on
        except ValueError:
            return  # the stream was closed under us at exit
        finally:
            self._written_at = at
