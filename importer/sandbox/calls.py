"""Calls: the record of each that arrived, so that the truth is known afterwards, and one being answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web

from importer.sandbox.directory import OWNER, Person
from importer.sandbox.rules import CallKind
from importer.sandbox.validation import parsed
from importer.sandbox.wire import Refused


@dataclass(slots=True)
class Call:
    """One call. arrived_s, ended_s: monotonic; at: seconds since 1970 by the machine's clock.

    kind: `create`, `retrieve`, …, or `unknown`. status: of the answer, 0 while there is none or when it
    never came. activity_id: what this call created, whether its caller learned of it or not. fault: what was
    done to it, "" if nothing. refused: for the rate (by the limit itself or by a fault that says so).
    """

    number: int
    kind: str
    arrived_s: float
    at: float
    status: int = 0
    fault: str = ""
    activity_id: str | None = None
    refused: bool = False
    ended_s: float | None = None

    def shown(self) -> dict[str, Any]:
        """As the control endpoint lists it."""
        return asdict(self)


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
