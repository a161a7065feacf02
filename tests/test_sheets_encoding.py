"""The encoding is known or asked for; it is never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from sheets import trap
from test_sheets_text import EXACT, cells, refusal

from importer.errors import SheetError
from importer.sheets import SheetOptions, UnknownEncodingError, open_sheet


def test_cp1252_unannounced_is_a_question_that_shows_the_line() -> None:
    """The doubtful line is shown as cp1252 would read it, with its line and character."""
    with pytest.raises(UnknownEncodingError) as caught:
        open_sheet(trap("cp1252_unannounced.csv"))
    told = str(caught.value)
    assert "line 3, character 7" in told
    assert '"A2,Lefèvre,Orléans"' in told
    assert "--encoding cp1252" in told
    assert "`encoding: cp1252`" in told


def test_cp1252_announced_is_read() -> None:
    """A person has said so."""
    assert cells(trap("cp1252_unannounced.csv"), SheetOptions(encoding="cp1252"))[1:] == [
        ("A2", "Lefèvre", "Orléans"),
        ("A3", "“Smart” €", "Köln"),
    ]


def test_a_wrong_announcement_is_refused_with_line_and_character() -> None:
    """Strict also where a person chose."""
    told = refusal(trap("not_cp1252_either.csv"), SheetOptions(encoding="cp1252"))
    assert "line 3, character 4" in told
    assert "not cp1252" in told


def test_utf8_announced_as_cp1252_is_read_as_told_with_a_warning(tmp_path: Path) -> None:
    """`Ã¨` for `è` is what comes of it: the person is told."""
    path = tmp_path / "utf8.csv"
    path.write_text("A,B\n1,Lefèvre\n", encoding="utf-8")
    with open_sheet(path, SheetOptions(encoding="cp1252")) as sheet:
        assert "correct UTF-8" in sheet.warnings[0]
        assert [row.cells[1] for row in sheet.rows()] == ["LefÃ¨vre"]


def test_cp1252_announced_rightly_gives_no_warning() -> None:
    """Nothing to tell."""
    with open_sheet(trap("cp1252_unannounced.csv"), SheetOptions(encoding="cp1252")) as sheet:
        assert sheet.warnings == []


def test_a_byte_order_mark_overrules_what_was_announced() -> None:
    """Nobody means `ï»¿` to be the first heading."""
    with open_sheet(trap("utf8_bom.csv"), SheetOptions(encoding="cp1252")) as sheet:
        assert sheet.header == ("Id", "Text")
        assert tuple(row.cells[1] for row in sheet.rows()) == EXACT
        assert "mark of UTF-8" in sheet.warnings[0]


@pytest.mark.parametrize("announced", ["utf-8", "utf-8-sig", "UTF8"])
def test_an_announcement_that_agrees_with_the_mark_gives_no_warning(announced: str) -> None:
    """All names of UTF-8 are one."""
    with open_sheet(trap("utf8_bom.csv"), SheetOptions(encoding=announced)) as sheet:
        assert sheet.warnings == []


def test_utf16_without_a_mark_is_refused_with_its_likely_name() -> None:
    """Every other byte is NUL: the message says what that means."""
    assert "--encoding utf-16-le" in refusal(trap("utf16_no_bom.csv"))
    rows = cells(trap("utf16_no_bom.csv"), SheetOptions(encoding="utf-16-le"))
    assert tuple(row[1] for row in rows) == EXACT


def test_a_nul_is_refused_with_line_and_character() -> None:
    """No text holds one."""
    told = refusal(trap("nul.csv"))
    assert "NUL" in told
    assert "line 3, character 4" in told


@pytest.mark.parametrize("name", ["klingon", "base64", "rot13", "unicode_escape", "utf-7", "hex", ""])
def test_an_unknown_encoding_is_refused(name: str) -> None:
    """And so is a codec that would rewrite what stands in the file."""
    assert "is not a known text encoding" in refusal(trap("exact_texts.csv"), SheetOptions(encoding=name))


def test_a_misspelt_encoding_gets_the_nearest_name() -> None:
    """cp1253 exists, cp12522 does not."""
    assert "Did you mean cp1252?" in refusal(trap("exact_texts.csv"), SheetOptions(encoding="cp12522"))


def test_an_error_far_into_the_file_is_found_before_any_row_is_given(tmp_path: Path) -> None:
    """The whole file is checked first; line and character are right across blocks."""
    path = tmp_path / "late.csv"
    path.write_bytes(b"A,B\n" + b"1,x\xc3\xa9\n" * 400_000 + b"2,y\xe9z\n" + b"3,w\n")
    with pytest.raises(SheetError) as caught:
        open_sheet(path)
    assert "line 400002, character 4" in str(caught.value)
    assert '"2,yéz"' in str(caught.value)


@pytest.mark.parametrize("shift", range(4))
def test_a_character_cut_by_a_block_is_one_character(tmp_path: Path, shift: int) -> None:
    """The bytes of a character on either side of a megabyte belong together."""
    path = tmp_path / "cut.csv"
    path.write_text("A,B\n" + "x" * shift + ",é€😀\n" * 300_000, encoding="utf-8")
    assert {row[1] for row in cells(path)} == {"é€😀"}


def test_a_truncated_character_at_the_end_is_refused(tmp_path: Path) -> None:
    """A download that broke off."""
    path = tmp_path / "cut.csv"
    path.write_bytes(b"A,B\n1,x\xc3")
    assert "line 2, character 4" in refusal(path)


def test_utf32_is_told_from_utf16(tmp_path: Path) -> None:
    """Its byte order mark begins with that of UTF-16."""
    path = tmp_path / "utf32.csv"
    path.write_bytes(b"\xff\xfe\0\0" + "A,B\n1,é\n".encode("utf-32-le"))
    assert cells(path) == [("1", "é")]


def test_lone_surrogates_do_not_get_through_utf16(tmp_path: Path) -> None:
    """Half a character cannot be sent."""
    path = tmp_path / "half.csv"
    path.write_bytes(b"\xff\xfe" + "A,B\n1,x".encode("utf-16-le") + b"\x3d\xd8" + "\n".encode("utf-16-le"))
    assert "line 2" in refusal(path)


@pytest.mark.parametrize("end", [b"\x1a", b"\x1a\r\n", b"\x1a" * 100])
def test_a_ctrl_z_at_the_end_is_the_end(tmp_path: Path, end: bytes) -> None:
    """FoxPro, Tally and mainframes end a text with it, or pad its last block."""
    path = tmp_path / "visits.csv"
    path.write_bytes(b"A,B\r\n1,2\r\n3,4\r\n" + end)
    assert cells(path) == [("1", "2"), ("3", "4")]
    path.write_bytes(b"A,B\r\n1,2\r\n3,4" + end.rstrip())
    assert cells(path) == [("1", "2"), ("3", "4")]


@pytest.mark.parametrize("codec", ["utf-8", "utf-16-le", "utf-32-le", "utf-32-be"])
def test_two_byte_order_marks_are_one(tmp_path: Path, codec: str) -> None:
    """A tool put one before a text that had one."""
    path = tmp_path / "visits.csv"
    path.write_bytes("\ufeff\ufeffA,B\n1,ü\n".encode(codec))
    with open_sheet(path) as sheet:
        assert sheet.header == ("A", "B")
        assert [row.cells for row in sheet.rows()] == [("1", "ü")]
