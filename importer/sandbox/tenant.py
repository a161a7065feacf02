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
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any, Final

from importer.sandbox import wire
from importer.sandbox.directory import AUTHORS, Companies, Person, people
from importer.sandbox.rules import Edited, Existing, FieldRule, ForeignFault, SandboxOptions, TenantRules
from importer.sandbox.wire import Held, Refused, moment, respelt

_DATA_TYPES: Final = {
    "text": "String", "datetime": "DateTime", "multi-select": "MultiSelect", "user": "ActiveUsers",
}  # fmt: skip


class StoreFileError(Exception):
    """The file cannot be opened as a store, or is none of ours."""


class Tenant:
    """Holds activities and answers questions about them. dice: chooses spellings, orders and lags."""

    def __init__(self, options: SandboxOptions, dice: Random) -> None:
        self._options = options
        self._dice = dice
        self._by_id: dict[str, Held] = {}
        self._by_company: defaultdict[str, list[Held]] = defaultdict(list)
        self._file: sqlite3.Connection | None = None
        self.change_rules(options.faults.tenant)

    def __repr__(self) -> str:
        return f"<Tenant with {len(self._by_id)} activities on {len(self._by_company)} accounts>"

    def open(self, path: Path) -> None:
        """Holds what is in this file, and keeps everything in it from now on.

        A SQLite file of one table, readable by its owner only: a rehearsal's rows are customers' data. Each
        write is committed before the call is answered; none waits for the disk (a rehearsal need not survive
        a power cut). Raises OSError, or StoreFileError if it is none of ours.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self._file = sqlite3.connect(path, isolation_level=None)
        try:
            self._file.execute("PRAGMA journal_mode = WAL")
            self._file.execute("PRAGMA synchronous = OFF")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS activity (id TEXT PRIMARY KEY, held TEXT NOT NULL) STRICT"
            )
            kept = [Held(**json.loads(text)) for (text,) in self._file.execute("SELECT held FROM activity")]
        except sqlite3.Error as error:
            self.close()
            raise StoreFileError(str(error)) from error
        for held in sorted(kept, key=lambda one: one.created_on):
            self._hold(held)

    def close(self) -> None:
        """Folds the write-ahead log into the file."""
        if self._file is not None:
            self._file.close()

    def change_rules(self, rules: TenantRules) -> None:
        """Another tenant from now on, with the same activities."""
        self.rules = rules
        self._people = {person.id: person for person in people(rules.users, rules.former_users)}
        self._companies = Companies(rules, countless=self._options.any_account)

    def now(self) -> float:
        """The tenant's own clock, which may be wrong."""
        return time.time() + self.rules.clock_offset_s

    @property
    def held(self) -> list[Held]:
        """Every activity, in the order of creation: the truth."""
        return list(self._by_id.values())

    def _hold(self, held: Held) -> None:
        self._by_id[held.id] = held
        self._by_company[held.company_id].append(held)

    def add(self, asked: Held, author: Person, *, origin: str = "api", age_s: float = 0.0) -> Held:
        """Creates the activity for good; it is in the file when this returns."""
        lag = self._options.lag_s if self.rules.lag_s is None else self.rules.lag_s
        lag_s = self._dice.uniform(*lag) if isinstance(lag, tuple) else lag
        now = self.now() - age_s
        held = replace(
            asked, id=str(uuid.uuid4()), created_by=author.id, created_on=now, modified_by=author.id,
            modified_on=now, visible_at=time.time() + lag_s - age_s, origin=origin,
        )  # fmt: skip
        self._keep(held)
        self._hold(held)
        return held

    def _keep(self, held: Held) -> None:
        if self._file is not None:
            values = (held.id, json.dumps(asdict(held)))  # ASCII: lone surrogates survive
            self._file.execute("INSERT OR REPLACE INTO activity VALUES (?, ?)", values)

    def add_existing(self, given: Existing) -> list[Held]:
        """What the tenant held before anybody came."""
        asked = Held(given.account, given.event, given.note, dict(given.fields))
        author = AUTHORS[given.by]
        return [self.add(asked, author, origin="existing", age_s=given.age_s) for _ in range(given.copies)]

    def add_foreign(self, like: Held, fault: ForeignFault) -> None:
        """What another integration writes: the same activity, or nearly the same."""
        note, fields = fault.applied(like.note, like.fields)
        for _ in range(fault.copies):
            self.add(replace(like, note=note, fields=fields), AUTHORS[fault.by], origin="foreign")

    def wanted(self, body: Mapping[str, Any]) -> Held:
        """What a Create asks for. Raises Refused."""
        if self.rules.creates == "refused":
            raise Refused("MXUnAuthorizedAccess", "You are not authorized to create activities.")
        asked = wire.wanted(body, self.rules)
        self._check_owner(asked.fields)
        return asked

    def _check_owner(self, fields: Mapping[str, str]) -> None:
        """An inactive owner is refused (observed on leads)."""
        owner = self._people.get(fields.get("Owner", "").lower())
        if owner is not None and not owner.active:
            raise Refused("MXInvalidEntityReference", "The user given as 'Owner' is inactive.")

    def change(self, body: Mapping[str, Any], author: Person, *, lost: bool = False) -> dict[str, Any]:
        """`CompanyActivity.svc/Update`. lost: it says that it did, and does not. Raises Refused.

        Whether fields that an update leaves out keep their values is not documented: `update_leaves_out`.
        """
        activity_id, note, fields = wire.update(body, self.rules)
        self._check_owner(fields)
        held = self._existing(activity_id)
        if self.rules.update_leaves_out == "keep":
            note, fields = held.note if note is None else note, held.fields | fields
        if not lost:
            self._set(held, note or "", fields, author)
        return wire.success(activity_id, IsSuccessful=True)

    def edit(self, given: Edited) -> Held:
        """Somebody changes an activity by hand; null empties a field. Raises Refused."""
        held = self._existing(given.id)
        self._set(held, *given.applied(held.note, held.fields), AUTHORS[given.by])
        return held

    def _set(self, held: Held, note: str, fields: dict[str, str], author: Person) -> None:
        held.note, held.fields = note, fields
        held.modified_on, held.modified_by = self.now(), author.id
        self._keep(held)

    def _existing(self, activity_id: str) -> Held:
        held = self._by_id.get(activity_id)
        if held is None:
            raise Refused("MXInvalidEntityReference", f"Activity with Id '{activity_id}' does not exist.")
        return held

    def delete(self, activity_id: str) -> Held:
        """Somebody deletes an activity by hand; the API cannot. Raises Refused."""
        held = self._existing(activity_id.lower())
        if self._file is not None:
            self._file.execute("DELETE FROM activity WHERE id = ?", (held.id,))
        del self._by_id[held.id]
        self._by_company[held.company_id].remove(held)
        return held

    def retrieve(
        self, company_id: str | None, body: Mapping[str, Any], *, stale_s: float = 0.0, missing: int = 0
    ) -> dict[str, Any]:
        """`CompanyActivity.svc/Retrieve`. Raises Refused.

        stale_s: how old the reading is. missing: how many rows it lacks although it counts them.
        """
        self._may_read()
        company = wire.guid(company_id, "companyId")
        given = body.get("Parameter")
        if not isinstance(given, dict):
            raise Refused("MXInvalidInput", "'Parameter' is mandatory", status=400)
        if unknown := given.keys() - {"FromDate", "ToDate"}:
            raise Refused("MXInvalidInput", f"Unknown parameter: {', '.join(sorted(unknown))}", status=400)
        start, end = wire.time_span(given)
        if start > end:
            raise Refused("MXInvalidInput", "'FromDate' must not be after 'ToDate'")
        on_page = wire.paging(body)
        as_of = time.time() - stale_s
        seen = [
            held
            for held in self._by_company.get(company, ())
            if held.visible_at <= as_of and start <= held.modified_on <= end
        ]
        # the order of equal times changes from call to call, which is why pages overlap and miss
        ordered = sorted(seen, key=lambda held: (-int(held.modified_on), self._dice.random()))
        page = ordered[missing:][on_page]
        shown = {"CompanyActivities": [self._shown(held) for held in page]} if page else {}
        return {"RecordCount": len(seen), **shown}

    def by_id(self, activity_id: str | None, *, stale_s: float = 0.0) -> dict[str, Any]:
        """`CompanyActivity.svc/RetrieveById`. Raises Refused."""
        self._may_read()
        held = self._existing(wire.guid(activity_id, "activityId"))
        if held.visible_at > time.time() - stale_s:
            raise Refused("MXInvalidEntityReference", f"Activity with Id '{activity_id}' does not exist.")
        return self._shown(held)

    def _may_read(self) -> None:
        if self.rules.reads == "refused":
            raise Refused("MXUnAuthorizedAccess", "You are not authorized to view activities.")

    def _shown(self, held: Held) -> dict[str, Any]:
        dice = self._dice if self.rules.spelling == "mixed" else None
        values = {**held.fields, "note": held.note}
        for rule in self.rules.read_back:
            values[rule.field] = rule.applied(values.get(rule.field, ""))
        note, kinds = values.pop("note").strip(), self.rules.fields
        return {
            "CompanyActivityId": respelt(held.id, "user", dice),
            "RelatedCompanyId": respelt(held.company_id, "user", dice),
            "ActivityEvent": held.event,
            **({"ActivityNote": note} if note else {}),
            "ActivityDateTime": respelt(moment(held.created_on), "datetime", dice),
            "ActivityType": 2,
            "ActivityDisplayName": f"Activity {held.event}",
            "CreatedOn": respelt(moment(held.created_on), "datetime", dice),
            "ModifiedOn": respelt(moment(held.modified_on), "datetime", dice),
            "CreatedBy": respelt(held.created_by, "user", dice),
            "CreatedByName": self._people[held.created_by].name,
            "ModifiedBy": respelt(held.modified_by, "user", dice),
            "ModifiedByName": self._people[held.modified_by].name,
            "ActivityFields": {
                name: respelt(value, kinds[name].type if name in kinds else None, dice)
                for name, value in values.items()
                if value.strip()
            },
        }

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
            "Fields": [_field_shown(place, *field) for place, field in enumerate(fields.items(), 1)],
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

    def whoami(self, person: Person, known_as: str) -> dict[str, Any]:
        """`Authentication.svc/UserByAccessKey.Get`; the e-mail address is in PassPhrase, as documented.
        known_as: the host that the caller asked."""
        host = self.rules.right_host or known_as
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
            "OrgShortCode": self._options.organisation,
            "UserType": "Regular",
            "LSQCommonServiceURLs": {"api": host, "app": host},
        }

    def users(self) -> list[dict[str, Any]]:
        """`UserManagement.svc/Users.Get`."""
        return [person.shown() for person in self._people.values()]

    def companies(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """`CompanyManagement.svc/Company.Get`. Raises Refused."""
        return self._companies.get(body)


def _field_shown(place: int, name: str, rule: FieldRule) -> dict[str, Any]:
    """A field as GetActivitySetting lists it; a dropdown's options are JSON in a text (documentation)."""
    options = [
        {"IsDefault": False, "Text": "", "Value": value, "Order": i} for i, value in enumerate(rule.values)
    ]
    return {
        "SchemaName": name,
        "DisplayName": rule.name or name.replace("mx_", "").replace("_", " "),
        "Value": None,
        "DataType": _DATA_TYPES.get(rule.type, rule.type.title()),
        "IsMandatory": rule.required,
        "ShowInForm": True,
        "Sequence": place,
        "OptionSet": json.dumps(options) if options else "",
        "MaxFieldLength": rule.max_length or 200,
    }
