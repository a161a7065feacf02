"""What headings say, whatever their spelling: `AccountGuid`, `account-id` and `Accuont ID` are one."""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import Final

from rapidfuzz import fuzz

ALIKE_LEAST: Final = 86.0
SHORT_MAX: Final = 5


class Role(enum.Enum):
    """What a column can be for, beyond a field of its own."""

    ACCOUNT_ID = "account id"
    ACCOUNT_CODE = "account code"
    ACCOUNT_NAME = "account name"
    OWNER = "owner"
    NOTE = "note"
    EVENT = "event"
    CHOICE = "choice"
    DATE = "date"
    LABEL = "label"
    KIND = "kind"


PHRASES: Final[dict[Role, tuple[str, ...]]] = {
    role: tuple(phrases.split(", "))
    for role, phrases in {
        Role.ACCOUNT_ID: (
            "related company id, account id, company id, account guid, company guid, related account "
            "id, organisation id, organization id, customer id, client id, account uuid, crm id, lsq "
            "account id, leadsquared account id, leadsquared id"
        ),
        Role.ACCOUNT_CODE: (
            "account code, company code, customer code, client code, account number, account no, "
            "customer number, customer no, client no, dealer code, store code, outlet code, party code, "
            "account ref, account reference, code, acct code, acct no, shop code"
        ),
        Role.ACCOUNT_NAME: (
            "account name, account, company name, company, customer name, customer, client name, "
            "client, organisation, organization, party name, dealer name, dealer, store name, shop"
        ),
        Role.OWNER: (
            "owner, owner id, owner email, user, user id, user email, agent, agent email, visited by, "
            "visited by email, called by, done by, created by, logged by, sales rep, sales person, "
            "sales executive, executive, assigned to, employee, employee email, rep, rep email, "
            "relationship manager, account manager, account owner, field officer, staff, sales rep "
            "email, activity owner, owner mail, performed by"
        ),
        Role.NOTE: (
            "remarks, remark, notes, note, comments, comment, activity note, description, details, "
            "summary, feedback, discussion, minutes of meeting, observations, call notes, visit notes, "
            "meeting notes, activity notes"
        ),
        Role.EVENT: (
            "activity event, activity event code, event code, activity code, activity type code, "
            "activity type, event type, activity, type of activity"
        ),
        Role.KIND: ("type, kind"),
        Role.CHOICE: (
            "outcome, status, stage, result, type, priority, category, disposition, reason, rating, "
            "segment, region, zone, channel, mode, source, purpose"
        ),
        Role.DATE: (
            "date, visit date, call date, meeting date, activity date, created on, date of visit, next "
            "visit, follow up date, due date, start date, end date, when, day, date time"
        ),
        Role.LABEL: (
            "s no, sr no, serial no, sl no, no, row, row no, visit no, case no, ticket no, phone, phone "
            "no, phone number, mobile, mobile no, mobile number, telephone, fax, pin code, pincode, "
            "zip, zip code, postal code, postcode, invoice no, order no, order id, ticket id, visit id, "
            "case id, reference, ref no, gst no, gstin, id"
        ),
    }.items()
}

_USUAL: Final = (
    "account, address, agent, amount, city, client, code, comment, comments, company, customer, "
    "date, description, details, email, follow, guid, id, mail, mobile, name, next, no, note, notes, "
    "number, outcome, owner, phone, region, remark, remarks, stage, status, time, type, user, value"
)
_OTHERS: Final = "account, client, company, contact, customer, dealer, guest, lead, person, prospect"
HEADING_WORDS: Final = frozenset(_USUAL.split(", "))
OTHERS_WORDS: Final = frozenset(_OTHERS.split(", "))
"""In a heading of e-mail addresses: they are not those of our own users."""

_JOINT: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@lru_cache(maxsize=4096)
def words(heading: str) -> str:
    """The heading as lower-case words: `AccountGuid` and `ACCOUNT_GUID` give `account guid`."""
    parted = _JOINT.sub(" ", heading).casefold().replace("e-mail", "email")
    return " ".join("".join(char if char.isalnum() else " " for char in parted).split())


def likeness(heading: str, role: Role) -> float:
    """How much a heading sounds like the role, 0 to 100; 0 if it does not."""
    return _likeness(words(heading), role)


@lru_cache(maxsize=16_384)
def _likeness(said: str, role: Role) -> float:
    if not said or len(said) > 60:
        return 0.0
    joined = said.replace(" ", "")
    # Short words differ by one letter and mean another thing: only longer ones may be misspelt.
    found = max(
        max(fuzz.ratio(said, phrase), fuzz.token_sort_ratio(said, phrase))
        if min(len(joined), len(phrase)) > SHORT_MAX and joined != phrase.replace(" ", "")
        else 100.0 * (joined == phrase.replace(" ", ""))
        for phrase in PHRASES[role]
    )
    return found if found >= ALIKE_LEAST else 0.0


def is_of_others(heading: str) -> bool:
    """Whether e-mail addresses under this heading are those of customers rather than of users."""
    said = set(words(heading).split())
    return not said.isdisjoint(OTHERS_WORDS) and not said & {"owner", "manager", "user"}
