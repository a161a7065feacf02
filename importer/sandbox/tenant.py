"""A LeadSquared tenant: its accounts' activities, and what the API says about them. No network in here.

Behaviour: the vendor's documentation (activities on accounts) and what integrators observed, for a good part
on lead calls. Retrieve filters on `ModifiedOn`, both ends included, with sub-seconds that its answers hide;
at most 1000 activities a page; equal times come in another order with each call; From after To is a 500; the
list is absent when it would be empty. There is no duplicate check, no idempotency key and no delete.

It may keep what it holds in a file, so that a rehearsal's `resume` finds what was created before.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from importer.sandbox.directory import AUTHORS, OWNER, Companies, Person, paging, people
from importer.sandbox.rules import Edited, Existing, FieldRule, ForeignFault, TenantRules
from importer.sandbox.validation import Wanted, guid, update, wanted
from importer.sandbox.wire import Refused, Spelling, parsed_moment


@dataclass(slots=True)
class Held:
    """An activity that the tenant holds, values exactly as they were received.

    company_id, id, created_by, modified_by: GUIDs in lower case. Times: seconds since 1970 with fractions;
    created_on and modified_on by the tenant's clock, visible_at by the machine's: reads see it from then on.
    origin: "api" for what came in through Create, else what put it there ("foreign", "existing").
    """

    id: str
    company_id: str
    event: int
    note: str
    created_by: str
    created_on: float
    modified_on: float
    visible_at: float
    fields: dict[str, str] = field(default_factory=dict)
    origin: str = "api"
    modified_by: str = ""


class StoreFileError(Exception):
    """The file cannot be opened as a store, or is none of ours."""


class FileStore:
    """A SQLite file of one table, readable by its owner only: a rehearsal's rows are customers' data. Each
    write is committed before the call is answered; none waits for the disk (a rehearsal need not survive a
    power cut).

    Raises OSError or StoreFileError when the file cannot be opened or is none of ours.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS activity (id TEXT PRIMARY KEY, held TEXT NOT NULL) STRICT"
            )
        except sqlite3.Error as error:
            self._db.close()
            raise StoreFileError(str(error)) from error

    def keep(self, held: Held) -> None:
        """Commits this state of the activity."""
        values = (held.id, json.dumps(asdict(held)))  # ASCII: lone surrogates survive
        self._db.execute("INSERT OR REPLACE INTO activity VALUES (?, ?)", values)

    def remove(self, activity_id: str) -> None:
        """Commits that the activity is gone."""
        self._db.execute("DELETE FROM activity WHERE id = ?", (activity_id,))

    def all(self) -> list[Held]:
        """Everything that was ever kept, oldest first."""
        found = [Held(**json.loads(text)) for (text,) in self._db.execute("SELECT held FROM activity")]
        return sorted(found, key=lambda held: held.created_on)

    def close(self) -> None:
        """Folds the write-ahead log into the file."""
        self._db.close()


PAGE_MAX: Final = 1000
Clock = Callable[[], float]


class Tenant:
    """Holds activities and answers questions about them. `clock`: the machine's, seconds since 1970."""

    def __init__(
        self,
        rules: TenantRules | None = None,
        *,
        store: FileStore | None = None,
        randomness: Random | None = None,
        clock: Clock = time.time,
        lag_s: float = 0.0,
        users: Sequence[str] = (),
        accounts: Mapping[str, Sequence[str]] | None = None,
        any_account: bool = False,
    ) -> None:
        self._store = store
        self._random = randomness or Random()
        self._clock = clock
        self._lag_s = lag_s
        self._by_id: dict[str, Held] = {}
        self._by_company: defaultdict[str, list[Held]] = defaultdict(list)
        self._users = tuple(users)
        self._accounts = dict(accounts or {})
        self._any_account = any_account
        self.change_rules(rules or TenantRules())
        for held in store.all() if store else ():
            self._index(held)

    def __repr__(self) -> str:
        return f"<Tenant with {len(self._by_id)} activities on {len(self._by_company)} accounts>"

    def change_rules(self, rules: TenantRules) -> None:
        """Another tenant from now on, with the same activities."""
        self.rules = rules
        self._people = people((*self._users, *rules.users), rules.former_users)
        self._inactive = frozenset(person.id for person in self._people if not person.active)
        self._names = {person.id: person.name for person in self._people}
        accounts = {name: tuple(values) for name, values in self._accounts.items()}
        for name, values in rules.accounts.items():
            accounts[name] = (*accounts.get(name, ()), *values)
        self._companies = Companies(accounts, rules, countless=self._any_account)

    def now(self) -> float:
        """The tenant's own clock, which may be wrong."""
        return self._clock() + self.rules.clock_offset_s

    @property
    def held(self) -> list[Held]:
        """Every activity, in the order of creation: the truth."""
        return list(self._by_id.values())

    def _index(self, held: Held) -> None:
        self._by_id[held.id] = held
        self._by_company[held.company_id].append(held)

    def _lag(self) -> float:
        lag = self._lag_s if self.rules.lag_s is None else self.rules.lag_s
        return self._random.uniform(*lag) if isinstance(lag, tuple) else lag

    def add(self, asked: Wanted, author: Person, *, origin: str = "api", age_s: float = 0.0) -> Held:
        """Creates the activity for good; it is in the store when this returns."""
        now, lag_s = self.now(), self._lag()
        held = Held(
            str(uuid.uuid4()), asked.company_id, asked.event, asked.note, author.id,
            now - age_s, now - age_s, self._clock() + lag_s - age_s, asked.fields, origin, author.id,
        )  # fmt: skip
        self._keep(held)
        self._index(held)
        return held

    def _keep(self, held: Held) -> None:
        if self._store is not None:
            self._store.keep(held)

    def add_existing(self, given: Existing) -> list[Held]:
        """What the tenant held before anybody came."""
        asked = Wanted(given.account, given.event, given.note, dict(given.fields))
        author = AUTHORS[given.by]
        return [self.add(asked, author, origin="existing", age_s=given.age_s) for _ in range(given.copies)]

    def add_foreign(self, like: Wanted, fault: ForeignFault) -> None:
        """What another integration writes: the same activity, or nearly the same."""
        changed = like.fields | {name: value for name, value in fault.fields.items() if value is not None}
        fields = {name: value for name, value in changed.items() if fault.fields.get(name, "") is not None}
        note = like.note if fault.note is None else fault.note
        for _ in range(fault.copies):
            self.add(Wanted(like.company_id, like.event, note, fields), AUTHORS[fault.by], origin="foreign")

    def wanted(self, body: Mapping[str, Any]) -> Wanted:
        """What a Create asks for. Raises Refused."""
        if self.rules.creates == "refused":
            raise Refused("MXUnAuthorizedAccess", "You are not authorized to create activities.")
        asked = wanted(body, self.rules)
        self._check_owner(asked.fields)
        return asked

    def _check_owner(self, fields: Mapping[str, str]) -> None:
        """An inactive owner is refused (observed on leads)."""
        if fields.get("Owner", "").lower() in self._inactive:
            raise Refused("MXInvalidEntityReference", "The user given as 'Owner' is inactive.")

    def change(
        self, body: Mapping[str, Any], author: Person = OWNER, *, lost: bool = False
    ) -> dict[str, Any]:
        """`CompanyActivity.svc/Update`. lost: it says that it did, and does not. Raises Refused.

        Whether fields that an update leaves out keep their values is not documented: `update_leaves_out`.
        """
        activity_id, note, fields = update(body, self.rules)
        self._check_owner(fields)
        held = self._existing(activity_id)
        done = {"Status": "Success", "Message": {"Id": activity_id, "IsSuccessful": True}}
        if lost:
            return done
        if self.rules.update_leaves_out == "empty":
            held.fields, held.note = fields, note or ""
        else:
            held.fields, held.note = held.fields | fields, held.note if note is None else note
        held.modified_on, held.modified_by = self.now(), author.id
        self._keep(held)
        return done

    def _existing(self, activity_id: str) -> Held:
        held = self._by_id.get(activity_id)
        if held is None:
            raise Refused("MXInvalidEntityReference", f"Activity with Id '{activity_id}' does not exist.")
        return held

    def delete(self, activity_id: str) -> Held:
        """Somebody deletes an activity by hand; the API cannot. Raises Refused."""
        held = self._existing(activity_id.lower())
        if self._store is not None:
            self._store.remove(held.id)
        del self._by_id[held.id]
        self._by_company[held.company_id].remove(held)
        return held

    def edit(self, given: Edited) -> Held:
        """Somebody changes an activity by hand; null empties a field. Raises Refused."""
        held = self._existing(given.id)
        changed = held.fields | {name: value for name, value in given.fields.items() if value is not None}
        held.fields = {
            name: value for name, value in changed.items() if given.fields.get(name, "") is not None
        }
        held.note = held.note if given.note is None else given.note
        held.modified_on, held.modified_by = self.now(), AUTHORS[given.by].id
        self._keep(held)
        return held

    def _may_read(self) -> None:
        if self.rules.reads == "refused":
            raise Refused("MXUnAuthorizedAccess", "You are not authorized to view activities.")

    def retrieve(
        self, company_id: str | None, body: Mapping[str, Any], *, stale_s: float = 0.0, missing: int = 0
    ) -> dict[str, Any]:
        """`CompanyActivity.svc/Retrieve`. Raises Refused.

        stale_s: how old the reading is. missing: how many rows it lacks although it counts them.
        """
        self._may_read()
        company = guid(company_id, "companyId")
        start, end = _window(body)
        index, size = paging(body, PAGE_MAX)
        as_of = self._clock() - stale_s
        seen = [
            held
            for held in self._by_company.get(company, ())
            if held.visible_at <= as_of and start <= held.modified_on <= end
        ]
        count = len(seen)
        # the order of equal times changes from call to call, which is why pages overlap and miss
        ordered = sorted(seen, key=lambda held: (-int(held.modified_on), self._random.random()))
        page = ordered[missing:][(index - 1) * size : index * size]
        answer: dict[str, Any] = {"RecordCount": count}
        if page:
            answer["CompanyActivities"] = [self._shown(held) for held in page]
        return answer

    def by_id(self, activity_id: str | None, *, stale_s: float = 0.0) -> dict[str, Any]:
        """`CompanyActivity.svc/RetrieveById`. Raises Refused."""
        self._may_read()
        held = self._existing(guid(activity_id, "activityId"))
        if held.visible_at > self._clock() - stale_s:
            raise Refused("MXInvalidEntityReference", f"Activity with Id '{activity_id}' does not exist.")
        return self._shown(held)

    def _shown(self, held: Held) -> dict[str, Any]:
        spelling = Spelling(self._random, mixed=self.rules.spelling == "mixed")
        fields: dict[str, str | None] = dict(held.fields)
        note: str | None = held.note
        for rule in self.rules.read_back:
            if rule.field == "note":
                note = rule.applied(note)
            else:
                fields[rule.field] = rule.applied(fields.get(rule.field))
        kinds = self.rules.fields
        shown = {
            name: spelling.value(value, kinds[name].type if name in kinds else None)
            for name, value in fields.items()
            if value and value.strip()
        }
        author = self._names.get(held.created_by, "")
        answer = {
            "CompanyActivityId": spelling.id(held.id),
            "RelatedCompanyId": spelling.id(held.company_id),
            "ActivityEvent": held.event,
            "ActivityNote": (note or "").strip(),
            "ActivityDateTime": spelling.moment(held.created_on),
            "ActivityType": 2,
            "ActivityDisplayName": f"Activity {held.event}",
            "CreatedOn": spelling.moment(held.created_on),
            "ModifiedOn": spelling.moment(held.modified_on),
            "CreatedBy": spelling.id(held.created_by),
            "CreatedByName": author,
            "ModifiedBy": spelling.id(held.modified_by),
            "ModifiedByName": self._names.get(held.modified_by, ""),
            "ActivityFields": shown,
        }
        if not answer["ActivityNote"]:
            del answer["ActivityNote"]
        return answer

    def activity_type(self, code: str | None) -> dict[str, Any]:
        """`CustomActivity/GetActivitySetting`, which is documented for leads only. Raises Refused."""
        events = self.rules.events
        known = code is not None and code.isascii() and code.isdigit()
        if self.rules.activity_types == "refused" or not known or (events and int(code or 0) not in events):
            raise Refused("MXInvalidActivity", "Event Code is invalid or empty")
        fields = self.rules.fields or {"mx_Custom_1": FieldRule(), "mx_Custom_2": FieldRule()}
        return {
            "ID": str(uuid.uuid5(uuid.NAMESPACE_OID, str(code))),
            "Name": f"Activity {code}",
            "DisplayName": f"Activity {code}",
            "Fields": [
                _field_shown(place, name, rule) for place, (name, rule) in enumerate(fields.items(), 1)
            ],
        }

    def activity_types(self) -> list[dict[str, Any]]:
        """`ProspectActivity.svc/ActivityTypes.Get`, documented for leads only. Raises Refused."""
        if self.rules.activity_types == "refused":
            raise Refused("MXUnAuthorizedAccess", "You are not authorized to view activity types.")
        return [
            {"ActivityEvent": code, "ActivityEventName": f"Activity {code}", "EventDirection": 0}
            for code in self.rules.events or (10001,)
        ]

    def permissions(self) -> dict[str, bool]:
        """`User/GetPermissions` (documented; the shape of its answer is not): what the keys may do."""
        return {
            "CreateAccountActivity": self.rules.creates == "allowed",
            "ViewAccountActivity": self.rules.reads == "allowed",
        }

    def users(self) -> list[dict[str, Any]]:
        """`UserManagement.svc/Users.Get`."""
        return [person.shown() for person in self._people]

    def companies(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """`CompanyManagement.svc/Company.Get`. Raises Refused."""
        return self._companies.get(body)

    def whoami(self, person: Person, api_host: str, organisation: str) -> dict[str, Any]:
        """`Authentication.svc/UserByAccessKey.Get`; the e-mail address is in PassPhrase, as documented."""
        return {
            "Id": person.id,
            "Name": person.name,
            "PassPhrase": person.email,
            "Role": person.role,
            "EmailAddress": None,
            "TimeZone": "Asia/Kolkata",
            "Type": "ApplicationUser",
            "OrgDisplayName": "Sandbox (nothing leaves this computer)",
            "OrgId": str(uuid.UUID(int=1)),
            "OrgShortCode": organisation,
            "UserType": "Regular",
            "LSQCommonServiceURLs": {"api": api_host, "app": api_host},
        }


_DATA_TYPES: Final = {
    "text": "String", "number": "Number", "date": "Date", "datetime": "DateTime", "dropdown": "Dropdown",
    "multi-select": "MultiSelect", "boolean": "Boolean", "user": "ActiveUsers", "phone": "Phone",
    "product": "Product", "file": "File",
}  # fmt: skip


def _field_shown(place: int, name: str, rule: FieldRule) -> dict[str, Any]:
    """A field as GetActivitySetting lists it; a dropdown's options are JSON in a text (documentation)."""
    options = [
        {"IsDefault": False, "Text": "", "Value": value, "Order": i} for i, value in enumerate(rule.values)
    ]
    return {
        "SchemaName": name,
        "DisplayName": rule.name or name.replace("mx_", "").replace("_", " "),
        "Value": None,
        "DataType": _DATA_TYPES[rule.type],
        "IsMandatory": rule.required,
        "ShowInForm": True,
        "Sequence": place,
        "OptionSet": json.dumps(options) if options else "",
        "MaxFieldLength": rule.max_length or 200,
    }


def _window(body: Mapping[str, Any]) -> tuple[float, float]:
    given = body.get("Parameter")
    if not isinstance(given, dict):
        raise Refused("MXInvalidInput", "'Parameter' is mandatory", status=400)
    if unknown := given.keys() - {"FromDate", "ToDate"}:
        raise Refused("MXInvalidInput", f"Unknown parameter: {', '.join(sorted(unknown))}", status=400)
    start, end = parsed_moment(given.get("FromDate")), parsed_moment(given.get("ToDate"))
    if start is None or end is None:
        raise Refused("MXInvalidInput", "'FromDate' and 'ToDate' must be YYYY-MM-DD HH:MM:SS")
    if start > end:
        raise Refused("MXInvalidInput", "'FromDate' must not be after 'ToDate'")
    return start, end
