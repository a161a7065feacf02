"""The ledger: what it knows of batches, and that nothing is imported twice unasked."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from conftest import child_environment

from importer.activity import Activity
from importer.errors import JournalError, ResultsError
from importer.journal.draft import JournalDraft
from importer.journal.journal import Batch, Journal, RowStatus, StagedRow
from importer.journal.lock import batch_lock, is_free, lock_path
from importer.ledger.candidate import Candidate, Earlier, Overlap
from importer.ledger.ledger import Ledger
from importer.ledger.rows import Entry

TENANT = "api.leadsquared.com/ACME"
AT = "2026-07-31T05:33:50.000Z"
NAMES = (f"B20260731-053350-{number:04d}" for number in count())
IDS = (f"1111aaaa-0000-0000-0000-{number:012d}" for number in count())


def body(text: str) -> bytes:
    """An activity that differs from others by its note."""
    return Activity("c0ffee00-0000-0000-0000-000000000001", 10001, text, ()).encoded()


def facts(batch: str, rows: int, *, tenant: str = TENANT, content: str | None = None) -> Batch:
    return Batch(
        id=batch, created_at=AT, tenant=tenant, host="api.leadsquared.com", organisation="ACME", user="Asha",
        rehearsal=False, source=f"/sheets/{batch}.csv", family="text", sheet=None, header=("Note",),
        header_row=1,
        delimiter=",", encoding="utf-8", hidden=None, mapping={}, content=content or f"content-{batch}",
        source_cells=f"cells-{batch}", rows=rows, skip_invalid=False, results=f"/sheets/{batch}.results.csv",
    )  # fmt: skip


def staged(texts: Iterable[str]) -> list[StagedRow]:
    """Rows of these notes, pending; `!text` is an invalid one, `-text` a skipped one."""
    statuses = {"!": RowStatus.INVALID, "-": RowStatus.SKIPPED}
    return [
        StagedRow(number, f'["{text}"]', body(text), None, statuses.get(text[:1], RowStatus.PENDING))
        for number, text in enumerate(texts, start=2)
    ]


def draft(home: Path, texts: Sequence[str], batch: Batch | None = None) -> JournalDraft:
    batch = batch or facts(next(NAMES), len(texts))
    drafted = JournalDraft(home / "journals", batch.id)
    drafted.add(staged(texts), AT)
    drafted.journal().state(**batch.facts())
    return drafted


def let_in(ledger: Ledger, drafted: JournalDraft) -> Path:
    """What `run` does once everything was answered."""
    candidate = Candidate(ledger, drafted.journal())
    with ledger.registering():
        candidate.register()
        drafted.publish()
    return drafted.path


def add(home: Path, texts: Sequence[str], batch: Batch | None = None) -> Path:
    """A registered batch that has sent nothing yet."""
    with Ledger.open(home) as ledger:
        return let_in(ledger, draft(home, texts, batch))


def send(
    path: Path, *positions: int, status: RowStatus = RowStatus.CREATED, doubted: bool = False
) -> list[str]:
    """Marks rows as sent and ended so. Gives the Ids of those that were created."""
    ids = [next(IDS) for _ in positions] if status is RowStatus.CREATED else []
    with Journal.open(path) as journal, journal.change() as change:
        for index, position in enumerate(positions):
            change.execute(
                "INSERT INTO attempt (position, marked_at, clock_difference) VALUES (?, 1, 0)", (position,)
            )
            change.execute(
                "UPDATE row SET status = 1, attempts = attempts + 1 WHERE position = ?", (position,)
            )
            if status is not RowStatus.SENDING:
                change.execute(
                    "UPDATE row SET status = ?, activity_id = ?, doubted = ? WHERE position = ?",
                    (status, ids[index] if ids else None, doubted, position),
                )
    return ids


def overlap(home: Path, texts: Sequence[str], *, tenant: str = TENANT) -> Overlap:
    """What a new sheet of these rows would be told."""
    batch = facts(next(NAMES), len(texts), tenant=tenant)
    drafted = draft(home, texts, batch)
    with Ledger.open(home) as ledger:
        ledger.catch_up(tenant)
        found = Candidate(ledger, drafted.journal()).overlap()
    drafted.discard()
    return found


def counts(found: Overlap) -> tuple[int, int]:
    return found.created, found.held


# ---- overlap ------------------------------------------------------------------------------------------


def test_rows_that_were_created_overlap_and_say_by_which_batch(home: Path) -> None:
    """Two of three rows stand in LeadSquared already."""
    path = add(home, ["a", "b"])
    send(path, 1, 2)
    found = overlap(home, ["a", "x", "b"])
    assert counts(found) == (2, 0)
    assert [(entry.id, rows) for entry, rows in found.created_by] == [(path.stem, 2)]


def test_overlap_is_counted_as_a_multiset(home: Path) -> None:
    """A sheet with three identical rows beside a ledger with two overlaps by two."""
    send(add(home, ["a", "a"]), 1, 2)
    assert counts(overlap(home, ["a", "a", "a"])) == (2, 0)
    assert counts(overlap(home, ["a"])) == (1, 0)


@pytest.mark.parametrize(
    ("status", "doubted", "expected"),
    [
        (RowStatus.PENDING, False, (0, 1)),
        (RowStatus.SENDING, False, (0, 1)),
        (RowStatus.DOUBTFUL, True, (0, 1)),
        (RowStatus.UNCERTAIN, True, (0, 1)),
        (RowStatus.CREATED, False, (1, 0)),
        (RowStatus.FAILED, True, (0, 1)),
        (RowStatus.FAILED, False, (0, 0)),
        (RowStatus.INVALID, False, (0, 0)),
        (RowStatus.SKIPPED, False, (0, 0)),
    ],
)
def test_every_status_of_a_row_has_its_meaning_for_another_batch(
    home: Path, status: RowStatus, doubted: bool, expected: tuple[int, int]
) -> None:
    """Created rows stand there; what its own batch may still create, or cannot tell, is held by it."""
    path = add(home, ["other", "row"])
    send(path, 1)
    if status is not RowStatus.PENDING:
        send(path, 2, status=status, doubted=doubted)
    assert counts(overlap(home, ["row"])) == expected


def test_invalid_and_skipped_rows_of_the_new_sheet_overlap_with_nothing(home: Path) -> None:
    """They are not going to be sent."""
    send(add(home, ["c", "!a", "-b"]), 1)
    assert counts(overlap(home, ["!a", "-b"])) == (0, 0)


def test_another_tenant_is_another_world(home: Path) -> None:
    """The same rows may go to the test tenant and to the real one."""
    send(add(home, ["a"]), 1)
    assert counts(overlap(home, ["a"], tenant="api-in21.leadsquared.com/ACME")) == (0, 0)


def test_an_id_that_was_taken_over_counts_once(home: Path) -> None:
    """`--only-new` gives a row its earlier Id: two batches have it, and it was created once."""
    [created] = send(add(home, ["a"]), 1)
    second = draft(home, ["a", "b"])
    with Ledger.open(home) as ledger:
        with second.journal().change() as change:
            change.execute("UPDATE row SET status = 4, activity_id = ? WHERE position = 1", (created,))
        path = let_in(ledger, second)
    send(path, 2)
    assert counts(overlap(home, ["a", "a", "b"])) == (2, 0)


def test_each_overlapping_row_gets_an_earlier_id_of_its_own(home: Path) -> None:
    """The first of the equal rows, in the source's order, take the Ids that there are."""
    path = add(home, ["a", "b", "a"])
    ids = send(path, 1, 2, 3)
    drafted = draft(home, ["x", "a", "a", "a", "b"])
    with Ledger.open(home) as ledger:
        ledger.catch_up(TENANT)
        earlier = list(Candidate(ledger, drafted.journal()).earlier())
    drafted.discard()
    assert earlier == [
        Earlier(2, ids[0], path.stem),
        Earlier(3, ids[2], path.stem),
        Earlier(5, ids[1], path.stem),
    ]


def test_many_identical_rows_are_not_paired_one_by_one(home: Path) -> None:
    """20,000 equal rows on either side are 4 · 10⁸ pairs: too many to look at."""
    path = add(home, ["same"] * 20_000)
    send(path, 1)
    assert counts(overlap(home, ["same"] * 20_000)) == (1, 19_999)


def test_rows_held_by_two_batches_are_counted_once_and_named_twice(home: Path) -> None:
    """One row, pending in two batches: one row is held, and either batch has to be finished."""
    first = add(home, ["a", "b"])
    send(first, 2)
    second = add(home, ["c", "a"])
    send(second, 1)
    found = overlap(home, ["a"])
    assert counts(found) == (0, 1)
    assert [(entry.id, rows) for entry, rows in found.held_by] == [(second.stem, 1), (first.stem, 1)]


def test_rows_that_resume_would_send_again_are_compared_with_other_batches(home: Path) -> None:
    """A failed row that another sheet has created since is seen before it is sent a second time."""
    path = add(home, ["a", "b", "c"])
    send(path, 1)
    send(path, 2, status=RowStatus.FAILED)
    send(add(home, ["b", "c"]), 1)
    with Journal.open(path) as journal:
        with journal.change() as change:
            change.execute("UPDATE row SET status = 0 WHERE position = 2")
        with Ledger.open(home) as ledger:
            ledger.catch_up(TENANT)
            again = Candidate(ledger, journal, [2]).overlap()
            everything = Candidate(ledger, journal).overlap()
    assert counts(again) == (1, 0)
    assert counts(everything) == (1, 1)


# ---- the same sheet -----------------------------------------------------------------------------------


def test_the_same_activities_or_the_same_cells_are_the_same_sheet(home: Path) -> None:
    """A renamed copy, and the same cells under a mended mapping."""
    path = add(home, ["a"])
    batch = path.stem
    with Ledger.open(home) as ledger:
        by_content = ledger.same_sheet(TENANT, f"content-{batch}", "other cells")
        by_cells = ledger.same_sheet(TENANT, "other content", f"cells-{batch}")
        neither = ledger.same_sheet(TENANT, "other content", "other cells")
        elsewhere = ledger.same_sheet("another tenant", f"content-{batch}", f"cells-{batch}")
    assert [[entry.id for entry in found] for found in (by_content, by_cells, neither, elsewhere)] == [
        [batch],
        [batch],
        [],
        [],
    ]


def test_a_sheet_stays_known_after_its_batch_was_mended(home: Path) -> None:
    """`resume` of a corrected file changes the batch's content; the original is still the same sheet."""
    path = add(home, ["a"])
    send(path, 1, status=RowStatus.FAILED)
    with Journal.open(path) as journal:
        journal.state(content="mended")
    with Ledger.open(home) as ledger:
        ledger.catch_up(TENANT)
        known = [ledger.same_sheet(TENANT, content, "") for content in ("mended", f"content-{path.stem}")]
    assert [[entry.id for entry in found] for found in known] == [[path.stem], [path.stem]]


def test_a_source_is_found_by_its_path_and_by_its_cells(home: Path) -> None:
    """The latest batch answers."""
    send(add(home, ["a"], replace(facts("B1", 1), source_cells="cells", source="/sheets/visits.csv")), 1)
    later = replace(facts("B2", 1), created_at="2026-08-01T00:00:00.000Z")
    add(home, ["b"], replace(later, source_cells="cells", source="/sheets/visits.csv"))
    with Ledger.open(home) as ledger:
        found = [ledger.by_source(Path("/sheets/visits.csv")), ledger.by_source_cells("cells")]
        assert [entry.id if entry else None for entry in found] == ["B2", "B2"]
        assert ledger.by_source_cells("unknown") is None
        assert [entry.id for entry in ledger.batches()] == ["B2", "B1"]
        assert [entry.source_name for entry in ledger.batches(TENANT)] == ["visits.csv", "visits.csv"]


# ---- a batch that is none -----------------------------------------------------------------------------


def entry_of(ledger: Ledger, path: Path) -> Entry:
    entry = ledger.batch(path.stem)
    assert entry is not None
    return entry


def test_a_batch_that_never_sent_a_call_is_none_while_its_lock_is_free(home: Path) -> None:
    """Killed before its first call, it may be replaced; while another window is at work on it, not."""
    path = add(home, ["a"])
    with Ledger.open(home) as ledger:
        free = ledger.is_batch(entry_of(ledger, path))
        with batch_lock(path):
            owned = ledger.is_batch(entry_of(ledger, path))
        send(path, 1, status=RowStatus.SENDING)
        marked = ledger.is_batch(entry_of(ledger, path))
    assert (free, owned, marked) == (False, True, True)


def test_a_batch_that_was_taken_over_from_another_computer_is_one(home: Path) -> None:
    """Its journal was rebuilt from a results file: no call is in it, but rows are in doubt."""
    path = add(home, ["a"])
    with Journal.open(path) as journal, journal.change() as change:
        change.execute("UPDATE row SET status = 3, doubted = 1")
    with Ledger.open(home) as ledger:
        assert ledger.is_batch(entry_of(ledger, path)) is True


def test_rows_of_a_batch_that_is_none_hold_nothing(home: Path) -> None:
    """It never sent a call, and will not."""
    add(home, ["a", "b"])
    assert counts(overlap(home, ["a"])) == (0, 0)


def test_a_run_replaces_a_batch_that_is_none_with_everything_that_is_left_of_it(home: Path) -> None:
    """It could otherwise be resumed beside the new one: the same sheet twice."""
    path = add(home, ["a", "b"], facts("B1", 2, content="same"))
    lock_path(path).touch()
    second = draft(home, ["a", "b"], facts("B2", 2, content="same"))
    with Ledger.open(home) as ledger:
        candidate = Candidate(ledger, second.journal())
        assert candidate.same_sheet() == []
        with ledger.registering():
            replaced = candidate.register()
            second.publish()
        assert [entry.id for entry in replaced] == ["B1"]
        assert [entry.id for entry in ledger.batches()] == ["B2"]
    assert sorted(file.name for file in path.parent.iterdir() if file.suffix != ".lock") == ["B2.journal"]


def test_a_run_that_fails_after_the_look_up_replaces_nothing(home: Path) -> None:
    """The transaction is undone, and the journal of the earlier batch is still there."""
    path = add(home, ["a"], facts("B1", 1, content="same"))
    second = draft(home, ["a"], facts("B2", 1, content="same"))
    with Ledger.open(home) as ledger:
        candidate = Candidate(ledger, second.journal())
        with pytest.raises(ResultsError), batch_lock(second.path), ledger.registering():  # noqa: PT012
            candidate.register()
            batch_lock(second.path)  # anything that fails: this one is in use
        assert [entry.id for entry in ledger.batches()] == ["B1"]
    second.discard()
    assert path.is_file()
    assert is_free(path) is True


def test_a_batch_that_has_begun_to_send_is_not_forgotten(home: Path) -> None:
    """Between the look and the removal another window resumed it."""
    path = add(home, ["a"])
    with Ledger.open(home) as ledger:
        entry = entry_of(ledger, path)
        send(path, 1, status=RowStatus.SENDING)
        with pytest.raises(ResultsError, match="has begun to send"), ledger.registering():
            ledger.forget(entry)
        assert entry_of(ledger, path) == entry
    assert path.is_file()


# ---- registering --------------------------------------------------------------------------------------


def test_a_rehearsal_never_enters_the_ledger(home: Path) -> None:
    """Not when it is registered by mistake, and not when journals are taken in."""
    batch = replace(facts("sandbox-B1", 1, tenant="sandbox"), rehearsal=True)
    drafted = draft(home, ["a"], batch)
    with Ledger.open(home) as ledger:
        with pytest.raises(ValueError, match="rehearsal"), ledger.registering():
            ledger.register(drafted.journal())
        drafted.publish()
        ledger.catch_up("sandbox")
        assert ledger.batches() == []


def test_nothing_is_left_behind_while_nothing_was_registered(home: Path) -> None:
    """Looking makes no file, so a command that ends with 2 leaves none."""
    with Ledger.open(home) as ledger:
        ledger.catch_up(TENANT)
        assert ledger.batches() == []
        assert ledger.claimed(TENANT, ["x"]) == {}
    assert not home.exists()


def test_of_two_runs_at_the_same_moment_exactly_one_wins(home: Path) -> None:
    """Look-up and registration are one transaction: the second run finds the first one's batch."""
    both = threading.Barrier(2, timeout=20)
    won: list[str] = []
    refused: list[str] = []

    def run(name: str) -> None:
        drafted = draft(home, ["a", "b"], facts(name, 2, content="same"))
        with Ledger.open(home) as ledger, batch_lock(drafted.path):
            ledger.catch_up(TENANT)
            candidate = Candidate(ledger, drafted.journal())
            assert candidate.same_sheet() == []
            both.wait()
            with ledger.registering():
                if candidate.same_sheet() or candidate.overlap() != Overlap():
                    refused.append(name)
                    drafted.discard()
                else:
                    candidate.register()
                    drafted.publish()
                    won.append(name)
            both.wait()

    threads = [threading.Thread(target=run, args=(name,)) for name in ("B1", "B2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 1)
    with Ledger.open(home) as ledger:
        assert [entry.id for entry in ledger.batches()] == won


def test_a_batch_that_was_rebuilt_keeps_what_it_created_before(home: Path) -> None:
    """Journal deleted, then resumed from the results file: positions may differ, Ids are not forgotten."""
    path = add(home, ["a", "b", "c"])
    ids = send(path, 1, 2)
    with Ledger.open(home) as ledger:
        ledger.catch_up(TENANT)
    path.unlink()
    rebuilt = draft(home, ["c"], facts(path.stem, 1))
    with Ledger.open(home) as ledger:
        let_in(ledger, rebuilt)
        assert ledger.claimed(TENANT, ids) == dict.fromkeys(ids, path.stem)
    send(path, 1, status=RowStatus.UNCERTAIN)
    assert counts(overlap(home, ["a", "b", "c", "c"])) == (2, 1)


# ---- catching up --------------------------------------------------------------------------------------


def test_a_lost_ledger_is_made_anew_from_the_journals(home: Path) -> None:
    """Who deletes it sends nothing twice."""
    path = add(home, ["a", "b"])
    [created] = send(path, 1)
    for file in home.glob("ledger.sqlite*"):
        file.unlink()
    assert counts(overlap(home, ["a", "b"])) == (1, 1)
    with Ledger.open(home) as ledger:
        assert ledger.claimed(TENANT, [created]) == {created: path.stem}
    assert (home / "ledger.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_journal_that_was_put_there_by_hand_is_taken_in(home: Path) -> None:
    """A kill between a journal's appearance and its registration, or a copy from a backup."""
    add(home, ["x"])
    second = draft(home, ["a"])
    second.publish()
    send(second.path, 1)
    assert counts(overlap(home, ["a"])) == (1, 0)


def test_an_unknown_journal_that_cannot_be_read_stops_everything(home: Path) -> None:
    """Nobody could tell what it has sent."""
    path = add(home, ["a"])
    damaged = path.with_name("B9.journal")
    damaged.write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    with Ledger.open(home) as ledger, pytest.raises(ResultsError, match=r"B9\.journal: .*cannot be read"):
        ledger.catch_up(TENANT)


def test_a_deleted_batch_goes_on_protecting_against_duplicates(home: Path) -> None:
    """Its rows and Ids stay, and the batch is shown as one whose journal is missing."""
    path = add(home, ["a", "b"])
    [created] = send(path, 1)
    with Ledger.open(home) as ledger:
        ledger.catch_up_batch(path.stem)
    path.unlink()
    found = overlap(home, ["a", "b"])
    assert counts(found) == (1, 1)
    assert [entry.missing for entry, _ in (*found.created_by, *found.held_by)] == [True, True]
    with Ledger.open(home) as ledger:
        assert ledger.claimed(TENANT, [created.upper()]) == {created.upper(): path.stem}


def test_a_damaged_journal_leaves_what_was_known_of_its_batch(home: Path) -> None:
    """Its pending rows count as held, since nobody can tell what became of them."""
    path = add(home, ["a", "b"])
    send(path, 1)
    with Ledger.open(home) as ledger:
        ledger.catch_up_batch(path.stem)
    path.write_bytes(path.read_bytes()[:3_000])
    assert counts(overlap(home, ["a", "b"])) == (1, 1)


def test_rows_are_brought_up_to_date_while_their_batch_is_running(home: Path) -> None:
    """Another process writes its journal meanwhile; what it has committed is seen, and nothing else."""
    path = add(home, ["a", "b"])
    with Journal.open(path) as journal, journal.change() as change:
        change.execute("INSERT INTO attempt (position, marked_at, clock_difference) VALUES (1, 1, 0)")
        change.execute("UPDATE row SET status = 4, activity_id = 'x' WHERE position = 1")
        during = counts(overlap(home, ["a"]))
    assert (during, counts(overlap(home, ["a"]))) == ((0, 0), (1, 0))


def test_a_mended_row_is_known_by_its_new_content(home: Path) -> None:
    """What the row was before was never created, and stands in nobody's way."""
    path = add(home, ["old", "!bad"])
    send(path, 1, status=RowStatus.FAILED)
    with Ledger.open(home) as ledger:
        ledger.catch_up(TENANT)
    with Journal.open(path) as journal, journal.change() as change:
        change.execute("UPDATE row SET status = 0, activity = ? WHERE position = 1", (body("new"),))
        change.execute("UPDATE row SET status = 0, activity = ? WHERE position = 2", (body("good"),))
    assert [counts(overlap(home, [text])) for text in ("old", "new", "good")] == [(0, 0), (0, 1), (0, 1)]


def test_held_rows_of_each_batch_are_told(home: Path) -> None:
    """As of the last look."""
    path = add(home, ["a", "b", "!c"])
    with Ledger.open(home) as ledger:
        before = entry_of(ledger, path).held
        send(path, 1)
        ledger.catch_up_batch(path.stem)
        after = entry_of(ledger, path).held
    assert (before, after) == (2, 1)


def test_a_journal_from_a_backup_is_behind_the_ledger(home: Path) -> None:
    """What it would send stands in LeadSquared already."""
    path = add(home, ["a", "b", "c"])
    copy = path.read_bytes()
    ids = send(path, 1, 3)
    with Ledger.open(home) as ledger:
        ledger.catch_up(TENANT)
        with Journal.open(path) as journal:
            current = ledger.lost(journal)
        path.write_bytes(copy)
        with Journal.open(path) as journal:
            restored = ledger.lost(journal)
    assert (current, restored) == ([], [(1, ids[0]), (3, ids[1])])


# ---- claims -------------------------------------------------------------------------------------------


def test_claims_of_other_batches_are_known_at_once(home: Path) -> None:
    """Also those of a batch that is running in another window, and Ids in either case."""
    mine, other = add(home, ["a"]), add(home, ["b"])
    with Ledger.open(home) as ledger:
        [own] = send(mine, 1)
        [foreign] = send(other, 1)
        asked = [own, foreign.upper(), "unclaimed"]
        assert ledger.claimed(TENANT, asked, apart_from=mine.stem) == {foreign.upper(): other.stem}
        ledger.catch_up(TENANT)
        assert ledger.claimed(TENANT, asked, apart_from=mine.stem) == {foreign.upper(): other.stem}
        assert ledger.claimed("another tenant", asked) == {}


# ---- the file -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"not a database at all" * 500, b"SQLite format 3\0" + b"\xff" * 8_000])
def test_a_damaged_ledger_is_told_plainly(home: Path, content: bytes) -> None:
    """The message names the file and what to do; the file is left as it is."""
    home.mkdir()
    path = home / "ledger.sqlite"
    path.write_bytes(content)
    with pytest.raises(ResultsError, match="move it away") as raised:
        Ledger.open(home)
    assert raised.value.where == str(path)
    assert path.read_bytes() == content


def test_a_ledger_of_a_newer_importer_is_refused(home: Path) -> None:
    """An older importer would not know what it must keep."""
    add(home, ["a"])
    with sqlite3.connect(home / "ledger.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(ResultsError, match=r"newer importer.*version 99"):
        Ledger.open(home)


def test_a_ledger_that_cannot_be_read_in_mid_run_stops_the_run(home: Path) -> None:
    """Without it nobody knows whose an activity is: a JournalError, so nothing more is sent."""
    add(home, ["a"])
    with Ledger.open(home) as ledger:
        ledger.connection.execute("DROP TABLE digest")
        ledger.connection.execute("DROP TABLE row")
        with pytest.raises(JournalError):
            ledger.claimed(TENANT, ["x"])


def test_a_created_row_keeps_its_id_in_the_ledger(home: Path) -> None:
    """Whatever a journal may say later."""
    path = add(home, ["a"])
    send(path, 1)
    with Ledger.open(home) as ledger:
        ledger.catch_up(TENANT)
        with pytest.raises(sqlite3.IntegrityError, match="keeps its Id"):
            ledger.connection.execute("UPDATE row SET activity_id = 'other'")


# ---- the lock -----------------------------------------------------------------------------------------


def test_a_batch_belongs_to_one_window_at_a_time(home: Path) -> None:
    """The second one is told, and gets it when the first has ended."""
    path = add(home, ["a"])
    with batch_lock(path):
        assert is_free(path) is False
        with pytest.raises(ResultsError, match="in use by another window"):
            batch_lock(path)
    with batch_lock(path):
        assert lock_path(path).stat().st_mode & 0o777 == 0o600
    assert is_free(path) is True


def test_a_lock_dies_with_its_process(home: Path) -> None:
    """A killed run leaves a batch that can be resumed at once."""
    path = add(home, ["a"])
    script = (
        "import sys, pathlib; from importer.journal.lock import batch_lock\n"
        "lock = batch_lock(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=child_environment(),
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        held = is_free(path)
        child.kill()
        child.wait()
        assert (held, is_free(path)) == (False, True)
