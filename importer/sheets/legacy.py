"""Workbooks other than .xlsx (.xls, .xlsb, .ods), read in a process of their own.

The libraries for these formats can take gigabytes or an hour over a hostile file, or abort the process. So a
child reads, within limits of processor time and memory, and writes the rows as text to an unnamed temporary
file; whatever becomes of the child, this process only reads lines.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

import importer
from importer.errors import SheetError
from importer.sheets.rows import decode_cells
from importer.sheets.sheet import SheetOptions
from importer.sheets.sheet_selection import SheetChoiceError
from importer.sheets.workbook import RawRow, WorkbookSheet

CPU_LIMIT_S: Final = 15
TIME_LIMIT_S: Final = 60.0
"""Wall clock: only for a child that waits, or where the system limits no processor time."""

READ_BYTES: Final = 1 << 20


class LegacySheet(WorkbookSheet):
    """One worksheet of such a file, spooled by a child process; see the module."""

    def __init__(self, path: Path, how: SheetOptions) -> None:
        """Raises SheetError for a file that is not read within the limits, or if no sheet can be chosen."""
        super().__init__(path, how)
        self._spool: IO[bytes] = tempfile.TemporaryFile(prefix="importer-")  # noqa: SIM115 - `close` does
        try:
            read_in_child(path, how.sheet, self._spool)
            about = self._about()
            self.name = str(about["name"])
            self.sheet_names = tuple(about["visible"])
            self.read_header()
            self.hidden_rows = sum(raw.hidden for raw in self.table())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._spool.close()

    def raw_rows(self) -> Iterator[RawRow]:
        lines = self._lines()
        next(lines)
        for line in lines:
            if line.startswith(b"{"):
                raise self._refusal(json.loads(line))
            yield decode_row(line.decode("utf-8"))

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
            raise self._refusal(about)
        return about

    def _refusal(self, about: dict[str, Any]) -> SheetError:
        words = {"where": about["where"] or self.path.name, "remedy": about["remedy"]}
        if about["names"] is None:
            return SheetError(about["what"], **words)
        return SheetChoiceError(about["what"], **words, names=tuple(about["names"]))


def decode_row(line: str) -> RawRow:
    """The row that `legacy_child.encode_row` wrote."""
    head, _, cells = line.partition("\t")
    number, hidden, columns, problem, formulas, unseen = json.loads(head)
    return RawRow(
        number, hidden, dict(zip(columns, decode_cells(cells), strict=True)), problem, formulas, unseen
    )


def read_in_child(path: Path, sheet: str | None, spool: IO[bytes]) -> None:
    """Have a child write the sheet to `spool`. Raises SheetError if it dies or takes too long."""
    # Reading a workbook takes no keys.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEADSQUARED_")}
    roots = [str(Path(importer.__file__).parents[1]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(root for root in roots if root)
    environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"
    environment["PYTHONUTF8"] = "1"
    # -P: a pandas.py in the working directory is not ours. -O: xlrd asserts what some programs do not write.
    start = ["-P", "-O", "-m", "importer.sheets.legacy_child"]
    if getattr(sys, "frozen", False):  # the stand-alone program starts itself (`importer/__main__.py`)
        start = ["--read-legacy-sheet"]
    command = [sys.executable, *start, str(CPU_LIMIT_S), str(path.absolute())]
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
    if (
        ended.returncode in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0))
        and ended.returncode
    ):
        raise _refused(path, f"could not be read within {CPU_LIMIT_S} seconds of processor time")
    if ended.returncode != 0:
        raise _refused(path, "is damaged, or needs more memory than a sheet should")


def _refused(path: Path, what: str) -> SheetError:
    return SheetError(
        f"The workbook {what}.",
        where=path.name,
        remedy="Open it in Excel, save it as .xlsx, and use that file.",
    )
