"""A pass of corrections on each store. Faults and stops on the way: tests/test_cli_correct.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence

from conftest import RunningTenant, StartTenant
from sending_made import connection_to, sent, staged, visit
from stores import AT

from importer.activity import Activity
from importer.sandbox.rules import Edited
from importer.sending.corrections import CorrectionPass, CorrectionSummary
from importer.sending.outage import StopReason
from importer.sending.run_state import SendOptions
from importer.store.ownership import Ownership
from importer.store.records import CorrectionStatus, PlannedCorrection, RowStatus
from importer.store.store import Store

QUICK = SendOptions(workers=4, settle_s=0.05, max_attempts=4, max_outage_s=20.0)
FIELD = "mx_Custom_1"


def corrected(activity: Activity, changes: Mapping[str, str]) -> Activity:
    fields = tuple((name, changes.get(name, value)) for name, value in activity.fields)
    return Activity(activity.company_id, activity.event, changes.get("ActivityNote", activity.note), fields)


def plan(owned: Ownership, changes: Mapping[str, str], positions: Sequence[int] = ()) -> None:
    """Every created row (or those at `positions`) is to hold these values."""
    plans: list[PlannedCorrection] = []
    for row in owned.rows.rows(RowStatus.CREATED):
        if positions and row.position not in positions:
            continue
        now = Activity.decoded(row.holds or row.activity or b"")
        before = {"ActivityNote": now.note or "", **dict(now.fields)}
        fields = {name: (before[name], after) for name, after in changes.items()}
        plans.append(PlannedCorrection(row.position, fields, json.dumps(["corrected"])))
    with owned.change() as change:
        change.plan_corrections(plans, at=AT)


async def correct(
    owned: Ownership, tenant: RunningTenant, options: SendOptions = QUICK, *, overwrite: bool = False
) -> CorrectionSummary:
    async with connection_to(tenant) as connection:
        return await CorrectionPass(
            owned, connection, options, overwrite=overwrite, columns={FIELD: "Outcome"}
        ).run()


def states(owned: Ownership) -> list[str]:
    return [one.status.name.lower() for one in owned.rows.corrections()]


def updates(tenant: RunningTenant) -> int:
    return sum(call.kind == "update" for call in tenant.calls)


def held(tenant: RunningTenant) -> list[tuple[str, str, str]]:
    """Note and both fields of every activity, by note."""
    return sorted(
        (one.note, one.fields.get(FIELD, ""), one.fields.get("mx_Custom_2", "")) for one in tenant.activities
    )


async def created(store: Store, tenant: RunningTenant, rows: int = 20) -> Ownership:
    owned = staged(store, [visit(n, account=n % 3) for n in range(rows)])
    await sent(store, owned, tenant)
    return owned


async def test_only_what_changed_is_in_the_update(store: Store, start_tenant: StartTenant) -> None:
    """Neither an unchanged note nor an unchanged field; an emptied one is sent empty."""
    tenant = start_tenant()
    with await created(store, tenant, 2) as owned:
        plan(owned, {"ActivityNote": "Another", "mx_Custom_2": ""})
        assert (await correct(owned, tenant)).corrected == 2
    assert held(tenant) == [("Another", "Won", ""), ("Another", "Won", "")]


async def test_a_strangers_change_is_a_conflict_and_left_alone(
    store: Store, start_tenant: StartTenant
) -> None:
    """Unless it is to be overwritten; then what was there is kept, for `--undo`."""
    tenant = start_tenant()
    with await created(store, tenant, 3) as owned:
        tenant.set_faults({"tenant": {"clock_offset_s": 60}})  # some time later
        edit(tenant, "Visit 1", {FIELD: "Open"})
        plan(owned, {FIELD: "Lost"})
        summary = await correct(owned, tenant)
        assert (summary.corrected, summary.conflicts) == (2, 1)
        assert held(tenant)[1] == ("Visit 1", "Open", "as ever")
        conflict = next(one for one in owned.rows.corrections() if one.status is CorrectionStatus.CONFLICT)
        assert (conflict.code, conflict.number) == ("conflict", 3)
        plan(owned, {FIELD: "Lost"}, [2])
        options = SendOptions(workers=8, settle_s=0.05)
        assert (await correct(owned, tenant, options, overwrite=True)).corrected == 1
        last = [one for one in owned.rows.corrections() if one.position == 2][-1]
        assert (last.replaced, held(tenant)[1][1]) == ("Open", "Lost")


def edit(tenant: RunningTenant, note: str, fields: Mapping[str, str]) -> None:
    """Somebody changes an activity in LeadSquared."""
    (one,) = (one for one in tenant.activities if one.note == note)
    tenant.ask(lambda sandbox: sandbox.tenant.edit(Edited(id=one.id, fields=dict(fields))))


async def test_a_tenant_that_empties_fields_that_are_not_named_is_noticed_after_one_row(
    store: Store, start_tenant: StartTenant
) -> None:
    """Whether an Update leaves other fields alone is not documented."""
    tenant = start_tenant()
    with await created(store, tenant, 10) as owned:
        tenant.set_faults({"tenant": {"clock_offset_s": 60}})
        edit(tenant, "Visit 0", {FIELD: "Lost"})  # the first row holds it already: its Update is not made
        plan(owned, {FIELD: "Lost"})
        tenant.set_faults({"tenant": {"update_leaves_out": "empty"}})
        summary = await correct(owned, tenant)
        assert summary.stop is not None
        assert (summary.stop.reason, updates(tenant)) == (StopReason.TRIAL, 1)
        assert "mx_Custom_2 was 'as ever' and is now ''" in summary.stop.message
        assert states(owned).count("planned") == 8


async def test_a_refused_update_fails_its_row_with_column_and_value(
    store: Store, start_tenant: StartTenant
) -> None:
    """And the others go on."""
    tenant = start_tenant()
    with await created(store, tenant, 3) as owned:
        plan(owned, {FIELD: "Lost"})
        refusal = {"do": "refuse", "on": "update", "message": "mx_Custom_1 is wrong.", "nth": 2}
        tenant.set_faults({"faults": [refusal]})
        summary = await correct(owned, tenant)
        assert (summary.corrected, summary.failed) == (2, 1)
        failed = next(one for one in owned.rows.corrections() if one.status is CorrectionStatus.FAILED)
        assert failed.code == "MXInvalidInputException"
        assert "mx_Custom_1 is column 'Outcome', value 'Lost'." in failed.error


async def test_an_activity_that_was_deleted_fails_its_row(store: Store, start_tenant: StartTenant) -> None:
    """Nothing is created in its place."""
    tenant = start_tenant()
    with await created(store, tenant, 2) as owned:
        plan(owned, {FIELD: "Lost"})
        gone = tenant.activities[0].id
        tenant.ask(lambda sandbox: sandbox.tenant.delete(gone))
        summary = await correct(owned, tenant)
        assert (summary.corrected, summary.failed, len(tenant.activities)) == (1, 1, 1)
        assert [one.code for one in owned.rows.corrections()].count("not-found") == 1


async def test_a_stop_leaves_the_rest_planned(store: Store, start_tenant: StartTenant) -> None:
    """Ctrl-C; a second `correct` sends the rest."""
    tenant = start_tenant()
    with await created(store, tenant, 12) as owned:
        plan(owned, {FIELD: "Lost"})
        async with connection_to(tenant) as connection:
            options = SendOptions(workers=1, settle_s=0.1)
            one = CorrectionPass(owned, connection, options)
            asyncio.get_running_loop().call_later(0.4, one.stop, StopReason.INTERRUPTED, "Interrupted.", 130)
            summary = await one.run()
        assert summary.stop is not None
        assert summary.stop.exit_code == 130
        assert 0 < summary.corrected < 12
        assert (await correct(owned, tenant)).corrected == 12 - summary.corrected
        assert {outcome for _, outcome, _ in held(tenant)} == {"Lost"}
