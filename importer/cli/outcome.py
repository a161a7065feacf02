"""How a run or a resume ended, for a person and as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from importer.app.records import RunResult
from importer.app.running import BrokenRunError
from importer.cli.console import Console
from importer.cli.summary import summary


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
