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

LOGGER: Final = logging.getLogger("importer")
FILE_NAME: Final = "importer.log"
SIZE_MAX_BYTES: Final = 5_000_000
FILES_KEPT: Final = 5
BLOT: Final = "[hidden]"
SECRET_LENGTH_LEAST: Final = 4  # blotting out every `a` would make the log unreadable and the key guessable

FLUSH_EVERY_S: Final = 0.1
"""Lines that follow each other faster are written together; what a killed process loses of them, the journal
has."""

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
    file.setFormatter(_Blotting(_LINE.format(pid=os.getpid()), datefmt="%Y-%m-%dT%H:%M:%S"))
    LOGGER.addHandler(file)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    return path


def close_log() -> None:
    """Let go of the file (Windows cannot delete an open one)."""
    for handler in list(LOGGER.handlers):
        if isinstance(handler, _OwnersFile):
            LOGGER.removeHandler(handler)
            handler.close()


class _Blotting(logging.Formatter):
    """One line a record, UTC, secrets blotted out."""

    converter = staticmethod(time.gmtime)
    _second = (-1, "")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - the base's
        """As the base class; thousands of lines a second share it."""
        second = int(record.created)
        if second != self._second[0]:
            self._second = (second, super().formatTime(record, datefmt))
        return self._second[1]

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in _secrets:
            if secret in text:
                text = text.replace(secret, BLOT)
        return text


class _OwnersFile(RotatingFileHandler):
    """A rotating file of mode 0600 in a folder of mode 0700, both made with the first line.

    The size is counted here instead of asking the file system before each line, as the base class does:
    an unthrottled run writes thousands of lines a second.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, maxBytes=SIZE_MAX_BYTES, backupCount=FILES_KEPT, encoding="utf-8", delay=True)
        self._size_bytes = 0
        self._flushed_at = 0.0

    def _open(self) -> TextIOWrapper:
        folder = Path(self.baseFilename).parent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        stream = os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace")
        assert isinstance(stream, TextIOWrapper)
        self._size_bytes = os.fstat(descriptor).st_size
        return stream

    def shouldRollover(self, record: logging.LogRecord) -> bool:  # noqa: N802 - the base class's name
        if self.stream is None:
            self.stream = self._open()
        return self._size_bytes >= SIZE_MAX_BYTES

    def emit(self, record: logging.LogRecord) -> None:
        # As the base class, but the line is formatted once.
        try:
            if self.shouldRollover(record):
                self.doRollover()
            line = self.format(record) + self.terminator
            if self.stream is None:
                self.stream = self._open()
            self.stream.write(line)
            self._size_bytes += len(line)
            if record.levelno > logging.INFO or not 0 <= record.created - self._flushed_at < FLUSH_EVERY_S:
                self.stream.flush()
                self._flushed_at = record.created
        except OSError:
            return  # full disk, or another process holds the file on Windows: the import goes on
        except ValueError:
            return  # the stream was closed under us at exit
