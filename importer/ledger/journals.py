"""What the ledger reads of a journal, also while another process writes it. Nothing is changed here."""

from __future__ import annotations

import enum
import json
import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from importer.activity import fingerprint
from importer.errors import ResultsError
from importer.journal.file import APPLICATION_ID
from importer.journal.journal import Journal, RowStatus

CHUNK_ROWS: Final = 2_000
# A file that was changed so recently may change once more without a later time (clocks of file systems are
# coarse): it is looked at again.
SETTLED_S: Final = 2.0


class State(enum.IntEnum):
    """What a row means to other batches."""

    OUT = 0  # invalid or skipped: not known here, only its place is kept
    HELD = 1  # its batch may still create it, or cannot tell whether it did
    REFUSED = 2  # failed, and certainly not created: stands in nobody's way
    CREATED = 3


class KnownRow(NamedTuple):
    """A row as the ledger keeps it. `fingerprint` None: there is nothing to be sent."""

    position: int
    fingerprint: bytes | None
    state: State
    activity_id: str | None


class UnreadableJournalError(ResultsError):
    """The file is damaged, half written, of a newer version, or no journal."""


@contextmanager
def told_unreadable(path: Path) -> Iterator[None]:
    """What goes wrong in reading a journal as UnreadableJournalError."""
    try:
        yield
    except (sqlite3.Error, ValueError, KeyError, OSError) as error:
        raise UnreadableJournalError(
            f"The journal of a batch cannot be read: {error}.",
            where=str(path),
            remedy="What it has sent cannot be told. Restore it from a backup, or move it away."
            " Nothing was sent.",
        ) from error


def state_of(status: RowStatus, *, doubted: bool) -> State:
    """A failed row that was ever in doubt is held: its own batch looks again before it sends it once more,
    which another batch could not do."""
    match status:
        case RowStatus.CREATED:
            return State.CREATED
        case RowStatus.INVALID | RowStatus.SKIPPED:
            return State.OUT
        case RowStatus.FAILED:
            return State.HELD if doubted else State.REFUSED
        case _:
            return State.HELD


# Looked up for each of a million rows.
_STATES: Final = {
    (int(status), doubted): state_of(status, doubted=bool(doubted))
    for status in RowStatus
    for doubted in (0, 1)
}


@contextmanager
def reading(path: Path) -> Iterator[Journal]:
    """A journal as it stands at this moment, read only. Raises UnreadableJournalError."""
    with told_unreadable(path):
        address = f"{path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=10)
    with closing(connection):
        with told_unreadable(path):
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            if application != APPLICATION_ID:
                raise sqlite3.DatabaseError("it is not one of ours")
            connection.execute("BEGIN")
            journal = Journal(path, connection)
            journal.batch()
        yield journal


_KNOWN: Final = "SELECT position, activity, status, doubted, activity_id FROM row"
_AT: Final = " position IN (SELECT value FROM json_each(?))"


def _known(journal: Journal, query: str, *values: str) -> Iterator[KnownRow]:
    with told_unreadable(journal.path):
        for position, activity, status, doubted, activity_id in journal.connection.execute(query, values):
            state = _STATES[status, doubted]
            mark = None if state is State.OUT or activity is None else fingerprint(activity)
            yield KnownRow(position, mark, state, activity_id if state is State.CREATED else None)


def all_rows(journal: Journal) -> Iterator[KnownRow]:
    """Every row, streamed in the source's order."""
    return _known(journal, f"{_KNOWN} ORDER BY position")


def rows_at(journal: Journal, positions: Collection[int]) -> list[KnownRow]:
    """The rows at these positions."""
    return list(_known(journal, f"{_KNOWN} WHERE{_AT}", json.dumps(list(positions))))


def to_be_sent(journal: Journal, positions: Collection[int] | None) -> Iterator[tuple[int, bytes]]:
    """(position, fingerprint) of the pending rows; of those at `positions` only, if any are given."""
    pending = f"{_KNOWN} WHERE status = 0"
    rows = (
        _known(journal, pending)
        if positions is None
        else _known(journal, f"{pending} AND{_AT}", json.dumps(list(positions)))
    )
    return ((row.position, row.fingerprint) for row in rows if row.fingerprint is not None)


def claimed_ids(journal: Journal) -> Iterator[tuple[str]]:
    """The Ids of all its rows that are created, one by one."""
    with told_unreadable(journal.path):
        yield from journal.connection.execute("SELECT activity_id FROM row WHERE status = 4")


def never_sent(journal: Journal) -> bool:
    """No Create call of this batch was ever marked, here or on the computer that it was taken over from."""
    with told_unreadable(journal.path):
        (sent,) = journal.connection.execute(
            "SELECT EXISTS (SELECT 1 FROM attempt) OR EXISTS (SELECT 1 FROM row WHERE status IN (1, 2, 3))"
            " OR EXISTS (SELECT 1 FROM row WHERE attempts > 0 OR doubted)"
        ).fetchone()
    return not sent


def claimed_in(journal: Journal, activity_ids: Iterable[str]) -> set[str]:
    """Those of the Ids that a row holds, lower case: GUIDs come back in either."""
    with told_unreadable(journal.path):
        return {found.lower() for found in journal.claimed(activity_ids)}


def signature(path: Path) -> str:
    """Stands for a journal's content: while it is the same, nothing was written. "" is never the same."""
    now = time.time()
    parts = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            found = file.stat()
        except FileNotFoundError:
            parts.append("-")
            continue
        if now - found.st_mtime < SETTLED_S:
            return ""
        parts.append(f"{found.st_ino}.{found.st_size}.{found.st_mtime_ns}")
    return "/".join(parts)
