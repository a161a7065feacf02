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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from random import Random
from typing import Any, Final

from aiohttp import web

from importer.sandbox.rules import (
    READS,
    AnswerFault,
    BodyName,
    DripFault,
    DropFault,
    Fault,
    ForeignFault,
    HangFault,
    SlowFault,
    ThrottleFault,
)
from importer.sandbox.wire import HTML_ERROR, Answer, refusal_body


@dataclass(frozen=True, slots=True)
class Hit:
    """What is done to one call."""

    fault: Fault | None = None
    foreign: tuple[ForeignFault, ...] = ()


NOTHING = Hit()


@dataclass(slots=True)
class _Rule:
    fault: Fault
    random: Random
    met: int = 0
    used: int = 0
    kinds: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        kinds = set(self.fault.on)
        if "reads" in kinds:
            kinds |= set(READS)
        self.kinds = frozenset(kinds)

    def hits(self, kind: str, body: Mapping[str, Any], attempt: int, since_start_s: float) -> bool:
        """Whether this call is hit; counts it. Calls that the conditions leave out are not counted."""
        fault = self.fault
        if not self._concerns(kind, attempt, since_start_s) or not _says(fault, body):
            return False
        self.met += 1
        hit = (
            (fault.nth is None or self.met in fault.nth)
            and (fault.every is None or self.met % fault.every == 0)
            and (fault.chance >= 1 or self.random.random() < fault.chance)
        )
        self.used += hit
        return hit

    def _concerns(self, kind: str, attempt: int, since_start_s: float) -> bool:
        fault = self.fault
        return (
            (kind in self.kinds or "any" in self.kinds)
            and since_start_s >= fault.from_s
            and (fault.until_s is None or since_start_s < fault.until_s)
            and (fault.times is None or self.used < fault.times)
            and (fault.attempt is None or attempt in fault.attempt)
        )


def _says(fault: Fault, body: Mapping[str, Any]) -> bool:
    """Whether the call's body says what the rule asks for."""
    if fault.account is not None and str(body.get("RelatedCompanyId", "")).lower() != fault.account.lower():
        return False
    if fault.event is not None and body.get("ActivityEvent") != fault.event:
        return False
    if fault.note_has is not None and fault.note_has not in str(body.get("ActivityNote", "")):
        return False
    if not fault.field:
        return True
    given = body.get("Fields")
    pairs = given if isinstance(given, list) else []
    values = {pair.get("SchemaName"): pair.get("Value") for pair in pairs if isinstance(pair, dict)}
    return all(values.get(name) == value for name, value in fault.field.items())


class Faults:
    """The rules of a faults file, with the memory that `nth`, `attempt`, `times` and `chance` need."""

    def __init__(self, faults: Sequence[Fault], seed: int) -> None:
        self._rules = [_Rule(fault, Random(f"{seed}:{place}")) for place, fault in enumerate(faults)]
        self._counts_attempts = any(fault.attempt is not None for fault in faults)
        self._attempts: Counter[bytes] = Counter()

    def __bool__(self) -> bool:
        return bool(self._rules)

    def hit(self, kind: str, raw: bytes, body: Mapping[str, Any], since_start_s: float) -> Hit:
        """What is to be done to this call. Asked exactly once for each call."""
        attempt = 0
        if self._counts_attempts:
            key = hashlib.blake2b(raw, digest_size=16).digest()
            self._attempts[key] += 1
            attempt = self._attempts[key]
        foreign: list[ForeignFault] = []
        for rule in self._rules:
            if not rule.hits(kind, body, attempt, since_start_s):
                continue
            if not isinstance(rule.fault, ForeignFault):
                return Hit(rule.fault, tuple(foreign))
            foreign.append(rule.fault)
        return Hit(None, tuple(foreign))


Perform = Callable[[], Answer]
_GARBAGE: Final = bytes(range(0, 256, 7)) * 20 + b'{"Status":"Succ'
_HUGE_BYTES: Final = 64 * 1024 * 1024
_DRIP_STEPS: Final = 200
_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)  # close means RST


def response(answer: Answer, extra: Mapping[str, str] | None = None) -> web.Response:
    """An answer as it should be."""
    headers = {"Content-Type": answer.content_type, **answer.headers, **(extra or {})}
    return web.Response(status=answer.status, body=answer.body, headers=headers)


def gone(request: web.BaseRequest, *, reset: bool) -> web.Response:
    """Ends the connection without a word. What is returned never leaves: the server finds it closed."""
    transport = request.transport
    if transport is not None:
        if reset:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            transport.abort()
        else:
            transport.close()
    return web.Response()


def _head(answer: Answer, framing: str) -> bytes:
    phrase = HTTPStatus(answer.status).phrase if answer.status in set(HTTPStatus) else "Unknown"
    lines = [
        f"HTTP/1.1 {answer.status} {phrase}",
        f"Content-Type: {answer.content_type}",
        framing,
        f"Date: {answer.headers.get('Date') or formatdate(usegmt=True)}",
        *(f"{name}: {value}" for name, value in answer.headers.items() if name != "Date"),
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"


def _broken_off(name: BodyName, request: web.BaseRequest, answer: Answer) -> web.Response:
    """Bytes that a proper server cannot send, then the end of the connection."""
    half = answer.body[: len(answer.body) // 2]
    if name == "truncated":
        sent = _head(answer, f"Content-Length: {len(answer.body) + 200}") + half
    elif name == "cut-chunk":
        sent = _head(answer, "Transfer-Encoding: chunked") + b"%x\r\n%s" % (len(answer.body), half)
    else:
        sent = _GARBAGE
    if request.transport is not None:
        request.transport.write(sent)
    return gone(request, reset=False)


async def _huge(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    """A right answer after 64 MiB of blanks, which JSON allows."""
    stream = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    try:
        await stream.prepare(request)
        for _ in range(_HUGE_BYTES // (1024 * 1024)):
            await stream.write(b" " * 1024 * 1024)
        await stream.write(answer.body)
        await stream.write_eof()
    except ConnectionError:
        return gone(request, reset=True)
    return stream


def _body(name: BodyName, right: Answer) -> Answer:
    """The right answer with another body."""
    bodies = {
        "no-id": b'{"Status":"Success","Message":{}}',
        "empty": b"",
        "garbage": _GARBAGE,
        "gzip": _GARBAGE,
        "html": HTML_ERROR,
        "bom": b"\xef\xbb\xbf" + right.body,
        "mx": refusal_body("MXInvalidInputException", "Invalid input.", IsMXException=True),
    }
    content_type = "text/html" if name == "html" else right.content_type
    headers = {**right.headers, "Content-Encoding": "gzip"} if name == "gzip" else right.headers
    return Answer(right.status, bodies.get(name, right.body), content_type, headers)


async def other_answer(
    fault: AnswerFault, request: web.BaseRequest, perform: Perform, extra: Mapping[str, str]
) -> web.StreamResponse:
    """Another status or body than the right one. perform: writes nothing unless the fault commits."""
    right = perform() if fault.commits or fault.status < 300 else Answer(fault.status, b"")
    answer = _body(fault.body or ("html" if fault.status >= 300 else "normal"), right)
    body = answer.body if fault.text is None else fault.text.encode("utf-8")
    headers = {**answer.headers, **fault.headers, **extra}
    answer = Answer(fault.status, body, answer.content_type, headers)
    if fault.body in ("truncated", "cut-chunk", "not-http"):
        return _broken_off(fault.body, request, answer)
    return await _huge(request, answer) if fault.body == "huge" else response(answer)


async def silent(
    fault: HangFault | DropFault, request: web.BaseRequest, perform: Perform
) -> web.StreamResponse:
    """No answer at all: the connection ends, at once or after a wait."""
    if fault.commit:
        perform()
    if isinstance(fault, HangFault):
        await asyncio.sleep(fault.seconds)
        return gone(request, reset=True)
    return gone(request, reset=fault.reset)


async def slow(fault: SlowFault, perform: Perform) -> Answer:
    """The right answer, late."""
    if fault.commit == "after":
        await asyncio.sleep(fault.seconds)
        return perform()
    answer = perform()
    await asyncio.sleep(fault.seconds)
    return answer


async def dripped(
    fault: DripFault, request: web.BaseRequest, perform: Perform, extra: Mapping[str, str]
) -> web.StreamResponse:
    """The right answer in small pieces, from the status line on."""
    right = perform()
    answer = Answer(right.status, right.body, right.content_type, {**right.headers, **extra})
    whole = _head(answer, f"Content-Length: {len(answer.body)}") + answer.body
    step = max(1, len(whole) // _DRIP_STEPS)
    pieces = [whole[start : start + step] for start in range(0, len(whole), step)]
    for piece in pieces:
        if request.transport is None or request.transport.is_closing():
            break
        request.transport.write(piece)
        await asyncio.sleep(fault.seconds / len(pieces))
    return gone(request, reset=False)


def throttle_answer(fault: ThrottleFault, plan: str) -> Answer:
    """A refusal for the rate that the rate has nothing to do with."""
    calls, _, period = (fault.limit or plan).partition("/")
    message = fault.message or f"API calls exceeded the limit of {calls} in {period} second(s)"
    headers = {}
    if fault.retry_after == "date":
        headers["Retry-After"] = formatdate(time.time() + 5, usegmt=True)
    elif fault.retry_after is not None:
        headers["Retry-After"] = f"{fault.retry_after:g}"
    body = refusal_body("MXAPIRateLimitExceededException", message)
    return Answer(fault.status, body, headers=headers)


def redirect(status: int, to: str) -> Answer:
    """Another address, with the page that servers send along."""
    return Answer(status, b"<html><body>Object moved</body></html>", "text/html", {"Location": to})


class Holds:
    """The calls whose answers wait, by their numbers."""

    def __init__(self) -> None:
        self._events: dict[int, asyncio.Event] = {}

    def __repr__(self) -> str:
        return f"<Holds {self.numbers}>"

    @property
    def numbers(self) -> list[int]:
        """Numbers of the calls that wait, oldest first."""
        return list(self._events)

    async def hold(self, number: int, seconds: float) -> None:
        """Waits until released, at most so long."""
        event = self._events[number] = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            self._events.pop(number, None)

    def release(self, number: int | None = None) -> int:
        """Lets one held answer go, or all; how many went."""
        numbers = self.numbers if number is None else [number]
        events = [event for each in numbers if (event := self._events.get(each)) is not None]
        for event in events:
            event.set()
        return len(events)
