"""What an answer to a Create means: the table of outcomes, line by line, and that it is total."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.leadsquared.outcomes import (
    CERTAINLY_NOT_SENT,
    Exchange,
    Failure,
    Outcome,
    OutcomeKind,
    parsed,
    retry_after_s,
    stated_limit,
    stated_refusal,
)
from importer.pacing.pacing import Rate, Refusal
from importer.remedies import KNOWN_REFUSALS
from importer.text import one_line

NEW_ID = "2f6c1a52-7a3f-4a39-9c63-5ad4f1a2b001"
LIMIT_TEXT = "API calls exceeded the limit of 20 in 5 second(s)"


def answer(
    status: int | None,
    body: object = b"",
    *,
    failure: Failure | None = None,
    headers: dict[str, str] | None = None,
) -> Exchange:
    """An exchange; `body` as bytes, or as something to write as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(status, headers or {}, raw, failure, "", 0.1)


def success(activity_id: object = NEW_ID) -> dict[str, Any]:
    return {"Status": "Success", "Message": {"Id": activity_id}}


def refusal(exception: str, message: str = "What is wrong", status: str = "Error") -> dict[str, Any]:
    return {"Status": status, "ExceptionType": exception, "ExceptionMessage": message}


PAGE = b"<html><body>Bad gateway</body></html>"


@pytest.mark.parametrize(
    ("exchange", "kind", "code"),
    [
        (answer(200, success()), OutcomeKind.CREATED, ""),
        (answer(201, success()), OutcomeKind.CREATED, ""),
        (answer(500, success()), OutcomeKind.CREATED, ""),
        (answer(200, b"\xef\xbb\xbf" + json.dumps(success()).encode()), OutcomeKind.CREATED, ""),
        (answer(200, json.dumps(success()).encode("utf-16")), OutcomeKind.CREATED, ""),
        (answer(200, success(), failure=Failure.CUT_OFF), OutcomeKind.CREATED, ""),
        (answer(200, success("anything printable")), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(429), OutcomeKind.THROTTLED, "rate-limit"),
        (answer(429, PAGE), OutcomeKind.THROTTLED, "rate-limit"),
        (answer(429, failure=Failure.CUT_OFF), OutcomeKind.THROTTLED, "rate-limit"),
        (
            answer(200, refusal("MXAPIRateLimitExceededException", LIMIT_TEXT)),
            OutcomeKind.THROTTLED,
            "MXAPIRateLimitExceededException",
        ),
        (
            answer(403, refusal("MXAPIRateLimitExceededException")),
            OutcomeKind.THROTTLED,
            "MXAPIRateLimitExceededException",
        ),
        (answer(403, LIMIT_TEXT.encode()), OutcomeKind.THROTTLED, "rate-limit"),
        (answer(403, b"<p>" + LIMIT_TEXT.encode() + b"</p>"), OutcomeKind.THROTTLED, "rate-limit"),
        (
            answer(200, {"Status": "Error", "ExceptionMessage": LIMIT_TEXT}),
            OutcomeKind.THROTTLED,
            "rate-limit",
        ),
        (
            answer(200, {"Status": "Failed", "Message": {"Message": LIMIT_TEXT}}),
            OutcomeKind.THROTTLED,
            "rate-limit",
        ),
        (answer(500, refusal("MXException", LIMIT_TEXT)), OutcomeKind.THROTTLED, "MXException"),
        (answer(503, b"api  calls EXCEEDED the limit of 2 in 1 minute"), OutcomeKind.THROTTLED, "rate-limit"),
        (answer(401), OutcomeKind.UNAUTHORISED, "http-401"),
        (
            answer(401, refusal("MXUnAuthorizedAccessException")),
            OutcomeKind.UNAUTHORISED,
            "MXUnAuthorizedAccessException",
        ),
        (
            answer(500, refusal("MXInvalidAccessDetailsException")),
            OutcomeKind.UNAUTHORISED,
            "MXInvalidAccessDetailsException",
        ),
        (
            answer(200, refusal("MXInvalidAccessDetailsException")),
            OutcomeKind.UNAUTHORISED,
            "MXInvalidAccessDetailsException",
        ),
        *[
            (answer(status, refusal(name)), OutcomeKind.REFUSED, name)
            for name in KNOWN_REFUSALS
            for status in (200, 400, 403, 404, 500, 503)
        ],
        (answer(500, refusal("LeadSquared.MXXSSException")), OutcomeKind.REFUSED, "MXXSSException"),
        (answer(500, refusal("MXUnknownException")), OutcomeKind.REFUSED, "MXUnknownException"),
        (answer(500, refusal("MXUnknownErrorException")), OutcomeKind.REFUSED, "MXUnknownErrorException"),
        (answer(500, refusal("MXInvalidInput")), OutcomeKind.REFUSED, "MXInvalidInput"),
        (answer(200, refusal("MXNovelException")), OutcomeKind.REFUSED, "MXNovelException"),
        (answer(400, refusal("MXNovelException", status="Failed")), OutcomeKind.REFUSED, "MXNovelException"),
        (answer(200, {"Status": "Failed", "Message": {"Message": "No"}}), OutcomeKind.REFUSED, "refused"),
        (answer(400, {"Status": "Error"}), OutcomeKind.REFUSED, "refused"),
        (answer(412, {"Status": "Error", "ExceptionMessage": "Unknown"}), OutcomeKind.REFUSED, "refused"),
        (answer(412), OutcomeKind.REFUSED, "refused"),
        (answer(500, refusal("MXNovelException")), OutcomeKind.UNKNOWN_REFUSAL, "MXNovelException"),
        (answer(302, headers={"location": "https://elsewhere"}), OutcomeKind.WRONG_ADDRESS, "http-302"),
        (answer(308), OutcomeKind.WRONG_ADDRESS, "http-308"),
        (answer(404, PAGE), OutcomeKind.WRONG_ADDRESS, "http-404"),
        (answer(405), OutcomeKind.WRONG_ADDRESS, "http-405"),
        (answer(407), OutcomeKind.NOT_SENT, "proxy"),
        *[
            (answer(None, failure=failure), OutcomeKind.NOT_SENT, failure.value)
            for failure in sorted(CERTAINLY_NOT_SENT)
        ],
        *[
            (answer(None, failure=failure), OutcomeKind.DOUBTFUL, failure.value)
            for failure in sorted(set(Failure) - CERTAINLY_NOT_SENT)
        ],
        (answer(500), OutcomeKind.DOUBTFUL, "http-500"),
        (answer(500, {"Message": "An error has occurred."}), OutcomeKind.DOUBTFUL, "http-500"),
        (answer(500, refusal("System.NullReferenceException")), OutcomeKind.DOUBTFUL, "http-500"),
        (answer(502, PAGE), OutcomeKind.DOUBTFUL, "http-502"),
        (answer(503), OutcomeKind.DOUBTFUL, "http-503"),
        (answer(504), OutcomeKind.DOUBTFUL, "http-504"),
        (answer(400, PAGE), OutcomeKind.DOUBTFUL, "http-400"),
        (answer(403, PAGE), OutcomeKind.DOUBTFUL, "http-403"),
        (answer(403, refusal("MXNovelException")), OutcomeKind.DOUBTFUL, "http-403"),
        (answer(404, refusal("MXNovelException")), OutcomeKind.DOUBTFUL, "http-404"),
        (answer(404, failure=Failure.CUT_OFF), OutcomeKind.DOUBTFUL, "cut-off"),
        (answer(200), OutcomeKind.DOUBTFUL, "unreadable"),
        (answer(200, PAGE), OutcomeKind.DOUBTFUL, "unreadable"),
        (answer(200, b'{"Status":"Succ'), OutcomeKind.DOUBTFUL, "unreadable"),
        (answer(200, b'{"Status":"Succ', failure=Failure.CUT_OFF), OutcomeKind.DOUBTFUL, "cut-off"),
        (answer(200, [success()]), OutcomeKind.DOUBTFUL, "unreadable"),
        (answer(200, {"Status": "Success"}), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(200, {"Message": {"Id": NEW_ID}}), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(200, {"Status": "Success", "Message": NEW_ID}), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(200, success("")), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(200, success("  ")), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(200, success(None)), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(200, success([])), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(200, success("a\nb")), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(200, success("00000000-0000-0000-0000-000000000000")), OutcomeKind.DOUBTFUL, "no-id"),
        (answer(200, b"[" * 100_000), OutcomeKind.DOUBTFUL, "unreadable"),
        (answer(200, b'{"Status":' + b"9" * 5_000 + b"}"), OutcomeKind.DOUBTFUL, "no-id"),
    ],
)
def test_an_answer_means_what_its_line_of_the_table_says(
    exchange: Exchange, kind: OutcomeKind, code: str
) -> None:
    """First match wins; what matches nothing is doubtful."""
    outcome = exchange.outcome

    assert (kind, code) == (outcome.kind, outcome.code)


def test_every_kind_is_reached() -> None:
    """The table above leaves none out: a new kind needs a line there."""
    marker = next(
        mark
        for mark in test_an_answer_means_what_its_line_of_the_table_says.pytestmark  # type: ignore[attr-defined]
        if mark.name == "parametrize"
    )
    assert set(OutcomeKind) == {kind for _, kind, _ in marker.args[1]}


def test_a_refusal_that_quotes_the_rate_text_is_no_throttling() -> None:
    """A cell may contain anything, the words of a rate refusal too: the row must not wait for ever."""
    quoted = refusal("MXInvalidInputException", f"Value '{LIMIT_TEXT}' is not allowed")

    assert answer(500, quoted).outcome.kind is OutcomeKind.REFUSED


def test_an_activity_whose_note_is_the_rate_text_can_be_read() -> None:
    """Reads give content back, and content is not a refusal."""
    page = {"RecordCount": 1, "CompanyActivities": [{"ActivityNote": LIMIT_TEXT}]}

    assert answer(200, page).read_failure is None
    assert answer(200, {"CompanyActivityId": "x", "ActivityNote": LIMIT_TEXT}).read_failure is None


@pytest.mark.parametrize(
    ("exchange", "kind"),
    [
        (answer(200, refusal("MXNovelException")), OutcomeKind.REFUSED),
        (answer(200, refusal("MXAPIRateLimitExceededException")), OutcomeKind.THROTTLED),
        (answer(200, failure=Failure.CUT_OFF), OutcomeKind.DOUBTFUL),
        (answer(502), OutcomeKind.DOUBTFUL),
        (answer(404), OutcomeKind.WRONG_ADDRESS),
    ],
)
def test_a_read_that_failed_says_why(exchange: Exchange, kind: OutcomeKind) -> None:
    """The same table serves reads, but for the Id that they do not have."""
    failed = exchange.read_failure

    assert failed is not None
    assert kind is failed.kind


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        (LIMIT_TEXT, Rate(20, 5)),
        ("API CALLS EXCEEDED THE LIMIT OF 2 IN 5 SECONDS", Rate(2, 5)),
        ("API calls\n exceeded the limit  of 100 in 1 minute(s)", Rate(100, 60)),
        ("API calls exceeded the limit of 10,000 in 1 day(s)", Rate(10_000, 86_400)),
        ("API calls exceeded the limit of 500 per hour", Rate(500, 3_600)),
        ("API calls exceeded the limit of 3 in 0.5 sec", Rate(3, 0.5)),
        ("API calls exceeded the limit of 0 in 5 second(s)", None),
        ("API calls exceeded the limit of 5 in 0 second(s)", None),
        ("API calls exceeded the limit", None),
        ("Daily API limit of 10,000 calls exceeded.", Rate(10_000, 86_400)),
        ("Your API call limit of 100000 per day has been reached", Rate(100_000, 86_400)),
        ("API calls exceeded the limit of 25 in 5 second(s). 9,000 calls are left today.", Rate(25, 5)),
        ("API calls exceeded the limit of ,,, in 5 second(s)", None),
        ("API calls exceeded the limit of 99999999999999999999 in 5 second(s)", None),
    ],
)
def test_the_limit_is_read_from_the_refusal(text: str, limit: Rate | None) -> None:
    """Both numbers, any unit, case and spacing; nonsense is no limit."""
    assert limit == stated_limit(text)
    read = answer(429, refusal("MXAPIRateLimitExceededException", text)).outcome.refusal
    assert read is not None
    assert (read.limit, read.retry_after_s) == (limit, None)


NOW = {"date": "Fri, 31 Jul 2026 18:30:00 GMT"}


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (
            "Daily API limit of 12 calls exceeded. The limit resets at 2026-08-01 00:00:00 UTC.",
            Refusal(Rate(12, 86_400), 5.5 * 3600, quota=True),
        ),
        ("API calls exceeded the limit of 12 in 1 day(s)", Refusal(Rate(12, 86_400), None, quota=True)),
        ("Daily API limit exceeded, until 2026-08-01T00:00", Refusal(None, 5.5 * 3600, quota=True)),
        ("Daily API limit exceeded, until 2026-07-31 10:00:00", Refusal(None, None, quota=True)),
        ("Daily API limit exceeded, until 2026-02-31 10:00:00", Refusal(None, None, quota=True)),
        ("The API limit for 24 hours was reached.", Refusal(None, None, quota=True)),
        (LIMIT_TEXT, Refusal(Rate(20, 5), None)),
        (f"{LIMIT_TEXT}. Today is 2026-07-31 18:30:00.", Refusal(Rate(20, 5), None)),
    ],
)
def test_a_quota_of_a_day_is_told_from_the_rate(text: str, refused: Refusal) -> None:
    """However it is worded, and with the time when it is renewed where the message has one."""
    assert stated_refusal(text, NOW) == refused
    for status in (403, 429):
        outcome = answer(status, refusal("MXAPIRateLimitExceededException", text), headers=NOW).outcome
        assert (outcome.kind, outcome.refusal) == (OutcomeKind.THROTTLED, refused)


def test_the_words_of_a_quota_are_enough() -> None:
    """Whatever the status, and whatever the exception is called."""
    text = "Daily API limit of 12 calls exceeded."
    outcome = answer(403, refusal("MXSomethingNewException", text)).outcome
    assert (outcome.kind, outcome.refusal) == (
        OutcomeKind.THROTTLED,
        Refusal(Rate(12, 86_400), None, quota=True),
    )
    quoted = refusal("MXInvalidInputException", f"Value '{text}' is not allowed")
    assert answer(500, quoted).outcome.kind is OutcomeKind.REFUSED


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "999999999999"}, 86_400.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1" * 500}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Fri, 31 Jul 2026 10:00:09 GMT", "date": "Fri, 31 Jul 2026 10:00:00 GMT"}, 9.0),
        ({"retry-after": "Fri, 31 Jul 2026 09:00:00 GMT", "date": "Fri, 31 Jul 2026 10:00:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 31 Jul 2026 10:00:09 GMT"}, None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_clock(
    headers: dict[str, str], wait_s: float | None
) -> None:
    """Our clock may be an hour off, so a date counts from the answer's own Date; a day is the most."""
    assert wait_s == retry_after_s(headers)


def test_the_message_says_what_is_wrong_and_what_to_do() -> None:
    """One line: LeadSquared's own words, then the remedy."""
    said = "Field name : 'mx_Custom_1' of datatype : 'String' is mandatory"
    outcome = answer(500, refusal("MXMandatoryAttributeMissingException", f"{said}\r\n")).outcome

    expected = f"{said}. Fill in the cell, or map a column (or a constant) to that field, then resume."
    assert expected == outcome.message
    assert said == outcome.said


def test_only_a_complete_200_or_500_lets_the_second_look_come_sooner() -> None:
    """Everything else may still be under way behind a gateway."""
    complete = {status for status in (200, 400, 404, 500, 502, 503, 504) if answer(status).outcome.complete}

    assert {200, 500} == complete
    assert not answer(500, failure=Failure.CUT_OFF).outcome.complete
    assert not answer(None, failure=Failure.READ_TIMEOUT).outcome.complete


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        "Success",
        "Error",
        "Failed",
        NEW_ID,
        LIMIT_TEXT,
        "MXInvalidInputException",
        "MXNovelException",
        "\ud800",
    ]
)
ANSWERS = st.dictionaries(
    st.sampled_from(["Status", "Message", "ExceptionType", "ExceptionMessage", "error"]),
    WORDS | JSON | st.fixed_dictionaries({}, optional={"Id": WORDS | JSON, "Message": WORDS | JSON}),
)
EXCHANGES = st.builds(
    Exchange,
    status=st.none() | st.integers(-1, 1000) | st.sampled_from([200, 302, 400, 401, 404, 407, 429, 500]),
    headers=st.dictionaries(st.sampled_from(["retry-after", "date"]), st.text() | st.integers().map(str)),
    body=st.binary()
    | st.text().map(lambda text: text.encode("utf-8", "replace"))
    | (ANSWERS | JSON).map(lambda value: json.dumps(value).encode()),
    failure=st.none() | st.sampled_from(Failure),
    detail=st.text(),
    seconds=st.floats(0, 100),
)


@settings(deadline=None)
@given(EXCHANGES)
def test_any_exchange_has_an_outcome(exchange: Exchange) -> None:
    """Never an exception, never created without Success and an Id, always words for a person."""
    outcome = exchange.outcome

    assert isinstance(outcome, Outcome)
    read = parsed(exchange.body)
    if outcome.kind is OutcomeKind.CREATED:
        assert isinstance(read, dict)
        assert ("Success", outcome.activity_id) == (read["Status"], read["Message"]["Id"].strip())
    else:
        assert outcome.activity_id is None
        assert outcome.code
        assert outcome.message.isprintable()
        assert 0 < len(outcome.message) < 1_000
        outcome.message.encode()
    assert (outcome.refusal is not None) == (outcome.kind is OutcomeKind.THROTTLED)
    assert exchange.read_failure in (None, outcome)


@settings(deadline=None)
@given(st.text(), st.integers(1, 50))
def test_one_line_is_printable_and_bounded(text: str, length_max: int) -> None:
    """Whatever a server says can be written to a file and shown in a cell."""
    line = one_line(text, length_max)

    assert len(line) <= length_max
    assert line.isprintable()
