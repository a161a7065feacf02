"""`IMPORTER_NOTIFY_URL`: one message at the end, without a word of a cell, and never the address itself."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import visits
from conftest import Importer, RunningTenant
from visits import write_csv, write_mapping

SECRET = "T0-very-secret-token"


class Listener:
    """A server that keeps what it is sent."""

    def __init__(self, status: int = 200) -> None:
        messages: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                messages.append(json.loads(body)["text"])
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.messages = messages
        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/{SECRET}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    heard = Listener()
    monkeypatch.setenv("IMPORTER_NOTIFY_URL", heard.url)
    yield heard
    heard.stop()


@pytest.fixture
def sheet(home: Path) -> Path:
    write_mapping(Path("visits.yaml"))
    return write_csv(Path("visits.csv"), visits.visits(3))


def test_each_of_run_resume_and_verify_sends_one_sentence(
    importer: Importer, tenant: RunningTenant, sheet: Path, listener: Listener
) -> None:
    ran = importer("run", sheet, "-m", "visits.yaml", "--yes", "--limit", "2", "--json")
    importer("resume", "visits.results.csv", "--yes")
    importer("verify", "visits.results.csv", "--settle", "0")
    importer("status")
    batch = ran.json["batch"]
    pending = "Rows are still pending: continue with importer resume."
    assert listener.messages == [
        f"importer run {batch}: 2 created, 1 pending. Exit code 3. {pending}",
        f"importer resume {batch}: 3 created. Exit code 0. Nothing to do.",
        f"importer verify {batch}: 3 equal. Exit code 0. Nothing to do.",
    ]
    assert "Visit" not in "".join(listener.messages)


def test_a_run_that_is_refused_sends_a_message_too(
    importer: Importer, tenant: RunningTenant, sheet: Path, listener: Listener
) -> None:
    write_csv(sheet, [visits.visit(1, "Wno")])
    assert importer("run", sheet, "-m", "visits.yaml", "--yes").exit == 2
    (message,) = listener.messages
    assert "Exit code 2 (sheet)" in message
    assert "Wno" not in message


@pytest.mark.parametrize("status", [500, 302])
def test_a_message_that_fails_is_a_warning_without_the_address(
    importer: Importer, home: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    heard = Listener(status)
    monkeypatch.setenv("IMPORTER_NOTIFY_URL", heard.url)
    result = importer("run", sheet, "-m", "visits.yaml", "--sandbox")
    heard.stop()
    assert result.exit == 0
    assert f"answered with status {status}" in result.stderr
    assert SECRET not in result.stderr + result.stdout


@pytest.mark.parametrize(
    "url",
    [f"http://example.com/{SECRET}", f"ftp://127.0.0.1/{SECRET}", f"http://127.0.0.1:1/{SECRET}", "nonsense"],
)
def test_only_https_or_loopback_and_never_shown(
    importer: Importer, home: Path, sheet: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("IMPORTER_NOTIFY_URL", url)
    result = importer("run", sheet, "-m", "visits.yaml", "--sandbox", "--json")
    assert result.exit == 0
    assert "No message was sent" in result.stderr
    assert SECRET not in result.stderr + result.stdout
    log = home / "logs" / "importer.log"
    assert not log.exists() or SECRET not in log.read_text(encoding="utf-8")
