"""The pace of a tenant in the store: what one run writes the others read, on both databases."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import select, text, update
from stores import Place

from importer.errors import StoreError
from importer.pacing.rules import Rate
from importer.pacing.sharing import LEARNT_S, PaceEntry, divide
from importer.store import schema
from importer.store.pace import StoredPace
from importer.store.store import Store

PLAN = Rate(25, 5.0)


def entry(run: str = "1", **changed: object) -> PaceEntry:
    """A run's line."""
    return PaceEntry(**{"run": run, "live": True, "asked": PLAN, **changed})  # type: ignore[arg-type]


def read(record: StoredPace, mine: PaceEntry) -> list[PaceEntry]:
    """What stands in the record beside `mine`, which is written."""
    found: list[PaceEntry] = []

    def change(lines: Sequence[PaceEntry]) -> PaceEntry:
        found.extend(line for line in lines if line.run != mine.run)
        return mine

    record.meet(mine.run, change)
    return found


@contextmanager
def records(place: Place, count: int = 2) -> Iterator[list[StoredPace]]:
    """As many processes' hold on one tenant's record."""
    stores = [place.open() for _ in range(count)]
    opened = [store.pace("a tenant") for store in stores]
    try:
        yield opened
    finally:
        for record, store in zip(opened, stores, strict=True):
            record.close()
            store.close()


def test_what_one_run_writes_the_others_read(place: Place) -> None:
    """Everything that it learnt, and how long it is silent."""
    with records(place) as (one, other):
        written = entry(
            calls_per_s=2.6, stated=Rate(72, 5.0), pause_left_s=30.0, careful=True, share=0.625, live=False
        )
        read(one, written)
        time.sleep(0.05)
        (found,) = read(other, entry("2"))
    assert [found.silent_s >= 0.05, 29.0 < found.pause_left_s < 29.96] == [True, True]
    assert entry(
        calls_per_s=found.calls_per_s, stated=found.stated, careful=found.careful, share=found.share,
        live=found.live, pause_left_s=30.0,
    ) == written  # fmt: skip


def test_tenants_do_not_see_each_other(store: Store) -> None:
    """Two tenants' runs on one store have their own allowances."""
    one, other = store.pace("a tenant"), store.pace("another tenant")
    read(one, entry())
    assert read(other, entry("2")) == []
    one.close()
    other.close()


def test_lines_of_long_ago_are_gone(place: Place, store: Store) -> None:
    """After ten minutes nothing of a run is worth anything."""
    with records(place) as (one, other):
        read(one, entry("old"))
        read(one, entry("1"))
        with store.database.writing() as connection:
            old = update(schema.pace).where(schema.pace.c.run == "old")
            connection.execute(old.values(seen_at=schema.pace.c.seen_at - LEARNT_S - 1))
        found = [line.run for line in read(other, entry("2"))]
        with store.database.reading() as connection:
            left = set(connection.execute(select(schema.pace.c.run)).scalars())
    assert [found, left] == [["1"], {"1", "2"}]


def test_runs_that_meet_at_the_same_moment_never_claim_more_than_there_is(place: Place) -> None:
    """Six at once, thirty times each: one at a time reads and writes."""
    sums: list[float] = []

    def meet(number: int, record: StoredPace) -> None:
        mine = entry(str(number))

        def change(lines: Sequence[PaceEntry]) -> PaceEntry:
            line, _ = divide(lines, mine)
            sums.append(line.calls_per_s + sum(each.calls_per_s for each in lines if each.run != mine.run))
            return line

        for _ in range(30):
            record.meet(mine.run, change)

    with records(place, 6) as opened, ThreadPoolExecutor(6) as pool:
        list(pool.map(meet, range(6), opened))
    assert [len(sums), max(sums) <= PLAN.per_s + 1e-9] == [180, True]


def test_a_change_that_fails_changes_nothing(place: Place) -> None:
    """And the next one works."""

    def fails(_: Sequence[PaceEntry]) -> PaceEntry:
        raise ValueError("a fault of ours")

    with records(place) as (one, other):
        read(one, entry())
        with pytest.raises(ValueError, match="a fault of ours"):
            one.meet("1", fails)
        assert [line.run for line in read(other, entry("2"))] == ["1"]
        assert [line.run for line in read(one, entry("1"))] == ["2"]


@pytest.mark.parametrize("place", ["postgresql"], indirect=True)  # a file has no connection to lose
def test_after_a_lost_connection_the_next_meeting_has_another(place: Place, store: Store) -> None:
    """The server was restarted, or somebody ended the connection."""
    with records(place) as (one, other):
        read(one, entry())
        with store.database.writing() as connection:
            ended = (
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            )
            connection.execute(text(f"{ended} AND datname = current_database()"))
        with pytest.raises(StoreError):
            read(one, entry())
        read(one, entry(live=False))
        assert [line.live for line in read(other, entry("2"))] == [False]


def test_facts_about_the_store_are_remembered(store: Store) -> None:
    """The latest one that was seen; none for other keys."""
    store.keep_fact("ab12", "host/acme")
    store.keep_fact("ab12", "host/acme-2")
    assert [store.fact("ab12"), store.fact("cd34")] == ["host/acme-2", None]
