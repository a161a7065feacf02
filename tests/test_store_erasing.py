"""Erasing: nothing of a batch's data stays in any file of ours; the sheet is still known, its Ids still
claimed."""

from __future__ import annotations

from pathlib import Path

import pytest
from stores import AT, TENANT, Place, activity, batch, batch_id, changed, guid, published, staged

from importer.errors import ResultsError, StoreError
from importer.sheets.rows import encode_cells
from importer.store.records import PlannedCorrection, RowStatus
from importer.store.store import Store

SECRET = "Priya Sharma"
SECRETS = (
    SECRET,
    "note of a person",
    "looked up",
    "came back",
    "corrected to",
    "Outcome heading",
    "constant",
)


def filled(store: Store) -> None:
    """A batch with customer data in every place that there is for it."""
    one = batch(1, rows=4, header=("Outcome heading", "Remarks"), mapping={"fields": {"a": "constant"}})
    body = activity(1, "note of a person").encoded()
    with store.stage(one.id) as staging:
        staging.add(
            [
                staged(1, cells=encode_cells([SECRET]), activity=body),
                staged(2, cells=encode_cells([SECRET * 900])),
                staged(
                    3, cells=encode_cells([SECRET]), activity=None, status=RowStatus.INVALID, error=SECRET
                ),
                staged(4, problem=SECRET),
            ],
            AT,
        )
        with staging.change() as change:
            change.keep_lookups({"looked up": guid(8)})
        owned = store.publish(staging, one)
    with owned, owned.change() as change:
        change.assume_sent({1: body}, 5.0, detail=SECRET, code="store-lost", error=SECRET)
        change.change_rows([changed(change, 1, status=RowStatus.CREATED, activity_id=guid(1))])
        change.keep_readings({1: [["ActivityNote", "altered", "note of a person", "came back"]]}, AT)
        plan = PlannedCorrection(1, {"ActivityNote": ("note of a person", "corrected to")}, SECRET)
        change.plan_corrections([plan], at=AT)


def test_no_byte_of_the_data_is_left_in_any_file(tmp_path: Path) -> None:
    """Deleted pages, the log and replaced versions of rows among them."""
    with Place(tmp_path, None).open() as store:
        filled(store)
        with published(store, 2, first=50) as other, other.change() as change:
            change.change_rows(
                [
                    changed(change, 1, cells="stays"),
                    changed(change, 2, cells=SECRET),
                    changed(change, 2, cells="gone"),
                ]
            )
        before = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert all(secret.encode() in before for secret in SECRETS)
        store.erase(batch_id(1))
        after = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
        assert [secret for secret in SECRETS if secret.encode() in after] == []
        assert b"stays" in after


def test_an_erased_sheet_is_still_recognised_and_its_ids_are_claimed(place: Place, store: Store) -> None:
    """Fingerprints, digests, Ids and counts stay; what was pending can never be sent."""
    filled(store)
    store.erase(batch_id(1))
    summary = store.summary(batch_id(1))
    assert summary is not None
    assert summary.erased_at is not None
    assert summary.counts == {
        "rows": 4, "created": 1, "failed": 0, "invalid": 1, "uncertain": 0, "pending": 0, "skipped": 2,
    }  # fmt: skip
    assert [one.batch.id for one in store.duplicates(batch(2, content=batch(1).content)).same_sheet()] == [
        batch_id(1)
    ]
    assert store.holders(TENANT, [guid(1)]) == {guid(1): (batch_id(1), 1)}
    again = batch(3, rows=1)
    with store.stage(again.id) as staging:
        staging.add([staged(1, activity=activity(1, "note of a person").encoded())], AT)
        assert store.duplicates(again).overlap().created == 1
    rows = store.open(batch_id(1))
    assert [row.cells for row in rows.rows()] == [""] * 4
    assert (rows.lookups(), rows.readings_count(), list(rows.corrections())) == ({}, 0, [])
    with place.open() as other, pytest.raises(ResultsError, match="erased") as refused:
        other.own(batch_id(1))
    assert refused.value.error_code == "erased"
    store.erase(batch_id(1))


def test_a_batch_in_use_is_not_erased(place: Place, store: Store) -> None:
    """And what is not there cannot be."""
    with published(store), place.open() as other, pytest.raises(ResultsError, match="in use"):
        other.erase(batch_id(1))
    with pytest.raises(ResultsError, match="no batch"):
        store.erase(batch_id(2))


def test_a_reader_that_keeps_the_log_alive_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The data is removed; that remains are in the log is said, and a second try removes them."""
    monkeypatch.setattr("importer.store.sqlite.WAIT_S", 0.3)
    place = Place(tmp_path, None)
    with place.open() as store, place.open() as other:
        filled(store)
        with other.database.snapshot() as reading:
            reading.exec_driver_sql("SELECT * FROM sheet_row").fetchone()
            with pytest.raises(StoreError, match="another window reads"):
                store.erase(batch_id(1))
        store.erase(batch_id(1))
        assert SECRET.encode() not in b"".join(
            file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()
        )
