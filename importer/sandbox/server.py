"""The sandbox: a LeadSquared tenant that listens on loopback.

    async with Sandbox(SandboxOptions(rate="25/5")) as sandbox:
        ...  # sandbox.url, sandbox.access_key, sandbox.secret_key

    asyncio.run(serve(SandboxOptions(port=8080), on_ready=print))   # until cancelled, as by Ctrl-C

It shares no code with the client: it would agree with its mistakes. What can go wrong in it is described in
FAULTS.md. `/__sandbox__/…` tells the truth about it and moves its strings, for tests and benchmarks. Each
request there needs the header `X-Sandbox-Token`; none counts as a call (FAULTS.md, The truth afterwards).

What happens to a call: arrival, route, region, keys, rate, faults, half the latency, the work itself (kept
before anything is said of it), the other half, the answer. What arrives at a wrong address or with wrong keys
fills no window.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import secrets
import sqlite3
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict, dataclass, field
from email.utils import formatdate
from random import Random
from typing import Any, Final, Self
from urllib.parse import parse_qsl

from aiohttp import web
from pydantic import TypeAdapter

from importer.sandbox import rules, traffic, wire
from importer.sandbox.directory import COLLEAGUE, OWNER, Person
from importer.sandbox.rules import Edited, Existing, FaultsFile, ForeignFault, SandboxOptions, read_faults
from importer.sandbox.tenant import Tenant
from importer.sandbox.wire import Held, Refused

CALLS_KEPT: Final = 500_000
CONTROL: Final = "/__sandbox__/"
_LOOPBACK: Final = "127.0.0.1"
_OWN_NAMES: Final = frozenset({_LOOPBACK, "localhost", "[::1]"})
TOKEN_HEADER: Final = "X-Sandbox-Token"  # noqa: S105 - a header's name
_EXISTING: Final = TypeAdapter(list[Existing])
# A caller that ends its connection is nothing to report on a person's screen.
logging.getLogger("aiohttp.server").addHandler(logging.NullHandler())


@dataclass(slots=True)
class Call:
    """One call. arrived_s, ended_s: monotonic; at: seconds since 1970 by the machine's clock.

    kind: `create`, `retrieve`, …, or `unknown`. status: of the answer, 0 while there is none or when it
    never came. activity_id: what this call created, whether its caller learned of it or not. fault: what was
    done to it, "" if nothing. refused: for the rate (by the limit itself or by a fault that says so).
    """

    number: int
    kind: str
    arrived_s: float
    at: float
    status: int = 0
    fault: str = ""
    activity_id: str | None = None
    refused: bool = False
    ended_s: float | None = None


@dataclass(slots=True)
class Asked:
    """A request, and what became known of it on the way.

    query: by names in lower case. content: the JSON of the body, empty if it could not be read; then
    `refused` says why. foreign: what others write at that time. lost: the tenant says that it wrote, and does
    not. stale_s: how old a reading is; missing: how many rows it lacks although it counts them.
    """

    request: web.BaseRequest
    call: Call
    query: Mapping[str, str]
    content: dict[str, Any] = field(default_factory=dict)
    refused: Refused | None = None
    foreign: list[ForeignFault] = field(default_factory=list)
    person: Person = OWNER
    lost: bool = False
    stale_s: float = 0.0
    missing: int = 0


ROUTES: Final = {
    "/v2/CompanyActivity.svc/Create": ("POST", "create"),
    "/v2/CompanyActivity.svc/Update": ("POST", "update"),
    "/v2/CompanyActivity.svc/Retrieve": ("POST", "retrieve"),
    "/v2/CompanyActivity.svc/RetrieveById": ("GET", "by-id"),
    "/v2/Authentication.svc/UserByAccessKey.Get": ("GET", "whoami"),
    "/v2/PermissionTemplate.svc/User/GetPermissions": ("GET", "permissions"),
    "/v2/UserManagement.svc/Users.Get": ("GET", "users"),
    "/v2/CompanyManagement.svc/Company.Get": ("POST", "companies"),
    "/v2/ProspectActivity.svc/CustomActivity/GetActivitySetting": ("GET", "activity-type"),
    "/v2/ProspectActivity.svc/ActivityTypes.Get": ("GET", "activity-types"),
}


class Sandbox:
    """A tenant that is served while the `async with` lasts.

    access_key is the owner's, colleague_key another user's; both go with secret_key. calls: oldest first.
    held_back: by their numbers, the calls whose answers wait. Raises ValueError when made for a rate that is
    none, OSError or StoreFileError when entered (port taken, store unusable); nothing is served then.
    """

    def __init__(self, options: SandboxOptions | None = None) -> None:
        self.options = options = options or SandboxOptions()
        seeds = (options.seed, options.faults.seed, secrets.randbits(32))
        self.seed = next(seed for seed in seeds if seed is not None)
        self.access_key = options.access_key or f"u$r{secrets.token_hex(16)}"
        self.colleague_key = f"u$r{secrets.token_hex(16)}"
        self.secret_key = options.secret_key or secrets.token_hex(20)
        self.admin_token = secrets.token_hex(16)
        self.port = 0
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.held_back: dict[int, asyncio.Event] = {}
        self.gate = traffic.Gate(options.rate, options.penalty_s, options.faults, time.monotonic())
        self._dice = Random(self.seed)
        self.tenant = Tenant(options, self._dice)
        self._arrived = 0
        self._opened = AsyncExitStack()

    def __repr__(self) -> str:
        held_back = [*self.held_back]
        return f"<Sandbox at {self.url}, seed {self.seed}, {self.tenant!r}, {self.gate!r}, {held_back=}>"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:<port>`, to be followed by `/v2/…`."""
        return f"http://{_LOOPBACK}:{self.port}"

    @property
    def activities(self) -> list[Held]:
        """Everything that the tenant holds: the truth."""
        return self.tenant.held

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            if self.options.store is not None:
                opened.callback(self.tenant.close)
                self.tenant.open(self.options.store)
            self.set_faults(self.options.faults)
            runner = web.ServerRunner(web.Server(self._any_answer, access_log=None), shutdown_timeout=0.1)
            opened.push_async_callback(runner.cleanup)
            opened.callback(self.release)
            await runner.setup()
            await web.TCPSite(runner, _LOOPBACK, self.options.port, backlog=1024).start()
            self.port = runner.addresses[0][1]
            self._opened = opened.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    async def _any_answer(self, request: web.BaseRequest) -> web.Response:
        if not _called_by_its_name(request):
            return web.Response(status=403, text="The sandbox answers to 127.0.0.1 and localhost only.")
        if not request.raw_path.startswith(CONTROL):
            return await self._answer(request)
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), self.admin_token.encode()):
            return _error(403, f"the header {TOKEN_HEADER} is missing or wrong")
        try:
            body = b"" if request.method == "GET" else await request.read()
            found = self._control(request.method, request.path.removeprefix(CONTROL), request.query, body)
        except Refused as refused:
            return _error(404, refused.message)
        except ValueError as error:  # FaultsError, pydantic's and json's are its children
            return _error(400, str(error))
        return wire.found(found)

    def _control(self, method: str, what: str, query: Mapping[str, str], body: bytes) -> object:  # noqa: PLR0911
        """Counts go back as far as the (bounded) log of calls does. Raises Refused and ValueError."""
        tenant = self.tenant
        match "GET" if method == "GET" else "POST", what:
            case "GET", "calls":
                after = int(query.get("after", "0"))
                return [asdict(call) for call in self.calls if call.number > after]
            case "GET", "activities":
                return [asdict(one) for one in self.activities]
            case "GET", "counts":
                return {
                    "calls": dict(Counter(call.kind for call in self.calls)),
                    "refused": sum(call.refused for call in self.calls),
                    "created": sum(call.activity_id is not None for call in self.calls),
                    "held": len(self.activities),
                    "others": self.gate.others,
                }
            case "GET", "held":
                return list(self.held_back)
            case "POST", "release":
                number = query.get("number")
                return {"released": self.release(None if number is None else int(number))}
            case "POST", "faults":
                self.set_faults(read_faults(json.loads(body), "faults"))
                return {"faults": "changed"}
            case "POST", "activities":
                given = _EXISTING.validate_python(json.loads(body))
                return [held.id for each in given for held in tenant.add_existing(each)]
            case "POST", "edit":
                return asdict(tenant.edit(Edited.model_validate(json.loads(body))))
            case "POST", "delete":
                return {"deleted": tenant.delete(query.get("id", "")).id}
        raise Refused("", f"'{what}' is not known")

    def set_faults(self, file: FaultsFile) -> None:
        """These rules from now on; their seconds count from now, and revoked keys work again."""
        self._started_s = time.monotonic()
        self._faults = traffic.Faults(file.faults, self.seed)
        self._revoked = ""
        self.tenant.change_rules(file.tenant)
        self.gate.change(file, self._started_s)
        for existing in file.existing:
            self.tenant.add_existing(existing)

    def release(self, number: int | None = None) -> int:
        """Lets one held answer go, or all; how many went."""
        events = [event for held, event in self.held_back.items() if number in (None, held)]
        for event in events:
            event.set()
        return len(events)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        """One call, from arrival to answer."""
        await asyncio.sleep(self._dice.uniform(0, self.options.jitter_s))
        path, _, query = request.raw_path.partition("?")
        method, kind = ROUTES.get(path, ("", "unknown"))
        self._arrived += 1
        call = Call(self._arrived, kind, time.monotonic(), time.time())
        self.calls.append(call)
        try:
            if not method:
                answer = wire.page(404, "<h2>404 - Not Found</h2>")
            elif request.method != method:
                answer = wire.page(405, "<h2>405 - Method not allowed.</h2>")
            else:
                parameters = {name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
                answer = await self._answered(Asked(request, call, parameters))
            call.status = answer.status
        finally:
            call.ended_s = time.monotonic()
        return self._dated(answer)

    def _dated(self, answer: web.Response) -> web.Response:
        """A tenant whose clock is wrong says so in its Date."""
        if self.tenant.rules.clock_offset_s:
            answer.headers["Date"] = formatdate(self.tenant.now(), usegmt=True)
        return answer

    async def _answered(self, asked: Asked) -> web.Response:
        request, call = asked.request, asked.call
        if (barred := self._barred(asked)) is not None:
            return barred
        body = await request.read()
        if request.method == "POST":  # what is wrong with the body is said when the call is carried out
            try:
                asked.content = wire.parsed(body, request.headers.get("Content-Type", ""))
            except Refused as refused:
                asked.refused = refused
        since_s = call.arrived_s - self._started_s
        fault, asked.foreign = self._faults.hit(call.kind, body, asked.content, since_s)
        await asyncio.sleep(self.options.latency_s / 2)
        self._others_write(asked, "before")
        if fault is not None:
            call.fault = fault.do
            return await self._faulty(asked, fault)
        answer = self._performed(asked)
        await asyncio.sleep(self.options.latency_s / 2)
        return answer

    def _barred(self, asked: Asked) -> web.Response | None:
        """What is said before anybody looks at the call: wrong region, wrong keys, too many calls."""
        right_host = self.tenant.rules.right_host
        if right_host is not None and asked.call.kind != "whoami":
            words = f"Invalid API host. Please use https://{right_host}/v2/ for this account."
            return wire.unauthorised(words)
        if self._revoked or not self._authorised(asked):
            return wire.unauthorised(self._revoked or rules.WRONG_KEYS)
        refused = self.gate.refusal(asked.call.arrived_s, self.tenant.now())
        asked.call.refused = refused is not None
        return refused

    def _authorised(self, asked: Asked) -> bool:
        headers, rule = asked.request.headers, self.tenant.rules.query_keys
        access, secret = headers.get("x-LSQ-AccessKey"), headers.get("x-LSQ-SecretKey")
        if access is None and secret is None and rule != "refused":
            asked.lost = rule == "lose-writes"
            access, secret = asked.query.get("accesskey"), asked.query.get("secretkey")
        person = {self.access_key: OWNER, self.colleague_key: COLLEAGUE}.get(access or "")
        asked.person = person or OWNER
        return person is not None and secret == self.secret_key

    def _others_write(self, asked: Asked, when: rules.Moment) -> None:
        """What others write just then. A Create that would be refused gives them nothing to copy."""
        due = [fault for fault in asked.foreign if fault.when == when]
        if due and asked.refused is None:
            with suppress(Refused):
                wanted = self.tenant.wanted(asked.content)
                for fault in due:
                    self.tenant.add_foreign(wanted, fault)

    def _performed(self, asked: Asked) -> web.Response:
        """Carries the call out. Everything that it changes is kept when this returns."""
        try:
            if asked.refused is not None:
                raise asked.refused
            answer = wire.found(self._result(asked))
        except Refused as refused:
            answer = wire.refusal(refused, self.tenant.rules.refusals_as)
        except sqlite3.Error:  # the disk refused, nothing was created: as of any server in trouble
            answer = wire.answer(500, wire.HTML_ERROR, "text/html")
        self._others_write(asked, "after")
        return self._dated(answer)

    def _result(self, asked: Asked) -> object:  # noqa: C901, PLR0911 - one for each call
        tenant, query, body = self.tenant, asked.query, asked.content
        match asked.call.kind:
            case "create":
                wanted = tenant.wanted(body)
                if not asked.lost:
                    asked.call.activity_id = tenant.add(wanted, asked.person).id
                return wire.success(asked.call.activity_id or str(uuid.uuid4()))
            case "update":
                return tenant.change(body, asked.person, lost=asked.lost)
            case "retrieve":
                account = query.get("companyid")
                return tenant.retrieve(account, body, stale_s=asked.stale_s, missing=asked.missing)
            case "by-id":
                return tenant.by_id(query.get("activityid"), stale_s=asked.stale_s)
            case "whoami":
                # the address that the caller knows us by: there may be a proxy or a tunnel in between
                return tenant.whoami(asked.person, asked.request.headers.get("Host") or "")
            case "permissions":
                return tenant.permissions()
            case "users":
                return tenant.users()
            case "companies":
                return tenant.companies(body)
            case "activity-type":
                return tenant.activity_type(query.get("code"))
            case _:
                return tenant.activity_types()

    async def _faulty(self, asked: Asked, fault: rules.Fault) -> web.Response:  # noqa: C901, PLR0911, PLR0912 - one for each fault
        """A call that a fault hits: done or not, and answered in some other way."""
        request, call = asked.request, asked.call
        match fault:
            case rules.AnswerFault():
                asked.lost = asked.lost or not fault.commits
                answer = self._dated(traffic.other_answer(fault, lambda: self._performed(asked)))
                return traffic.broken_off(fault.body, request, answer)
            case rules.DropFault() | rules.HangFault():
                if fault.commit:
                    self._performed(asked)
                if isinstance(fault, rules.DropFault):
                    return traffic.gone(request, reset=fault.reset)
                await asyncio.sleep(fault.seconds)
                return traffic.gone(request, reset=True)
            case rules.DripFault():
                return await traffic.dripped(fault.seconds, request, self._performed(asked))
            case rules.SlowFault() | rules.HoldFault():
                done = self._performed(asked) if fault.commit == "before" else None
                if isinstance(fault, rules.HoldFault):
                    await self._held(call.number, fault.seconds)
                else:
                    await asyncio.sleep(fault.seconds)
                return done or self._performed(asked)
            case rules.RefuseFault():
                shape = fault.shape or self.tenant.rules.refusals_as
                return wire.refusal(Refused(fault.exception, fault.message), shape)
            case rules.ThrottleFault():
                call.refused = True
                return traffic.throttle_answer(fault, str(self.gate.plan))
            case rules.RedirectFault():
                return wire.page(fault.status, "Object moved", Location=fault.to)
            case rules.RevokeFault():
                self._revoked = fault.message
                return wire.unauthorised(fault.message)
            case rules.StaleFault():
                asked.stale_s = fault.seconds
            case rules.IncompleteFault():
                asked.missing = fault.missing
        return self._performed(asked)

    async def _held(self, number: int, seconds: float) -> None:
        """Waits until released, at most so long."""
        event = self.held_back[number] = asyncio.Event()
        try:
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), seconds)
        finally:
            del self.held_back[number]


def _error(status: int, why: str) -> web.Response:
    return wire.answer(status, wire.encoded({"error": why}))


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
        # A signal that comes just before the loop waits does not wake it.
        while True:  # noqa: ASYNC110
            await asyncio.sleep(1)
