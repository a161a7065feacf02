"""Files that would exhaust a computer end in one sentence, soon, and in little memory.

Each is read to its end in a process of its own, which reports what it took.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from sheets import MAIN, inflate_member, raw_workbook, sheet_xml, text_rows, written_workbook

import importer
from importer.errors import SheetError
from importer.sheets import open_sheet

MEMORY_MAX_MB = 400
TIME_MAX_S = 20
SHEET = "xl/worksheets/sheet1.xml"

pytestmark = pytest.mark.security

READER = """
import json, os, sys
from pathlib import Path
from importer.errors import SheetError
from importer.sheets import open_sheet

start, told, rows = sum(os.times()[:4]), "", 0
try:
    with open_sheet(Path(sys.argv[1])) as sheet:
        for row in sheet.rows():
            rows += 1
except SheetError as error:
    told = str(error)
seconds = sum(os.times()[:4]) - start
peak = 0
if sys.platform == "linux":  # ru_maxrss would begin with that of the process that started this one
    import resource
    own = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")]
    peak = max(int(own[0]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024
print(json.dumps([told, rows, seconds, peak]))
"""


@dataclass(frozen=True)
class Reading:
    """What a person was told (empty: nothing), the rows read before that, and what it took."""

    told: str
    rows: int
    seconds: float
    peak_mb: float


def read_apart(path: Path) -> Reading:
    """Read the whole sheet in another process, within the limits."""
    environment = os.environ | {"PYTHONPATH": str(Path(importer.__file__).parents[1])}
    ended = subprocess.run(
        [sys.executable, "-c", READER, str(path)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=True,
    )
    reading = Reading(*json.loads(ended.stdout))
    assert ended.stderr == ""
    assert reading.seconds < TIME_MAX_S
    assert reading.peak_mb < MEMORY_MAX_MB
    return reading


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A workbook to be made hostile."""
    return written_workbook(tmp_path / "bomb.xlsx", [["A", "B"], ["1", "2"]])


def head_and_tail(inside: str) -> tuple[bytes, bytes]:
    """A worksheet's XML around a place."""
    head, tail = sheet_xml(f"{inside}|").split("|")
    return head.encode(), tail.encode()


def test_one_cell_of_two_gigabytes(path: Path) -> None:
    """Refused from the archive's directory, unpacked never."""
    head, tail = head_and_tail('<row r="1"><c r="A1" t="inlineStr"><is><t>')
    inflate_member(
        path, SHEET, head=head, unit=b"a" * (1 << 20), times=2048, tail=b"</t></is></c></row>" + tail
    )
    reading = read_apart(path)
    assert "unpacks to" in reading.told
    assert reading.seconds < 2


def test_one_cell_below_the_size_that_is_free(path: Path) -> None:
    """60 MB in one cell: given up after the first megabytes."""
    head, tail = head_and_tail('<row r="1"><c r="A1" t="inlineStr"><is><t>')
    inflate_member(
        path, SHEET, head=head, unit=b"a" * (1 << 20), times=60, tail=b"</t></is></c></row>" + tail
    )
    assert "longer than 4 MB" in read_apart(path).told


def test_one_attribute_below_the_size_that_is_free(path: Path) -> None:
    """A tag that never ends."""
    head, tail = head_and_tail('<row r="1" spans="')
    inflate_member(path, SHEET, head=head, unit=b"1" * (1 << 20), times=60, tail=b'"/>' + tail)
    assert "longer than 4 MB" in read_apart(path).told


def test_a_billion_rows(path: Path) -> None:
    """Refused from the archive's directory."""
    head, tail = head_and_tail("")
    inflate_member(path, SHEET, head=head, unit=b"<row/>" * 100_000, times=10_000, tail=tail)
    assert "unpacks to" in read_apart(path).told


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (b"<row/>", ""),
        (b'<row><c t="str"><v>a</v></c></row>', "it has a row 1,048,577"),
        (b'<row><c s="1"/></row>', ""),
    ],
)
def test_more_rows_than_a_sheet_has(path: Path, row: bytes, told: str) -> None:
    """Few enough bytes to pass the directory's check: blank ones end the table, others are damage."""
    head, tail = head_and_tail('<row><c t="str"><v>A</v></c></row>')
    inflate_member(
        path, SHEET, head=head, unit=row * 10_000, times=60_000_000 // len(row * 10_000), tail=tail
    )
    reading = read_apart(path)
    assert told in reading.told
    assert bool(told) is bool(reading.told)


@pytest.mark.parametrize("unit", [b"<c/>", b"<row>", b"<a><b/></a>"])
def test_tags_without_end(path: Path, unit: bytes) -> None:
    """Sixty megabytes of cells in one row, of rows in rows, and of what no sheet has between its rows."""
    head, tail = head_and_tail('<row r="1"><c r="A1"><v>1</v></c>')
    inflate_member(
        path, SHEET, head=head, unit=unit * 10_000, times=60_000_000 // len(unit * 10_000), tail=tail
    )
    assert "damaged" in read_apart(path).told


def test_two_gigabytes_of_shared_texts(path: Path) -> None:
    """Refused from the archive's directory."""
    inflate_member(
        path,
        "xl/sharedStrings.xml",
        head=f'<sst xmlns="{MAIN}">'.encode(),
        unit=b"<si><t>abcdefgh</t></si>" * 50_000,
        times=1_800,
        tail=b"</sst>",
    )
    assert "unpacks to" in read_apart(path).told


@pytest.mark.parametrize(("times", "told"), [(60, "unpacks to"), (8, "")])
def test_masses_of_shared_texts(path: Path, times: int, told: str) -> None:
    """They have all to be read first: bombs of them are refused sooner; below, they are kept in one piece."""
    inflate_member(
        path,
        "xl/sharedStrings.xml",
        head=f'<sst xmlns="{MAIN}">'.encode(),
        unit=b"<si><t>abcd</t></si>" * 50_000,
        times=times,
        tail=b"</sst>",
    )
    reading = read_apart(path)
    assert (told in reading.told, reading.rows) == (True, 0 if told else 1)


def test_styles_below_the_size_that_is_free(path: Path) -> None:
    """Ten million styles."""
    unit = b"<xf/>" * 100_000
    inflate_member(
        path,
        "xl/styles.xml",
        head=f'<styleSheet xmlns="{MAIN}"><cellXfs>'.encode(),
        unit=unit,
        times=100,
        tail=b"</cellXfs></styleSheet>",
    )
    assert "cell formats" in read_apart(path).told


def test_many_parts_of_moderate_size(path: Path) -> None:
    """Each is below what is checked for its ratio; together they are not."""
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(40):
            part = f"xl/media/{number}.png"
            archive.writestr(part, b"a" * 1000)
            archive.getinfo(part).file_size = 60_000_000
    assert "unpacks to" in read_apart(path).told


def test_many_members(tmp_path: Path) -> None:
    """Sixty thousand empty parts."""
    path = tmp_path / "many.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(60_000):
            archive.writestr(str(number), b"")
    assert "parts" in read_apart(path).told


def test_an_endless_directory_is_not_even_read(tmp_path: Path) -> None:
    """Its size is told by the archive's last bytes, in the short form and in the long one."""
    path = tmp_path / "many.xlsx"
    with path.open("wb") as stream:
        stream.write(b"PK\x03\x04")
        stream.truncate(3 << 30)
        stream.seek(0, 2)
        at = stream.tell()
        stream.write(struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1 << 24, 1 << 24, 3 << 30, 0))
        stream.write(struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1))
        stream.write(struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 46, 0, 0))
    assert "table of contents" in read_apart(path).told


def test_a_directory_that_lies_about_a_size(path: Path) -> None:
    """No more is unpacked than it says, and the checksum fails."""
    head, tail = head_and_tail("")
    inflate_member(path, SHEET, head=head, unit=b"<row/>" * 100_000, times=3_000, tail=tail)
    raw = bytearray(path.read_bytes())
    size = struct.pack("<L", len(head) + len(tail) + 600_000 * 3_000)
    at = raw.rindex(size)
    raw[at : at + 4] = struct.pack("<L", 5000)
    path.write_bytes(raw)
    assert "damaged" in read_apart(path).told


def test_an_entity_bomb(tmp_path: Path) -> None:
    """A billion laughs: document types are refused, in whichever part."""
    bomb = '<!DOCTYPE x [<!ENTITY a "lol">' + "".join(
        f'<!ENTITY {chr(98 + at)} "{f"&{chr(97 + at)};" * 10}">' for at in range(9)
    )
    for part in (SHEET, "xl/workbook.xml", "xl/styles.xml", "xl/_rels/workbook.xml.rels"):

        def arm(parts: dict[str, str], part: str = part) -> None:
            parts[part] = bomb + "]>" + parts[part].replace("Visits", "&j;")

        path = raw_workbook(tmp_path / "laughs.xlsx", sheet_xml(text_rows([["Visits"]])), change=arm)
        assert "declares XML entities" in read_apart(path).told


def test_an_external_entity(tmp_path: Path) -> None:
    """Nothing outside the file is ever opened."""

    def arm(parts: dict[str, str]) -> None:
        parts[SHEET] = '<!DOCTYPE x SYSTEM "file:///etc/passwd">' + parts[SHEET]

    path = raw_workbook(tmp_path / "outside.xlsx", sheet_xml(""), change=arm)
    assert "declares XML entities" in read_apart(path).told


def test_a_far_cell(tmp_path: Path) -> None:
    """Five kilobytes that make others ask for three gigabytes."""
    far = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    path = raw_workbook(tmp_path / "far.xlsx", sheet_xml(far))
    reading = read_apart(path)
    assert (
        "Row 1, where the headings should be, is empty. There is something in row 1,048,576" in reading.told
    )
    assert reading.peak_mb < 150


def test_deeply_nested_tags(path: Path) -> None:
    """Millions of open tags: expat does not recurse, and the tags it keeps are few bytes each."""
    head, tail = head_and_tail("")
    inflate_member(path, SHEET, head=head, unit=b"<a>" * 100_000, times=20, tail=tail)
    assert "damaged" in read_apart(path).told


def test_a_line_of_300_megabytes(tmp_path: Path) -> None:
    """Given up after the first megabytes."""
    path = tmp_path / "line.csv"
    with path.open("wb") as stream:
        stream.write(b"A,B\n1,")
        for _ in range(300):
            stream.write(b"x" * (1 << 20))
    reading = read_apart(path)
    assert "a line of more than 4,194,304 characters" in reading.told
    assert reading.seconds < 2
    assert reading.peak_mb < 100


def test_a_header_of_a_million_columns(tmp_path: Path) -> None:
    """Delimiters only cost little; headings are counted."""
    path = tmp_path / "wide.csv"
    path.write_bytes(b"A," * 1_000_000 + b"\n")
    assert "1,000,000 columns" in read_apart(path).told


def test_a_quoted_cell_over_the_whole_of_a_large_file(tmp_path: Path) -> None:
    """Short lines, one cell: given up at the cell's limit."""
    path = tmp_path / "quote.csv"
    with path.open("wb") as stream:
        stream.write(b'A,B\n1,"')
        for _ in range(100):
            stream.write(b"some text\n" * 100_000)
    reading = read_apart(path)
    assert "never closed" in reading.told
    assert reading.peak_mb < 100


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_workbook(tmp_path: Path, share: float) -> None:
    """A download that broke off."""
    path = written_workbook(tmp_path / "cut.xlsx", [["A", "B"], *[[str(at), "x" * 20] for at in range(2000)]])
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    assert "damaged or incomplete" in read_apart(path).told


def test_any_changed_byte_is_an_error_or_harmless(tmp_path: Path) -> None:
    """Bytes turned at random: a clear error, or a table whose cells are those that were written."""
    table = [["A", "B"], *[[str(at), f"text {at}"] for at in range(50)]]
    path = written_workbook(tmp_path / "turned.xlsx", table)
    raw = path.read_bytes()
    randomness = random.Random(4)
    for _ in range(300):
        turned = bytearray(raw)
        turned[randomness.randrange(len(turned))] ^= 1 << randomness.randrange(8)
        path.write_bytes(turned)
        with contextlib.suppress(SheetError), open_sheet(path) as sheet:
            assert [list(row.cells) for row in sheet.rows()] == table[1:]


def test_other_ways_of_packing_are_refused(tmp_path: Path) -> None:
    """No spreadsheet program uses LZMA, whose dictionaries can ask for gigabytes."""
    path = tmp_path / "lzma.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>")
    assert "packs its part" in read_apart(path).told


def test_an_archive_encrypted_member_by_member(path: Path) -> None:
    """As zip programs do."""
    raw = bytearray(path.read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 8] |= 1
    path.write_bytes(raw)
    assert "encrypted" in read_apart(path).told


def test_deflated_noise(tmp_path: Path) -> None:
    """A part that cannot be unpacked."""
    path = tmp_path / "noise.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", os.urandom(3000))
        member = archive.getinfo("xl/workbook.xml")
        member.compress_type, member.file_size = zipfile.ZIP_DEFLATED, 9000
        member.CRC = zlib.crc32(b"")
    assert "damaged" in read_apart(path).told
