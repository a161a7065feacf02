"""Strangers' words as they are shown: one line, bounded, with nothing in it that cannot be seen."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.errors import SheetError
from importer.text import command_line, json_line, listed, one_line, printable, quoted, shown

FORGED = "Visits\nOrganisation: Acme\r\x1b[2J\u202egpj.exe\u200b\u3164\u2800\xa0\u2028\U000e0041"


@pytest.mark.security
def test_a_name_cannot_forge_a_line_or_hide_anything() -> None:
    """Breaks, colours, reading direction, blanks that look like nothing."""
    assert shown(FORGED) == (
        r"Visits\nOrganisation: Acme\r\x1b[2J\u202egpj.exe\u200b\u3164\u2800\xa0\u2028\U000e0041"
    )
    assert quoted("a\nb") == r'"a\nb"'
    assert str(SheetError("Wrong.", where=f'{FORGED}.xlsx, sheet "x\ny"')).isprintable()


@pytest.mark.security
@given(st.text(), st.integers(1, 60))
def test_shown_text_is_one_bounded_line(text: str, length_max: int) -> None:
    """Whatever comes in, and again when it is shown once more."""
    for line in (shown(text, length_max), one_line(text, length_max)):
        assert (len(line) <= length_max, len(line.splitlines()) <= 1) == (True, True)
        assert all(char.isprintable() or char in "\u200c\u200d" for char in line)
    assert printable(printable(text)) == printable(text)


@pytest.mark.parametrize("word", ["Zürich", "नमस्ते", "می‌خواهم", "క్‍ష", "日本", "😀"])
def test_words_of_every_script_stay_as_they_are(word: str) -> None:
    """Persian and Indian words are spelt with joiners, which are invisible."""
    assert shown(word) == word


def test_long_text_is_cut_and_says_so() -> None:
    """An escape counts as what is seen of it."""
    assert shown("x" * 300, 10) == "x" * 9 + "…"
    assert shown("\n" * 300, 10) == r"\n\n\n\n\…"


@pytest.mark.parametrize(
    ("words", "expected"),
    [("", ""), ("a", "a"), ("ab", "a or b"), ("abc", "a, b or c"), ("abcde", "a, b, c and 2 more")],
)
def test_lists_are_cut_and_say_how_many_are_left(words: str, expected: str) -> None:
    """As one says it."""
    assert listed(list(words), 3, last=" or ") == expected
    assert listed(["a", "b", "c"]) == "a, b, c"


def test_of_a_list_that_is_not_all_there_the_rest_is_counted() -> None:
    """The first twenty of thousands are kept."""
    assert listed(["row 2", "row 3"], total=1_002) == "row 2, row 3 and 1,000 more"


@pytest.mark.security
@pytest.mark.skipif(sys.platform == "win32", reason="the quotes of a POSIX shell")
@pytest.mark.parametrize("name", ["visits.csv", "my visits.csv", "$(touch x)`id`.csv", 'a"b.csv', "it's.csv"])
def test_a_command_for_pasting_means_the_same_file(name: str) -> None:
    """A file's name must not run anything."""
    line = command_line("importer", "resume", name)
    said = subprocess.run(
        ["sh", "-c", f'importer() {{ printf "%s|" "$@"; }}; {line}'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert (said.stdout, shlex.split(line)) == (f"resume|{name}|", ["importer", "resume", name])


def test_a_command_for_windows_takes_double_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    """cmd and PowerShell know no others alike."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        line = command_line("importer", "resume", r"C:\Users\Asha Rao\visits.results.csv", r"D:\a.csv")
    assert line == r'importer resume "C:\Users\Asha Rao\visits.results.csv" D:\a.csv'


@pytest.mark.security
@given(st.dictionaries(st.text(), st.text()))
def test_json_says_the_same_to_a_program_and_nothing_to_a_terminal(data: dict[str, str]) -> None:
    """One line without control or invisible characters."""
    line = json_line(data)
    assert (json.loads(line), line.isprintable()) == (data, True)
