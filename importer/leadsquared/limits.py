"""What a refusal for the rate says of the tenant's limits, and when to come back. Pure and total.

"API calls exceeded the limit of 20 in 5 second(s)" is the wording that integrators saw. One edition of the
vendor's rate-limits page adds calls a day, whose refusal nobody has described: several wordings are
understood.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from importer.leadsquared.bodies import RETRY_AFTER_MAX_S, http_date, retry_after_s
from importer.pacing.pacing import Rate, Refusal

_DAY_S: Final = 86_400.0
BEFORE: Final = 20
"""Characters before the words that are kept: "Your daily "."""

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
    return "" if found is None else text[max(0, found.start() - BEFORE) :]


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
