"""A server's bytes and header values as Python values. Pure and total: nothing here raises."""

from __future__ import annotations

import codecs
import datetime as dt
import email.utils
import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

RETRY_AFTER_MAX_S: Final = 86_400.0
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


@lru_cache(maxsize=16)
def http_date(value: str) -> dt.datetime | None:
    """An HTTP date as UTC, None if it is none. Thousands of answers a second bear the same one."""
    try:
        read = email.utils.parsedate_to_datetime(value[:100])
        aware = read if read.tzinfo else read.replace(tzinfo=dt.UTC)
        return aware.astimezone(dt.UTC)
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
