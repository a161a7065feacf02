"""What happens to a call between its caller and the tenant: the limit, which everybody's calls fill, and the
faults.

Limit: a strict sliding window with a penalty after a breach. Plans allow 2, 5, 10, 15, 20 or 25 calls in 5
seconds for the whole tenant; over it, calls are refused "until a certain amount of time has passed" (the
vendor's documentation, rate limits). The strictest reading: no period of that length, wherever it starts,
holds more accepted calls than allowed; and a breach bars every call for a while, others' calls too. One
edition of the plans counts calls a day as well. Nothing runs in the background: whenever a call of ours
arrives, the others' calls that were due before it are put to the window first, in order of time. The clock is
an argument throughout, in seconds, and must never run backwards.

Faults: which one hits a call, and what is done to a real connection then. The first rule that matches
decides; foreign writes come on top of it.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from math import inf
from random import Random
from typing import Any, Final, Self

from aiohttp import web

from importer.sandbox.rules import (
    READS,
    AnswerFault,
    BodyName,
    Fault,
    FaultsFile,
    ForeignFault,
    OtherClient,
    ThrottleFault,
)
from importer.sandbox.wire import HTML_ERROR, answer, moment, refusal_body, throttled

_RATE: Final = re.compile(r"(\d+)/(\d+(?:\.\d+)?)")
_LOOK_BACK_PERIODS: Final = 20
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Plan:
    """So many calls in so many seconds; `calls` 0 means that there is no limit."""

    calls: int
    period_s: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """`25/5`, or `none`. Raises ValueError on anything else."""
        if text == "none":
            return cls(0, 1.0)
        match = _RATE.fullmatch(text)
        if not match or int(match[1]) < 1 or float(match[2]) <= 0:
            raise ValueError(f"'{text}' is not a rate: write calls/seconds, such as 25/5, or none")
        return cls(int(match[1]), float(match[2]))

    def __str__(self) -> str:
        return f"{self.calls}/{self.period_s:g}" if self.calls else "none"


class _Client:
    """Somebody else: when the next calls are due, and how many at once."""

    def __init__(self, rule: OtherClient, plan: Plan, start_s: float) -> None:
        self.next_s = start_s + rule.from_s
        self.until_s = inf if rule.until_s is None else start_s + rule.until_s
        self.at_once = rule.burst or 1
        self.step_s = rule.every_s if rule.burst else plan.period_s / (plan.calls * (rule.share or 1e-9))
        self.pause_s = plan.period_s if rule.polite else 0.0


class Gate:
    """Admits a call if fewer than `plan.calls` were admitted within the last `plan.period_s` seconds.

    A call exactly one period old no longer counts. A refused call does not count either, but it starts the
    penalty; refusals during a penalty do not prolong it. others: calls that other clients sent so far,
    refused ones too. Raises ValueError for a rate that is none.
    """

    def __init__(self, rate: str, penalty_s: float, file: FaultsFile, start_s: float) -> None:
        self.plan = Plan.parse(rate)
        self.penalty_s = penalty_s
        self._admitted: deque[float] = deque(maxlen=self.plan.calls)
        self._barred_until = -inf
        self._day = -1
        self._today = 0
        self.change(file, start_s)

    def __repr__(self) -> str:
        return f"<Gate {self.plan}, {len(self._admitted)} admitted, barred until {self._barred_until}>"

    def change(self, file: FaultsFile, start_s: float) -> None:
        """Other rules and other clients from `start_s` on; what fills the window stays in it."""
        self._rules = file.tenant
        self._clients = [_Client(rule, self.plan, start_s) for rule in file.other_clients if self.plan.calls]
        self.others = 0

    def refusal(self, now: float, tenant_now: float) -> web.Response | None:
        """None if the call is let in. now: monotonic; tenant_now: epoch seconds by the tenant's clock."""
        self._others_until(now)
        message, headers = "", {}
        if not self._admits(now):
            message = f"API calls exceeded the limit of {self.plan.calls} in {self.plan.period_s:g} second(s)"
            headers = self._retry_after(now)
        elif self._rules.daily_quota is not None:
            message = self._over_quota(self._rules.daily_quota, tenant_now)
        return throttled(message, self._rules.rate_refusals_as, headers) if message else None

    def _admits(self, now: float) -> bool:
        """Whether a call that arrives now is let in; counts it if so."""
        if not self.plan.calls:
            return True
        if now < self._barred_until:
            return False
        if len(self._admitted) == self.plan.calls and now - self._admitted[0] < self.plan.period_s:
            self._barred_until = now + self.penalty_s
            return False
        self._admitted.append(now)
        return True

    def _others_until(self, now: float) -> None:
        """Lets every other call arrive that was due by now, but for those that no window remembers."""
        earliest_s = now - _LOOK_BACK_PERIODS * max(self.plan.period_s, self.penalty_s)
        for client in self._clients:
            client.next_s += client.step_s * max(0, (earliest_s - client.next_s) // client.step_s)
        while due := [one for one in self._clients if one.next_s <= now and one.next_s < one.until_s]:
            client = min(due, key=lambda each: each.next_s)
            self.others += client.at_once
            admitted = sum(self._admits(client.next_s) for _ in range(client.at_once))
            client.next_s += client.step_s + (client.pause_s if admitted < client.at_once else 0)

    def _over_quota(self, quota: int, tenant_now: float) -> str:
        """Counts the call; what is said if it is one too many."""
        day = int(tenant_now // _DAY_S)
        if day != self._day:
            self._day, self._today = day, 0
        self._today += 1
        if self._today <= quota:
            return ""
        resets_at = moment((day + 1) * _DAY_S)
        return f"Daily API limit of {quota} calls exceeded. The limit resets at {resets_at} UTC."

    def _retry_after(self, now: float) -> dict[str, str]:
        given = self._rules.retry_after
        if given == "none":
            return {}
        free_at = self._admitted[0] + self.plan.period_s
        wait_s = math.ceil(max(self._barred_until, free_at) - now) if isinstance(given, str) else given
        if given == "date":
            return {"Retry-After": formatdate(time.time() + self._rules.clock_offset_s + wait_s, usegmt=True)}
        return {"Retry-After": f"{wait_s:g}"}


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
