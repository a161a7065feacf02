"""`importer web` as a process: what it prints, how it ends, and what a new one finds after a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from conftest import Importer, RunningTenant, StartTenant, child_environment, importer_command
from screen import RunningScreen, multipart, read_page

pytestmark = pytest.mark.skipif(os.name == "nt", reason="a child cannot be sent Ctrl-C alone")

ACCOUNT = "3f2504e0-4f89-41d3-9a0c-0305e82c{:04d}"
MAPPING = "RelatedCompanyId: Account\nActivityEvent: 10001\nFields:\n  mx_Custom_1: Outcome\n"
WITHIN_S = 180.0
"""Rows in doubt are looked for twice, the second time after a call's time-out."""


class Pages:
    """The pages behind an address, with the person's cookie."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base = url.partition("/?")[0]
        self.cookie = read_page(url).headers["set-cookie"].split(";")[0]

    def get(self, path: str) -> str:
        """A page's text."""
        return read_page(self.base + path, cookie=self.cookie).body

    def post(self, path: str, **fields: str) -> str:
        """Send a form of the page at hand; where it leads."""
        body = urlencode({"form_token": self._token(), **fields}).encode()
        kind = "application/x-www-form-urlencoded"
        return read_page(self.base + path, self.cookie, body, kind).headers["location"]

    def upload(self, path: str, name: str, content: bytes) -> str:
        """Send a file; where it leads."""
        kind, body = multipart(self._token(), name, content)
        return read_page(self.base + path, self.cookie, body, kind).headers["location"]

    def once(self, path: str) -> str:
        """The one-time token of the forms on a page."""
        found = re.search(r'name="once" value="([0-9a-f]+)"', self.wait_for(path, 'name="once"'))
        assert found is not None, path
        return found[1]

    def wait_for(self, path: str, text: str) -> str:
        """The page, once it shows `text`; redirects are followed."""
        until_s = time.monotonic() + WITHIN_S
        while time.monotonic() < until_s:
            answer = read_page(self.base + path, cookie=self.cookie)
            page = self.get(answer.headers["location"]) if "location" in answer.headers else answer.body
            if text in page:
                return page
            time.sleep(0.05)
        raise AssertionError(f"{path} does not show {text!r}: {page}")

    def _token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', self.get("/new"))
        assert found is not None
        return found[1]


class WebProcess(Pages):
    """A running `importer web --json`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        super().__init__(str(json.loads(process.stdout.readline())["url"]))
        self.process = process


@contextmanager
def _web(*arguments: str) -> Iterator[WebProcess]:
    process = subprocess.Popen(
        importer_command("web", "--no-open", "--json", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )
    try:
        yield WebProcess(process)
    finally:
        process.kill()
        process.communicate()


def _sheet(rows: int) -> bytes:
    lines = [f"{ACCOUNT.format(row)},visit {row}" for row in range(rows)]
    return "\n".join(["Account,Outcome", *lines, ""]).encode()


def _begun(web: Pages, rows: int) -> str:
    """An import with a mapping, ready at Send; its address."""
    path = web.upload("/new", "visits.csv", _sheet(rows)).removesuffix("/sheet")
    web.upload(f"{path}/mapping/load", "visits.yaml", MAPPING.encode())
    web.post(f"{path}/check")
    return path


def test_the_address_comes_first(home: Path) -> None:
    """One JSON object with the url, before anything else; the person's cookie comes for it."""
    with _web("--sandbox") as web:
        assert urlsplit(web.url).hostname == "127.0.0.1"
        assert 'role="switch"' in web.get("/new")
        assert "checked" in web.get("/new")


def test_ctrl_c_ends_it_with_130(home: Path) -> None:
    """As the contract says."""
    with _web() as web:
        web.process.send_signal(signal.SIGINT)

        assert web.process.wait(WITHIN_S) == 130


def test_a_port_that_is_taken(importer: Importer) -> None:
    """Says so, and which option helps."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = importer("web", "--no-open", "--port", str(taken.getsockname()[1]))

    assert result.exit == 2
    assert "--port" in result.stderr


def test_ctrl_c_waits_for_the_calls_under_way(start_tenant: StartTenant) -> None:
    """Nothing is in doubt afterwards: what left was answered and recorded."""
    tenant = start_tenant(rate="20/1", latency_s=0.3)
    with _web() as web:
        path = _begun(web, 300)
        once = web.once(f"{path}/send/confirm")
        web.post(f"{path}/send", once=once, mode="real")
        _until(lambda: len(tenant.activities) > 5)
        web.process.send_signal(signal.SIGINT)
        assert web.process.wait(WITHIN_S) == 130
        sent = len(tenant.activities)
    with _web() as web:
        assert f"{sent} created" in web.wait_for(f"{path}/progress", "Resume")
        assert f"{300 - sent} pending" in web.get(f"{path}/progress")


@pytest.mark.crash
def test_a_killed_server_is_found_again_and_resumed(start_tenant: StartTenant) -> None:
    """Nothing is lost and nothing doubled, and the screen says what is open."""
    kills = 30 if os.environ.get("IMPORTER_LONG") else 2
    tenant = start_tenant(rate="50/1", latency_s=0.05)
    rows = 150 * (kills + 1)
    path = ""
    for kill in range(kills):
        with _web() as web:
            path = path or _begun(web, rows)
            _go_on(web, path)
            _until(lambda kill=kill: len(tenant.creates) > 30 * (kill + 1))
            web.process.kill()
            web.process.wait()
    with _web() as web:
        assert "visits.csv" in web.get("/imports")
        _go_on(web, path)
        web.wait_for(f"{path}/results", f"{rows:,} created")

    assert len(tenant.activities) == rows


def test_a_replayed_form_sends_nothing(tenant: RunningTenant) -> None:
    """The same POST once more leads to Progress, and so does one with a made-up token."""
    with _web() as web:
        path = _begun(web, 5)
        once = web.once(f"{path}/send/confirm")
        led = [web.post(f"{path}/send", once=once, mode="real") for _ in range(3)]
        led.append(web.post(f"{path}/send", once="0" * 32, mode="real"))
        web.wait_for(f"{path}/results", "5 created")
        led.append(web.post(f"{path}/resume", once=once, mode="real"))

    assert led == [f"{path}/progress"] * 5
    assert len(tenant.creates) == 5


def test_each_form_that_sends_is_good_for_one_run(tenant: RunningTenant, home: Path) -> None:
    """Try 3 rows, Resume, Read back, Correct: pressed twice, sent again from another tab, replayed later."""
    with RunningScreen(home) as screen:
        web = Pages(screen.address)
        path = _begun(web, 5)
        first = web.once(f"{path}/send")
        for _ in range(3):
            web.post(f"{path}/send/try", once=first, mode="real")
        web.wait_for(f"{path}/send", "3 of 3 rows equal")
        assert len(tenant.creates) == 3
        once = web.once(f"{path}/results")
        for token in (once, once, first):
            web.post(f"{path}/resume", once=token, mode="real")
        web.wait_for(f"{path}/results", "5 created")
        for _ in range(2):
            web.post(f"{path}/results/read-back")
        web.wait_for(f"{path}/results", "5 of 5 rows equal")
        assert len(tenant.creates) == 5
        web.post(f"{path}/results/row", row="3", query="", **{"cell.1": "another"})
        page = web.wait_for(f"{path}/correct", "Yes, send")
        looks = re.search(r'name="looks" value="([0-9a-f]+)"', page)
        assert looks is not None
        token = web.once(f"{path}/correct")
        for _ in range(3):
            web.post(f"{path}/correct", once=token, mode="real", looks=looks[1])
        web.wait_for(f"{path}/results", "1 corrected")
        web.post(f"{path}/send/try", once=first, mode="real")
        web.post(f"{path}/correct", once=token, mode="real", looks=looks[1])

    assert len(tenant.creates) == 5
    assert len([call for call in tenant.calls if call.kind == "update"]) == 1


def test_a_status_that_was_set_is_taken_over_once(tenant: RunningTenant, home: Path) -> None:
    """A row was skipped on the screen, and the batch goes on after that as often as one likes."""
    with RunningScreen(home) as screen:
        web = Pages(screen.address)
        path = _begun(web, 8)
        web.post(f"{path}/send/try", once=web.once(f"{path}/send"), mode="real")
        web.wait_for(f"{path}/send", "3 of 3 rows equal")
        web.post(f"{path}/results/row", row="9", query="", status="skipped")
        web.post(f"{path}/send/try", once=web.once(f"{path}/results"), mode="real")
        web.wait_for(f"{path}/send", "6 of 6 rows equal")
        assert "changed here" not in web.get(f"{path}/results")
        web.post(f"{path}/resume", once=web.once(f"{path}/results"), mode="real")
        web.wait_for(f"{path}/results", "7 created")

        assert "1 skipped" in web.get(f"{path}/results")
    assert len(tenant.creates) == 7


def test_what_waits_for_an_answer_does_not_keep_an_import(tenant: RunningTenant, home: Path) -> None:
    """Send was opened and nothing was ordered: the import can be removed, and erased once rows were sent."""
    with RunningScreen(home) as screen:
        web = Pages(screen.address)
        path = _begun(web, 5)
        web.wait_for(f"{path}/send", "Send 5 rows")
        web.post(f"{path}/remove")
        assert "The import was removed." in web.get("/imports")
        path = _begun(web, 5)
        web.post(f"{path}/send/try", once=web.once(f"{path}/send"), mode="real")
        web.wait_for(f"{path}/send", "3 of 3 rows equal")
        web.wait_for(f"{path}/send", "Send 2 rows")
        batch = re.search(r'name="batch" value="([^"]+)"', web.get(f"{path}/erase"))
        assert batch is not None
        web.post(f"{path}/erase", batch=batch[1])

        assert "The data of 5 rows was removed." in web.get("/imports")
    assert list((home / "uploads").iterdir()) == []


def test_screen_and_command_line_send_the_same(
    tenant: RunningTenant, importer: Importer, tmp_path: Path
) -> None:
    """The same sheet, mapping and answers: equal activities, equal results files but for Ids, times and
    batch."""
    with _web() as web:
        path = _begun(web, 8)
        web.post(f"{path}/send", once=web.once(f"{path}/send/confirm"), mode="real")
        web.wait_for(f"{path}/results", "8 created")
        by_screen = web.get(f"{path}/results/download").removeprefix("\ufeff")
    bodies = _bodies(tenant)
    sheet, mapping = tmp_path / "visits.csv", tmp_path / "visits.yaml"
    sheet.write_bytes(_sheet(8))
    mapping.write_text(MAPPING, encoding="utf-8")
    importer("run", sheet, "-m", mapping, "--yes", "--again", "--settle", "0")
    by_command = (tmp_path / "visits.results.csv").read_bytes().decode("utf-8-sig")

    assert _bodies(tenant) == sorted([*bodies, *bodies])
    assert _comparable(by_screen) == _comparable(by_command)


def _bodies(tenant: RunningTenant) -> list[str]:
    """What each activity was created with."""
    return sorted(repr((one.company_id, one.event, one.note, one.fields)) for one in tenant.activities)


def _comparable(results: str) -> list[list[str]]:
    """The lines of a results file without Ids, times and batch."""
    rows = [line.split(",") for line in results.splitlines()]
    kept = [
        at
        for at, name in enumerate(rows[0])
        if name not in {"import_activity_id", "import_time", "import_batch"}
    ]
    return [[row[at] for at in kept] for row in rows]


def _go_on(web: WebProcess, path: str) -> None:
    """Send, or resume what was begun."""
    page = web.wait_for(
        f"{path}/progress", 'name="once"' if "Resume" in web.get(f"{path}/progress") else "Send"
    )
    if "Resume" in page:
        web.post(f"{path}/resume", once=web.once(f"{path}/progress"), mode="real")
    else:
        web.post(f"{path}/send", once=web.once(f"{path}/send/confirm"), mode="real")


def _until(reached: object) -> None:
    assert callable(reached)
    until_s = time.monotonic() + WITHIN_S
    while not reached():
        assert time.monotonic() < until_s, "not reached"
        time.sleep(0.01)
