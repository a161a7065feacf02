"""Accounts and users are looked up before anything is sent."""

from __future__ import annotations

from typing import Final

from importer.activity import ActivityField
from importer.app.connecting import persistently, send_options, session
from importer.app.observer import SILENT, Observer, Progress, Stage
from importer.app.options import CallOptions
from importer.app.staging import AskedValues
from importer.leadsquared.calls import Tenant
from importer.leadsquared.lookups import from_plain, resolve
from importer.mapping.mapping import Mapping
from importer.mapping.references import Resolved

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
        setting = await tenant.activity_setting(code)
        if setting is not None:
            found.append((code, setting.fields))
    return found


async def fields_of_type(code: int, calls: CallOptions) -> tuple[ActivityField, ...]:
    """The fields of an activity type as LeadSquared says them, () where it does not. Raises SettingsError,
    TenantError, WorkError."""
    async with session(calls, send_options(calls), None, asked={}) as opened:
        setting = await opened.connection.tenant.activity_setting(code)
    return () if setting is None else setting.fields


async def try_values(asked: AskedValues, calls: CallOptions) -> Resolved:
    """Answers for a few values, for somebody who writes a mapping. Raises SettingsError, TenantError,
    WorkError."""
    async with session(calls, send_options(calls), None, asked=asked) as opened:
        return await looked_up(opened.connection.tenant, asked, SILENT)
