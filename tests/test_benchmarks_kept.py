"""What the comparison keeps beside itself can be shown: no figure in it is judged here."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.comparison import TABLE_HEADER
from benchmarks.comparison_plot import in_window, plot

HERE = Path(__file__).parent / "benchmarks"
SVG = "{http://www.w3.org/2000/svg}"


def test_the_kept_plot_is_svg_with_a_line_for_each_contestant_and_one_for_the_limit() -> None:
    """It is what README shows."""
    root = ET.parse(HERE / "comparison.svg").getroot()
    limits = [line for line in root.iter(f"{SVG}line") if "stroke-dasharray" in line.attrib]
    assert (root.tag, len(list(root.iter(f"{SVG}polyline"))), len(limits)) == (f"{SVG}svg", 4, 1)


def test_the_kept_table_has_all_columns_in_every_line() -> None:
    """A markdown table of four contestants."""
    lines = (HERE / "comparison.md").read_text("utf-8").splitlines()
    columns = {line.count("|") - 1 for line in lines}
    assert (len(lines), columns) == (6, {len(TABLE_HEADER)})


def test_a_window_ends_at_the_moment_it_is_asked_for() -> None:
    """A call exactly one period old is out, one of this very moment is in."""
    assert [in_window([0.0, 1.0, 5.0], at, 5.0) for at in (0.0, 4.9, 5.0, 6.0)] == [1, 2, 2, 1]


def test_a_plot_of_any_names_is_well_formed() -> None:
    """Names are text, not markup."""
    drawn = plot({"<a & b>": [0.0, 0.2, 7.0], "none": [0.0]}, limit=25, period_s=5.0)
    assert "<a & b>" in "".join(ET.fromstring(drawn).itertext())
