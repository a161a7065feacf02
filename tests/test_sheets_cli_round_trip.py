"""Results files that went through Excel: `resume` finds what a person changed, and nothing else."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import openpyxl
import pytest
from conftest import Importer, RunningTenant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sheets import written_workbook
from sheets.excel import HABITS, Habits, Records, resave, shown
from sheets.sending import Sender, Sent, delimited, table_of

from importer.results.respelling import is_respelling

VALUES = (
    "sent at once",
    "sent at once, too",
    "00123",
    "12345678901234567890",
    "1e5",
    "1.10",
    "2026-07-31",
    "TRUE",
    "see row 7",
    "NA",
    "“smart” €",
    "Łódź 日本",
    "a line\nand another",
    "0.30000000000000004",
    "+49 30 123",
    "-5",
)
FIRST = 2
QUICK = ("--rate", "100/0.1")


@pytest.fixture
def send(importer: Importer, tenant: RunningTenant, tmp_path: Path) -> Sender:
    """Sends sheets to the tenant."""
    return Sender(importer, tenant, tmp_path)


def begun(send: Sender, folder: Path, values: tuple[str, ...] = VALUES, delimiter: str = ",") -> Sent:
    """The first two rows were sent, the others are pending."""
    source = folder / "visits.csv"
    source.write_bytes(delimited(table_of(values), delimiter).encode())
    sent = send(source, "--limit", str(FIRST), *QUICK)
    assert (sent.exit, sent.arrived) == (3, list(values[:FIRST]))
    return sent


def column(records: Records, name: str) -> int:
    """The place of a column."""
    return records[0].index(name)


def shuffle(records: Records) -> None:
    """Sorts the lines some other way."""
    lines = records[1:]
    random.Random(7).shuffle(lines)
    records[1:] = lines


def delete_created(records: Records) -> None:
    """People delete what is done."""
    status = column(records, "import_status")
    records[1:] = [line for line in records[1:] if line[status] != "created"]


@pytest.mark.parametrize("name", HABITS)
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_results_file_that_excel_saved_again_changes_nothing(
    send: Sender, tmp_path: Path, name: str, delimiter: str
) -> None:
    """Leading zeros, long numbers, exponents, dates, characters: all of it is taken as it was."""
    results = begun(send, tmp_path, delimiter=delimiter).results
    resave(results, HABITS[name])

    sent = send.resume(results, *QUICK)

    assert "Changed:" not in sent.result.stderr
    assert (sent.exit, sent.arrived) == (0, list(VALUES))


def test_lines_may_be_sorted_and_created_ones_deleted(send: Sender, tmp_path: Path) -> None:
    """Rows are found by `import_row`."""
    results = begun(send, tmp_path).results
    resave(results, HABITS["German, CSV"], shuffle, delete_created)

    sent = send.resume(results, *QUICK)

    assert "Changed:" not in sent.result.stderr
    assert (sent.exit, sent.arrived) == (0, list(VALUES))


@pytest.mark.parametrize("name", HABITS)
def test_exactly_the_real_edits_are_found(send: Sender, tmp_path: Path, name: str) -> None:
    """Two cells were changed by hand among everything that Excel respelt."""
    results = begun(send, tmp_path).results

    def edit(records: Records) -> None:
        value = column(records, "Value")
        records[VALUES.index("NA") + 1][value] = "not any more"
        records[VALUES.index("00123") + 1][value] = "124"

    resave(results, HABITS[name], edit, shuffle)
    expected = ["not any more" if value == "NA" else "124" if value == "00123" else value for value in VALUES]

    sent = send.resume(results, *QUICK)

    changed = [line for line in sent.result.stderr.splitlines() if line.startswith("Changed:")]
    assert changed == [
        "Changed: row 4, Value: '00123' → '124'",
        "Changed: row 11, Value: 'NA' → 'not any more'",
    ]
    assert (sent.exit, sent.arrived) == (0, expected)


def test_a_row_marked_skipped_is_not_sent(send: Sender, tmp_path: Path) -> None:
    """The word in `import_status` survives Excel, too."""
    results = begun(send, tmp_path).results

    def skip(records: Records) -> None:
        records[VALUES.index("NA") + 1][column(records, "import_status")] = "Skipped"

    resave(results, HABITS["German, CSV"], skip)

    sent = send.resume(results, *QUICK)

    assert (sent.exit, sent.result.json["skipped"]) == (0, 1)
    assert sent.arrived == [value for value in VALUES if value != "NA"]


@pytest.mark.parametrize("fault", ["missing", "doubled", "no number"])
def test_lines_that_cannot_be_told_apart_stop_before_anything_is_sent(
    send: Sender, tmp_path: Path, fault: str
) -> None:
    """A pending row that is gone, or there twice, or without its number."""
    results = begun(send, tmp_path).results

    def damage(records: Records) -> None:
        line = records[5]
        if fault == "missing":
            records.remove(line)
        elif fault == "doubled":
            records.append(list(line))
        else:
            line[column(records, "import_row")] = ""

    resave(results, Habits(), damage)

    sent = send.resume(results, *QUICK)

    assert (sent.exit, sent.arrived) == (2, list(VALUES[:FIRST]))


WORKBOOK_VALUES: tuple[object, ...] = ("a", "b", "00123", "=1+1", "1e5", "TRUE", 0.1 + 0.2, 5, True, 1e-7)
WORKBOOK_SEEN = ["a", "b", "00123", "=1+1", "1e5", "TRUE", "0.3", "5", "TRUE", "0.0000001"]


def test_a_workbook_that_was_sorted_filtered_and_saved_changes_nothing(send: Sender, tmp_path: Path) -> None:
    """Texts stay texts and numbers numbers; rows that a filter hides are rows all the same."""
    table: list[list[object]] = [list(line) for line in table_of([""] * len(WORKBOOK_VALUES))]
    for line, value in zip(table[1:], WORKBOOK_VALUES, strict=True):
        line[2] = value
    source = written_workbook(tmp_path / "visits.xlsx", table)
    results = send(source, "--limit", "2", *QUICK).results
    book = openpyxl.load_workbook(results)
    tab = book.worksheets[0]
    lines = [[cell.value for cell in row] for row in tab.iter_rows(min_row=2)]
    types = [[cell.data_type for cell in row] for row in tab.iter_rows(min_row=2)]
    for at, (values, kinds) in enumerate(zip(reversed(lines), reversed(types), strict=True), 2):
        for column_at, (value, kind) in enumerate(zip(values, kinds, strict=True), 1):
            cell = tab.cell(at, column_at)
            cell.value, cell.data_type = value, kind  # openpyxl would make a formula of `=1+1`
    for hidden in (3, 5, 6):
        tab.row_dimensions[hidden].hidden = True
    book.save(results)

    sent = send.resume(results, *QUICK)

    assert "Changed:" not in sent.result.stderr
    assert (sent.exit, sent.arrived) == (0, WORKBOOK_SEEN)


CELLS = st.one_of(
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=15),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9).map(str),
    st.dates().map(str),
    st.sampled_from(VALUES),
)


@settings(max_examples=400, deadline=None)
@given(cell=CELLS, name=st.sampled_from(sorted(HABITS)))
def test_whatever_excel_makes_of_a_cell_is_a_respelling(cell: str, name: str) -> None:
    """The same without files: more cells than could be sent."""
    habits = HABITS[name]
    after = shown(cell, habits).encode(habits.encoding, "replace").decode(habits.encoding)

    assert is_respelling(cell, after)


@settings(
    max_examples=4,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    values=st.lists(CELLS, min_size=FIRST, max_size=8),
    name=st.sampled_from(sorted(HABITS)),
    delimiter=st.sampled_from(",;\t|"),
)
def test_any_table_comes_through_excel_and_resume_unchanged(
    send: Sender, tmp_path: Path, values: list[str], name: str, delimiter: str
) -> None:
    """Whatever the cells hold, and whatever Excel makes of them."""
    source = Path(tempfile.mkdtemp(dir=tmp_path)) / "any.csv"  # no results file of another example beside it
    source.write_bytes(delimited(table_of(values), delimiter).encode())
    results = send(source, "--limit", str(FIRST), "--again", *QUICK).results
    resave(results, HABITS[name])

    sent = send.resume(results, *QUICK)

    assert "Changed:" not in sent.result.stderr
    assert (sent.exit, sent.arrived[: len(values)]) == (0, values)
