"""What was imported before: the same sheet, rows in common, counted as a multiset; and who gets in."""

from __future__ import annotations

from contextlib import suppress

import pytest
from stores import AT, TENANT, Place, activity, batch, batch_id, changed, guid, published, staged

from importer.activity import fingerprint
from importer.errors import ResultsError, StoreError, UserError
from importer.store.duplicates import DuplicateCheck
from importer.store.ownership import Ownership, Staging
from importer.store.records import Batch, Earlier, RowStatus, StoredRow
from importer.store.store import Store


def create(owned: Ownership, *positions: int) -> None:
    """Rows of a batch as created, each by a call."""
    with owned.change() as change:
        change.change_rows(
            changed(
                change, at, status=RowStatus.CREATED, activity_id=guid(1000 * owned.rows.key + at), attempts=1
            )
            for at in positions
        )


def candidate(store: Store, rows: list[StoredRow], number: int = 9, **changed: object) -> DuplicateCheck:
    """A staged batch that asks to be let in."""
    one = batch(number, rows=len(rows), **changed)
    store.stage(one.id).add(rows, AT)
    return store.duplicates(one)


def test_the_same_sheet_is_known_by_its_activities_or_by_its_cells(store: Store) -> None:
    """Whatever it is called now; in another tenant it is another sheet; a rehearsal counts nothing."""
    with published(store, 1) as owned:
        create(owned, 1)
    content, cells = batch(1).content, batch(1).source_cells
    assert [one.batch.id for one in store.duplicates(batch(5, content=content)).same_sheet()] == [batch_id(1)]
    assert [one.batch.id for one in store.duplicates(batch(5, source_cells=cells)).same_sheet()] == [
        batch_id(1)
    ]
    assert store.duplicates(batch(5, content=content, tenant="other/tenant")).same_sheet() == []
    assert store.duplicates(batch(5, content=content, rehearsal=True)).same_sheet() == []
    assert store.duplicates(batch(5)).same_sheet() == []


def test_overlap_is_counted_as_a_multiset(store: Store) -> None:
    """Three equal rows beside two that were created overlap by two."""
    equal = {"activity": activity(1).encoded()}
    with store.stage(batch_id(1)) as staging:
        staging.add([staged(number, **equal) for number in (1, 2, 3)], AT)
        with store.publish(staging, batch(1)) as owned:
            create(owned, 1, 2)
    check = candidate(store, [staged(number, **equal) for number in (1, 2, 3, 4)])
    overlap = check.overlap()
    assert (overlap.created, overlap.held) == (2, 1)
    assert [(one.batch.id, count) for one, count in overlap.created_by] == [(batch_id(1), 2)]
    assert [(one.batch.id, count) for one, count in overlap.held_by] == [(batch_id(1), 1)]
    ids = [guid(1000 * owned.rows.key + at) for at in (1, 2)]
    assert list(check.earlier()) == [Earlier(1, ids[0], batch_id(1), 1), Earlier(2, ids[1], batch_id(1), 2)]


def test_rows_that_failed_or_are_left_out_are_in_nobodys_way(store: Store) -> None:
    """But a failed row that was ever in doubt is: only its own batch can look before it sends it again."""
    with published(store, 1, rows=4) as owned, owned.change() as change:
        change.change_rows(
            [
                changed(change, 1, status=RowStatus.FAILED, attempts=1),
                changed(change, 2, status=RowStatus.FAILED, doubted=True),
                changed(change, 3, status=RowStatus.SKIPPED),
                changed(change, 4, status=RowStatus.UNCERTAIN),
            ]
        )
    overlap = candidate(store, [staged(number) for number in (1, 2, 3, 4)]).overlap()
    assert (overlap.created, overlap.held) == (0, 2)


def test_a_batch_that_never_sent_is_none_and_is_replaced(store: Store) -> None:
    """Rule 6: it is not in the way, and it is gone once another one is published."""
    published(store, 1).close()
    one = batch(9, rows=3, content=batch(1).content)
    staging = store.stage(one.id)
    staging.add([staged(number) for number in (1, 2, 3)], AT)
    check = store.duplicates(one)
    assert (check.same_sheet(), check.overlap().held) == ([], 0)
    assert [each.batch.id for each in check.replaced()] == [batch_id(1)]
    store.publish(staging, one).close()
    assert [each.batch.id for each in store.batches()] == [one.id]


def test_a_batch_that_never_sent_is_one_while_somebody_owns_it(store: Store) -> None:
    """It may mark a row at any moment."""
    with published(store, 1):
        check = candidate(store, [staged(1)], content=batch(1).content)
        assert [each.batch.id for each in check.same_sheet()] == [batch_id(1)]
        assert check.replaced() == []
        assert check.overlap().held == 1


def test_rows_that_are_taken_over_are_counted_once(store: Store) -> None:
    """`--only-new`: they point to the row that created them, whoever took them over before."""
    with published(store, 1) as owned:
        create(owned, 1, 2)
    one = batch(2, rows=3)
    staging = store.stage(one.id)
    staging.add([staged(number) for number in (1, 2, 3)], AT)
    with staging.change() as change:
        change.take_over(store.duplicates(one).earlier(), AT)
    again = store.duplicates(one).overlap()
    assert (again.created, again.held) == (0, 1)
    with owned_of(store, batch_id(1)) as first, first.change() as change:
        change.change_rows([changed(change, 3, status=RowStatus.SKIPPED)])
    with store.publish(staging, one) as second:
        assert second.rows.shown_counts()["created"] == 2
        create(second, 3)
    overlap = candidate(store, [staged(number) for number in (1, 2, 3)]).overlap()
    assert [(each.batch.id, count) for each, count in overlap.created_by] == [(one.id, 1), (batch_id(1), 2)]


def owned_of(store: Store, batch_id: str) -> Ownership:
    return store.own(batch_id)


def test_only_the_rows_that_are_asked_for_are_compared(store: Store) -> None:
    """Those that `resume` would send, as they are inside of its transaction; what is raised undoes it."""
    with published(store, 1) as owned:
        create(owned, 1, 2)
    one = batch(2, rows=3)
    with published(store, 2, first=5) as second:
        with suppress(UserError), second.change() as change:
            change.change_rows([changed(change, 2, activity=activity(1).encoded())])
            assert change.duplicates(one, [1]).overlap().created == 0
            assert change.duplicates(one, [2]).overlap().created == 1
            assert change.duplicates(one, []).overlap().created == 0
            raise UserError("another batch has it")
        assert store.duplicates(one).overlap().created == 0


def test_check_recognises_rows_without_a_tenant_and_without_a_trace(place: Place, store: Store) -> None:
    """Offline: which batches have rows of this sheet, and whether it is the whole sheet."""
    with published(store, 1, rows=900) as owned:
        create(owned, *range(1, 800))
    with published(store, 2, first=2000, tenant="other/tenant") as owned:
        create(owned, 1)
    with place.open() as other:
        recognition = other.recognition()
        for number in (*range(700, 1500), 2000, 2000):
            recognition.add(fingerprint(activity(number).encoded()))
        found = recognition.found(batch(1).content, "another")
    assert [(one.summary.batch.id, one.rows, one.whole) for one in found] == [
        (batch_id(2), 1, False),
        (batch_id(1), 201, True),
    ]


# ---- publishing -----------------------------------------------------------------------------------------


def test_what_the_check_raises_leaves_nothing(store: Store) -> None:
    """Comparing and registering are one transaction."""

    def refuse(check: DuplicateCheck) -> None:
        raise UserError(f"no, {check.batch.id}")

    one = batch(1, rows=1)
    staging = store.stage(one.id)
    staging.add([staged(1)], AT)
    with pytest.raises(UserError, match="no, b2026"):
        store.publish(staging, one, refuse)
    assert store.batches() == []
    store.stage(one.id).close()


def test_rows_in_doubt_of_a_rebuilt_batch_are_compared_while_it_is_published(store: Store) -> None:
    """Another process may have sent equal rows since its results file was read; and of a batch that never
    sent, but has equal rows, nothing is left."""

    def refuse(check: DuplicateCheck) -> None:
        if check.overlap().created:
            raise UserError(f"created meanwhile: {[one.position for one in check.earlier()]}")

    def rebuilt(number: int) -> tuple[Staging, Batch]:
        one = batch(number, rebuilt=1.0)
        staging = store.stage(one.id)
        staging.add([staged(each) for each in (1, 2, 3)], AT)
        with staging.change() as change:
            sent = {position: activity(position).encoded() for position in (2, 3)}
            change.assume_sent(sent, 1.0, detail="", code="rebuilt", error="…")
            change.change_rows([changed(change, 1, status=RowStatus.SKIPPED)])
        return staging, one

    staging, one = rebuilt(9)
    with published(store, 1) as owned:
        create(owned, 1, 2)
    with pytest.raises(UserError, match=r"meanwhile: \[2\]"):
        store.publish(staging, one, refuse)
    published(store, 2, first=3).close()
    staging, one = rebuilt(8)
    store.publish(staging, one).close()
    assert [each.batch.id for each in store.batches()] == [one.id, batch_id(1)]


def test_a_batch_must_have_the_rows_that_it_says(store: Store) -> None:
    """Counts that do not add up are a bug that ends the run loudly."""
    staging = store.stage(batch_id(1))
    staging.add([staged(1)], AT)
    with pytest.raises(StoreError, match="1 rows were staged, not 2"):
        store.publish(staging, batch(1, rows=2))


def test_an_id_is_used_once(store: Store) -> None:
    """And is an id."""
    with published(store, 1), pytest.raises(ResultsError):
        store.stage(batch_id(1))
    with pytest.raises(ResultsError, match="not a batch id"):
        store.stage("../b20261128-040000-000001")


def test_ids_are_claimed_across_batches(store: Store) -> None:
    """For looks at the tenant: what other batches hold is not ours."""
    with published(store, 1) as owned:
        create(owned, 1)
    made = guid(1000 * owned.rows.key + 1)
    assert store.holders(TENANT, [made.lower(), guid(5)]) == {made.lower(): (batch_id(1), 1)}
    assert store.holders(TENANT, [f"{{{made}}}"]) == {f"{{{made}}}": (batch_id(1), 1)}
    assert store.holders("other/tenant", [made]) == {}


def test_rows_in_doubt_elsewhere_are_known_by_their_account(store: Store) -> None:
    """Near-duplicates of two batches that run at once are kept apart."""
    with published(store, 1) as owned:
        with owned.change() as change:
            change.assume_sent({1: activity(1).encoded()}, 5.0, detail="", code="store-lost", error="…")
        account = activity(1).company_id.upper()
        assert store.in_doubt_elsewhere(TENANT, account, batch_id(2)) == [
            (batch_id(1), activity(1).encoded())
        ]
        assert store.in_doubt_elsewhere(TENANT, account, batch_id(1)) == []
        assert store.in_doubt_elsewhere(TENANT, activity(2).company_id, batch_id(2)) == []
