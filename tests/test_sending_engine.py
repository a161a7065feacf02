"""A run on each store: what is created is recorded; what could be mistaken for another row waits."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from conftest import StartTenant
from sending_made import QUICK, connection_to, nothing, sent, staged, statuses, two_batches, visit
from stores import TENANT, Place, batch_id

from importer.leadsquared.calls import Tenant
from importer.pacing.pacing import Pace, Rate
from importer.sending import worker_pool
from importer.sending.engine import send, unrecorded_error
from importer.sending.outage import StopReason
from importer.sending.reconcile.account_lookup import OtherBatches
from importer.sending.reconcile.reconciler import MARK_GOOD_FOR_S, Reconciler
from importer.sending.run_state import RunState, TenantConnection
from importer.store.ownership import Ownership
from importer.store.store import Store
from importer.store.writer import StoreWriter


async def test_every_row_is_created_once_and_recorded(store: Store, start_tenant: StartTenant) -> None:
    """With its own Id; the batch knows how long it took."""
    tenant = start_tenant()
    with staged(store, [visit(n, account=n % 3) for n in range(40)]) as owned:
        result = await sent(store, owned, tenant)
        rows = list(owned.rows.rows())
        held = {one.id: one.note for one in tenant.activities}
        assert result.stop is None
        assert [held[(row.activity_id or "").lower()] for row in rows] == [f"Visit {n}" for n in range(40)]
        assert len(held) == 40
        assert owned.rows.fact("seconds") == result.seconds > 0
        assert [row.attempts for row in rows] == [1] * 40


async def test_a_refusal_names_the_field_its_column_and_its_value(
    store: Store, start_tenant: StartTenant
) -> None:
    """As the results file shows it."""
    tenant = start_tenant()
    refusal = {"do": "refuse", "message": "mx_Custom_1 is not an option."}
    tenant.set_faults({"faults": [refusal]})
    with staged(store, [visit(1, outcome="Wno")]) as owned:
        await sent(store, owned, tenant)
        (row,) = owned.rows.rows()
        assert "mx_Custom_1 is column 'Outcome', value 'Wno'." in row.error


class FrozenClock:
    """Counts suspension; `freeze` is a suspension that begins at the next look and lasts `seconds`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.freezes: list[float] = []

    def __call__(self) -> float:
        self.now += self.freezes.pop(0) if self.freezes else 0.0
        return self.now


async def test_a_mark_that_is_too_old_is_given_back_and_made_again(
    store: Store, start_tenant: StartTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped between its mark and its call: another one may have sent the row since."""
    clock = FrozenClock()
    clock.freezes = [0.0, MARK_GOOD_FOR_S + 1]  # at the mark; on the connection, before the first byte
    monkeypatch.setattr(worker_pool, "awake_clock", lambda: clock)
    tenant = start_tenant()
    with staged(store, [visit(1)]) as owned:
        await sent(store, owned, tenant)
        (row,) = owned.rows.rows()
        outcomes = [one.outcome for one in owned.rows.attempts(1)]
    assert (outcomes, row.attempts, len(tenant.creates)) == (["not-sent", "created"], 1, 1)


async def test_a_young_mark_is_good(
    store: Store, start_tenant: StartTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds are enough for any store."""
    clock = FrozenClock()
    clock.freezes = [0.0, MARK_GOOD_FOR_S - 1]
    monkeypatch.setattr(worker_pool, "awake_clock", lambda: clock)
    tenant = start_tenant()
    with staged(store, [visit(1)]) as owned:
        await sent(store, owned, tenant)
        assert len(owned.rows.attempts(1)) == 1


async def test_rows_of_two_batches_that_look_the_same_are_never_under_way_together(
    place: Place, start_tenant: StartTenant
) -> None:
    """As those of one batch: another case, another spelling of a number could be taken for one another."""
    tenant = start_tenant(latency_s=0.05)
    one = [visit(7), visit(1)]
    two = [visit(7, outcome="WON"), visit(2)]
    with (
        place.open() as first,
        place.open() as second,
        two_batches(first, second, one, two) as (owned, other),
    ):
        await asyncio.gather(sent(first, owned, tenant), sent(second, other, tenant))
        assert statuses(owned) + statuses(other) == ["created"] * 4
    same = {one.id for one in tenant.activities if one.note == "Visit 7"}
    calls = [call for call in tenant.creates if call.activity_id in same]
    assert len(calls) == 2
    assert all((earlier.ended_s or 0.0) <= later.arrived_s for earlier, later in pairwise(calls))


async def test_a_row_in_doubt_of_a_batch_that_nobody_works_on_holds_nothing_up(
    place: Place, start_tenant: StartTenant
) -> None:
    """Nobody could say when it ends; what is created meanwhile is claimed, and not taken for it later."""
    tenant = start_tenant()
    with place.open() as store:
        with staged(store, [visit(7)], 1) as dead:
            await _marked(dead)
        with staged(store, [visit(7, outcome="WON"), visit(8)], 2) as owned:
            await sent(store, owned, tenant)
            assert statuses(owned) == ["created", "created"]


async def _marked(owned: Ownership) -> None:
    """A process that ended between its mark and its call."""
    writer = StoreWriter(owned)
    await writer.mark(1, None, 0.0)
    await writer.close()


async def test_a_row_marked_by_a_process_that_may_still_live_is_looked_up_late(
    store: Store, start_tenant: StartTenant
) -> None:
    """Its call may leave until the mark is ten seconds old, and be answered until the time-out after that."""
    tenant = start_tenant()
    with staged(store, [visit(1)]) as owned:
        await _marked(owned)
        async with connection_to(tenant) as connection:
            runs: list[RunState] = []
            await send(store, owned, connection, QUICK, observer=runs.append)
            run = runs[0]
            reconciler = Reconciler(run, owner_may_live=True)
            attempt = owned.rows.attempts(1)[0]
            late = reconciler._still_to_leave_s(attempt)
            never = Reconciler(run)._still_to_leave_s(attempt)
    assert (MARK_GOOD_FOR_S - 9 < late <= MARK_GOOD_FOR_S, never) == (True, 0.0)


class Breaking(Tenant):
    """Creates, and then takes the batch away from its owner: what was created cannot be recorded."""

    lost: Ownership

    async def create(self, *arguments: object) -> object:  # type: ignore[override]
        outcome = await super().create(*arguments)  # type: ignore[arg-type]
        self.lost.number -= 1
        return outcome


async def test_what_was_created_and_cannot_be_recorded_is_reported_with_its_id(
    store: Store, start_tenant: StartTenant
) -> None:
    """Rule 8: no further call leaves, and the Ids are in the message."""
    tenant = start_tenant()
    with staged(store, [visit(n) for n in range(50)]) as owned:
        async with connection_to(tenant) as connection:
            breaking = Breaking(connection.tenant._api, connection.pace)
            breaking.lost = owned
            result = await send(
                store, owned, TenantConnection(breaking, connection.pace), QUICK, observer=nothing
            )
        owned.number = 1
        batch = owned.rows.batch()
    made = {one.id for one in tenant.activities}
    assert result.stop is not None
    assert (result.stop.reason, result.stop.exit_code) == (StopReason.STORE, 3)
    assert 1 <= len(made) <= QUICK.workers
    assert {activity_id.lower() for _, activity_id in result.unrecorded} == made
    error = unrecorded_error(result, batch.id)
    assert error is not None
    assert all(activity_id in str(error) for _, activity_id in result.unrecorded)


async def test_a_stop_gives_back_marks_whose_calls_are_not_due(
    store: Store, start_tenant: StartTenant
) -> None:
    """A row that was marked a second ahead and never sent is pending, not in doubt."""
    tenant = start_tenant()
    with staged(store, [visit(n) for n in range(60)]) as owned:
        async with connection_to(tenant) as connection:
            pace = Pace(Rate(5, 1.0))
            slow = TenantConnection(Tenant(connection.tenant._api, pace), pace)

            def stop_soon(run: RunState) -> None:
                asyncio.get_running_loop().call_later(
                    0.7, run.stop, StopReason.INTERRUPTED, "Interrupted.", 130
                )

            await send(store, owned, slow, QUICK, observer=stop_soon)
        assert set(statuses(owned)) == {"created", "pending"}
    assert len(tenant.creates) == len(tenant.activities)


async def test_a_rehearsal_knows_no_other_batches(store: Store) -> None:
    """Its tenant is one of its own."""
    with staged(store, [visit(1)], 1) as owned:
        batch = owned.rows.batch()
        rehearsal = OtherBatches(store, type(batch).of({**batch.facts(), "rehearsal": True}))
        await _marked(owned)
        assert not rehearsal.conflict(visit(1), lambda _: (b"same",))
        elsewhere = OtherBatches(
            store, type(batch).of({**batch.facts(), "id": batch_id(9), "tenant": TENANT})
        )
        assert elsewhere.conflict(visit(1), lambda _: (b"same",))


@pytest.mark.parametrize("seed", [1, 2])
async def test_rows_of_two_batches_that_look_the_same_get_their_own_ids_whatever_goes_wrong(
    place: Place, start_tenant: StartTenant, seed: int
) -> None:
    """Calls that fail after they created, and connections that drop: every row is there once, as it is."""
    tenant = start_tenant(seed=seed)
    fails: list[dict[str, object]] = [
        {"do": "answer", "status": 500, "commit": True, "chance": 0.3},
        {"do": "drop", "commit": True, "chance": 0.2},
        {"do": "drop", "chance": 0.2},
    ]
    tenant.set_faults({"faults": fails})
    one = [visit(n, outcome="Won") for n in range(5)]
    two = [visit(n, outcome="WON") for n in range(5)]
    with (
        place.open() as first,
        place.open() as second,
        two_batches(first, second, one, two) as (owned, other),
    ):
        await asyncio.gather(sent(first, owned, tenant), sent(second, other, tenant))
        tenant.set_faults({})
        await asyncio.gather(sent(first, owned, tenant), sent(second, other, tenant))
        held = {item.id: (item.note, item.fields["mx_Custom_1"]) for item in tenant.activities}
        rows = [*owned.rows.rows(), *other.rows.rows()]
    assert len(held) == 10
    found = [held[(row.activity_id or "").lower()] for row in rows if row.status.name == "CREATED"]
    assert found == [(f"Visit {n}", outcome) for outcome in ("Won", "WON") for n in range(5)]
