"""One call while it is being answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from importer.sandbox.calls import Call
from importer.sandbox.directory import OWNER, Person
from importer.sandbox.rules import CallKind
from importer.sandbox.validation import parsed
from importer.sandbox.wire import Refused


@dataclass(slots=True)
class Asked:
    """A request, and what became known of it on the way.

    body: as received; content: the JSON in it, empty if it could not be read; then `refused` says why.
    writes_lost: this tenant answers that it created, and does not.
    """

    request: web.BaseRequest
    kind: CallKind
    call: Call
    query: Mapping[str, list[str]]
    body: bytes = b""
    content: dict[str, Any] = field(default_factory=dict)
    refused: Refused | None = None
    person: Person = OWNER
    writes_lost: bool = False

    def param(self, name: str) -> str | None:
        """A query parameter; their names have no case."""
        values = self.query.get(name.lower())
        return values[0] if values else None

    async def read(self) -> None:
        """Takes the body in; what is wrong with it is said when the call is carried out."""
        self.body = await self.request.read()
        if self.request.method == "POST":
            try:
                self.content = parsed(self.body, self.request.headers.get("Content-Type", ""))
            except Refused as refused:
                self.refused = refused


def query_of(text: str) -> Mapping[str, list[str]]:
    """Query parameters by their names in lower case."""
    if not text:
        return {}
    return {name.lower(): values for name, values in parse_qs(text, keep_blank_values=True).items()}
