"""Numbers, lengths of time and strangers' words, as a terminal of 80 columns shows them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.wording import clock, count, duration, pad, shorten, width, wrap


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
