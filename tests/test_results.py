"""The results file as it is written: whole, exact, and never over somebody else's."""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from openpyxl import load_workbook

from importer.errors import FileError, ResultsError
from importer.results.results_reader import COLUMNS, batch_id_in, our_cells
from importer.results.results_writer import Written, digest_of, results_path, write_results
from importer.results.workbook import FORMATS_MAX
from importer.sheets.rows import BooleanCell, DateCell, DurationCell, ErrorCell, NumberCell, encode_cells
from importer.store.records import RowStatus, StoredRow

BATCH = "b20260731-053350-abcdef"
TIME = "2026-07-31T05:33:50.123Z"


def line(number: int = 2, *cells: str, status: str = "pending", error: str = "") -> StoredRow:
    known = RowStatus[status.upper()]
    return StoredRow(number, encode_cells(cells), None, None, known, error=error, changed_at=TIME)


def write(path: Path, *lines: StoredRow, header: tuple[str, ...] = ("Name",), batch: str = BATCH) -> Written:
    return write_results(path, lines, batch=batch, header=header, rows=len(lines))


def leftovers(folder: Path) -> list[str]:
    return [found.name for found in folder.iterdir() if found.name.startswith(".")]


AWKWARD = [
    "00123",
    "=1+1",
    "-abc",
    "@x",
    "TRUE",
    "1e5",
    "“smart” €",
    "a\r\nb",
    ' "quoted" ',
    "a;b,c\td",
    "😀",
    "<r>x</r>",
    "<r><t>x</t></r>",
    "_x000D_",
    "a\x01b",
    "A & B < C > D",
    " spaces ",
    "\ufffe\uffff",
]


def test_csv_has_mark_crlf_and_the_sources_delimiter(tmp_path: Path) -> None:
    """Excel opens it as what it is, with the delimiter that this person's Excel expects."""
    line_written = line(17, "a;b", "x", status="created")._replace(activity_id="id-1", attempts=1)
    path = tmp_path / "visits.results.csv"
    write_results(path, [line_written], batch=BATCH, header=("A", "B"), rows=1, delimiter=";")
    expected = (
        "\ufeff" + ";".join([*COLUMNS, "A", "B"]) + f'\r\n17;created;id-1;;;1;{TIME};{BATCH};"a;b";x\r\n'
    )
    assert path.read_bytes().decode("utf-8") == expected


def test_csv_cells_are_as_they_were(tmp_path: Path) -> None:
    """Formulas, spaces, line breaks and quotes: nothing is altered."""
    path = write(tmp_path / "r.csv", *(line(n, cell) for n, cell in enumerate(AWKWARD, 2))).path
    text = path.read_bytes().decode("utf-8-sig")
    found = [record[len(COLUMNS)] for record in csv.reader(io.StringIO(text, newline=""))]
    assert found == ["Name", *AWKWARD]


def test_workbook_texts_are_texts_and_as_they_were(tmp_path: Path) -> None:
    """`=1+1` is no formula, `<r>` no markup, a control character no damage."""
    from openpyxl.utils.escape import unescape

    path = write(tmp_path / "r.xlsx", *(line(n, cell) for n, cell in enumerate(AWKWARD, 2))).path
    cells = [row[len(COLUMNS)] for row in load_workbook(path)["Results"].iter_rows(min_row=2)]
    assert [unescape(str(cell.value)) for cell in cells] == AWKWARD
    assert {cell.data_type for cell in cells} == {"s"}


def test_workbook_cells_keep_their_types_and_formats(tmp_path: Path) -> None:
    """Numbers, dates, times, durations and booleans are what they were, so Excel changes nothing."""
    cells = (
        NumberCell("00123", 123.0, "00000"),
        NumberCell("0.25", 0.25, "0%"),
        DateCell("2026-07-31", dt.date(2026, 7, 31), "mm-dd-yy"),
        DateCell("2026-07-31 05:33:50", dt.datetime(2026, 7, 31, 5, 33, 50)),  # noqa: DTZ001
        DateCell("05:33:00", dt.time(5, 33), "h:mm"),
        DurationCell("25:30:00", 91800.0),
        BooleanCell("TRUE"),
        ErrorCell("#N/A", "an error"),
        DateCell("1815-06-18", dt.date(1815, 6, 18)),
    )
    path = write(tmp_path / "r.xlsx", line(2, *cells), header=tuple("ABCDEFGHI")).path
    found = load_workbook(path)["Results"][2][len(COLUMNS) :]
    assert [(cell.value, cell.number_format) for cell in found] == [
        (123, "00000"),
        (0.25, "0%"),
        (dt.datetime(2026, 7, 31), "mm-dd-yy"),  # noqa: DTZ001
        (dt.datetime(2026, 7, 31, 5, 33, 50), "yyyy-mm-dd hh:mm:ss"),  # noqa: DTZ001
        (dt.time(5, 33), "h:mm"),
        (dt.timedelta(hours=25, minutes=30), "[h]:mm:ss"),
        (True, "General"),
        ("#N/A", "General"),
        ("1815-06-18", "General"),
    ]


def test_more_number_formats_than_excel_bears_fall_back_to_plain_ones(tmp_path: Path) -> None:
    """The value counts; a date stays a date."""
    day = dt.date(2026, 7, 31)
    cells = [DateCell("2026-07-31", day, f'yyyy-mm-dd" {n}"') for n in range(FORMATS_MAX + 50)]
    path = write(tmp_path / "r.xlsx", *(line(n, cell) for n, cell in enumerate(cells, 2))).path
    last = load_workbook(path)["Results"].cell(len(cells) + 1, len(COLUMNS) + 1)
    assert (last.value, last.number_format) == (dt.datetime(2026, 7, 31), "yyyy-mm-dd")  # noqa: DTZ001


def test_workbook_numbers_of_ours_are_numbers(tmp_path: Path) -> None:
    """So that a person can sort and filter by them."""
    path = write(tmp_path / "r.xlsx", line(17, "x")).path
    row = [cell.value for cell in load_workbook(path)["Results"][2]]
    assert row == [17, "pending", None, None, None, 0, TIME, BATCH, "x"]


@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_a_cell_of_half_a_surrogate_is_written_all_the_same(tmp_path: Path, name: str) -> None:
    """No encoding can hold it; it becomes a question mark instead of the end of the run."""
    path = write(tmp_path / name, line(2, "a\ud800b")).path
    assert batch_id_in(path) == BATCH


def test_a_text_that_excel_would_cut_is_refused_with_its_cell(tmp_path: Path) -> None:
    """32,767 characters are a cell's limit; xlsxwriter would cut without a word."""
    with pytest.raises(ResultsError, match=r"cell I3: .* 32,767 .* --results NAME\.csv"):
        write(tmp_path / "r.xlsx", line(2, "short"), line(3, "x" * 32_768))
    assert list(tmp_path.iterdir()) == []


def test_more_rows_than_a_worksheet_holds_are_refused_at_once(tmp_path: Path) -> None:
    """Before the first of them is written."""
    with pytest.raises(ResultsError, match="1,048,576 rows"):
        write_results(tmp_path / "r.xlsx", iter(()), batch=BATCH, header=(), rows=1_048_576)
    assert list(tmp_path.iterdir()) == []


def test_more_columns_than_a_worksheet_holds_are_refused(tmp_path: Path) -> None:
    """16,384 with ours."""
    with pytest.raises(ResultsError, match="16,385 columns"):
        write(tmp_path / "r.xlsx", header=tuple(map(str, range(16_377))))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_counts_that_do_not_add_up_end_loudly_and_leave_the_old_file(tmp_path: Path, name: str) -> None:
    """A row that got lost on the way is a bug that nobody may overlook."""
    path = write(tmp_path / name, line(2, "x")).path
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="1 results for 2 rows"):
        write_results(path, [line(2, "x")], batch=BATCH, header=("A",), rows=2)
    assert (path.read_bytes(), leftovers(tmp_path)) == (before, [])


@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path, name: str) -> None:
    """The journal may fail to give the next row."""

    def broken() -> Iterator[StoredRow]:
        yield line(2, "x")
        raise KeyError("the journal broke")

    path = write(tmp_path / name, line(2, "old")).path
    before = path.read_bytes()
    with pytest.raises(KeyError):
        write_results(path, broken(), batch=BATCH, header=("A",), rows=2)
    assert (path.read_bytes(), leftovers(tmp_path)) == (before, [])


@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_a_disk_that_takes_no_more_is_reported_plainly_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    """The system refuses every byte beyond the process's limit, as a full disk does."""
    resource = pytest.importorskip("resource", reason="Windows has no limit for the size of a file")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    rows = [line(n, "".join(chr(65 + n * k % 53) for k in range(1000))) for n in range(2, 800)]
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(FileError, match="cannot be written"):
            write(tmp_path / name, *rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_our_own_earlier_file_is_replaced(tmp_path: Path, name: str) -> None:
    """Every way out writes it again."""
    write(tmp_path / name, line(2, "old"))
    written = write(tmp_path / name, line(2, "new"), line(3, "newer"))
    assert (written.path.name, written.aside) == (name, "")
    assert [found.name for found in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_another_batchs_results_are_never_overwritten(tmp_path: Path, name: str) -> None:
    """They are the only place where that batch's person reads what happened."""
    write(tmp_path / name, line(2, "theirs"), batch="b20260730-000000-00ffee")
    before = (tmp_path / name).read_bytes()
    aside = name.replace("r.", "r (2).")
    written = write(tmp_path / name, line(2, "ours"))
    assert written.path.name == aside
    assert (
        written.aside == f"{name} belongs to batch b20260730-000000-00ffee, so this was written to {aside}."
    )
    assert (tmp_path / name).read_bytes() == before
    assert write(written.path, line(2, "again")).path.name == aside


def test_a_replaced_batchs_results_are_overwritten(tmp_path: Path) -> None:
    """A batch that never sent a call is no batch, nor is an earlier rehearsal."""
    write(tmp_path / "r.csv", line(2, "theirs"), batch="b20260730-000000-00ffee")
    written = write_results(
        tmp_path / "r.csv",
        [line(2, "x")],
        batch=BATCH,
        header=("A",),
        rows=1,
        replaces=["b20260730-000000-00ffee"],
    )
    assert written.path.name == "r.csv"


@pytest.mark.parametrize("content", [b"", b"my,own,file\r\n", b"\x00\xff", b"PK\x03\x04 not a zip"])
@pytest.mark.parametrize("name", ["r.csv", "r.xlsx"])
def test_a_file_that_is_no_results_file_is_never_overwritten(
    tmp_path: Path, name: str, content: bytes
) -> None:
    """A name that looks like ours proves nothing."""
    (tmp_path / name).write_bytes(content)
    written = write(tmp_path / name, line(2, "x"))
    assert (tmp_path / name).read_bytes() == content
    assert written.aside.startswith(f"{name} is not a results file")


def test_a_file_held_open_by_excel_sends_the_results_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows refuses to replace it; the next name takes them, and it is said."""
    path = write(tmp_path / "r.csv", line(2, "old")).path
    replace = os.replace

    def windows(source: Path, target: Path) -> None:
        if target == path:
            raise PermissionError(13, "Access is denied", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", windows)
    written = write(path, line(2, "new"))
    assert written.path.name == "r (2).csv"
    assert written.aside == "r.csv is open in another program, so this was written to r (2).csv."
    assert leftovers(tmp_path) == []


def test_a_folder_that_takes_no_files_is_told_plainly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no name can be replaced at all, trying a hundred of them would not help."""

    def refuse(source: Path, target: Path) -> None:
        raise PermissionError(13, "Access is denied", str(target))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(FileError, match="Access is denied"):
        write(tmp_path / "r.csv", line(2, "x"))
    assert list(tmp_path.iterdir()) == []


def test_the_digest_is_that_of_the_file_in_place(tmp_path: Path) -> None:
    """A file with this digest need not be compared."""
    written = write(tmp_path / "r.xlsx", line(2, "x"))
    assert written.digest == digest_of(written.path)


def test_progress_is_told_every_thousand_rows_and_at_the_end(tmp_path: Path) -> None:
    """A million rows take a while."""
    told: list[int] = []
    rows = [line(n, "x") for n in range(2, 2502)]
    write_results(tmp_path / "r.csv", rows, batch=BATCH, header=("A",), rows=len(rows), progress=told.append)
    assert told == [1000, 2000, 2500]


def test_an_error_is_one_line_of_bounded_length() -> None:
    """Servers answer with whole pages."""
    *_, shown, _, _, _ = our_cells(line(error="first\r\n  second\0\x1b[31m"), BATCH)
    *_, long, _, _, _ = our_cells(line(error="x" * 5000), BATCH)

    assert (shown, len(str(long))) == ("first second [31m", 2000)


@pytest.mark.parametrize(
    ("source", "family", "rehearsal", "expected"),
    [
        ("visits.csv", "text", False, "visits.results.csv"),
        ("visits.2026.txt", "text", False, "visits.2026.results.csv"),
        ("visits.xlsx", "workbook", False, "visits.results.xlsx"),
        ("visits.ods", "workbook", False, "visits.results.xlsx"),
        ("visits.csv", "text", True, "visits.sandbox.results.csv"),
        ("visits.xls", "workbook", True, "visits.sandbox.results.xlsx"),
    ],
)
def test_results_lie_beside_the_source(source: str, family: str, rehearsal: bool, expected: str) -> None:
    """Named after it; a rehearsal's by a name of its own."""
    assert results_path(Path("data") / source, family, rehearsal=rehearsal) == Path("data") / expected


def test_an_explicit_path_may_be_a_file_or_a_folder(tmp_path: Path) -> None:
    """`--results` decides the format by its ending."""
    source = tmp_path / "visits.csv"
    named = results_path(source, "text", rehearsal=False, explicit=tmp_path / "out.xlsx")
    within = results_path(source, "text", rehearsal=False, explicit=tmp_path)
    assert (named, within) == (tmp_path / "out.xlsx", tmp_path / "visits.results.csv")


@pytest.mark.parametrize(
    ("explicit", "message"),
    [
        ("out.pdf", "not a format"),
        ("out", "no ending"),
        ("none/out.csv", "does not exist"),
        ("visits.csv", "the sheet itself"),
    ],
)
def test_a_path_that_cannot_be_results_is_refused(tmp_path: Path, explicit: str, message: str) -> None:
    """Before anything is sent."""
    source = tmp_path / "visits.csv"
    source.write_text("A\n1\n")
    with pytest.raises(ResultsError, match=message):
        results_path(source, "text", rehearsal=False, explicit=tmp_path / explicit)
