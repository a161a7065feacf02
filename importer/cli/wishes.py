"""What a person said on the command line besides how to send (`posting.Orders`)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Wishes:
    """Of `run`. canary: so many rows first, None when not given. accepted: questions that are fine."""

    yes: bool
    sandbox: bool
    skip_invalid: bool
    again: bool
    only_new: bool
    canary: int | None
    accepted: frozenset[str]


@dataclass(frozen=True, slots=True)
class ResumeWishes:
    """Of `resume`. mapping: -m; canary: so many rows first. None when not given."""

    yes: bool
    sandbox: bool
    retry_failed: bool
    remap: bool
    mapping: Path | None
    results: Path | None
    canary: int | None
