"""The API client and servers that misbehave: every end of a call is an exchange, nothing is sent twice."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import shutil
import socket
import ssl
import subprocess
import zlib
from pathlib import Path

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from hostile_server import Behaviour, Heard, hang, hostile_server, in_turn, raw, reply
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from yarl import URL

from importer.credentials import Keys
from importer.errors import SettingsError
from importer.leadsquared import client as leadsquared
from importer.leadsquared.answers import (
    AnswerError,
    read_activities,
    read_activity,
    read_companies,
    read_current_user,
    read_time,
    read_users,
)
from importer.leadsquared.client import LeadSquared, failure_of, proxy_for
from importer.leadsquared.outcomes import CERTAINLY_NOT_SENT, Exchange, Failure, OutcomeKind

WHOAMI = "Authentication.svc/UserByAccessKey.Get"
USERS = "UserManagement.svc/Users.Get"
KEYS = Keys(SecretStr("u$r-access-key"), SecretStr("s3cret-key"))
SUCCESS = {"Status": "Success", "Message": {"Id": "2f6c1a52-7a3f-4a39-9c63-5ad4f1a2b001"}}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def client(url: str, *, timeout_s: float = 5.0, connect_timeout_s: float = 5.0) -> LeadSquared:
    return LeadSquared(url, KEYS, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s, connections=4)


async def created_by(behave: Behaviour, *, timeout_s: float = 5.0) -> Exchange:
    """What one Create against a server of this behaviour gives."""
    async with hostile_server(behave) as server, client(server.url, timeout_s=timeout_s) as api:
        exchange = await api.write("Create", b"{}")
        assert len(server.heard) == 1
        return exchange


async def test_a_create_carries_the_keys_in_headers_only() -> None:
    """In URLs they would end up in logs."""
    async with hostile_server(reply(200, SUCCESS)) as server, client(server.url) as api:
        exchange = await api.write("Create", '{"ActivityNote":"é"}'.encode())

    heard = server.heard[0]
    assert exchange.outcome.kind is OutcomeKind.CREATED
    assert (heard.method, heard.target) == ("POST", "/v2/CompanyActivity.svc/Create")
    assert heard.headers["x-lsq-accesskey"] == "u$r-access-key"
    assert heard.headers["x-lsq-secretkey"] == "s3cret-key"
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["user-agent"] == "importer/0.1"
    assert heard.body == '{"ActivityNote":"é"}'.encode()


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
BOMB = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("behave", "failure"),
    [
        (raw(close=True), Failure.RESET),
        (raw(reset=True), Failure.RESET),
        (raw(b"HTTP/1.1 20", close=True), Failure.RESET),
        (raw(CUT, close=True), Failure.CUT_OFF),
        (raw(CUT, reset=True), Failure.CUT_OFF),
        (raw(CHUNKED + b"5\r\nabc", close=True), Failure.CUT_OFF),
        (raw(b"\x16\x03\x01 nonsense\r\n\r\n", close=True), Failure.GARBLED),
        (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", close=True), Failure.GARBLED),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", close=True), Failure.GARBLED),
        (reply(200, b"not gzip", headers=("Content-Encoding: gzip",)), Failure.CUT_OFF),
        (raw(CUT + b"x" * 3, close=False), Failure.READ_TIMEOUT),
        (hang, Failure.READ_TIMEOUT),
    ],
)
async def test_a_call_that_ends_badly_is_in_doubt(behave: Behaviour, failure: Failure) -> None:
    """It may have arrived; it was sent once."""
    exchange = await created_by(behave, timeout_s=0.5)

    assert failure is exchange.failure
    assert exchange.outcome.kind is OutcomeKind.DOUBTFUL


async def test_a_redirect_is_not_followed() -> None:
    """The keys would follow it."""
    exchange = await created_by(reply(307, headers=("Location: http://127.0.0.1:9/elsewhere",)))

    assert exchange.outcome.kind is OutcomeKind.WRONG_ADDRESS


async def test_an_endless_answer_is_cut_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has a limit, and nobody searches in what is no answer."""
    monkeypatch.setattr(leadsquared, "BODY_MAX_BYTES", 100_000)

    exchange = await created_by(raw(CUT.replace(b"100", b"10000000") + b" " * 200_000))

    assert exchange.failure is Failure.TOO_LARGE
    assert exchange.body == b""


async def test_a_decompression_bomb_is_cut_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """20 KB that unpack to 20 MB."""
    monkeypatch.setattr(leadsquared, "BODY_MAX_BYTES", 100_000)

    exchange = await created_by(reply(200, b" " * 20_000_000, gzipped=True))

    assert exchange.failure is Failure.TOO_LARGE
    assert exchange.body == b""


async def test_a_compressed_answer_is_read() -> None:
    """As gzip, which we ask for, and as deflate, which we do not."""
    squeezed = zlib.compress(json.dumps(SUCCESS).encode())

    deflated = reply(200, squeezed, headers=("Content-Encoding: deflate",))
    for behave in (reply(200, SUCCESS, gzipped=True), deflated):
        assert (await created_by(behave)).outcome.kind is OutcomeKind.CREATED


async def test_a_connection_that_dies_between_calls_is_never_answered_by_sending_again() -> None:
    """aiohttp repeats GET calls on its own, which nobody would pace or see; POST calls stay in doubt."""
    dies = in_turn(reply(200, {}), raw(close=True), reply(200, SUCCESS))
    async with hostile_server(dies) as server, client(server.url) as api:
        await api.read(WHOAMI, {})
        read = await api.read(WHOAMI, {})
        assert (read.failure, len(server.heard)) == (Failure.RESET, 2)

    dies = in_turn(reply(200, {}), raw(close=True), reply(200, SUCCESS))
    async with hostile_server(dies) as server, client(server.url) as api:
        await api.write("Create", b"{}")
        written = await api.write("Create", b"{}")
        assert (written.failure, len(server.heard)) == (Failure.RESET, 2)


async def test_a_refused_connection_is_not_sent() -> None:
    """Nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    async with client(url) as api:
        exchange = await api.write("Create", b"{}")

    assert (exchange.failure, exchange.status) == (Failure.CONNECTION_REFUSED, None)
    assert exchange.outcome.kind is OutcomeKind.NOT_SENT


async def test_a_name_that_nobody_has_is_not_sent() -> None:
    """`.invalid` never resolves."""
    async with client("https://nobody.invalid") as api:
        exchange = await api.write("Create", b"{}")

    assert exchange.failure is Failure.DNS


async def test_a_connection_that_nobody_takes_times_out_unsent() -> None:
    """The queue of a listening socket is full: the handshake never ends. The call's own time may pass too."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        blockers = [socket.socket() for _ in range(3)]
        try:
            for blocker in blockers:
                blocker.settimeout(0)
                blocker.connect_ex(full.getsockname())
            url = f"http://127.0.0.1:{full.getsockname()[1]}"
            async with client(url, connect_timeout_s=0.3) as api:
                assert (await api.write("Create", b"{}")).failure is Failure.CONNECT_TIMEOUT
            async with client(url, timeout_s=0.3) as api:
                assert (await api.write("Create", b"{}")).failure is Failure.CONNECT_TIMEOUT
        finally:
            for blocker in blockers:
                blocker.close()


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's certificate that nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder: Path = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_a_certificate_that_nobody_vouches_for_is_not_sent(self_signed: ssl.SSLContext) -> None:
    """Certificates are checked as the system does."""
    async with (
        hostile_server(reply(200, SUCCESS), secure=self_signed) as server,
        client(f"https://127.0.0.1:{server.port}") as api,
    ):
        exchange = await api.write("Create", b"{}")

    assert (exchange.failure, server.heard) == (Failure.TLS, [])


async def test_a_handshake_that_is_none_is_not_sent() -> None:
    """https to a port that speaks something else."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def speaks_otherwise() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"220 mail.example ready\r\n")
                connection.recv(1024)

        speaking = asyncio.get_running_loop().run_in_executor(None, speaks_otherwise)
        async with client(f"https://127.0.0.1:{server.getsockname()[1]}") as api:
            exchange = await api.write("Create", b"{}")
        await speaking

    assert exchange.outcome.kind is OutcomeKind.NOT_SENT


@pytest.mark.parametrize("status", [407, 403, 502])
async def test_a_proxy_that_refuses_the_tunnel_is_not_sent(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The call never went beyond the proxy, and the keys never reached it."""
    async with hostile_server(reply(status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:pw@127.0.0.1:{proxy.port}")
        async with client("https://api.leadsquared.invalid") as api:
            exchange = await api.write("Create", b"{}")

    assert exchange.failure is Failure.PROXY
    assert proxy.heard[0].method == "CONNECT"
    assert "x-lsq-secretkey" not in proxy.heard[0].headers
    assert "proxy-authorization" in proxy.heard[0].headers


def test_this_computer_is_never_asked_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys would go to the proxy in clear."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    monkeypatch.setenv("HTTPS_PROXY", "proxy:3128")
    monkeypatch.setenv("NO_PROXY", "api-in21.leadsquared.com")

    assert proxy_for(URL("http://127.0.0.1:5000")) is None
    assert proxy_for(URL("http://localhost:5000")) is None
    assert proxy_for(URL("https://api-in21.leadsquared.com")) is None
    assert proxy_for(URL("https://api.leadsquared.com")) == URL("http://proxy:3128")


@pytest.mark.parametrize("proxy", ["socks5://proxy:1080", "http://", "ftp://proxy", "http://[x"])
def test_a_proxy_that_cannot_be_used_is_said(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Before anything is sent, not as a row's failure."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)

    with pytest.raises(SettingsError, match="HTTPS_PROXY"):
        proxy_for(URL("https://api.leadsquared.com"))


async def test_cancelling_a_create_gives_its_outcome() -> None:
    """Under way it is in doubt, while still connecting it is not sent; a read is cancelled as usual."""
    arrived = asyncio.Event()

    async def behave(*_: object) -> None:
        arrived.set()
        await asyncio.sleep(30)

    async with hostile_server(behave) as server, client(server.url) as api:
        create = asyncio.create_task(api.write("Create", b"{}"))
        await arrived.wait()
        create.cancel()
        under_way = await create
        early = asyncio.create_task(api.write("Create", b"{}"))
        await asyncio.sleep(0)
        early.cancel()
        connecting = await early
        read = asyncio.create_task(api.read(USERS, {}))
        await asyncio.sleep(0)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read

    assert (under_way.failure, connecting.failure) == (Failure.CANCELLED, Failure.NOT_LEFT)
    assert under_way.outcome.kind is OutcomeKind.DOUBTFUL
    assert connecting.outcome.kind is OutcomeKind.NOT_SENT


async def test_the_moment_of_leaving_is_told_before_the_bytes_leave() -> None:
    """The pace dates the call by it."""
    told: list[int] = []
    async with hostile_server(reply(200, SUCCESS)) as server, client(server.url) as api:
        await api.write("Create", b"{}", on_left=lambda: told.append(len(server.heard)))
        await api.write("Create", b"{}", on_left=lambda: told.append(len(server.heard)))
    async with client("http://127.0.0.1:1") as api:
        await api.write("Create", b"{}", on_left=lambda: told.append(99))

    assert told == [0, 1]
    assert server.connections == 1


async def test_the_log_hears_of_every_call_without_keys_or_bodies() -> None:
    """Name, status, seconds and meaning."""
    lines: list[tuple[object, ...]] = []
    async with (
        hostile_server(in_turn(reply(200, SUCCESS), reply(200, []), reply(503))) as server,
        LeadSquared(server.url, KEYS, on_exchange=lambda *line: lines.append(line)) as api,
    ):
        await api.write("Create", b"{}")
        await api.read(USERS, {})
        await api.read(USERS, {})

    assert [(name, status, str(meant)) for name, status, _, meant in lines] == [
        ("Create", 200, "created"),
        ("Users.Get", 200, "answered"),
        ("Users.Get", 503, "doubtful"),
    ]
    assert "s3cret" not in repr(lines)
    assert "s3cret" not in repr(api)


async def test_a_detail_that_quotes_a_key_is_blotted_out() -> None:
    """Whatever an exception says, keys are not in it."""
    quotes = raw(b"s3cret-key u$r-access-key\r\n\r\n", close=True)
    async with hostile_server(quotes) as server, client(server.url) as api:
        exchange = await api.write("Create", b"{}")

    assert exchange.detail
    assert "s3cret-key" not in exchange.detail
    assert "u$r-access-key" not in exchange.detail


def every_exception() -> list[BaseException]:
    """One of each that a call can raise: aiohttp's own, the operating system's, TLS, the unknown."""
    key = ConnectionKey(
        "host", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
    )
    info = aiohttp.RequestInfo(URL("https://host"), "POST", None, URL("https://host"))  # type: ignore[arg-type]
    found: list[BaseException] = [
        TimeoutError(),
        OSError(5, "input"),
        ConnectionResetError(),
        BrokenPipeError(),
        EOFError(),
        ssl.SSLError(1, "bad"),
        ssl.SSLCertVerificationError(1, "bad"),
        ssl.SSLEOFError(),
        asyncio.IncompleteReadError(b"", 3),
        leadsquared.TooLargeError(),
        ValueError(),
        RuntimeError(),
    ]
    error = OSError(5, "x")
    examples: list[tuple[object, ...]] = [(), ("x",), (info, ()), (key, error), ("path", key, error)]
    waiting: list[type[aiohttp.ClientError]] = [aiohttp.ClientError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        for arguments in (*examples, (b"", b"", "h", 1)):
            try:
                found.append(kind(*arguments))
            except (TypeError, AttributeError):
                continue
            break
        else:
            pytest.fail(f"no example of {kind.__name__}: add its arguments here")
    return found


@pytest.mark.parametrize("error", every_exception(), ids=lambda error: type(error).__name__)
def test_every_exception_of_the_library_is_mapped(error: BaseException) -> None:
    """After bytes may have left never "not sent"; before, always."""
    assert failure_of(error, left=True) not in CERTAINLY_NOT_SENT
    assert failure_of(error, left=False) in CERTAINLY_NOT_SENT


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-07-31 05:33:50", dt.datetime(2026, 7, 31, 5, 33, 50, tzinfo=dt.UTC)),
        ("2026-07-31 05:33:50.123", dt.datetime(2026, 7, 31, 5, 33, 50, tzinfo=dt.UTC)),
        ("2026-07-31T05:33:50Z", dt.datetime(2026, 7, 31, 5, 33, 50, tzinfo=dt.UTC)),
        ("7/31/2026 5:33:50 AM", dt.datetime(2026, 7, 31, 5, 33, 50, tzinfo=dt.UTC)),
        ("7/31/2026 12:00:00 AM", dt.datetime(2026, 7, 31, 0, 0, 0, tzinfo=dt.UTC)),
        ("7/31/2026 12:00:00 PM", dt.datetime(2026, 7, 31, 12, 0, 0, tzinfo=dt.UTC)),
        ("7/31/2026 13:00:00", dt.datetime(2026, 7, 31, 13, 0, 0, tzinfo=dt.UTC)),
        ("/Date(1785476030000+0000)/", dt.datetime(2026, 7, 31, 5, 33, 50, tzinfo=dt.UTC)),
        ("/Date(-1000)/", dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=dt.UTC)),
        ("/Date(-99999999999999)/", None),
        ("/Date(x)/", None),
        ("7/31/2026 13:00:00 PM", None),
        ("31/7/2026 5:33:50 AM", None),
        ("2026-02-30 00:00:00", None),
        ("", None),
    ],
)
def test_every_spelling_of_a_time_is_read(text: str, moment: dt.datetime | None) -> None:
    """Observed in all these shapes."""
    assert moment == read_time(text)


def as_body(value: object) -> bytes:
    return json.dumps(value).encode()


def test_activities_are_read_as_they_come() -> None:
    """Values exactly as sent back, numbers as they were spelt, empty fields absent."""
    body = (
        b'{"RecordCount":"2","CompanyActivities":[{"CompanyActivityId":"2f6c1a52-7a3f-4a39-9c63-5ad4f1a2b001","RelatedCompanyId":"C1",'
        b'"ActivityEvent":10001,"ActivityNote":" x ","CreatedOn":"7/31/2026 5:33:50 AM","CreatedBy":"U1",'
        b'"ActivityFields":{"Status":"Active","mx_Custom_1":null,"mx_Custom_2":"","mx_Custom_3":1.50,'
        b'"mx_Custom_4":true}},{"CompanyActivityId":"2f6c1a52-7a3f-4a39-9c63-5ad4f1a2b002","ActivityEvent":"x"}]}'
    )

    _, (first, second) = read_activities(body)

    assert dict(first.fields) == {"Status": "Active", "mx_Custom_3": "1.50", "mx_Custom_4": "true"}
    assert (first.id, first.company_id, first.event, first.note) == (
        "2f6c1a52-7a3f-4a39-9c63-5ad4f1a2b001", "C1", 10001, " x ",
    )  # fmt: skip
    assert (first.created_by, first.created_on) == ("U1", dt.datetime(2026, 7, 31, 5, 33, 50, tzinfo=dt.UTC))
    assert (second.event, second.note, second.created_on, dict(second.fields)) == (None, "", None, {})


def test_an_absent_list_is_empty() -> None:
    """Observed when there is nothing."""
    assert read_activities(b'{"RecordCount":0}') == (0, [])
    assert read_companies(b'{"RecordCount":0,"Companies":null}') == (0, [])


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b"{}", b"null", b"<html>", b'{"RecordCount":-1}'),
        b'{"RecordCount":1,"CompanyActivities":{}}',
        b'{"RecordCount":1,"CompanyActivities":[{}]}',
        b'{"RecordCount":1,"CompanyActivities":[7]}',
        b'{"RecordCount":1,"CompanyActivities":[{"CompanyActivityId":"2f6c1a52-7a3f-4a39-9c63-5ad4f1a2b001","ActivityFields":{"x":{}}}]}',
        b'{"RecordCount":1,"CompanyActivities":[{"CompanyActivityId":"=1+1"}]}',
    ],
)
def test_a_page_of_another_shape_is_an_error(body: bytes) -> None:
    """Never an empty page: absence would be taken for "not created"."""
    with pytest.raises(AnswerError):
        read_activities(body)


@settings(deadline=None)
@given(st.binary() | st.text().map(str.encode))
def test_parsers_raise_nothing_else(body: bytes) -> None:
    """Any body is read or is an AnswerError."""
    for read in (read_activities, read_activity, read_companies, read_current_user, read_users):
        try:
            read(body)
        except AnswerError:
            continue


def test_people_and_accounts_are_read() -> None:
    """The documented shapes."""
    told: dict[str, object] = {"Id": "U", "Name": "Ann", "EmailAddress": None, "OrgShortCode": 22824}
    told["LSQCommonServiceURLs"] = {"api": "api.leadsquared.com"}
    user = read_current_user(as_body(told))
    users = read_users(
        as_body(
            [
                {"ID": "1", "FirstName": "Ann", "LastName": None, "EmailAddress": "a@x", "StatusCode": 0},
                {"ID": "2", "FirstName": "Bob", "LastName": "Doe", "EmailAddress": "b@x", "StatusCode": "1"},
                {"FirstName": "nobody"},
            ]
        )
    )
    listed = [{"Attribute": "CompanyId", "Value": "C"}, {"Attribute": "mx_Code", "Value": "007"}]
    count, found = read_companies(as_body({"RecordCount": 9, "Companies": [{"companyPropertyList": listed}]}))

    assert (user.name, user.org_code, user.email) == ("Ann", "22824", "")
    assert user.api_host == "api.leadsquared.com"
    assert [(one.id, one.name, one.active) for one in users] == [("1", "Ann", True), ("2", "Bob Doe", False)]
    assert (count, found[0].id) == (9, "C")
    assert found[0].attributes["mx_Code"] == "007"


@pytest.mark.parametrize(
    "repeated",
    [
        "u$r-access-key", r"u\u0024r-access-key", r"\u0075\u0024r-acces\u0073-key",
        r"u\\u0024r-access-key", r"u\u0024r\u002Daccess\u002dkey",
    ],
)  # fmt: skip
async def test_keys_that_an_answer_repeats_are_masked_however_they_are_written(repeated: str) -> None:
    """JSON may write any character as an escape; what is kept is what it decodes to."""
    body = f'{{"Status":"Error","ExceptionMessage":"no such key {repeated}"}}'.encode()
    exchange = await created_by(reply(400, body))
    assert "no such key ***" in exchange.outcome.message
    assert b"access" not in exchange.body


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("AccessKey=ab&SecretKey=key", "AccessKey=***&SecretKey=***"),
        ('{"x-LSQ-AccessKey":"ab"}', '{"x-LSQ-AccessKey":"***"}'),
        ("access_key: ab, secret key: 'key'", "access_key: ***, secret key: '***'"),
        ("ab is the key of a cab", "ab is the key of a cab"),
        ("accessKey=abc; the secret keys are lost", "accessKey=abc; the secret keys are lost"),
    ],
)
async def test_keys_too_short_to_be_ones_are_masked_as_values_of_keys(said: str, kept: str) -> None:
    """Elsewhere they may be ordinary words, or parts of the answer's own."""
    keys = Keys(SecretStr("ab"), SecretStr("key"))
    body = {"Status": "Error", "ExceptionMessage": said}
    async with hostile_server(reply(400, body)) as server, LeadSquared(server.url, keys) as api:
        assert (await api.write("Create", b"{}")).outcome.said == kept


async def test_an_answer_of_nothing_but_backslashes_is_read_in_time() -> None:
    """Looking for keys in it took hours."""
    assert (await created_by(reply(400, b"\\" * 1_000_000))).failure is None


async def test_keys_in_an_answer_that_was_cancelled_are_masked() -> None:
    """What had arrived of it is kept as well."""
    came = asyncio.Event()

    async def behave(_: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 400 No\r\nContent-Length: 99\r\nLocation: //s3cret-key.x\r\n\r\n{u$r-access-key"
        )
        await writer.drain()
        came.set()

    async with hostile_server(behave) as server, client(server.url) as api:
        create = asyncio.create_task(api.write("Create", b"{}"))
        await came.wait()
        await asyncio.sleep(0.2)
        create.cancel()
        exchange = await create
    assert exchange.failure is Failure.CANCELLED
    assert (exchange.body in {b"", b"{***"}, exchange.headers.get("location", "//***.x")) == (True, "//***.x")


async def test_keys_in_an_answer_in_utf_16_are_masked() -> None:
    """Read as its byte order mark says, and kept in UTF-8."""
    body = json.dumps({"Status": "Error", "ExceptionMessage": "bad u$r-access-key"}).encode("utf-16")
    assert (await created_by(reply(400, body))).outcome.said == "bad ***"


def test_users_have_a_full_name_to_be_looked_up_by() -> None:
    """The answer has first and last names only."""
    users = read_users(b'[{"ID":"U1","FirstName":"Anna","LastName":"Rao"},{"ID":"U2","FirstName":"Ben"}]')
    assert [user.attributes["FullName"] for user in users] == ["Anna Rao", "Ben"]
