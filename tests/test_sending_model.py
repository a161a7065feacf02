"""Any sequence of faults, lags, equal rows, foreign writes, kills and edits keeps the invariants.

The real engine and store send to a model tenant on a virtual clock. A failing
example is printed whole and reproduces by itself (`@reproduce_failure`, or the seed that pytest shows).
More of it: `IMPORTER_LONG=1 python -m pytest tests/test_sending_model.py`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model.lives import OPTIONS, Batch, Cells
from model.world import ALTERATIONS, CREATE_FATES, READ_FATES, SETTLE_S, World

SHORT = 120
EXAMPLES = 3_000 if os.environ.get("IMPORTER_LONG") == "1" else SHORT
MEMORY = Path("/dev/shm")


@dataclass(frozen=True)
class Life:
    """killed_after_s: None lets it end by itself. edits: (row number, its new outcome) before it begins."""

    killed_after_s: float | None
    skew_s: float
    edits: tuple[tuple[int, str], ...]
    person_looks: bool


accounts = st.sampled_from([f"8933fa5e-5b39-11e9-826a-0622360da6f{n}" for n in range(2)])
outcomes = st.sampled_from(["Won", "Lost", "refuse me"])
remarks = st.sampled_from(["as ever", "as ever, and more", ""])
rows = st.lists(
    st.tuples(accounts, st.sampled_from(["a", "b", "c"]), outcomes, remarks), min_size=1, max_size=9
)
fates = st.lists(st.sampled_from(CREATE_FATES), min_size=1, max_size=8)
reads = st.lists(st.sampled_from(READ_FATES), min_size=1, max_size=4).map(lambda some: [*some, "fine"])
lives = st.lists(
    st.builds(
        Life,
        killed_after_s=st.none() | st.floats(0.01, 40.0, allow_nan=False),
        skew_s=st.sampled_from([0.0, 3600.0, -3600.0, 0.4]),
        edits=st.lists(st.tuples(st.integers(2, 10), outcomes), max_size=2).map(tuple),
        person_looks=st.booleans(),
    ),
    max_size=4,
)
worlds = st.builds(
    World,
    chance=st.integers(0, 2**16).map(Random),
    fates=fates,
    reads=reads,
    alteration=st.sampled_from(ALTERATIONS),
    lag_s=st.floats(0, SETTLE_S - 0.5),
    offset_s=st.sampled_from([0.0, 3600.0, -3600.0, 0.3]),
    foreign=st.sampled_from([0.0, 0.0, 0.3]),
    foreign_equal=st.booleans(),
)
many = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES == SHORT,  # the short form holds what is known; the long one looks for what is not
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module")
def memory() -> Iterator[Path]:
    """A folder whose fsync costs nothing, where there is one: hundreds of batches a minute."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@many
@given(world=worlds, cells=rows, before=lives)
def test_no_row_is_lost_duplicated_or_mistaken(
    memory: Path, world: World, cells: list[Cells], before: list[Life]
) -> None:
    """Whatever happens in its lives, and nothing in the last one, the batch ends and says what is true."""
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        batch = Batch.staged(Path(folder), world, cells)
        for life in before:
            for number, outcome in life.edits:
                if number < len(cells) + 2:
                    batch.edit(number, outcome)
            if life.person_looks:
                batch.look_for_oneself()
            batch.live(life.killed_after_s, life.skew_s)
            assert batch.wrongs() == []
        world.calm = True
        batch.retry()
        batch.live(None, 0.0)
        assert batch.wrongs() == []
        unclear = {"pending", "uncertain"} if world.foreign or world.alteration != "none" else set()
        assert set(batch.statuses()) <= {"created", "failed"} | unclear


@pytest.mark.parametrize("fate", ["503", "timeout", "reset", "not sent"])
@pytest.mark.parametrize("workers", [1, 4, 32])
def test_the_first_minute_of_a_total_outage_takes_30_calls_at_most(
    tmp_path: Path, fate: str, workers: int
) -> None:
    """Reads included; and nothing but what was under way is in doubt."""
    world = World(Random(1), [fate], ["failed"], "none", 0.0, 0.0)
    cells: list[Cells] = [(f"8933fa5e-5b39-11e9-826a-0622360d{n:04x}", "a", "Won", "") for n in range(300)]
    batch = Batch.staged(tmp_path, world, cells, replace(OPTIONS, workers=workers))
    batch.live(60.0, 0.0)
    assert world.creates + world.read_calls <= 30
    assert batch.statuses().count("pending") >= 300 - 30


def test_a_row_that_an_edit_makes_equal_to_another_one_in_doubt_waits_for_it(tmp_path: Path) -> None:
    """Both were in doubt when the batch was opened; now they would send the same: one after the other."""
    account = "8933fa5e-5b39-11e9-826a-0622360da6f0"
    world = World(Random(0), ["500"], ["fine"], "none", 0.0, 0.0)
    cells: list[Cells] = [(account, "a", "Lost", "as ever"), (account, "a", "Won", "")]
    cells += [(account, "a", "Won", "as ever"), (account, "a", "Won", "as ever, and more")]
    cells += [(account, "b", "Won", "as ever")]
    batch = Batch.staged(tmp_path, world, cells)
    batch.live(None, 0.0)
    batch.edit(2, "Won")
    batch.live(None, 0.0)
    assert batch.wrongs() == []
    world.calm = True
    batch.retry()
    batch.live(None, 0.0)
    assert (batch.wrongs(), batch.statuses()) == ([], ["created"] * 5)


def test_rows_that_differ_in_a_value_which_the_tenant_drops_are_not_made_once_more(tmp_path: Path) -> None:
    """Both in doubt before anything was read back: the activity of one is an exact match of the other, whose
    own call is created late."""
    reads = ["failed", "incomplete", "fine", "fine", "fine"]
    world = World(Random(2182), ["timeout created late", "500"], reads, "drop", 0.0, 0.0, foreign=0.3)
    one, two = (f"8933fa5e-5b39-11e9-826a-0622360da6f{n}" for n in range(2))
    cells: list[Cells] = [(two, "a", "Won", "as ever"), (one, "a", "Won", "as ever")]
    cells += [(one, "c", "Won", "as ever"), (one, "a", "refuse me", "as ever"), (one, "b", "Won", "")]
    cells += [(one, "b", "Won", "as ever"), (one, "a", "Won", "as ever, and more"), (two, "a", "Won", "")]
    batch = Batch.staged(tmp_path, world, cells)
    batch.live(1.0, 0.0)
    batch.live(None, 0.0)
    assert batch.wrongs() == []
    world.calm = True
    batch.retry()
    batch.live(None, 0.0)
    assert batch.wrongs() == []
