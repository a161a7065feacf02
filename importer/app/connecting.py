"""The connection that a use case works over: to the tenant of the settings, or to the embedded sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Final, TypeVar

from pydantic import SecretStr

from importer.address import check_host
from importer.app.observer import Observer
from importer.app.options import CallOptions, SendingOptions
from importer.app.staging import AskedValues
from importer.app.stores import open_store
from importer.credentials import Keys
from importer.errors import UserError, WorkError
from importer.home import Home, home
from importer.leadsquared.answers import CurrentUser
from importer.leadsquared.calls import Unreachable
from importer.pacing.window import Rate
from importer.sending.engine import TenantConnection, connected, tenant_name
from importer.sending.run_state import SendOptions
from importer.settings import Settings, load_rate, load_settings
from importer.store.pace import StoredPace
from importer.store.store import Store
from importer.support_log import hide, log_call, open_log

EMBEDDED: Final = "the embedded sandbox"
RETRY_FIRST_S: Final = 2.0
RETRY_MAX_S: Final = 60.0
T = TypeVar("T")
_log = logging.getLogger(__name__)


class Session:
    """An open connection, and the settings that it was made from. store: where all that calls the tenant
    shares its pace; None for rehearsals, and where nothing was stored yet."""

    def __init__(self, settings: Settings, connection: TenantConnection, store: Store | None) -> None:
        self.settings = settings
        self.connection = connection
        self._store = store
        self._shared: StoredPace | None = None
        keys = f"{settings.base_url} {settings.keys.access.get_secret_value()}"
        self._digest = hashlib.sha256(keys.encode()).hexdigest()
        self._known = store.known_tenant(self._digest) if store else None
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
                self._store.remember_tenant(self._digest, tenant)
            if self._shared is None:
                self._share_pace(tenant)
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
    options: SendOptions,
    store: Store | None,
    *,
    rehearsal: str = "",
    asked: AskedValues | None = None,
) -> AsyncIterator[Session]:
    """A connection to the tenant of the settings, whose pace is shared through `store` (None: through the
    store in force, if there is one); with `calls.sandbox` to the embedded sandbox as the batch `rehearsal`
    left it, which knows whatever is asked to be looked up.

    Raises SettingsError.
    """
    if calls.sandbox:
        embedded = _embedded(rehearsal, calls.rate, asked or {})
        async with embedded as settings, _session(settings, options, None) as opened:
            yield opened
        return
    settings = load_settings(host=calls.host, rate=calls.rate)
    async with connected_session(settings, options, store) as opened:
        yield opened


@asynccontextmanager
async def connected_session(
    settings: Settings, options: SendOptions, store: Store | None
) -> AsyncIterator[Session]:
    """A connection with these settings. store: where all that calls the tenant shares its pace; None: the
    store in force, if there is one."""
    with _store_in_force() if store is None else nullcontext(store) as shared:
        async with _session(settings, options, shared) as opened:
            yield opened


@contextmanager
def _store_in_force() -> Iterator[Store | None]:
    """For commands that store nothing. Without a store, or with one that cannot be used, their few calls are
    paced by themselves."""
    with ExitStack() as stack:
        found: Store | None = None
        with suppress(UserError, WorkError):
            found = stack.enter_context(open_store(create=False))
        yield found if found is not None and found.is_kept and found.moved_to is None else None


@asynccontextmanager
async def _session(settings: Settings, options: SendOptions, store: Store | None) -> AsyncIterator[Session]:
    log_calls(settings)
    opening = connected(settings.base_url, settings.keys, settings.rate, options, on_exchange=log_call)
    with ExitStack() as stack:
        async with opening as connection:
            opened = Session(settings, connection, store)
            stack.callback(opened.close)
            yield opened


@asynccontextmanager
async def _embedded(batch: str, rate: Rate | None, asked: AskedValues) -> AsyncIterator[Settings]:
    from importer.sandbox import Sandbox, SandboxOptions  # a server, which only a rehearsal needs

    own = home()
    own.prepare()
    users = [value for lookup, values in asked.items() if lookup.kind == "user" for value in values.values()]
    accounts = {
        lookup.by: list(values.values()) for lookup, values in asked.items() if lookup.kind == "account"
    }
    file = rehearsal_file(own, batch) if batch else own.sandbox / "embedded"
    limit = load_rate(rate)
    async with Sandbox(SandboxOptions(store=file, users=users, accounts=accounts)) as sandbox:
        keys = Keys(SecretStr(sandbox.access_key), SecretStr(sandbox.secret_key))
        yield Settings(sandbox.url, keys, limit, own, EMBEDDED)


def rehearsal_file(own: Home, batch: str) -> Path:
    """Where the sandbox keeps what a rehearsal created."""
    return own.sandbox / f"{batch}.sqlite"


def remove_rehearsal_file(batch: str) -> None:
    """Forgets what the sandbox created in a rehearsal."""
    file = rehearsal_file(home(), batch)
    for end in ("", "-wal", "-shm"):
        file.with_name(file.name + end).unlink(missing_ok=True)


def send_options(calls: CallOptions, sending: SendingOptions | None = None) -> SendOptions:
    """The same for the sending room. sending: None where nothing is created."""
    how = sending or SendingOptions()
    return SendOptions(
        workers=calls.workers,
        timeout_s=calls.timeout_s,
        max_outage_s=calls.max_outage_s,
        settle_s=how.settle_s,
        max_attempts=how.max_attempts,
        keep_going=how.keep_going,
        limit=how.limit,
    )


def log_calls(settings: Settings) -> None:
    """Opens the support log, and keeps these keys out of it."""
    hide([settings.keys.access.get_secret_value(), settings.keys.secret.get_secret_value()])
    open_log(settings.home.root)


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


def as_work_error(error: Unreachable) -> WorkError:
    """For a batch that exists: it waits."""
    return WorkError(error.what, where=error.where, remedy=error.remedy, code="unreachable")
