"""The sandbox: a LeadSquared tenant that listens on loopback.

    async with Sandbox(SandboxOptions(rate="25/5")) as sandbox:
        ...  # sandbox.url, sandbox.access_key, sandbox.secret_key

    asyncio.run(serve(SandboxOptions(port=8080), on_ready=print))   # until cancelled, as by Ctrl-C

What it reproduces is described where it is done: `tenant.py` (activities), `validation.py` (what is refused),
`directory.py` (people and accounts), `limit.py` (the rate), `spelling.py` (what comes back otherwise than
sent). What can go wrong in it is described in FAULTS.md. `/__sandbox__/…` tells the truth about it
(`control.py`).

It shares no code with the client: it would agree with its mistakes.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from importer.sandbox.calls import Call
from importer.sandbox.control import Control
from importer.sandbox.holds import Holds
from importer.sandbox.limit import Gate
from importer.sandbox.options import SandboxOptions
from importer.sandbox.rules import FaultsFile, load_faults, read_faults
from importer.sandbox.service import Keys, Service
from importer.sandbox.store import FileStore, Held, Nowhere, Store
from importer.sandbox.tenant import Tenant

logging.getLogger("aiohttp.server").addHandler(logging.NullHandler())
"""A caller that ends its connection is nothing to report on a person's screen."""

CONTROL: Final = "/__sandbox__/"
_LOOPBACK: Final = "127.0.0.1"
_OWN_NAMES: Final = frozenset({_LOOPBACK, "localhost", "[::1]"})


class Sandbox:
    """A tenant that is served while the `async with` lasts.

    Raises FaultsError or ValueError when made, OSError or sqlite3.Error when entered (port taken, store
    unusable); nothing is served then. access_key is the owner's, colleague_key another user's; both go with
    secret_key.
    """

    def __init__(self, options: SandboxOptions | None = None) -> None:
        self.options = options or SandboxOptions()
        self.org: Final = self.options.organisation
        self.access_key = self.options.access_key or f"u$r{secrets.token_hex(16)}"
        self.colleague_key = f"u$r{secrets.token_hex(16)}"
        self.secret_key = self.options.secret_key or secrets.token_hex(20)
        self.admin_token = self.options.admin_token or secrets.token_hex(16)
        self.port = 0
        given = self.options.faults
        self._file = load_faults(given) if isinstance(given, Path) else given or FaultsFile()
        self.seed = next(
            (seed for seed in (self.options.seed, self._file.seed) if seed is not None), secrets.randbits(32)
        )
        Gate(self.options, self._file, 0.0)  # an impossible rate or penalty is refused before anything opens
        self._store: Store = Nowhere()
        self._runner: web.ServerRunner | None = None
        self._service: Service | None = None
        self._control: Control | None = None

    def __repr__(self) -> str:
        return f"<Sandbox at {self.url if self.port else 'no port yet'}, seed {self.seed}, {self._service!r}>"

    @property
    def service(self) -> Service:
        """What answers. Raises RuntimeError outside of the `async with`."""
        if self._service is None:
            raise RuntimeError("the sandbox is not being served")
        return self._service

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`, to be followed by `/v2/…`."""
        return f"http://{_LOOPBACK}:{self.port}"

    @property
    def tenant(self) -> Tenant:
        """The model behind it."""
        return self.service.tenant

    @property
    def gate(self) -> Gate:
        """The rate limit, and who else fills it."""
        return self.service.gate

    @property
    def calls(self) -> deque[Call]:
        """Every call that arrived, oldest first."""
        return self.service.calls

    @property
    def holds(self) -> Holds:
        """The answers that are held back."""
        return self.service.holds

    @property
    def activities(self) -> list[Held]:
        """Everything that the tenant holds: the truth."""
        return self.tenant.held

    @property
    def refusals(self) -> int:
        """Calls of ours that were refused for the rate, so far as the log goes back."""
        return sum(call.refused for call in self.calls)

    def set_faults(self, given: FaultsFile | Mapping[str, Any]) -> None:
        """Other rules from now on; their seconds count from now, revoked keys work again. FaultsError."""
        self.service.change(given if isinstance(given, FaultsFile) else read_faults(dict(given), "faults"))

    async def __aenter__(self) -> Self:
        if self.options.store is not None:
            self._store = FileStore(self.options.store)
        try:
            await self._start()
        except BaseException:
            await self._close()
            raise
        return self

    async def _start(self) -> None:
        keys = Keys(self.access_key, self.colleague_key, self.secret_key)
        self._service = Service(self.options, self._file, self._store, keys, self.seed)
        self._control = Control(self._service, self.admin_token)
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, _LOOPBACK, self.options.port, backlog=1024).start()
        self.port = self._runner.addresses[0][1]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        if self._service is not None:
            self._service.holds.release()
        if self._runner is not None:
            await self._runner.cleanup()
        self._store.close()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not _called_by_its_name(request):
            return web.Response(status=403, text="The sandbox answers to 127.0.0.1 and localhost only.")
        if self._control is not None and request.raw_path.startswith(CONTROL):
            return await self._control.answer(request, request.path.removeprefix(CONTROL))
        return await self.service.answer(request)


def _called_by_its_name(request: web.BaseRequest) -> bool:
    """Whether the caller knows that it talks to this computer. A web page that makes its own name point to
    127.0.0.1 (DNS rebinding) does not: its browser sends that name."""
    host = request.headers.get("Host", "")
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name.lower() in _OWN_NAMES


async def serve(options: SandboxOptions, on_ready: Callable[[Sandbox], None]) -> None:
    """Serves until cancelled. `on_ready` is called once the port is open. Raises what `Sandbox` raises."""
    async with Sandbox(options) as sandbox:
        on_ready(sandbox)
        await asyncio.Event().wait()
