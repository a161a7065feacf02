"""What every test may ask for: a home of its own, the command line, and a tenant to send to."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import HealthCheck, settings
from served import InThread
from stores import Place, postgres_database

from importer.store.store import Store

if TYPE_CHECKING:
    from importer.sandbox.rules import SandboxOptions
    from importer.sandbox.server import Call, Sandbox
    from importer.sandbox.wire import Held

# A busy computer is no failure: no test depends on how fast examples are made or run.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


@dataclass(frozen=True)
class Result:
    """How a command line ended."""

    exit: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object that `--json` promises on stdout, and nothing beside it."""
        found: dict[str, Any] = json.loads(self.stdout)
        return found


class Importer(Protocol):
    """Runs `importer ARGUMENTS`."""

    def __call__(self, *arguments: str | Path, stdin: str = "") -> Result:
        """Run it to its end."""


@contextmanager
def as_nobody() -> Iterator[None]:
    """As a user who may not read everything, which root may."""
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """IMPORTER_HOME in a folder of the test's own; no keys, no `.env`, no keyring from this computer."""
    for name in list(os.environ):
        if name.upper().startswith("LEADSQUARED_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.setenv("IMPORTER_HOME", str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.chdir(work)
    return folder


@pytest.fixture
def importer(home: Path) -> Iterator[Importer]:
    """The command line in this process: quick, and what it raises is seen."""
    from importer.cli.main import run
    from importer.home import close_log

    def call(*arguments: str | Path, stdin: str = "") -> Result:
        out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)
        err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="\n", write_through=True)
        with redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.StringIO(stdin))
            code = run([str(argument) for argument in arguments])
        return Result(code, _written(out), _written(err))

    yield call
    close_log()


@pytest.fixture
def importer_process(home: Path) -> Importer:
    """The command line in a process of its own, as a person starts it."""

    def call(*arguments: str | Path, stdin: str = "") -> Result:
        done = subprocess.run(
            importer_command(*arguments),
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
            env=child_environment(),
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return call


class RunningTenant(InThread["Sandbox"]):
    """A sandbox on loopback, served from a thread of its own as if it were far away.

    `activities`, `calls` and `counts` are the truth about it, read in its own thread.
    """

    def __init__(self, options: SandboxOptions) -> None:
        from importer.sandbox.server import Sandbox

        super().__init__(lambda: Sandbox(options))

    @property
    def sandbox(self) -> Sandbox:
        """What is served."""
        return self.served

    def before_each_create(self, act: Callable[[tuple[Any, ...]], None]) -> None:
        """The tenant does something of its own whenever an activity is created."""
        model: Any = self.sandbox.tenant
        add = model.add

        def added(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as `add` has them
            act(arguments)
            return add(*arguments, **options)

        model.add = added

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`."""
        return self.sandbox.url

    @property
    def activities(self) -> list[Held]:
        """Everything that the tenant holds."""
        return self.ask(lambda sandbox: list(sandbox.activities))

    @property
    def calls(self) -> list[Call]:
        """Every call that arrived, in order."""
        return self.ask(lambda sandbox: list(sandbox.calls))

    @property
    def creates(self) -> list[Call]:
        """Every Create call that arrived, in order."""
        return [call for call in self.calls if call.kind == "create"]

    def set_faults(self, given: Mapping[str, Any]) -> None:
        """Other rules from now on (a faults file as a dictionary)."""
        from importer.sandbox import read_faults

        file = read_faults(dict(given), "faults")
        self.ask(lambda sandbox: sandbox.set_faults(file))

    def environment(self) -> dict[str, str]:
        """What a person would put into the environment to send to this tenant."""
        return {
            "LEADSQUARED_HOST": self.sandbox.url,
            "LEADSQUARED_ACCESS_KEY": self.sandbox.access_key,
            "LEADSQUARED_SECRET_KEY": self.sandbox.secret_key,
        }


class StartTenant(Protocol):
    """Starts a tenant; the keywords are `SandboxOptions`'."""

    def __call__(self, **options: Any) -> RunningTenant:
        """Start it, and point the environment's LEADSQUARED_* at it."""


@pytest.fixture
def start_tenant(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartTenant]:
    """Starts tenants that end with the test. Quick unless told otherwise: no limit, no latency, no jitter."""
    from importer.sandbox.rules import SandboxOptions

    started: list[RunningTenant] = []

    def start(**options: Any) -> RunningTenant:
        quick = {"rate": "none", "penalty_s": 0.0, "latency_s": 0.0, "jitter_s": 0.0}
        tenant = RunningTenant(SandboxOptions(**{**quick, **options}))
        tenant.start()
        started.append(tenant)
        for name, value in tenant.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("LEADSQUARED_RATE", options.get("rate") or "1000/1")
        return tenant

    yield start
    for tenant in started:
        tenant.stop()


@pytest.fixture
def tenant(start_tenant: StartTenant) -> RunningTenant:
    """One quick tenant, its keys in the environment."""
    return start_tenant()


def importer_command(*arguments: str | Path) -> list[str]:
    """The argument vector that starts the command line in a new process."""
    return [sys.executable, "-m", "importer", *map(str, arguments)]


def child_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a child that speaks UTF-8 wherever the test runs."""
    import importer

    # The child runs in another folder, and has to import the very package that is being tested.
    package = Path(importer.__file__).parents[1]
    return {**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(package), **(extra or {})}


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Where the test's own store is, once on each database."""
    if request.param == "sqlite":
        yield Place(tmp_path / "home", None)
    else:
        with postgres_database() as url:
            yield Place(tmp_path / "home", url)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    """An empty store, on each database."""
    with place.open() as opened:
        yield opened
