"""The tenant: LeadSquared's calls, each at its place in the pace, with answers instead of exchanges.

Reads wait out refusals for the rate (through the pace, for a bounded time) and raise `ReadFailed`
otherwise; `create` never raises for what LeadSquared did, it gives the `Outcome`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
import statistics
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from importer.activity import ActivityField, Fields, StoredActivity
from importer.errors import TenantError
from importer.leadsquared import answers
from importer.leadsquared.answers import AnswerError, Candidate, CurrentUser
from importer.leadsquared.client import LeadSquared, WithheldError
from importer.leadsquared.outcomes import (
    CERTAINLY_NOT_SENT,
    REFUSALS,
    Exchange,
    Outcome,
    OutcomeKind,
    http_date,
)
from importer.pacing.pacing import Pace, Slot
from importer.pacing.rules import ends_quota, quota_words
from importer.remedies import remedy_for

LOOKS_MAX: Final = 3
LOOK_MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all pages of one reading of an account together."""
PAGE_SIZE: Final = 100
ACCOUNTS_PAGE_SIZE: Final = 1000
PAGES_MAX: Final = 200
CLOCK_SAMPLES: Final = 31
CLOCK_SAMPLE_EVERY_S: Final = 0.1
WHOAMI_PAUSES_S: Final = (0.5, 1.0)
"""Short bursts of DNS failures and closed connections happen (observed): whoami is asked again."""
WHOAMI_PATIENCE_S: Final = 5.0

_T = TypeVar("_T")


class ReadFailed(TenantError):  # noqa: N818 - named by what happened, like its siblings below
    """A read gave no answer. `outcome` says why."""

    error_code = "address"

    def __init__(self, outcome: Outcome, what: str, *, where: str = "", remedy: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.outcome = outcome


class Unauthorised(ReadFailed):
    """The keys are wrong or were revoked."""

    error_code = "keys"


class Unreachable(ReadFailed):
    """No usable answer came, but may come later: network, outage, rate."""

    error_code = "unreachable"


@dataclass(frozen=True, slots=True)
class Reading:
    """What Retrieve returned of an account. complete: as many distinct activities as it says there are
    were seen; only then does an absence mean anything. outcome: why it failed, None if it did not."""

    activities: tuple[StoredActivity, ...]
    complete: bool
    outcome: Outcome | None = None


class Tenant:
    """One LeadSquared tenant behind one pace. patience_s: how long a read waits out refusals for the rate."""

    def __init__(self, api: LeadSquared, pace: Pace, *, patience_s: float = 900.0) -> None:
        self._api = api
        self._pace = pace
        self._patience_s = patience_s
        self._clock_samples: deque[float] = deque(maxlen=CLOCK_SAMPLES)
        self._sampled_at = -math.inf
        self.clock_difference_s = 0.0
        """The tenant's clock minus ours, from the `Date` of its answers (whole seconds): the median of the
        last ones, so that a late or cached answer moves nothing. 0 before the first answer."""

    def __repr__(self) -> str:
        return f"<Tenant {self._api.base_url}, clock {self.clock_difference_s:+.1f} s>"

    @property
    def base_url(self) -> str:
        return self._api.base_url

    async def create(self, body: bytes, slot: Slot, may_leave: Callable[[], bool] = lambda: True) -> Outcome:
        """One Create call on `slot`. Cancelling it gives an outcome too (see `LeadSquared`).

        may_leave: asked just before the first byte leaves; False gives NOT_SENT.
        """

        def leaves() -> None:
            if not may_leave():
                raise WithheldError("withheld by the importer")
            slot.left()

        return (await self._on_slot(slot, self._api.write("Create", body, on_left=leaves))).outcome

    async def update(self, activity_id: str, note: str | None, fields: Fields) -> Outcome:
        """One Update call: the note (None: left alone) and the fields named are to hold these values.

        Never raises for what LeadSquared did. CREATED means that it says it was done; read it back.
        """
        changed: dict[str, object] = {"CompanyActivityId": activity_id}
        if note is not None:
            changed["ActivityNote"] = note
        changed["Fields"] = [{"SchemaName": name, "Value": value} for name, value in fields]
        body = json.dumps(changed, ensure_ascii=False).encode("utf-8", "replace")
        slot = await self._pace.slot()
        return (await self._on_slot(slot, self._api.write("Update", body, on_left=slot.left))).outcome

    async def activities(self, company_id: str, since: dt.datetime, until: dt.datetime) -> Reading:
        """The account's activities in a window. Never raises for what LeadSquared did.

        Pages until as many distinct Ids were seen as `RecordCount` says: the order of pages changes from
        call to call (observed), so counting rows would miss some. Incomplete: reads again, a few times.
        """
        seen: dict[str, StoredActivity] = {}
        sizes: list[int] = []
        outcome: Outcome | None = None
        try:
            for _ in range(LOOKS_MAX):
                if await self._all_pages(company_id, since, until, seen, sizes):
                    return Reading(tuple(seen.values()), complete=True)
        except ReadFailed as error:
            outcome = error.outcome
        return Reading(tuple(seen.values()), complete=False, outcome=outcome)

    async def _all_pages(
        self, company_id: str, since: dt.datetime, until: dt.datetime,
        seen: dict[str, StoredActivity], sizes: list[int],
    ) -> bool:  # fmt: skip
        """Pages through once, adding to `seen` by Id, and to `sizes` (bytes) by page. Returns whether all
        were seen. Raises ReadFailed.

        The count is not believed alone: a full page that brought something new is followed by the next,
        in case `RecordCount` counts the page only.
        """
        wanted = page_size = 0
        for number in range(1, PAGES_MAX + 1):
            try:
                (count, found), page_bytes = await self._page(company_id, since, until, number)
            except Unreachable:  # once more, since the pages before it would have to be read again
                if not seen:
                    raise
                (count, found), page_bytes = await self._page(company_id, since, until, number)
            sizes.append(page_bytes)
            if sum(sizes) > LOOK_MAX_BYTES:
                why = remedy_for("too-large").meaning
                outcome = Outcome(OutcomeKind.DOUBTFUL, "too-large", why, 200, complete=True)
                raise ReadFailed(outcome, "The account's activities are too large to be read.")
            before = len(seen)
            seen.update((activity.id.casefold(), activity) for activity in found)
            wanted = max(wanted, count)
            brought_more = len(found) >= PAGE_SIZE and len(seen) > before
            if len(seen) >= wanted and not brought_more:
                return True
            page_size = max(page_size, len(found))
            if not found or number * page_size >= wanted + page_size:
                return False
        return False

    async def _page(
        self, company_id: str, since: dt.datetime, until: dt.datetime, number: int
    ) -> tuple[tuple[int, list[StoredActivity]], int]:
        """One page (from 1) as `read_activities` gives it, and its size in bytes. Raises ReadFailed."""
        asked = {
            "Parameter": {"FromDate": _written(since), "ToDate": _written(until)},
            "Paging": {"PageIndex": str(number), "PageSize": str(PAGE_SIZE)},
        }
        return await self._answer(
            "give the account's activities", "CompanyActivity.svc/Retrieve",
            lambda body: (answers.read_activities(body), len(body)), {"companyId": company_id}, asked,
        )  # fmt: skip

    async def activity(self, activity_id: str) -> StoredActivity | None:
        """One activity by its Id, None if there is none (or these keys may not see it). Raises ReadFailed."""
        try:
            return await self._answer(
                "give the activity", "CompanyActivity.svc/RetrieveById", _activity_or_none,
                {"activityId": activity_id},
            )  # fmt: skip
        except ReadFailed as error:
            # How an unknown Id is refused is not documented; whoami answered here, so a 404 is one way.
            if error.outcome.kind in REFUSALS or error.outcome.http_status == 404:
                return None
            raise

    async def current_user(self) -> CurrentUser:
        """Whose keys these are. Raises Unauthorised, Unreachable or ReadFailed (wrong address)."""
        path, read = "Authentication.svc/UserByAccessKey.Get", answers.read_current_user
        started = time.monotonic()
        for pause_s in WHOAMI_PAUSES_S:
            try:
                return await self._answer("say whose keys these are", path, read)
            except Unreachable as error:
                if error.outcome.refusal is not None or time.monotonic() - started > WHOAMI_PATIENCE_S:
                    raise
            await asyncio.sleep(pause_s)
        return await self._answer("say whose keys these are", path, read)

    async def users(self) -> tuple[Candidate, ...]:
        """All users of the tenant, active or not. Raises ReadFailed."""
        return await self._answer("list the users", "UserManagement.svc/Users.Get", answers.read_users)

    async def activity_fields(self, code: int) -> tuple[ActivityField, ...] | None:
        """The fields of an activity type, where LeadSquared gives them; None where it does not (documented
        for leads' activities only). One try; never raises: it may never stop an import."""
        path = "ProspectActivity.svc/CustomActivity/GetActivitySetting"
        exchange = await self._read(path, {"code": str(code)}, None)
        try:
            return None if exchange.read_failure else answers.read_activity_fields(exchange.body)
        except AnswerError:
            return None

    async def companies(
        self, company_type: str, attribute: str, *, value: str | None = None, page: int = 1
    ) -> tuple[int, list[Candidate]]:
        """How many accounts of a type there are, and a page (from 1) of them with this attribute. value: only
        those that have it. Raises ReadFailed."""
        query: dict[str, Any] = {"CompanyType": {"CompanyTypeName": company_type}}
        if value is not None:
            query["FilterBy"] = {"LookupName": attribute, "LookupValue": value, "SqlOperator": "="}
        asked = {
            "Query": query,
            "Columns": {"Include_CSV": ",".join(dict.fromkeys(("CompanyId", "CompanyName", attribute)))},
            "Sorting": {"ColumnName": "CreatedOn", "Direction": "0"},
            "Paging": {"PageIndex": page, "PageSize": ACCOUNTS_PAGE_SIZE},
        }
        path = "CompanyManagement.svc/Company.Get"
        return await self._answer("look up accounts", path, answers.read_companies, {}, asked)

    async def _answer(
        self,
        purpose: str,
        path: str,
        parse: Callable[[bytes], _T],
        query: Mapping[str, str] = MappingProxyType({}),
        asked: Mapping[str, Any] | None = None,
    ) -> _T:
        """The parsed answer to a read. Raises ReadFailed; waits out refusals for the rate."""
        deadline = time.monotonic() + self._patience_s
        while True:
            exchange = await self._read(path, query, asked)
            failed = exchange.read_failure
            if failed is None:
                try:
                    return parse(exchange.body)
                except AnswerError as error:
                    kind, status, why = OutcomeKind.DOUBTFUL, exchange.status, str(error)
                    failed = Outcome(kind, "unreadable", f"{why}.", status, complete=True, said=why)
            hopeless = failed.refusal is None or ends_quota(failed.refusal)
            if hopeless or time.monotonic() >= deadline:
                raise read_failed(failed, exchange, purpose, self.base_url)

    async def _read(self, path: str, query: Mapping[str, str], asked: Mapping[str, Any] | None) -> Exchange:
        slot = await self._pace.slot()
        return await self._on_slot(slot, self._api.read(path, query, asked, on_left=slot.left))

    async def _on_slot(self, slot: Slot, call: Awaitable[Exchange]) -> Exchange:
        """The call made; its slot ends with it, whatever happens."""
        try:
            exchange = await call
        except BaseException:
            slot.returned()
            raise
        if exchange.failure in CERTAINLY_NOT_SENT:
            slot.unused()
        else:
            slot.returned(exchange.outcome.refusal)
        self._note_time(exchange)
        return exchange

    def _note_time(self, exchange: Exchange) -> None:
        """Take the clock difference from an answer: its `Date` was written about half-way through the
        exchange, and is half a second short on average."""
        now = time.time()
        if exchange.failure is not None or 0 <= now - self._sampled_at < CLOCK_SAMPLE_EVERY_S:
            return
        theirs = http_date(exchange.headers.get("date", ""))
        if theirs is not None:
            self._sampled_at = now
            self._clock_samples.append(theirs.timestamp() + 0.5 - (now - exchange.seconds / 2))
            self.clock_difference_s = statistics.median(self._clock_samples)


def read_failed(outcome: Outcome, exchange: Exchange, purpose: str, base_url: str) -> ReadFailed:
    """The error for a read that gave no answer. purpose: as in "refused to …"."""
    meaning = remedy_for(outcome.code).meaning.split("; the row")[0].rstrip(".")
    error: type[ReadFailed] = Unreachable
    match outcome.kind:
        case OutcomeKind.UNAUTHORISED:
            # a deactivated user and another region's host are a 401, too: only LeadSquared's own words tell
            said = f": {outcome.said.rstrip('.')}" if outcome.said else ""
            error, what = Unauthorised, f"LeadSquared refused the keys{said}."
            remedy = (
                "Check LEADSQUARED_ACCESS_KEY and LEADSQUARED_SECRET_KEY against My Account > Settings > API"
                " and Webhooks; the keys' user must be active."
            )
        case OutcomeKind.NOT_SENT:
            detail = f" ({exchange.detail})" if outcome.code == "tls" and exchange.detail else ""
            what, remedy = f"{meaning}{detail}.", _NOT_SENT_REMEDIES.get(outcome.code, _NETWORK)
        case OutcomeKind.THROTTLED if outcome.refusal is not None and ends_quota(outcome.refusal):
            what = quota_words(outcome.refusal)
            remedy = "Try again when it is renewed, or ask LeadSquared for a larger one."
        case OutcomeKind.THROTTLED:
            what = "The tenant's limit of API calls stays used up."
            remedy = "Other integrations use it too: try again later, or with a lower --rate."
        case OutcomeKind.WRONG_ADDRESS:
            status = f"HTTP {outcome.http_status}{_redirection(exchange)}"
            error, what = ReadFailed, f"There is no LeadSquared API at this address ({status})."
            remedy = "Check LEADSQUARED_HOST: My Account > Settings > API and Webhooks shows the API host."
        case OutcomeKind.REFUSED | OutcomeKind.UNKNOWN_REFUSAL:
            said = (outcome.said or outcome.code).rstrip(".")
            error, what = ReadFailed, f"LeadSquared refused to {purpose}: {said}."
            remedy = remedy_for(outcome.code).action.replace("`resume --retry-failed`", "try again")
        case _ if outcome.code == "unreadable" and (outcome.http_status or 500) < 500:
            error, what = ReadFailed, f"The answer is not LeadSquared's: {outcome.said or meaning}."
            remedy = "Check LEADSQUARED_HOST, and that no sign-in page of the network stands in between."
        case _:
            what = f"LeadSquared gave no usable answer ({outcome.code}): {meaning}."
            remedy = "Try again in a few minutes."
    return error(outcome, what, where=urlsplit(base_url).netloc, remedy=remedy)


_NETWORK: Final = "Check the network and LEADSQUARED_HOST, then try again."
_NOT_SENT_REMEDIES: Final = {
    "tls": "Check the computer's date and certificates, and ask IT whether a proxy inspects traffic.",
    "proxy": "Set HTTPS_PROXY to http://USER:PASSWORD@PROXY:PORT, or ask IT.",
}


def _redirection(exchange: Exchange) -> str:
    """Where a redirect points, the host only: the rest of the address may hold a session's secrets."""
    try:
        host = urlsplit(exchange.headers.get("location", "")).hostname
    except ValueError:
        host = None
    return f", to {host[:100]}" if host and host.isprintable() else ""


def _written(moment: dt.datetime) -> str:
    """As the API wants it: UTC `YYYY-MM-DD HH:MM:SS` (documented, overview page)."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _activity_or_none(body: bytes) -> StoredActivity | None:
    return None if body.strip() in {b"", b"null", b"{}", b"[]"} else answers.read_activity(body)
