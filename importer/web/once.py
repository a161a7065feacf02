"""One-time tokens of the forms that send: a form is good for one run.

They live as long as the server. A form of an earlier server is refused for its cookie anyway.
"""

from __future__ import annotations

import hmac
import secrets
import threading

from importer.web.guard import TOKEN_BYTES


class OnceTokens:
    """For each import one token at a time, shared by all windows that show its forms."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tokens: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<OnceTokens of {len(self._tokens)} imports>"

    def current(self, key: str) -> str:
        """The token for a form that is shown now."""
        with self._lock:
            return self._tokens.setdefault(key, secrets.token_hex(TOKEN_BYTES))

    def use(self, key: str, given: str) -> bool:
        """Whether the form may send; the token is used up then."""
        with self._lock:
            kept = self._tokens.get(key)
            if kept is None or not hmac.compare_digest(kept, given):
                return False
            self._tokens[key] = secrets.token_hex(TOKEN_BYTES)
            return True
