"""What a results file tells of a journal's rows, read with little work for each: there may be a million."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from importer.journal.file import told_plainly
from importer.journal.journal import CHUNK_ROWS, Journal, RowStatus

Told = tuple[int, str, str, str, str, int, str, str]
"""Number, status as people read it, Id, error code, error, attempts, time of the last change, cells (see
`JournalRow`); "" where there is none."""

_SHOWN: Final = tuple(status.shown for status in RowStatus)
_ASKED: Final = (
    "SELECT position, number, status, coalesce(activity_id, ''), error_code, error, attempts, changed_at,"
    " cells FROM row WHERE position > ? ORDER BY position LIMIT ?"
)


def told_rows(journal: Journal) -> Iterator[Told]:
    """Every row in source order, streamed. Raises JournalError."""
    after = 0
    while True:
        with told_plainly(journal.path):
            chunk = journal.connection.execute(_ASKED, (after, CHUNK_ROWS)).fetchall()
        for _, number, status, *rest in chunk:
            yield number, _SHOWN[status], *rest
        if len(chunk) < CHUNK_ROWS:
            return
        after = chunk[-1][0]
