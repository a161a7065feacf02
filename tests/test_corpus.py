"""Each small sheet of the corpus: what is found in it, and what arrives."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Importer
from corpus import Trap
from corpus_sheets import CELLS, RECORDS, CellTrap, TextTrap
from corpus_values import VALUES

from importer.activity import Activity
from importer.mapping.mapping import load_mapping
from importer.sheets import SheetOptions, open_sheet

CORPUS = (*VALUES, *RECORDS, *CELLS)


@pytest.mark.parametrize("trap", CORPUS, ids=lambda trap: trap.name)
def test_what_is_found_and_what_arrives(
    trap: Trap | TextTrap | CellTrap, importer: Importer, tmp_path: Path
) -> None:
    """As the corpus says, through the command line; its exit code fits."""
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(trap.mapping(), encoding="utf-8")
    sheet = trap.write(tmp_path)

    result = importer("check", sheet, "-m", mapping, "--json")

    assert (_found(result.json), _sent(sheet, mapping)) == (sorted(trap.found), list(trap.sent))
    assert result.exit == int(any(not found.startswith("notice") for found in trap.found))


def test_an_open_question_stops_a_run_and_names_what_settles_it(importer: Importer, tmp_path: Path) -> None:
    """Also a rehearsal; `--accept` lets it go on."""
    trap = next(trap for trap in VALUES if trap.name == "points group thousands")
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(trap.mapping(), encoding="utf-8")
    sheet = trap.write(tmp_path)

    stopped = importer("run", sheet, "-m", mapping, "--sandbox", "--json")
    accepted = importer(
        "run", sheet, "-m", mapping, "--sandbox", "--accept", "decimal-or-thousands", "--json"
    )

    assert (stopped.exit, accepted.exit, accepted.json["created"]) == (2, 0, 2)
    assert "--accept decimal-or-thousands" in stopped.json["error"]
    assert '`decimal: "."`' in stopped.json["error"]


def test_a_kind_that_is_no_question_cannot_be_accepted(importer: Importer, tmp_path: Path) -> None:
    """Exit code 2, with the kinds there are."""
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(VALUES[0].mapping(), encoding="utf-8")
    result = importer("check", VALUES[0].write(tmp_path), "-m", mapping, "--accept", "missing")

    assert (result.exit, "mixed-dates" in result.stderr) == (2, True)


def test_totals_do_not_stop_a_trial(importer: Importer, tmp_path: Path) -> None:
    """`--limit 1` goes on although the last row is a total; another invalid row stops it."""
    outcomes = []
    for name in ("a total", "a misspelling"):
        trap = next(trap for trap in VALUES if trap.name == name)
        folder = tmp_path / name
        folder.mkdir()
        mapping = folder / "mapping.yaml"
        mapping.write_text(trap.mapping(), encoding="utf-8")
        sheet = trap.write(folder)
        outcomes.append(importer("run", sheet, "-m", mapping, "--sandbox", "--limit", "1", "--json").exit)

    assert outcomes == [1, 2]


@pytest.mark.parametrize(
    ("heading", "asked", "said"),
    [
        ("Account\u200bID", "AccountID", "They differ in zero width space (U+200B)."),
        ("Owner’s note", "Owner's note", "apostrophe (U+0027) and right single quotation mark (U+2019)."),
        ("Сode", "Code", "latin capital letter c (U+0043) and cyrillic capital letter es (U+0421)."),
    ],
)
def test_headings_that_look_alike_say_what_differs(
    importer: Importer, tmp_path: Path, heading: str, asked: str, said: str
) -> None:
    """Otherwise the message would show the same heading twice."""
    trap = Trap("", ["x"], asked, (), (), (heading,))
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(trap.mapping(), encoding="utf-8")
    result = importer("check", trap.write(tmp_path), "-m", mapping, "--json")

    assert (result.exit, said in result.json["error"]) == (2, True), result.json["error"]


@pytest.mark.parametrize("title", ["Visits in July\n\n", "Visits,July\n,,\n", "# exported\n# by Bob, West\n"])
def test_headings_below_a_title_are_named(importer: Importer, tmp_path: Path, title: str) -> None:
    """Instead of every heading that row 1 does not have."""
    trap = TextTrap("", f"{title}Account,Value,Note\n@1,a,b\n@2,c,d\n", (), ())
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(trap.mapping(), encoding="utf-8")
    sheet = trap.write(tmp_path)
    for command in (("check",), ("run", "--sandbox")):
        result = importer(command[0], sheet, "-m", mapping, *command[1:], "--json")
        assert (result.exit, result.json["error_code"]) == (2, "mapping")
        assert "Set `header_row: 3` in the mapping." in result.json["error"]


def _found(told: dict[str, list[dict[str, object]]]) -> list[str]:
    return sorted(
        " ".join((str(each["severity"]), str(each["kind"]), *map(str, each["cells"])))  # type: ignore[call-overload]
        for group in ("problems", "questions", "notices")
        for each in told[group]
    )


def _sent(sheet: Path, mapping: Path) -> list[str]:
    """What each row sends in the field (or note) of the trap."""
    plan = load_mapping(mapping)
    with open_sheet(sheet, SheetOptions(header_row=plan.header_row)) as opened:
        mapper = plan.bind(opened.header)
        return [_value(mapper.map(row)) for row in opened.rows()]


def _value(mapped: object) -> str:
    if not isinstance(mapped, Activity):
        return "-"
    return mapped.note if mapped.note is not None else dict(mapped.fields).get("mx_Custom_1", "")
