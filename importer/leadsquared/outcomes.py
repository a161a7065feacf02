"""What a call to LeadSquared led to: one exchange in, one outcome out, by one table.

Pure and total: any status, headers and body give an outcome, never an exception. Facts: the vendor's
documentation (authentication, error-handling, rate-limits pages) and what integrators observed. The
HTTP status alone does not decide (refusals come as 200, 400 and 500, rate refusals as 429, 403 and 200),
so the body speaks first.
"""

from __future__ import annotations

import codecs
import email.utils
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, NamedTuple

from importer.activity import GUID
from importer.pacing.pacing import Rate, Refusal
from importer.remedies import is_known_refusal, remedy_for
from importer.text import one_line

SAID_LENGTH_MAX: Final = 500
CODE_LENGTH_MAX: Final = 100
RETRY_AFTER_MAX_S: Final = 86_400.0
NIL_GUID: Final = "00000000-0000-0000-0000-000000000000"


class OutcomeKind(StrEnum):
    """What follows for the row."""

    CREATED = "created"
    THROTTLED = "throttled"
    UNAUTHORISED = "unauthorised"
    REFUSED = "refused"
    UNKNOWN_REFUSAL = "unknown-refusal"
    """A 500 with an `MX…` exception that is not on the known list: doubtful, once."""
    WRONG_ADDRESS = "wrong-address"
    NOT_SENT = "not-sent"
    DOUBTFUL = "doubtful"


REFUSALS: Final = frozenset({OutcomeKind.REFUSED, OutcomeKind.UNKNOWN_REFUSAL})
FINAL_FOR_ALL: Final = frozenset({OutcomeKind.UNAUTHORISED, OutcomeKind.WRONG_ADDRESS})
"""Whatever is asked next ends the same: the run stops."""


class Failure(StrEnum):
    """Why a call ended without a complete answer. The value is the code in the results file."""

    DNS = "dns"
    CONNECTION_REFUSED = "connection-refused"
    TLS = "tls"
    CONNECT_TIMEOUT = "connect-timeout"
    PROXY = "proxy"
    NOT_LEFT = "not-sent"
    """Ended before a byte left for any other reason, a cancellation of ours among them."""
    READ_TIMEOUT = "timeout"
    RESET = "connection-lost"
    CUT_OFF = "cut-off"
    GARBLED = "unreadable"
    TOO_LARGE = "too-large"
    CANCELLED = "cancelled"


CERTAINLY_NOT_SENT: Final = frozenset(
    {
        Failure.DNS,
        Failure.CONNECTION_REFUSED,
        Failure.TLS,
        Failure.CONNECT_TIMEOUT,
        Failure.PROXY,
        Failure.NOT_LEFT,
    }
)


_MX_NAME: Final = re.compile(r"MX[A-Za-z]\w{0,95}", re.IGNORECASE)


@dataclass
class Exchange:
    """One HTTP exchange, however it ended; what the table asks about it is read once.

    status: None when no status line arrived. headers: asked for by names in lower case. body: what arrived
    of it, decompressed. failure: None when the answer is complete. detail: the failure in the library's
    words, without keys. seconds: from just before the call to its end.
    """

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    failure: Failure | None
    detail: str
    seconds: float

    @cached_property
    def outcome(self) -> Outcome:
        """What it means for a row, if it is the answer to a Create."""
        return _judge(self)

    @property
    def read_failure(self) -> Outcome | None:
        """Why the answer to a read holds nothing to parse; None when it does.

        A read has no `Message.Id`: a complete 200 that refuses nothing is an answer, and its parser judges
        it.
        """
        unremarkable = self.outcome.kind in {OutcomeKind.CREATED, OutcomeKind.DOUBTFUL}
        return None if self.status == 200 and self.failure is None and unremarkable else self.outcome

    @cached_property
    def document(self) -> object:
        """The body as JSON, None when it is not JSON."""
        return parsed(self.body)

    @property
    def answer(self) -> Mapping[str, Any]:
        """The same if it is an object, else empty."""
        return self.document if isinstance(self.document, dict) else {}

    @property
    def message_part(self) -> Mapping[str, Any]:
        """Its `Message` if that is an object, else empty."""
        part = self.answer.get("Message")
        return part if isinstance(part, dict) else {}

    @property
    def word(self) -> str:
        """Its `Status`."""
        return _text(self.answer, "Status")

    @property
    def activity_id(self) -> str | None:
        """Its `Message.Id`, if it can be one: a GUID, and not .NET's empty one."""
        text = _text(self.message_part, "Id").strip()
        return text if GUID.fullmatch(text) and text.strip("{}") != NIL_GUID else None

    @cached_property
    def exception(self) -> str:
        """The body's `ExceptionType`, cleaned, "" if there is none."""
        named = (_text(part, "ExceptionType") for part in (self.answer, self.message_part))
        return one_line(next((name for name in named if name.strip()), ""), CODE_LENGTH_MAX)

    @cached_property
    def mx(self) -> str:
        """The exception type, without a namespace, if it is one of LeadSquared's (`MX…`)."""
        name = self.exception.rpartition(".")[2]
        return name if _MX_NAME.fullmatch(name) else ""

    @cached_property
    def said(self) -> str:
        """The server's own words about what is wrong, cleaned."""
        answer, part = self.answer, self.message_part
        words = (
            _text(answer, "ExceptionMessage"),
            _text(part, "ExceptionMessage"),
            _text(part, "Message"),
            _text(answer, "Message"),
            _text(answer, "error"),
        )
        return one_line(next((text for text in words if text.strip()), ""), SAID_LENGTH_MAX)

    @cached_property
    def limit_text(self) -> str:
        """The words that state the rate limit, "" if there are none.

        A refusal of a known kind may quote a cell's content, so there the words count only where they
        begin the message. A body that is not JSON (a page of the CDN) is searched as it is.
        """
        if is_known_refusal(self.mx):
            return self.said if _LIMIT_AT_START.match(self.said) else ""
        in_json = self.document is not None and not isinstance(self.document, str)
        words = self.said if in_json else decoded(self.body)
        found = _LIMIT.search(words)
        return "" if found is None else words[max(0, found.start() - 20) :][:SAID_LENGTH_MAX]


def _text(part: Mapping[str, Any], key: str) -> str:
    """The text under a key, "" where there is none."""
    found = part.get(key)
    return found if isinstance(found, str) else ""


class Outcome(NamedTuple):
    """What an attempt showed.

    code: `import_error_code` ("" when created). message: one line for a person, what is wrong and what
    to do. activity_id: set exactly when created. refusal: set exactly when throttled. complete: a
    complete HTTP 200 or 500 answer arrived (then the second look may come sooner). said: the server's
    own words, cleaned, "" if none.
    """

    kind: OutcomeKind
    code: str
    message: str
    http_status: int | None
    activity_id: str | None = None
    refusal: Refusal | None = None
    complete: bool = False
    said: str = ""


TABLE: Final[tuple[tuple[OutcomeKind, Callable[[Exchange], bool]], ...]] = (
    (OutcomeKind.CREATED, lambda seen: seen.word == "Success" and seen.activity_id is not None),
    (
        OutcomeKind.THROTTLED,
        lambda seen: (
            seen.mx.casefold().startswith("mxapiratelimitexceeded")
            or bool(seen.limit_text)
            or seen.status == 429
        ),
    ),
    (
        OutcomeKind.UNAUTHORISED,
        lambda seen: seen.status == 401 or seen.mx.casefold().startswith("mxinvalidaccessdetails"),
    ),
    (
        OutcomeKind.REFUSED,
        lambda seen: (
            is_known_refusal(seen.mx)
            or seen.status == 412
            or (seen.word in {"Failed", "Error"} and seen.status in {200, 400})
        ),
    ),
    (OutcomeKind.UNKNOWN_REFUSAL, lambda seen: seen.status == 500 and bool(seen.mx)),
    (
        OutcomeKind.WRONG_ADDRESS,
        lambda seen: (
            (seen.status is not None and 300 <= seen.status <= 399)
            or (seen.status in {404, 405} and not seen.mx and seen.failure is None)
        ),
    ),
    (OutcomeKind.NOT_SENT, lambda seen: seen.failure in CERTAINLY_NOT_SENT or seen.status == 407),
)
"""First match wins; what matches nothing is doubtful."""


def _judge(seen: Exchange) -> Outcome:
    kind = next((kind for kind, matches in TABLE if matches(seen)), OutcomeKind.DOUBTFUL)
    complete = seen.status in {200, 500} and seen.failure is None
    if kind is OutcomeKind.CREATED:
        return Outcome(kind, "", "", seen.status, seen.activity_id, complete=complete)
    code, refusal = _code(seen, kind), None
    if kind is OutcomeKind.THROTTLED:
        refusal = stated_refusal(seen.limit_text or seen.said, seen.headers)
    message = _message(seen, code)
    return Outcome(kind, code, message, seen.status, refusal=refusal, complete=complete, said=seen.said)


def _code(seen: Exchange, kind: OutcomeKind) -> str:
    """What it is called; where it says nothing by itself: how it ended, else its status, else its body."""
    if seen.mx and kind is not OutcomeKind.DOUBTFUL:
        return seen.mx
    if kind is OutcomeKind.THROTTLED:
        return "rate-limit"
    if kind is OutcomeKind.REFUSED:
        return seen.exception or "refused"
    failure = seen.failure or (Failure.PROXY if kind is OutcomeKind.NOT_SENT else None)
    if failure is not None:
        return failure.value
    if seen.status not in {None, 200}:
        return f"http-{seen.status}"
    return "no-id" if seen.status and isinstance(seen.document, dict) else Failure.GARBLED.value


def _message(seen: Exchange, code: str) -> str:
    entry = remedy_for(code)
    words = seen.said or entry.meaning
    if seen.said and not seen.mx:
        words = f"{entry.meaning} LeadSquared says: {seen.said}"
    stop = "" if words.endswith((".", "!", "?")) else "."
    return f"{words}{stop} {entry.action}"


# ---- what a refusal for the rate says of the tenant's limits ------------------------------------------

# "API calls exceeded the limit of 20 in 5 second(s)" is the wording that integrators saw. One edition of the
# vendor's rate-limits page adds calls a day, whose refusal nobody has described: several wordings are
# understood.
_DAY_S: Final = 86_400.0
_EXCEEDED: Final = (
    r"(?:calls?\s+exceeded\s+the\s+limit"
    r"|(?:API|calls?)\s+(?:limit|quota)(?:\s+of\s+[\d,]{1,12}(?:\s+calls?)?)?\s+(?:\w+\s+){0,2}(?:exceeded|reached|used))"
)
_LIMIT: Final = re.compile(_EXCEEDED, re.IGNORECASE)
_LIMIT_AT_START: Final = re.compile(
    rf"\W{{0,5}}(?:MX\w{{0,60}}\W{{0,5}})?(?:(?:your|the|daily|API)\s+){{0,3}}{_EXCEEDED}", re.IGNORECASE
)
_NUMBERS: Final = re.compile(
    r"limit\s+of\s+([\d,]{1,12})\s*(?:(?:api\s+)?calls?\s+)?(?:in|per|every)\s+(?:(\d{1,6}(?:\.\d{1,6})?)\s*)?"
    r"(second|sec|minute|min|hour|day)",
    re.IGNORECASE,
)
_UNIT_S: Final = {"second": 1.0, "sec": 1.0, "minute": 60.0, "min": 60.0, "hour": 3600.0, "day": _DAY_S}
_DAILY: Final = re.compile(
    r"\bdaily\b|\b(?:a|per|each|every|one|1)[ -]day\b|\b24[ -]?hours?\b|\btoday\b", re.IGNORECASE
)
_OF_CALLS: Final = re.compile(r"(?:limit|quota)\s+of\s+([\d,]{1,12})", re.IGNORECASE)
_MOMENT: Final = re.compile(r"\b(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)", re.ASCII)


def stated_limit(text: str) -> Rate | None:
    """The limit in "API calls exceeded the limit of 20 in 5 second(s)" or "Daily API limit of 10,000 calls
    exceeded"; None if it states none."""
    found = _NUMBERS.search(text)
    if found is not None:
        calls, period_s = _number(found[1]), float(found[2] or 1) * _UNIT_S[found[3].casefold()]
        return Rate(calls, period_s) if calls > 0 and period_s > 0 else None
    daily = _OF_CALLS.search(text) if _DAILY.search(text) else None
    return Rate(_number(daily[1]), _DAY_S) if daily is not None and _number(daily[1]) > 0 else None


def stated_refusal(text: str, headers: Mapping[str, str]) -> Refusal:
    """What a refusal with these words and headers (names in lower case) asks for.

    A moment in the words of a daily quota ("resets at 2026-08-01 00:00:00") is UTC, as the API's times are.
    """
    limit = stated_limit(text)
    quota = _DAILY.search(text) is not None and (limit is None or limit.period_s >= _DAY_S)
    wait_s = retry_after_s(headers)
    if wait_s is None and quota:
        wait_s = _until(text, http_date(headers.get("date", "")))
    return Refusal(limit=limit, retry_after_s=wait_s, quota=quota)


def _until(text: str, now: datetime | None) -> float | None:
    found = _MOMENT.search(text)
    if found is None or now is None:
        return None
    try:
        moment = datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
    except ValueError:
        return None
    wait_s = (moment - now).total_seconds()
    return wait_s if 0 <= wait_s <= RETRY_AFTER_MAX_S else None


def _number(digits: str) -> int:
    return int(digits.replace(",", "") or 0)


# ---- a server's bytes and header values: total ---------------------------------------------------------

_NUMBERS_AS_TEXT: Final = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """`Retry-After` in seconds, 0 to a day; None if absent or unreadable.

    A date is taken relative to the answer's own `Date`: our clock may be an hour off.
    """
    value = headers.get("retry-after", "").strip()[:100]
    if re.fullmatch(r"\d{1,15}(\.\d{1,15})?", value, re.ASCII):
        wait_s = float(value)
    else:
        until, now = http_date(value), http_date(headers.get("date", ""))
        if until is None or now is None:
            return None
        wait_s = (until - now).total_seconds()
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S) if math.isfinite(wait_s) else None


def http_date(value: str) -> datetime | None:
    """An HTTP date as UTC, None if it is none."""
    try:
        read = email.utils.parsedate_to_datetime(value[:100])
        aware = read if read.tzinfo else read.replace(tzinfo=UTC)
        return aware.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def decoded(body: bytes) -> str:
    """A body as text: UTF-8 with or without BOM, or UTF-16 with one; unreadable bytes are replaced."""
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return body.decode("utf-16", errors="replace")
    return body.removeprefix(codecs.BOM_UTF8).decode("utf-8", errors="replace")


def parsed(body: bytes) -> object:
    """A body as JSON, None when it is not JSON (nested deeper than Python reads included).

    Numbers stay text, exactly as the tenant wrote them.
    """
    try:
        return _NUMBERS_AS_TEXT.decode(decoded(body))
    except (ValueError, RecursionError):
        return None
