"""What a person said in a results file, whatever programs it went through on the way."""

from __future__ import annotations

import csv
import datetime as dt
import io
import random
import re
import tempfile
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from importer.errors import ResultsError
from importer.results.edits import (
    CellChange,
    Edits,
    NewerLine,
    RowEdit,
    StatusEdit,
    StatusWord,
    Stored,
    edits,
)
from importer.results.respelling import is_respelling
from importer.results.results_reader import COLUMNS, batch_id_in, is_results_header, read_results
from importer.results.results_writer import write_results
from importer.sheets.rows import (
    BooleanCell,
    DateCell,
    DurationCell,
    ErrorCell,
    NumberCell,
    decode_cells,
    encode_cells,
)
from importer.store.records import RowStatus, StoredRow

BATCH = "b20260731-053350-abcdef"
TIME = "2026-07-31T05:33:50.123Z"
HEADER = ("Code", "Outcome")
GUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"

Records = list[list[str]]


def row(number: int, *cells: str, status: str = "pending", **known: str) -> StoredRow:
    return StoredRow(
        number,
        encode_cells(cells or ("00123", "Won")),
        None,
        None,
        RowStatus[status.upper()],
        error_code=known.get("error_code", ""),
        error=known.get("error", ""),
        activity_id=known.get("activity_id"),
        attempts=1 if status in {"created", "uncertain", "failed"} else 0,
        changed_at=TIME,
    )


def written(
    folder: Path, rows: Sequence[StoredRow], header: tuple[str, ...] = HEADER, name: str = "r.csv"
) -> Path:
    return write_results(folder / name, rows, batch=BATCH, header=header, rows=len(rows)).path


def stored(rows: Sequence[StoredRow]) -> Stored:
    return lambda numbers: [each for each in rows if numbers is None or each.number in numbers]


def found(path: Path, rows: Sequence[StoredRow], header: tuple[str, ...] = HEADER) -> Edits:
    with read_results(path) as file:
        return edits(file, header, stored(rows), len(rows))


def resave(
    path: Path, change: Callable[[Records], object], *, encoding: str = "utf-8-sig", delimiter: str = ","
) -> None:
    """Opens the CSV, changes its records (header first), and saves it in some program's way."""
    text = path.read_bytes().decode("utf-8-sig")
    records = list(csv.reader(io.StringIO(text, newline="")))
    change(records)
    with path.open("w", encoding=encoding, errors="replace", newline="") as stream:
        csv.writer(stream, delimiter=delimiter, lineterminator="\r\n").writerows(records)


def put(line: int, column: str, value: str) -> Callable[[Records], None]:
    """Types `value` into a cell of the line numbered as in the file (the header is 1)."""

    def change(records: Records) -> None:
        records[line - 1][records[0].index(column)] = value

    return change


def after(tmp_path: Path, rows: Sequence[StoredRow], *changes: Callable[[Records], object]) -> Edits:
    path = written(tmp_path, rows)
    for change in changes:
        resave(path, change)
    return found(path, rows)


NOTHING = Edits()


def said_nothing(what: Edits) -> bool:
    found = (what.rows, what.words, what.corrections, what.newer, what.notes)
    return not any((*found, what.ignored.total, what.older))


# ---- cells ----------------------------------------------------------------------------------------


def test_a_changed_cell_is_found_and_shown_as_it_was_and_is(tmp_path: Path) -> None:
    """`row 17, Outcome: 'Wno' → 'Won'`."""
    rows = [row(17, "00123", "Wno", status="invalid"), row(18)]
    what = after(tmp_path, rows, put(2, "Outcome", "Won"))
    assert what.rows == [RowEdit(17, ("00123", "Won"), (CellChange("Outcome", 1, "Wno", "Won"),))]
    assert what.rows[0].described() == ["row 17, Outcome: 'Wno' → 'Won'"]


def test_respellings_beside_an_edit_are_undone(tmp_path: Path) -> None:
    """The person mended one cell; Excel took the zeros of the other."""
    rows = [row(17, "00123", "Wno", status="failed")]
    what = after(tmp_path, rows, put(2, "Outcome", "Won"), put(2, "Code", "123"))
    assert [edit.cells for edit in what.rows] == [("00123", "Won")]
    assert (what.respelt.total, what.respelt.first) == (1, ["row 17, Code: '00123' → '123'"])


def test_changed_cells_of_a_created_row_are_corrections(tmp_path: Path) -> None:
    """The row stays as it was sent until `importer correct` sends them."""
    rows = [row(17, "1", "Won", status="created", activity_id=GUID)]
    what = after(tmp_path, rows, put(2, "Outcome", "Lost"))
    assert (what.rows, what.ignored.total) == ([], 0)
    assert [line for edit in what.corrections for line in edit.described()] == [
        "row 17, Outcome: 'Won' → 'Lost'"
    ]


def test_a_cell_is_never_reported_as_kept_and_as_changed(tmp_path: Path) -> None:
    """A respelling that a person may have meant is shown once, as that."""
    what = after(tmp_path, [row(17, "2026-07-31", "x", status="invalid")], put(2, "Code", "31/07/2026"))
    assert (what.respelt.total, [edit.changes for edit in what.rows]) == (0, [()])
    assert what.rows[0].typed is not None
    assert what.rows[0].typed.described() == ["row 17, Code: '2026-07-31' → '31/07/2026'"]


def test_an_emptied_cell_is_an_edit(tmp_path: Path) -> None:
    """The person took the value away."""
    what = after(tmp_path, [row(17)], put(2, "Outcome", ""))
    assert [edit.cells for edit in what.rows] == [("00123", "")]


def test_an_invalid_date_retyped_in_one_clear_way_counts_if_it_makes_the_row_valid(tmp_path: Path) -> None:
    """31/07/2026 may be Excel's or the person's; both mean the same day."""
    rows = [row(17, "2026-07-31", "Won", status="invalid")]
    what = after(tmp_path, rows, put(2, "Code", "31/07/2026"))
    (edit,) = what.rows
    assert edit.typed is not None
    assert (edit.changes, edit.cells, edit.typed.cells) == ((), ("2026-07-31", "Won"), ("31/07/2026", "Won"))
    assert edit.typed.described() == ["row 17, Code: '2026-07-31' → '31/07/2026'"]


@pytest.mark.parametrize(("before", "typed"), [("2026-02-01", "1/2/2026"), ("00123", "123")])
def test_what_excel_may_have_spoilt_never_counts(tmp_path: Path, before: str, typed: str) -> None:
    """A day that could be a month, zeros that went: nobody can tell whether a person meant it."""
    rows = [row(17, before, "Won", status="invalid")]
    assert after(tmp_path, rows, put(2, "Code", typed)).rows == []


def test_a_text_made_a_date_cell_counts_on_an_invalid_row(tmp_path: Path) -> None:
    """The same text, but no longer a text: the person formatted it as a date."""
    rows = [row(17, "2026-07-31", "Won", status="invalid")]
    path = written(tmp_path, rows, name="r.xlsx")
    book = load_workbook(path)
    book["Results"].cell(2, 9, dt.date(2026, 7, 31)).number_format = "yyyy-mm-dd"
    book.save(path)
    (edit,) = found(path, rows).rows
    assert (edit.changes, edit.typed and type(edit.typed.cells[0])) == ((), DateCell)


# ---- words in import_status -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "word", "pasted", "expected"),
    [
        ("pending", "skipped", "", StatusWord(17, StatusEdit.SKIP)),
        ("failed", " Skipped ", "", StatusWord(17, StatusEdit.SKIP)),
        ("invalid", "SKIPPED", "", StatusWord(17, StatusEdit.SKIP)),
        ("skipped", "pending", "", StatusWord(17, StatusEdit.TAKE_BACK)),
        ("uncertain", "pending", "", StatusWord(17, StatusEdit.NOT_THERE)),
        ("uncertain", "created", GUID, StatusWord(17, StatusEdit.CREATED, GUID)),
        ("created", "pending", "", StatusWord(17, StatusEdit.DELETED)),
    ],
)
def test_words_that_count(tmp_path: Path, status: str, word: str, pasted: str, expected: StatusWord) -> None:
    """What a person can say of a row."""
    rows = [row(17, status=status)]
    what = after(tmp_path, rows, put(2, "import_status", word), put(2, "import_activity_id", pasted))
    assert (what.words, what.ignored.first) == ([expected], [])


@pytest.mark.parametrize(
    ("status", "word", "pasted", "reason"),
    [
        ("created", "skipped", "", "cannot be undone"),
        ("uncertain", "skipped", "", "may have been created"),
        ("uncertain", "created", "", "paste the activity's Id"),
        ("uncertain", "created", "yes", "paste the activity's Id"),
        ("failed", "pending", "", "--retry-failed"),
        ("failed", "created", GUID, "only skipped"),
        ("invalid", "pending", "", "fix the row's cells"),
        ("pending", "done", "", "only skipped"),
        ("pending", "", "", "only skipped"),
    ],
)
def test_words_that_do_not_count_are_named(
    tmp_path: Path, status: str, word: str, pasted: str, reason: str
) -> None:
    """Ignored, never silently."""
    rows = [row(17, status=status)]
    what = after(tmp_path, rows, put(2, "import_status", word), put(2, "import_activity_id", pasted))
    assert what.words == []
    assert what.ignored.first[0].startswith(f"row 17, import_status '{word}': ")
    assert reason in what.ignored.first[0]


def test_a_word_on_an_older_copys_line_does_not_count(tmp_path: Path) -> None:
    """Everything was `pending` in it once: that must never send an uncertain row again."""
    path = written(tmp_path, [row(17), row(18)])
    now = [row(17, status="uncertain")._replace(changed_at="2026-07-31T05:34:00.000Z"), row(18)]
    what = found(path, now)
    assert (what.words, what.older, what.older_words, what.ignored.total) == ([], 1, 1, 0)


def test_an_older_copys_line_with_the_same_status_has_no_word_to_ignore(tmp_path: Path) -> None:
    """As after `correct`, which changed the row's time and nothing that the line says."""
    path = written(tmp_path, [row(17, status="created"), row(18)])
    now = [row(17, status="created")._replace(changed_at="2026-07-31T05:34:00.000Z"), row(18)]
    what = found(path, now)
    assert (what.older, what.older_words) == (1, 0)


def test_skipped_in_an_older_copy_is_named(tmp_path: Path) -> None:
    """A person did write that; it just cannot be told when."""
    path = written(tmp_path, [row(17)])
    resave(path, put(2, "import_status", "skipped"))
    what = found(path, [row(17, status="failed")._replace(changed_at="2026-07-31T05:34:00.000Z")])
    assert what.ignored.first == [
        "row 17, import_status 'skipped': it is on a line from before the row's last change."
    ]


def test_a_cell_changed_on_an_older_line_is_an_edit_marked_as_stale(tmp_path: Path) -> None:
    """A run was killed after the file was written: the person's mending is still theirs."""
    path = written(tmp_path, [row(17, "1", "Wno")])
    resave(path, put(2, "Outcome", "Won"))
    now = [row(17, "1", "Wno", status="failed")._replace(changed_at="2026-07-31T05:34:00.000Z")]
    assert [(edit.cells, edit.stale) for edit in found(path, now).rows] == [(("1", "Won"), True)]


@pytest.mark.parametrize("time", ["2026-07-31T05:33:50.123+00:00", "2026-07-31T07:33:50.123+02:00"])
def test_the_same_instant_spelt_otherwise_is_the_same_line(tmp_path: Path, time: str) -> None:
    """Programs write ISO times in several ways."""
    rows = [row(17, status="uncertain")]
    what = after(tmp_path, rows, put(2, "import_time", time), put(2, "import_status", "pending"))
    assert what.words == [StatusWord(17, StatusEdit.NOT_THERE)]


def test_a_time_that_lost_its_fraction_lets_rows_be_skipped_but_not_sent_again(tmp_path: Path) -> None:
    """To the second it could be an older copy's; skipping is harmless, sending twice is not."""
    rows = [row(17, status="uncertain"), row(18)]
    respelt = [put(line, "import_time", "7/31/2026 5:33") for line in (2, 3)]
    words = [put(2, "import_status", "pending"), put(3, "import_status", "skipped")]
    what = after(tmp_path, rows, *respelt, *words)
    assert what.words == [StatusWord(18, StatusEdit.SKIP)]
    assert "may be an older copy's word" in what.ignored.first[0]


def test_without_the_column_of_times_no_word_counts(tmp_path: Path) -> None:
    """It cannot be told from an older copy."""

    def drop_times(records: Records) -> None:
        at = records[0].index("import_time")
        for record in records:
            del record[at]

    what = after(tmp_path, [row(17)], put(2, "import_status", "skipped"), drop_times)
    assert (what.words, what.older) == ([], 1)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("import_activity_id", GUID),
        ("import_error_code", "mine"),
        ("import_error", "my own note"),
        ("import_attempts", "7"),
        ("import_batch", ""),
    ],
)
def test_edits_of_our_other_columns_are_ignored_and_named(tmp_path: Path, column: str, value: str) -> None:
    """The store is the truth about what happened."""
    what = after(tmp_path, [row(17, status="failed", error="refused"), row(18)], put(2, column, value))
    assert what.ignored.first == [
        f"row 17, {column} '{value}': the importer writes this column, and reads no changes from it."
    ]


def test_an_id_pasted_without_the_word_is_told_what_is_missing(tmp_path: Path) -> None:
    """Half of what is needed to settle an uncertain row."""
    what = after(tmp_path, [row(17, status="uncertain")], put(2, "import_activity_id", GUID))
    assert "write created into import_status too" in what.ignored.first[0]


# ---- continued elsewhere --------------------------------------------------------------------------

LATER = "2026-07-31T06:00:00.000Z"


def continued(tmp_path: Path, theirs: StoredRow, ours: StoredRow) -> Edits:
    """What a colleague's file says, read beside our store's row."""
    return found(written(tmp_path, [theirs]), [ours])


@pytest.mark.parametrize("status", ["pending", "failed", "invalid", "skipped", "uncertain", "created"])
def test_a_row_that_was_created_elsewhere_is_a_claim_to_be_read_back(tmp_path: Path, status: str) -> None:
    """The line is newer than what the store knows, and carries an Id that the store does not know for it."""
    theirs = row(17, status="created", activity_id=GUID)._replace(changed_at=LATER)
    other = "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11" if status == "created" else ""
    what = continued(tmp_path, theirs, row(17, status=status, activity_id=other))
    assert what.newer == [NewerLine(17, GUID)]
    assert (what.newer_lines, what.unknown_created, what.rows, what.words) == (1, 1, [], [])


def test_the_cells_with_which_it_was_created_elsewhere_come_along(tmp_path: Path) -> None:
    """The colleague fixed the cell before sending."""
    theirs = row(17, "1", "Won", status="created", activity_id=GUID)._replace(changed_at=LATER)
    what = continued(tmp_path, theirs, row(17, "1", "Wno", status="invalid"))
    assert [one.edit and one.edit.cells for one in what.newer] == [("1", "Won")]


@pytest.mark.parametrize("made", ["", "=HYPERLINK(1)", "../../etc/passwd", "b20260731-053350-abcdef"])
def test_a_newer_line_without_an_id_is_only_counted(tmp_path: Path, made: str) -> None:
    """An Id that is not a GUID is no Id."""
    theirs = row(17, status="created", activity_id=made)._replace(changed_at=LATER)
    what = continued(tmp_path, theirs, row(17))
    assert (what.newer, what.newer_lines, what.unknown_created, what.words) == ([], 1, 0, [])


def test_a_word_on_a_newer_line_does_not_count(tmp_path: Path) -> None:
    """Nobody typed it: it is what another computer knew."""
    theirs = row(17, status="skipped")._replace(changed_at=LATER)
    what = continued(tmp_path, theirs, row(17))
    assert (what.words, what.newer_lines) == ([], 1)


def test_created_in_an_older_copy_that_the_store_does_not_know_is_counted(tmp_path: Path) -> None:
    """The store was put back from a backup: a file that knows more is never overwritten."""
    theirs = row(17, status="created", activity_id=GUID)
    what = continued(tmp_path, theirs, row(17)._replace(changed_at=LATER))
    assert (what.newer, what.unknown_created, what.older) == ([], 1, 1)


def test_an_id_pasted_on_an_uncertain_row_is_a_persons_word(tmp_path: Path) -> None:
    """On the line as it was last written."""
    theirs = row(17, status="created", activity_id=GUID)
    what = continued(tmp_path, theirs, row(17, status="uncertain"))
    assert (what.words, what.unknown_created) == ([StatusWord(17, StatusEdit.CREATED, GUID)], 0)


# ---- lines ----------------------------------------------------------------------------------------


def test_a_file_may_be_sorted(tmp_path: Path) -> None:
    """Rows are found by their numbers, wherever they are."""
    rows = [row(n, f"0{n}", "Won\ud7ff") for n in range(2, 40)]
    path = written(tmp_path, rows)
    resave(path, lambda records: records.__setitem__(slice(1, None), records[:0:-1]))
    assert said_nothing(found(path, rows))


def test_lines_may_be_sorted_filtered_and_deleted_once_created(tmp_path: Path) -> None:
    """People work with the file; every row keeps its own edits."""
    rows = [row(n, f"0{n}", "Won", status="created" if n % 3 else "failed") for n in range(2, 60)]

    def shuffle(records: Records) -> None:
        kept = [record for record in records[1:] if record[1] != "created" or record[0] == "4"]
        random.Random(7).shuffle(kept)
        records[1:] = kept

    what = after(tmp_path, rows, put(5, "Outcome", "Lost"), put(8, "Outcome", "Open"), shuffle)
    # rows 5 and 8 were created: line 5 is row 5, line 8 is row 8
    assert what.rows == []
    what = after(tmp_path, rows, put(2, "import_status", "created"), put(6, "Outcome", "Open"), shuffle)
    assert [edit.number for edit in what.rows] == [6]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda records: records.pop(1), "row 17 missing, though not created"),
        (lambda records: records.append(records[1]), r"row 17 \(line 4\) in more than one line"),
        (put(2, "import_row", "99"), r"row 99 \(line 2\) not of this batch"),
        (put(2, "import_row", ""), "line 2 without a number"),
        (put(2, "import_row", "new"), "line 2 without a number"),
        (put(3, "import_batch", "b20260730-000000-00ffee"), r"row 18 \(line 3\) of another batch"),
    ],
)
def test_lines_that_do_not_fit_stop_everything(
    tmp_path: Path, change: Callable[[Records], object], message: str
) -> None:
    """Before anything is sent, with all faults in one message."""
    with pytest.raises(ResultsError, match=message):
        after(tmp_path, [row(17), row(18)], change)


def test_all_faults_are_told_at_once_and_capped(tmp_path: Path) -> None:
    """A person mends the file once."""
    rows = [row(n) for n in range(2, 102)]

    def spoil(records: Records) -> None:
        del records[10:60]
        records.append(records[1])

    with pytest.raises(ResultsError, match=r"row 11, .* and 30 more missing.*; row 2 \(line 52\)"):
        after(tmp_path, rows, spoil)


def test_one_id_pasted_on_two_rows_stops_everything(tmp_path: Path) -> None:
    """An activity is one row's."""
    rows = [row(17, status="uncertain"), row(18, status="uncertain")]
    said = [put(line, "import_status", "created") for line in (2, 3)]
    ids = [put(2, "import_activity_id", GUID), put(3, "import_activity_id", GUID.upper())]
    with pytest.raises(ResultsError, match="rows 17 and 18 with the same Id"):
        after(tmp_path, rows, *said, *ids)


@pytest.mark.parametrize("number", ["17", "17.0", "17,00", " 17 "])
def test_a_row_number_respelt_is_still_that_row(tmp_path: Path, number: str) -> None:
    """Programs write whole numbers in several ways."""
    assert said_nothing(after(tmp_path, [row(17)], put(2, "import_row", number)))


# ---- columns --------------------------------------------------------------------------------------


def move(records: Records, order: Sequence[int]) -> None:
    records[:] = [[record[index] for index in order] for record in records]


def test_columns_may_be_moved(tmp_path: Path) -> None:
    """They are found by their headings, ours and the sheet's."""
    rows = [row(17, "1", "Wno", status="invalid")]
    what = after(
        tmp_path,
        rows,
        put(2, "Outcome", "Won"),
        lambda records: move(records, [9, 4, 0, 8, 7, 6, 5, 3, 2, 1]),
    )
    assert [edit.cells for edit in what.rows] == [("1", "Won")]


def test_a_removed_column_keeps_its_cells_and_a_new_one_is_not_looked_at(tmp_path: Path) -> None:
    """Both are said."""

    def change(records: Records) -> None:
        for record, cell in zip(records, ["My notes", "call her"], strict=True):
            record[8] = cell

    what = after(tmp_path, [row(17)], change)
    assert what.rows == []
    assert what.notes == [
        'The column "Code" is gone: its cells stay as they were.',
        'The column "My notes" is not of the sheet: it is not looked at.',
    ]


def test_headings_that_a_spreadsheet_respells_are_found(tmp_path: Path) -> None:
    """A heading can be a date or hold letters that cp1252 lacks."""
    header = ("2026-07-31", "Łódź")
    rows = [row(17, "a", "b")]
    path = written(tmp_path, rows, header)
    resave(path, lambda records: records[0].__setitem__(slice(8, None), ["7/31/2026", "?ód?"]))
    assert said_nothing(found(path, rows, header))


def test_a_sheet_may_have_headings_like_ours(tmp_path: Path) -> None:
    """Ours are written first, and the first of a name are ours."""
    header = ("import_time", "", "Import_Error")
    rows = [row(17, "noon", "x", "none")]
    path = written(tmp_path, rows, header)
    resave(path, put(2, "Import_Error", "some"))
    assert [edit.cells for edit in found(path, rows, header).rows] == [("noon", "x", "some")]


def test_doubled_headings_keep_their_order(tmp_path: Path) -> None:
    """Two columns of one name are the first and the second."""
    rows = [row(17, "a", "b")]
    path = written(tmp_path, rows, ("X", "X"))
    resave(path, lambda records: records[1].__setitem__(9, "c"))
    assert [edit.cells for edit in found(path, rows, ("X", "X")).rows] == [("a", "c")]


def test_a_doubled_heading_that_went_once_is_a_question(tmp_path: Path) -> None:
    """Which of the two it was cannot be told."""
    rows = [row(17, "a", "b")]
    path = written(tmp_path, rows, ("X", "X"))
    resave(path, lambda records: [record.pop() for record in records])
    with pytest.raises(ResultsError, match='2 columns headed "X", the file 1'):
        found(path, rows, ("X", "X"))


# ---- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "cp1250", "cp1251"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_any_delimiter_and_encoding_is_understood(tmp_path: Path, encoding: str, delimiter: str) -> None:
    """cp1252 unasked; what other code pages make of the letters is no edit either."""
    rows = [row(17, "Łódź, café; “smart” €", "Привет 😀\r\nzwei")]
    path = written(tmp_path, rows)
    resave(path, lambda records: None, encoding=encoding, delimiter=delimiter)
    assert batch_id_in(path) == BATCH
    assert said_nothing(found(path, rows))


def test_a_sep_line_is_honoured(tmp_path: Path) -> None:
    """Some people add it for their Excel."""
    path = written(tmp_path, [row(17)])
    resave(path, lambda records: None, delimiter=";")
    path.write_bytes(b"sep=;\r\n" + path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    assert (batch_id_in(path), said_nothing(found(path, [row(17)]))) == (BATCH, True)


@pytest.mark.parametrize("content", [b"A,B\r\n1,2\r\n", b"import_row,import_status\r\n2,pending\r\n"])
def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path, content: bytes) -> None:
    """It says what is missing."""
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert batch_id_in(path) is None
    refused = pytest.raises(ResultsError, match="not a results file: it has no column import_")
    with refused, read_results(path):
        pass


def test_a_results_file_without_its_batch_is_refused(tmp_path: Path) -> None:
    """All lines, or all batches, deleted."""
    path = written(tmp_path, [row(17)])
    resave(path, put(2, "import_batch", ""))
    assert batch_id_in(path) is None
    refused = pytest.raises(ResultsError, match="No line of this results file names its batch")
    with refused, read_results(path):
        pass


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfe", b"PK\x03\x04", b"\x00" * 100, "import_row\n\ud7ff".encode()]
)
@pytest.mark.parametrize("name", ["x.csv", "x.xlsx", "x.xls", "x.ods", "x.pdf"])
def test_asking_any_file_for_its_batch_never_fails(tmp_path: Path, name: str, content: bytes) -> None:
    """`run` asks whatever stands where its results are to go."""
    path = tmp_path / name
    path.write_bytes(content)
    assert batch_id_in(path) is None
    assert batch_id_in(tmp_path / "missing.csv") is None
    assert batch_id_in(tmp_path) is None


def test_our_columns_make_a_results_header() -> None:
    """`run` refuses such a sheet and names `resume`."""
    assert is_results_header([*COLUMNS, "A"])
    assert is_results_header(["A", " Import_Row ", "IMPORT_STATUS", "import_batch"])
    assert not is_results_header(["import_row", "Status", "Batch"])


def test_a_line_with_a_cell_too_many_stops_everything(tmp_path: Path) -> None:
    """A comma typed in a text editor has moved the values."""
    path = written(tmp_path, [row(17)])
    resave(path, lambda records: records[1].append("surplus"))
    with pytest.raises(ResultsError, match=r"r\.csv, row 2: .*may have moved"):
        found(path, [row(17)])


def test_a_workbook_with_another_sheet_added_is_still_understood(tmp_path: Path) -> None:
    """People keep their notes beside it."""
    rows = [row(17)]
    path = written(tmp_path, rows, name="r.xlsx")
    book = load_workbook(path)
    book.create_sheet("Notes", 0)["A1"] = "mine"
    book.save(path)
    assert (batch_id_in(path), said_nothing(found(path, rows))) == (BATCH, True)


def test_rows_that_a_filter_hides_are_rows(tmp_path: Path) -> None:
    """A person filtered for the failed ones and saved."""
    rows = [row(17), row(18)]
    path = written(tmp_path, rows, name="r.xlsx")
    book = load_workbook(path)
    book["Results"].row_dimensions[2].hidden = True
    book.save(path)
    assert said_nothing(found(path, rows))


def test_a_csvs_results_saved_as_a_workbook_are_understood(tmp_path: Path) -> None:
    """Excel's Save As: numbers and dates are cells of their own kind then."""
    rows = [row(17, "00123", "2026-07-31 05:33:50")]
    path = written(tmp_path, rows, name="r.xlsx")
    book = load_workbook(path)
    sheet = book["Results"]
    sheet.cell(2, 9, 123)
    sheet.cell(2, 10, dt.datetime(2026, 7, 31, 5, 33, 50))  # noqa: DTZ001
    book.save(path)
    assert said_nothing(found(path, rows))


def test_progress_is_told_while_reading(tmp_path: Path) -> None:
    """Comparing a million rows takes a while."""
    rows = [row(n) for n in range(2, 2502)]
    told: list[int] = []
    with read_results(written(tmp_path, rows)) as file:
        edits(file, HEADER, stored(rows), len(rows), progress=told.append)
    assert told == [1000, 2000, 2500]


# ---- any table ------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_characters="\0\x0b", exclude_categories=["Cs"]), max_size=12)
PLAIN = st.one_of(
    TEXTS,
    st.from_regex(r"0{0,3}[0-9]{1,18}", fullmatch=True),
    st.from_regex(r"[0-9]{1,4}\.[0-9]{1,4}", fullmatch=True),
    st.dates(dt.date(1930, 1, 1), dt.date(2029, 12, 31)).map(str),
    st.sampled_from(["TRUE", "false", "NA", "null", "1e5", "-abc", "“smart” €", "Łódź", "a\r\nb", "#N/A"]),
)
NUMBERS = st.integers(-(10**14), 10**14).map(lambda number: NumberCell(str(number), float(number)))
DATES = st.dates(dt.date(1901, 1, 1), dt.date(2100, 1, 1)).map(
    lambda day: DateCell(str(day), day, "yyyy-mm-dd")
)
TYPED = st.one_of(
    PLAIN.filter(str.strip),
    NUMBERS,
    DATES,
    st.sampled_from([BooleanCell("TRUE"), BooleanCell("FALSE"), NumberCell("00123", 123.0, "00000")]),
    st.integers(0, 10**6).map(
        lambda s: DurationCell(f"{s // 3600}:{s // 60 % 60:02}:{s % 60:02}", float(s), "[h]:mm:ss")
    ),
    st.just(ErrorCell("#N/A", "an error")),
)
STATUSES = st.sampled_from(["pending", "created", "failed", "invalid", "uncertain", "skipped"])


def tables(cells: st.SearchStrategy[str]) -> st.SearchStrategy[list[StoredRow]]:
    lines = st.lists(st.tuples(STATUSES, st.tuples(cells, cells), TEXTS), min_size=1, max_size=6)
    return lines.map(
        lambda drawn: [
            row(number, *pair, status=status, error=error)
            for number, (status, pair, error) in enumerate(drawn, 2)
        ]
    )


QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(tables(PLAIN))
def test_any_text_table_comes_back_without_an_edit(rows: list[StoredRow]) -> None:
    """CSV: written, read, compared."""
    with tempfile.TemporaryDirectory() as folder:
        assert said_nothing(found(written(Path(folder), rows), rows))


@QUICK
@given(tables(TYPED))
def test_any_workbook_table_comes_back_without_an_edit(rows: list[StoredRow]) -> None:
    """XLSX: written, read, compared."""
    with tempfile.TemporaryDirectory() as folder:
        what = found(written(Path(folder), rows, name="r.xlsx"), rows)
        assert (what.rows, what.words, what.ignored.first, what.respelt.total) == ([], [], [], 0)


def excel_saves(cell: str, *, comma: bool) -> str:
    """What Excel writes for a cell of a CSV it opened, German if `comma`, else American (its main habits)."""
    mark = "," if comma else "."
    text = cell.strip()
    known = {"TRUE": "WAHR" if comma else "TRUE", "FALSE": "FALSCH" if comma else "FALSE"}
    known |= {"-abc": "#NAME?", "1e5": "1.00E+05".replace(".", mark)}
    if text.upper() in known or text in known:
        return known.get(text) or known[text.upper()]
    if re.fullmatch(rf"[0-9]+(?:{re.escape(mark)}[0-9]+)?", text):
        return general(Decimal(text.replace(mark, "."))).replace(".", mark)
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        day = dt.date.fromisoformat(text)
        return day.strftime("%d.%m.%Y") if comma else f"{day.month}/{day.day}/{day.year}"
    return cell


def general(number: Decimal) -> str:
    """Excel's format General, as it is written into a CSV."""
    if number >= 10**11:
        return f"{number:.5E}"
    places = Decimal(1).scaleb(-max(0, 10 - len(str(int(number)))))
    shown = f"{number.quantize(places, rounding=ROUND_HALF_UP):f}"
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


@QUICK
@given(tables(PLAIN), st.booleans())
def test_a_table_saved_by_excel_comes_back_without_an_edit(rows: list[StoredRow], comma: bool) -> None:
    """In cp1252, with the local delimiter, numbers and dates respelt."""

    def change(records: Records) -> None:
        for record in records[1:]:
            record[8:] = [excel_saves(cell, comma=comma) for cell in record[8:]]

    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), rows)
        resave(path, change, encoding="cp1252", delimiter=";" if comma else ",")
        what = found(path, rows)
        assert ([edit.changes for edit in what.rows if edit.changes], what.words, what.ignored.first) == (
            [],
            [],
            [],
        )


@QUICK
@given(tables(PLAIN), PLAIN, st.data())
def test_one_edit_is_found_and_nothing_else(rows: list[StoredRow], value: str, data: st.DataObject) -> None:
    """Whatever else a spreadsheet did to the file."""
    at = data.draw(st.integers(0, len(rows) - 1))
    column = data.draw(st.integers(0, 1))
    before = decode_cells(rows[at].cells)[column]
    assume(rows[at].status is not RowStatus.CREATED)
    assume(not is_respelling(before, value))
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), rows)
        resave(path, put(at + 2, HEADER[column], value))
        (edit,) = found(path, rows).rows
        assert edit.changes == (CellChange(HEADER[column], column, before, value),)
