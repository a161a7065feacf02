"""A batch from staging to its end: what is visible when, and what is read back."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import update
from stores import AT, TENANT, Place, activity, batch, batch_id, changed, guid, published, staged

from importer.errors import ResultsError, StoreError
from importer.store import schema
from importer.store.records import RowStatus
from importer.store.store import Store, os_user


def test_a_batch_is_invisible_until_it_is_published_and_whole_from_then_on(store: Store) -> None:
    """Rule 1: staged rows are seen by nobody; one transaction makes all of them visible."""
    one = batch(rows=2500)
    with store.stage(one.id) as staging:
        assert staging.add((staged(number) for number in range(1, 2501)), AT) == 2500
        assert (store.batches(), store.summary(one.id)) == ([], None)
        with pytest.raises(ResultsError, match="no batch"):
            store.open(one.id)
        with store.publish(staging, one) as owned:
            assert owned.rows.batch() == one
    (summary,) = store.batches()
    assert (summary.batch, summary.counts["pending"], summary.running) == (one, 2500, False)
    rows = list(store.open(one.id).rows())
    assert [row.position for row in rows] == list(range(1, 2501))
    assert rows[7].activity == activity(8).encoded()


def test_a_discarded_staging_leaves_nothing(store: Store) -> None:
    """Its id can be used again."""
    with store.stage(batch_id(1)) as staging:
        staging.add([staged(1)], AT)
    with store.stage(batch_id(1)) as staging:
        assert staging.rows.counts() == {}


def test_a_batch_in_use_says_by_whom(place: Place, store: Store) -> None:
    """Rule 3: one process owns a batch at a time."""
    with published(store), place.open() as other:
        summary = other.summary(batch_id(1))
        assert summary is not None
        assert summary.running
        with pytest.raises(ResultsError, match=rf"in use by {summary.running_on}"):
            other.own(batch_id(1))
    with place.open() as other, other.own(batch_id(1)) as owned:
        assert owned.number == 2


def test_who_lost_a_batch_can_write_nothing_more(place: Place, store: Store) -> None:
    """Rule 3: the owner's number is checked in each transaction, whatever became of the lock."""
    with published(store) as owned, place.open() as other:
        with other.database.writing() as connection:  # as another process does that takes it over
            connection.execute(update(schema.batch).values(owner=schema.batch.c.owner + 1))
        with pytest.raises(StoreError, match="taken this batch over"):
            owned.keep_facts(seconds=1.0)


def test_changes_between_runs_are_whole_or_not_at_all(store: Store) -> None:
    """What is raised inside undoes all of it."""
    with published(store) as owned:
        with suppress(ZeroDivisionError), owned.change() as change:
            change.change_rows([changed(change, 1, status=RowStatus.SKIPPED)])
            assert change.rows.counts() == {RowStatus.PENDING: 2, RowStatus.SKIPPED: 1}
            raise ZeroDivisionError
        assert owned.rows.counts() == {RowStatus.PENDING: 3}
        with owned.change() as change:
            change.change_rows(
                [
                    changed(change, 1, status=RowStatus.SKIPPED),
                    changed(change, 2, status=RowStatus.CREATED, activity_id=guid(2)),
                    changed(change, 3, activity=activity(9).encoded(), error="x\0y"),
                ]
            )
        assert owned.rows.shown_counts() == {
            "rows": 3, "created": 1, "failed": 0, "invalid": 0, "uncertain": 0, "pending": 1, "skipped": 1,
        }  # fmt: skip
        assert list(store.holders(TENANT, [guid(2).lower(), guid(3)])) == [guid(2).lower()]
        assert owned.rows.row(3).activity == activity(9).encoded()


def test_a_store_that_was_removed_is_written_to_no_more(tmp_path: Path) -> None:
    """On Unix a removed file can be written to for ever, and nobody finds what is in it."""
    with Place(tmp_path, None).open() as store, published(store) as owned:
        (tmp_path / "importer.db").unlink()
        with pytest.raises(StoreError, match="could not be used"):
            owned.keep_facts(seconds=1.0)
        (tmp_path / "importer.db").touch()
        with pytest.raises(StoreError, match="replaced by another"):
            owned.keep_facts(seconds=1.0)


@pytest.mark.skipif(os.name == "nt", reason="Windows knows its user by the environment alone")
def test_who_runs_a_batch_is_known_without_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """cron and systemd may set neither LOGNAME nor USER."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert os_user() not in {"", "unknown"}
