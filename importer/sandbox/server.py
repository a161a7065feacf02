"""The sandbox: a LeadSquared tenant that listens on loopback.

    async with Sandbox(SandboxOptions(rate="25/5")) as sandbox:
        ...  # sandbox.url, sandbox.access_key, sandbox.secret_key

    asyncio.run(serve(SandboxOptions(port=8080), on_ready=print))   # until cancelled, as by Ctrl-C

It shares no code with the client: it would agree with its mistakes. What can go wrong in it is described in
FAULTS.md. `/__sandbox__/…` tells the truth about it and moves its strings, for tests and benchmarks. Each
request there needs the header `X-Sandbox-Token`; none counts as a call.

    GET  calls?after=N        the calls that arrived since, in order: number, kind, arrived_s, at, status, …
    GET  activities           everything that the tenant holds, values as received
    GET  counts               calls by kind, refused, created, held, others
    GET  held                 numbers of the calls whose answers are held back
    POST release?number=N     lets one held answer go; without a number, all
    POST faults               a faults file as JSON, in force from now on
    POST activities           a list of `existing` entries as in a faults file: adds them
    POST edit                 {"id", "note", "fields", "by"}: somebody changes an activity by hand
    POST delete?id=ID         somebody deletes an activity by hand (the API cannot)
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web
from pydantic import TypeAdapter

from importer.sandbox import wire
from importer.sandbox.directory import COLLEAGUE, OWNER
from importer.sandbox.faults import Holds, response
from importer.sandbox.limit import Plan
from importer.sandbox.rules import Edited, Existing, FaultsFile, load_faults, read_faults
from importer.sandbox.service import Call, SandboxOptions, Service
from importer.sandbox.tenant import FileStore, Held, Tenant

CONTROL: Final = "/__sandbox__/"
_LOOPBACK: Final = "127.0.0.1"
_OWN_NAMES: Final = frozenset({_LOOPBACK, "localhost", "[::1]"})
TOKEN_HEADER: Final = "X-Sandbox-Token"  # noqa: S105 - a header's name
_EXISTING: Final = TypeAdapter(list[Existing])
# A caller that ends its connection is nothing to report on a person's screen.
logging.getLogger("aiohttp.server").addHandler(logging.NullHandler())


class Control:
    """Answers the control endpoint of one service."""

    def __init__(self, service: Service, token: str) -> None:
        self._service = service
        self._token = token.encode()

    async def answer(self, request: web.BaseRequest, what: str) -> web.StreamResponse:
        """One request to the control endpoint."""
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), self._token):
            return _refused(403, f"the header {TOKEN_HEADER} is missing or wrong")
        try:
            if request.method == "GET":
                found = self._shown(what, request.query)
            else:
                found = self._changed(what, request.query, await request.read())
            return response(wire.NOT_FOUND if found is None else wire.found(found))
        except wire.Refused as refused:
            return _refused(404, refused.message)
        except ValueError as error:  # FaultsError, pydantic's and json's are its children
            return _refused(400, str(error))

    def _shown(self, what: str, query: Mapping[str, str]) -> object:
        """None if there is nothing of this name. Counts go back as far as the (bounded) log of calls does."""
        calls, held = self._service.calls, self._service.tenant.held
        match what:
            case "calls":
                after = int(query.get("after", "0"))
                return [asdict(call) for call in calls if call.number > after]
            case "activities":
                return [asdict(one) for one in held]
            case "counts":
                return {
                    "calls": dict(Counter(call.kind for call in calls)),
                    "refused": sum(call.refused for call in calls),
                    "created": sum(call.activity_id is not None for call in calls),
                    "held": len(held),
                    "others": self._service.gate.traffic.calls,
                }
            case "held":
                return self._service.holds.numbers
        return None

    def _changed(self, what: str, query: Mapping[str, str], body: bytes) -> object:
        tenant = self._service.tenant
        match what:
            case "release":
                number = query.get("number")
                return {"released": self._service.holds.release(None if number is None else int(number))}
            case "faults":
                self._service.change(read_faults(json.loads(body), "faults"))
                return {"faults": "changed"}
            case "activities":
                given = _EXISTING.validate_python(json.loads(body))
                return [held.id for each in given for held in tenant.add_existing(each)]
            case "edit":
                return asdict(tenant.edit(Edited.model_validate(json.loads(body))))
            case "delete":
                return {"deleted": tenant.delete(query.get("id", "")).id}
        return None


def _refused(status: int, why: str) -> web.Response:
    return response(wire.Answer(status, wire.encoded({"error": why})))


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
        Plan.parse(self.options.rate)  # an impossible one is refused before anything opens
        self._opened = AsyncExitStack()
        self._service: Service | None = None

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

    def set_faults(self, given: FaultsFile | Mapping[str, Any]) -> None:
        """Other rules from now on; their seconds count from now, revoked keys work again. FaultsError."""
        self.service.change(given if isinstance(given, FaultsFile) else read_faults(dict(given), "faults"))

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            store = None
            if self.options.store is not None:
                store = FileStore(self.options.store)
                opened.callback(store.close)
            people = {self.access_key: OWNER, self.colleague_key: COLLEAGUE}
            service = Service(
                self.options, self._file, store, people=people, secret=self.secret_key, seed=self.seed
            )
            runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=0.1)
            opened.push_async_callback(runner.cleanup)
            opened.callback(service.holds.release)
            await runner.setup()
            await web.TCPSite(runner, _LOOPBACK, self.options.port, backlog=1024).start()
            self.port = runner.addresses[0][1]
            self._service, self._opened = service, opened.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if not _called_by_its_name(request):
            return web.Response(status=403, text="The sandbox answers to 127.0.0.1 and localhost only.")
        if request.raw_path.startswith(CONTROL):
            control = Control(self.service, self.admin_token)
            return await control.answer(request, request.path.removeprefix(CONTROL))
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
