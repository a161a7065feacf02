"""How a run or a resume ended, for a person and as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from importer.app.records import RunResult
from importer.app.running import BrokenRunError
from importer.cli.console import Console
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


def run_shown(console: Console, work: Coroutine[Any, Any, RunResult]) -> int:
    """Runs it and shows how it ended; the exit code. A fault of ours is raised, after what was done."""
    try:
        result = asyncio.run(work)
    except BrokenRunError as broken:
        console.result("", broken.result.as_json())
        raise broken.__cause__ or broken from None
    return show_result(console, result)


def show_result(console: Console, result: RunResult) -> int:
    """Shows it; the exit code."""
    text = summary(result.counts, result.already, result.seconds, str(result.results))
    console.result("\n".join((text, *result.reasons)), result.as_json())
    if result.stopped:
        console.error(result.stopped)
    for step in result.next_steps:
        console.command(step.command, before=step.text)
    return result.exit_code
