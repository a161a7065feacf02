"""How a tenant spells what it was given: values come back trimmed, and otherwise than they were sent.

Observed by integrators: texts trimmed, empty fields absent, date-times either `2026-07-31 05:33:50` or
`7/31/2026 5:33:50 AM`, GUIDs in either case, numbers respelt (1.50 as 1.5).
"""

from __future__ import annotations

import datetime as dt
import re
from random import Random
from typing import Final

GUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_PADDED: Final = re.compile(r"(-?\d+)\.(\d*?)0+")
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


class Spelling:
    """Respells values for one answer after another. `mixed` chooses again each time, `plain` only trims."""

    def __init__(self, randomness: Random, *, mixed: bool) -> None:
        self._random = randomness
        self._mixed = mixed

    def _coin(self) -> bool:
        return self._mixed and self._random.random() < 0.5

    def id(self, guid: str) -> str:
        """A GUID in either case."""
        return guid.upper() if self._coin() else guid.lower()

    def moment(self, epoch_s: float) -> str:
        """A time of the tenant's own in either spelling."""
        text = moment(epoch_s)
        return american(text) if self._coin() else text

    def value(self, text: str, kind: str | None) -> str:
        """A field's value. kind: the field's type, None if unknown (then its looks decide)."""
        text = text.strip()
        if not self._mixed or kind == "text":
            return text
        if kind in (None, "user") and GUID.fullmatch(text):
            return self.id(text)
        if kind in (None, "datetime") and parsed_moment(text) is not None:
            return american(text) if self._coin() else text
        if kind in (None, "number") and (match := _PADDED.fullmatch(text)):
            return f"{match[1]}.{match[2]}" if match[2] else match[1]
        if kind == "boolean" and text.lower() in _TRUTH:
            return _TRUTH[text.lower()] if self._coin() else text.lower()
        return text
