"""Who may ask the screen for a page, and who may change something: each test is a way in that is closed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from screen import Caller, RunningScreen

POLICY = "default-src 'self'; frame-ancestors 'none'"


@pytest.fixture
def screen(home: Path) -> Iterator[RunningScreen]:
    """A screen on which nothing was done yet."""
    with RunningScreen(home) as running:
        yield running


@pytest.fixture
def caller(screen: RunningScreen) -> Caller:
    """Somebody with the person's cookie."""
    return Caller(screen).sign_in()


def test_the_first_address_becomes_a_cookie_and_is_gone(screen: RunningScreen) -> None:
    """The token is exchanged for a strict cookie, and the browser goes on to an address without it."""
    caller = Caller(screen)

    answer = caller.call("GET", f"/?token={caller.token}")

    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=Strict" in answer.headers["set-cookie"]
    assert caller.token not in answer.headers["set-cookie"]


def test_the_printed_address_stays_valid(screen: RunningScreen) -> None:
    """A second browser, or a second window, may open it too."""
    assert [Caller(screen).sign_in().call("GET", "/").status for _ in range(2)] == [200, 200]


def test_the_address_a_browser_is_started_with_works_once(screen: RunningScreen) -> None:
    """Other people of the computer see a program's arguments."""
    path = screen.served.guard.address_once().partition("/?")[2]

    caller = Caller(screen)

    assert [caller.call("GET", f"/?{path}").status for _ in range(2)] == [303, 401]


@pytest.mark.parametrize("path", ["/", "/imports", "/new", "/static/screen.js", "/nowhere", "/?token=wrong"])
def test_a_stranger_sees_nothing(screen: RunningScreen, path: str) -> None:
    """Without the cookie, or with a wrong token: 401, and never a redirect."""
    answer = Caller(screen).call("GET", path)

    assert (answer.status, "location" in answer.headers) == (401, False)
    assert answer.headers["content-security-policy"] == POLICY


def test_a_wrong_cookie_is_none(caller: Caller) -> None:
    """Nobody guesses it."""
    name = caller.cookie.partition("=")[0]

    assert caller.call("GET", "/", headers={"Cookie": f"{name}=guessed"}).status == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "[::1]:{port}"]
)
def test_a_name_that_was_rebound_is_refused(caller: Caller, host: str) -> None:
    """A web page whose name resolves to this computer carries its own name in Host."""
    answer = caller.call("GET", "/", headers={"Host": host.format(port=caller.port)})

    assert (answer.status, "location" in answer.headers) == (403, False)


def test_localhost_is_ours_too(caller: Caller) -> None:
    """The name that people type."""
    assert caller.call("GET", "/new", headers={"Host": f"localhost:{caller.port}"}).status == 200


@pytest.mark.parametrize(
    "origin", ["", "null", "https://evil.example", "http://127.0.0.1:1", "http://localhost:{port}"]
)
def test_a_form_of_another_page_changes_nothing(screen: RunningScreen, caller: Caller, origin: str) -> None:
    """Another origin, and none at all: 403."""
    headers = {"Origin": origin.format(port=caller.port)}

    answer = caller.post("/rehearsal", headers, rehearsal="on")

    assert (answer.status, screen.served.rehearsal) == (403, False)


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_form_without_our_token_changes_nothing(screen: RunningScreen, caller: Caller, token: str) -> None:
    """Also if everything else is right."""
    answer = caller.post("/rehearsal", form_token=token, rehearsal="on")

    assert (answer.status, screen.served.rehearsal) == (403, False)


def test_our_own_form_changes_something(screen: RunningScreen, caller: Caller) -> None:
    """What the tests above refuse is accepted with cookie, origin and token."""
    answer = caller.post("/rehearsal", rehearsal="on", here="/new")

    assert (answer.status, answer.headers["location"]) == (303, "/new")
    assert screen.served.rehearsal


@pytest.mark.parametrize("here", ["https://evil.example/", "//evil.example/x", "\\\\evil.example", "/\\evil"])
def test_a_form_leads_to_our_own_pages_only(caller: Caller, here: str) -> None:
    """The way back is a path of ours, whatever the field says."""
    location = caller.post("/rehearsal", here=here).headers["location"]

    assert location.startswith("/")
    assert "evil" not in location.split("/")[1]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_every_other_method_needs_the_same(caller: Caller, method: str) -> None:
    """Nothing that changes something passes by another name."""
    assert caller.call(method, "/new", headers={"Origin": "https://evil.example"}).status == 403


@pytest.mark.parametrize("path", ["/", "/static/screen.css", "/nowhere", "/imports/u-0000000000000000/sheet"])
def test_every_answer_has_the_policy(caller: Caller, path: str) -> None:
    """No inline script or style, no other origin, no frame."""
    answer = caller.call("GET", path)

    assert answer.headers["content-security-policy"] == POLICY
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_no_page_holds_a_script_or_a_style_of_its_own(caller: Caller) -> None:
    """The policy would not run them; they must not be there either."""
    body = caller.call("GET", "/new").body

    assert "<style" not in body
    assert " style=" not in body
    assert (
        " on" not in body.replace(" on ", " ").partition("<main")[0].partition("<body")[2].partition(">")[0]
    )
    assert all("src=" in tag for tag in body.split("<script")[1:])
