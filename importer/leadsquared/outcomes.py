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


@dataclass
class Exchange:
    """One HTTP exchange, however it ended.

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
        return _judge(_Facts(self))

    @property
    def read_failure(self) -> Outcome | None:
        """Why the answer to a read holds nothing to parse; None when it does.

        A read has no `Message.Id`: a complete 200 that refuses nothing is an answer, and its parser judges
        it.
        """
        unremarkable = self.outcome.kind in {OutcomeKind.CREATED, OutcomeKind.DOUBTFUL}
        return None if self.status == 200 and self.failure is None and unremarkable else self.outcome


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


_MX_NAME: Final = re.compile(r"MX[A-Za-z]\w{0,95}", re.IGNORECASE)
_RATE_LIMIT_EXCEPTION: Final = "mxapiratelimitexceeded"
_BAD_KEYS_EXCEPTION: Final = "mxinvalidaccessdetails"


class _Facts:
    """The parts of an exchange that the table asks about, each read once.

    document: the body as JSON, None when it is not JSON. answer: the same if it is an object, else empty.
    message_part: its `Message` if that is an object, else empty. word: its `Status`. activity_id: its
    `Message.Id`, if it can be one.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.status = exchange.status
        self.failure = exchange.failure
        self.exchange = exchange
        self.document = document = parsed(exchange.body)
        self.answer: Mapping[str, Any] = document if isinstance(document, dict) else {}
        part, word = self.answer.get("Message"), self.answer.get("Status")
        self.message_part: Mapping[str, Any] = part if isinstance(part, dict) else {}
        self.word = word if isinstance(word, str) else ""
        self.activity_id = _usable_id(self.message_part.get("Id"))

    @cached_property
    def text(self) -> str:
        return decoded(self.exchange.body)

    @cached_property
    def exception(self) -> str:
        """The body's `ExceptionType`, cleaned, "" if there is none."""
        for part in (self.answer, self.message_part):
            name = part.get("ExceptionType")
            if isinstance(name, str) and name.strip():
                return one_line(name, CODE_LENGTH_MAX)
        return ""

    @cached_property
    def mx(self) -> str:
        """The exception type, without a namespace, if it is one of LeadSquared's (`MX…`)."""
        name = self.exception.rpartition(".")[2]
        return name if _MX_NAME.fullmatch(name) else ""

    @cached_property
    def said(self) -> str:
        """The server's own words about what is wrong, cleaned."""
        for part, key in (
            (self.answer, "ExceptionMessage"),
            (self.message_part, "ExceptionMessage"),
            (self.message_part, "Message"),
            (self.answer, "Message"),
            (self.answer, "error"),
        ):
            words = part.get(key)
            if isinstance(words, str) and words.strip():
                return one_line(words, SAID_LENGTH_MAX)
        return ""

    @cached_property
    def limit_text(self) -> str:
        """The words that state the rate limit, "" if there are none.

        A refusal of a known kind may quote a cell's content, so there the words count only where they
        begin the message. A body that is not JSON (a page of the CDN) is searched as it is.
        """
        if self.mx and is_known_refusal(self.mx):
            return limit_words(self.said, at_start=True)
        words = self.said if self.document is not None and not isinstance(self.document, str) else self.text
        return limit_words(words)[:SAID_LENGTH_MAX]


def _usable_id(found: object) -> str | None:
    """An Id is a GUID, and not .NET's empty one."""
    text = found.strip() if isinstance(found, str) else ""
    return text if GUID.fullmatch(text) and text.strip("{}") != NIL_GUID else None


def _created(seen: _Facts) -> bool:
    return seen.word == "Success" and seen.activity_id is not None


def _throttled(seen: _Facts) -> bool:
    by_name = seen.mx.casefold().startswith(_RATE_LIMIT_EXCEPTION)
    return by_name or bool(seen.limit_text) or seen.status == 429


def _unauthorised(seen: _Facts) -> bool:
    return seen.status == 401 or seen.mx.casefold().startswith(_BAD_KEYS_EXCEPTION)


def _refused(seen: _Facts) -> bool:
    known = bool(seen.mx) and is_known_refusal(seen.mx)
    return known or seen.status == 412 or (seen.word in {"Failed", "Error"} and seen.status in {200, 400})


def _unknown_refusal(seen: _Facts) -> bool:
    return seen.status == 500 and bool(seen.mx)


def _wrong_address(seen: _Facts) -> bool:
    if seen.status is not None and 300 <= seen.status <= 399:
        return True
    return seen.status in {404, 405} and not seen.mx and seen.failure is None


def _not_sent(seen: _Facts) -> bool:
    return seen.failure in CERTAINLY_NOT_SENT or seen.status == 407


TABLE: Final[tuple[tuple[Callable[[_Facts], bool], OutcomeKind], ...]] = (
    (_created, OutcomeKind.CREATED),
    (_throttled, OutcomeKind.THROTTLED),
    (_unauthorised, OutcomeKind.UNAUTHORISED),
    (_refused, OutcomeKind.REFUSED),
    (_unknown_refusal, OutcomeKind.UNKNOWN_REFUSAL),
    (_wrong_address, OutcomeKind.WRONG_ADDRESS),
    (_not_sent, OutcomeKind.NOT_SENT),
)
"""First match wins; what matches nothing is doubtful."""


def _judge(seen: _Facts) -> Outcome:
    kind = next((kind for matches, kind in TABLE if matches(seen)), OutcomeKind.DOUBTFUL)
    created = kind is OutcomeKind.CREATED
    code = "" if created else _code(seen, kind)
    return Outcome(
        kind=kind,
        code=code,
        message="" if created else _message(seen, code),
        http_status=seen.status,
        activity_id=seen.activity_id if created else None,
        refusal=stated_refusal(seen.limit_text or seen.said, seen.exchange.headers)
        if kind is OutcomeKind.THROTTLED
        else None,
        complete=seen.status in {200, 500} and seen.failure is None,
        said="" if created else seen.said,
    )


def _code(seen: _Facts, kind: OutcomeKind) -> str:
    if seen.mx and kind is not OutcomeKind.DOUBTFUL:
        return seen.mx
    match kind:
        case OutcomeKind.THROTTLED:
            return "rate-limit"
        case OutcomeKind.REFUSED:
            return seen.exception or "refused"
        case OutcomeKind.NOT_SENT:
            return seen.failure.value if seen.failure else Failure.PROXY.value
        case _:
            return _code_without_meaning(seen)


def _code_without_meaning(seen: _Facts) -> str:
    """The code of an answer that says nothing by itself: how it ended, else its status, else its body."""
    if seen.failure is not None:
        return seen.failure.value
    if seen.status is None:
        return Failure.GARBLED.value
    if seen.status != 200:
        return f"http-{seen.status}"
    return "no-id" if isinstance(seen.document, dict) else Failure.GARBLED.value


def _message(seen: _Facts, code: str) -> str:
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


def limit_words(text: str, *, at_start: bool = False) -> str:
    """The words that state a limit of API calls which was exceeded, "" if there are none. at_start: only
    where they begin the text (a refusal of another kind may quote a cell's content)."""
    if at_start:
        return text if _LIMIT_AT_START.match(text) else ""
    found = _LIMIT.search(text)
    return "" if found is None else text[max(0, found.start() - 20) :]


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
