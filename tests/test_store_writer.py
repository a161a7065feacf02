"""The writer: nothing is said to be there before it is, in groups, until the first failure."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from stores import Place, activity, batch_id, changed, guid, published

from importer.errors import StoreError
from importer.store.database import IdTakenError
from importer.store.records import AttemptResult, Fact, Resolution, RowStatus
from importer.store.store import Store
from importer.store.writer import StoreWriter


def created(attempt: int, position: int, activity_id: str) -> AttemptResult:
    return AttemptResult(
        attempt, position, 1_800_000_001.5, 200, "created", "", "", RowStatus.CREATED, activity_id
    )


async def test_a_mark_and_its_result_are_read_back(store: Store) -> None:
    """With what was sent, when, and what the row is now."""
    with published(store) as owned:
        writer = StoreWriter(owned, wall=lambda: 1_800_000_000.25)
        assert await writer.mark(2, None, 1.5) == (1, 1_800_000_000.25)
        assert owned.rows.row(2).status is RowStatus.SENDING
        assert await writer.mark(3, b'{"RelatedCompanyId":"x","ActivityEvent":1,"Fields":[]}', 0.0) == (
            2,
            1_800_000_000.25,
        )
        await writer.write(created(1, 2, guid(2)))
        doubt = AttemptResult(
            2, 3, 1_800_000_002.0, None, "doubtful", "timeout", "no\0answer", RowStatus.DOUBTFUL,
            error_code="timeout", error="No answer", doubted=True,
        )  # fmt: skip
        await writer.write(doubt)
        await writer.write(Fact("going_on", {"pace": "4.9/s"}))
        assert await writer.close()
        row, (attempt,) = owned.rows.row(2), owned.rows.attempts(2)
        assert (row.status, row.activity_id, row.attempts) == (RowStatus.CREATED, guid(2), 1)
        assert row.changed_at == "2027-01-15T08:00:01.500Z"
        assert (attempt.body, attempt.clock_difference, attempt.outcome) == (
            activity(2).encoded(),
            1.5,
            "created",
        )
        assert 0 <= attempt.marked_ago_s < 60
        row, (attempt,) = owned.rows.row(3), owned.rows.attempts(3)
        assert (row.status, row.doubted, attempt.detail) == (RowStatus.DOUBTFUL, True, "no\ufffdanswer")
        assert owned.rows.fact("going_on") == {"pace": "4.9/s"}
        assert owned.rows.calls_per_s(30) == 0.0
        with pytest.raises(StoreError, match="the run is over"):
            writer.write(Fact("late", 1))


async def test_what_a_person_changes_of_a_row_that_is_marked_leaves_its_mark(store: Store) -> None:
    """Its call was interrupted, and is looked for all the same."""
    with published(store) as owned:
        writer = StoreWriter(owned)
        await writer.mark(1, None, 0.0)
        assert await writer.close()
        with owned.change() as change:
            change.change_rows(
                [changed(change, 1, cells="[]", released=True), changed(change, 2, cells="[]")]
            )
        found = [(row.status, row.cells, row.released) for row in owned.rows.rows()][:2]
        assert found == [(RowStatus.SENDING, "[]", True), (RowStatus.PENDING, "[]", False)]


async def test_many_rows_share_a_commit_and_none_is_lost(store: Store) -> None:
    """Rule 7."""
    with published(store, rows=300) as owned:
        writer = StoreWriter(owned)

        async def send(position: int) -> None:
            attempt, _ = await writer.mark(position, None, 0.0)
            await writer.write(created(attempt, position, guid(position)))

        await asyncio.gather(*(send(position) for position in range(1, 301)))
        assert await writer.close()
        assert owned.rows.counts() == {RowStatus.CREATED: 300}
        assert owned.rows.last_attempt_id() == 300
        assert len(list(owned.rows.calls())) == 300


async def test_calls_are_counted_by_when_they_left(store: Store) -> None:
    """Rows are marked up to a second before, all at once; calls may overtake each other."""
    left = {1: 100.0, 2: 100.4, 3: 100.2}
    with published(store, rows=4) as owned:
        writer = StoreWriter(owned, wall=lambda: 99.5)
        for position in (1, 2, 3, 4):
            await writer.mark(position, None, 0.0)
        for position, left_at in left.items():
            await writer.write(created(position, position, guid(position))._replace(left_at=left_at))
        assert await writer.close()
        assert [at for at, _ in owned.rows.calls()] == [99.5, 100.0, 100.2, 100.4]
        assert owned.rows.calls_per_s(30.0) == pytest.approx(5.0)


async def test_an_id_that_another_row_has_is_refused_alone(store: Store) -> None:
    """The others of its group are not to suffer for it; in any case of letters, in any batch of the
    tenant."""
    with published(store, 1) as first, first.change() as change:
        change.keep_facts(seconds=1)
    with published(store, 2, first=10) as owned:
        writer = StoreWriter(owned)
        marks = await asyncio.gather(*(writer.mark(position, None, 0.0) for position in (1, 2, 3)))
        results = [
            created(marks[at][0], at + 1, one) for at, one in enumerate((guid(1), guid(1).lower(), guid(3)))
        ]
        ended = await asyncio.gather(*map(writer.write, results), return_exceptions=True)
        assert [type(each) for each in ended] == [type(None), IdTakenError, type(None)]
        await writer.write(Resolution(2, 1.0, RowStatus.UNCERTAIN, error_code="id-taken", error="…"))
        assert await writer.close()
        assert owned.rows.counts() == {RowStatus.CREATED: 2, RowStatus.UNCERTAIN: 1}


async def test_after_a_failure_nothing_more_is_taken(store: Store) -> None:
    """A row that is not pending cannot be marked; no further call may leave."""
    with published(store) as owned:
        writer = StoreWriter(owned)
        attempt, _ = await writer.mark(1, None, 0.0)
        with pytest.raises(StoreError):
            await writer.mark(1, None, 0.0)
        with pytest.raises(StoreError):
            await writer.write(created(attempt, 1, guid(1)))
        assert not await writer.close()
        assert owned.rows.row(1).status is RowStatus.SENDING


async def test_a_writer_that_lost_its_batch_writes_nothing_more(place: Place, store: Store) -> None:
    """Rule 3, at the writer."""
    owned = published(store)
    writer = StoreWriter(owned)
    await writer.mark(1, None, 0.0)
    with owned.transaction() as connection:
        connection.exec_driver_sql("UPDATE batch SET owner = owner + 1")
    with pytest.raises(StoreError, match="taken this batch over"):
        await writer.mark(2, None, 0.0)
    assert not await writer.close()
    owned.close()
    with place.open() as other:
        assert other.open(batch_id(1)).row(2).status is RowStatus.PENDING


async def test_what_is_said_to_be_there_is_durable(place: Place, store: Store) -> None:
    """Another connection sees it at once; the embedded store waits for the disk."""
    with published(store) as owned:
        writer = StoreWriter(owned)
        await writer.mark(1, None, 0.0)
        with place.open() as other:
            assert other.open(batch_id(1)).row(1).status is RowStatus.SENDING
        with owned.transaction() as connection:
            if place.dialect == "sqlite":
                assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
                raw = connection.connection.driver_connection
                assert isinstance(raw, sqlite3.Connection)
            else:
                assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        await writer.close()
