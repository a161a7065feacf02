"""Files that are written beside a results file: `<stem>.verified.csv`, `<stem>.report.html`.

Like the results file itself: whole or not at all, and never over what belongs to somebody else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from importer.errors import ResultsError
from importer.journal.file import fsync_folder

PLACES_MAX: Final = 99


class Placed(NamedTuple):
    """A file in place. aside: why it is not where one would look for it, a sentence; else ""."""

    path: Path
    aside: str


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
) -> Placed:
    """Writes a text file of `batch` at `path`; if something else stands there, at the next free name.

    batch_in: the batch that an existing file belongs to, None if it is none of ours. Raises ResultsError
    when the disk refuses; then nothing is left behind.
    """
    temporary = path.with_name(f".importer-{batch}{path.suffix}.tmp")
    try:
        with temporary.open("w", encoding=encoding, errors="replace", newline="") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        return _put_in_place(temporary, path, batch, batch_in)
    except OSError as error:
        raise ResultsError(
            f"The file cannot be written ({error.strerror or error}).",
            where=str(path),
            remedy="Make room, or see that the folder can be written; then try again.",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _put_in_place(temporary: Path, path: Path, batch: str, batch_in: Callable[[Path], str | None]) -> Placed:
    aside = ""
    for number in range(1, PLACES_MAX + 1):
        place = path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")
        if place.exists() and (not place.is_file() or batch_in(place) != batch):
            aside = aside or f"{path.name} is not of this batch"
            continue
        try:
            os.replace(temporary, place)  # noqa: PTH105 - a whole file takes the name in one step
        except PermissionError:  # Excel holds it open, on Windows
            if not os.access(path.parent, os.W_OK):
                raise
            aside = aside or f"{path.name} is open in another program"
            continue
        fsync_folder(place.parent)
        return Placed(place, f"{aside}, so this was written to {place.name}." if aside else "")
    raise ResultsError(
        f"There are {PLACES_MAX} files of that name already.",
        where=str(path),
        remedy="Move the old ones away.",
    )
