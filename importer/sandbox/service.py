"""What happens to a call from its arrival to its answer.

Arrival, route, region, keys, rate, faults, half the latency, the work itself (kept before anything is said of
it), the other half, the answer. What arrives at a wrong address or with wrong keys fills no window.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from random import Random
from typing import Final

from aiohttp import web

from importer.sandbox import misconduct, rules, wire
from importer.sandbox.calls import Asked, Call, query_of
from importer.sandbox.directory import COLLEAGUE
from importer.sandbox.faults import NOTHING, Faults, Hit
from importer.sandbox.holds import Holds
from importer.sandbox.limit import Gate
from importer.sandbox.options import SandboxOptions
from importer.sandbox.store import Store
from importer.sandbox.tenant import Tenant

ROUTES: Final[Mapping[str, tuple[str, rules.CallKind]]] = {
    "/v2/CompanyActivity.svc/Create": ("POST", "create"),
    "/v2/CompanyActivity.svc/Update": ("POST", "update"),
    "/v2/CompanyActivity.svc/Retrieve": ("POST", "retrieve"),
    "/v2/CompanyActivity.svc/RetrieveById": ("GET", "by-id"),
    "/v2/Authentication.svc/UserByAccessKey.Get": ("GET", "whoami"),
    "/v2/UserManagement.svc/Users.Get": ("GET", "users"),
    "/v2/CompanyManagement.svc/Company.Get": ("POST", "companies"),
    "/v2/ProspectActivity.svc/CustomActivity/GetActivitySetting": ("GET", "activity-type"),
    "/v2/ProspectActivity.svc/ActivityTypes.Get": ("GET", "activity-types"),
}

_ON_THE_WAY_MAX_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Keys:
    """Two people's keys: the owner's, and a colleague's (other access key, same secret)."""

    access: str
    colleague: str
    secret: str

    def __repr__(self) -> str:
        return "<Keys>"


class Service:
    """Answers every call to the API."""

    def __init__(
        self, options: SandboxOptions, file: rules.FaultsFile, store: Store, keys: Keys, seed: int
    ) -> None:
        self.options = options
        self.calls: deque[Call] = deque(maxlen=options.calls_kept)
        self.arrived = 0
        self.revoked = False
        self.holds = Holds()
        self._keys = keys
        self._seed = seed
        self._random = Random(seed)
        self._started_s = time.monotonic()
        self._faults = Faults(file.faults, seed)
        self.gate = Gate(options, file, self._started_s)
        self.tenant = Tenant(
            file.tenant,
            store=store,
            randomness=self._random,
            lag_s=options.lag_s,
            users=options.users,
            accounts=options.accounts,
            any_account=options.any_account,
        )
        self._add_existing(file)

    def __repr__(self) -> str:
        return f"<Service after {self.arrived} calls, {self.tenant!r}, {self.gate.window!r}, {self.holds!r}>"

    def _add_existing(self, file: rules.FaultsFile) -> None:
        for existing in file.existing:
            self.tenant.add_existing(existing)

    def change(self, file: rules.FaultsFile) -> None:
        """Other rules from now on; their seconds count from now, and revoked keys work again."""
        self._started_s = time.monotonic()
        self._faults = Faults(file.faults, self._seed)
        self.tenant.change_rules(file.tenant)
        self.gate.change(file, self._started_s)
        self.revoked = False
        self._add_existing(file)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One call, from arrival to answer."""
        if self.options.jitter_s:
            await asyncio.sleep(self._on_the_way_s())
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
            return await self._answered(Asked(request, kind, call, query_of(query)))
        finally:
            call.ended_s = time.monotonic()

    def _on_the_way_s(self) -> float:
        """How long this call takes to arrive."""
        jitter_s, shape = self.options.jitter_s, self.options.jitter_shape
        if shape == "uniform":
            return self._random.uniform(0, jitter_s)
        stretch = (
            self._random.lognormvariate(0, 1) if shape == "log-normal" else self._random.paretovariate(1.5)
        )
        return min(jitter_s * stretch, _ON_THE_WAY_MAX_S)

    def _ended(self, call: Call, answer: wire.Answer) -> web.Response:
        call.status = answer.status
        return misconduct.response(answer, self._extra())

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
        elsewhere = self.tenant.rules.right_host is not None and asked.kind != "whoami"
        if elsewhere or not self._authorised(asked):
            return wire.UNAUTHORISED
        refused = self.gate.refusal(asked.call.arrived_s, self.tenant.now())
        asked.call.refused = refused is not None
        return refused

    def _authorised(self, asked: Asked) -> bool:
        headers = asked.request.headers
        access, secret = headers.get("x-LSQ-AccessKey"), headers.get("x-LSQ-SecretKey")
        if access is None and secret is None:
            access, secret = asked.param("accessKey"), asked.param("secretKey")
            asked.writes_lost = self.tenant.rules.query_keys == "lose-writes"
            if self.tenant.rules.query_keys == "refused":
                return False
        if access == self._keys.colleague:
            asked.person = COLLEAGUE
        known = access in (self._keys.access, self._keys.colleague)
        return known and secret == self._keys.secret and not self.revoked

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
        except (
            sqlite3.Error
        ):  # the disk refused, nothing was created: a bare 500, as of any server in trouble
            return wire.Answer(500, wire.HTML_ERROR, "text/html")

    def _found(self, asked: Asked, stale_s: float, missing: int) -> object:
        tenant, answer = self.tenant, None
        match asked.kind:
            case "update":
                answer = tenant.change(asked.content, asked.person, lost=asked.writes_lost)
            case "retrieve":
                account = asked.param("companyId")
                answer = tenant.retrieve(account, asked.content, stale_s=stale_s, missing=missing)
            case "by-id":
                answer = tenant.by_id(asked.param("activityId"), stale_s=stale_s)
            case "whoami":
                # the address that the caller knows us by: there may be a proxy or a tunnel in between
                called = asked.request.headers.get("Host", "")
                answer = tenant.whoami(
                    asked.person, tenant.rules.right_host or called, self.options.organisation
                )
            case "users":
                return tenant.users()
            case "companies":
                answer = tenant.companies(asked.content)
            case "activity-type":
                answer = tenant.activity_type(asked.param("code"))
            case "activity-types":
                return tenant.activity_types()
        return answer

    def _created(self, asked: Asked) -> wire.Answer:
        wanted = self.tenant.wanted(asked.content)
        if asked.writes_lost:
            return wire.created(self.tenant.lost_id())
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
                return await misconduct.other_answer(fault, request, perform, self._extra())
            case rules.DropFault() | rules.HangFault():
                return await misconduct.silent(fault, request, perform)
            case rules.DripFault():
                return await misconduct.dripped(fault, request, perform, self._extra())
            case rules.HoldFault():
                answer = perform() if fault.commit == "before" else None
                await self.holds.hold(call.number, fault.seconds)
                answer = answer or perform()
            case rules.SlowFault():
                answer = await misconduct.slow(fault, perform)
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
                answer = misconduct.throttle_answer(fault, str(self.gate.plan))
            case rules.RedirectFault() as fault:
                answer = misconduct.redirect(fault.status, fault.to)
            case rules.RevokeFault():
                self.revoked = True
                answer = wire.UNAUTHORISED
            case rules.StaleFault() as fault:
                answer = self._performed(asked, stale_s=fault.seconds)
            case rules.IncompleteFault() as fault:
                answer = self._performed(asked, missing=fault.missing)
            case other:
                raise AssertionError(f"{other!r} is carried out elsewhere")
        return answer
