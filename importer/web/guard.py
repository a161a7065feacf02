"""Who may ask for a page, and who may change something: the person who started the server, from our pages.

Other programs and other people of this computer can reach a port on loopback, and so can any web page that
the person's browser shows (DNS rebinding, cross-site forms). Each check stands for one of those ways in.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import BodyPartReader, MultipartReader, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TOKEN_PARAMETER: Final = "token"  # noqa: S105 - the name of a parameter
TOKEN_FIELD: Final = "form_token"  # noqa: S105 - the name of a field
TOKEN_HEADER: Final = "X-Form-Token"  # noqa: S105 - the name of a header
TOKEN_BYTES: Final = 32
FIELD_MAX_BYTES: Final = 1_000
UPLOAD_MAX_BYTES: Final = 100 << 20
ROUND_A_FILE_BYTES: Final = 64 << 10
"""Room for what a browser sends around a file."""

READING: Final = frozenset({"GET", "HEAD"})
MULTIPART: Final = web.RequestKey("multipart", MultipartReader)
"""What follows the form's token in an upload: read by the handler, part by part."""

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    # Not `no-referrer`: browsers would then send `Origin: null` with forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer, refusals included."""

NOT_SIGNED_IN: Final = (
    "This page belongs to the person who started the importer. Open the address that `importer web` printed."
)
NOT_OURS: Final = "This request does not come from the importer's own pages, so it was refused."
LEADS_ON: Final = '<!doctype html><title>importer</title><meta http-equiv="refresh" content="0;url=/">'
SMALLER: Final = "Split the sheet, or save it as CSV, or import it with `importer run`."
OLD_FORM: Final = (
    "This page is older than the server that is running now. Go back, reload the page and try again."
)


class Guard:
    """The checks of one server; `check` is its middleware.

    token: in the first address, exchanged for the cookie. form_token: in every form. port: set once it is
    known; no request is served before.
    """

    def __init__(self) -> None:
        self.token: Final = secrets.token_urlsafe(TOKEN_BYTES)
        self.form_token: Final = secrets.token_urlsafe(TOKEN_BYTES)
        self._session = secrets.token_urlsafe(TOKEN_BYTES)
        self._once = ""
        self.port = 0

    @property
    def address(self) -> str:
        """What a person opens. It stays valid until the server ends."""
        return f"http://127.0.0.1:{self.port}/?{TOKEN_PARAMETER}={self.token}"

    def address_once(self) -> str:
        """The same for one use: a browser is started with it, and other people see a program's arguments."""
        self._once = secrets.token_urlsafe(TOKEN_BYTES)
        return f"http://127.0.0.1:{self.port}/?{TOKEN_PARAMETER}={self._once}"

    @property
    def _cookie(self) -> str:
        # Cookies of a host are shared by all of its ports: two servers must not overwrite each other's.
        return f"importer_{self.port}"

    @web.middleware
    async def check(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the request through, or answer it with 401 or 403; never with a redirect."""
        hosts = ([f"127.0.0.1:{self.port}"], [f"localhost:{self.port}"])
        if request.headers.getall("Host", []) not in hosts:
            raise web.HTTPForbidden(text=NOT_OURS)
        given = request.query.get(TOKEN_PARAMETER)
        if given is not None and request.method == "GET" and request.path == "/":
            return self._exchanged(
                given, from_elsewhere=request.headers.get("Sec-Fetch-Site") == "cross-site"
            )
        if not _equal(request.cookies.get(self._cookie, ""), self._session):
            raise web.HTTPUnauthorized(text=NOT_SIGNED_IN)
        if request.method not in READING:
            self._check_origin(request)
            await self._check_form_token(request)
        return await handler(request)

    def _exchanged(self, given: str, *, from_elsewhere: bool) -> web.Response:
        """The cookie for the token, and the way to an address without it.

        A browser that follows a link of another page (a terminal in the browser, say) would not send a strict
        cookie along with a redirect: it gets a page of ours that leads on.
        """
        used_once = bool(self._once) and _equal(given, self._once)
        if used_once:
            self._once = ""
        if not used_once and not _equal(given, self.token):
            raise web.HTTPUnauthorized(text=NOT_SIGNED_IN)
        if from_elsewhere:
            response = web.Response(text=LEADS_ON, content_type="text/html")
        else:
            response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(self._cookie, self._session, httponly=True, samesite="Strict", path="/")
        return response

    def _check_origin(self, request: web.Request) -> None:
        """Raises HTTPForbidden unless the browser says that one of our pages sends this."""
        origins = request.headers.getall("Origin", [])
        if origins != [f"http://{request.headers['Host']}"]:
            raise web.HTTPForbidden(text=NOT_OURS)
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            raise web.HTTPForbidden(text=NOT_OURS)

    async def _check_form_token(self, request: web.Request) -> None:
        """Raises HTTPForbidden unless the form is one that this server made; HTTPRequestEntityTooLarge for
        one that announces too large a file, before any of it is read."""
        if (request.content_length or 0) > UPLOAD_MAX_BYTES + ROUND_A_FILE_BYTES:
            raise too_large()
        given = request.headers.get(TOKEN_HEADER, "")
        if request.content_type == "multipart/form-data":
            reader = await request.multipart()
            request[MULTIPART] = reader
            given = given or await _first_field(reader)
        elif not given:
            form = await request.post()
            field = form.get(TOKEN_FIELD, "")
            given = field if isinstance(field, str) else ""
        if not _equal(given, self.form_token):
            raise web.HTTPForbidden(text=OLD_FORM)


async def _first_field(reader: MultipartReader) -> str:
    """The token of an upload: it stands before the file, so that a stranger's file is never read."""
    part = await reader.next()
    if not isinstance(part, BodyPartReader) or part.name != TOKEN_FIELD:
        return ""
    return (await part.read_chunk(FIELD_MAX_BYTES)).decode("ascii", "replace")


def too_large() -> web.HTTPRequestEntityTooLarge:
    """The answer to a file of more than 100 MB."""
    most = f"The file is larger than {UPLOAD_MAX_BYTES >> 20} MB, the most that can be uploaded."
    return web.HTTPRequestEntityTooLarge(UPLOAD_MAX_BYTES, UPLOAD_MAX_BYTES + 1, text=f"{most} {SMALLER}")


def local_path(address: str) -> str:
    """The path of one of our own addresses, for the way back to it; `/` for anything else."""
    path = urlsplit(address).path
    return path if path.startswith("/") and not path.startswith("//") and "\\" not in path else "/"


def _equal(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


class OnceTokens:
    """For each import one token at a time, shared by all windows that show its forms. For one thread."""

    def __init__(self) -> None:
        self._tokens: dict[str, str] = {}

    def current(self, key: str) -> str:
        """The token for a form that is shown now."""
        return self._tokens.setdefault(key, secrets.token_hex(TOKEN_BYTES))

    def use(self, key: str, given: str) -> bool:
        """Whether the form may send; the token is used up then."""
        good = _equal(given, self.current(key))
        if good:
            del self._tokens[key]
        return good
