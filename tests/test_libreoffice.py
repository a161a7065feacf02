"""The same sheets in another program's hands: LibreOffice opens, shows and saves what we read and write."""

from __future__ import annotations

import csv
import datetime as dt
import shutil
import subprocess
from pathlib import Path

import pytest
import xlsxwriter
from conftest import Importer, RunningTenant
from sheets import written_workbook
from sheets.sending import ACCOUNT, Sender, delimited, table_of

OFFICE = shutil.which("soffice") or shutil.which("libreoffice")
pytestmark = pytest.mark.skipif(OFFICE is None, reason="LibreOffice is not installed")

TEXTS = (
    "first",
    "second",
    "00123",
    "NA",
    "null",
    "1e5",
    "1.10",
    "12345678901234567890",
    "=1+1",
    "TRUE",
    "“smart” €",
    "日本語 Łódź",
    "a line\nand another",
    "2026-07-31",
    "31/07/2026",
    "1:30",
    "50%",
    "€ 12.50",
    "0.30000000000000004",
    "-5",
)
ENGLISH, GERMAN = 1033, 1031
QUICK = ("--rate", "100/0.1")


def csv_filter(delimiter: str = ",", language: int = ENGLISH) -> str:
    """LibreOffice's name for CSV: quotation marks, UTF-8, from line 1, texts not all quoted, and cells as
    they are shown (writing) or numbers and dates detected (reading)."""
    return f"Text - txt - csv (StarCalc):{ord(delimiter)},34,76,1,,{language},false,true"


def converted(path: Path, to: str, folder: Path, *options: str) -> Path:
    """Have LibreOffice open the file and save it in the folder, in that format."""
    assert OFFICE is not None
    folder.mkdir(exist_ok=True)
    profile = (folder / "profile").as_uri()
    command = [OFFICE, f"-env:UserInstallation={profile}", "--headless", *options]
    command += ["--convert-to", to, "--outdir", str(folder), str(path)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder / f"{path.stem}.{to.partition(':')[0]}"


@pytest.fixture
def send(importer: Importer, tenant: RunningTenant, tmp_path: Path) -> Sender:
    """Sends sheets to the tenant."""
    return Sender(importer, tenant, tmp_path)


@pytest.mark.parametrize(("delimiter", "language"), [(",", ENGLISH), (";", GERMAN)])
def test_a_results_file_in_csv_is_opened_saved_and_resumed(
    send: Sender, tmp_path: Path, delimiter: str, language: int
) -> None:
    """Leading zeros go, numbers and dates are respelt: none of it is an edit."""
    source = tmp_path / "visits.csv"
    texts = [text for text in TEXTS if not text.startswith("=")]  # LibreOffice would work it out: an edit
    source.write_bytes(delimited(table_of(texts), ",").encode())
    results = send(source, "--limit", "2", *QUICK).results
    reading = f"--infilter={csv_filter(',', language)}"
    saved = converted(results, f"csv:{csv_filter(delimiter, language)}", tmp_path / "saved", reading)
    shutil.copy(saved, results)

    sent = send.resume(results, *QUICK)

    assert f"{delimiter}123\n" in saved.read_text(encoding="utf-8")
    assert "Changed:" not in sent.result.stderr
    assert (sent.exit, sent.arrived) == (0, texts)


def test_a_results_workbook_is_opened_saved_and_resumed(send: Sender, tmp_path: Path) -> None:
    """Every cell keeps its type: texts are texts, numbers numbers, dates dates."""
    values: list[object] = [*TEXTS, 0.1 + 0.2, 5, True, 1e-7, 123456789012345]
    seen = [*TEXTS, "0.3", "5", "TRUE", "0.0000001", "123456789012345", "00123", "2026-07-31"]
    table: list[list[object]] = [list(line) for line in table_of([""] * len(values))]
    for line, value in zip(table[1:], values, strict=True):
        line[2] = value
    source = tmp_path / "visits.xlsx"
    with xlsxwriter.Workbook(source) as book:
        tab = book.add_worksheet("Visits")
        for row, cells in enumerate(table):
            for column, cell in enumerate(cells):
                write = tab.write_string if isinstance(cell, str) else tab.write
                write(row, column, cell)
        for row, (value, code) in enumerate(
            [(123, "00000"), (dt.date(2026, 7, 31), "dd/mm/yyyy")], len(table)
        ):
            tab.write_row(row, 0, [ACCOUNT, f"v{row - 1}"])
            tab.write(row, 2, value, book.add_format({"num_format": code}))
    results = send(source, "--limit", "2", *QUICK).results
    shutil.copy(converted(results, "xlsx", tmp_path / "saved"), results)

    sent = send.resume(results, *QUICK)

    assert "Changed:" not in sent.result.stderr
    assert (sent.exit, sent.arrived) == (0, seen)


def varied_cells() -> list[tuple[object, str]]:
    """Over two hundred values with number formats whose displayed text is what we send."""
    cells: list[tuple[object, str]] = [(text, code) for text in TEXTS for code in ("General", "@")]
    cells += [
        (number, "General") for number in (0, 1, -1, 5.0, 123456, 1.1, 0.5, -0.25, 1234.5, 0.001, 100.1)
    ]
    cells += [(number / 8, "General") for number in range(-20, 60)]
    cells += [(number, "00000") for number in (0, 7, 123, 99999, 123456)]
    cells += [(number, '"INV-"0000') for number in (0, 7, 123, 99999)]
    days = [dt.datetime(2026, 7, 31) + dt.timedelta(days=37 * at, seconds=4321 * at) for at in range(20)]  # noqa: DTZ001
    cells += [(day, code) for code in ("yyyy-mm-dd", "yyyy-mm-dd hh:mm:ss") for day in days]
    cells += [(day.time(), "hh:mm:ss") for day in days]
    cells += [(hours / 7, "[h]:mm:ss") for hours in range(20)]
    return [*cells, (True, "General"), (False, "General")]


DIFFERENT: list[tuple[object, str, str, str]] = [
    (0.25, "0%", "0.25", "25%"),
    (1250.5, "[$€-407] #,##0.00", "1250.5", "€ 1,250.50"),
    (dt.date(2026, 7, 31), "dd/mm/yyyy", "2026-07-31", "31/07/2026"),
]
"""What the number, the date is to us, and how it is displayed: the differences that are meant."""


def test_the_displayed_text_of_varied_cells_arrives(send: Sender, tmp_path: Path) -> None:
    """Saved as CSV by LibreOffice, as shown, and sent from the workbook by us: the same, cell by cell."""
    cells = varied_cells()
    assert len(cells) >= 200
    source = tmp_path / "varied.xlsx"
    with xlsxwriter.Workbook(source) as book:
        tab = book.add_worksheet("Visits")
        tab.set_column(0, 2, 45)
        tab.write_row(0, 0, ["Account ID", "Line", "Value"])
        shown_otherwise = [(value, code) for value, code, _, _ in DIFFERENT]
        for row, (value, code) in enumerate([*cells, *shown_otherwise], 1):
            style = book.add_format({"num_format": code})
            write = tab.write_string if isinstance(value, str) else tab.write
            tab.write_row(row, 0, [ACCOUNT, f"v{row - 1}"])
            write(row, 2, value, style)
    with converted(source, f"csv:{csv_filter()}", tmp_path / "shown").open(
        encoding="utf-8", newline=""
    ) as stream:
        shown = [line[2] for line in csv.reader(stream)][1:]

    sent = send(source)

    assert sent.exit == 0
    assert sent.arrived[: len(cells)] == shown[: len(cells)]
    assert list(zip(sent.arrived[len(cells) :], shown[len(cells) :], strict=True)) == [
        (ours, theirs) for _, _, ours, theirs in DIFFERENT
    ]


@pytest.mark.parametrize("suffix", ["ods", "xls"])
def test_a_sheet_in_another_format_arrives_alike(send: Sender, tmp_path: Path, suffix: str) -> None:
    """Texts and plain numbers come through .ods and .xls; the results file of both is a workbook."""
    source = written_workbook(tmp_path / "visits.xlsx", table_of(TEXTS))

    sent = send(converted(source, suffix, tmp_path / "saved"))

    assert (sent.exit, sent.arrived, sent.results.suffix) == (0, list(TEXTS), ".xlsx")
