"""The short form of `kill_many.py`, and kills at chosen instants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crash.killing import killed_batches

pytestmark = pytest.mark.crash


def test_kill_9_at_random_instants_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A row is in LeadSquared exactly once, under the Id that the results file shows, whenever we died."""
    long = os.environ.get("IMPORTER_LONG") == "1"
    tally = killed_batches(tmp_path, kills=200 if long else 12, rows=4_000 if long else 240, seed=7)
    assert (tally.lost, tally.duplicated, tally.wrong) == (0, 0, 0)
