"""The screen in a thread of its own, served as `importer web` serves it; and a program that asks it."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlencode, urlsplit

from served import InThread

from importer.web.screen import Screen
from importer.web.server import serving


class RunningScreen(InThread[Screen]):
    """`with RunningScreen(home) as screen:` serves until the block ends."""

    def __init__(self, home: Path, *, rehearsal: bool = False) -> None:
        super().__init__(lambda: serving(home, rehearsal=rehearsal, settle_s=0.1))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """What `importer web` prints."""
        return self.served.guard.address

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return urlsplit(self.address).port or 0


@dataclass(frozen=True)
class Answer:
    """What came back. headers: names in lower case."""

    status: int
    headers: dict[str, str]
    body: str


def read_page(address: str, cookie: str = "", body: bytes | None = None, kind: str = "") -> Answer:
    """One request to a screen wherever it runs, as its own pages make it; redirects are not followed."""
    parts = urlsplit(address)
    headers = {"Cookie": cookie} if cookie else {}
    if body is not None:
        headers |= {"Origin": f"{parts.scheme}://{parts.netloc}", "Content-Type": kind}
    connection = http.client.HTTPConnection(parts.netloc, timeout=180)
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("GET" if body is None else "POST", path, body=body, headers=headers)
        got = connection.getresponse()
        named = {name.lower(): text for name, text in got.getheaders()}
        return Answer(got.status, named, got.read().decode("utf-8", "replace"))
    finally:
        connection.close()


class Caller:
    """A program on this computer that speaks HTTP to the screen, with or without the person's cookie."""

    def __init__(self, screen: RunningScreen) -> None:
        self.port = screen.port
        self.host = f"127.0.0.1:{screen.port}"
        self.token = parse_qs(urlsplit(screen.address).query)["token"][0]
        self.form_token = screen.served.guard.form_token
        self.cookie = ""

    def sign_in(self) -> Self:
        """Take the cookie for the token."""
        answer = self.call("GET", f"/?token={self.token}")
        self.cookie = answer.headers["set-cookie"].split(";")[0]
        return self

    def call(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request; `headers` win over the usual ones, and an empty text leaves one out."""
        usual = {"Host": self.host, "Cookie": self.cookie, "Origin": f"http://{self.host}"}
        if method == "GET":
            del usual["Origin"]
        sent = {name: text for name, text in {**usual, **(headers or {})}.items() if text}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        try:
            connection.request(method, path, body=body, headers=sent)
            got = connection.getresponse()
            named = {name.lower(): text for name, text in got.getheaders()}
            return Answer(got.status, named, got.read().decode("utf-8", "replace"))
        finally:
            connection.close()

    def post(self, path: str, headers: dict[str, str] | None = None, **fields: str) -> Answer:
        """A form, with its token unless one is given."""
        given = {"form_token": self.form_token, **fields}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.call("POST", path, urlencode(given).encode(), {**kind, **(headers or {})})

    def upload(self, path: str, name: str, content: bytes, token: str | None = None) -> Answer:
        """A file in a form, as a browser sends it."""
        kind, body = multipart(self.form_token if token is None else token, name, content)
        return self.call("POST", path, body, {"Content-Type": kind})


def multipart(token: str, name: str, content: bytes) -> tuple[str, bytes]:
    """The content type and the body of a form with a file."""
    edge = b"----edge7MA4YWxkTrZu0gW"
    body = b"\r\n".join(
        [
            b"--" + edge,
            b'Content-Disposition: form-data; name="form_token"',
            b"",
            token.encode(),
            b"--" + edge,
            f'Content-Disposition: form-data; name="sheet"; filename="{name}"'.encode(),
            b"Content-Type: application/octet-stream",
            b"",
            content,
            b"--" + edge + b"--",
            b"",
        ]
    )
    return f"multipart/form-data; boundary={edge.decode()}", body
