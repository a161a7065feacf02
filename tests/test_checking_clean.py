"""What is clean stays silent: no problem and no question where nothing is wrong."""

from __future__ import annotations

import csv
import datetime as dt
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from benchmarks import measuring

from importer.checking.survey import Survey
from importer.mapping.mapping import Mapping, load_mapping
from importer.sheets import SheetOptions, open_sheet

ROOT = Path(__file__).parent.parent
TABLES = 500
NAMES = (
    "O’Neill Ltd",
    'Hotel "Taj"',
    "Müller & Söhne",
    "ग्राहक",
    "Asha, Rao",
    "李商店",
    "x",
    "N. A. Traders",
    "Null Inc",
)
NOTES = (
    "Met the owner; wants a second demo.",
    'Said "maybe", then: no',
    "first line\nsecond line, with a comma",
    "- point one\n- point two\n\n- point three",
    "5 kg of 2\" pipe, 3' long",
    "see https://example.com/a?b=1,2",
    "",
)


def surveyed(path: Path, mapping: Mapping) -> Survey:
    """The sheet through the mapping."""
    how = SheetOptions(sheet=mapping.sheet, header_row=mapping.header_row)
    with open_sheet(path, how) as sheet:
        mapper = mapping.bind(sheet.header)
        survey = Survey(mapper)
        for row in sheet.rows():
            survey.take(row, mapper.map(row))
        survey.close(sheet)
    return survey


def doubts(survey: Survey) -> list[str]:
    """All problems and questions."""
    return [f"{each.kind} {each.cells_text()}" for each in (*survey.problems.all(), *survey.questions.all())]


@pytest.mark.parametrize(
    ("sheet", "mapping"),
    [("visits.csv", "visits.yaml"), ("calls.xlsx", "calls.yaml")],
    ids=["visits", "calls"],
)
def test_the_samples_are_silent(sheet: str, mapping: str) -> None:
    """Those that are meant to be imported."""
    assert doubts(surveyed(ROOT / "samples" / sheet, load_mapping(ROOT / "mappings" / mapping))) == []


def test_the_sheets_of_the_benchmarks_are_silent(tmp_path: Path) -> None:
    """Thousands of rows of the same making."""
    sheet = measuring.csv_sheet(tmp_path / "visits.csv", 3_000)
    with measuring.folder() as work:
        mapping = load_mapping(work / "visits.yaml")

    assert doubts(surveyed(sheet, mapping)) == []


Cells = Callable[[random.Random], str]


def _day(form: str) -> Cells:
    return lambda chance: (dt.date(2026, 1, 1) + dt.timedelta(days=chance.randrange(300))).strftime(form)


KINDS: dict[str, tuple[str, Cells]] = {
    "name": ("{column: %s}", lambda chance: chance.choice(NAMES)),
    "note": ("{column: %s}", lambda chance: chance.choice(NOTES)),
    "code": ("{column: %s}", lambda chance: f"{chance.randrange(100_000):05}"),
    "long code": ("{column: %s}", lambda chance: f"{chance.randrange(10**15):018}"),
    "letter code": ("{column: %s}", lambda chance: f"A-{chance.randrange(99)}E{chance.randrange(9)}"),
    "phone": ("{column: %s}", lambda chance: f"+9198{chance.randrange(10**8):08}"),
    "word": ("{column: %s, one_of: [Won, Lost]}", lambda chance: chance.choice(["Won", "lost", ""])),
    "day": ('{column: %s, type: date, format: "%%d/%%m/%%Y"}', _day("%d/%m/%Y")),
    "us day": ('{column: %s, type: date, format: "%%m/%%d/%%y"}', _day("%m/%d/%y")),
    "instant": ("{column: %s, type: datetime, timezone: Asia/Kolkata}", _day("%Y-%m-%d 10:30:00")),
    "whole": ("{column: %s, type: integer}", lambda chance: str(chance.randrange(-50, 5_000))),
    "amount": ("{column: %s, type: number}", lambda chance: f"{chance.randrange(10**6) / 100:.2f}"),
    "rupees": (
        "{column: %s, type: number, currency: true}",
        lambda chance: f"₹ {chance.randrange(1, 99)},{chance.randrange(1000):03}.50",
    ),
    "german": (
        '{column: %s, type: number, decimal: ","}',
        lambda chance: f"{chance.randrange(1, 99)}.{chance.randrange(1000):03},50",
    ),
    "answer": ("{column: %s, type: boolean}", lambda chance: chance.choice(["yes", "No", ""])),
    "colours": (
        "{column: %s, type: list, one_of: [Red, Blue]}",
        lambda chance: chance.choice(["Red; Blue", "blue", ""]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("part", range(10))
def test_generated_tables_are_silent(part: int, tmp_path: Path) -> None:
    """Names, notes of several lines, codes, dates, amounts; in any delimiter and manner of quoting."""
    loud = []
    for seed in range(part, TABLES, 10):
        chance = random.Random(seed)
        path, mapping = _table(tmp_path / f"{seed}.csv", chance)
        found = doubts(surveyed(path, mapping))
        if found:
            loud.append((seed, found))

    assert loud == []


def _table(path: Path, chance: random.Random) -> tuple[Path, Mapping]:
    """A clean table and the mapping that fits it."""
    kinds = chance.sample(sorted(KINDS), chance.randrange(1, 8))
    headings = [f"Column {at}" for at in range(len(kinds))]
    fields = "\n".join(
        f"  mx_Custom_{at}: {KINDS[kind][0] % heading}"
        for at, (kind, heading) in enumerate(zip(kinds, headings, strict=True), 1)
    )
    text = f"RelatedCompanyId: Account ID\nActivityEvent: 10001\nFields:\n{fields}\n"
    rows = list(_rows(kinds, chance))
    _write(path, [["Account ID", *headings], *rows], chance)
    return path, Mapping.of_text(text, str(path.with_suffix(".yaml")))


def _rows(kinds: Sequence[str], chance: random.Random) -> Iterator[list[str]]:
    for _ in range(chance.randrange(1, 40)):
        yield [str(uuid.UUID(int=chance.getrandbits(128))), *(KINDS[kind][1](chance) for kind in kinds)]


def _write(path: Path, lines: list[list[str]], chance: random.Random) -> None:
    """As different programs write CSV: delimiter, quoting, line ends, byte order mark, trailing cells."""
    trailing = chance.choice(["as they are", "left out", "one more everywhere"])
    if trailing == "left out":
        lines = [lines[0], *(_without_empty_end(line) for line in lines[1:])]
    elif trailing == "one more everywhere":
        lines = [[*line, ""] for line in lines]
    encoding = chance.choice(["utf-8", "utf-8-sig", "utf-16"])
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.writer(
            stream,
            delimiter=chance.choice(",;\t|"),
            quoting=chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
            lineterminator=chance.choice(["\r\n", "\n"]),
        )
        writer.writerows(lines)


def _without_empty_end(line: list[str]) -> list[str]:
    while line and not line[-1]:
        line = line[:-1]
    return line
