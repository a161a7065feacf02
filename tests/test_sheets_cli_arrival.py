"""What stands in the sheet arrives at the tenant: `importer run`, from the file to the activity."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import openpyxl
import pytest
from conftest import Importer, RunningTenant
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from sheets import raw_workbook, sheet_xml, text_rows, written_workbook
from sheets.sending import ACCOUNT, MAPPING, Sender, delimited, table_of

from importer.mapping.values import BLANKS

EXACT = (
    "00123",
    "NA",
    "null",
    "None",
    "nan",
    "1e5",
    "1.10",
    "12345678901234567890",
    "=1+1",
    "TRUE",
    "“smart” €",
    "a line\nand another",
    'say "hi"',
    "a,b;c|d\te",
    " outer spaces ",
    "+49 30 123",
    "-5",
    "'quoted",
    "31/12/2026",
)
ANY_SCRIPT = ("日本語", "العربية", "Ωmega", "😀")


@pytest.fixture
def send(importer: Importer, tenant: RunningTenant, tmp_path: Path) -> Sender:
    """Sends sheets to the tenant."""
    return Sender(importer, tenant, tmp_path)


@pytest.mark.parametrize(
    ("encoding", "options", "values"),
    [
        ("utf-8", (), EXACT + ANY_SCRIPT),
        ("utf-8-sig", (), EXACT + ANY_SCRIPT),
        ("utf-16", (), EXACT + ANY_SCRIPT),
        ("cp1252", ("--encoding", "cp1252"), EXACT),
    ],
)
def test_texts_arrive_in_every_encoding(
    send: Sender,
    tmp_path: Path,
    encoding: str,
    options: tuple[str, ...],
    values: tuple[str, ...],
) -> None:
    """No leading zero, `NA`, exponent, long number, formula or line break is taken for something else."""
    source = tmp_path / "visits.csv"
    source.write_bytes(delimited(table_of(values), ",").encode(encoding))

    sent = send(source, *options)

    assert (sent.exit, sent.result.json["created"]) == (0, len(values))
    assert sent.arrived == list(values)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("suffix", [".csv", ".txt"])
def test_texts_arrive_with_every_delimiter(send: Sender, tmp_path: Path, delimiter: str, suffix: str) -> None:
    """The delimiter is found out, whatever the cells hold."""
    source = tmp_path / f"visits{suffix}"
    source.write_bytes(delimited(table_of(EXACT), delimiter).encode())

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, list(EXACT))


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"'])
def test_a_sep_line_is_no_record(send: Sender, tmp_path: Path, line: str) -> None:
    """Excel's own first line names the delimiter; the header below it is row 1."""
    source = tmp_path / "sep_line.csv"
    source.write_bytes(f"{line}\r\n{delimited(table_of(EXACT), ';')}".encode())

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, list(EXACT))
    assert sent.rows == list(range(2, len(EXACT) + 2))


def test_blank_rows_keep_their_numbers(send: Sender, tmp_path: Path) -> None:
    """Blank lines, lines of delimiters and of spaces are no rows; those below are where Excel shows them."""
    source = tmp_path / "blank_rows.csv"
    lines = [
        "Account ID,Line,Value",
        "",
        f'{ACCOUNT},v0,"two\nlines"',
        ",,",
        "  , ,",
        "",
        f"{ACCOUNT},v1,b",
        "",
    ]
    source.write_bytes("\n".join(lines).encode())

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, ["two\nlines", "b"])
    assert sent.rows == [3, 7]


def test_missing_cells_are_empty_and_empty_surplus_cells_are_nothing(send: Sender, tmp_path: Path) -> None:
    """A short line and one with delimiters to spare are rows like any other."""
    source = tmp_path / "ragged_rows.csv"
    source.write_text(
        f"Account ID,Line,Value\n{ACCOUNT},v0\n{ACCOUNT},v1,x,,,\n", encoding="utf-8", newline=""
    )

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, ["", "x"])


def test_headings_nobody_maps_may_be_empty_or_doubled(send: Sender, tmp_path: Path) -> None:
    """Only the columns that the mapping names have to be there once; spaces around a heading do not count."""
    source = tmp_path / "doubled_and_empty_headers.csv"
    source.write_text(f"X,,Account ID ,X, Line,Value\n1,2,{ACCOUNT},3,v0,x\n", encoding="utf-8", newline="")

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, ["x"])


def test_texts_of_a_workbook_arrive(send: Sender, tmp_path: Path) -> None:
    """Cells that hold text are sent as they are; an error's word typed as text is a text."""
    values = list(EXACT + ANY_SCRIPT)
    source = written_workbook(tmp_path / "exact_texts.xlsx", table_of(values))

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, values)


def test_numbers_of_a_workbook_arrive_as_they_are_seen(send: Sender, tmp_path: Path) -> None:
    """15 digits, never an exponent, no `.0`, the zeros of a format of zeros, dates in ISO."""
    seen: list[tuple[object, str, str]] = [
        (0.1 + 0.2, "General", "0.3"),
        (123, "00000", "00123"),
        (5.0, "General", "5"),
        (1.1, "0.00", "1.10"),
        (1e-7, "General", "0.0000001"),
        (123456789012345, "General", "123456789012345"),
        (1e14, "0.00E+00", "100000000000000"),
        (0.25, "0%", "0.25"),
        (1250.5, "#,##0.00 €", "1250.5"),
        (True, "General", "TRUE"),
        (False, "General", "FALSE"),
        (dt.date(2026, 7, 31), "dd/mm/yyyy", "2026-07-31"),
        (dt.datetime(2026, 7, 31, 9, 5, 0), "dd/mm/yyyy hh:mm", "2026-07-31 09:05:00"),  # noqa: DTZ001
        (dt.time(9, 5), "hh:mm", "09:05:00"),
        (dt.timedelta(hours=30, minutes=5), "[h]:mm:ss", "30:05:00"),
    ]
    source = tmp_path / "numbers.xlsx"
    book = openpyxl.Workbook()
    tab = book.worksheets[0]
    tab.append(["Account ID", "Line", "Value"])
    for at, (value, code, _) in enumerate(seen):
        tab.append([ACCOUNT, f"v{at}", value])
        tab.cell(at + 2, 3).number_format = code
    book.save(source)

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, [text for _, _, text in seen])


def test_dates_of_a_workbook_that_counts_from_1904_arrive(send: Sender, tmp_path: Path) -> None:
    """Old Macs count days from another one."""
    source = tmp_path / "dates_1904.xlsx"
    book = openpyxl.Workbook()
    book.epoch = CALENDAR_MAC_1904
    tab = book.worksheets[0]
    tab.append(["Account ID", "Line", "Value"])
    tab.append([ACCOUNT, "v0", dt.date(2026, 7, 31)])
    book.save(source)

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, ["2026-07-31"])


def test_a_workbook_whose_dimension_says_a1_is_read_whole(send: Sender, tmp_path: Path) -> None:
    """Some exporters write a wrong dimension; others of the whole sheet."""
    table = table_of(["a", "b", "c"])
    for name, reference in (("dimension_a1", "A1"), ("dimension_all", "A1:XFD1048576")):
        xml = sheet_xml(text_rows(table), before=f'<dimension ref="{reference}"/>')
        source = raw_workbook(tmp_path / f"{name}.xlsx", xml)

        sent = send(source, "--again", "--rate", "100/0.1")

        assert (sent.exit, sent.arrived) == (0, ["a", "b", "c"])


def test_escaped_characters_of_a_workbook_are_decoded(send: Sender, tmp_path: Path) -> None:
    """`_x000D_` is how Excel writes a carriage return, and `_x005F_` how it writes the underscore of one."""
    source = raw_workbook(
        tmp_path / "escaped_characters.xlsx",
        sheet_xml(text_rows(table_of(["a_x000D_\nb", "_x005F_x000D_", "_x000"]))),
    )

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, ["a\r\nb", "_x000D_", "_x000"])


def test_title_rows_above_the_header(send: Sender, tmp_path: Path) -> None:
    """`header_row` says where the headings are; the rows keep the numbers that Excel shows."""
    send.mapping.write_text(f"header_row: 3\n{MAPPING}", encoding="utf-8")
    table = [["Visits in July"], [], *table_of(["a", "b"])]
    source = written_workbook(tmp_path / "title_rows.xlsx", table)

    sent = send(source)

    assert (sent.exit, sent.arrived, sent.rows) == (0, ["a", "b"], [4, 5])


def test_hidden_sheets_are_not_chosen(send: Sender, tmp_path: Path) -> None:
    """One visible sheet among hidden ones is the sheet; a hidden one is read when it is named."""
    source = tmp_path / "hidden_sheets.xlsx"
    sheets = {
        "Codes": sheet_xml(text_rows(table_of(["hidden"]))),
        "Visits": sheet_xml(text_rows(table_of(["seen"]))),
    }
    raw_workbook(source, sheets, states={"Codes": "veryHidden"})

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, ["seen"])


def test_several_visible_sheets_are_listed(send: Sender, tmp_path: Path) -> None:
    """Which one is meant is never guessed; `--sheet` and the mapping's `sheet` say it."""
    source = tmp_path / "several_sheets.xlsx"
    raw_workbook(source, {name: sheet_xml(text_rows(table_of([name]))) for name in ("July", "August")})

    undecided = send(source)
    decided = send(source, "--sheet", "august ")

    told = undecided.result.json["error"]
    assert (undecided.exit, "July" in told, "August" in told) == (2, True, True)
    assert (decided.exit, decided.arrived) == (0, ["August"])


def _filtered(path: Path) -> Path:
    rows = text_rows(table_of(["seen", "filtered", "seen too"])).replace(
        '<row r="3">', '<row r="3" hidden="1">'
    )
    return raw_workbook(path, sheet_xml(rows))


def test_hidden_rows_are_asked_about(send: Sender, tmp_path: Path) -> None:
    """A filter was left on: whether its rows are meant is not guessed."""
    source = _filtered(tmp_path / "filtered.xlsx")

    undecided = send(source)

    assert (undecided.exit, undecided.arrived) == (2, [])
    assert "1 row is hidden" in undecided.result.stderr
    assert "--hidden include" in undecided.result.stderr


@pytest.mark.parametrize(
    ("hidden", "sent"), [("include", ["seen", "filtered", "seen too"]), ("skip", ["seen", "seen too"])]
)
def test_hidden_rows_are_sent_or_left_out_as_told(
    send: Sender, tmp_path: Path, hidden: str, sent: list[str]
) -> None:
    """`--hidden include` and `--hidden skip`."""
    source = _filtered(tmp_path / "filtered.xlsx")

    told = send(source, "--hidden", hidden)

    assert (told.exit, told.arrived) == (0, sent)


def test_shared_texts_in_pieces_arrive_whole(send: Sender, tmp_path: Path) -> None:
    """A text with one bold word is stored in runs; a reading aid above Japanese is no part of it."""
    header = text_rows([["Account ID", "Line", "Value"]])
    row = (
        f'<row r="2"><c r="A2" t="inlineStr"><is><t>{ACCOUNT}</t></is></c>'
        '<c r="B2" t="inlineStr"><is><t>v0</t></is></c><c r="C2" t="s"><v>0</v></c></row>'
    )
    shared = (
        '<si><r><t xml:space="preserve">one </t></r><r><t>bold</t></r>'
        '<rPh sb="0" eb="1"><t>aid</t></rPh></si>'
    )
    source = raw_workbook(tmp_path / "shared_texts_in_pieces.xlsx", sheet_xml(header + row), shared=shared)

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, ["one bold"])


TEXTS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=20)
# A cell of nothing but blanks is empty, whatever the mapping says of blanks around a text.
CELLS = TEXTS.filter(lambda text: not text or text.strip(BLANKS)) | st.sampled_from(EXACT)
DIALECTS = st.tuples(
    st.sampled_from(",;\t|"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(values=st.lists(CELLS, min_size=1, max_size=12), dialect=DIALECTS)
def test_any_table_arrives_from_any_dialect(
    send: Sender, tmp_path: Path, values: list[str], dialect: tuple[str, str, str]
) -> None:
    """Any text, any delimiter, any encoding that needs no announcement, any end of line."""
    delimiter, encoding, line_end = dialect
    source = tmp_path / "any.csv"
    source.write_bytes(delimited(table_of(values), delimiter, line_end=line_end).encode(encoding))

    sent = send(source, "--again", "--rate", "100/0.1")

    assert (sent.exit, sent.arrived[: len(values)]) == (0, values)


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(values=st.lists(CELLS, min_size=1, max_size=12))
def test_any_table_of_texts_arrives_from_a_workbook(send: Sender, tmp_path: Path, values: list[str]) -> None:
    """Any text, as xlsxwriter stores it."""
    sent = send(written_workbook(tmp_path / "any.xlsx", table_of(values)), "--again", "--rate", "100/0.1")

    assert (sent.exit, sent.arrived[: len(values)]) == (0, values)
