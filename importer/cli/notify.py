"""One message when a command has ended, to the address in `IMPORTER_NOTIFY_URL`.

Slack, Teams and others take `{"text": …}`. The text is a sentence for a phone: batch, counts, exit code,
what to do next; no cell contents. The address is a secret: it is never printed, logged, or put into an error.
"""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

from importer.credentials import is_loopback
from importer.text import shown

NOTIFY_VARIABLE: Final = "IMPORTER_NOTIFY_URL"
TIMEOUT_S: Final = 10.0
NOTICE_LENGTH_MAX: Final = 500
COUNTS: Final = ("created", "already", "failed", "invalid", "uncertain", "pending", "skipped")
OTHERS: Final = ("equal", "differing", "missing", "unread", "corrected", "conflicts")
NEXT: Final = {
    0: "Nothing to do.",
    1: "Some rows need your attention: see the results file.",
    2: "Nothing was sent: see the message of the command.",
    3: "Rows are still pending: continue with importer resume.",
    130: "Interrupted: continue with importer resume.",
}
NEXT_OF_READING: Final = {
    1: "Some rows differ: see the .verified.csv.",
    3: "Rows are still unread.",
    130: "Interrupted.",
}


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The message goes where it was meant to go, or nowhere."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


def notice_text(command: str, result: dict[str, Any], exit_code: int) -> str:
    """The sentence. result: the command's `--json` object; may hold nothing but an error."""
    named = f" {result['batch']}" if result.get("batch") else ""
    counts = [f"{result[name]:,} {name}" for name in (*COUNTS, *OTHERS) if result.get(name)]
    rows = f": {', '.join(counts)}" if counts else ""
    code = f" ({result['error_code']})" if result.get("error_code") else ""
    endings = NEXT_OF_READING | {0: NEXT[0], 2: NEXT[2]} if command == "verify" else NEXT
    text = f"importer {command}{named}{rows}. Exit code {exit_code}{code}. {endings.get(exit_code, '')}"
    return shown(text.strip(), NOTICE_LENGTH_MAX)


def notify(command: str, result: dict[str, Any], exit_code: int) -> str:
    """Sends the message if there is an address. A warning where that failed; "" if it did not."""
    url = os.environ.get(NOTIFY_VARIABLE, "").strip()
    if not url:
        return ""
    trouble = _unusable(url)
    if not trouble:
        trouble = _posted(url, json.dumps({"text": notice_text(command, result, exit_code)}).encode())
    return f"No message was sent to the address in {NOTIFY_VARIABLE}: {trouble}." if trouble else ""


def _unusable(url: str) -> str:
    """Why not: a part of the sentence; "" if it can be used. Never the address itself."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return "it is not an address"
    if not host or parts.scheme not in {"http", "https"}:
        return "it is not an https address"
    if parts.scheme == "http" and not is_loopback(host):
        return "it must begin with https://"
    return ""


def _posted(url: str, body: bytes) -> str:
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if urlsplit(url).scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context()))
    kind = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, body, kind, method="POST")  # noqa: S310 - checked above
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_S) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        return f"it answered with status {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        # Not the error's words: they may quote the address.
        return f"it could not be reached ({type(getattr(error, 'reason', error)).__name__})"
    return ""
