"""`/__sandbox__/…`: the truth about a sandbox, and its strings. For tests and benchmarks; no part of the API.

Every request needs the header `X-Sandbox-Token`. Nothing here counts as a call.

    GET  calls?after=N        the calls that arrived since, in order: number, kind, arrived_s, at, status, …
    GET  activities           everything that the tenant holds, values as received
    GET  counts               calls by kind, refused, created, held, others
    GET  held                 numbers of the calls whose answers are held back
    POST release?number=N     lets one held answer go; without a number, all
    POST faults               a faults file as JSON, in force from now on
    POST activities           a list of `existing` entries as in a faults file: adds them
    POST edit                 {"id", "note", "fields", "by"}: somebody changes an activity by hand
    POST delete?id=ID         somebody deletes an activity by hand (the API cannot)
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

from aiohttp import web
from pydantic import TypeAdapter

from importer.sandbox.misconduct import response
from importer.sandbox.rules import Edited, Existing, read_faults
from importer.sandbox.service import Service
from importer.sandbox.wire import NOT_FOUND, Answer, Refused, encoded, found

TOKEN_HEADER: Final = "X-Sandbox-Token"  # noqa: S105 - a header's name
_EXISTING: Final = TypeAdapter(list[Existing])
_Action = Callable[[web.BaseRequest], Awaitable[object]]


class Control:
    """Answers the control endpoint of one service."""

    def __init__(self, service: Service, token: str) -> None:
        self._service = service
        self._token = token.encode()
        self._actions: Mapping[str, _Action] = {
            "GET calls": self._calls,
            "GET activities": self._activities,
            "GET counts": self._counts,
            "GET held": self._held,
            "POST release": self._release,
            "POST faults": self._faults,
            "POST activities": self._inject,
            "POST edit": self._edit,
            "POST delete": self._delete,
        }

    async def answer(self, request: web.BaseRequest, what: str) -> web.StreamResponse:
        """One request to the control endpoint."""
        if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), self._token):
            message = f"the header {TOKEN_HEADER} is missing or wrong"
            return response(Answer(403, encoded({"error": message})))
        action = self._actions.get(f"{request.method} {what}")
        if action is None:
            return response(NOT_FOUND)
        try:
            return response(found(await action(request)))
        except Refused as refused:
            return response(Answer(404, encoded({"error": refused.message})))
        except ValueError as error:  # FaultsError, pydantic's and json's are its children
            return response(Answer(400, encoded({"error": str(error)})))

    async def _calls(self, request: web.BaseRequest) -> object:
        after = int(request.query.get("after", "0"))
        return [call.shown() for call in self._service.calls if call.number > after]

    async def _activities(self, _: web.BaseRequest) -> object:
        return [asdict(held) for held in self._service.tenant.held]

    async def _counts(self, _: web.BaseRequest) -> dict[str, Any]:
        """Calls, refusals and creations so far as the (bounded) log goes back; `held` is exact."""
        calls = self._service.calls
        return {
            "calls": dict(Counter(call.kind for call in calls)),
            "refused": sum(call.refused for call in calls),
            "created": sum(call.activity_id is not None for call in calls),
            "held": len(self._service.tenant.held),
            "others": self._service.gate.traffic.calls,
        }

    async def _held(self, _: web.BaseRequest) -> object:
        return self._service.holds.numbers

    async def _release(self, request: web.BaseRequest) -> object:
        number = request.query.get("number")
        return {"released": self._service.holds.release(None if number is None else int(number))}

    async def _faults(self, request: web.BaseRequest) -> object:
        self._service.change(read_faults(await request.json(), "faults"))
        return {"faults": "changed"}

    async def _inject(self, request: web.BaseRequest) -> object:
        given = _EXISTING.validate_python(await request.json())
        return [held.id for each in given for held in self._service.tenant.add_existing(each)]

    async def _edit(self, request: web.BaseRequest) -> object:
        return asdict(self._service.tenant.edit(Edited.model_validate(await request.json())))

    async def _delete(self, request: web.BaseRequest) -> object:
        return {"deleted": self._service.tenant.delete(request.query.get("id", "")).id}
