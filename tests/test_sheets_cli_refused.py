"""What cannot be read for certain is never sent as something else: `run` and `check` on trap files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import visits
from conftest import Importer, RunningTenant
from sheets import old_workbook, raw_workbook, sheet_xml, text_rows, trap, written_workbook
from sheets.sending import ACCOUNT, Sender, table_of

HEADER = "Account ID,Line,Value\n"
GOOD = f"{ACCOUNT},v0,good\n"
Build = Callable[[Path], Path]


@pytest.fixture
def send(importer: Importer, tenant: RunningTenant, tmp_path: Path) -> Sender:
    """Sends sheets to the tenant."""
    return Sender(importer, tenant, tmp_path)


def _text(name: str, content: str | bytes) -> Build:
    def build(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return build


UNREADABLE: dict[str, tuple[Build, str]] = {
    "cp1252 unannounced": (
        _text(
            "cp1252_unannounced.csv", (HEADER + GOOD + f"{ACCOUNT},v1,“smart” Lefèvre €\n").encode("cp1252")
        ),
        "“smart” Lefèvre €",
    ),
    "unclosed quote": (
        _text("unclosed_quote.csv", f'{HEADER}{GOOD}{ACCOUNT},v1,"x\n{ACCOUNT},v2,y\n'),
        "row 3 (line 3), column C",
    ),
    "text after a quote": (_text("text_after_quote.csv", f'{HEADER}{GOOD}{ACCOUNT},v1,"x" y\n'), "row 3"),
    "NUL": (_text("nul.csv", f"{HEADER}{GOOD}{ACCOUNT},v1,x\0y\n"), "NUL"),
    "UTF-16 without a mark": (
        _text("utf16_no_bom.csv", (HEADER + GOOD).encode("utf-16-le")),
        "--encoding utf-16-le",
    ),
    "a doubled heading that is mapped": (
        _text("doubled_headers.csv", f"Account ID,Line,Value,Value \n{ACCOUNT},v0,x,y\n"),
        '"Value"',
    ),
    "a heading that is missing": (
        _text("empty_header.csv", f"Account ID,Line,\n{ACCOUNT},v0,x\n"),
        '"Value"',
    ),
    "an unknown delimiter": (
        _text("unknown_delimiter.csv", HEADER.replace(",", "^") + GOOD.replace(",", "^")),
        "--delimiter",
    ),
    "Excel's mark of an open file": (_text("~$visits.xlsx", b"\x05Anna" + b" " * 150), "visits.xlsx"),
    "LibreOffice's mark of an open file": (_text(".~lock.visits.csv#", ",Anna,pc,;"), "visits.csv"),
    "an empty file": (_text("empty.csv", ""), "empty"),
    "blank lines only": (_text("blank_lines_only.csv", "\n\n , \n"), "empty"),
    "a header and no rows": (_text("header_only.csv", HEADER), "no rows"),
    "a web page named .xls": (lambda _: trap("web_page.xls"), "web page"),
    "text named .xlsx": (_text("renamed.xlsx", HEADER + GOOD), "rename it to renamed.csv"),
    "a workbook named .csv": (
        lambda folder: written_workbook(folder / "x.xlsx", table_of(["x"])).rename(folder / "renamed.csv"),
        "rename it to renamed.xlsx",
    ),
    "half a workbook": (
        lambda folder: _half(written_workbook(folder / "half.xlsx", table_of(["x"]))),
        "damaged",
    ),
    "a password": (
        _text(
            "encrypted.xlsx",
            bytes.fromhex("D0CF11E0A1B11AE1") + bytes(1024) + "EncryptedPackage".encode("utf-16-le"),
        ),
        "password",
    ),
}


def _half(path: Path) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_sheet_that_cannot_be_read_for_certain_is_not_sent(send: Sender, tmp_path: Path, name: str) -> None:
    """Exit code 2, one sentence that says what and where, no call that creates, and nothing left behind."""
    build, told = UNREADABLE[name]
    source = build(tmp_path)
    before = sorted(tmp_path.iterdir())

    sent = send(source)

    assert (sent.exit, sent.result.json["exit"], sent.arrived) == (2, 2, [])
    assert told in sent.result.json["error"]
    assert "Traceback" not in sent.result.stderr
    assert [path for path in sorted(tmp_path.iterdir()) if path.name != "home"] == before
    assert visits.left_behind(tmp_path / "home") == []


@pytest.mark.parametrize("name", UNREADABLE)
def test_check_and_run_say_the_same(send: Sender, tmp_path: Path, name: str) -> None:
    """What `run` would not read, `check` does not read either."""
    source = UNREADABLE[name][0](tmp_path)

    checked, sent = send.check(source, "--json"), send(source)

    assert (checked.exit, checked.json["error"]) == (2, sent.result.json["error"])


def _workbook_with(cell: str, **parts: str) -> Build:
    """Row 2 is good, row 3 has the cell in its third column."""

    def build(folder: Path) -> Path:
        rows = text_rows([["Account ID", "Line", "Value"], [ACCOUNT, "v0", "good"], [ACCOUNT, "v1"]])
        rows = rows.removesuffix("</row>") + cell + "</row>"
        return raw_workbook(folder / "one_bad_cell.xlsx", sheet_xml(rows), **parts)  # type: ignore[arg-type]

    return build


def _legacy_error(folder: Path) -> Path:
    table: list[list[Any]] = [
        ["Account ID", "Line", "Value"],
        [ACCOUNT, "v0", "good"],
        [ACCOUNT, "v1", ValueError(0x2A)],
    ]
    return old_workbook(folder / "error_cell.xls", {"Visits": table})


BAD_ROWS: dict[str, tuple[Build, str, str]] = {
    "a surplus cell": (
        _text("surplus_cell.csv", f"{HEADER}{GOOD}{ACCOUNT},v1,x,one too many\n"),
        "row 3",
        "one too many",
    ),
    "a surplus cell in a workbook": (
        _workbook_with('<c r="C3"><v>1</v></c><c r="E3"><v>5</v></c>'),
        "row 3",
        "E3",
    ),
    "a number of 16 digits": (_workbook_with('<c r="C3"><v>1234567890123456</v></c>'), "C3", "16 digits"),
    "an exponent of 16 digits": (
        _workbook_with('<c r="C3"><v>1.2345678901234567E+19</v></c>'),
        "C3",
        "16 digits",
    ),
    "#N/A": (_workbook_with('<c r="C3" t="e"><v>#N/A</v></c>'), "C3", "#N/A"),
    "#N/A as a formula's result": (
        _workbook_with('<c r="C3" t="e"><f>NA()</f><v>#N/A</v></c>'),
        "C3",
        "#N/A",
    ),
    "#N/A in an old workbook": (_legacy_error, "C3", "#N/A"),
    "a formula that was never calculated": (_workbook_with('<c r="C3"><f>1+1</f></c>'), "C3", "formula"),
    "a number that is none": (_workbook_with('<c r="C3"><v>abc</v></c>'), "row 3", "C3"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_row_that_cannot_be_read_for_certain_is_not_sent(send: Sender, tmp_path: Path, name: str) -> None:
    """`check` names the cell; `run` sends nothing; with `--skip-invalid` it sends the other row only."""
    build, cell, told = BAD_ROWS[name]
    source = build(tmp_path)

    checked = send.check(source)
    refused = send(source)
    skipping = send(source, "--skip-invalid")

    assert (refused.exit, refused.arrived) == (2, [])
    assert (checked.exit, skipping.exit, skipping.arrived) == (1, 1, ["good"])
    assert f"{cell}:" in checked.stdout
    assert told in " ".join(checked.stdout.split())


def test_an_error_in_a_column_that_nobody_maps_is_nothing(send: Sender, tmp_path: Path) -> None:
    """Only what would be sent has to be right."""
    source = tmp_path / "error_elsewhere.xlsx"
    rows = text_rows([["Account ID", "Line", "Value", "Other"], [ACCOUNT, "v0", "good"]])
    rows = rows.removesuffix("</row>") + '<c r="D2" t="e"><v>#REF!</v></c></row>'
    raw_workbook(source, sheet_xml(rows))

    sent = send(source)

    assert (sent.exit, sent.arrived) == (0, ["good"])


def test_a_row_is_not_lost_behind_a_merged_header(send: Sender, tmp_path: Path) -> None:
    """A heading merged over two columns names the first of them; content under the second is asked about."""
    source = tmp_path / "merged_header.xlsx"
    book = openpyxl.Workbook()
    tab = book.worksheets[0]
    tab.append(["Account ID", "Line", "Value", None])
    tab.append([ACCOUNT, "v0", "x", "under the merged heading"])
    tab.merge_cells("C1:D1")
    book.save(source)

    checked = send.check(source)

    assert checked.exit in {0, 1}
    assert "merged" in checked.stdout or "D2" in checked.stdout


@pytest.mark.parametrize("delimiter", ["tab", ";", "comma"])
def test_a_delimiter_that_is_wrong_is_noticed(send: Sender, tmp_path: Path, delimiter: str) -> None:
    """The header then has none of the columns that the mapping names, or does not look like one column."""
    source = _text("pipes.csv", (HEADER + GOOD).replace(",", "|"))(tmp_path)

    sent = send(source, "--delimiter", delimiter)

    assert (sent.exit, sent.arrived) == (2, [])


def test_an_announced_encoding_that_is_wrong_is_noticed(send: Sender, tmp_path: Path) -> None:
    """UTF-8 with a mark is not read as cp1252 because a flag says so; other bytes must fit the name."""
    source = _text("latin.csv", (HEADER + f"{ACCOUNT},v0,é\n").encode("cp1252"))(tmp_path)

    sent = send(source, "--encoding", "utf-8")

    assert (sent.exit, sent.arrived) == (2, [])


@pytest.mark.parametrize(
    ("option", "value"), [("--encoding", "klingon"), ("--delimiter", "ab"), ("--sheet", "Nope")]
)
def test_options_that_fit_no_sheet_are_named(send: Sender, tmp_path: Path, option: str, value: str) -> None:
    """Exit code 2, and the message says which word is wrong."""
    source = written_workbook(tmp_path / "x.xlsx", table_of(["x"]))
    if option != "--sheet":
        source = _text("x.csv", HEADER + GOOD)(tmp_path)

    sent = send(source, option, value)

    assert (sent.exit, value in sent.result.json["error"], sent.arrived) == (2, True, [])


def test_a_results_file_is_no_source(send: Sender, tmp_path: Path) -> None:
    """`run` on what `run` wrote names `resume`."""
    source = _text("visits.csv", HEADER + GOOD)(tmp_path)
    results = send(source).results

    again = send(results)

    assert (again.exit, "importer resume" in again.result.json["error"], again.arrived) == (2, True, ["good"])
