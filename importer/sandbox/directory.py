"""The people and accounts that a tenant knows.

People: some invented colleagues, of whom two share an e-mail address and two the name "Priya Sharma", and
those that the sandbox was given. Accounts: thirteen invented ones, `ACC-0001` to `ACC-0012`, of which two
share the code `ACC-0007` and two the name "Acme Traders"; those that the sandbox was given; and, so that a
rehearsal works on anybody's own sheet, **one invented account for every value that is asked for with `=`**.
Not invented: values that begin with `NOT-FOUND`, the `Total` of a sheet,
and attributes in the wrong case (observed on leads: no rows and no error). An Id made up for a value is
always the same.
"""

from __future__ import annotations

import operator
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from importer.sandbox.rules import GUID, TenantRules
from importer.sandbox.wire import Refused, json_object, paging, parsed_moment, time_span

_COUNTLESS: Final = 1_000_000
_SPACE: Final = uuid.UUID("5c9f6a5e-7d0e-4b7e-9d62-0d4a3e8f1b27")
_CUSTOM_ATTRIBUTE: Final = re.compile(r"mx_[A-Z]\w*")
_NOT_INVENTED: Final = re.compile(r"|not-found.*|(grand |sub-?)?total", re.DOTALL)
_STANDARD: Final = {
    "CompanyId", "CompanyName", "CompanyNumber", "CompanyIdentifier", "mx_Account_Code", "Phone", "Website",
    "ModifiedOn", "CreatedOn",
}  # fmt: skip


def _like(held: str, pattern: str) -> bool:
    """`%` is a wildcard."""
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("%"))), held, re.DOTALL))


# SQL's comparisons of texts; both sides are in lower case
_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "=": operator.eq, "<>": operator.ne, "LIKE": _like, ">": operator.gt, "<": operator.lt,
    ">=": operator.ge, "<=": operator.le,
}  # fmt: skip


def made_up_id(kind: str, value: str) -> str:
    """The Id that the sandbox gives to this account or user, always the same."""
    return str(uuid.uuid5(_SPACE, f"{kind}:{value.strip().lower()}"))


@dataclass(frozen=True, slots=True)
class Person:
    """A user of the tenant."""

    first: str
    last: str
    email: str
    role: str = "Sales_User"
    active: bool = True

    @property
    def id(self) -> str:
        """Two people may share an e-mail address; their Ids differ."""
        return made_up_id("user", self.email if self.first != "Second" else f"{self.email} (2)")

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first} {self.last}".strip()

    def shown(self) -> dict[str, Any]:
        """As `Users.Get` lists people."""
        return {
            "ID": self.id,
            "FirstName": self.first,
            "LastName": self.last,
            "EmailAddress": self.email,
            "Role": self.role,
            "StatusCode": 0 if self.active else 1,
            "Tag": None,
            "IsPhoneCallAgent": False,
        }


OWNER: Final = Person("Asha", "Rao", "asha.rao@example.com", "Administrator")
COLLEAGUE: Final = Person("Tomás", "Núñez", "tomas.nunez@example.com", "Marketing_User")
INTEGRATION: Final = Person("Website", "Integration", "integration@example.com", "Administrator")
AUTHORS: Final = {"self": OWNER, "colleague": COLLEAGUE, "integration": INTEGRATION}
PEOPLE: Final = (
    OWNER,
    COLLEAGUE,
    INTEGRATION,
    Person("Mei", "Lin", "mei.lin@example.com"),
    Person("John", "O'Brien", "John.OBrien@example.com"),
    Person("Vikram", "Singh", "vikram.singh@example.com"),
    Person("Former", "Employee", "former.employee@example.com", active=False),
    Person("Left", "Long-Ago", "left@example.com", active=False),
    Person("First", "Shared", "shared@example.com"),
    Person("Second", "Shared", "shared@example.com"),
    Person("Priya", "Sharma", "priya.sharma@example.com"),
    Person("Priya", "Sharma", "p.sharma2@example.com"),
    Person("Priya", "Iyer", "priya.iyer@example.com"),
)


def people(given: Sequence[str], former: Sequence[str] = ()) -> list[Person]:
    """The fixture people, and one for each other e-mail address or full name; `former` ones are inactive."""
    found = list(PEOPLE)
    known = {text.lower() for person in PEOPLE for text in (person.email, person.name)}
    for place, text in enumerate(map(str.strip, (*given, *former))):
        if text and text.lower() not in known:
            is_email = "@" in text
            email = text if is_email else f"{made_up_id('name', text)[:13]}@example.com"
            first, _, last = (
                text.partition("@")[0].title().partition(".") if is_email else text.partition(" ")
            )
            found.append(Person(first, last, email, active=place < len(given)))
            known |= {text.lower(), email.lower()}
    return found


Company = dict[str, str]


def _company(code: str, name: str, seed: str = "") -> Company:
    return {
        "CompanyId": made_up_id("account", seed or code),
        "CompanyName": name,
        "mx_Account_Code": code,
        "Stage": "Customer",
        "CreatedOn": "2024-01-15 09:30:00",
        "ModifiedOn": "2026-01-15 09:30:00",
    }


def _invented(attribute: str, value: str) -> Company:
    return _company(value, f"Account {value}") | {attribute: value}


class Companies:
    """The tenant's accounts, as `Company.Get` finds them. countless: it says that there are a million."""

    def __init__(self, rules: TenantRules, *, countless: bool) -> None:
        self._missing_ids = rules.missing_accounts
        self._countless = countless
        self._attributes = _STANDARD | rules.accounts.keys()
        self._all = [
            _company(f"ACC-{number:04}", "Acme Traders" if number in (3, 4) else f"Account {number}")
            for number in range(1, 13)
        ]
        self._all.append(_company("ACC-0007", "Account 7, entered twice", "ACC-0007 (2)"))
        for attribute, values in rules.accounts.items():
            known = {company[attribute].lower() for company in self._all if attribute in company}
            for value in map(str.strip, values):
                if value.lower() not in known and not _NOT_INVENTED.fullmatch(value.lower()):
                    known.add(value.lower())
                    self._all.append(_invented(attribute, value))

    def get(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to `Company.Get`. Raises Refused."""
        query = json_object(body, "Query")
        if not json_object(query, "CompanyType").get("CompanyTypeName"):
            raise Refused("MXMandatoryAttributeMissing", "'CompanyTypeName' is mandatory")
        found = self._filtered(json_object(query, "FilterBy"))
        if text := query.get("SearchText"):
            found = [each for each in found if str(text).lower() in each["CompanyName"].lower()]
        if span := json_object(query, "DateRange"):
            column, (start, end) = str(span.get("DateField", "ModifiedOn")), time_span(span)
            found = [each for each in found if start <= (parsed_moment(each.get(column)) or 0) <= end]
        sorting = json_object(body, "Sorting")
        by, descending = str(sorting.get("ColumnName", "CompanyName")), str(sorting.get("Direction")) == "1"
        found = sorted(found, key=lambda each: each.get(by, ""), reverse=descending)
        asks_for_all = not any(query.get(name) for name in ("FilterBy", "SearchText", "DateRange"))
        count = max(len(found), _COUNTLESS) if self._countless and asks_for_all else len(found)
        columns = str(json_object(body, "Columns").get("Include_CSV") or "")
        wanted = [name.strip() for name in columns.split(",") if name.strip()]
        return {"RecordCount": count, "Companies": [_shown(each, wanted) for each in found[paging(body)]]}

    def _filtered(self, filtering: Mapping[str, Any]) -> list[Company]:
        if not filtering:
            return self._all
        name, value = filtering.get("LookupName"), filtering.get("LookupValue")
        sign = str(filtering.get("SqlOperator", "=")).upper()
        if not isinstance(name, str) or not isinstance(value, str) or sign not in _OPERATORS:
            raise Refused(
                "MXInvalidInput", "'FilterBy' needs LookupName, LookupValue and a known SqlOperator"
            )
        value = value.strip()
        key, compares = value.lower(), _OPERATORS[sign]
        found = [each for each in self._all if name in each and compares(each[name].lower(), key)]
        return found or ([_invented(name, value)] if sign == "=" and self._may_invent(name, key) else [])

    def _may_invent(self, name: str, key: str) -> bool:
        """Whether an account with this value may be made up. Its Id may: any GUID is an account."""
        if name == "CompanyId":
            return bool(GUID.fullmatch(key)) and key not in self._missing_ids
        in_wrong_case = name.lower() in {known.lower() for known in self._attributes}
        known = name in self._attributes or (_CUSTOM_ATTRIBUTE.fullmatch(name) and not in_wrong_case)
        return bool(known) and not _NOT_INVENTED.fullmatch(key)


def _shown(company: Company, wanted: list[str]) -> dict[str, Any]:
    pairs = [{"Attribute": name, "Value": company[name]} for name in wanted or company if name in company]
    return {"companyPropertyList": pairs}
