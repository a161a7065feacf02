"""The connection of a use case, whose the keys are, and what is asked before anything is sent."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from pydantic import SecretStr

from importer.activity import ActivityField
from importer.app.observer import SILENT, Observer, Progress, Stage, StopHandle
from importer.app.options import CallOptions, SendingOptions
from importer.app.records import Account
from importer.app.staging import AskedValues
from importer.app.stores import open_store, rehearsal_file
from importer.credentials import Keys, base_url, check_host, remove
from importer.credentials import store as keep
from importer.errors import ResultsError, SettingsError, UserError, WorkError
from importer.home import hide, home, log_call, open_log
from importer.leadsquared.answers import CurrentUser
from importer.leadsquared.calls import ReadFailed, Tenant, Unreachable
from importer.leadsquared.lookups import from_plain, resolve
from importer.mapping.choices import Resolved
from importer.mapping.mapping import Mapping
from importer.pacing.rules import Rate
from importer.sending.engine import connected, tenant_name
from importer.sending.outage import StopReason
from importer.sending.run_state import SendOptions, TenantConnection
from importer.settings import Settings, load_rate, load_settings, usable_key
from importer.store.pace import StoredPace
from importer.store.records import Batch
from importer.store.store import Store

EMBEDDED: Final = "the embedded sandbox"
RETRY_FIRST_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
WHOAMI_OUTAGE_S: Final = 60.0
"""How long a single question waits for its place in a tenant's used-up allowance."""
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Session:
    """An open connection, and the settings that it was made from. options: how rows are sent over it. store:
    where all that calls the tenant shares its pace; None for rehearsals, and where nothing was stored yet."""

    def __init__(
        self, settings: Settings, options: SendOptions, connection: TenantConnection, store: Store | None
    ) -> None:
        self.settings, self.options = settings, options
        self.connection = connection
        self._store = store
        self._shared: StoredPace | None = None
        keys = f"{settings.base_url} {settings.keys.access.get_secret_value()}"
        self._digest = hashlib.sha256(keys.encode()).hexdigest()
        self._known = store.fact(f"keys {self._digest}") if store else None
        if self._known is not None:
            self._share_pace(self._known)

    async def user(self) -> CurrentUser:
        """Whose keys these are; from now on the pace is shared. Raises TenantError, also where the host is
        another region's."""
        user = await self.connection.tenant.current_user()
        wrong = check_host(self.settings.base_url, user.api_host)
        if wrong is not None:
            raise wrong
        if self._store is not None:
            tenant = tenant_name(self.settings.base_url, user, rehearsal=False)
            if tenant != self._known:
                self._store.keep_fact(f"keys {self._digest}", tenant)
            if self._shared is None:
                self._share_pace(tenant)
        return user

    async def user_of(self, batch: Batch) -> CurrentUser:
        """As `user`; the keys must be of the batch's own organisation. Raises ResultsError."""
        user = await self.user()
        tenant = tenant_name(self.settings.base_url, user, rehearsal=batch.rehearsal)
        if tenant != batch.tenant:
            raise ResultsError(
                f"This batch belongs to {batch.organisation or batch.tenant} on {batch.tenant}, and the keys"
                f" to {tenant}.",
                where=batch.id,
                remedy="Use the host and keys of the batch's own organisation. Nothing was sent.",
                code="keys",
            )
        return user

    def _share_pace(self, tenant: str) -> None:
        assert self._store is not None
        self._shared = self._store.pace(tenant)
        self.connection.pace.join(self._shared)

    def close(self) -> None:
        """After the connection was closed."""
        if self._shared is not None:
            self._shared.close()


@asynccontextmanager
async def session(
    calls: CallOptions,
    store: Store | None = None,
    sending: SendingOptions | None = None,
    *,
    settings: Settings | None = None,
    rehearsal: str = "",
    asked: AskedValues | None = None,
) -> AsyncIterator[Session]:
    """A connection to the tenant of the settings (None: those in force), whose pace is shared through `store`
    (None: through the store in force, if there is one); with `calls.sandbox` to the embedded sandbox as the
    batch `rehearsal` left it, which knows whatever is asked to be looked up.

    Raises SettingsError.
    """
    how = sending or SendingOptions()
    options = SendOptions(
        workers=calls.workers, timeout_s=calls.timeout_s, max_outage_s=calls.max_outage_s,
        settle_s=how.settle_s, max_attempts=how.max_attempts, keep_going=how.keep_going,
        limit=how.limit,
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        if calls.sandbox:
            embedded = _embedded(rehearsal, calls.rate, asked or {})
            settings, store = await stack.enter_async_context(embedded), None
        else:
            settings = settings or load_settings(host=calls.host, rate=calls.rate)
            store = store or _store_in_force(stack)
        hide([settings.keys.access.get_secret_value(), settings.keys.secret.get_secret_value()])
        open_log(settings.home.root)
        opening = connected(settings.base_url, settings.keys, settings.rate, options, on_exchange=log_call)
        async with opening as connection:
            opened = Session(settings, options, connection, store)
            stack.callback(opened.close)
            yield opened


def _store_in_force(stack: AsyncExitStack) -> Store | None:
    """For commands that store nothing. Without a store, or with one that cannot be used, their few calls are
    paced by themselves."""
    with suppress(UserError, WorkError):
        found = stack.enter_context(open_store(create=False))
        if found.is_kept and found.moved_to is None:
            return found
    return None


@asynccontextmanager
async def _embedded(batch: str, rate: Rate | None, asked: AskedValues) -> AsyncIterator[Settings]:
    from importer.sandbox import (  # a server, which only a rehearsal needs
        Sandbox,
        SandboxOptions,
        read_faults,
    )

    own = home()
    own.prepare()
    users = [value for lookup, values in asked.items() if lookup.kind == "user" for value in values.values()]
    accounts = {
        lookup.by: list(values.values()) for lookup, values in asked.items() if lookup.kind == "account"
    }
    asked_for = read_faults({"tenant": {"users": users, "accounts": accounts}}, "")
    file = rehearsal_file(own, batch) if batch else own.sandbox / "embedded"
    limit = load_rate(rate)
    async with Sandbox(SandboxOptions(store=file, faults=asked_for)) as sandbox:
        keys = Keys(SecretStr(sandbox.access_key), SecretStr(sandbox.secret_key))
        yield Settings(sandbox.url, keys, limit, own, EMBEDDED)


def heed_stop(stop: StopHandle, end: Callable[[StopReason, str, int], object]) -> None:
    """Has the work end in good order when somebody asks. end: of the work."""
    interrupt = partial(end, StopReason.INTERRUPTED, "Interrupted.", 130)
    stop.when_requested(interrupt, asyncio.get_running_loop())


async def persistently(
    ask: Callable[[], Awaitable[T]], max_outage_s: float, observer: Observer, *, what: str
) -> T:
    """`ask`, again and again while LeadSquared gives no answer, for `max_outage_s` at most.

    what: for the person, as in "Looking up failed". Raises Unreachable, after that time.
    """
    loop = asyncio.get_running_loop()
    until, wait_s = loop.time() + max_outage_s, RETRY_FIRST_S
    while True:
        try:
            return await ask()
        except Unreachable as error:
            pause_s = wait_s * random.uniform(0.75, 1.25)  # many clients must not come back together
            if loop.time() + pause_s > until:
                raise
            observer.notice(f"{what} failed ({error.what}). Trying again in {pause_s:.0f} s.", warning=True)
            _log.warning("%s failed: %s", what, error.what)
            await asyncio.sleep(pause_s)
            wait_s = min(2 * wait_s, RETRY_MAX_S)


TypeFields = list[tuple[int, tuple[ActivityField, ...]]]
"""Activity type → its fields."""
TYPES_ASKED_MAX: Final = 3
"""Each is a call that may hang until its time-out, and few sheets have more types."""


async def looked_up(
    tenant: Tenant,
    asked: AskedValues,
    observer: Observer,
    *,
    kept: dict[str, str] | None = None,
    max_outage_s: float = 0.0,
) -> Resolved:
    """Answers for everything asked, those that were kept (`lookups.to_plain`) among them. Raises ReadFailed,
    Unreachable after `max_outage_s` without an answer."""
    if not asked:
        return {}
    questions = [(lookup, value) for lookup, values in asked.items() for value in values.values()]
    known = from_plain(kept or {})

    def advance(done: int, total: int) -> None:
        observer.progress(Progress(Stage.LOOKING_UP, done, total))

    return await persistently(
        lambda: resolve(tenant, questions, kept=known, progress=advance),
        max_outage_s,
        observer,
        what="Looking up accounts and users",
    )


async def asked_fields(tenant: Tenant, mapping: Mapping) -> TypeFields:
    """The fields of each activity type of the mapping, where LeadSquared gives them. One silent try each."""
    found: TypeFields = []
    for code in mapping.event_codes[:TYPES_ASKED_MAX]:
        fields = await tenant.activity_fields(code)
        if fields is not None:
            found.append((code, fields))
    return found


async def fields_of_type(code: int, calls: CallOptions) -> tuple[ActivityField, ...]:
    """The fields of an activity type as LeadSquared says them, () where it does not. Raises SettingsError,
    TenantError, WorkError."""
    async with session(calls) as opened:
        return await opened.connection.tenant.activity_fields(code) or ()


async def try_values(asked: AskedValues, calls: CallOptions) -> Resolved:
    """Answers for a few values, for somebody who writes a mapping. Raises SettingsError, TenantError,
    WorkError."""
    async with session(calls, asked=asked) as opened:
        return await looked_up(opened.connection.tenant, asked, SILENT)


async def whoami(calls: CallOptions) -> Account:
    """Asks LeadSquared. Raises SettingsError, TenantError."""
    async with session(replace(calls, max_outage_s=min(calls.max_outage_s, WHOAMI_OUTAGE_S))) as opened:
        return await _account(opened)


async def login(host: str, access_key: str, secret_key: str) -> tuple[Account, str]:
    """Keeps keys and host in the keyring once LeadSquared has accepted them; whose they are, and the
    keyring's name. Raises SettingsError, TenantError; then nothing was kept."""
    require_usable("access key", access_key)
    require_usable("secret key", secret_key)
    address = base_url(host, where="host")
    keys = Keys(SecretStr(access_key), SecretStr(secret_key))
    settings = Settings(address, keys, load_rate(), home(), "this sign-in")
    async with session(CallOptions(max_outage_s=WHOAMI_OUTAGE_S), settings=settings) as opened:
        account = await _account(opened)
    return account, keep(address, keys)


def require_usable(name: str, given: str) -> None:
    """Raises SettingsError for what cannot be a key. name: which one, for a person."""
    if not usable_key(given):
        raise SettingsError(
            f"That is not a valid {name}: it is empty, or holds blanks or characters that no key has.",
            remedy="Copy it again from My Account > Settings > API and Webhooks.",
        )


def logout() -> bool:
    """Removes them; False if there were none. Raises SettingsError when the keyring refuses."""
    return remove()


async def _account(opened: Session) -> Account:
    user, settings = await opened.user(), opened.settings
    email = user.email or await _email_of(user.id, opened)
    return Account(
        user=user.name,
        email=email,
        user_id=user.id,
        role=user.role,
        organisation=user.organisation,
        org_code=user.org_code,
        time_zone=user.time_zone,
        host=settings.base_url,
        keys_from=settings.origin,
    )


async def _email_of(user_id: str, opened: Session) -> str:
    """The answer about keys has no address, so the list of users is asked; "" where the keys may not."""
    try:
        users = await opened.connection.tenant.users()
    except ReadFailed:
        return ""
    return next((user.attributes.get("EmailAddress", "") for user in users if user.id == user_id), "")
