"""The people and accounts that the sandbox knows."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sandbox_caller import ACCOUNT, Caller, quick

from importer.sandbox import read_faults

GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@pytest.fixture
async def call() -> AsyncIterator[Caller]:
    """A caller of a tenant without limit and latency."""
    async with quick() as sandbox, Caller(sandbox) as caller:
        yield caller


async def test_users_get_lists_active_and_inactive_people() -> None:
    """StatusCode 0 and 1; also the addresses that the sandbox was told of, once each."""
    users = ["Jane.Doe@acme.test", "jane.doe@acme.test", "asha.rao@EXAMPLE.com"]
    async with quick({"tenant": {"users": users}}) as sandbox, Caller(sandbox) as call:
        people = (await call.send("GET", "/v2/UserManagement.svc/Users.Get")).json
    mails = [person["EmailAddress"].lower() for person in people]
    assert {person["StatusCode"] for person in people} == {0, 1}
    assert (mails.count("jane.doe@acme.test"), mails.count("asha.rao@example.com")) == (1, 1)
    assert mails.count("shared@example.com") == 2
    assert len({person["ID"] for person in people}) == len(people)


async def test_an_account_is_found_by_its_code(call: Caller) -> None:
    """Exactly, without regard to case."""
    (found,) = await call.companies("mx_Account_Code", "acc-0001")
    assert found["mx_Account_Code"] == "ACC-0001"
    assert GUID.fullmatch(found["CompanyId"])


async def test_a_code_may_be_there_twice_and_names_are_not_unique(call: Caller) -> None:
    """Two different accounts answer."""
    twice = await call.companies("mx_Account_Code", "ACC-0007")
    names = await call.companies("CompanyName", "Acme Traders")
    assert [len({each["CompanyId"] for each in found}) for found in (twice, names)] == [2, 2]


@pytest.mark.parametrize("name", ["mx_account_code", "companyname", "MX_Account_Code", "Nothing"])
async def test_an_attribute_in_the_wrong_case_gives_no_rows_and_no_error(call: Caller, name: str) -> None:
    """The trap of a silent nothing."""
    assert await call.companies(name, "ACC-0001") == []


async def test_any_other_value_is_one_invented_account_always_the_same(call: Caller) -> None:
    """So that a rehearsal works on anybody's own sheet."""
    first = await call.companies("mx_Customer_No", "K-77")
    again = await call.companies("mx_Customer_No", "k-77 ")
    other = await call.companies("mx_Customer_No", "K-78")
    assert len(first) == 1
    assert first[0]["CompanyId"] == again[0]["CompanyId"] != other[0]["CompanyId"]


async def test_values_that_are_not_there_can_be_rehearsed_too() -> None:
    """By their name."""
    async with quick() as sandbox, Caller(sandbox) as call:
        assert await call.companies("mx_Account_Code", "not-found 12") == []


async def test_accounts_that_were_given_are_listed_by_the_page() -> None:
    """Pages of at most 1000 over all of them, fixtures included."""
    codes = [f"C{number}" for number in range(1500)]
    async with quick({"tenant": {"accounts": {"mx_Customer_No": codes}}}) as sandbox, Caller(sandbox) as call:
        found = []
        for index in (1, 2):
            body = {
                "Query": {"CompanyType": {"CompanyTypeName": "Account"}},
                "Columns": {"Include_CSV": "CompanyId, mx_Customer_No"},
                "Paging": {"PageIndex": index, "PageSize": 9999},
            }
            reply = await call.send("POST", "/v2/CompanyManagement.svc/Company.Get", json=body)
            found.append(reply.json)
    assert [len(each["Companies"]) for each in found] == [1000, 513]
    assert {each["RecordCount"] for each in found} == {1513}
    listed = [
        pair["Value"]
        for reply in found
        for company in reply["Companies"]
        for pair in company["companyPropertyList"]
        if pair["Attribute"] == "mx_Customer_No"
    ]
    assert sorted(listed) == sorted(codes)


async def test_the_company_type_is_mandatory(call: Caller) -> None:
    """As documented."""
    reply = await call.send("POST", "/v2/CompanyManagement.svc/Company.Get", json={"Query": {}})
    assert reply.exception == "MXMandatoryAttributeMissingException"


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"SearchText": "acme"}, 2),
        ({"FilterBy": ("mx_Account_Code", "LIKE", "ACC-000%")}, 10),
        ({"FilterBy": ("mx_Account_Code", "<>", "ACC-0007")}, 11),
        ({"FilterBy": ("mx_Account_Code", ">", "ACC-0010")}, 2),
        ({"FilterBy": ("mx_Account_Code", ">=", "ACC-0010")}, 3),
        ({"FilterBy": ("mx_Account_Code", "<", "ACC-0003")}, 2),
        ({"FilterBy": ("mx_Account_Code", "<=", "ACC-0003")}, 3),
        ({"FilterBy": ("mx_Account_Code", "LIKE", "K-%")}, 0),
        ({"DateRange": ("CreatedOn", "2024-01-01 00:00:00", "2024-02-01 00:00:00")}, 13),
        ({"DateRange": ("CreatedOn", "2025-01-01 00:00:00", "2025-02-01 00:00:00")}, 0),
        ({"SearchText": "acme", "FilterBy": ("mx_Account_Code", "=", "ACC-0003")}, 1),
    ],
)
@pytest.mark.parametrize("any_account", [False, True])
async def test_companies_are_searched_by_text_range_and_other_operators(
    asked: dict[str, Any], count: int, *, any_account: bool
) -> None:
    """SearchText finds parts of names, LIKE knows `%`, a range filters by date; nothing is invented."""
    query: dict[str, Any] = {"CompanyType": {"CompanyTypeName": "Account"}}
    for what, given in asked.items():
        names = {
            "FilterBy": ("LookupName", "SqlOperator", "LookupValue"),
            "DateRange": ("DateField", "FromDate", "ToDate"),
        }.get(what)
        query[what] = dict(zip(names, given, strict=True)) if names else given
    async with quick(any_account=any_account) as sandbox, Caller(sandbox) as call:
        path = "/v2/CompanyManagement.svc/Company.Get"
        reply = await call.send("POST", path, json={"Query": query})
        query["FilterBy"] = {"LookupName": "CompanyName", "LookupValue": "x", "SqlOperator": "IN"}
        refused = await call.send("POST", path, json={"Query": query})
    assert reply.json["RecordCount"] == len(reply.json["Companies"]) == count
    assert refused.exception == "MXInvalidInputException"


@pytest.mark.parametrize("name", ["CompanyNumber", "CompanyIdentifier"])
async def test_the_documented_match_keys_find_accounts(call: Caller, name: str) -> None:
    """With all attributes where no columns are asked for."""
    (found,) = await call.companies(name, "4711", Columns={})
    assert found[name] == "4711"
    assert {"CompanyId", "CompanyName", "Stage", "CreatedOn", "ModifiedOn"} <= found.keys()


async def test_people_and_accounts_can_be_told_in_the_faults_file() -> None:
    """For a sandbox that is served; also while it runs."""
    rules = {
        "tenant": {
            "users": ["new@acme.test"],
            "former_users": ["old@acme.test"],
            "accounts": {"mx_No": ["K1"]},
        }
    }
    async with quick() as sandbox, Caller(sandbox) as call:
        sandbox.set_faults(read_faults(rules, "faults"))
        people = (await call.send("GET", "/v2/UserManagement.svc/Users.Get")).json
        listed = await call.companies("CompanyName", "Account K1")
    active = {person["EmailAddress"]: person["StatusCode"] == 0 for person in people}
    assert [active[f"{name}@acme.test"] for name in ("new", "old")] == [True, False]
    assert len(listed) == 1


async def test_an_account_that_is_told_twice_is_there_once() -> None:
    """In another case, with blanks, or as one of the fixtures: no false doubles in a rehearsal."""
    told = {"mx_Account_Code": ["ACC-0001", " acc-0001", "K1", "k1 ", "", "NOT-FOUND 1"]}
    async with quick({"tenant": {"accounts": told}}) as sandbox, Caller(sandbox) as call:
        codes = ("ACC-0001", "K1", "NOT-FOUND 1")
        counts = [len(await call.companies("mx_Account_Code", code)) for code in codes]
    assert counts == [1, 1, 0]


async def test_any_id_is_an_account_unless_it_is_missing() -> None:
    """As for Create."""
    async with quick({"tenant": {"missing_accounts": [ACCOUNT]}}) as sandbox, Caller(sandbox) as call:
        other = "11111111-2222-3333-4444-555555555555"
        found = [await call.companies("CompanyId", each) for each in (ACCOUNT, other, "x")]
    assert [[each["CompanyId"] for each in companies] for companies in found] == [[], [other], []]


async def test_people_are_known_by_full_name_too() -> None:
    """Two are called alike; those that a rehearsal asks for are known once each."""
    names = ["Jane Doe", "jane doe", "Mei Lin", "jane.doe@acme.test"]
    async with quick({"tenant": {"users": names}}) as sandbox, Caller(sandbox) as call:
        people = (await call.send("GET", "/v2/UserManagement.svc/Users.Get")).json
    full = [f"{person['FirstName']} {person['LastName']}".strip() for person in people]
    assert [full.count(name) for name in ("Priya Sharma", "Jane Doe", "Mei Lin")] == [2, 2, 1]
    assert len({person["ID"] for person in people}) == len(people)


async def test_a_tenant_with_countless_accounts_has_any_number_of_codes() -> None:
    """The stand-alone sandbox says so, and callers ask for theirs by name."""
    async with quick(any_account=True) as sandbox, Caller(sandbox) as call:
        body = {"Query": {"CompanyType": {"CompanyTypeName": "Account"}}}
        listed = (await call.send("POST", "/v2/CompanyManagement.svc/Company.Get", json=body)).json
        found = [await call.companies("mx_Account_Code", f"K-{number}") for number in range(300)]
    assert [listed["RecordCount"] >= 1_000_000, {len(each) for each in found}] == [True, {1}]
    assert len({each[0]["CompanyId"] for each in found}) == 300


METADATA = ["CustomActivity/GetActivitySetting?code=10001", "ActivityTypes.Get"]


@pytest.mark.parametrize("path", METADATA)
async def test_nothing_is_told_about_activity_types_unless_the_tenant_does(call: Caller, path: str) -> None:
    """Documented for leads only: a refusal is what to expect."""
    reply = await call.send("GET", f"/v2/ProspectActivity.svc/{path}")
    assert [reply.status, reply.exception.startswith("MX")] == [500, True]


async def test_a_tenant_may_describe_its_activity_types() -> None:
    """Fields with names, types and options, as the documentation of lead activities shows them."""
    rules = {
        "activity_types": "answered",
        "events": [10001, 10002],
        "fields": {
            "mx_Custom_1": {
                "type": "dropdown",
                "values": ["Won", "Lost"],
                "required": True,
                "name": "Outcome",
            },
            "mx_Custom_2": {"type": "datetime"},
        },
    }
    async with quick({"tenant": rules}) as sandbox, Caller(sandbox) as call:
        one, every = [(await call.send("GET", f"/v2/ProspectActivity.svc/{path}")).json for path in METADATA]
        unknown = await call.send("GET", f"/v2/ProspectActivity.svc/{METADATA[0]}99")
    first, second = one["Fields"]
    assert [first["SchemaName"], first["DisplayName"], first["DataType"]] == [
        "mx_Custom_1",
        "Outcome",
        "Dropdown",
    ]
    assert [option["Value"] for option in json.loads(first["OptionSet"])] == ["Won", "Lost"]
    assert [first["IsMandatory"], second["IsMandatory"], second["OptionSet"]] == [True, False, ""]
    assert [each["ActivityEvent"] for each in every] == [10001, 10002]
    assert unknown.exception == "MXInvalidActivityException"
