"""What can go wrong between a tenant and its caller: which fault hits a call, and what is done to a real
connection then. The first rule that matches decides; foreign writes come on top of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from random import Random
from typing import Any, Final

from aiohttp import web

from importer.sandbox.rules import READS, AnswerFault, BodyName, Fault, ForeignFault, ThrottleFault
from importer.sandbox.wire import HTML_ERROR, answer, page, refusal_body, throttled


@dataclass(slots=True)
class _Rule:
    """A fault, with the memory that `nth`, `times` and `chance` need."""

    fault: Fault
    random: Random
    met: int = 0
    used: int = 0

    def hits(self, kind: str, body: Mapping[str, Any], attempt: int, since_start_s: float) -> bool:
        """Whether this call is hit; counts it. Calls that the conditions leave out are not counted."""
        fault = self.fault
        if not (
            (kind in fault.on or "any" in fault.on or ("reads" in fault.on and kind in READS))
            and since_start_s >= fault.from_s
            and (fault.until_s is None or since_start_s < fault.until_s)
            and (fault.times is None or self.used < fault.times)
            and (fault.attempt is None or attempt in fault.attempt)
            and _says(fault, body)
        ):
            return False
        self.met += 1
        hit = (
            (fault.nth is None or self.met in fault.nth)
            and (fault.every is None or self.met % fault.every == 0)
            and (fault.chance >= 1 or self.random.random() < fault.chance)
        )
        self.used += hit
        return hit


def _says(fault: Fault, body: Mapping[str, Any]) -> bool:
    """Whether the call's body says what the rule asks for."""
    given = body.get("Fields") if fault.field else None
    pairs = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    fields = {str(each.get("SchemaName")): each.get("Value") for each in pairs}
    account = str(body.get("RelatedCompanyId", "")).lower()
    return (
        (fault.account is None or account == fault.account.lower())
        and (fault.event is None or body.get("ActivityEvent") == fault.event)
        and fault.note_has in str(body.get("ActivityNote", ""))
        and all(fields.get(name) == value for name, value in fault.field.items())
    )


class Faults:
    """The rules of a faults file."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._rules = [_Rule(fault, Random(f"{seed}:{place}")) for place, fault in enumerate(faults)]
        self._attempts: Counter[bytes] = Counter()

    def hit(
        self, kind: str, raw: bytes, body: Mapping[str, Any], since_start_s: float
    ) -> tuple[Fault | None, list[ForeignFault]]:
        """What is to be done to this call, and what others write then. Asked exactly once for each call."""
        key = hashlib.blake2b(raw, digest_size=16).digest() if self._rules else b""
        self._attempts[key] += 1
        foreign: list[ForeignFault] = []
        for rule in self._rules:
            if not rule.hits(kind, body, self._attempts[key], since_start_s):
                continue
            if not isinstance(rule.fault, ForeignFault):
                return rule.fault, foreign
            foreign.append(rule.fault)
        return None, foreign


_GARBAGE: Final = bytes(range(0, 256, 7)) * 20 + b'{"Status":"Succ'
_DRIP_STEPS: Final = 200
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # close means RST


def gone(request: web.BaseRequest, *, reset: bool, status: int = 0) -> web.Response:
    """Ends the connection without a word. What is returned never leaves: the server finds it closed.

    status: what the caller may have seen of an answer before that, 0 for nothing.
    """
    transport = request.transport
    if transport is not None:
        if reset:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()
        else:
            transport.close()
    return web.Response(status=status)


def _head(right: web.Response, framing: str) -> bytes:
    phrase = HTTPStatus(right.status).phrase if right.status in set(HTTPStatus) else "Unknown"
    headers = {"Date": formatdate(usegmt=True), **right.headers}
    lines = [f"HTTP/1.1 {right.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, framing]).encode("ascii") + b"\r\n\r\n"


def _body(right: web.Response) -> bytes:
    assert isinstance(right.body, bytes)  # every answer here is made of bytes
    return right.body


def other_answer(fault: AnswerFault, perform: Callable[[], web.Response]) -> web.Response:
    """Another status or body than the right one. perform: writes nothing unless the fault commits."""
    right = perform() if fault.commits or fault.status < 300 else answer(fault.status, b"")
    body, name = _body(right), fault.body or ("html" if fault.status >= 300 else "normal")
    bodies = {
        "no-id": b'{"Status":"Success","Message":{}}',
        "empty": b"",
        "garbage": _GARBAGE,
        "gzip": _GARBAGE,
        "html": HTML_ERROR,
        "bom": b"\xef\xbb\xbf" + body,
        "mx": refusal_body("MXInvalidInputException", "Invalid input.", IsMXException=True),
        "huge": _huge(body),
    }
    headers = {"html": {"Content-Type": "text/html"}, "gzip": {"Content-Encoding": "gzip"}}.get(name, {})
    return web.Response(
        status=fault.status,
        body=bodies.get(name, body) if fault.text is None else fault.text.encode("utf-8"),
        headers={**right.headers, **headers, **fault.headers},
    )


async def _huge(body: bytes) -> AsyncIterator[bytes]:
    """A right body after 64 MiB of blanks, which JSON allows."""
    for _ in range(64):
        yield b" " * 1024 * 1024
    yield body


def broken_off(name: BodyName | None, request: web.BaseRequest, right: web.Response) -> web.Response:
    """The answer; for these bodies bytes that a proper server cannot send, then the end of the connection."""
    if name not in ("truncated", "cut-chunk", "not-http"):
        return right
    body = _body(right)
    half = body[: len(body) // 2]
    sent = {
        "truncated": _head(right, f"Content-Length: {len(body) + 200}") + half,
        "cut-chunk": _head(right, "Transfer-Encoding: chunked") + b"%x\r\n%s" % (len(body), half),
        "not-http": _GARBAGE,
    }[name]
    if request.transport is not None:
        request.transport.write(sent)
    return gone(request, reset=False, status=right.status)


async def dripped(seconds: float, request: web.BaseRequest, right: web.Response) -> web.Response:
    """The right answer in small pieces, from the status line on."""
    whole = _head(right, f"Content-Length: {len(_body(right))}") + _body(right)
    step = max(1, len(whole) // _DRIP_STEPS)
    pieces = [whole[start : start + step] for start in range(0, len(whole), step)]
    for piece in pieces:
        if request.transport is None or request.transport.is_closing():
            break
        request.transport.write(piece)
        await asyncio.sleep(seconds / len(pieces))
    return gone(request, reset=False, status=right.status)


def throttle_answer(fault: ThrottleFault, plan: str) -> web.Response:
    """A refusal for the rate that the rate has nothing to do with."""
    calls, _, period = (fault.limit or plan).partition("/")
    message = fault.message or f"API calls exceeded the limit of {calls} in {period} second(s)"
    headers = {}
    if fault.retry_after == "date":
        headers["Retry-After"] = formatdate(time.time() + 5, usegmt=True)
    elif fault.retry_after is not None:
        headers["Retry-After"] = f"{fault.retry_after:g}"
    return throttled(message, fault.status, headers)


def redirect(status: int, to: str) -> web.Response:
    """Another address, with the page that servers send along."""
    return page(status, b"<html><body>Object moved</body></html>", Location=to)
