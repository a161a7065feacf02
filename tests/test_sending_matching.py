"""Was this row created? The three verdicts, what read-backs teach, and twins."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from importer.activity import NOTE, Activity, Marker, StoredActivity
from importer.sending.reconcile.matching import (
    Created,
    FieldComparison,
    Learned,
    NotCreated,
    Uncertain,
    UncertainReason,
    candidates,
    compare,
    judge,
    match_key,
)
from importer.sending.reconcile.normalise import Comparison, similarity

ACCOUNT = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
US = "0f000000-0000-4000-8000-000000000001"
THEM = "0f000000-0000-4000-8000-000000000002"
NOON = dt.datetime(2026, 7, 31, 12, 0, 0, tzinfo=dt.UTC)
SENT = Activity(
    ACCOUNT, 10001, "Won: all well", (("Status", "Active"), ("mx_Custom_1", "Won"), ("mx_Custom_3", "1.50"))
)
ALL = frozenset({NOTE, "Status", "mx_Custom_1", "mx_Custom_3"})
KNOWN = Learned(kept=ALL, created_by=US)


def stored(sent: Activity = SENT, identifier: str = "id-1", by: str = US, **changed: str) -> StoredActivity:
    """`sent` as the tenant keeps it, with some fields (or `note`) `changed`; "" takes a field away."""
    fields = dict(sent.fields) | {name: value for name, value in changed.items() if name != "note"}
    note = changed.get("note", sent.note or "")
    kept = {name: value for name, value in fields.items() if value}
    return StoredActivity(identifier, sent.company_id, sent.event, note, kept, NOON, by)


def test_the_one_equal_activity_is_the_row() -> None:
    """Equality after normalising needs no read-back."""
    found = stored(mx_Custom_3="1.5", note="Won: all well ")
    assert judge([SENT], [found], None) == Created("id-1")


def test_nothing_on_the_account_means_not_created() -> None:
    """An empty list is the plainest answer."""
    assert judge([SENT], [], None) == NotCreated()


def test_a_difference_in_a_known_field_means_not_created() -> None:
    """A field that came back as sent would have done so for this row too."""
    assert judge([SENT], [stored(mx_Custom_1="Lost")], KNOWN) == NotCreated()


def test_a_difference_proves_nothing_before_a_read_back() -> None:
    """Without a created row nobody knows what this tenant does to values."""
    verdict = judge([SENT], [stored(mx_Custom_1="Lost")], None)
    assert verdict == Uncertain(UncertainReason.UNPROVEN, ("id-1",))


def test_a_difference_in_a_field_that_is_not_known_proves_nothing() -> None:
    """The read-back row sent nothing in that field."""
    learned = replace(KNOWN, kept=ALL - {"mx_Custom_1"})
    verdict = judge([SENT], [stored(mx_Custom_1="Lost")], learned)
    assert verdict == Uncertain(UncertainReason.NEAR_MISS, ("id-1",))


@pytest.mark.parametrize("value", ["WON", "won", "Wo", "W"])
def test_a_near_miss_stops_at_uncertain(value: str) -> None:
    """Other case, or a stored start, might be ours even in a known field."""
    verdict = judge([SENT], [stored(mx_Custom_1=value)], KNOWN)
    assert verdict == Uncertain(UncertainReason.NEAR_MISS, ("id-1",))


def test_a_near_miss_with_another_known_difference_is_not_ours() -> None:
    """One real difference in a known field is enough."""
    assert judge([SENT], [stored(mx_Custom_1="WON", note="Another visit")], KNOWN) == NotCreated()


def test_one_known_field_missing_is_a_near_miss_two_are_another_activity() -> None:
    """A tenant may drop one value that its dropdown lacks; it does not drop whole activities' fields."""
    one = judge([SENT], [stored(mx_Custom_1="")], KNOWN)
    two = judge([SENT], [stored(mx_Custom_1="", mx_Custom_3="")], KNOWN)
    assert (one, two) == (Uncertain(UncertainReason.NEAR_MISS, ("id-1",)), NotCreated())


def test_a_value_in_a_field_that_was_not_sent_is_not_equality_and_no_proof() -> None:
    """It might be a default of the tenant's, which only a read-back shows."""
    found = stored(mx_Custom_7="filled in")
    assert judge([SENT], [found], KNOWN) == Uncertain(UncertainReason.NEAR_MISS, ("id-1",))
    assert judge([SENT], [found], replace(KNOWN, filled=frozenset({"mx_Custom_7"}))) == Created("id-1")


def test_two_equal_activities_are_uncertain_with_both_ids() -> None:
    """Which of them is the row's cannot be told."""
    verdict = judge([SENT], [stored(identifier="id-2"), stored(identifier="id-1")], KNOWN)
    assert verdict == Uncertain(UncertainReason.SEVERAL, ("id-1", "id-2"))


def test_an_equal_activity_of_another_user_is_uncertain() -> None:
    """Keys act as their user: what somebody else created is not ours, but looks like it."""
    verdict = judge([SENT], [stored(by=THEM)], KNOWN)
    assert verdict == Uncertain(UncertainReason.OTHER_USER, ("id-1",))


def test_the_users_id_is_compared_without_case() -> None:
    """GUIDs come back in either case."""
    assert judge([SENT], [stored(by=US.upper())], KNOWN) == Created("id-1")


def test_an_equal_activity_beats_near_misses() -> None:
    """Other people's similar activities do not hide the row's own."""
    others = [stored(identifier="id-2", mx_Custom_1="WON"), stored(identifier="id-3", mx_Custom_1="Lost")]
    assert judge([SENT], [*others, stored()], KNOWN) == Created("id-1")


def test_any_of_several_attempts_may_be_the_one_that_created() -> None:
    """A corrected row's earlier attempt may have arrived all the same."""
    corrected = SENT._replace(note="Corrected")
    assert judge([SENT, corrected], [stored(corrected)], KNOWN) == Created("id-1")
    assert judge([SENT, corrected], [stored(note="Neither")], KNOWN) == NotCreated()


def test_a_row_never_sent_cannot_be_judged() -> None:
    """An empty list of attempts is the caller's mistake, not an answer."""
    with pytest.raises(ValueError, match="without an attempt"):
        judge([], [stored()], KNOWN)


def test_altered_fields_are_left_out_as_far_as_they_are_altered() -> None:
    """A tenant that re-cases a field: case no longer counts there, the letters still do."""
    learned = Learned.from_read_back(SENT, stored(mx_Custom_1="WON"))
    assert learned.respelt == {"mx_Custom_1"}
    assert judge([SENT], [stored(mx_Custom_1="WON")], learned) == Created("id-1")
    assert judge([SENT], [stored(mx_Custom_1="LOST")], learned) == Uncertain(
        UncertainReason.NEAR_MISS, ("id-1",)
    )


def test_a_field_that_the_tenant_drops_is_left_out() -> None:
    """What never comes back neither hinders a match nor proves anything."""
    learned = Learned.from_read_back(SENT, stored(mx_Custom_3=""))
    assert learned.altered == {"mx_Custom_3"}
    assert judge([SENT], [stored(mx_Custom_3="")], learned) == Created("id-1")
    assert judge([SENT], [stored(mx_Custom_3="", note="Other")], learned) == NotCreated()


def test_a_field_that_the_tenant_cuts_short_is_left_out() -> None:
    """Ten characters of a note are enough to be the row's, but not to tell two rows apart."""
    learned = Learned.from_read_back(SENT, stored(note="Won: all"))
    assert judge([SENT], [stored(note="Won: all")], learned) == Created("id-1")
    assert match_key(SENT, learned.left_out) == match_key(
        SENT._replace(note="Won: all else"), learned.left_out
    )


def test_two_read_backs_together_know_only_what_both_kept() -> None:
    """One alteration outweighs an equal return."""
    first = Learned.from_read_back(SENT, stored())
    second = Learned.from_read_back(SENT, stored(mx_Custom_1="won", mx_Custom_9="new", by=""))
    both = first | second
    expected = Learned(
        kept=ALL - {"mx_Custom_1"},
        respelt=frozenset({"mx_Custom_1"}),
        filled=frozenset({"mx_Custom_9"}),
        created_by=US,
    )
    assert both == expected
    assert second | first == expected


def test_comparison_names_every_field_and_how_it_came_back() -> None:
    """Read-back and `verify` tell the person field by field."""
    found = stored(Status="", mx_Custom_1="won", mx_Custom_3="1.5", note="Lost", mx_Custom_8="x")
    assert list(compare(SENT, found)) == [
        FieldComparison(NOTE, Comparison.ALTERED, "Won: all well", "Lost"),
        FieldComparison("Status", Comparison.MISSING, "Active", ""),
        FieldComparison("mx_Custom_1", Comparison.RESPELT, "Won", "won"),
        FieldComparison("mx_Custom_3", Comparison.EQUAL, "1.50", "1.5"),
        FieldComparison("mx_Custom_8", Comparison.UNEXPECTED, "", "x"),
    ]


def test_empty_values_are_absent_on_both_sides() -> None:
    """`send_empty` sends "", which comes back as nothing."""
    sent = SENT._replace(note=None, fields=(("Status", ""), ("mx_Custom_1", " ")))
    assert list(compare(sent, stored(sent, note=" "))) == []


def test_schema_names_are_compared_without_case() -> None:
    """The tenant's spelling of a schema name is its own."""
    found = replace(stored(), fields={name.lower(): value for name, value in SENT.fields})
    assert judge([SENT], [found], None) == Created("id-1")


MARKER = "mx_Custom_9"
MARKED = Marker(MARKER, "b-1").on(SENT, 17)


def test_a_kept_marker_decides_alone() -> None:
    """With the marker there it is the row, whatever else changed; without it, it is not."""
    learned = Learned.from_read_back(MARKED, stored(MARKED))
    assert judge([MARKED], [stored(MARKED, mx_Custom_1="Lost")], learned, MARKER) == Created("id-1")
    assert judge([MARKED], [stored(SENT)], learned, MARKER) == NotCreated()


def test_a_marker_proves_presence_before_any_read_back_but_not_absence() -> None:
    """Nobody else writes batch and row there; whether the field keeps them is not known yet."""
    assert judge([MARKED], [stored(MARKED)], None, MARKER) == Created("id-1")
    assert judge([MARKED], [stored(SENT)], None, MARKER) == Uncertain(UncertainReason.UNPROVEN, ("id-1",))


def test_a_marker_that_the_tenant_drops_leaves_the_match_to_the_content() -> None:
    """The field does not exist for this activity type: match as if there were no marker."""
    learned = Learned.from_read_back(MARKED, stored(SENT))
    assert judge([MARKED], [stored(SENT)], learned, MARKER) == Created("id-1")


def test_an_attempt_without_the_marker_is_not_ruled_out_by_its_absence() -> None:
    """The mapping got its marker after that attempt."""
    learned = Learned.from_read_back(MARKED, stored(MARKED))
    assert judge([SENT, MARKED], [stored(SENT)], learned, MARKER) == Created("id-1")


def test_a_marker_found_twice_is_a_double() -> None:
    """Two attempts of one row arrived: both Ids are told."""
    pair = [stored(MARKED, "id-1"), stored(MARKED, "id-2")]
    assert judge([MARKED], pair, None, MARKER) == Uncertain(UncertainReason.SEVERAL, ("id-1", "id-2"))


def test_candidates_are_of_this_account_event_and_window_and_unclaimed() -> None:
    """What was there before us, or is of another account or type, can never be ours."""
    ours = replace(stored(identifier="OURS"), created_on=NOON - dt.timedelta(seconds=2))
    others = [
        replace(stored(identifier="early"), created_on=NOON - dt.timedelta(seconds=3)),
        replace(stored(identifier="event"), event=10002),
        replace(stored(identifier="account"), company_id=THEM),
        replace(ours, id="ours"),
    ]
    found = candidates([ours, *others], company_id=ACCOUNT.upper(), event=10001, marked_at=NOON)
    assert [one.id for one in found] == ["OURS"]


def test_a_candidate_that_could_not_be_read_whole_stays_one() -> None:
    """An unreadable time or event rules nothing out."""
    vague = replace(stored(), event=None, created_on=None, company_id="")
    assert candidates([vague], company_id=ACCOUNT, event=10001, marked_at=NOON) == [vague]


@pytest.mark.parametrize(
    "other",
    [
        SENT._replace(company_id=ACCOUNT.upper()),
        SENT._replace(note="won:  all WELL"),
        SENT._replace(fields=tuple(reversed(SENT.fields))),
        SENT._replace(fields=(*SENT.fields, ("mx_Custom_4", " "))),
        SENT._replace(fields=(*SENT.fields[:2], ("mx_Custom_3", "01.5"))),
    ],
)
def test_rows_that_differ_only_in_spelling_are_twins(other: Activity) -> None:
    """They must never be in doubt together."""
    assert match_key(other) == match_key(SENT)


@pytest.mark.parametrize(
    "other",
    [
        SENT._replace(company_id=THEM),
        SENT._replace(event=10002),
        SENT._replace(note="Lost"),
        SENT._replace(note=None),
        SENT._replace(fields=SENT.fields[1:]),
        SENT._replace(fields=(("mx_Custom_1", "Active"), ("Status", "Won"), SENT.fields[2])),
        MARKED,
    ],
)
def test_rows_that_differ_are_no_twins(other: Activity) -> None:
    """Each real difference keeps them apart."""
    assert match_key(other) != match_key(SENT)


VALUES = st.one_of(
    st.text(max_size=30),
    st.from_regex(r"[0-9]{1,6}\.[0-9]{1,3}", fullmatch=True),
    st.datetimes(min_value=dt.datetime(1900, 1, 1)).map(lambda it: it.strftime("%Y-%m-%d %H:%M:%S")),  # noqa: DTZ001
)
ACTIVITIES = st.builds(
    Activity,
    st.uuids().map(str),
    st.integers(1, 99999),
    st.none() | VALUES,
    st.dictionaries(st.sampled_from([f"mx_Custom_{n}" for n in range(9)]), VALUES, max_size=6).map(
        lambda fields: tuple(fields.items())
    ),
)


def as_kept(value: str, rng: random.Random) -> str:
    """`value` as the tenant may give it back: trimmed, zeros gone, the other date spelling."""
    value = value.strip()
    try:
        instant = dt.datetime.strptime(value, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007
    except ValueError:
        if (
            value.replace(".", "").isdecimal()
            and value.isascii()
            and value.count(".") == 1
            and value[0] != "0"
        ):
            return value.rstrip("0").rstrip(".") if value[0] != "." else value
        return value
    if rng.random() < 0.5:
        return value
    return f"{instant.month}/{instant.day}/{instant.year} {instant.hour % 12 or 12}:{instant:%M:%S %p}"


@given(ACTIVITIES, st.randoms(use_true_random=False))
def test_what_the_tenant_kept_of_a_row_is_always_that_row(sent: Activity, rng: random.Random) -> None:
    """Normalised, with empty fields gone, whatever is known: created."""
    fields = {name: as_kept(value, rng) for name, value in sent.fields if value.strip()}
    found = StoredActivity(
        "id-1", sent.company_id.upper(), sent.event, as_kept(sent.note or "", rng), fields, NOON, US
    )
    assert judge([sent], [found], None) == Created("id-1")
    assert judge([sent], [found], Learned.from_read_back(sent, found)) == Created("id-1")


@given(ACTIVITIES, st.data())
def test_a_real_change_in_a_known_field_never_matches(sent: Activity, data: st.DataObject) -> None:
    """Whatever else is equal, the verdict is "not created"."""
    filled = [name for name, value in sent.fields if value.strip()]
    assume(filled)
    name = data.draw(st.sampled_from(filled))
    value = data.draw(VALUES.filter(str.strip))
    assume(similarity(dict(sent.fields)[name], value) is Comparison.ALTERED)
    found = replace(stored(sent), fields=dict(sent.fields) | {name: value})
    assert judge([sent], [found], Learned.from_read_back(sent, stored(sent))) == NotCreated()


@given(
    ACTIVITIES, st.lists(st.tuples(ACTIVITIES, st.booleans()), max_size=5), st.randoms(use_true_random=False)
)
def test_the_verdict_does_not_depend_on_the_order(
    sent: Activity, others: list[tuple[Activity, bool]], rng: random.Random
) -> None:
    """The tenant's order changes from call to call."""
    pool = [stored(sent if same else other, f"id-{n}") for n, (other, same) in enumerate(others)]
    shuffled = rng.sample(pool, len(pool))
    learned = rng.choice([None, Learned.from_read_back(sent, stored(sent))])
    assert judge([sent], shuffled, learned) == judge([sent], pool, learned)


@given(ACTIVITIES, ACTIVITIES)
def test_an_activity_that_matches_two_rows_makes_them_twins(one: Activity, two: Activity) -> None:
    """Two rows that one activity could equal share their key."""
    other = Activity(one.company_id, one.event, two.note, two.fields)
    if judge([other], [stored(one)], None) == Created("id-1"):
        assert match_key(other) == match_key(one)
