"""The journal's writer: groups of changes, each durable before it is told, and what a bad disk does."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import child_environment
from test_ledger import draft, facts

from importer.errors import JournalError
from importer.journal.entries import Ending, Mark, Note, Ruling
from importer.journal.journal import Journal, RowStatus
from importer.journal.writer import IdTakenError, JournalWriter

NOW = 1_785_476_030.25  # 2026-07-31T05:33:50.250Z


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of 200 pending rows."""
    drafted = draft(tmp_path, [f"row {number}" for number in range(200)], facts("B1", 200))
    drafted.publish()
    return drafted.path


def created(attempt: int, position: int, activity_id: str) -> Ending:
    return Ending(attempt, position, NOW, 200, "created", "", "", RowStatus.CREATED, activity_id)


def statuses(path: Path) -> dict[RowStatus, int]:
    with Journal.open(path) as journal:
        return journal.counts()


async def opened(path: Path) -> tuple[Journal, JournalWriter]:
    journal = Journal.open(path)
    writer = JournalWriter(journal, wall=lambda: NOW)
    writer.start()
    return journal, writer


async def test_a_mark_is_durable_when_it_is_told(path: Path) -> None:
    """Another connection sees it at once: the row is being sent, and by which attempt."""
    journal, writer = await opened(path)
    attempt, at = await writer.mark(7, None, -1.5)
    with Journal.open(path) as other:
        row, [kept] = other.row(7), other.attempts(7)
    await writer.close()
    journal.close()
    assert (row.status, row.attempts, row.changed_at) == (RowStatus.SENDING, 1, "2026-07-31T05:33:50.250Z")
    assert (kept.id, kept.marked_at, kept.clock_difference, kept.ended_at) == (attempt, at, -1.5, None)


async def test_an_ending_closes_its_attempt_and_rules_its_row(path: Path) -> None:
    """Both in one transaction."""
    journal, writer = await opened(path)
    attempt, _ = await writer.mark(1, b'{"sent":1}', 0.0)
    await writer.write(created(attempt, 1, "id-1"))
    await writer.close()
    row, [kept] = journal.row(1), journal.attempts(1)
    journal.close()
    assert (row.status, row.activity_id, row.attempts) == (RowStatus.CREATED, "id-1", 1)
    assert (kept.body, kept.ended_at, kept.http_status, kept.outcome) == (b'{"sent":1}', NOW, 200, "created")


async def test_a_call_refused_for_the_rate_costs_no_attempt(path: Path) -> None:
    """It is kept, but not counted."""
    journal, writer = await opened(path)
    attempt, _ = await writer.mark(1, None, 0.0)
    await writer.write(Ending(attempt, 1, NOW, 429, "throttled", "", "", RowStatus.PENDING, spent=False))
    await writer.close()
    row, kept = journal.row(1), journal.attempts(1)
    journal.close()
    assert (row.status, row.attempts, len(kept)) == (RowStatus.PENDING, 0, 1)


async def test_a_row_that_was_in_doubt_stays_marked_as_such(path: Path) -> None:
    """It is looked at again before each later send, whatever comes in between."""
    journal, writer = await opened(path)
    attempt, _ = await writer.mark(1, None, 0.0)
    await writer.write(
        Ending(attempt, 1, NOW, None, "doubtful", "timeout", "", RowStatus.DOUBTFUL, doubted=True)
    )
    await writer.write(Ruling(1, NOW, RowStatus.PENDING))
    attempt, _ = await writer.mark(1, None, 0.0)
    await writer.write(created(attempt, 1, "id-1"))
    await writer.close()
    row = journal.row(1)
    journal.close()
    assert (row.status, row.doubted, row.attempts) == (RowStatus.CREATED, True, 2)


async def test_a_note_is_a_fact_of_the_batch(path: Path) -> None:
    """The latest one stands."""
    journal, writer = await opened(path)
    await writer.write(Note("throttled", "1"))
    await writer.write(Note("throttled", "2"))
    await writer.close()
    assert journal.fact("throttled") == 2
    journal.close()


async def test_what_gathers_meanwhile_shares_a_commit(path: Path) -> None:
    """200 marks at once write each page once or twice, and not 200 times."""
    journal, writer = await opened(path)
    await asyncio.gather(*(writer.mark(position, None, 0.0) for position in range(1, 201)))
    written = wal_of(path).stat().st_size
    await writer.close()
    journal.close()
    assert statuses(path) == {RowStatus.SENDING: 200}
    assert written < 200 * 4_096


def wal_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


async def test_who_is_cancelled_while_waiting_finds_its_entry_whole_on_the_disk(path: Path) -> None:
    """Ctrl-C between the write and its fsync loses no mark."""
    journal, writer = await opened(path)
    waiting = [asyncio.create_task(writer.mark(position, None, 0.0)) for position in range(1, 51)]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    whole = await writer.close()
    journal.close()
    assert {type(end) for end in ended} == {asyncio.CancelledError}
    assert (whole, writer.outstanding) == (True, 0)
    assert statuses(path) == {RowStatus.SENDING: 50, RowStatus.PENDING: 150}


async def test_attempts_go_on_counting_where_an_earlier_run_stopped(path: Path) -> None:
    """An attempt's id is never given twice."""
    journal, writer = await opened(path)
    await writer.mark(1, None, 0.0)
    await writer.close()
    journal.close()
    journal, writer = await opened(path)
    attempt, _ = await writer.mark(2, None, 0.0)
    await writer.close()
    journal.close()
    assert attempt == 2


# ---- what must not be written -------------------------------------------------------------------------


async def refused(path: Path, *entries: Mark | Ending | Ruling) -> JournalWriter:
    """Writes the entries, the last of which has to fail."""
    journal, writer = await opened(path)
    for entry in entries[:-1]:
        await writer.write(entry)
    with pytest.raises(JournalError):
        await writer.write(entries[-1])
    with pytest.raises(JournalError):
        await writer.mark(200, None, 0.0)
    await writer.close()
    journal.close()
    return writer


@pytest.mark.parametrize(
    "entries",
    [
        (Mark(1, 1, None, NOW, 0.0), Mark(2, 1, None, NOW, 0.0)),
        (Mark(1, 1, None, NOW, 0.0), Ending(1, 2, NOW, 500, "doubtful", "", "", RowStatus.DOUBTFUL)),
        (Ending(9, 1, NOW, 200, "created", "", "", RowStatus.CREATED, "id-1"),),
        (Mark(1, 1, None, NOW, 0.0), created(1, 1, "id-1"), Ruling(1, NOW, RowStatus.FAILED)),
        (Mark(1, 1, None, NOW, 0.0), Ending(1, 1, NOW, 200, "created", "", "", RowStatus.CREATED)),
        (Mark(1, 999, None, NOW, 0.0),),
    ],
    ids=[
        "marked twice",
        "another row's attempt",
        "no such attempt",
        "created goes back",
        "no Id",
        "no such row",
    ],
)
async def test_what_breaks_a_promise_is_not_written_and_ends_the_run(
    path: Path, entries: tuple[Mark | Ending | Ruling, ...]
) -> None:
    """The group is undone, and nothing more is taken."""
    writer = await refused(path, *entries)
    assert isinstance(writer.failure, JournalError)
    assert statuses(path).get(RowStatus.FAILED, 0) == 0
    assert sum(statuses(path).values()) == 200


async def test_one_id_for_two_rows_is_refused(path: Path) -> None:
    """An Id stands at one row at most; entries that are written with it do not suffer, nor later ones."""
    journal, writer = await opened(path)
    for position in (1, 2):
        await writer.mark(position, None, 0.0)
    ended = await asyncio.gather(
        *(writer.write(created(*one)) for one in ((1, 1, "id-1"), (2, 2, "id-1"))),
        writer.mark(3, None, 0.0),
        return_exceptions=True,
    )
    whole = await writer.close()
    journal.close()
    assert ([type(one) for one in ended[:2]], whole) == ([type(None), IdTakenError], True)
    assert statuses(path) == {RowStatus.CREATED: 1, RowStatus.SENDING: 2, RowStatus.PENDING: 197}


async def test_text_that_cannot_be_stored_ends_the_run_instead_of_hanging_it(path: Path) -> None:
    """A tenant's message may hold half a surrogate pair (JSON `"\\\\ud800"`), which UTF-8 cannot."""
    ending = Ending(1, 1, NOW, 500, "refused", "MX", "\ud800", RowStatus.FAILED)
    async with asyncio.timeout(10):
        await refused(path, Mark(1, 1, None, NOW, 0.0), ending)


# ---- trouble with the disk ----------------------------------------------------------------------------


async def test_nothing_is_accepted_once_the_folder_was_removed(path: Path) -> None:
    """A removed file can be written to for ever on Unix; what stands there is lost."""
    journal, writer = await opened(path)
    await writer.mark(1, None, 0.0)
    shutil.rmtree(path.parent)
    for _ in range(3):
        with pytest.raises(JournalError, match="could not be used"):
            await writer.mark(2, None, 0.0)
    whole = await writer.close()
    journal.close()
    assert whole is False


async def test_nothing_is_accepted_once_another_file_has_the_journals_name(path: Path) -> None:
    """Somebody put a backup back in mid-run."""
    journal, writer = await opened(path)
    await writer.mark(1, None, 0.0)
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)
    with pytest.raises(JournalError, match="replaced by another"):
        await writer.mark(2, None, 0.0)
    await writer.close()
    journal.close()


async def test_nothing_is_accepted_after_the_end(path: Path) -> None:
    """Who comes late is told, and does not wait for ever."""
    journal, writer = await opened(path)
    assert await writer.close() is True
    with pytest.raises(JournalError):
        await writer.mark(1, None, 0.0)
    journal.close()


CHILD = """
import asyncio, os, sys
from pathlib import Path
from importer.errors import JournalError
from importer.journal.journal import Journal, RowStatus
from importer.journal.entries import Ending
from importer.journal.writer import JournalWriter

async def row(writer, position):
    attempt, at = await writer.mark(position, None, 0.0)
    os.write(1, b"marked %d\\n" % position)
    status, activity_id = RowStatus.CREATED, f"id-{position}"
    await writer.write(Ending(attempt, position, at, 200, "created", "", "x" * 500, status, activity_id))
    os.write(1, b"created %d\\n" % position)

async def main(path):
    writer = JournalWriter(Journal.open(path))
    writer.start()
    gate = asyncio.Semaphore(8)
    async def worker(position):
        async with gate:
            await row(writer, position)
    ended = await asyncio.gather(*(worker(p) for p in range(1, 201)), return_exceptions=True)
    await writer.close()
    failures = [str(end) for end in ended if end is not None]
    os.write(1, b"failed %d\\n" % len(failures))
    assert all(isinstance(end, (JournalError, type(None))) for end in ended), ended

asyncio.run(main(Path(sys.argv[1])))
"""


def told_created(output: str) -> set[str]:
    return {f"id-{line.split()[1]}" for line in output.splitlines() if line.startswith("created ")}


def ids_in(path: Path) -> set[str | None]:
    with Journal.open(path) as journal:
        return {row.activity_id for row in journal.rows(RowStatus.CREATED)}


@pytest.mark.skipif(sys.platform == "win32", reason="a limit on the size of files is a thing of Unix")
def test_a_full_disk_ends_the_run_and_what_was_told_is_kept(path: Path) -> None:
    """Every write fails from some point on; whatever was said to be created stands in the journal."""
    limited = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({path.stat().st_size + 60_000},) * 2)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited + CHILD, str(path)],
        capture_output=True, text=True, timeout=60, check=False, env=child_environment(),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "failed 0" not in done.stdout
    told = told_created(done.stdout)
    assert 0 < len(told) < 200
    assert told <= ids_in(path)
    assert sum(statuses(path).values()) == 200


@pytest.mark.crash
@pytest.mark.skipif(sys.platform == "win32", reason="a process is stopped and continued by signals of Unix")
def test_a_journal_copied_at_any_moment_opens_and_tells_a_consistent_story(
    path: Path, tmp_path: Path
) -> None:
    """Frozen by SIGSTOP, its files are what a power cut would leave of them, were the disk honest."""
    copies = 40 if os.environ.get("IMPORTER_LONG") else 12
    stories = 0
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path)], stdout=subprocess.PIPE, text=True, env=child_environment()
    ) as child:
        assert child.stdout is not None
        output: list[str] = []
        reader = threading.Thread(target=lambda: output.extend(child.stdout or ()))
        first = child.stdout.readline()
        reader.start()
        while child.poll() is None and stories < copies:
            child.send_signal(signal.SIGSTOP)
            told = told_created(first + "".join(output))
            copy = tmp_path / f"copy-{stories}" / path.name
            copy.parent.mkdir()
            for end in ("", "-wal"):
                if (part := path.with_name(path.name + end)).exists():
                    shutil.copy(part, copy.with_name(copy.name + end))
            child.send_signal(signal.SIGCONT)
            tells_a_consistent_story(copy, told)
            stories += 1
        child.wait(timeout=60)
        reader.join()
    assert stories > 0
    assert ids_in(path) == {f"id-{position}" for position in range(1, 201)}


def tells_a_consistent_story(copy: Path, told: set[str]) -> None:
    with Journal.open(copy) as journal:
        assert journal.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counted = journal.shown_counts()
        assert counted["rows"] == 200
        assert counted["uncertain"] <= 8
        for row in journal.rows():
            ended = [attempt.outcome for attempt in journal.attempts(row.position)]
            expected = {
                RowStatus.PENDING: ([], None),
                RowStatus.SENDING: ([None], None),
                RowStatus.CREATED: (["created"], f"id-{row.position}"),
            }[row.status]
            assert (ended, row.activity_id) == expected
    assert told <= ids_in(copy)
