"""How a batch stands, in words and as an exit code. Light: `status` needs no more than this."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from importer.cli.wording import count, duration

if TYPE_CHECKING:
    from importer.pacing.pacing import Rate
    from importer.sending.engine import Sent

STATUSES: Final = ("created", "failed", "invalid", "uncertain", "pending", "skipped")
MARGIN: Final = 1.03
"""The pace's spacing is so much wider than the rate."""


def exit_code(counts: Mapping[str, int], sent: Sent | None) -> int:
    """How a batch that stands like this ends (see the table in README)."""
    if sent is not None and sent.stop is not None:
        return sent.stop.exit_code
    if counts["pending"]:
        return 3
    return 1 if counts["failed"] + counts["invalid"] + counts["uncertain"] else 0


def summary(counts: Mapping[str, int], seconds: float, results: str) -> str:
    """`40 rows: 39 created, 1 failed in 8 seconds.`, and where the results file is."""
    parts = [f"{counts[status]:,} {status}" for status in STATUSES if counts[status]]
    took = f" in {duration(seconds)}" if seconds >= 1 else ""
    return f"{count(counts['rows'], 'row')}: {', '.join(parts) or 'none'}{took}.\nResults: {results}"


def expected(rows: int, rate: Rate) -> str:
    """How long it takes to send so many rows, spaced as the pace spaces them."""
    seconds = rows * rate.period_s / rate.calls * MARGIN
    return f"about {duration(seconds)}" if seconds >= 1 else duration(seconds)


def quoted(path: str) -> str:
    """A path as one types it."""
    return f'"{path}"' if " " in path else path
