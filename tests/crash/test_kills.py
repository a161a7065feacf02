"""The short form of `kill_many.py`, and kills at chosen instants."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stores import Place

from crash.killing import killed_batches

pytestmark = pytest.mark.crash


def test_kill_9_at_random_instants_loses_and_duplicates_nothing(tmp_path: Path, place: Place) -> None:
    """A row is in LeadSquared exactly once, under the Id that the results file shows, whenever we died; on a
    team's store with two computers in turn."""
    long = os.environ.get("IMPORTER_LONG") == "1"
    tally = killed_batches(
        tmp_path, kills=200 if long else 12, rows=2_000 if long else 240, seed=7, store=place.url
    )
    assert (tally.lost, tally.duplicated, tally.wrong) == (0, 0, 0)
