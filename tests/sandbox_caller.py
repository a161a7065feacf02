"""A caller for the sandbox's own tests: plain HTTP, nothing of the importer in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp

from importer.sandbox import FaultsFile, Sandbox, SandboxOptions, read_faults

ACCOUNT = "8933fa5e-5b39-11e9-826a-0622360da6fe"
QUICK: dict[str, Any] = {"rate": "none", "latency_s": 0.0, "jitter_s": 0.0, "seed": 7}


def quick(faults: Mapping[str, Any] | None = None, **changes: Any) -> Sandbox:
    """A sandbox without a limit and without latency."""
    file = FaultsFile() if faults is None else read_faults(dict(faults), "faults")
    return Sandbox(SandboxOptions(**{"faults": file, **QUICK, **changes}))


def activity(**changes: Any) -> dict[str, Any]:
    """A Create's body as in the documentation. A change to None leaves the key out."""
    fields = changes.pop("fields", {"Status": "Active", "mx_Custom_1": "Won"})
    body = {
        "RelatedCompanyId": ACCOUNT,
        "ActivityEvent": 10001,
        "ActivityNote": "Visited",
        "Fields": [{"SchemaName": name, "Value": value} for name, value in fields.items()],
    }
    return {name: value for name, value in {**body, **changes}.items() if value is not None}


async def until(reached: Callable[[], object]) -> None:
    """Looks again and again, for a minute at most."""
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - the sandbox wakes nobody
            await asyncio.sleep(0.01)


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON can say
        return json.loads(self.body)

    @property
    def exception(self) -> str:
        return str(self.json["ExceptionType"])

    @property
    def id(self) -> str:
        return str(self.json["Message"]["Id"])


class Caller:
    """`async with Caller(sandbox) as call`. Raises what aiohttp raises."""

    def __init__(self, sandbox: Sandbox, *, timeout_s: float = 60.0) -> None:
        self.sandbox = sandbox
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self.keys = {"x-LSQ-AccessKey": sandbox.access_key, "x-LSQ-SecretKey": sandbox.secret_key}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def send(self, method: str, path: str, **more: Any) -> Reply:
        headers = {**self.keys, **more.pop("headers", {})}
        url = f"{self.sandbox.url}{path}"
        async with self._session.request(
            method, url, headers=headers, allow_redirects=False, **more
        ) as response:
            return Reply(response.status, await response.read(), response.headers)

    async def create(self, **changes: Any) -> Reply:
        return await self.send("POST", "/v2/CompanyActivity.svc/Create", json=activity(**changes))

    async def retrieve(
        self,
        start: str = "2000-01-01 00:00:00",
        end: str = "2100-01-01 00:00:00",
        *,
        account: str = ACCOUNT,
        index: int = 1,
        size: int = 100,
    ) -> Reply:
        body = {
            "Parameter": {"FromDate": start, "ToDate": end},
            "Paging": {"PageIndex": str(index), "PageSize": str(size)},
        }
        return await self.send("POST", f"/v2/CompanyActivity.svc/Retrieve?companyId={account}", json=body)

    async def by_id(self, activity_id: str) -> Reply:
        return await self.send("GET", f"/v2/CompanyActivity.svc/RetrieveById?activityId={activity_id}")

    async def whoami(self, **more: Any) -> Reply:
        return await self.send("GET", "/v2/Authentication.svc/UserByAccessKey.Get", **more)

    async def companies(self, name: str, value: str, **more: Any) -> list[dict[str, str]]:
        query = {
            "CompanyType": {"CompanyTypeName": "Account"},
            "FilterBy": {"LookupName": name, "LookupValue": value, "SqlOperator": "="},
        }
        body = {"Query": query, "Columns": {"Include_CSV": "CompanyId,CompanyName,mx_Account_Code"}, **more}
        reply = await self.send("POST", "/v2/CompanyManagement.svc/Company.Get", json=body)
        return [
            {pair["Attribute"]: pair["Value"] for pair in company["companyPropertyList"]}
            for company in reply.json["Companies"]
        ]

    async def control(self, method: str, what: str, **more: Any) -> Reply:
        headers = {"X-Sandbox-Token": self.sandbox.admin_token}
        return await self.send(method, f"/__sandbox__/{what}", headers=headers, **more)
