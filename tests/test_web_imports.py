"""Sheets that a person uploads: bounded while they arrive, private, and gone where they are refused."""

from __future__ import annotations

import io
import os
import socket
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from screen import Caller, RunningScreen, multipart

from importer.web.imports import file_name

SHEET = b"Account,Outcome\n3f2504e0-4f89-41d3-9a0c-0305e82c3301,Won\n"


@pytest.fixture
def caller(home: Path) -> Iterator[Caller]:
    """Somebody with the person's cookie."""
    with RunningScreen(home) as screen:
        yield Caller(screen).sign_in()


def _uploads(home: Path) -> list[Path]:
    """Every file below the uploads."""
    return [path for path in (home / "uploads").rglob("*") if path.is_file()]


def test_a_sheet_becomes_an_import(caller: Caller, home: Path) -> None:
    """POST leads to a page of its own, which shows the rows."""
    answer = caller.upload("/new", "visits.csv", SHEET)
    page = caller.call("GET", answer.headers["location"])

    assert (answer.status, page.status) == (303, 200)
    assert "<bdi>Won</bdi>" in page.body
    assert sorted(path.name for path in _uploads(home)) == ["state.json", "visits.csv"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_it_is_its_owners_alone(caller: Caller, home: Path) -> None:
    """Files 0600, folders 0700."""
    caller.upload("/new", "visits.csv", SHEET)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in _uploads(home)}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (home / "uploads").rglob("*") if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


def test_a_file_that_is_too_large_is_refused_before_it_arrives(caller: Caller, home: Path) -> None:
    """The length that is announced is enough to refuse it: 413, and nothing is kept."""
    kind, body = multipart(caller.form_token, "large.csv", SHEET)
    head = (
        f"POST /new HTTP/1.1\r\nHost: {caller.host}\r\nOrigin: http://{caller.host}\r\n"
        f"Cookie: {caller.cookie}\r\nContent-Type: {kind}\r\nContent-Length: {200 << 20}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", caller.port), timeout=180) as line:
        line.sendall(head.encode() + body[:400])
        answer = line.recv(200).decode()

    assert answer.startswith("HTTP/1.1 413 ")
    assert _uploads(home) == []


def test_a_file_that_turns_out_too_large_is_deleted(caller: Caller, home: Path) -> None:
    """Without a length it is counted as it arrives."""
    kind, body = multipart(caller.form_token, "large.csv", b"")
    start, end = body.split(b"octet-stream\r\n\r\n")[0] + b"octet-stream\r\n\r\n", b""
    head = (
        f"POST /new HTTP/1.1\r\nHost: {caller.host}\r\nOrigin: http://{caller.host}\r\n"
        f"Cookie: {caller.cookie}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    megabyte = b"x" * (1 << 20)
    sent = 0
    with socket.create_connection(("127.0.0.1", caller.port), timeout=180) as line:
        line.sendall(head.encode() + _chunk(start))
        try:
            while sent < 130:
                line.sendall(_chunk(megabyte))
                sent += 1
            line.sendall(_chunk(end))
        except OSError:
            pass  # the server has hung up already
        answer = line.recv(200).decode()

    assert answer.startswith("HTTP/1.1 413 ")
    assert _uploads(home) == []


def test_a_workbook_that_unpacks_to_too_much_is_refused(caller: Caller, home: Path) -> None:
    """200 MB at most, as its directory says."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in range(3):
            archive.writestr(f"xl/worksheets/sheet{part}.xml", b"0" * (70 << 20))

    answer = caller.upload("/new", "bomb.xlsx", packed.getvalue())

    assert answer.headers["location"] == "/new"
    assert "unpacks to more than 200 MB" in caller.call("GET", "/new").body
    assert _uploads(home) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("page.xls", b"<html><table><tr><td>1</td></tr></table></html>", "web page"),
        ("letter.pdf", b"%PDF-1.7", "pdf"),
        ("empty.csv", b"", "empty"),
        ("damaged.xlsx", b"PK\x03\x04 and no more", "damaged"),
    ],
)
def test_what_is_no_spreadsheet_is_named_and_deleted(
    caller: Caller, home: Path, name: str, content: bytes, said: str
) -> None:
    """The page says what it is; nothing is kept."""
    answer = caller.upload("/new", name, content)

    assert (answer.status, answer.headers["location"]) == (303, "/new")
    assert said in caller.call("GET", "/new").body
    assert _uploads(home) == []


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_strangers_upload_is_not_read(caller: Caller, home: Path, token: str) -> None:
    """The token stands before the file."""
    assert caller.upload("/new", "visits.csv", SHEET, token=token).status == 403
    assert _uploads(home) == []


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("visits.csv", "visits.csv"),
        ("../../../etc/passwd.csv", "passwd.csv"),
        ("C:\\Users\\Asha\\visits.csv", "visits.csv"),
        ("..", "sheet"),
        ("", "sheet"),
        (".hidden.csv", "hidden.csv"),
        ("~$visits.xlsx", "_~$visits.xlsx"),
        ("con.csv", "_con.csv"),
        ("a\nb\u202egnp.csv", "a_b_gnp.csv"),
        ('q"uo?te*.csv', "q_uo_te_.csv"),
        ("Besuche März.xlsx", "Besuche März.xlsx"),
        ("x" * 300 + ".xlsx", "x" * 115 + ".xlsx"),
    ],
)
def test_a_name_from_a_browser_is_data(given: str, kept: str) -> None:
    """Never a path, and one that every system takes."""
    assert file_name(given) == kept


def test_an_upload_that_was_cut_off_is_removed_at_the_next_start(home: Path) -> None:
    """A folder without a state is nobody's."""
    left = home / "uploads" / "u-0123456789abcdef" / "sheet"
    left.mkdir(parents=True)
    (left / "visits.csv").write_bytes(SHEET)

    with RunningScreen(home):
        assert not left.exists()


@pytest.mark.parametrize("state", ["", "[]", '{"file": "../../x", "begun_at": 1}', '{"file": 1}', "{" * 9])
def test_a_damaged_state_is_no_import(home: Path, state: str) -> None:
    """What is read from a file is checked, and a path in it goes nowhere."""
    folder = home / "uploads" / "u-0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(state, encoding="utf-8")

    with RunningScreen(home) as screen:
        caller = Caller(screen).sign_in()

        assert caller.call("GET", "/imports/u-0123456789abcdef/sheet").status == 404
        assert caller.call("GET", "/imports").status == 200


def _chunk(content: bytes) -> bytes:
    return f"{len(content):x}\r\n".encode() + content + b"\r\n"
