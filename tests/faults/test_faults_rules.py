"""What the importer makes of answers over a whole run: refusals, attempts, limits, people's words."""

from __future__ import annotations

import pytest
from conftest import StartTenant

from faults.batch import ACCOUNT, PATIENT, Line, lines
from faults.conftest import Begin


def test_the_same_unknown_exception_twice_is_a_refusal(start_tenant: StartTenant, begin: Begin) -> None:
    """A row is sent twice at most; later rows with that type are looked up and not sent again."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {"faults": [{"do": "refuse", "exception": "MXSomethingNewException", "note_has": "bad"}]}
    )
    rows = [Line("good 1"), Line("bad 1", account=1), *lines(4), Line("bad 2", account=2)]
    result = batch.run(rows, "--workers", "1", *PATIENT)
    attempts = {row.content[1]: row.attempts for row in batch.rows()}
    assert (result.exit, batch.wrongs()) == (1, [])
    assert [batch.rows()[i].error_code for i in (1, 6)] == ["MXSomethingNewException"] * 2
    assert sorted([attempts["bad 1"], attempts["bad 2"]])[1] <= 2
    again = batch.resume("--retry-failed")
    assert again.exit == 1


def test_twenty_refusals_alike_stop_the_run(start_tenant: StartTenant, begin: Begin) -> None:
    """The mapping is wrong, not the rows: exit 3, and the message names the refusal."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"tenant": {"events": [1]}})
    result = batch.run(lines(80), "--workers", "2", *PATIENT)
    assert (result.exit, batch.statuses.count("failed") in range(20, 23)) == (3, True)
    assert "MXInvalidActivityException" in result.stderr


def test_keep_going_lets_them_be_refused_one_by_one(start_tenant: StartTenant, begin: Begin) -> None:
    """--keep-going overrides."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"tenant": {"events": [1]}})
    result = batch.run(lines(40), "--keep-going", *PATIENT)
    assert (result.exit, batch.statuses) == (1, ["failed"] * 40)


def test_refusals_that_are_not_alike_do_not_stop_the_run(start_tenant: StartTenant, begin: Begin) -> None:
    """One created row among the first answers, and the mapping cannot be all wrong."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"faults": [{"do": "refuse", "note_has": "number 1"}]})
    rows = [Line("ok"), *[Line(f"number 1{n:03}") for n in range(60)]]
    result = batch.run(rows, *PATIENT, "--workers", "1")  # else its answer may come after 20 others
    assert (result.exit, batch.statuses.count("failed")) == (1, 60)


def test_max_attempts_ends_in_gave_up_and_resume_tries_again(start_tenant: StartTenant, begin: Begin) -> None:
    """Failed without a refusal: resume sends it again unasked."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"faults": [{"do": "answer", "status": 500, "note_has": "number 1"}]})
    first = batch.run(lines(3), "--max-attempts", "2", *PATIENT)
    code, attempts = batch.codes[0], batch.rows()[0].attempts
    tenant.set_faults({})
    second = batch.resume()
    assert (first.exit, code, attempts, second.exit) == (1, "gave-up", 2, 0)
    assert (batch.statuses, batch.wrongs()) == (["created"] * 3, [])


@pytest.mark.parametrize("commit", [True, False])
def test_a_limit_counts_rows_and_ends_with_doubts_too(
    start_tenant: StartTenant, begin: Begin, commit: bool
) -> None:
    """`--limit 1`, and its only row is in doubt beside somebody else's activity: the run ends."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {
            "faults": [
                {"do": "foreign", "note": "somebody else's", "nth": 1},
                {"do": "answer", "status": 500, "commit": commit, "nth": 1},
            ]
        }
    )
    result = batch.run(lines(3, accounts=1), "--limit", "1")
    assert result.exit == 3
    assert batch.statuses == ["created" if commit else "uncertain", "pending", "pending"]
    rest = batch.resume()
    assert (rest.exit, batch.statuses, batch.wrongs()) == (0, ["created"] * 3, [])


def test_limit_sends_exactly_so_many(start_tenant: StartTenant, begin: Begin) -> None:
    """A trial of four rows, one of them refused for the rate at first: four calls create."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults({"faults": [{"do": "throttle", "status": 429, "nth": [2, 3]}]})
    result = batch.run(lines(30), "--limit", "4", *PATIENT)
    assert (result.exit, batch.statuses.count("created"), len(tenant.activities)) == (3, 4, 4)
    assert batch.resume("--limit", "3", *PATIENT).exit == 3
    assert (batch.statuses.count("created"), batch.wrongs()) == (7, [])


def test_without_reading_a_doubt_stays_until_a_person_ends_it(
    start_tenant: StartTenant, begin: Begin
) -> None:
    """`pending` on an uncertain row sends it once; another doubt asks the person again."""
    tenant = start_tenant()
    batch = begin(tenant)
    blind = {"reads": "refused"}
    fails = {"do": "answer", "status": 500, "note_has": "number 2"}
    tenant.set_faults({"tenant": blind, "faults": [fails]})
    first = batch.run(lines(3))
    assert (first.exit, batch.statuses) == (1, ["created", "uncertain", "created"])
    batch.say(3, import_status="pending")
    second = batch.resume()
    assert (second.exit, batch.statuses[1], batch.rows()[1].attempts) == (1, "uncertain", 2)
    third = batch.resume()
    assert (third.exit, batch.statuses[1], batch.rows()[1].attempts) == (1, "uncertain", 2)
    tenant.set_faults({"tenant": blind})
    batch.say(3, import_status="pending")
    assert (batch.resume().exit, batch.statuses, batch.wrongs()) == (0, ["created"] * 3, [])


def test_a_person_may_paste_the_id(start_tenant: StartTenant, begin: Begin) -> None:
    """`created` with the Id on an uncertain row is read back where that may be."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {
            "tenant": {"reads": "refused"},
            "faults": [{"do": "answer", "status": 500, "commit": True, "note_has": "number 2"}],
        }
    )
    assert batch.run(lines(2)).exit == 1
    tenant.set_faults({})
    made = next(one.id for one in tenant.activities if one.note == "Visit number 2")
    batch.say(3, import_status="created", import_activity_id=made)
    assert (batch.resume().exit, batch.statuses, batch.wrongs()) == (0, ["created"] * 2, [])


def test_what_was_there_before_us_is_never_ours(start_tenant: StartTenant, begin: Begin) -> None:
    """An equal activity of another integration, created a minute before, and our call fails: ours is sent."""
    tenant = start_tenant()
    batch = begin(tenant)
    row = Line("Visit number 1")
    fields = {"mx_Custom_1": row.outcome, "mx_Custom_2": row.remarks}
    earlier = {"account": ACCOUNT.format("0"), "event": 10001, "note": row.note, "fields": fields}
    fails = {"do": "answer", "status": 500, "note_has": "number 1", "attempt": 1}
    tenant.set_faults({"faults": [fails], "existing": [{**earlier, "age_s": 60, "by": "integration"}]})
    result = batch.run([row, Line("Visit 2", account=1)], "--again")
    foreign = next(one.id for one in tenant.activities if one.origin != "api")
    assert (result.exit, batch.statuses, batch.wrongs()) == (0, ["created"] * 2, [])
    assert foreign not in {one.activity_id for one in batch.rows()}


@pytest.mark.parametrize("commit", [True, False])
def test_nearly_the_same_by_others_is_told_from_ours(
    start_tenant: StartTenant, begin: Begin, commit: bool
) -> None:
    """A created row has shown that values come back as sent, so a different value is another activity."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {
            "faults": [
                {"do": "foreign", "note_has": "number 5", "fields": {"mx_Custom_1": "Lost"}, "times": 2},
                {"do": "answer", "status": 500, "commit": commit, "note_has": "number 5", "attempt": 1},
            ]
        }
    )
    result = batch.run(lines(6, accounts=2))
    assert (result.exit, batch.statuses, batch.wrongs()) == (0, ["created"] * 6, [])


def test_the_same_by_others_meanwhile_is_uncertain(start_tenant: StartTenant, begin: Begin) -> None:
    """Two equal activities, one of them ours: a person has to look, and nothing is sent."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {
            "faults": [
                {"do": "foreign", "note_has": "number 5", "by": "self", "times": 1},
                {"do": "answer", "status": 500, "commit": True, "note_has": "number 5"},
            ]
        }
    )
    result = batch.run(lines(6))
    row = batch.rows()[4]
    assert (result.exit, row.status, row.attempts, batch.wrongs()) == (1, "uncertain", 1, [])


def test_the_same_by_another_user_is_not_ours(start_tenant: StartTenant, begin: Begin) -> None:
    """An equal activity that bears another name: uncertain, with that reason."""
    tenant = start_tenant()
    batch = begin(tenant)
    tenant.set_faults(
        {
            "faults": [
                {"do": "foreign", "note_has": "number 5", "by": "colleague", "times": 1},
                {"do": "answer", "status": 500, "note_has": "number 5"},
            ]
        }
    )
    result = batch.run(lines(6))
    row = batch.rows()[4]
    assert (result.exit, row.status, row.attempts, batch.wrongs()) == (1, "uncertain", 1, [])
