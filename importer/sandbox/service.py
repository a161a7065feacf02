"""What happens to a call from its arrival to its answer.

Arrival, route, region, keys, rate, faults, half the latency, the work itself (kept before anything is said of
it), the other half, the answer. What arrives at a wrong address or with wrong keys fills no window.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from random import Random
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from importer.sandbox import faults, rules, wire
from importer.sandbox.directory import OWNER, Person
from importer.sandbox.faults import NOTHING, Faults, Hit, Holds
from importer.sandbox.limit import Gate
from importer.sandbox.rules import CallKind, FaultsFile
from importer.sandbox.tenant import FileStore, Tenant
from importer.sandbox.validation import parsed
from importer.sandbox.wire import Refused

ORGANISATION: Final = "sandbox"
CALLS_KEPT: Final = 500_000


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """Defaults make a rehearsal behave like the real thing: the largest plan, its penalty, some latency.

    port: 0 takes a free one. rate: `25/5`, or `none`. penalty_s: how long every call is refused after it.
    latency_s: what the tenant takes to answer; a Create is committed half-way.
    jitter_s: a further delay of at most so long before a call arrives. lag_s: until reads see what was
    created.
    faults: a faults file, or one already read. seed: makes every chance reproducible.
    store: file that keeps what was created; None keeps it in memory only.
    users: e-mail addresses, or full names, that `Users.Get` is to know besides the fixture people.
    accounts: attribute (say `mx_Account_Code`) → values that `Company.Get` is to list besides the fixtures.
    any_account: it says that it has a million accounts, so that callers ask for each of theirs by name.
    organisation: the tenant's short code. access_key, secret_key, admin_token: made up when None.
    """

    port: int = 0
    rate: str = "25/5"
    penalty_s: float = 5.0
    latency_s: float = 0.1
    jitter_s: float = 0.05
    lag_s: float = 0.0
    faults: Path | FaultsFile | None = None
    seed: int | None = None
    store: Path | None = None
    users: Sequence[str] = ()
    accounts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    any_account: bool = False
    organisation: str = ORGANISATION
    access_key: str | None = None
    secret_key: str | None = None
    admin_token: str | None = None

    def __post_init__(self) -> None:
        for name in ("penalty_s", "latency_s", "jitter_s", "lag_s"):
            if not 0 <= getattr(self, name) <= 3600:
                raise ValueError(f"{name} must lie between 0 and 3600 seconds, not {getattr(self, name)}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"{self.port} is not a port")


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

    query: by names in lower case. body: as received; content: the JSON in it, empty if it could not be read;
    then `refused` says why. lost: the tenant says that it wrote, and does not.
    """

    request: web.BaseRequest
    kind: CallKind
    call: Call
    query: Mapping[str, str]
    body: bytes = b""
    content: dict[str, Any] = field(default_factory=dict)
    refused: Refused | None = None
    person: Person = OWNER
    lost: bool = False

    async def read(self) -> None:
        """Takes the body in; what is wrong with it is said when the call is carried out."""
        self.body = await self.request.read()
        if self.request.method == "POST":
            try:
                self.content = parsed(self.body, self.request.headers.get("Content-Type", ""))
            except Refused as refused:
                self.refused = refused


ROUTES: Final[Mapping[str, tuple[str, rules.CallKind]]] = {
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


class Service:
    """Answers every call to the API. people: by their access keys; they share the secret key."""

    def __init__(
        self,
        options: SandboxOptions,
        file: FaultsFile,
        store: FileStore | None,
        *,
        people: Mapping[str, Person],
        secret: str,
        seed: int,
    ) -> None:
        self.options = options
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.arrived = 0
        self.revoked = ""
        self.holds = Holds()
        self._people = people
        self._secret = secret
        self._seed = seed
        self._random = Random(seed)
        self._started_s = time.monotonic()
        self._faults = Faults(file.faults, seed)
        self.gate = Gate(options.rate, options.penalty_s, file, self._started_s)
        self.tenant = Tenant(
            file.tenant,
            store=store,
            randomness=self._random,
            lag_s=options.lag_s,
            users=options.users,
            accounts=options.accounts,
            any_account=options.any_account,
        )
        for existing in file.existing:
            self.tenant.add_existing(existing)

    def __repr__(self) -> str:
        return f"<Service after {self.arrived} calls, {self.tenant!r}, {self.gate.window!r}, {self.holds!r}>"

    def change(self, file: FaultsFile) -> None:
        """Other rules from now on; their seconds count from now, and revoked keys work again."""
        self._started_s = time.monotonic()
        self._faults = Faults(file.faults, self._seed)
        self.tenant.change_rules(file.tenant)
        self.gate.change(file, self._started_s)
        self.revoked = ""
        for existing in file.existing:
            self.tenant.add_existing(existing)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One call, from arrival to answer."""
        if self.options.jitter_s:
            await asyncio.sleep(self._random.uniform(0, self.options.jitter_s))
        path, _, query = request.raw_path.partition("?")
        method, kind = ROUTES.get(path, (request.method, None))
        self.arrived += 1
        call = Call(self.arrived, kind or "unknown", time.monotonic(), time.time())
        self.calls.append(call)
        try:
            if kind is None:
                return self._ended(call, wire.NOT_FOUND)
            if request.method != method:
                return self._ended(call, wire.NOT_ALLOWED)
            parameters = {name.lower(): value for name, value in parse_qsl(query, keep_blank_values=True)}
            return await self._answered(Asked(request, kind, call, parameters))
        finally:
            call.ended_s = time.monotonic()

    def _ended(self, call: Call, answer: wire.Answer) -> web.Response:
        call.status = answer.status
        return faults.response(answer, self._extra())

    def _extra(self) -> dict[str, str]:
        """A tenant whose clock is wrong says so in its Date."""
        offset_s = self.tenant.rules.clock_offset_s
        return {"Date": formatdate(time.time() + offset_s, usegmt=True)} if offset_s else {}

    async def _answered(self, asked: Asked) -> web.StreamResponse:
        call = asked.call
        if (barred := self._barred(asked)) is not None:
            return self._ended(call, barred)
        await asked.read()
        hit = NOTHING
        if self._faults:
            since_s = call.arrived_s - self._started_s
            hit = self._faults.hit(asked.kind, asked.body, asked.content, since_s)
        half_s = self.options.latency_s / 2
        if half_s:
            await asyncio.sleep(half_s)
        self._foreign(asked, hit, "before")
        if hit.fault is not None:
            call.fault = hit.fault.do
            return await self._faulty(asked, hit)
        answer = self._performed(asked)
        self._foreign(asked, hit, "after")
        if half_s:
            await asyncio.sleep(half_s)
        return self._ended(call, answer)

    def _barred(self, asked: Asked) -> wire.Answer | None:
        """What is said before anybody looks at the call: wrong region, wrong keys, too many calls."""
        right_host = self.tenant.rules.right_host
        if right_host is not None and asked.kind != "whoami":
            return wire.unauthorised(
                f"Invalid API host. Please use https://{right_host}/v2/ for this account."
            )
        if self.revoked or not self._authorised(asked):
            return wire.unauthorised(self.revoked or wire.WRONG_KEYS)
        refused = self.gate.refusal(asked.call.arrived_s, self.tenant.now())
        asked.call.refused = refused is not None
        return refused

    def _authorised(self, asked: Asked) -> bool:
        headers = asked.request.headers
        access, secret = headers.get("x-LSQ-AccessKey"), headers.get("x-LSQ-SecretKey")
        if access is None and secret is None:
            if self.tenant.rules.query_keys == "refused":
                return False
            asked.lost = self.tenant.rules.query_keys == "lose-writes"
            access, secret = asked.query.get("accesskey"), asked.query.get("secretkey")
        person = self._people.get(access or "")
        asked.person = person or OWNER
        return person is not None and secret == self._secret

    def _foreign(self, asked: Asked, hit: Hit, when: str) -> None:
        """What others write just then. A Create that would be refused gives them nothing to copy."""
        due = [fault for fault in hit.foreign if fault.when == when]
        if not due or asked.refused is not None:
            return
        try:
            wanted = self.tenant.wanted(asked.content)
        except wire.Refused:
            return
        for fault in due:
            self.tenant.add_foreign(wanted, fault)

    def _performed(self, asked: Asked, *, stale_s: float = 0.0, missing: int = 0) -> wire.Answer:
        """Carries the call out. Everything that it changes is kept when this returns."""
        try:
            if asked.refused is not None:
                raise asked.refused
            if asked.kind == "create":
                return self._created(asked)
            return wire.found(self._found(asked, stale_s, missing))
        except wire.Refused as refused:
            return wire.refusal(refused, self.tenant.rules.refusals_as)
        except sqlite3.Error:  # the disk refused, nothing was created: as of any server in trouble
            return wire.Answer(500, wire.HTML_ERROR, "text/html")

    def _found(self, asked: Asked, stale_s: float, missing: int) -> object:  # noqa: PLR0911 - one for each call
        tenant, query = self.tenant, asked.query
        match asked.kind:
            case "update":
                return tenant.change(asked.content, asked.person, lost=asked.lost)
            case "retrieve":
                account = query.get("companyid")
                return tenant.retrieve(account, asked.content, stale_s=stale_s, missing=missing)
            case "by-id":
                return tenant.by_id(query.get("activityid"), stale_s=stale_s)
            case "whoami":
                # the address that the caller knows us by: there may be a proxy or a tunnel in between
                host = tenant.rules.right_host or asked.request.headers.get("Host") or ""
                return tenant.whoami(asked.person, host, self.options.organisation)
            case "permissions":
                return tenant.permissions()
            case "users":
                return tenant.users()
            case "companies":
                return tenant.companies(asked.content)
            case "activity-type":
                return tenant.activity_type(query.get("code"))
            case _:
                return tenant.activity_types()

    def _created(self, asked: Asked) -> wire.Answer:
        wanted = self.tenant.wanted(asked.content)
        if asked.lost:
            return wire.created(str(uuid.uuid4()))
        held = self.tenant.add(wanted, asked.person)
        asked.call.activity_id = held.id
        return wire.created(held.id)

    async def _faulty(self, asked: Asked, hit: Hit) -> web.StreamResponse:
        """A call that a fault hits: done or not, and answered in some other way."""
        request, fault, call = asked.request, hit.fault, asked.call
        answer: wire.Answer | None = None

        def perform() -> wire.Answer:
            performed = self._performed(asked)
            self._foreign(asked, hit, "after")
            return performed

        match fault:
            case rules.AnswerFault():
                call.status = fault.status
                asked.lost = asked.lost or not fault.commits
                return await faults.other_answer(fault, request, perform, self._extra())
            case rules.DropFault() | rules.HangFault():
                return await faults.silent(fault, request, perform)
            case rules.DripFault():
                return await faults.dripped(fault, request, perform, self._extra())
            case rules.HoldFault():
                answer = perform() if fault.commit == "before" else None
                await self.holds.hold(call.number, fault.seconds)
                answer = answer or perform()
            case rules.SlowFault():
                answer = await faults.slow(fault, perform)
            case _:
                answer = self._plain_fault(asked, hit)
        return self._ended(call, answer)

    def _plain_fault(self, asked: Asked, hit: Hit) -> wire.Answer:
        """Faults that are nothing but another answer, at once."""
        match hit.fault:
            case rules.RefuseFault() as fault:
                shape = fault.shape or self.tenant.rules.refusals_as
                answer = wire.refusal(wire.Refused(fault.exception, fault.message), shape)
            case rules.ThrottleFault() as fault:
                asked.call.refused = True
                answer = faults.throttle_answer(fault, str(self.gate.plan))
            case rules.RedirectFault() as fault:
                answer = faults.redirect(fault.status, fault.to)
            case rules.RevokeFault() as fault:
                self.revoked = fault.message
                answer = wire.unauthorised(fault.message)
            case rules.StaleFault() as fault:
                answer = self._performed(asked, stale_s=fault.seconds)
            case rules.IncompleteFault() as fault:
                answer = self._performed(asked, missing=fault.missing)
            case other:
                raise AssertionError(f"{other!r} is carried out elsewhere")
        return answer
