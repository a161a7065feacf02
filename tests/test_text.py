"""Words for people: strangers' words on one line, bounded, with nothing in it that cannot be seen; numbers
and lengths of time as a terminal of 80 columns shows them."""

from __future__ import annotations

import json
import math
import os
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.errors import SheetError
from importer.text import (
    clock,
    command_line,
    count,
    duration,
    json_line,
    listed,
    one_line,
    pad,
    printable,
    quoted,
    shorten,
    shown,
    width,
    wrap,
)

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


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "less than a second"),
        (1, "1 second"),
        (45.4, "45 seconds"),
        (100, "2 minutes"),
        (3000, "50 minutes"),
        (7800, "2 hours 10 minutes"),
        (7200, "2 hours"),
        (200_000, "2 days 8 hours"),
        (math.inf, "an unknown time"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds: float, said: str) -> None:
    """Two units at most, no decimals."""
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (67.4, "1:07"), (3723, "1:02:03"), (math.inf, "?")]
)
def test_a_clock_is_narrow(seconds: float, shown: str) -> None:
    """What stands beside the progress bar."""
    assert clock(seconds) == shown


def test_one_of_a_thing_is_singular() -> None:
    """`1 row`, `2 rows`, `1,000 entries`."""
    assert [count(1, "row"), count(2, "row"), count(1000, "entry", "entries")] == [
        "1 row",
        "2 rows",
        "1,000 entries",
    ]


def test_widths_follow_the_script() -> None:
    """A CJK character takes two columns, a combining mark none."""
    assert [width("abc"), width("日本"), width("नि"), width("e\u0301")] == [3, 4, 2, 1]


@given(st.text(), st.integers(2, 40))
def test_shortened_text_fits_and_stays_on_one_line(text: str, columns: int) -> None:
    """Whatever a cell holds, it takes the columns it was given, and no second line."""
    short = shorten(text, columns)

    assert width(short) <= columns
    assert len(short.splitlines()) <= 1


def test_wrapped_text_keeps_a_path_whole() -> None:
    """Lines break at spaces only, so that a path can be copied."""
    path = "/a/very/long/path/to/the/results/file/of/this/batch.results.csv"

    assert wrap(f"The results are in {path} now.", 40) == ["The results are in", path, "now."]


def test_padding_counts_columns_not_characters() -> None:
    """Columns line up below one another in any script."""
    assert [width(pad(name, 8)) for name in ("abc", "日本", "नि")] == [8, 8, 8]
