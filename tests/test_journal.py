"""The journal: what its schema promises, how it appears, and which files it refuses."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from test_ledger import AT, body, draft, facts, staged

from importer.errors import JournalError, ResultsError
from importer.journal.draft import JournalDraft
from importer.journal.file import APPLICATION_ID, MIGRATIONS, VERSION, connect
from importer.journal.journal import Attempt, Batch, Journal, RowStatus, StagedRow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A published journal of three rows: two pending, one invalid."""
    drafted = draft(tmp_path, ["a", "b", "!c"], facts("B1", 3))
    drafted.publish()
    return drafted.path


def run_sql(path: Path, *statements: str) -> None:
    with Journal.open(path) as journal:
        for statement in statements:
            journal.connection.execute(statement)


# ---- promises of the schema ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE row SET status = 0 WHERE position = 1",
        "UPDATE row SET status = 5 WHERE position = 1",
        "UPDATE row SET activity_id = 'other' WHERE position = 1",
        "UPDATE row SET activity_id = NULL WHERE position = 1",
    ],
)
def test_created_never_goes_back(path: Path, statement: str) -> None:
    """Neither its status nor its Id changes any more."""
    run_sql(path, "UPDATE row SET status = 4, activity_id = 'id-1' WHERE position = 1")
    with pytest.raises(sqlite3.IntegrityError, match="never goes back"):
        run_sql(path, statement)


@pytest.mark.parametrize("status", [status for status in RowStatus if status is not RowStatus.PENDING])
def test_only_a_pending_row_can_be_marked_as_being_sent(path: Path, status: RowStatus) -> None:
    """No row is sent while an earlier attempt of it is in doubt, nor one that is done."""
    run_sql(path, f"UPDATE row SET status = {status:d}, activity_id = 'id-1' WHERE position = 1")
    with pytest.raises(sqlite3.IntegrityError):
        run_sql(path, "UPDATE row SET status = 1 WHERE position = 1")


def test_a_created_row_has_an_id(path: Path) -> None:
    """Without one nobody could tell what was created."""
    with pytest.raises(sqlite3.IntegrityError):
        run_sql(path, "UPDATE row SET status = 4 WHERE position = 1")


@pytest.mark.parametrize("second", ["id-1", "ID-1"])
def test_an_id_stands_at_one_row_only(path: Path, second: str) -> None:
    """In either case of its letters."""
    run_sql(path, "UPDATE row SET status = 4, activity_id = 'id-1' WHERE position = 1")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        run_sql(path, f"UPDATE row SET status = 4, activity_id = '{second}' WHERE position = 2")


@pytest.mark.parametrize("status", [RowStatus.PENDING, RowStatus.DOUBTFUL, RowStatus.UNCERTAIN])
def test_a_row_that_may_be_sent_has_an_activity(path: Path, status: RowStatus) -> None:
    """There is nothing to send or to look for without one."""
    with pytest.raises(sqlite3.IntegrityError):
        run_sql(path, f"UPDATE row SET activity = NULL, status = {status:d} WHERE position = 3")


# ---- what it tells ------------------------------------------------------------------------------------


def test_a_batch_is_read_as_it_was_written(path: Path) -> None:
    """All facts, with the header as a tuple."""
    with Journal.open(path) as journal:
        assert journal.batch() == facts("B1", 3)


def test_a_fact_of_a_later_version_is_no_obstacle_and_a_missing_one_is(path: Path) -> None:
    """Facts are added in time; without those that have no default it is no batch."""
    with Journal.open(path) as journal:
        journal.state(colour="blue")
        assert journal.batch() == facts("B1", 3)
        assert journal.fact("colour") == "blue"
        assert journal.fact("unknown", 7) == 7
    with pytest.raises(KeyError):
        Batch.of({"id": "B1", "header": []})


def test_rows_are_given_in_the_sources_order(path: Path) -> None:
    """All of them, those of one status, and those behind a place."""
    with Journal.open(path) as journal:
        found = [
            [row.number for row in journal.rows()],
            [row.number for row in journal.rows(RowStatus.PENDING)],
            [row.number for row in journal.rows(after=1)],
            [row.number for row in journal.chunk(None, 0, 1)],
        ]
        assert found == [[2, 3, 4], [2, 3], [3, 4], [2]]
        assert journal.row(2).activity == body("b")


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (RowStatus.PENDING, "pending"),
        (RowStatus.SENDING, "uncertain"),
        (RowStatus.DOUBTFUL, "uncertain"),
        (RowStatus.UNCERTAIN, "uncertain"),
        (RowStatus.CREATED, "created"),
        (RowStatus.FAILED, "failed"),
        (RowStatus.INVALID, "invalid"),
        (RowStatus.SKIPPED, "skipped"),
    ],
)
def test_every_status_has_a_word_and_is_counted_under_it(path: Path, status: RowStatus, shown: str) -> None:
    """The counts add up to the rows."""
    run_sql(path, f"UPDATE row SET status = {status:d}, activity_id = 'x' WHERE position = 1")
    with Journal.open(path) as journal:
        counted = journal.shown_counts()
    assert status.shown == shown
    assert counted == {
        "rows": 3, "created": 0, "failed": 0, "uncertain": 0, "skipped": 0, "pending": 1, "invalid": 1,
    } | {shown: 1 + (shown in ("pending", "invalid"))}  # fmt: skip


def test_counts_that_do_not_add_up_end_the_run_loudly(path: Path) -> None:
    """A row was lost, or one too many is there: a fault of ours that nobody must overlook."""
    run_sql(path, "DELETE FROM row WHERE position = 3")
    with Journal.open(path) as journal, pytest.raises(JournalError, match=r"\(2\) do not add up .* 3 rows"):
        journal.shown_counts()


def test_an_attempt_tells_what_it_sent(path: Path) -> None:
    """While that is the row's activity, it is kept once."""
    run_sql(
        path,
        "INSERT INTO attempt (position, body, marked_at, clock_difference) VALUES (1, x'7b7d', 10, -2)",
        "INSERT INTO attempt (position, marked_at, clock_difference) VALUES (1, 20, -2)",
    )
    with Journal.open(path) as journal:
        expected = [
            Attempt(1, 1, b"{}", 10.0, -2.0, None, None, None, None, None),
            Attempt(2, 1, body("a"), 20.0, -2.0, None, None, None, None, None),
        ]
        assert journal.attempts(1) == expected
        assert journal.attempts(2) == []
        assert journal.last_attempt_id() == 2


def test_claimed_ids_are_known_in_either_case(path: Path) -> None:
    """Retrieve does not always give an Id back as Create did."""
    run_sql(path, "UPDATE row SET status = 4, activity_id = 'abc' WHERE position = 1")
    with Journal.open(path) as journal:
        found = {claimed.lower() for claimed in journal.claimed(["ABC", "other"])}
    assert found == {"abc"}


def test_a_change_is_whole_or_not_at_all(path: Path) -> None:
    """What is raised in it undoes it, also when it is nested."""
    with Journal.open(path) as journal:
        with pytest.raises(KeyboardInterrupt), journal.change() as outer:  # noqa: PT012
            outer.execute("UPDATE row SET status = 7 WHERE position = 1")
            with journal.change() as inner:
                inner.execute("UPDATE row SET status = 7 WHERE position = 2")
            raise KeyboardInterrupt
        assert [row.status for row in journal.rows(after=0)][:2] == [RowStatus.PENDING] * 2


# ---- appearing ----------------------------------------------------------------------------------------


def test_nothing_has_the_journals_name_until_it_is_published(tmp_path: Path) -> None:
    """A kill while staging leaves nothing that could be resumed."""
    drafted = draft(tmp_path, ["a", "b"], facts("B1", 2))
    folder = drafted.path.parent
    before = sorted(file.name for file in folder.iterdir())
    drafted.publish()
    after = sorted(file.name for file in folder.iterdir())
    assert (before, after) == ([f"B1.{os.getpid()}.staging"], ["B1.journal"])
    assert drafted.path.stat().st_mode & 0o777 == 0o600


def test_a_discarded_draft_leaves_nothing(tmp_path: Path) -> None:
    """Not even beside it."""
    drafted = draft(tmp_path, ["a"] * 5_000, facts("B1", 5_000))
    drafted.discard()
    assert list(drafted.path.parent.iterdir()) == []


def test_a_published_journal_is_durable_from_then_on(path: Path) -> None:
    """It was staged without care for a crash, which must not go on."""
    with Journal.open(path) as journal:
        found = [
            journal.connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    assert found == ["wal", 2]


def test_a_draft_is_read_and_changed_like_a_journal(tmp_path: Path) -> None:
    """`--only-new` does so before it is published."""
    drafted = draft(tmp_path, ["a", "b"], facts("B1", 2))
    with drafted.journal().change() as change:
        change.execute("UPDATE row SET status = 4, activity_id = 'x' WHERE position = 1")
    drafted.publish()
    with Journal.open(drafted.path) as journal:
        assert [row.status for row in journal.rows()] == [RowStatus.CREATED, RowStatus.PENDING]


def test_two_drafts_of_one_batch_cannot_be(tmp_path: Path) -> None:
    """An id is given once; the second one is told."""
    drafted = draft(tmp_path, ["a"], facts("B1", 1))
    with pytest.raises(JournalError, match="exists"):
        JournalDraft(drafted.path.parent, "B1")
    drafted.discard()


# ---- versions -----------------------------------------------------------------------------------------


def test_a_journal_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its rows are there as before, and its schema is that of a new one."""
    path = tmp_path / "B1.journal"
    with closing(connect(path)) as connection:
        connection.executescript(f"BEGIN; {MIGRATIONS[0]} PRAGMA user_version = 1; COMMIT;")
        old = Journal(path, connection)
        old.state(**facts("B1", 1).facts())
        connection.execute(
            "INSERT INTO row (number, cells, activity, status, changed_at) VALUES (2, '[\"a\"]', ?, 0, ?)",
            (body("a"), AT),
        )
    with Journal.open(path) as journal:
        version = journal.connection.execute("PRAGMA user_version").fetchone()[0]
        assert [row.activity for row in journal.rows()] == [body("a")]
        schema = "SELECT name, sql FROM sqlite_master ORDER BY name"
        migrated = journal.connection.execute(schema).fetchall()
    fresh = draft(tmp_path, ["a"], facts("B2", 1))
    assert (version, migrated) == (VERSION, fresh.connection.execute(schema).fetchall())
    fresh.discard()


def test_a_journal_of_a_newer_importer_is_refused_and_left_alone(path: Path) -> None:
    """This one would not know what it must keep."""
    run_sql(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    for opened in (Journal.open, Journal.open_to_read):
        with pytest.raises(ResultsError, match=r"newer importer.*version 99.*Update the importer"):
            opened(path)
    assert path.read_bytes() == before


# ---- files that cannot be used ------------------------------------------------------------------------


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    match how:
        case "truncated":
            path.write_bytes(content[:3_000])
        case "half of it":
            path.write_bytes(content[: len(content) // 2])
        case "no database":
            path.write_bytes(b"not a journal" * 500)
        case "zeros":
            path.write_bytes(bytes(len(content)))
        case "foreign":
            path.unlink()
            with closing(sqlite3.connect(path)) as foreign:
                foreign.execute("CREATE TABLE theirs (x)")
                foreign.commit()
        case "without a batch":
            run_sql(path, "DELETE FROM batch")


@pytest.mark.parametrize(
    "how", ["truncated", "half of it", "no database", "zeros", "foreign", "without a batch"]
)
def test_a_file_that_is_no_whole_journal_is_told_plainly(path: Path, how: str) -> None:
    """The message names it and the way out; exit 2, since nothing was sent."""
    damage(path, how)
    with pytest.raises(ResultsError, match="cannot be read") as raised:
        Journal.open(path)
    assert raised.value.where == str(path)
    assert raised.value.exit_code == 2


def test_an_absent_journal_is_told_and_not_made(tmp_path: Path) -> None:
    """Opening never creates one."""
    for opened in (Journal.open, Journal.open_to_read):
        with pytest.raises(ResultsError, match="no journal of this batch on this computer"):
            opened(tmp_path / "B1.journal")
    assert list(tmp_path.iterdir()) == []


def test_our_files_are_told_from_others() -> None:
    """ "LSQI" stands in the header of each journal."""
    assert APPLICATION_ID.to_bytes(4, "big") == b"LSQI"


def test_a_row_may_hold_any_text(tmp_path: Path) -> None:
    """Newlines, quotes, NUL-free controls, emoji, right-to-left, 32,767 characters."""
    texts = ['"', "a\nb", "\x01", "😀", "שלום", "x" * 32_767]
    rows = [replace_text(row, text) for row, text in zip(staged(texts), texts, strict=True)]
    drafted = JournalDraft(tmp_path, "B1")
    drafted.add(rows, AT)
    drafted.journal().state(**replace(facts("B1", len(texts)), source="/sheets/שלום.csv").facts())
    drafted.publish()
    with Journal.open(drafted.path) as journal:
        assert [row.error for row in journal.rows()] == texts
        assert journal.batch().source == "/sheets/שלום.csv"


def replace_text(row: StagedRow, text: str) -> StagedRow:
    return row._replace(error=text)
