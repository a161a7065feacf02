"""A file is what its contents are, and its name has to agree."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import as_nobody
from sheets import trap, written_workbook
from test_sheets_text import cells, refusal

from importer.errors import SheetError
from importer.sheets.detect import OLE_MAGIC


def test_a_missing_file(tmp_path: Path) -> None:
    """With its whole path."""
    told = refusal(tmp_path / "visits.csv")
    assert "There is no such file." in told
    assert str(tmp_path) in told


def test_a_folder(tmp_path: Path) -> None:
    """Also one that is called like a sheet."""
    path = tmp_path / "visits.csv"
    path.mkdir()
    assert "This is a folder" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Opening it would never end."""
    path = tmp_path / "visits.csv"
    os.mkfifo(path)
    assert "a device or a pipe" in refusal(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
def test_a_device_under_a_sheets_name(tmp_path: Path) -> None:
    """A link to an endless device."""
    path = tmp_path / "visits.csv"
    path.symlink_to("/dev/zero")
    assert "a device or a pipe" in refusal(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    """The system's word in ours."""
    path = tmp_path / "visits.csv"
    path.write_text("A,B\n", encoding="utf-8")
    path.chmod(0)
    with as_nobody():
        assert "may not be read" in refusal(path)


@pytest.mark.parametrize("name", ["visits.docx", "visits", "visits.csv.bak", ".csv"])
def test_an_unknown_ending(tmp_path: Path, name: str) -> None:
    """With those that are known."""
    path = tmp_path / name
    path.write_text("A,B\n1,2\n", encoding="utf-8")
    assert ".csv, .tsv" in refusal(path)


def test_endings_in_capitals(tmp_path: Path) -> None:
    """As old programs write them."""
    path = tmp_path / "VISITS.CSV"
    path.write_text("A,B\n1,2\n", encoding="utf-8")
    assert cells(path) == [("1", "2")]


@pytest.mark.parametrize("suffix", [".xlsx", ".xls", ".xlsb", ".ods", ".xlsm"])
@pytest.mark.parametrize("name", ["exact_texts.csv", "utf16_le_bom.csv"])
def test_text_named_as_a_workbook(tmp_path: Path, suffix: str, name: str) -> None:
    """Renamed by hand, or by a report export."""
    path = tmp_path / f"visits{suffix}"
    shutil.copy(trap(name), path)
    told = refusal(path)
    assert "the contents are delimited text" in told
    assert "visits.csv" in told


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".xls", ".xlsb", ".ods"])
def test_a_workbook_under_another_name(tmp_path: Path, suffix: str) -> None:
    """The remedy names the right one."""
    path = written_workbook(tmp_path / "visits.xlsx", [["A", "B"]]).rename(tmp_path / f"visits{suffix}")
    told = refusal(path)
    assert "the contents are an Excel workbook" in told
    assert "visits.xlsx" in told


@pytest.mark.parametrize(
    ("name", "what"), [("web_page.xls", "a web page"), ("xml_2003.xls", "an XML spreadsheet of 2003")]
)
@pytest.mark.parametrize("suffix", [".xls", ".xlsx", ".csv"])
def test_a_web_page_named_as_a_sheet(tmp_path: Path, name: str, what: str, suffix: str) -> None:
    """As many report exports do."""
    path = tmp_path / f"visits{suffix}"
    shutil.copy(trap(name), path)
    told = refusal(path)
    assert what in told
    assert ".xlsx" in told


def test_an_encrypted_workbook(tmp_path: Path) -> None:
    """It looks like an old workbook; a stream's name tells."""
    path = tmp_path / "visits.xlsx"
    path.write_bytes(OLE_MAGIC + b"\0" * 5000 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 5000)
    told = refusal(path)
    assert "encrypted with a password" in told


def test_an_old_workbook_under_a_new_name(tmp_path: Path) -> None:
    """The old container's first bytes."""
    path = tmp_path / "visits.xlsx"
    path.write_bytes(OLE_MAGIC + b"\0" * 5000)
    assert "an old Excel workbook (.xls)" in refusal(path)


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"%PDF-1.7\n", "a PDF"),
        (b"\x1f\x8b\x08", "a gzip"),
        (b"\x89PNG\r\n", "a picture"),
        (b"{\\rtf1", "an RTF"),
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_other_kinds_of_files_are_named(tmp_path: Path, head: bytes, what: str, suffix: str) -> None:
    """Whatever they are called."""
    path = tmp_path / f"visits{suffix}"
    path.write_bytes(head + b"\0" * 100)
    assert what in refusal(path)


@pytest.mark.parametrize(
    ("member", "what"),
    [
        ("word/document.xml", "a Word document"),
        ("readme.txt", "a zip archive"),
        ("Index/Document.iwa", "Numbers"),
    ],
)
def test_other_archives_are_named(tmp_path: Path, member: str, what: str) -> None:
    """Not every zip is a workbook."""
    path = tmp_path / "visits.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, b"x")
        archive.writestr("other", b"x")
    assert what in refusal(path)


def test_noise_named_as_a_workbook(tmp_path: Path) -> None:
    """Bytes of nothing in particular."""
    path = tmp_path / "visits.xlsx"
    path.write_bytes(bytes(range(256)) * 10)
    assert "not an Excel workbook" in refusal(path)


def test_an_empty_archive(tmp_path: Path) -> None:
    """A zip of no members."""
    path = tmp_path / "visits.xlsx"
    with zipfile.ZipFile(path, "w"):
        pass
    assert "zip archive" in refusal(path)


OTHER_TEXTS = {
    "a web archive": b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=x\r\n\r\n--x\r\n",
    "a SYLK file": b'ID;PWXL;N;E\r\nP;PGeneral\r\nC;Y1;X1;K"Account ID"\r\nE\r\n',
    "a DIF file": b'TABLE\r\n0,1\r\n"EXCEL"\r\nVECTORS\r\n0,2\r\n""\r\n',
    "a JSON file": b'[\n  {"Account ID": "1", "Note": "x"}\n]',
    "an XML file": b'<?xml version="1.0"?>\n<rows><row id="1"/></rows>',
    "a web page": b"<!-- report -->\n<div><table><tr><td>A</td></tr></table></div>",
    "an XML spreadsheet of 2003": b'<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"/>',
    "a flat OpenDocument file": b'<?xml version="1.0"?><office:document xmlns:office="urn:x">',
    "SQL commands": b"-- dump\nINSERT INTO visits VALUES (1, 2);\n",
    "contacts": b"BEGIN:VCARD\r\nVERSION:3.0\r\n",
    "an RTF document": b"{\\rtf1\\ansi A}",
}


@pytest.mark.parametrize("what", OTHER_TEXTS)
@pytest.mark.parametrize("suffix", [".csv", ".xls", ".xlsx", ".txt"])
def test_text_of_another_kind_is_called_what_it_is(tmp_path: Path, what: str, suffix: str) -> None:
    """With a way out that helps, which is not another name."""
    path = tmp_path / f"visits{suffix}"
    path.write_bytes(OTHER_TEXTS[what])
    told = refusal(path)
    assert what in told
    assert "rename" not in told
    assert ".xlsx" in told


@pytest.mark.parametrize(
    "text",
    [
        "ID;Phone;Name\n1;2;3\n",
        "[Account ID],Note\n1,x\n",
        "TABLE,Note\n1,x\n",
        "<Account>,Note\n1,x\n",
        "Date: 2026,Note\n1,x\n",
        "{Id},Note\n1,x\n",
        "Begin,End\n1,2\n",
    ],
)
def test_headings_that_only_begin_alike_are_text(tmp_path: Path, text: str) -> None:
    """A first heading ID is usual, though Excel itself takes such a file for SYLK."""
    path = tmp_path / "visits.csv"
    path.write_text(text, encoding="utf-8")
    assert len(cells(path)) == 1


@pytest.mark.parametrize("unit", ["<!---->", "/**/", "--\n", "<b ", "{ ", "a: b\n", "<?xml ", "-- /* "])
def test_no_beginning_takes_long_to_recognise(tmp_path: Path, unit: str) -> None:
    """The patterns are linear: a thousand comments end in a moment, as text or as a refusal."""
    path = tmp_path / "visits.csv"
    path.write_text(unit * 2000 + "\n1,2\n", encoding="utf-8")
    with contextlib.suppress(SheetError):
        cells(path)
