"""Answers as they go over the wire: status, headers, body, and how values are spelt in them.

Success is `{"Status":"Success","Message":{"Id":…}}` (documentation, post an activity on an account); a
refusal is `{"Status":"Error","ExceptionType":"MX…Exception","ExceptionMessage":…}` (error handling). The
status code alone does not tell: logic errors come as 500, and also with 200, as "Error" or as "Failed" with
`Message.Message`. Values come back trimmed and respelt: empty fields absent, date-times in any of four shapes
(`DATE_SHAPES`), GUIDs in either case, 1.50 as 1.5 (observed by integrators).
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final, Literal

from aiohttp import web

JSON_TYPE: Final = "application/json; charset=utf-8"
RefusalShape = Literal[500, 400, 200, "failed"]

HTML_ERROR: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error of this program
    """The tenant says no. kind: "" if no exception is named. status: of a body that is not as the API wants
    it (400, or 412 for an unknown attribute); None: as the tenant refuses."""

    def __init__(self, kind: str, message: str, *, status: Literal[400, 412] | None = None) -> None:
        super().__init__(message)
        self.kind = kind if kind.endswith("Exception") or not kind else f"{kind}Exception"
        self.message = message
        self.status = status


def encoded(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can say
    """Compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def answer(status: int, body: bytes, content_type: str = JSON_TYPE, **headers: str) -> web.Response:
    """An answer, before anything happens to it on the way."""
    return web.Response(status=status, body=body, headers={"Content-Type": content_type, **headers})


def found(value: Any) -> web.Response:  # noqa: ANN401 - whatever JSON can say
    """200 with a JSON body."""
    return answer(200, encoded(value))


def page(status: int, body: bytes = HTML_ERROR, **headers: str) -> web.Response:
    """What a server says that knows nothing of the API."""
    return answer(status, body, "text/html", **headers)


def refusal_body(kind: str, message: str, **more: bool) -> bytes:
    """The documented body of a refusal; without an exception's name where there is none (observed)."""
    named = {"ExceptionType": kind} if kind else {}
    return encoded({"Status": "Error", **named, "ExceptionMessage": message, **more})


def refusal(refused: Refused, shape: RefusalShape) -> web.Response:
    """A refusal in the shape that this tenant uses."""
    status = refused.status or shape
    if status == "failed":
        return found({"Status": "Failed", "Message": {"Message": f"{refused.kind}: {refused.message}"}})
    return answer(status, refusal_body(refused.kind, refused.message))


def throttled(message: str, status: int, headers: Mapping[str, str]) -> web.Response:
    """A refusal for the rate; seen with HTTP 429, 200 and 403 (observed by integrators)."""
    return answer(status, refusal_body("MXAPIRateLimitExceededException", message), **headers)


WRONG_KEYS: Final = "Invalid Access Details. AccessKey or SecretKey is incorrect."


def unauthorised(message: str) -> web.Response:
    """A 401: wrong or revoked keys, a deactivated user, or a host of another region; the words tell which."""
    return answer(401, refusal_body("MXInvalidAccessDetailsException", message))


GUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_PADDED: Final = re.compile(r"(-?\d+\.\d*?)0+")
_TRUTH: Final = {"true": "1", "false": "0", "1": "true", "0": "false"}


def moment(epoch_s: float) -> str:
    """`YYYY-MM-DD HH:MM:SS` in UTC, the sub-seconds hidden."""
    return dt.datetime.fromtimestamp(int(epoch_s // 1), dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def parsed_moment(text: object) -> float | None:
    """Seconds since 1970 of a documented date-time, None if it has any other shape."""
    if not isinstance(text, str) or not _MOMENT.fullmatch(text):
        return None
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC).timestamp()
    except ValueError:
        return None


def american(text: str) -> str:
    """The other spelling of a documented date-time: month first, twelve hours."""
    when = dt.datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=dt.UTC)
    half = "AM" if when.hour < 12 else "PM"
    return f"{when.month}/{when.day}/{when.year} {when.hour % 12 or 12}:{when:%M:%S} {half}"


DATE_SHAPES: Final[tuple[Callable[[str], str], ...]] = (
    str,
    american,
    lambda text: f"{text}.000",
    lambda text: f"/Date({int(parsed_moment(text) or 0) * 1000}+0000)/",
)
"""How a documented date-time comes back: `2026-07-31 05:33:50`, `7/31/2026 5:33:50 AM`,
`2026-07-31 05:33:50.000`, `/Date(1785476030000+0000)/` (observed by integrators)."""


def respelt(text: str, kind: str | None, dice: Random | None) -> str:
    """A value as it comes back: trimmed, and in any of its spellings.

    kind: the field's type; None if unknown, then its looks decide. dice: None leaves the spelling alone.
    """
    text = text.strip()
    if dice is None or kind == "text":
        return text
    if kind in (None, "user") and GUID.fullmatch(text):
        return dice.choice((text.upper(), text.lower()))
    if kind in (None, "datetime") and parsed_moment(text) is not None:
        return dice.choice(DATE_SHAPES)(text)
    if kind in (None, "number") and (match := _PADDED.fullmatch(text)):
        return match[1].rstrip(".")
    if kind == "boolean" and text.lower() in _TRUTH:
        return dice.choice((_TRUTH[text.lower()], text.lower()))
    return text
