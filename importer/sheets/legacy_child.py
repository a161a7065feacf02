"""The process that reads an .xls, .xlsb or .ods workbook.

Called as `python -m importer.sheets.legacy_child SECONDS FILE [SHEET]`, SECONDS of processor time being the
limit.

Standard output: one JSON object (`name` and `visible` sheets, or an error's `what`, `where`, `remedy` and the
`names` to choose from),
then each row that has cells as `encode_row` writes it. Any exit code but 0 means that the output is
worthless.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final, Protocol

from importer.errors import SheetError
from importer.sheets.rows import encode_cells
from importer.sheets.sheet_selection import SheetChoiceError, Worksheet, choose_sheet
from importer.sheets.workbook import RawRow

MEMORY_LIMIT_BYTES: Final = 320 << 20
"""What reading may take beyond what the libraries take: enough for .xls files of any size people make."""

OUTPUT_LIMIT_BYTES: Final = 2 << 30


class Book(Protocol):
    """A workbook, opened."""

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


def encode_row(row: RawRow) -> str:
    """The row as one line."""
    head = [row.number, row.hidden, list(row.cells), row.problem, list(row.formulas), list(row.unseen)]
    return f"{json.dumps(head)}\t{encode_cells(row.cells.values())}"


def write_sheet(book: Book, path: Path, wanted: str | None, out: IO[bytes]) -> None:
    """Write one worksheet out. Raises SheetError if there is none to choose."""
    chosen = choose_sheet(path, book.worksheets, wanted)
    visible = [sheet.name for sheet in book.worksheets if sheet.visible]
    _write_line(out, json.dumps({"name": chosen.name, "visible": visible}))
    for row in book.rows(chosen.name):
        _write_line(out, encode_row(row))


def _write_line(out: IO[bytes], line: str) -> None:
    out.write(line.encode("utf-8") + b"\n")


def main(arguments: list[str]) -> int:
    """Read the file (and perhaps sheet) in `arguments` to standard output; the exit code."""
    warnings.simplefilter("ignore")
    cpu_s, path, wanted = int(arguments[0]), Path(arguments[1]), arguments[2] if len(arguments) > 2 else None
    out = sys.stdout.buffer
    try:
        reader = reader_of(path)
        limit_resources(cpu_s)
        write_sheet(reader(path), path, wanted, out)
    except SheetError as error:
        about = {"what": error.what, "where": error.where, "remedy": error.remedy}
        names = error.names if isinstance(error, SheetChoiceError) else None
        _write_line(out, json.dumps({**about, "names": names}))
    except BaseException:  # noqa: BLE001 - a panic in calamine derives from BaseException
        return 1
    out.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
