"""Answers as they go over the wire: status, headers, body.

Success is `{"Status":"Success","Message":{"Id":…}}` (documentation, post an activity on an account); a
refusal is `{"Status":"Error","ExceptionType":"MX…Exception","ExceptionMessage":…}` (error handling). The
status code alone does not tell: logic errors come as 500, and also with 200, as "Error" or as "Failed" with
`Message.Message` (observed by integrators).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

JSON_TYPE: Final = "application/json; charset=utf-8"
RefusalShape = Literal[500, 400, 200, "failed"]

HTML_ERROR: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call is answered with, before anything happens to it on the way."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    activity_id: str | None = None


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error of this program
    """The tenant says no. structural: the body is not as the API wants it, always a 400."""

    def __init__(self, kind: str, message: str, *, structural: bool = False) -> None:
        super().__init__(message)
        self.kind = kind if kind.endswith("Exception") else f"{kind}Exception"
        self.message = message
        self.structural = structural


def encoded(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON can say
    """Compact UTF-8 JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def found(value: Any) -> Answer:  # noqa: ANN401 - whatever JSON can say
    """200 with a JSON body."""
    return Answer(200, encoded(value))


def created(activity_id: str) -> Answer:
    """The answer to a Create that did create."""
    body = b'{"Status":"Success","Message":{"Id":"%s"}}' % activity_id.encode("ascii")
    return Answer(200, body, activity_id=activity_id)


def refusal_body(kind: str, message: str) -> bytes:
    """The documented body of a refusal."""
    return encoded({"Status": "Error", "ExceptionType": kind, "ExceptionMessage": message})


def refusal(refused: Refused, shape: RefusalShape) -> Answer:
    """A refusal in the shape that this tenant uses."""
    if shape == "failed":
        text = f"{refused.kind}: {refused.message}"
        return Answer(200, encoded({"Status": "Failed", "Message": {"Message": text}}))
    return Answer(400 if refused.structural else shape, refusal_body(refused.kind, refused.message))


def throttled(message: str, status: int, retry_after: str | None) -> Answer:
    """A refusal for the rate; seen with HTTP 429, 200 and 403 (observed by integrators)."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer(status, refusal_body("MXAPIRateLimitExceededException", message), headers=headers)


UNAUTHORISED: Final = Answer(
    401,
    refusal_body(
        "MXInvalidAccessDetailsException", "Invalid Access Details. AccessKey or SecretKey is incorrect."
    ),
)
NOT_FOUND: Final = Answer(404, b"<html><body><h2>404 - Not Found</h2></body></html>", "text/html")
NOT_ALLOWED: Final = Answer(405, b"<html><body><h2>405 - Method not allowed.</h2></body></html>", "text/html")
