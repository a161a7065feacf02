"""How calls reach the sandbox: keys, hosts, addresses, the limit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sandbox_caller import Caller, activity, quick


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    """A caller of a tenant without limit and latency."""
    async with quick() as sandbox, Caller(sandbox) as caller:
        yield caller


async def test_keys_travel_in_headers(call: Caller) -> None:
    """The vendor's recommendation."""
    assert (await call.whoami()).status == 200
    assert "$" in call.sandbox.access_key


async def test_keys_travel_in_query_parameters_too(call: Caller) -> None:
    """The other documented way; a `$` in the key survives its encoding."""
    params, call.keys = {"accessKey": call.sandbox.access_key, "secretKey": call.sandbox.secret_key}, {}
    reply = await call.whoami(params=params)
    assert (reply.status, reply.json["Name"]) == (200, "Asha Rao")


@pytest.mark.parametrize("wrong", ["x-LSQ-AccessKey", "x-LSQ-SecretKey"])
async def test_wrong_keys_are_a_401(call: Caller, wrong: str) -> None:
    """With the exception that names them, on every call."""
    call.keys[wrong] = "wrong"
    for reply in (await call.whoami(), await call.create(), await call.retrieve()):
        assert (reply.status, reply.exception) == (401, "MXInvalidAccessDetailsException")


async def test_no_keys_are_a_401(call: Caller) -> None:
    """Nothing is said to strangers."""
    call.keys = {}
    assert (await call.whoami()).status == 401


async def test_a_tenant_may_lose_writes_of_query_parameters_silently() -> None:
    """Observed once: Success and an Id, and nothing there. Keys in headers write."""
    async with quick({"tenant": {"query_keys": "lose-writes"}}) as sandbox, Caller(sandbox) as call:
        params = {"accessKey": sandbox.access_key, "secretKey": sandbox.secret_key}
        kept = (await call.create()).id
        call.keys = {}
        lost = await call.send("POST", "/v2/CompanyActivity.svc/Create", json=activity(), params=params)
        update = {"CompanyActivityId": kept, "Fields": [{"SchemaName": "Status", "Value": "Closed"}]}
        told = await call.send("POST", "/v2/CompanyActivity.svc/Update", json=update, params=params)
        (held,) = sandbox.activities
        logged = sandbox.calls[1].activity_id
    assert [lost.json["Status"], told.json["Status"], logged] == ["Success", "Success", None]
    assert (held.id, held.fields["Status"]) == (kept, "Active")
    assert lost.id != kept


async def test_keys_act_as_their_user() -> None:
    """CreatedBy is whoever's keys were used."""
    async with quick({"tenant": {"spelling": "plain"}}) as sandbox, Caller(sandbox) as call:
        mine = (await call.whoami()).json
        call.keys["x-LSQ-AccessKey"] = sandbox.colleague_key
        theirs = (await call.whoami()).json
        created = await call.create()
        shown = (await call.by_id(created.id)).json
    assert mine["Id"] != theirs["Id"]
    assert (shown["CreatedBy"], shown["CreatedByName"]) == (theirs["Id"], theirs["Name"])


async def test_a_host_of_another_region_refuses_all_but_whoami() -> None:
    """And whoami names the right host, as the refusals' messages do."""
    async with (
        quick({"tenant": {"right_host": "api-in21.leadsquared.com"}}) as sandbox,
        Caller(sandbox) as call,
    ):
        who = await call.whoami()
        assert who.json["LSQCommonServiceURLs"]["api"] == "api-in21.leadsquared.com"
        for reply in (await call.create(), await call.retrieve()):
            assert reply.status == 401
            assert "api-in21.leadsquared.com" in reply.json["ExceptionMessage"]


async def test_whoami_tells_user_organisation_and_host(call: Caller) -> None:
    """The documented keys, with the sandbox's own address as the region's host."""
    who = (await call.whoami()).json
    assert {"Name", "Role", "OrgDisplayName", "OrgShortCode", "TimeZone"} <= who.keys()
    assert who["OrgShortCode"] == call.sandbox.options.organisation == "sandbox"
    assert who["LSQCommonServiceURLs"]["api"] == f"127.0.0.1:{call.sandbox.port}"


async def test_an_unknown_address_is_404_and_a_wrong_method_405(call: Caller) -> None:
    """Neither has a body of the documented shape."""
    unknown = await call.send("POST", "/v2/CompanyActivity.svc/CreateBulk", json={})
    wrong = await call.send("GET", "/v2/CompanyActivity.svc/Create")
    bare = await call.send("POST", "/CompanyActivity.svc/Create", json=activity())
    verbs = [
        (await call.send(verb, "/v2/CompanyActivity.svc/Update", json={})).status
        for verb in ("PUT", "PATCH", "DELETE")
    ]
    assert [unknown.status, wrong.status, bare.status, *verbs] == [404, 405, 404, 405, 405, 405]
    assert b"MX" not in unknown.body + wrong.body


@pytest.mark.parametrize("status", [429, 200, 403])
async def test_a_refusal_for_the_rate_states_the_limit(status: int) -> None:
    """With 429, 200 or 403, in the documented words; it creates nothing; every kind of call counts."""
    async with (
        quick({"tenant": {"rate_refusals_as": status}}, rate="2/5", penalty_s=5.0) as sandbox,
        Caller(sandbox) as call,
    ):
        await call.whoami()
        await call.create()
        reply = await call.create()
        read = await call.retrieve()
    assert (reply.status, reply.exception) == (status, "MXAPIRateLimitExceededException")
    assert reply.json["ExceptionMessage"] == "API calls exceeded the limit of 2 in 5 second(s)"
    assert (read.status, len(sandbox.activities), sum(one.refused for one in sandbox.calls)) == (status, 1, 2)


async def test_wrong_keys_fill_no_window() -> None:
    """Strangers cannot use the tenant's calls up."""
    async with quick(rate="1/5") as sandbox, Caller(sandbox) as call:
        good, call.keys = call.keys, {}
        await call.whoami()
        call.keys = good
        assert (await call.whoami()).status == 200


async def test_whoami_names_the_address_that_its_caller_used(call: Caller) -> None:
    """Behind a proxy or a tunnel that is another port."""
    who = (await call.whoami(headers={"Host": "localhost:9999"})).json
    assert who["LSQCommonServiceURLs"]["api"] == "localhost:9999"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::2]:80"]
)
async def test_a_strangers_name_for_this_computer_is_not_answered(call: Caller, host: str) -> None:
    """A web page whose own name points to 127.0.0.1 (DNS rebinding): neither the API nor the truth."""
    for path in ("/v2/Authentication.svc/UserByAccessKey.Get", "/__sandbox__/activities"):
        assert (await call.send("GET", path, headers={"Host": host})).status == 403


async def test_a_sandbox_may_be_another_organisation() -> None:
    """Ten tenants at once have ten names."""
    async with quick(organisation="acme") as sandbox, Caller(sandbox) as call:
        assert (await call.whoami()).json["OrgShortCode"] == "acme"
