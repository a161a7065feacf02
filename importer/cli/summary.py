"""A batch's counts in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from importer.store.records import SHOWN_STATUSES
from importer.wording import count, duration

ALREADY: Final = "already there"


def summary(counts: Mapping[str, int], already: int, seconds: float, results: str) -> str:
    """`40 rows: 39 created, 1 failed in 8 seconds.`, and where the results file is."""
    parts = [f"{counts[status]:,} {status}" for status in SHOWN_STATUSES if counts[status]]
    if already:
        parts.append(f"{already:,} {ALREADY}")
    took = f" in {duration(seconds)}" if seconds >= 1 else ""
    return f"{count(counts['rows'], 'row')}: {', '.join(parts) or 'none'}{took}.\nResults: {results}"
