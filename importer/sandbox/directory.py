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

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from importer.sandbox.rules import TenantRules
from importer.sandbox.wire import GUID, Refused, parsed_moment

_PAGE_MAX: Final = 1000
_COUNTLESS: Final = 1_000_000
_SPACE: Final = uuid.UUID("5c9f6a5e-7d0e-4b7e-9d62-0d4a3e8f1b27")
_ATTRIBUTE: Final = re.compile(r"mx_[A-Z]\w*")
_NOT_INVENTED: Final = re.compile(r"not-found.*|(grand |sub-?)?total", re.DOTALL)
_STANDARD: Final = (
    "CompanyId", "CompanyName", "CompanyNumber", "CompanyIdentifier", "mx_Account_Code", "Phone", "Website",
    "Stage", "ModifiedOn", "CreatedOn",
)  # fmt: skip
_OPERATORS: Final = ("=", "<>", "LIKE", ">", "<", ">=", "<=")
Company = dict[str, str]


@lru_cache(maxsize=4096)
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


def people(given: Sequence[str], former: Sequence[str] = ()) -> tuple[Person, ...]:
    """The fixture people, and one for each other e-mail address or full name; `former` ones are inactive."""
    known = {text.lower() for person in PEOPLE for text in (person.email, person.name)}
    more = []
    for place, text in enumerate(map(str.strip, (*given, *former))):
        if text and text.lower() not in known:
            person = _made_up_person(text, active=place < len(given))
            known |= {text.lower(), person.email.lower()}
            more.append(person)
    return (*PEOPLE, *more)


def _made_up_person(text: str, *, active: bool) -> Person:
    """Somebody with this e-mail address, or with this full name."""
    local, at, _ = text.partition("@")
    if at:
        first, _, last = local.partition(".")
        return Person(first.title(), last.title(), text, active=active)
    first, _, last = text.partition(" ")
    return Person(first, last, f"{made_up_id('name', text)[:13]}@example.com", active=active)


def _fixture_companies() -> Iterator[Company]:
    for number in range(1, 13):
        code = f"ACC-{number:04}"
        yield _company(code, code, f"Account {number}" if number not in (3, 4) else "Acme Traders")
    yield _company("ACC-0007 (2)", "ACC-0007", "Account 7, entered twice")


def _company(seed: str, code: str, name: str) -> Company:
    company = {"CompanyId": made_up_id("account", seed), "CompanyName": name, "mx_Account_Code": code}
    return company | {
        "Stage": "Customer", "CreatedOn": "2024-01-15 09:30:00", "ModifiedOn": "2026-01-15 09:30:00"
    }  # fmt: skip


class Companies:
    """The tenant's accounts, as `Company.Get` finds them."""

    def __init__(
        self, given: Mapping[str, Sequence[str]], rules: TenantRules, *, countless: bool = False
    ) -> None:
        self._rules = rules
        self._countless = countless
        self._all = list(_fixture_companies())
        for attribute, values in given.items():
            known = {company[attribute].lower() for company in self._all if attribute in company}
            for value in values:
                key = value.strip().lower()
                if key and key not in known and not self._missing(key):
                    known.add(key)
                    self._all.append(self._invented(attribute, value.strip()))
        self._attributes = {*_STANDARD, *given}
        self._wrong_case = {name.lower() for name in self._attributes}

    def _missing(self, value: str) -> bool:
        return bool(_NOT_INVENTED.fullmatch(value))

    @staticmethod
    def _invented(attribute: str, value: str) -> Company:
        company = _company(value, value, f"Account {value}")
        return company | {attribute: value}

    def get(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to `Company.Get`. Raises Refused."""
        query = _object(body, "Query")
        if not _object(query, "CompanyType").get("CompanyTypeName"):
            raise Refused("MXMandatoryAttributeMissing", "'CompanyTypeName' is mandatory")
        found = self._filtered(query)
        if text := query.get("SearchText"):
            found = [each for each in found if str(text).lower() in each["CompanyName"].lower()]
        if span := _object(query, "DateRange"):
            found = _in_range(found, span)
        sorting = _object(body, "Sorting")
        column = str(sorting.get("ColumnName", "CompanyName"))
        found = sorted(
            found, key=lambda each: each.get(column, ""), reverse=str(sorting.get("Direction")) == "1"
        )
        index, size = paging(body, _PAGE_MAX)
        page = found[(index - 1) * size : index * size]
        count = len(found)
        if self._countless and not any(query.get(name) for name in ("FilterBy", "SearchText", "DateRange")):
            count = max(count, _COUNTLESS)
        columns = str(_object(body, "Columns").get("Include_CSV") or "")
        wanted = [name.strip() for name in columns.split(",") if name.strip()]
        return {"RecordCount": count, "Companies": [_shown(each, wanted) for each in page]}

    def _filtered(self, query: Mapping[str, Any]) -> list[Company]:
        filtering = _object(query, "FilterBy")
        if not filtering:
            return self._all
        name, value = filtering.get("LookupName"), filtering.get("LookupValue")
        operator = str(filtering.get("SqlOperator", "=")).upper()
        if not isinstance(name, str) or not isinstance(value, str) or operator not in _OPERATORS:
            raise Refused(
                "MXInvalidInput", "'FilterBy' needs LookupName, LookupValue and a known SqlOperator"
            )
        value = value.strip().lower()
        if operator == "=" and self._missing(value):
            return []
        found = [
            each for each in self._all if name in each and _compares(each[name].lower(), operator, value)
        ]
        if found or operator != "=" or not self._may_invent(name, value):
            return found
        return [self._invented(name, str(filtering["LookupValue"]).strip())]

    def _may_invent(self, name: str, value: str) -> bool:
        """Whether an account with this value may be made up. Its Id may: any GUID is an account."""
        if name == "CompanyId":
            return bool(GUID.fullmatch(value)) and value not in self._rules.missing_accounts
        known = name in self._attributes and name != "Stage"
        custom = bool(_ATTRIBUTE.fullmatch(name)) and name.lower() not in self._wrong_case
        return bool(value) and (known or custom)


def _shown(company: Company, wanted: list[str]) -> dict[str, Any]:
    names = wanted or list(company)
    pairs = [{"Attribute": name, "Value": company[name]} for name in names if name in company]
    return {"companyPropertyList": pairs}


def _compares(held: str, operator: str, value: str) -> bool:
    """SQL's comparison of texts: without regard to case, `%` a wildcard of LIKE."""
    if operator == "LIKE":
        return bool(re.fullmatch(".*".join(map(re.escape, value.split("%"))), held, re.DOTALL))
    return {
        "=": held == value, "<>": held != value, ">": held > value,
        "<": held < value, ">=": held >= value, "<=": held <= value,
    }[operator]  # fmt: skip


def _in_range(found: list[Company], span: Mapping[str, Any]) -> list[Company]:
    """Accounts whose `DateField` (default ModifiedOn) lies between `FromDate` and `ToDate`, both included."""
    column = str(span.get("DateField", "ModifiedOn"))
    start, end = parsed_moment(span.get("FromDate")), parsed_moment(span.get("ToDate"))
    if start is None or end is None:
        raise Refused("MXInvalidInput", "'FromDate' and 'ToDate' must be YYYY-MM-DD HH:MM:SS")
    return [each for each in found if start <= (parsed_moment(each.get(column)) or 0) <= end]


def _object(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = body.get(name) or {}
    if not isinstance(value, dict):
        raise Refused("MXInvalidInput", f"'{name}' must be an object", status=400)
    return value


def paging(body: Mapping[str, Any], size_max: int) -> tuple[int, int]:
    """Page (from 1) and its size, at most `size_max`. The documentation shows strings and numbers."""
    given = _object(body, "Paging")
    numbers = []
    for name, default in (("PageIndex", 1), ("PageSize", 100)):
        text = str(given.get(name, default))
        if isinstance(given.get(name), bool) or not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
            raise Refused("MXInvalidInput", f"'{name}' must be a number from 1")
        numbers.append(int(text[:9]))
    return numbers[0], min(numbers[1], size_max)
