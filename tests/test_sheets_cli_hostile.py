"""Files that would exhaust a computer: `importer` ends with 2, soon, in little memory, with one sentence.

Each is read by the whole command line in a process of its own, which reports what it took.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import child_environment
from sheets import MAIN, inflate_member, open_document, raw_workbook, sheet_xml, text_rows, written_workbook
from sheets.sending import ACCOUNT, MAPPING, table_of

pytestmark = pytest.mark.security

MEMORY_MAX_MB = 400
TIME_MAX_S = 20
SHEET = "xl/worksheets/sheet1.xml"
Build = Callable[[Path], Path]

COMMAND = """
import json, os, sys
start = sum(os.times()[:4])
from importer.cli.main import run

code = run(sys.argv[1:])
seconds = sum(os.times()[:4]) - start
peak = 0
if sys.platform == "linux":  # ru_maxrss of this process would begin with that of the one that started it
    import resource
    own = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    peak = max(int(own[0]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
sys.stderr.flush()
print("\\n" + json.dumps([code, seconds, peak]))
"""


@dataclass(frozen=True)
class Ending:
    """How a command ended, what it said to the person, and what it took."""

    exit: int
    told: str
    seconds: float
    peak_mb: float


def importer_apart(*arguments: str | Path) -> Ending:
    """`importer ARGUMENTS` in another process, within the limits and in one sentence or two."""
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        env=child_environment(),
        timeout=120,
        check=True,
    )
    code, seconds, peak_mb = json.loads(ended.stdout.splitlines()[-1])
    assert seconds < TIME_MAX_S
    assert peak_mb < MEMORY_MAX_MB
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert len(ended.stderr) < 600
    return Ending(code, ended.stderr.strip(), seconds, peak_mb)


def _workbook(folder: Path) -> Path:
    return written_workbook(folder / "bomb.xlsx", table_of(["x"]))


def _around(inside: str) -> tuple[bytes, bytes]:
    """A worksheet's XML before and after a place, below an honest header."""
    head, tail = sheet_xml(f"{text_rows(table_of([])[:1])}{inside}|").split("|")
    return head.encode(), tail.encode()


def _one_cell_of_2_gb(folder: Path) -> Path:
    head, tail = _around('<row r="2"><c r="A2" t="inlineStr"><is><t>')
    tail = b"</t></is></c></row>" + tail
    return inflate_member(_workbook(folder), SHEET, head=head, unit=b"a" * (1 << 20), times=2048, tail=tail)


def _a_billion_rows(folder: Path) -> Path:
    head, tail = _around("")
    return inflate_member(
        _workbook(folder), SHEET, head=head, unit=b"<row/>" * 100_000, times=10_000, tail=tail
    )


def _2_gb_of_shared_texts(folder: Path) -> Path:
    unit = b"<si><t>abcdefgh</t></si>" * 50_000
    return inflate_member(
        _workbook(folder),
        "xl/sharedStrings.xml",
        head=f'<sst xmlns="{MAIN}">'.encode(),
        unit=unit,
        times=1_800,
        tail=b"</sst>",
    )


def _an_entity_bomb(folder: Path) -> Path:
    letters = "abcdefghij"
    bomb = '<!DOCTYPE x [<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in pairwise(letters)
    )

    def arm(parts: dict[str, str]) -> None:
        parts[SHEET] = f"{bomb}]>{parts[SHEET]}".replace("x0", "&j;")

    return raw_workbook(folder / "entities.xlsx", sheet_xml(text_rows(table_of(["x0"]))), change=arm)


def _a_far_cell(folder: Path) -> Path:
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    return raw_workbook(folder / "far_cell.xlsx", sheet_xml(text_rows(table_of(["x"])) + far))


def _a_far_cell_without_a_header(folder: Path) -> Path:
    return raw_workbook(
        folder / "far_cell_only.xlsx", sheet_xml('<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    )


def _a_far_cell_in_open_document(folder: Path) -> Path:
    def cells(*texts: str) -> str:
        inside = "".join(
            f'<table:table-cell office:value-type="string"><text:p>{text}</text:p></table:table-cell>'
            for text in texts
        )
        return f"<table:table-row>{inside}</table:table-row>"

    rows = "".join(cells(*row) for row in table_of(["x"]))
    gap = '<table:table-row table:number-rows-repeated="1048500"><table:table-cell/></table:table-row>'
    aside = '<table:table-cell table:number-columns-repeated="16380"/>'
    far = cells("far").replace("<table:table-row>", f"<table:table-row>{aside}")
    return open_document(folder / "far_cell.ods", rows + gap + far)


def _a_repeated_cell_in_open_document(folder: Path) -> Path:
    cell = (
        '<table:table-cell table:number-columns-repeated="16384" office:value-type="string">'
        "<text:p>x</text:p></table:table-cell>"
    )
    row = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>'
    return open_document(folder / "repeated_cell.ods", row)


def _open_document_of_2_gb(folder: Path) -> Path:
    path = open_document(folder / "bomb.ods", "|")
    with zipfile.ZipFile(path) as archive:
        head, tail = archive.read("content.xml").split(b"|")
    unit = b"<table:table-row><table:table-cell/></table:table-row>" * 20_000
    return inflate_member(path, "content.xml", head=head, unit=unit, times=2_000, tail=tail)


def _truncated(folder: Path) -> Path:
    path = written_workbook(folder / "truncated.xlsx", table_of([f"text {at}" for at in range(2000)]))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def _encrypted(folder: Path) -> Path:
    path = folder / "encrypted.xlsx"
    stream = "EncryptedPackage".encode("utf-16-le")
    path.write_bytes(bytes.fromhex("D0CF11E0A1B11AE1") + bytes(4096) + stream + bytes(4096))
    return path


def _renamed(folder: Path) -> Path:
    return _workbook(folder).rename(folder / "renamed.csv")


def _old_workbook_of_noise(folder: Path) -> Path:
    path = folder / "noise.xls"
    path.write_bytes(bytes.fromhex("D0CF11E0A1B11AE1") + bytes(range(256)) * 4096)
    return path


def _a_line_of_300_mb(folder: Path) -> Path:
    path = folder / "long_line.csv"
    with path.open("wb") as stream:
        stream.write(f"Account ID,Line,Value\n{ACCOUNT},v0,".encode())
        for _ in range(300):
            stream.write(b"x" * (1 << 20))
    return path


def _a_first_line_of_300_mb(folder: Path) -> Path:
    path = folder / "long_header.csv"
    with path.open("wb") as stream:
        for _ in range(300):
            stream.write(b"x" * (1 << 20))
    return path


def _a_quoted_cell_of_100_mb(folder: Path) -> Path:
    path = folder / "long_quoted_cell.csv"
    with path.open("wb") as stream:
        stream.write(f'Account ID,Line,Value\n{ACCOUNT},v0,"'.encode())
        for _ in range(100):
            stream.write(b"some text\n" * 100_000)
    return path


def _a_million_headings(folder: Path) -> Path:
    path = folder / "wide.csv"
    path.write_bytes(b"A," * 1_000_000 + b"\n")
    return path


HOSTILE: dict[str, tuple[Build, str]] = {
    "one cell of 2 GB": (_one_cell_of_2_gb, "unpacks to"),
    "a billion rows": (_a_billion_rows, "unpacks to"),
    "2 GB of shared texts": (_2_gb_of_shared_texts, "unpacks to"),
    "an entity bomb": (_an_entity_bomb, "entities"),
    "a far cell": (_a_far_cell, "XFD1048576"),
    "a far cell and nothing else": (_a_far_cell_without_a_header, "row 1,048,576"),
    "a far cell (.ods)": (_a_far_cell_in_open_document, "far_cell.ods"),
    "a cell repeated over the whole sheet (.ods)": (_a_repeated_cell_in_open_document, "repeated_cell.ods"),
    "2 GB of rows (.ods)": (_open_document_of_2_gb, "unpacks to"),
    "half a workbook": (_truncated, "damaged or incomplete"),
    "a password": (_encrypted, "password"),
    "a workbook named .csv": (_renamed, "rename it"),
    "an old workbook of noise": (_old_workbook_of_noise, "noise.xls"),
    "a line of 300 MB": (_a_line_of_300_mb, "line"),
    "a first line of 300 MB": (_a_first_line_of_300_mb, "line"),
    "a quoted cell of 100 MB": (_a_quoted_cell_of_100_mb, "never closed"),
    "a million headings": (_a_million_headings, "columns"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.usefixtures("home")
def test_a_hostile_file_ends_in_one_sentence(tmp_path: Path, name: str) -> None:
    """Exit code 2, under 20 s and 400 MB."""
    build, told = HOSTILE[name]
    mapping = tmp_path / "exact.yaml"
    mapping.write_text(MAPPING, encoding="utf-8")
    source = build(tmp_path)

    ending = importer_apart("check", source, "-m", mapping)

    assert (ending.exit, told in ending.told) == (2, True)
    assert source.name in ending.told


@pytest.mark.parametrize("name", ["one cell of 2 GB", "a line of 300 MB", "a far cell"])
@pytest.mark.usefixtures("home")
def test_a_hostile_file_is_no_results_file(tmp_path: Path, name: str) -> None:
    """`resume` reads what people give it with the same care."""
    source = HOSTILE[name][0](tmp_path)

    ending = importer_apart("resume", source, "--sandbox")

    assert (ending.exit, source.name in ending.told) == (2, True)


@pytest.mark.usefixtures("home")
def test_a_hostile_table_of_values(tmp_path: Path) -> None:
    """A mapping's `values_file` is a sheet like any other."""
    _one_cell_of_2_gb(tmp_path)
    source = tmp_path / "visits.csv"
    source.write_text(f"Account ID,Line,Value\n{ACCOUNT},v0,x\n", encoding="utf-8")
    mapping = tmp_path / "values.yaml"
    mapping.write_text(
        MAPPING.replace("{column: Value, strip: false}", "{column: Value, values_file: bomb.xlsx}"),
        encoding="utf-8",
    )

    ending = importer_apart("check", source, "-m", mapping)

    assert (ending.exit, "bomb.xlsx" in ending.told) == (2, True)


@pytest.mark.usefixtures("home")
def test_a_mapping_that_refers_to_itself(tmp_path: Path) -> None:
    """Anchors that multiply: a billion entries of YAML in ten lines."""
    source = tmp_path / "visits.csv"
    source.write_text(f"Account ID,Line,Value\n{ACCOUNT},v0,x\n", encoding="utf-8")
    mapping = tmp_path / "laughs.yaml"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    letters = "abcdefghi"
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in pairwise(letters)]
    mapping.write_text("\n".join(lines), encoding="utf-8")

    ending = importer_apart("check", source, "-m", mapping)

    assert (ending.exit, "laughs.yaml" in ending.told) == (2, True)
