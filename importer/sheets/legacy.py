"""Old and other workbooks (.xls, .xlsb, .ods): pandas and calamine, in a process of their own.

calamine is fast but can abort the whole process, or ask for gigabytes, over one far cell. So a child reads,
within limits of time and memory, and writes the rows as text to an unnamed temporary file; whatever becomes
of the child, this process only reads lines. Number formats do not come through calamine: the warnings of the
sheet say so. Nor do error values and hidden rows, which the child looks up in the file's own records.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final, Literal

import importer
from importer.errors import SheetError
from importer.sheets.rows import Cells, ErrorCell, Row, decode_cells
from importer.sheets.sheet import BLANK_ROWS_MAX, Sheet, SheetOptions

TIME_LIMIT_S: Final = 15.0
READ_BYTES: Final = 1 << 20

LOST: Final = (
    "In a {suffix} file number formats{more} cannot be seen: leading zeros that only a format shows are"
    " missing. To be sure, save the workbook as .xlsx in Excel and read that."
)


class LegacySheet(Sheet):
    """One worksheet of such a file, spooled by a child process; see the module."""

    family: Literal["text", "workbook"] = "workbook"

    def __init__(self, path: Path, how: SheetOptions) -> None:
        """Raises SheetError for a file that is not read within the limits, or if no sheet can be chosen."""
        super().__init__(path, how)
        self._spool: IO[bytes] = tempfile.TemporaryFile(prefix="importer-")  # noqa: SIM115 - `close` does
        try:
            read_in_child(path, how.sheet, self._spool)
            about = self._about()
            self.name = str(about["name"])
            self.sheet_names = tuple(about["visible"])
            self._hidden = frozenset(about["hidden"])
            self._read_header()
            if self._hidden:
                self.hidden_rows = sum(row.number in self._hidden for row in self._all_rows())
            more = "" if about["marks"] else ", hidden rows and error values (#N/A)"
            self.warnings.append(LOST.format(suffix=path.suffix.lower(), more=more))
        except BaseException:
            self.close()
            raise

    def rows(self) -> Iterator[Row]:
        self.check_unchanged()
        for row in self._all_rows():
            if self.how.hidden != "skip" or row.number not in self._hidden:
                yield row

    def _all_rows(self) -> Iterator[Row]:
        width = len(self.header)
        last = self.header_row
        for number, cells in enumerate(self._records(), 1):
            if number <= self.header_row or _is_blank(cells):
                continue
            if number - last > BLANK_ROWS_MAX:
                raise self.far_below(last, f"row {number} holds something")
            last = number
            fitted = (*cells[:width], *("",) * (width - len(cells)))
            yield Row(number, fitted, self._problem(number, cells))

    def _problem(self, number: int, cells: Cells) -> str | None:
        for index in range(len(self.header), len(cells)):
            if cells[index].strip() or isinstance(cells[index], ErrorCell):
                return self.surplus(number, index, cells[index])
        return None

    def close(self) -> None:
        self._spool.close()

    def _lines(self) -> Iterator[bytes]:
        """The spool's lines; each call has a position of its own, so that several may run at a time."""
        position, rest = 0, b""
        while True:
            self._spool.seek(position)
            block = self._spool.read(READ_BYTES)
            if not block:
                return  # the child ends every line
            position += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield from lines

    def _about(self) -> dict[str, Any]:
        first = next(self._lines(), b"{}")
        about: dict[str, Any] = json.loads(first)
        if "what" in about:
            raise SheetError(about["what"], where=about["where"] or self.path.name, remedy=about["remedy"])
        return about

    def _records(self) -> Iterator[Cells]:
        lines = self._lines()
        next(lines)
        for line in lines:
            yield decode_cells(line.decode("utf-8"))

    def _read_header(self) -> None:
        header: Cells = ()
        filled: int | None = None
        for number, cells in enumerate(self._records(), 1):
            if filled is None and any(cell.strip() for cell in cells):
                filled = number
            if number == self.header_row:
                header = cells
            if number >= self.header_row and filled is not None:
                break
        self.adopt_header(header, filled)


def _is_blank(cells: Cells) -> bool:
    return not any(cell.strip() or isinstance(cell, ErrorCell) for cell in cells)


def read_in_child(path: Path, sheet: str | None, spool: IO[bytes]) -> None:
    """Have a child write the sheet to `spool`. Raises SheetError if it dies or takes too long."""
    # Whoever reads a workbook needs no keys.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEADSQUARED_")}
    roots = [str(Path(importer.__file__).parents[1]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(root for root in roots if root)
    environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"
    environment["PYTHONUTF8"] = "1"
    # -P: a pandas.py in the working directory is none of ours
    command = [sys.executable, "-P", "-m", "importer.sheets.legacy_child", str(path.absolute())]
    command += [] if sheet is None else [sheet]
    try:
        ended = subprocess.run(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.DEVNULL,
            stdout=spool,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(path, f"could not be read within {TIME_LIMIT_S:g} seconds") from error
    except (OSError, ValueError) as error:
        raise _refused(path, f"could not be read (its reader did not start: {error})") from error
    if ended.returncode != 0:
        raise _refused(path, "is damaged, or needs more memory than a sheet should")


def _refused(path: Path, what: str) -> SheetError:
    return SheetError(
        f"The workbook {what}.",
        where=path.name,
        remedy="Open it in Excel, save it as .xlsx, and use that file.",
    )
