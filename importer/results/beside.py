"""Files that are written beside a results file: `<stem>.verified.csv`, `<stem>.report.html`.

Like the results file itself: whole or not at all, and never over what belongs to somebody else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from importer.atomic_file import Placed, draft_beside, put_in_place


def beside(results: Path, ending: str) -> Path:
    """`visits.results.csv` and `.verified.csv` give `visits.verified.csv`, in the same folder."""
    return results.with_name(results.stem.replace(".results", "", 1) + ending)


def write_whole(
    path: Path,
    write: Callable[[TextIO], None],
    *,
    batch: str,
    batch_in: Callable[[Path], str | None],
    encoding: str = "utf-8",
    source: Path | None = None,
) -> Placed:
    """Writes a text file of `batch` at `path`; if another batch's is there, at the next free name.

    batch_in: the batch that an existing file belongs to, None if it is not one of ours. source: the sheet,
    for the file's mode. Raises FileError when the disk refuses; then nothing is left behind.
    """
    with draft_beside(path, source=source) as draft:
        text = draft.text(encoding)
        write(text)
        text.detach()
        return put_in_place(
            draft, path, lambda found: "" if batch_in(found) == batch else "is not of this batch"
        )
