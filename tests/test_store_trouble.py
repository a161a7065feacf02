"""Trouble with a team's store: each is one sentence, ends within seconds, and never shows a password."""

from __future__ import annotations

import logging
import os
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from stores import (
    PASSWORD_IN_URL,
    Place,
    Wire,
    batch_id,
    postgres_database,
    published,
    server_url,
    url_of,
)

from importer.errors import StoreError, StoreUnusableError
from importer.store import postgresql
from importer.store.records import RowStatus
from importer.store.store import open_store
from importer.store.writer import StoreWriter

PASSWORD = PASSWORD_IN_URL


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """On PostgreSQL alone."""
    with postgres_database() as url:
        yield Place(tmp_path / "home", url)


@pytest.fixture
def wire(place: Place) -> Iterator[Wire]:
    with place.open(), closing(Wire(place.url or "")) as found:
        yield found


# ---- opening --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://ana:{password}@127.0.0.1:1/importer", "cannot be reached"),
        ("postgresql://ana:{password}@nowhere.invalid/importer", "cannot be reached"),
        ("postgresql://ana:{password}@[::1/importer", "cannot be read"),
        ("postgresql://ana:{password}@127.0.0.1:1/importer?nonsense={password}", "cannot be read"),
        ("mysql://ana:{password}@127.0.0.1/importer", "not the address of a store"),
        ("postgresql:///importer?service=none&password={password}", "cannot be reached"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_sentence_without_the_password(
    tmp_path: Path, url: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the message, the log or the traceback either."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(StoreUnusableError, match=sentence) as refused:
        open_store(tmp_path, url.format(password=PASSWORD))
    shown = "".join(traceback.format_exception(refused.value, chain=True)) + caplog.text
    assert PASSWORD not in shown


def test_the_password_is_in_no_name_of_a_thing(place: Place) -> None:
    """repr of all that is kept."""
    url = (place.url or "").replace("postgres:@", f"postgres:{PASSWORD}@")
    assert PASSWORD in url
    with open_store(place.home, url) as store, published(store) as owned:
        shown = [store, store.database, store.database.engine, store.database.engine.url, owned, owned.rows]
        assert PASSWORD not in repr(shown)
        assert PASSWORD not in store.location
        with pytest.raises(StoreError) as refused, owned.transaction() as connection:
            connection.exec_driver_sql("SELECT nothing FROM nowhere")
        assert PASSWORD not in "".join(traceback.format_exception(refused.value))


def test_a_database_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusableError, match="no database of this name"):
        open_store(tmp_path, url_of("importer_nowhere"))


def test_a_server_that_confirms_before_its_disk_has_it_is_refused(place: Place) -> None:
    """A mark that a power cut takes back would be sent twice."""
    name = urlsplit(place.url or "").path[1:]
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    with pytest.raises(StoreUnusableError, match="synchronous_commit"):
        place.open()


def test_a_user_who_may_not_change_the_schema_gets_a_sentence_for_the_administrator(place: Place) -> None:
    """Where the tables are there already, the least rights are enough."""
    role = f"importer_{os.getpid()}"
    url = place.url or ""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP ROLE IF EXISTS {role}")
        connection.execute(f"CREATE ROLE {role} LOGIN")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    theirs = url.replace("postgres:@", f"{role}@")
    try:
        with pytest.raises(StoreUnusableError) as refused:
            open_store(place.home, theirs)
        assert "administrator" in str(refused.value)
        with place.open(), psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
            )
            connection.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
        with open_store(place.home, theirs) as store, published(store) as owned:
            store.duplicates(owned.rows.batch()).overlap()
            assert owned.rows.counts() == {RowStatus.PENDING: 3}
        with open_store(place.home, theirs) as store:
            store.erase(batch_id(1))
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP OWNED BY {role}")
            connection.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize(
    ("mode", "remedy"), [("require", "sslmode"), ("verify-full&sslrootcert=nowhere.crt", "sslrootcert")]
)
def test_a_connection_that_cannot_be_secured_is_not_made(
    place: Place, wire: Wire, tmp_path: Path, mode: str, remedy: str
) -> None:
    """The server has no certificate, or there is none to hold it against."""
    with pytest.raises(StoreUnusableError, match="could not be secured") as refused:
        open_store(tmp_path, f"{wire.url}?sslmode={mode}")
    assert remedy in str(refused.value)


def test_a_server_with_too_many_connections_is_said_so(place: Place, tmp_path: Path) -> None:
    """As a role's own limit has it, or the server's."""
    role, url = f"crowded_{os.getpid()}", place.url or ""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")
    try:
        with pytest.raises(StoreUnusableError, match="too many connections") as refused:
            open_store(tmp_path, url.replace("postgres:@", f"{role}@"))
        assert "Try again later" in str(refused.value)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"DROP ROLE {role}")


# ---- during a run ---------------------------------------------------------------------------------------


def test_a_store_that_was_idle_while_its_server_was_restarted_goes_on(place: Place) -> None:
    """The screen is open for days: a connection that nobody used is tried before it is used."""
    with place.open() as store:
        published(store).close()
        _end_backends(place)
        assert len(store.batches()) == 1


async def test_a_connection_that_is_cut_ends_the_writer_at_once(place: Place, wire: Wire) -> None:
    """Rule 8: nothing more is taken, so no further call can leave."""
    with open_store(place.home, wire.url) as store, published(store) as owned:
        writer = StoreWriter(owned)
        await writer.mark(1, None, 0.0)
        wire.cut()
        with pytest.raises(StoreError, match="cannot be reached"):
            await writer.mark(2, None, 0.0)
        with pytest.raises(StoreError):
            await writer.mark(3, None, 0.0)
        assert not await writer.close()
    with place.open() as other:
        assert other.open(batch_id(1)).counts() == {RowStatus.SENDING: 1, RowStatus.PENDING: 2}


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("53100", "The disk of the store's server is full"),
        ("25006", "read-only"),
        ("57014", "did not answer within 15 s"),
    ],
)
async def test_what_the_server_says_in_mid_run_is_a_sentence_and_ends_the_writer(
    place: Place, state: str, sentence: str
) -> None:
    """Rule 8. The server refuses the second mark as one does whose disk is full."""
    with place.open() as store, published(store) as owned:
        writer = StoreWriter(owned)
        await writer.mark(1, None, 0.0)
        with psycopg.connect(place.url or "", autocommit=True) as connection:
            connection.execute(
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                f" RAISE EXCEPTION 'no' USING ERRCODE = '{state}'; END $$"
            )
            connection.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON attempt FOR EACH ROW EXECUTE FUNCTION refuse()"
            )
        with pytest.raises(StoreError, match=sentence):
            await writer.mark(2, None, 0.0)
        with pytest.raises(StoreError, match=sentence):
            await writer.mark(3, None, 0.0)
        assert not await writer.close()
        assert owned.rows.counts() == {RowStatus.SENDING: 1, RowStatus.PENDING: 2}


async def test_a_silent_connection_is_given_up(
    place: Place, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a deadline of ours: a proxy that acknowledges everything is not noticed otherwise."""
    monkeypatch.setattr(postgresql.GuardedConnection, "silence_max_s", 5.0)
    with open_store(place.home, f"{wire.url}?connect_timeout=5") as store:
        owned = published(store)
        writer = StoreWriter(owned)
        wire.silent.set()
        with pytest.raises(StoreError, match="cannot be reached"):
            await writer.mark(1, None, 0.0)
        with pytest.raises(StoreError):
            store.batches()
        assert not await writer.close()
        owned.close()


def test_a_server_that_is_silent_from_the_beginning_is_given_up(tmp_path: Path) -> None:
    """The connection is made, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        url = f"postgresql://postgres@127.0.0.1:{port}/importer?connect_timeout=5"
        with pytest.raises(StoreUnusableError, match="cannot be reached"):
            open_store(tmp_path, url)


def test_after_a_connection_that_nobody_answered_none_is_tried_for_a_while(place: Place, wire: Wire) -> None:
    """A run that lost its store asks for several at its end, and would wait for each of them in turn."""
    with open_store(place.home, f"{wire.url}?connect_timeout=2") as store:
        wire.silent.set()
        wire.cut()
        with pytest.raises(StoreError, match="cannot be reached"):
            store.batches()
        tried = wire.accepted
        with pytest.raises(StoreError, match="cannot be reached"):
            store.batches()
        assert wire.accepted == tried


def test_a_batch_whose_connection_was_cut_can_be_taken_over(place: Place, wire: Wire) -> None:
    """The lock went with the connection; what was cut off can write nothing more."""
    with open_store(place.home, wire.url) as store:
        owned = published(store)
        wire.cut()
        with place.open() as other:
            deadline = time.monotonic() + 180
            while True:
                with suppress(Exception):
                    taken = other.own(batch_id(1))
                    break
                assert time.monotonic() < deadline
            assert taken.number == 2
            with pytest.raises(StoreError):
                owned.keep_facts(seconds=1.0)
            with pytest.raises(StoreError):
                owned.keep_facts(seconds=1.0)
            assert taken.rows.fact("seconds") is None
            taken.close()
        owned.close()


def test_an_ended_backend_is_said_as_a_server_that_stopped(place: Place) -> None:
    """As a restart or a failover ends it."""
    with place.open() as store, published(store) as owned:
        _end_backends(place)
        with pytest.raises(StoreError, match=r"stopped|cannot be reached"):
            owned.keep_facts(seconds=1.0)


def _end_backends(place: Place) -> None:
    with psycopg.connect(place.url or "", autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
