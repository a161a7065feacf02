"""What is looked up before anything is sent: facts for a person's decision, on each store."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from conftest import RunningTenant, StartTenant
from sending_made import ACCOUNT, QUICK, connection_to, sent, staged, statuses, visit

from importer.leadsquared.calls import Unreachable
from importer.sandbox.rules import Existing
from importer.sending import preflight
from importer.sending.preflight import SentBeforeCheck
from importer.sending.reconcile.account_lookup import OtherBatches
from importer.store.ownership import Ownership
from importer.store.records import RowStatus
from importer.store.store import Store

WINDOW = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1), dt.datetime.now(dt.UTC) + dt.timedelta(days=1))


def stranger(tenant: RunningTenant, note: str, **changed: object) -> str:
    """The same activity, made by somebody else; its Id."""
    given = Existing.model_validate(
        {"account": ACCOUNT.format(0), "event": 10001, "note": note, "age_s": 0, "by": "self",
         "fields": {"mx_Custom_1": "Won", "mx_Custom_2": "as ever"}, **changed}
    )  # fmt: skip
    return str(tenant.ask(lambda sandbox: sandbox.tenant.add_existing(given))[0].id)


async def looked(store: Store, owned: Ownership, tenant: RunningTenant, *, resume: bool) -> SentBeforeCheck:
    look = preflight.look_for_continuation if resume else preflight.look_at_first_row
    others = OtherBatches(store, owned.rows.batch())
    async with connection_to(tenant) as connection:
        await connection.tenant.current_user()
        return await look(owned.rows, connection.tenant, others.claimed)


async def test_an_activity_equal_to_the_first_row_is_found(store: Store, start_tenant: StartTenant) -> None:
    """Also one of yesterday; not one that differs in anything."""
    tenant = start_tenant()
    stranger(tenant, "Visit 0", fields={"mx_Custom_1": "won", "mx_Custom_2": "as ever"})
    known = stranger(tenant, "Visit 0", age_s=86_000)
    with staged(store, [visit(0), visit(1)]) as owned:
        check = await looked(store, owned, tenant, resume=False)
    assert [(one.row_number, one.activity_id.lower()) for one in check.found] == [(2, known)]


async def test_what_the_store_knows_is_no_strangers(store: Store, start_tenant: StartTenant) -> None:
    """Nor what another batch of it created."""
    tenant = start_tenant()
    with staged(store, [visit(0)], 1) as earlier:
        await sent(store, earlier, tenant)
    with staged(store, [visit(0)], 2) as owned:
        assert (await looked(store, owned, tenant, resume=False)).found == ()


@pytest.mark.parametrize(("note", "row"), [("Visit 0", 2), ("Visit 4", 6), ("Visit 9", 11)])
async def test_a_batch_that_was_continued_elsewhere_is_noticed(
    store: Store, start_tenant: StartTenant, note: str, row: int
) -> None:
    """By its first, a middle and its last open row; then every open row is in doubt, and looked up first."""
    tenant = start_tenant()
    theirs = stranger(tenant, note)
    with staged(store, [visit(n) for n in range(10)]) as owned:
        check = await looked(store, owned, tenant, resume=True)
        assert [(one.row_number, one.activity_id.lower()) for one in check.found] == [(row, theirs)]
        with owned.change() as change:
            since = dt.datetime.now(dt.UTC).timestamp() - 600
            assert preflight.assume_all_sent(change, since, None) == 10
        assert {one.error_code for one in owned.rows.rows()} == {"sent-elsewhere"}
        await sent(store, owned, tenant)
        assert statuses(owned) == ["created"] * 10
        rows = {one.number: one.activity_id for one in owned.rows.rows()}
        assert (rows[row] or "").lower() == theirs
    assert len(tenant.activities) == 10


async def test_a_batch_of_its_own_is_not_taken_for_one_that_was_continued(
    store: Store, start_tenant: StartTenant
) -> None:
    """Rows that it created, and rows in doubt that it may have created, are its own."""
    tenant = start_tenant()
    with staged(store, [visit(0), visit(1), visit(1), visit(2)]) as owned:
        drop = {"do": "drop", "commit": True, "note_has": "Visit 1"}
        tenant.set_faults({"faults": [drop], "tenant": {"reads": "refused"}})
        await sent(store, owned, tenant, replace(QUICK, limit=2, max_outage_s=1.0))
        tenant.set_faults({})
        assert owned.rows.counts().get(RowStatus.PENDING, 0) >= 2
        assert (await looked(store, owned, tenant, resume=True)).found == ()


async def test_an_old_activity_says_nothing_about_a_batch_that_began_later(
    store: Store, start_tenant: StartTenant
) -> None:
    """Only what was created since the batch began."""
    tenant = start_tenant()
    stranger(tenant, "Visit 0", age_s=86_000)
    with staged(store, [visit(0)]) as owned:
        assert (await looked(store, owned, tenant, resume=True)).found == ()


async def test_keys_that_may_not_read_are_said_so(store: Store, start_tenant: StartTenant) -> None:
    """Then nothing is known, and a person decides."""
    tenant = start_tenant()
    tenant.set_faults({"tenant": {"reads": "refused"}})
    with staged(store, [visit(0)]) as owned:
        check = await looked(store, owned, tenant, resume=True)
    assert (check.found, bool(check.cannot_read)) == ((), True)


async def test_a_tenant_that_does_not_answer_is_unreachable(store: Store, start_tenant: StartTenant) -> None:
    """Then nothing should be sent either."""
    tenant = start_tenant()
    with staged(store, [visit(0)]) as owned:
        others = OtherBatches(store, owned.rows.batch())
        async with connection_to(tenant) as connection:
            tenant.stop()
            with pytest.raises(Unreachable):
                await preflight.look_for_continuation(owned.rows, connection.tenant, others.claimed)


async def test_an_id_is_read_back_before_it_is_a_rows(store: Store, start_tenant: StartTenant) -> None:
    """Of a line that is newer than the store: unclaimed, on the right account, equal in everything."""
    tenant = start_tenant()
    right = stranger(tenant, "Visit 0")
    other = stranger(tenant, "Visit 0", fields={"mx_Custom_1": "Lost"})
    elsewhere = stranger(tenant, "Visit 0", account=ACCOUNT.format(1))
    with staged(store, [visit(0)]) as owned:
        (row,) = owned.rows.rows()
        async with connection_to(tenant) as connection:

            async def why(activity_id: str, *, equal: bool = True, taken: tuple[str, ...] = ()) -> str:
                return await preflight.why_not_this_rows(
                    activity_id, row, connection.tenant, lambda _: taken, equal=equal
                )

            assert await why(right) == ""
            assert "other values" in await why(other)
            assert await why(other, equal=False) == ""
            assert "another account" in await why(elsewhere, equal=False)
            assert "another row" in await why(right, taken=(right,))
            assert "not an Id" in await why('=HYPERLINK("x")')
            assert "has no activity" in await why("11111111-1111-4111-8111-111111111111")
            tenant.set_faults({"tenant": {"reads": "refused"}})
            assert await why(right, equal=False) == ""
            assert "has no activity" in await why(right)


async def test_an_activity_is_gone_only_when_both_reads_say_so_twice(
    store: Store, start_tenant: StartTenant
) -> None:
    """A reading that lags, or keys that may not read, do not make a row be sent again."""
    tenant = start_tenant()
    with staged(store, [visit(0), visit(1)]) as owned:
        await sent(store, owned, tenant)
        first, second = (row.activity_id or "" for row in owned.rows.rows())
    tenant.ask(lambda sandbox: sandbox.tenant.delete(first.lower()))
    async with connection_to(tenant) as connection:

        async def found(activity_id: str) -> str:
            account = ACCOUNT.format(0)
            return await preflight.why_not_gone(activity_id, account, WINDOW, connection.tenant, wait_s=0.05)

        assert (await found(first), await found(second)) == ("", preflight.STILL_THERE)
        calls = [call.kind for call in tenant.calls[-5:]]
        tenant.set_faults({"tenant": {"reads": "refused"}})
        assert await found(first) == preflight.NOT_LOOKED_UP
    assert calls[:4] == ["retrieve", "by-id", "retrieve", "by-id"]
