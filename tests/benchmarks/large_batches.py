"""A million rows: checked, staged, written out, looked up and resumed; and what starting up takes.

    python tests/benchmarks/large_batches.py [--part 10] [csv xlsx staging results late help]

`--part 10`: a tenth of the rows. Sheets and batches are made once, in a folder of the system's temporary one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script: the tests' own modules
from benchmarks import measuring
from benchmarks.measuring import WORK, Measured, csv_sheet, folder, importer, measure, table, tenant

if TYPE_CHECKING:
    from importer.store.ownership import Ownership

MILLION: Final = 1_000_000
HEADER: Final = ("what", "rows", "rows/s", "peak MB", "CPU s", "target")
LEFT: Final = 10
"""Rows that are still pending in the batch that is resumed."""
STARTED: Final = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
Lines = Iterator[tuple[str, ...]]


def line(what: str, rows: int, found: Measured, target: str) -> tuple[str, ...]:
    """One line of the table."""
    rate = f"{rows / found.wall_s:,.0f}"
    return what, f"{rows:,}", rate, f"{found.peak_mb:.0f}", f"{found.cpu_s:.1f}", target


def inside(work: Path, *arguments: str | Path) -> Measured:
    """A part of this file in a process of its own, measured."""
    command = [sys.executable, Path(__file__), "--inside", *arguments]
    return measure(command, cwd=work, environment={"IMPORTER_HOME": str(WORK / "home")}).expect(0)


# ---- reading ------------------------------------------------------------------------------------------


def check_csv(rows: int) -> Lines:
    """`importer check` of a CSV file."""
    sheet = csv_sheet(WORK / f"visits-{rows}x6.csv", rows)
    with folder() as work:
        found = measure(importer("check", sheet, "-m", work / "visits.yaml", "--json"), cwd=work).expect(0)
    yield line("check, CSV × 6 columns", rows, found, "≥ 40,000 rows/s, ≤ 150 MB")


def check_xlsx(rows: int) -> Lines:
    """`importer check` of workbooks, each beside openpyxl's own iteration over its cells."""
    for kind in ("as programs write it", "as Excel does"):
        sheet = WORK / f"visits-{rows}x8-{kind.replace(' ', '-')}.xlsx"
        with folder() as work:
            if not sheet.exists():
                inside(work, "make-xlsx", sheet, str(rows), kind).expect(0)
            plain = inside(work, "iterate-xlsx", sheet)
            asked = importer("check", sheet, "-m", work / "visits.yaml", "--json")
            found = measure(asked, cwd=work).expect(0)
        yield line(f"openpyxl alone, XLSX × 8 columns, {kind}", rows, plain, "")
        yield line("check of the same", rows, found, "≤ 1.5 × openpyxl's time, ≤ 350 MB")
        ratio = f"wall {found.wall_s / plain.wall_s:.2f} ×, CPU {found.cpu_s / plain.cpu_s:.2f} ×"
        yield "  ratio", "", ratio, "", "", "≤ 1.5 ×"


def make_xlsx(sheet: Path, rows: int, kind: str) -> None:
    """Amounts are numbers, everything else is text, in its cell; or as Excel does: texts are kept once and
    referred to, dates are numbers that are shown as dates."""
    import xlsxwriter

    excel = kind == "as Excel does"
    made = sheet.with_name(f"{sheet.name}.part.xlsx")
    book = xlsxwriter.Workbook(made, {"constant_memory": not excel})
    page = book.add_worksheet("Visits")
    shown = book.add_format({"num_format": "dd/mm/yyyy hh:mm"})
    page.write_row(0, 0, measuring.HEADER)
    for number, cells in enumerate(measuring.rows(rows, 8), 1):
        for column, cell in enumerate(cells):
            if column == 4:
                page.write_number(number, column, float(cell))
            elif column == 2 and excel:
                visited = datetime.strptime(cell, "%d/%m/%Y %H:%M").replace(tzinfo=UTC)
                page.write_datetime(number, column, visited.replace(tzinfo=None), shown)
            else:
                page.write_string(number, column, cell)
    book.close()
    made.replace(sheet)


def iterate_xlsx(sheet: Path) -> None:
    """What reading costs in any case."""
    from openpyxl import load_workbook

    book = load_workbook(sheet, read_only=True, data_only=True)
    seen = 0
    for cells in book.worksheets[0].iter_rows():
        for cell in cells:
            seen += cell.value is not None
    print(seen)


# ---- store and results ------------------------------------------------------------------------------


def staging(rows: int) -> Lines:
    """From the sheet to a batch that nobody sees yet: read, mapped, written."""
    sheet = csv_sheet(WORK / f"visits-{rows}x6.csv", rows)
    with folder() as work:
        found = inside(work, "stage", sheet, work / "visits.yaml", "text", work / "home")
    yield line("staging", rows, found, "≥ 15,000 rows/s, ≤ 200 MB")
    yield "  publishing it", "", f"{float(found.said):.1f} s", "", "", ""


def results(rows: int, wide: int) -> Lines:
    """From the store to a results file."""
    for count, columns, family, ending, target in (
        (rows, 6, "text", "csv", "≥ 60,000 rows/s, ≤ 250 MB"),
        (wide, 7, "workbook", "xlsx", "≥ 8,000 rows/s, ≤ 250 MB"),
    ):
        with folder() as work:
            sheet = csv_sheet(WORK / f"visits-{count}x{columns}.csv", count, columns)
            inside(work, "stage", sheet, work / "visits.yaml", family, work / "home")
            found = inside(work, "write", work / "home", work / f"out.{ending}")
        yield line(f"results, {ending.upper()} × {columns + 8} columns", count, found, target)


def stage(
    sheet: Path, mapping: Path, family: Literal["text", "workbook"], home: Path, tenant_id: str
) -> Ownership:
    """As `run` does it; prints how long publishing took. The batch is owned by the caller."""
    from importer.app.staging import new_batch_id, stage_rows
    from importer.checking.survey import Survey
    from importer.mapping.mapping import load_mapping
    from importer.sheets import SheetOptions, open_sheet
    from importer.store.records import Batch, iso
    from importer.store.store import open_store

    plan, store = load_mapping(mapping), open_store(home)
    batch_id, at = new_batch_id(STARTED, rehearsal=False), iso(STARTED.timestamp())
    with store.stage(batch_id) as staged, open_sheet(sheet, SheetOptions()) as opened:
        mapper = plan.bind(opened.header)
        survey = Survey(mapper)
        digests = stage_rows(staged, opened.rows(), mapper, survey, at=at, advance=lambda _: None)
        batch = Batch(
            id=batch_id, created_at=at, tenant=tenant_id, host="", organisation="Sandbox", user="Asha Rao",
            rehearsal=False, source=str(sheet), family=family, sheet=None, header=opened.header, header_row=1,
            delimiter=",", encoding="utf-8", hidden=None, mapping=plan.record(), content=digests.content,
            source_cells=digests.source_cells, rows=survey.rows,
            results=str(home.parent / "visits.results.csv"),
        )  # fmt: skip
        began = time.perf_counter()
        owned = store.publish(staged, batch)
    print(time.perf_counter() - began)
    return owned


def write(home: Path, target: Path) -> None:
    """The results file of the batch in a home."""
    from importer.app.observer import SILENT
    from importer.app.results_file import write_results_file
    from importer.store.store import open_store

    with open_store(home) as store:
        (summary,) = store.batches()
        with store.own(summary.batch.id) as owned:
            write_results_file(owned.rows, owned.keep_facts, SILENT, target)


# ---- a batch that is nearly done ----------------------------------------------------------------------


def late(rows: int) -> Lines:
    """`status` and `resume` of a batch with few rows left, its results file untouched."""
    with folder() as work, tenant(rate="none", penalty_s=0, latency_s=0, jitter_s=0) as served:
        sheet = csv_sheet(WORK / f"visits-{rows}x6.csv", rows)
        home = work / "home"
        environment = {**served.environment, "IMPORTER_HOME": str(home), "LEADSQUARED_RATE": "1000/1"}
        host = served.url.removeprefix("http://")
        found = inside(work, "nearly-done", sheet, work / "visits.yaml", home, f"{host}/sandbox")
        batch, file = found.said.split()[-1], work / "visits.results.csv"
        for named, what in ((batch, "its id"), (str(file), "its results file"), ("", "nothing: all batches")):
            asked = importer("status", *([named] if named else []), "--json")
            found = measure(asked, cwd=work, environment=environment).expect(0)
            yield _seconds(f"status by {what}, {LEFT} of {rows:,} rows left", found.wall_s, found, "≤ 2 s")
        began = time.time()
        found = measure(importer("resume", file, "--yes", "--json"), cwd=work, environment=environment)
        found.expect(0)
        first = min(call["at"] for call in served.creates) - began
        if found.json["created"] != rows:
            raise RuntimeError(f"resume left {found.json}")
        yield _seconds("resume, until its first POST", first, found, "≤ 2 s")
        yield _seconds("resume, whole (the results file is written again)", found.wall_s, found, "")


def _seconds(what: str, seconds: float, found: Measured, target: str) -> tuple[str, ...]:
    return what, "", f"{seconds:.2f} s", f"{found.peak_mb:.0f}", f"{found.cpu_s:.1f}", target


def nearly_done(sheet: Path, mapping: Path, home: Path, tenant_id: str) -> None:
    """The state that a run leaves which was stopped with a few rows to go; prints the batch's id."""
    from sqlalchemy import text

    from importer.app.observer import SILENT
    from importer.app.results_file import write_results_file
    from importer.store.records import RowStatus, iso

    with stage(sheet, mapping, "text", home, tenant_id) as owned:
        last = owned.rows.batch().rows - LEFT
        with owned.transaction(patient=True) as connection:
            connection.execute(
                text(
                    "INSERT INTO attempt (id, batch, position, marked_at, stored_at, clock_difference,"
                    " ended_at, http_status, outcome, code, detail)"
                    " SELECT position, batch, position, :at, :at, 0.0, :at, 200, 'created', '', ''"
                    " FROM sheet_row WHERE position <= :last"
                ),
                {"at": STARTED.timestamp(), "last": last},
            )
        created = (
            row._replace(
                status=RowStatus.CREATED, activity_id=str(uuid.uuid4()), attempts=1,
                changed_at=iso(STARTED.timestamp()),
            )
            for row in owned.rows.rows()
            if row.position <= last
        )  # fmt: skip
        with owned.change() as change:
            change.change_rows(created)
        write_results_file(owned.rows, owned.keep_facts, SILENT)
        print(owned.rows.batch().id)


# ---- starting -----------------------------------------------------------------------------------------


def starting(times: int = 11) -> Lines:
    """`--help` beside a bare interpreter, by turns; the medians."""
    with folder() as work:
        bare: list[float] = []
        helped: list[float] = []
        for _ in range(times):
            bare.append(measure([sys.executable, "-c", "pass"], cwd=work).wall_s)
            found = measure(importer("--help"), cwd=work).expect(0)
            helped.append(found.wall_s)
    more = statistics.median(helped) - statistics.median(bare)
    yield _seconds("--help, beyond a bare interpreter", more, found, "≤ 0.2 s")


# ---- the command --------------------------------------------------------------------------------------


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="A million rows, and starting up.")
    parser.add_argument("--part", type=int, default=1, help="so many times fewer rows")
    parts = ("csv", "xlsx", "staging", "results", "late", "help")
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="some of them only")
    options = parser.parse_args()
    rows, half = MILLION // options.part, MILLION // 2 // options.part
    measurements: dict[str, Callable[[], Lines]] = {
        "csv": lambda: check_csv(rows),
        "xlsx": lambda: check_xlsx(half),
        "staging": lambda: staging(rows),
        "results": lambda: results(rows, half),
        "late": lambda: late(rows),
        "help": starting,
    }
    WORK.mkdir(exist_ok=True)
    print(f"{measuring.machine()}\n")
    lines: list[tuple[str, ...]] = []
    for part in options.parts or parts:
        for found in measurements[part]():
            lines.append(found)
            print("  ".join(found), file=sys.stderr, flush=True)
    print(table(HEADER, lines))


def run_inside(what: str, *arguments: str) -> None:
    """A part of a measurement, in a process of its own."""
    paths = [Path(argument) for argument in arguments]
    match what:
        case "make-xlsx":
            make_xlsx(paths[0], int(arguments[1]), arguments[2])
        case "iterate-xlsx":
            iterate_xlsx(paths[0])
        case "stage":
            family: Literal["text", "workbook"] = "workbook" if arguments[2] == "workbook" else "text"
            stage(paths[0], paths[1], family, paths[3], "nobody").close()
        case "write":
            write(paths[0], paths[1])
        case "nearly-done":
            nearly_done(paths[0], paths[1], paths[2], arguments[3])
        case _:
            raise SystemExit(f"there is no part {what}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        run_inside(*sys.argv[2:])
    else:
        main()
