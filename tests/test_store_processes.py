"""Several processes on one store: who owns what, who gets in, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
from store_child import Child
from stores import AT, Place, batch_id, published, staged

from importer.errors import ResultsError
from importer.store.ownership import Ownership
from importer.store.records import RowStatus
from importer.store.store import Store

LONG = os.environ.get("IMPORTER_LONG") == "1"
STEPS_MAX = 200
PATIENCE_S = 180.0


def test_a_batch_is_owned_by_one_process_until_it_ends(place: Place, store: Store) -> None:
    """However it ends."""
    published(store).close()
    with Child(place) as one, Child(place) as two:
        assert one.ask("own", batch_id=batch_id(1)) == {"owner": 2, "marked_s": None}
        refused = two.ask("own", batch_id=batch_id(1))
        assert refused["type"] == "ResultsError"
        assert "in use by" in refused["error"]
        summary = store.summary(batch_id(1))
        assert summary is not None
        assert summary.running
        one.signal(signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while "error" in (taken := two.ask("own", batch_id=batch_id(1))):
            assert time.monotonic() < deadline, taken
        assert taken["owner"] == 3


def test_what_was_being_sent_when_a_process_was_killed_is_in_doubt(place: Place, store: Store) -> None:
    """Rule 4; on a team's store it is known how old the mark is."""
    with Child(place) as one:
        one.ask("start", number=1, sheet=1)
        one.ask("create", position=1)
        one.ask("mark", position=2)
        one.signal(signal.SIGKILL)
    owned = _own(store, batch_id(1))
    assert (owned.taken_over_s is None) == (place.dialect == "sqlite")
    assert owned.taken_over_s is None or owned.taken_over_s >= 0
    with owned.change() as change:
        assert change.interrupted(code="interrupted", error="…") == 1
    row = owned.rows.row(2)
    assert (row.status, row.doubted, row.error_code) == (RowStatus.DOUBTFUL, True, "interrupted")
    owned.close()


def _own(store: Store, name: str) -> Ownership:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return store.own(name)
        except ResultsError:
            assert time.monotonic() < deadline


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system cannot stop a process")
def test_a_process_that_was_stopped_loses_its_batch_and_can_write_nothing_when_it_goes_on(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suspended laptop. On the embedded store nobody else gets in; on a team's store whoever asks after a
    while does, and knows how old the last mark is."""
    monkeypatch.setattr("importer.store.store.OWNER_SILENT_S", 1.0)
    with Child(place) as one:
        one.ask("start", number=1, sheet=1)
        one.ask("mark", position=1)
        one.signal(signal.SIGSTOP)
        time.sleep(1.5)
        if place.dialect == "sqlite":
            with pytest.raises(ResultsError, match="in use"):
                store.own(batch_id(1))
            return
        owned = _own(store, batch_id(1))
        assert owned.taken_over_s is not None
        assert owned.taken_over_s > 1.0
        one.signal(signal.SIGCONT)
        assert one.ask("mark", position=2)["type"] == "StoreError"
        assert owned.rows.row(2).status is RowStatus.PENDING
        owned.close()


@pytest.mark.crash
def test_publishing_is_whole_or_nothing_whenever_it_is_killed(place: Place, store: Store) -> None:
    """Rule 1, at every statement and every commit between staging and the end."""
    ended = False
    for step in range(1, STEPS_MAX):
        if not LONG and step % 3:
            continue
        with Child(place) as child:
            child.ask("kill_at", step=step)
            ended = bool(child.ask("start", number=step, sheet=step, rows=1500))
        summary = store.summary(batch_id(step))
        if summary is not None:
            assert summary.counts["pending"] == 1500
            assert sum(1 for _ in store.open(batch_id(step)).rows()) == 1500
        if ended:
            break
    assert ended
    _eventually_clear(store)


def _eventually_clear(store: Store) -> None:
    """What a killed process leaves is removed by the next command that stages, once the process is known to
    be dead."""
    deadline = time.monotonic() + PATIENCE_S
    left: object = None
    while left != 0:
        assert time.monotonic() < deadline, left
        store.stage(batch_id(999)).close()
        with store.database.reading() as connection:
            left = connection.exec_driver_sql("SELECT count(*) FROM batch WHERE NOT published").scalar()


@pytest.mark.load
def test_of_two_that_start_the_same_sheet_at_once_exactly_one_gets_in(place: Place) -> None:
    """Rule 5: comparing and registering are one transaction."""
    rounds = 200 if LONG else 20
    let_in = []
    with Child(place) as one, Child(place) as two:
        for number in range(1, rounds + 1):
            at = time.time() + 0.15
            one.say("start", number=2 * number, sheet=number, rows=20, at=at)
            two.say("start", number=2 * number + 1, sheet=number, rows=20, at=at)
            answers = [one.answer(), two.answer()]
            let_in.append(sum("owner" in answer for answer in answers))
            refused = [answer for answer in answers if "owner" not in answer]
            assert all("imported before" in answer["error"] for answer in refused), refused
            for child, answer in zip((one, two), answers, strict=True):
                if "owner" in answer:
                    child.ask("close")
    assert let_in == [1] * rounds


def test_staging_does_not_hold_up_a_run_in_another_window(place: Place, store: Store) -> None:
    """Rule 1: a row is marked and recorded many times while many rows are staged; nothing waits for the
    end."""
    begun, stop = threading.Event(), threading.Event()

    def stage() -> None:
        with place.open() as other, other.stage(batch_id(5)) as staging:
            while not stop.is_set():
                staging.add((staged(number) for number in range(1000)), AT)
                begun.set()

    with Child(place) as child:
        child.ask("start", number=1, sheet=1, rows=30)
        thread = threading.Thread(target=stage)
        thread.start()
        try:
            assert begun.wait(60)
            for position in range(1, 31):
                assert child.ask("create", position=position) == {"attempt": position}
        finally:
            stop.set()
            thread.join()
    assert store.open(batch_id(1)).counts() == {RowStatus.CREATED: 30}
