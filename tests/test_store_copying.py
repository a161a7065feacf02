"""An embedded store taken along to a team's: everything, all at once, and never two that diverge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stores import AT, TENANT, Place, activity, batch_id, changed, guid, postgres_database, published

from importer.errors import ResultsError
from importer.store.records import Earlier, PlannedCorrection, RowStatus
from importer.store.store import Store


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Place]:
    with postgres_database() as url:
        yield Place(tmp_path / "team", url)


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Store]:
    """Two batches; the second took a row of the first over."""
    with Place(tmp_path / "home", None).open() as store:
        with published(store, 1, rows=2500) as owned, owned.change() as change:
            change.keep_lookups({"a": guid(9)})
            change.change_rows(
                [changed(change, 1, status=RowStatus.CREATED, activity_id=guid(1), attempts=1)]
            )
            change.change_rows(
                [changed(change, 2, status=RowStatus.CREATED, activity_id=guid(2), attempts=1)]
            )
            change.assume_sent({3: activity(3).encoded()}, 5.0, detail="", code="store-lost", error="…")
            change.keep_readings({1: []}, AT)
            change.plan_corrections([PlannedCorrection(1, {"f": ("1", "2")}, "[]")], at=AT)
            change.deleted_by_hand([2], AT)
        with published(store, 2, first=1) as owned, owned.change() as change:
            change.take_over([Earlier(1, guid(1), batch_id(1), 1)], AT)
        yield store


def test_everything_is_copied_and_the_embedded_store_is_read_only(embedded: Store, team: Place) -> None:
    """It names the team's store, without a password."""
    with team.open() as target:
        seen: list[int] = []
        assert embedded.copy_to(target, seen.append) == 2503
        assert seen[-1] == 2503
        for number in (1, 2):
            ours, theirs = embedded.open(batch_id(number)), target.open(batch_id(number))
            assert list(theirs.rows()) == list(ours.rows())
            assert theirs.facts() == ours.facts()
            assert theirs.lookups() == ours.lookups()
            assert list(theirs.corrections()) == list(ours.corrections())
            assert theirs.readings_count() == ours.readings_count()
            assert [one.body for one in theirs.attempts(3)] == [one.body for one in ours.attempts(3)]
        assert target.holders(TENANT, [guid(1), guid(2)]) == {
            guid(1): (batch_id(1), 1),
            guid(2): (batch_id(1), 2),
        }
        assert [one.batch.id for one in target.batches()] == [one.batch.id for one in embedded.batches()]
        target.own(batch_id(1)).close()
    with pytest.raises(ResultsError, match=r"copied to postgresql://.*IMPORTER_STORE"):
        embedded.own(batch_id(1))
    with pytest.raises(ResultsError, match=r"copied to postgresql://.*IMPORTER_STORE"):
        embedded.stage(batch_id(3))


def test_a_copy_can_be_repeated(embedded: Store, team: Place) -> None:
    """What is whole is left; what went on in the team's store is not overwritten."""
    with team.open() as target:
        embedded.copy_to(target)
        assert embedded.copy_to(target) == 0
        with target.own(batch_id(2)) as owned, owned.change() as change:
            change.assume_sent({2: activity(2).encoded()}, 5.0, detail="", code="store-lost", error="…")
        with pytest.raises(ResultsError, match="other contents"):
            embedded.copy_to(target)


def test_a_copy_that_broke_off_is_invisible_and_is_made_again(embedded: Store, team: Place) -> None:
    """All of it appears at once; until then the embedded store is read-only already."""

    def broken(rows: int) -> None:
        if rows == 2503:
            raise KeyboardInterrupt

    with team.open() as target:
        with pytest.raises(KeyboardInterrupt):
            embedded.copy_to(target, broken)
        assert target.batches() == []
        with pytest.raises(ResultsError, match="read-only"):
            embedded.own(batch_id(1))
        assert embedded.copy_to(target) == 2503
        assert len(target.batches()) == 2


def test_a_batch_in_use_is_not_copied(embedded: Store, team: Place, tmp_path: Path) -> None:
    """And nothing else is, nor is the store read-only then."""
    with Place(tmp_path / "home", None).open() as other, other.own(batch_id(1)), team.open() as target:
        with pytest.raises(ResultsError, match="in use"):
            embedded.copy_to(target)
        assert target.batches() == []
    embedded.own(batch_id(1)).close()


def test_only_an_embedded_store_is_copied_and_to_one_place(
    embedded: Store, team: Place, tmp_path: Path
) -> None:
    """A team's store stays where it is."""
    with team.open() as target, postgres_database() as url, Place(tmp_path, url).open() as another:
        with pytest.raises(ResultsError, match="Only the embedded store"):
            target.copy_to(another)
        embedded.copy_to(target)
        with pytest.raises(ResultsError, match="was copied to"):
            embedded.copy_to(another)
