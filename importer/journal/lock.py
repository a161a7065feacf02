"""One process owns a batch at a time. The lock dies with its process, on every OS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.errors import ResultsError

if TYPE_CHECKING:
    from filelock import BaseFileLock

LOCK_SUFFIX: Final = ".lock"


def lock_path(journal: Path) -> Path:
    """Where the lock of a batch lies: beside its journal."""
    return journal.with_suffix(LOCK_SUFFIX)


def batch_lock(journal: Path) -> BaseFileLock:
    """Takes the batch, without waiting; to be released by `release()` or a `with`.

    Who took the lock still has to see that the journal is there: it may have been removed a moment before.
    Raises ResultsError when another process owns the batch, or the lock cannot be made.
    """
    from filelock import FileLock, Timeout

    try:
        journal.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_path(journal), timeout=0, mode=0o600, thread_local=False)
        lock.acquire()
    except Timeout:
        raise ResultsError(
            "The batch is in use by another window.",
            where=journal.stem,
            remedy="Wait until it has ended there, or stop it there with Ctrl-C. Nothing was sent from here.",
        ) from None
    except (OSError, NotImplementedError, RuntimeError) as error:
        raise ResultsError(
            f"The batch could not be locked against other windows: {error}.",
            where=str(lock_path(journal)),
            remedy="See that the folder can be written and lies on a local disk. Nothing was sent.",
        ) from error
    return lock


def is_free(journal: Path) -> bool:
    """Nobody owns the batch at this moment."""
    if not lock_path(journal).exists():
        return True
    try:
        batch_lock(journal).release()
    except ResultsError:
        return False
    return True
