"""Account codes and e-mail addresses become Ids, or reasons that a person can act on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hostile_server import Heard, HostileServer, hostile_server, reply
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from importer.credentials import Keys
from importer.leadsquared.calls import ReadFailed, Tenant
from importer.leadsquared.client import LeadSquared
from importer.leadsquared.lookups import from_plain, resolve, to_plain
from importer.mapping.choices import FULL_NAME, Lookup
from importer.mapping.values import Fault
from importer.pacing.pacing import Pace, Rate

BY_EMAIL = Lookup("user", "EmailAddress")
BY_CODE = Lookup("account", "mx_Code", "Account", column="Code")

USERS: list[dict[str, Any]] = [
    {"ID": "U-ann", "FirstName": "Ann", "LastName": "Lee", "EmailAddress": "Ann.Lee@x.com", "StatusCode": 0},
    {"ID": "U-bob", "FirstName": "Bob", "LastName": "Ray", "EmailAddress": "bob@x.com", "StatusCode": 1},
    {"ID": "U-c1", "FirstName": "Cy", "LastName": "One", "EmailAddress": "cy@x.com", "StatusCode": 0},
    {"ID": "U-c2", "FirstName": "Cy", "LastName": "Two", "EmailAddress": "cy@x.com", "StatusCode": 0},
    {"ID": "U-d1", "FirstName": "Di", "LastName": "Old", "EmailAddress": "di@x.com", "StatusCode": 1},
    {"ID": "U-d2", "FirstName": "Di", "LastName": "New", "EmailAddress": "di@x.com", "StatusCode": 0},
]


@dataclass
class Accounts:
    """A tenant's users and accounts: (id, code, name). Compares as SQL Server does, without case."""

    rows: list[tuple[str, str, str]]
    page_size_max: int = 1000
    asked: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0

    async def behave(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        if heard.target.endswith("Users.Get"):
            await reply(200, USERS)(heard, writer)
            return
        body = json.loads(heard.body)
        self.asked.append(body)
        await reply(200, self.answer(body))(heard, writer)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        query = body["Query"]
        rows = self.rows if query["CompanyType"]["CompanyTypeName"] == "Account" else []
        if wanted := query.get("FilterBy"):
            name, value = wanted["LookupName"], wanted["LookupValue"].lower()
            rows = [row for row in rows if name == "mx_Code" and row[1].lower() == value]
        size = min(body["Paging"]["PageSize"], self.page_size_max)
        start = (body["Paging"]["PageIndex"] - 1) * size
        columns = body["Columns"]["Include_CSV"].split(",")
        listed = [
            {
                "companyPropertyList": [
                    {"Attribute": name, "Value": value}
                    for name, value in (("CompanyId", row[0]), ("mx_Code", row[1]), ("CompanyName", row[2]))
                    if name in columns
                ]
            }
            for row in rows[start : start + size]
        ]
        return {"RecordCount": len(rows)} | ({"Companies": listed} if listed else {})


@asynccontextmanager
async def tenant_of(accounts: Accounts) -> AsyncIterator[Tenant]:
    async with hostile_server(accounts.behave) as server, at(server) as tenant:
        yield tenant


@asynccontextmanager
async def at(server: HostileServer) -> AsyncIterator[Tenant]:
    keys = Keys(SecretStr("a"), SecretStr("s"))
    async with LeadSquared(server.url, keys, timeout_s=5) as api:
        yield Tenant(api, Pace(Rate(10_000, 1)))


def numbered(count: int) -> list[tuple[str, str, str]]:
    return [(f"C-{number}", f"{number:05}", f"Account {number}") for number in range(count)]


async def asked_of(accounts: Accounts, lookup: Lookup, values: Iterable[str]) -> dict[str, str | Fault]:
    async with tenant_of(accounts) as tenant:
        answers = await resolve(tenant, [(lookup, value) for value in values])
    return {key: answer for (_, key), answer in answers.items()}


async def test_users_are_found_by_e_mail_without_regard_to_case() -> None:
    """One call for all of them."""
    accounts = Accounts([])

    answers = await asked_of(accounts, BY_EMAIL, ["ANN.lee@X.com", "ann.lee@x.com", "di@x.com"])

    assert answers == {"ann.lee@x.com": "U-ann", "di@x.com": "U-d2"}
    assert accounts.calls == 1


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        ("bob@x.com", "inactive", "The user Bob Ray (U-bob) is inactive in LeadSquared."),
        (
            "cy@x.com",
            "found-twice",
            "2 users have the EmailAddress 'cy@x.com': Cy One (U-c1); Cy Two (U-c2).",
        ),
        ("an.lee@x.com", "not-found", "No user has the EmailAddress 'an.lee@x.com'. Near: Ann.Lee@x.com."),
    ],
)
async def test_a_user_that_cannot_be_meant_says_why(value: str, kind: str, words: str) -> None:
    """With the candidates; an inactive user is never one."""
    answer = (await asked_of(Accounts([]), BY_EMAIL, [value]))[value]

    assert isinstance(answer, Fault)
    assert (answer.kind, answer.message) == (kind, words)
    assert answer.remedy


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("ann  LEE", "U-ann"),
        ("Bob Ray", "inactive"),
        ("Ann Lea", "No user has the FullName 'Ann Lea'. Near: Ann Lee."),
    ],
)
async def test_users_are_found_by_full_name(value: str, found: str) -> None:
    """Without regard to case and blanks; the near ones are named."""
    lookup = Lookup("user", FULL_NAME)
    (answer,) = (await asked_of(Accounts([]), lookup, [value])).values()

    said = {answer} if isinstance(answer, str) else {answer.kind, answer.message}
    assert found in said


async def test_an_attribute_that_no_user_has_is_said() -> None:
    """Otherwise each row would seem to name a stranger."""
    answer = (await asked_of(Accounts([]), Lookup("user", "emailaddress"), ["ann.lee@x.com"]))[
        "ann.lee@x.com"
    ]

    assert isinstance(answer, Fault)
    assert "No user has an attribute emailaddress" in answer.message


async def test_few_accounts_are_asked_one_by_one_and_once_each() -> None:
    """Leading zeros count; each distinct value is one call."""
    accounts = Accounts(numbered(3000))

    answers = await asked_of(accounts, BY_CODE, ["00007", "00042", "00007", "00042"])

    assert answers == {"00007": "C-7", "00042": "C-42"}
    assert [body["Query"]["FilterBy"]["LookupValue"] for body in accounts.asked] == ["00007", "00042"]
    assert {body["Query"]["FilterBy"]["SqlOperator"] for body in accounts.asked} == {"="}


@pytest.mark.parametrize("page_size_max", [1000, 400])
async def test_many_accounts_are_read_in_pages(page_size_max: int) -> None:
    """Fewer calls; also where the tenant gives smaller pages than asked for."""
    accounts = Accounts(numbered(2500), page_size_max)

    answers = await asked_of(accounts, BY_CODE, [f"{number:05}" for number in range(0, 2500, 50)])

    assert answers == {f"{number:05}": f"C-{number}" for number in range(0, 2500, 50)}
    assert accounts.calls == -(-2500 // page_size_max)


async def test_in_a_large_tenant_the_values_are_asked_instead() -> None:
    """Six values against a hundred pages."""
    accounts = Accounts(numbered(60), page_size_max=1)

    answers = await asked_of(accounts, BY_CODE, [f"{number:05}" for number in range(50, 56)])

    assert answers == {f"{number:05}": f"C-{number}" for number in range(50, 56)}
    assert accounts.calls == 7


async def test_a_value_that_the_pages_do_not_show_is_asked_by_name() -> None:
    """Then it is certain; the candidates come from the pages."""
    accounts = Accounts(numbered(20))

    answers = await asked_of(accounts, BY_CODE, [*(f"{number:05}" for number in range(9)), "0O010"])

    answer = answers["0O010"]
    assert accounts.calls == 2
    assert isinstance(answer, Fault)
    assert answer.message.startswith("No account of type Account has the mx_Code '0O010'. Near: ")
    assert "00010" in answer.message


@pytest.mark.parametrize("others", [[], [f"{number:05}" for number in range(8)]])
async def test_two_accounts_with_the_same_code_are_both_named(others: list[str]) -> None:
    """Names are not unique, and neither are codes."""
    accounts = Accounts([*numbered(8), ("C-a", "X1", "Acme"), ("C-b", "X1", "Acme 2")])

    answer = (await asked_of(accounts, BY_CODE, [*others, "X1"]))["X1"]

    assert isinstance(answer, Fault)
    assert answer.kind == "found-twice"
    assert answer.message == "2 accounts have the mx_Code 'X1': Acme (C-a); Acme 2 (C-b)."


@pytest.mark.parametrize("others", [[], [f"{number:05}" for number in range(8)]])
async def test_only_the_exact_code_is_a_match(others: list[str]) -> None:
    """LeadSquared compares without case; another case is a candidate, not the account."""
    accounts = Accounts(
        [*numbered(8), ("C-a", "abc", "Acme"), ("C-b", "DEF", "Big"), ("C-c", "def", "Small")]
    )

    answers = await asked_of(accounts, BY_CODE, [*others, "ABC", "def"])

    answer = answers["ABC"]
    assert isinstance(answer, Fault)
    assert "Near: abc" in answer.message
    assert answers["def"] == "C-c"


@pytest.mark.parametrize(
    "lookup", [Lookup("account", "mx_code", "Account"), Lookup("account", "mx_Code", "account")]
)
@pytest.mark.parametrize("count", [2, 9])
async def test_when_nothing_is_found_the_mapping_is_doubted(lookup: Lookup, count: int) -> None:
    """An attribute in the wrong case gives no rows and no error."""
    answers = await asked_of(Accounts(numbered(20)), lookup, [f"{number:05}" for number in range(count)])

    for answer in answers.values():
        assert isinstance(answer, Fault)
        assert f"`by: {lookup.by}`" in answer.message
        assert f"`company_type: {lookup.company_type}`" in answer.message


async def test_what_is_kept_is_not_asked_again_but_what_was_not_found_is() -> None:
    """The journal keeps the Ids; a missing account may have been added since."""
    accounts = Accounts(numbered(3))
    async with tenant_of(accounts) as tenant:
        first = await resolve(tenant, [(BY_CODE, "00001"), (BY_CODE, "later")])
        accounts.rows.append(("C-later", "later", "Later"))
        kept = from_plain(json.loads(json.dumps(to_plain(first))))
        second = await resolve(tenant, [(BY_CODE, "00001"), (BY_CODE, "later")], kept=kept)

    assert [body["Query"]["FilterBy"]["LookupValue"] for body in accounts.asked] == [
        "00001",
        "later",
        "later",
    ]
    assert second == {(BY_CODE, "00001"): "C-1", (BY_CODE, "later"): "C-later"}


async def test_progress_counts_distinct_values_to_the_end() -> None:
    """Of all lookups together."""
    seen: list[tuple[int, int]] = []
    asked = [(BY_CODE, f"{number:05}") for number in range(20)] + [(BY_EMAIL, "ann.lee@x.com")] * 2
    async with tenant_of(Accounts(numbered(20))) as tenant:
        await resolve(tenant, asked, progress=lambda done, total: seen.append((done, total)))

    assert seen[0] == (0, 21)
    assert seen[-1] == (21, 21)
    assert seen == sorted(seen)


async def test_a_refused_lookup_ends_with_the_reason() -> None:
    """No answer is not "not found"."""
    refusal = {
        "Status": "Error",
        "ExceptionType": "MXUnAuthorizedAccessException",
        "ExceptionMessage": "No access",
    }
    async with hostile_server(reply(500, refusal)) as server, at(server) as tenant:
        with pytest.raises(ReadFailed, match="No access"):
            await resolve(tenant, [(BY_CODE, str(number)) for number in range(3)])


@settings(deadline=None)
@given(st.dictionaries(st.text(), st.text(min_size=1), max_size=5))
def test_what_is_kept_comes_back(found: dict[str, str]) -> None:
    """Any value, any Id."""
    resolved = {(BY_CODE, key): one for key, one in found.items()}

    assert from_plain(to_plain(resolved)) == resolved
