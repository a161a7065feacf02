"""A sheet of visits and its mapping, as small as a test needs; and the results file as a person reads it."""

from __future__ import annotations

import csv
import io
import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from pathlib import Path

from openpyxl import Workbook, load_workbook

from importer.store.store import open_store

HEADER = ("Account", "Outcome", "Remarks", "Visit no")
MAPPING = """\
name: Visit
RelatedCompanyId: Account
ActivityEvent: 10001
ActivityNote: Remarks
Fields:
  mx_Custom_1: {column: Outcome, one_of: [Won, Lost, Open], required: true}
"""
OURS = (
    "import_row",
    "import_status",
    "import_activity_id",
    "import_error_code",
    "import_error",
    "import_attempts",
    "import_time",
    "import_batch",
)
COUNTS = ("created", "failed", "invalid", "uncertain", "pending", "skipped")
RUN_KEYS = {
    "batch", "rows", *COUNTS, "throttled", "seconds", "results", "store", "already", "questions", "notices",
    "exit",
}  # fmt: skip


def account(number: int) -> str:
    """An account of its own for each number."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"account {number}"))


def visit(number: int, outcome: str = "Won", *, remarks: str = "") -> tuple[str, ...]:
    """The cells of one row; its visit number has leading zeros, and is not mapped."""
    return (account(number), outcome, remarks or f"Visit {number}", f"{number:05}")


def visits(count: int, first: int = 1) -> list[tuple[str, ...]]:
    return [visit(number) for number in range(first, first + count)]


def write_mapping(path: Path, text: str = MAPPING) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write_csv(
    path: Path, rows: Iterable[Sequence[str]], *, header: Sequence[str] = HEADER, delimiter: str = ","
) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([header, *rows])
    return path


def write_xlsx(path: Path, rows: Iterable[Sequence[object]], *, hidden: Iterable[int] = ()) -> Path:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in [HEADER, *rows]:
        sheet.append(list(row))
    for number in hidden:
        sheet.row_dimensions[number].hidden = True
    book.save(path)
    return path


def results_of(path: str | Path) -> list[dict[str, str]]:
    """The lines of a results file, CSV or XLSX, by heading."""
    path = Path(path)
    if path.suffix == ".xlsx":
        book = load_workbook(path)
        assert book.active is not None
        table = [["" if cell is None else str(cell) for cell in row] for row in book.active.values]
        book.close()
    else:
        table = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
    header, *lines = table
    return [dict(zip(header, line, strict=True)) for line in lines]


def statuses(path: str | Path) -> list[str]:
    return [line["import_status"] for line in results_of(path)]


def edit(path: str | Path, changes: dict[int, dict[str, str]], *, without: Iterable[int] = ()) -> None:
    """Changes cells of a CSV results file by row number, as a person does, and saves it again."""
    path = Path(path)
    lines = [line for line in results_of(path) if int(line["import_row"]) not in set(without)]
    for line in lines:
        line.update(changes.get(int(line["import_row"]), {}))
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, lines[0].keys())
        writer.writeheader()
        writer.writerows(lines)


def batches_in(home: Path) -> list[str]:
    """The ids of the batches that the store has."""
    with open_store(home, create=False) as store:
        return sorted(one.batch.id for one in store.batches())


def forget_everything(home: Path) -> None:
    """As if the store were another computer's."""
    for file in home.glob("importer.db*"):
        file.unlink()


def left_behind(home: Path) -> list[str]:
    """What a refused command must not leave: batches in the store, published or staged, and anything of ours
    beside the sheet. (The log, an empty store and the empty folders may stay.)"""
    kept = []
    if (home / "importer.db").exists():
        # A store whose creation failed has no table, and nothing in it.
        with closing(sqlite3.connect(home / "importer.db")) as store, suppress(sqlite3.OperationalError):
            kept = [str(row) for row in store.execute("SELECT id FROM batch")]
    names = [file for file in Path.cwd().rglob("*") if ".results" in file.name or ".tmp" in file.name]
    return kept + [str(file) for file in names]
