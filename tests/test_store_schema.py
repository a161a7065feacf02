"""What the database itself holds to, attacked with plain statements on both databases; and its versions."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from stores import AT, Place, batch, batch_id, changed, guid, published, staged

from importer.errors import StoreError, StoreUnusableError
from importer.store import schema
from importer.store.ownership import Ownership
from importer.store.records import Earlier, RowStatus
from importer.store.sqlite import FILE_NAME
from importer.store.store import Store, open_store

BACKWARDS = [
    "UPDATE sheet_row SET status = 0, activity_id = NULL WHERE position = 1",
    "UPDATE sheet_row SET status = 5, activity_id = NULL WHERE position = 1",
    f"UPDATE sheet_row SET activity_id = '{guid(99)}' WHERE position = 1",
    "UPDATE sheet_row SET activity_id = NULL WHERE position = 1",
]
IMPOSSIBLE = [
    "UPDATE sheet_row SET status = 4 WHERE position = 2",
    f"UPDATE sheet_row SET activity_id = '{guid(98)}' WHERE position = 2",
    "UPDATE sheet_row SET activity = NULL, fingerprint = NULL WHERE position = 2",
    "UPDATE sheet_row SET activity = NULL WHERE position = 3",
    "UPDATE sheet_row SET status = 9 WHERE position = 2",
    "UPDATE sheet_row SET taken_batch = 1 WHERE position = 2",
    "UPDATE sheet_row SET taken_batch = 1, taken_position = 1 WHERE position = 2",
    "UPDATE batch SET tenant = NULL",
    (
        "INSERT INTO attempt (batch, id, position, marked_at, clock_difference, stored_at)"
        " VALUES (1, 1, 77, 0, 0, 0)"
    ),
    "INSERT INTO reading (batch, position, read_at, differences) VALUES (1, 77, '', '[]')",
    "INSERT INTO fact (batch, name, value) VALUES (77, 'a', '1')",
]


@pytest.fixture
def owned(store: Store) -> Ownership:
    """Row 1 is created, rows 2 and 3 are pending."""
    owned = published(store)
    with owned.change() as change:
        change.change_rows([changed(change, 1, status=RowStatus.CREATED, activity_id=guid(1))])
    return owned


def attack(store: Store, statement: str) -> None:
    with store.database.writing() as connection:
        connection.execute(text(statement))


@pytest.mark.parametrize("statement", BACKWARDS)
def test_created_never_goes_back(store: Store, owned: Ownership, statement: str) -> None:
    """Whatever is tried, the row keeps its Id."""
    with pytest.raises(StoreError, match=schema.BACKWARDS):
        attack(store, statement)
    assert owned.rows.row(1).activity_id == guid(1)
    owned.close()


@pytest.mark.parametrize("statement", IMPOSSIBLE)
def test_what_cannot_be_is_refused(store: Store, owned: Ownership, statement: str) -> None:
    """Each by a check, a key or a trigger."""
    before = [*owned.rows.rows()]
    with pytest.raises(StoreError):
        attack(store, statement)
    assert [*owned.rows.rows()] == before
    owned.close()


@pytest.mark.parametrize(
    "status", [status for status in RowStatus if status not in {RowStatus.PENDING, RowStatus.CREATED}]
)
def test_only_a_pending_row_is_marked_as_being_sent(
    store: Store, owned: Ownership, status: RowStatus
) -> None:
    """Rule 2."""
    if status is RowStatus.SENDING:
        attack(store, "UPDATE sheet_row SET status = 1 WHERE position = 2")
    else:
        attack(store, f"UPDATE sheet_row SET status = {int(status)} WHERE position = 2")
    with pytest.raises(StoreError, match=schema.NOT_PENDING):
        attack(store, "UPDATE sheet_row SET status = 1 WHERE position = 2")
    owned.close()


@pytest.mark.parametrize("second", [guid(1), guid(1).lower(), f"{{{guid(1)}}}"])
def test_an_id_belongs_to_one_row_of_a_tenant(store: Store, owned: Ownership, second: str) -> None:
    """In any case of letters, in this batch and in any other one; another tenant has Ids of its own."""

    def give(batch: int) -> None:
        where = f"batch = {batch} AND position = 2"
        attack(store, f"UPDATE sheet_row SET status = 4, activity_id = '{second}' WHERE {where}")

    with pytest.raises(StoreError, match="Another row has this Id"):
        give(owned.rows.key)
    with published(store, 2) as other, published(store, 3, tenant="another/tenant") as foreign:
        with pytest.raises(StoreError, match="Another row has this Id"):
            give(other.rows.key)
        give(foreign.rows.key)
    owned.close()


def test_a_batch_with_an_id_that_another_one_has_is_not_published(store: Store, owned: Ownership) -> None:
    """Nothing of it stays."""
    staging = store.stage(batch_id(2))
    staging.add([staged(5, status=RowStatus.CREATED, activity_id=guid(1).lower())], AT)
    with pytest.raises(StoreError, match="Another row has this Id"):
        store.publish(staging, batch(2, rows=1))
    assert store.summary(batch_id(2)) is None
    store.stage(batch_id(2)).close()
    owned.close()


def test_a_row_that_was_taken_over_points_to_the_row_that_created_it(store: Store, owned: Ownership) -> None:
    """It has the same Id, which is claimed once."""
    with published(store, 2) as other, other.change() as change:
        assert change.take_over([Earlier(1, guid(1).lower(), batch_id(1), 1)], AT) == 1
    with (
        published(store, 3) as third,
        pytest.raises(StoreError, match=schema.NOT_CREATED_THERE),
        third.change() as change,
    ):
        change.take_over([Earlier(1, guid(2), batch_id(1), 1)], AT)
    assert store.holders(batch().tenant, [guid(1)]) == {guid(1): (batch_id(1), 1)}
    owned.close()


def test_a_row_whose_activity_was_deleted_by_hand_is_pending_again_and_its_id_stays_known(
    store: Store, owned: Ownership
) -> None:
    """The only way back from created."""
    with owned.change() as change:
        change.deleted_by_hand([1], AT)
    row = owned.rows.row(1)
    assert (row.status, row.activity_id) == (RowStatus.PENDING, None)
    assert store.holders(batch().tenant, [guid(1)]) == {guid(1): (batch_id(1), 1)}
    with owned.change() as change:
        change.change_rows([changed(change, 1, status=RowStatus.CREATED, activity_id=guid(7))])
    assert owned.rows.row(1).activity_id == guid(7)
    owned.close()


# ---- versions -------------------------------------------------------------------------------------------


def test_the_steps_end_at_the_schema(store: Store) -> None:
    """What Alembic made is what `schema.py` describes."""
    with store.database.reading() as connection:
        assert store.database.version(connection) == schema.VERSIONS[-1]
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_a_store_of_a_newer_importer_is_refused_and_left_alone(place: Place) -> None:
    """Before anything is changed in it."""
    with place.open() as store:
        attack(store, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnusableError, match="A newer importer made the store") as refused:
        place.open()
    assert "Update the importer" in refused.value.remedy


def test_two_computers_may_open_a_new_store_at_once(place: Place) -> None:
    """One makes the tables, the others wait for it."""
    failed: list[BaseException] = []

    def opened() -> None:
        try:
            place.open().close()
        except BaseException as error:  # noqa: BLE001 - shown below
            failed.append(error)

    threads = [threading.Thread(target=opened) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_every_constraint_has_a_name_of_ours() -> None:
    """So that a later step can find it."""
    for table in schema.metadata.tables.values():
        for constraint in table.constraints:
            assert constraint.name, (table.name, constraint)


# ---- the file -------------------------------------------------------------------------------------------


def test_the_embedded_store_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask, and the log beside it."""
    before = os.umask(0)
    try:
        with open_store(tmp_path / "home") as store, published(store):
            files = [*(tmp_path / "home").rglob("*")]
            assert {"importer.db", "importer.db-wal"} <= {file.name for file in files}
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) & 0o077 for file in files}
            assert set(modes.values()) == {0}, modes
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "home").stat().st_mode) == 0o700


@pytest.mark.parametrize("contents", [b"importer", b"SQLite format 3\0" + bytes(4096), os.urandom(5000)])
def test_a_file_that_is_not_a_store_is_refused_and_left_alone(tmp_path: Path, contents: bytes) -> None:
    """One sentence, and not a byte changed."""
    (tmp_path / "importer.db").write_bytes(contents)
    with pytest.raises(StoreUnusableError):
        open_store(tmp_path)
    assert (tmp_path / "importer.db").read_bytes() == contents


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Customer data goes where the folder is, not where a link points."""
    (tmp_path / "importer.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StoreUnusableError):
        open_store(tmp_path)
    assert not (tmp_path / "elsewhere.db").exists()


def test_a_command_that_leaves_nothing_behind_makes_no_file(tmp_path: Path) -> None:
    """`check`, `status`: while there is nothing to keep."""
    with open_store(tmp_path / "home", create=False) as store:
        assert store.batches() == []
        assert store.recognition().found("a", "b") == []
    assert not (tmp_path / "home").exists()


TAMPERED = [
    "UPDATE fact SET value = '\"../../etc/passwd\"' WHERE name = 'id'",
    "UPDATE fact SET value = 'no JSON' WHERE name = 'header'",
    "UPDATE fact SET value = '7' WHERE name = 'tenant'",
    "DELETE FROM fact WHERE name = 'mapping'",
]


@pytest.mark.parametrize("statement", TAMPERED)
def test_facts_that_were_changed_by_somebody_end_in_one_sentence(store: Store, statement: str) -> None:
    """Records are validated when they are read."""
    published(store).close()
    attack(store, statement)
    with pytest.raises(StoreError, match="damaged"):
        store.batches()
    with pytest.raises(StoreError, match="damaged"):
        store.open(batch_id(1)).batch()


@pytest.mark.parametrize("status", [-1, 8])
def test_a_status_that_there_is_not_ends_in_one_sentence(tmp_path: Path, status: int) -> None:
    """Checks can be switched off."""
    with open_store(tmp_path) as store:
        published(store).close()
        with sqlite3.connect(tmp_path / FILE_NAME) as attacked:
            attacked.execute("PRAGMA ignore_check_constraints = ON")
            attacked.execute("UPDATE sheet_row SET status = ? WHERE position = 2", (status,))
        attacked.close()
        with pytest.raises(StoreError, match="damaged"):
            list(store.open(batch_id(1)).rows())


def test_rows_that_were_changed_by_somebody_end_in_one_sentence(tmp_path: Path) -> None:
    """SQLite takes any value in any column."""
    with open_store(tmp_path) as store:
        published(store).close()
        attack(store, "UPDATE sheet_row SET number = 'x' WHERE position = 2")
        with pytest.raises(StoreError, match="damaged"):
            list(store.open(batch_id(1)).rows())
        attack(store, "UPDATE sheet_row SET number = 3 WHERE position = 2")
        attack(store, "UPDATE sheet_row SET status = 4, activity_id = '=HYPERLINK(1)' WHERE position = 2")
        with pytest.raises(StoreError, match="damaged"):
            list(store.open(batch_id(1)).rows())
