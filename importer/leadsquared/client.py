"""LeadSquared's API over one aiohttp session: every call gives an `Exchange`, however it ended.

The keys travel in headers only (documented, authentication page): in URLs they end up in logs, and one
tenant lost writes silently with them there (observed). Nothing is ever sent twice by this module: redirects
are not followed, and aiohttp's own replay on a connection that died is prevented.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
import urllib.request
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import aiohttp
import truststore
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict
from yarl import URL

from importer.credentials import Keys, is_loopback
from importer.errors import SettingsError
from importer.leadsquared.outcomes import Exchange, Failure, decoded
from importer.text import one_line

BODY_MAX_BYTES: Final = 16 * 1024 * 1024
KEEP_ALIVE_S: Final = 4.0
"""Shorter than what servers and balancers use (5 s and more), so that we rarely write on a connection
that is just being closed: each such call would be in doubt."""
DETAIL_LENGTH_MAX: Final = 300
KEY_SHORTEST: Final = 8
"""What is shorter is no key of LeadSquared's and may be an ordinary word: masked only beside a key's name."""
USER_AGENT: Final = "importer/0.1"


OnExchange = Callable[[str, int | None, float, str], None]
"""Called for every call with its name, HTTP status, seconds, and what it meant. For the support log."""


@dataclass(slots=True)
class _Call:
    """A call under way: what is known of it at any instant."""

    on_left: Callable[[], None]
    left: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)

    def leaves(self) -> None:
        """A connection is there and bytes leave next; from here on the call may have arrived."""
        if not self.left:
            self.on_left()
            self.left = True

    def take(self, chunk: bytes) -> None:
        """A further part of the answer. Raises TooLargeError."""
        self.body += chunk
        if len(self.body) > BODY_MAX_BYTES:
            self.body.clear()  # searching it for what it may mean would take seconds
            raise TooLargeError(f"more than {BODY_MAX_BYTES} bytes")

    def ended(self, failure: Failure | None, detail: str, seconds: float) -> Exchange:
        """What came of it."""
        return Exchange(self.status, self.headers, bytes(self.body), failure, detail, seconds)


class WithheldError(Exception):
    """What `on_left` raises to withhold a call after its connection was made: it is NOT_LEFT."""


class TooLargeError(Exception):
    """The answer exceeds `BODY_MAX_BYTES`, before or after decompression."""


class LeadSquared:
    """The calls that the importer makes. An async context manager; at most `connections` at a time.

    base_url: as `address.base_url` gives it. timeout_s: for a whole call, connecting included.
    Cancelling a task during `write` gives an Exchange too (CANCELLED, or NOT_LEFT): the caller has an outcome
    to record. Reads are cancelled as usual.
    """

    def __init__(
        self,
        base_url: str,
        keys: Keys,
        *,
        timeout_s: float = 60.0,
        connect_timeout_s: float = 10.0,
        connections: int = 32,
        on_exchange: OnExchange | None = None,
    ) -> None:
        self.base_url = base_url
        self._url = URL(base_url)
        self._keys = keys
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._connections = connections
        self._on_exchange = on_exchange or (lambda *_: None)
        self._proxy = proxy_for(self._url)
        secrets = (key.get_secret_value() for key in (keys.access, keys.secret))
        self._secrets = [(secret, _however_written(secret)) for secret in secrets]
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"<LeadSquared {self.base_url} {'open' if self._session else 'closed'}>"

    async def __aenter__(self) -> Self:
        secure = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if self._url.scheme == "https" else True
        self._session = aiohttp.ClientSession(
            connector=_Connector(
                limit=self._connections, ssl=secure, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=60
            ),
            headers={"User-Agent": USER_AGENT},
            timeout=aiohttp.ClientTimeout(
                total=None, connect=self._connect_timeout_s, sock_connect=self._connect_timeout_s
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def write(self, name: str, body: bytes, *, on_left: Callable[[], None] = lambda: None) -> Exchange:
        """`CompanyActivity.svc/Create` or `Update`. on_left: called just before bytes leave, on a connection
        that is there; may raise WithheldError."""
        call, started = _Call(on_left), time.monotonic()
        try:
            exchange = await self._exchange("POST", f"CompanyActivity.svc/{name}", {}, body, call)
        except asyncio.CancelledError:
            failure = Failure.CANCELLED if call.left else Failure.NOT_LEFT
            ended = call.ended(failure, "cancelled by the importer", time.monotonic() - started)
            exchange = self._masked(ended)
        self._on_exchange(name, exchange.status, exchange.seconds, exchange.outcome.kind)
        return exchange

    async def read(
        self,
        path: str,
        query: Mapping[str, str],
        asked: Mapping[str, Any] | None = None,
        *,
        on_left: Callable[[], None] = lambda: None,
    ) -> Exchange:
        """Any other call: a POST of `asked` as JSON, a GET without it."""
        body = None if asked is None else json.dumps(asked, ensure_ascii=False).encode("utf-8")
        method = "GET" if body is None else "POST"
        exchange = await self._exchange(method, path, query, body, _Call(on_left))
        failed = exchange.read_failure
        meant = failed.kind if failed else "answered"
        self._on_exchange(path.rpartition("/")[2], exchange.status, exchange.seconds, meant)
        return exchange

    async def _exchange(
        self, method: str, path: str, query: Mapping[str, str], body: bytes | None, call: _Call
    ) -> Exchange:
        """The call, and every way it can end but cancellation."""
        failure, detail, started = None, "", time.monotonic()
        if self._session is None:
            raise RuntimeError("LeadSquared is used outside its `async with`")
        _under_way.set(call)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.request(
                    method,
                    self._url / "v2" / path,
                    params=query or None,
                    data=body,
                    headers=self._headers(with_body=body is not None),
                    allow_redirects=False,
                    proxy=self._proxy,
                    middlewares=_GET_MIDDLEWARES if method == "GET" else (),
                ) as response,
            ):
                call.status, call.headers = response.status, response.headers
                while chunk := await response.content.readany():
                    call.take(chunk)
        except Exception as error:  # noqa: BLE001 - every end of a call is an outcome, whatever raised it
            cause = error.__cause__ if isinstance(error, NotReplayedError) else error
            failure = failure_of(cause or error, left=call.left)
            detail = one_line(self._without_keys(f"{type(cause).__name__}: {cause}"), DETAIL_LENGTH_MAX)
        return self._masked(call.ended(failure, detail, time.monotonic() - started))

    def _headers(self, *, with_body: bool) -> CIMultiDict[str]:
        """The keys go into each request, never into the session's headers: aiohttp sends those to the
        proxy too, in clear."""
        headers = {
            "x-LSQ-AccessKey": self._keys.access.get_secret_value(),
            "x-LSQ-SecretKey": self._keys.secret.get_secret_value(),
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
        }
        if with_body:
            headers["Content-Type"] = "application/json"
        return CIMultiDict(headers)

    def _masked(self, exchange: Exchange) -> Exchange:
        """An answer that repeats the keys, in whatever part, must not carry them into store, results file and
        log."""
        headers = CIMultiDict((name, self._without_keys(each)) for name, each in exchange.headers.items())
        text = decoded(exchange.body)
        masked = self._without_keys(text)
        body = exchange.body if masked == text else masked.encode("utf-8", "surrogatepass")
        return replace(exchange, headers=headers, body=body)

    def _without_keys(self, text: str) -> str:
        if "\\" in text or any(secret in text for secret, _ in self._secrets):
            for _, however_written in self._secrets:
                text = however_written.sub(r"\1***", text)
        return text


def _however_written(secret: str) -> re.Pattern[str]:
    """A secret as it is, or with any of its characters as JSON may write them (`\\u0024` for `$`), in JSON
    within JSON too. A short one only as the value of a key, as in `accessKey=x` or `"secretKey": "x"`."""
    written = "".join(rf"(?:\\{{0,8}}{re.escape(one)}|\\{{1,8}}u(?i:{ord(one):04x}))" for one in secret)
    if len(secret) >= KEY_SHORTEST:
        return re.compile(f"(){written}")
    return re.compile(rf"((?i:access|secret)[\s_-]?(?i:key)\W{{1,9}}){written}(?!\w)")


class NotReplayedError(aiohttp.ClientError):
    """Wraps what broke a call (`__cause__`), in a type that aiohttp does not answer by sending again."""


async def _never_replayed(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """aiohttp repeats GET calls, unpaced and unseen, when a kept connection turns out to be dead."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise NotReplayedError from error


_GET_MIDDLEWARES: Final = (_never_replayed,)
_under_way: ContextVar[_Call] = ContextVar("_under_way")
"""The call that the task at work makes."""


class _Connector(aiohttp.TCPConnector):
    """Lets a call know that it leaves, which can still withhold it (aiohttp's tracing hooks cannot)."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> Connection:
        """A connection was made, or an idle one taken up: the request is written next."""
        connection = await super().connect(req, traces, timeout)
        try:
            _under_way.get().leaves()
        except BaseException:
            connection.release()
            raise
        return connection


_Table = tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], Failure], ...]

_BEFORE_LEAVING: Final[_Table] = (
    (aiohttp.ClientConnectorDNSError, Failure.DNS),
    ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), Failure.PROXY),
    ((aiohttp.ClientSSLError, aiohttp.ServerFingerprintMismatch, ssl.SSLError), Failure.TLS),
    (TimeoutError, Failure.CONNECT_TIMEOUT),
    ((aiohttp.ClientConnectorError, OSError), Failure.CONNECTION_REFUSED),
)
_AFTER_LEAVING: Final[_Table] = (
    (TooLargeError, Failure.TOO_LARGE),
    (TimeoutError, Failure.READ_TIMEOUT),
    ((aiohttp.ClientPayloadError, asyncio.IncompleteReadError), Failure.CUT_OFF),
    ((aiohttp.ClientConnectionError, OSError, EOFError), Failure.RESET),
)


def failure_of(error: BaseException, *, left: bool) -> Failure:
    """What an exception of a call means. left: whether bytes of it may have left this computer.

    Total, and on the safe side by construction: with `left` never a failure that says "not sent",
    without it always one.
    """
    if not left and isinstance(error, aiohttp.ClientConnectorError):
        timed_out = isinstance(error.os_error, TimeoutError)
        error = error.os_error if timed_out else error
    table = _AFTER_LEAVING if left else _BEFORE_LEAVING
    found = next((failure for kinds, failure in table if isinstance(error, kinds)), None)
    return found or (Failure.GARBLED if left else Failure.NOT_LEFT)


def proxy_for(url: URL) -> URL | None:
    """The proxy that the system has for `url` (environment, or the system's settings), None for none.

    Never one for this computer: the keys would travel to the proxy in clear, and it could not reach a
    loopback address anyway. Asked once a session, not for each call as aiohttp's `trust_env` does, which
    would also hand passwords from `~/.netrc` to LeadSquared. Raises SettingsError for a proxy that is
    not HTTP.
    """
    host = url.host or ""
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    named = urllib.request.getproxies().get(url.scheme)
    if not named:
        return None
    try:
        proxy = URL(named if "://" in named else f"http://{named}")
    except ValueError:
        proxy = URL()
    if proxy.scheme not in {"http", "https"} or not proxy.host:
        raise SettingsError(
            "The system's proxy for https is not an HTTP proxy.",
            where="HTTPS_PROXY",
            remedy="Set HTTPS_PROXY to http://PROXY:PORT, or NO_PROXY to LeadSquared's host.",
        )
    return proxy
