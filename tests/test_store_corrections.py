"""Corrections of created rows: planned, marked before each Update, and what a row holds afterwards."""

from __future__ import annotations

import pytest
from stores import AT, activity, changed, guid, published

from importer.activity import Activity
from importer.errors import StoreError
from importer.store.ownership import Ownership
from importer.store.records import (
    CorrectionChange,
    CorrectionStatus,
    PlannedCorrection,
    RowStatus,
)
from importer.store.store import Store
from importer.store.writer import StoreWriter

BEFORE = activity(1)
AFTER = Activity(BEFORE.company_id, BEFORE.event, "another note", (("mx_Custom_1", "another value"),))
FIELDS = {"ActivityNote": ("note 1", "another note"), "mx_Custom_1": ("value 1", "another value")}


@pytest.fixture
def owned(store: Store) -> Ownership:
    """Row 1 is created."""
    owned = published(store)
    with owned.change() as change:
        change.change_rows([changed(change, 1, status=RowStatus.CREATED, activity_id=guid(1))])
    return owned


def plan(owned: Ownership) -> int:
    with owned.change() as change:
        return change.plan_corrections([PlannedCorrection(1, FIELDS, '["after"]')], at=AT)


def statuses(owned: Ownership) -> dict[tuple[int, str], CorrectionStatus]:
    return {(one.round, one.field): one.status for one in owned.rows.corrections()}


async def test_a_row_holds_what_was_corrected_and_has_its_new_cells_once_all_is(owned: Ownership) -> None:
    """What LeadSquared held before the first Update of a field is kept, for undoing."""
    assert plan(owned) == 1
    writer = StoreWriter(owned)
    await writer.write(
        CorrectionChange(
            1, 1.0, CorrectionStatus.SENDING, {"ActivityNote": "note 1", "mx_Custom_1": "a stranger's"}
        )
    )
    assert set(statuses(owned).values()) == {CorrectionStatus.SENDING}
    await writer.write(CorrectionChange(1, 2.0, CorrectionStatus.SENDING, {"mx_Custom_1": "another value"}))
    await writer.write(CorrectionChange(1, 3.0, CorrectionStatus.CORRECTED, dict.fromkeys(FIELDS)))
    await writer.close()
    (row,) = owned.rows.rows(RowStatus.CREATED)
    assert row.holds == AFTER.encoded()
    assert owned.rows.row(1).cells == '["after"]'
    found = {one.field: (one.replaced, one.attempts) for one in owned.rows.corrections()}
    assert found == {"ActivityNote": ("note 1", 1), "mx_Custom_1": ("a stranger's", 2)}
    owned.close()


@pytest.mark.parametrize("corrected_first", [True, False])
async def test_of_a_row_with_a_conflict_the_other_fields_are_known(
    owned: Ownership, corrected_first: bool
) -> None:
    """`verify` compares with what the row holds; its cells are not those of the file yet."""
    plan(owned)
    writer = StoreWriter(owned)
    results = [
        CorrectionChange(1, 1.0, CorrectionStatus.CORRECTED, {"mx_Custom_1": None}),
        CorrectionChange(1, 1.0, CorrectionStatus.CONFLICT, {"ActivityNote": None}, "changed-elsewhere", "…"),
    ]
    for result in results if corrected_first else reversed(results):
        await writer.write(result)
    await writer.close()
    (row,) = owned.rows.rows(RowStatus.CREATED)
    assert Activity.decoded(row.holds or b"") == Activity(
        BEFORE.company_id, BEFORE.event, "note 1", (("mx_Custom_1", "another value"),)
    )
    assert owned.rows.row(1).cells != '["after"]'
    owned.close()


async def test_a_later_round_takes_the_place_of_what_was_not_sent(owned: Ownership) -> None:
    """And a field that is settled is not settled again."""
    plan(owned)
    assert plan(owned) == 2
    found = statuses(owned)
    assert {status for (number, _), status in found.items() if number == 1} == {CorrectionStatus.WITHDRAWN}
    writer = StoreWriter(owned)
    await writer.write(
        CorrectionChange(1, 1.0, CorrectionStatus.FAILED, dict.fromkeys(FIELDS), "MXError", "refused")
    )
    with pytest.raises(StoreError, match="fits no row"):
        await writer.write(CorrectionChange(1, 1.0, CorrectionStatus.CORRECTED, dict.fromkeys(FIELDS)))
    await writer.close()
    (row,) = owned.rows.rows(RowStatus.CREATED)
    assert row.holds is None
    owned.close()
