"""How a command ended: its own exit code, or what its exception means for a person and for the exit code."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from importer.app.questions import DeclinedError
from importer.cli.console import CommandEnd, Console
from importer.errors import ImporterError
from importer.home import home_folder
from importer.support_log import open_log

EXIT_USAGE: Final = 2
EXIT_STOPPED: Final = 3
EXIT_INTERRUPTED: Final = 130

_DISK_FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_GROUP_DEPTH_MOST: Final = 10


def ending_of(console: Console, work: Callable[[], int]) -> CommandEnd:
    """Runs `work`."""
    try:
        return CommandEnd(work())
    except KeyboardInterrupt as error:
        return _explain(console, error)
    except BaseExceptionGroup as group:
        return _explain(console, _first(group))
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it is, a person gets a sentence
        return _explain(console, error)


def _explain(console: Console, error: BaseException) -> CommandEnd:
    if isinstance(error, ImporterError):
        chosen = isinstance(error, DeclinedError)
        return CommandEnd(error.exit_code, str(error), error.command, error.error_code, chosen)
    if isinstance(error, KeyboardInterrupt):
        return CommandEnd(EXIT_INTERRUPTED, "Interrupted.", error_code="interrupted")
    code = EXIT_STOPPED if console.sending else EXIT_USAGE
    then = (
        " The batch is intact: continue with `importer resume`." if console.sending else " Nothing was sent."
    )
    log = _keep_traceback(error)
    if isinstance(error, OSError):
        return CommandEnd(code, _system_trouble(error) + then, error_code="disk")
    if isinstance(error, MemoryError):
        text = f"This computer has not enough free memory for that.{then} Close other programs and try again."
        return CommandEnd(code, text, error_code="unexpected")
    send = f" Please send {log} to your support contact." if log else ""
    return CommandEnd(
        code, f"Unexpected error ({type(error).__name__}).{then}{send}", error_code="unexpected"
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error in a group of tasks' errors that says most: one of ours, else the first."""
    ours = group.subgroup(ImporterError)
    error: BaseException = ours if ours is not None else group
    for _ in range(_GROUP_DEPTH_MOST):
        if not isinstance(error, BaseExceptionGroup):
            break
        error = error.exceptions[0]
    return error


def _system_trouble(error: OSError) -> str:
    """What the operating system refused, as a sentence."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in _DISK_FULL:
        return f"{where}The disk is full. Make room on it and try again."
    if isinstance(error, PermissionError):
        return f"{where}You may not read or write that. Close it in other programs, or choose another place."
    if isinstance(error, FileNotFoundError):
        return f"{where}There is no such file or folder."
    return f"{where}{error.strerror or error}."


def _keep_traceback(error: BaseException) -> Path | None:
    """Put the traceback into the log; where that is, or None when even that failed."""
    try:
        log = open_log(home_folder())
        logging.getLogger("importer.cli").error("unexpected", exc_info=error)
    except (OSError, ImporterError):
        return None
    return log
