"""Workbooks other than .xlsx (.xls, .xlsb, .ods), read in a process of their own.

The libraries for these formats can take gigabytes or an hour over a hostile file, or abort the process. So a
child reads, within limits of processor time and memory, and writes the rows as text to an unnamed temporary
file; whatever becomes of the child, this process only reads lines.

The child is called as `python -m importer.sheets.legacy SECONDS FILE [SHEET]`, SECONDS of processor time
being its limit. It writes one JSON object (`name` and `visible` sheets, or an error's `what`, `where`,
`remedy` and the `names` to choose from), then each row that has cells (the head of its `RawRow`, a tab, its
cells), then the names of the merged ranges. Any exit code but 0 means that its output is worthless.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final, Protocol

import importer
from importer.errors import SheetError
from importer.sheets.rows import decode_cells, encode_cells
from importer.sheets.sheet import SheetChoiceError, SheetOptions, Worksheet, choose_sheet
from importer.sheets.workbook import Merges, RawRow, WorkbookSheet

CPU_LIMIT_S: Final = 15
TIME_LIMIT_S: Final = 60.0
"""Wall clock: only for a child that waits, or where the system limits no processor time."""

MEMORY_LIMIT_BYTES: Final = 320 << 20
"""What reading may take beyond what the libraries take: enough for .xls files of any size people make."""
OUTPUT_LIMIT_BYTES: Final = 2 << 30
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
            merges = Merges()
            for line in self._lines():
                if line.startswith(b'"'):
                    merges.add(json.loads(line), self.header_row)
            self.read_header(merges)
            self.hidden_rows = sum(raw.hidden for raw in self.table())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._spool.close()

    def stored_rows(self) -> Iterator[RawRow]:
        lines = self._lines()
        next(lines)
        for line in lines:
            if line.startswith(b"{"):
                raise self._refusal(json.loads(line))
            if line.startswith(b'"'):
                return
            head, _, cells = line.decode("utf-8").partition("\t")
            number, hidden, columns, *more = json.loads(head)
            yield RawRow(number, hidden, dict(zip(columns, decode_cells(cells), strict=True)), *more)

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
        about: dict[str, Any] = json.loads(next(self._lines(), b"{}"))
        if "what" in about:
            raise self._refusal(about)
        return about

    def _refusal(self, about: dict[str, Any]) -> SheetError:
        words = {"where": about["where"] or self.path.name, "remedy": about["remedy"]}
        if about["names"] is None:
            return SheetError(about["what"], **words)
        return SheetChoiceError(about["what"], **words, names=tuple(about["names"]))


def read_in_child(path: Path, sheet: str | None, spool: IO[bytes]) -> None:
    """Have a child write the sheet to `spool`. Raises SheetError if it dies or takes too long."""
    # Reading a workbook takes no keys.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LEADSQUARED_")}
    roots = [str(Path(importer.__file__).parents[1]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(root for root in roots if root)
    environment["OPENBLAS_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = "1"
    environment["PYTHONUTF8"] = "1"
    # -P: a pandas.py in the working directory is not ours. -O: xlrd asserts what some programs do not write.
    start = ["-P", "-O", "-m", "importer.sheets.legacy"]
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
    if sys.platform != "win32" and ended.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        raise _refused(path, f"could not be read within {CPU_LIMIT_S} seconds of processor time")
    if ended.returncode != 0:
        raise _refused(path, "is damaged, or needs more memory than a sheet should")


def _refused(path: Path, what: str) -> SheetError:
    return SheetError(
        f"The workbook {what}.",
        where=path.name,
        remedy="Open it in Excel, save it as .xlsx, and use that file.",
    )


# ---- the child ----------------------------------------------------------------------------------------


class Book(Protocol):
    """A workbook, opened. merges: the merged ranges of the sheet whose rows were read to their end."""

    merges: list[str]

    @property
    def worksheets(self) -> Sequence[Worksheet]:
        """In the order of their tabs."""

    def rows(self, name: str) -> Iterator[RawRow]:
        """The rows of that sheet that have cells, in order."""


def reader_of(path: Path) -> Callable[[Path], Book]:
    """What opens the workbook, by the format that its name says (its contents agree, that was looked at
    before).

    Only the library that is needed is loaded: together they take a second.
    """
    match path.suffix.lower():
        case ".xls":
            from importer.sheets.xls import XlsBook

            return XlsBook
        case ".xlsb":
            from importer.sheets.xlsb import XlsbBook

            return XlsbBook
        case _:
            from importer.sheets.ods import OdsBook

            return OdsBook


def limit_resources(cpu_s: int) -> None:
    """Have the system end this process rather than let it fill the memory, or take for ever.

    Windows limits neither; macOS no memory.
    """
    if sys.platform == "win32":
        return
    import resource

    limits = [
        (resource.RLIMIT_CPU, cpu_s),
        (resource.RLIMIT_FSIZE, OUTPUT_LIMIT_BYTES),
        (resource.RLIMIT_CORE, 0),
    ]
    if sys.platform == "linux":
        pages = Path("/proc/self/statm").read_text("ascii").split()
        data_bytes = int(pages[5]) * resource.getpagesize()
        limits.append((resource.RLIMIT_DATA, data_bytes + MEMORY_LIMIT_BYTES))
    for what, most in limits:
        _, hard = resource.getrlimit(what)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (allowed, allowed))


def write_sheet(book: Book, path: Path, wanted: str | None, write: Callable[[str], None]) -> None:
    """Write one worksheet, line by line. Raises SheetError if there is none to choose."""
    chosen = choose_sheet(path, book.worksheets, wanted)
    visible = [sheet.name for sheet in book.worksheets if sheet.visible]
    write(json.dumps({"name": chosen.name, "visible": visible}))
    for row in book.rows(chosen.name):
        head = [row.number, row.hidden, list(row.cells), *row[3:]]
        write(f"{json.dumps(head)}\t{encode_cells(row.cells.values())}")
    for name in book.merges:
        write(json.dumps(name))


def main(arguments: list[str]) -> int:
    """Read the file (and perhaps sheet) in `arguments` to standard output; the exit code."""
    warnings.simplefilter("ignore")
    cpu_s, path, wanted = int(arguments[0]), Path(arguments[1]), arguments[2] if len(arguments) > 2 else None

    def write(line: str) -> None:
        sys.stdout.buffer.write(line.encode("utf-8") + b"\n")

    try:
        reader = reader_of(path)
        limit_resources(cpu_s)
        write_sheet(reader(path), path, wanted, write)
    except SheetError as error:
        about = {"what": error.what, "where": error.where, "remedy": error.remedy}
        names = error.names if isinstance(error, SheetChoiceError) else None
        write(json.dumps({**about, "names": names}))
    except BaseException:  # noqa: BLE001 - a panic in calamine derives from BaseException
        return 1
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
