"""The tenant is total: whatever is asked, it answers or refuses; it never breaks down."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_caller import ACCOUNT, activity

from importer.sandbox import SandboxOptions
from importer.sandbox.directory import OWNER
from importer.sandbox.tenant import Tenant
from importer.sandbox.wire import Refused, american, encoded, moment, parsed, parsed_moment, respelt

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
KEYS = (
    "RelatedCompanyId", "ActivityEvent", "ActivityNote", "Fields", "CompanyActivityId", "Parameter", "Paging",
    "Query", "Columns", "Sorting", "CompanyType", "FilterBy", "SearchText", "DateRange", "CompanyTypeName",
)  # fmt: skip
BODIES = st.recursive(
    st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=4),
    lambda inner: st.dictionaries(st.sampled_from(KEYS), inner | ANYTHING, max_size=4),
    max_leaves=5,
)


def new_tenant() -> Tenant:
    """One that holds nothing."""
    return Tenant(SandboxOptions(), Random(0))


def said(work: Callable[[], object]) -> str:
    """The kind of a refusal, "" if it is answered; any other exception is the test's failure."""
    try:
        answer = work()
    except Refused as refused:
        return refused.kind
    assert json.loads(encoded(answer)) is not None
    return ""


def is_known_shape(kind: str) -> bool:
    """`MX…Exception`, or nothing."""
    return not kind or (kind.startswith("MX") and kind.endswith("Exception"))


@given(BODIES)
def test_any_body_is_answered_or_refused(body: dict[str, Any]) -> None:
    """By every call that takes one; the answer is JSON."""
    tenant = new_tenant()
    kinds = [
        said(lambda: tenant.wanted(body).fields),
        said(lambda: tenant.change(body, OWNER)),
        said(lambda: tenant.companies(body)),
        said(lambda: tenant.retrieve(ACCOUNT, body)),
    ]
    assert all(is_known_shape(kind) for kind in kinds)


QUERIES = st.fixed_dictionaries(
    {"CompanyType": st.just({"CompanyTypeName": "Account"})},
    optional={
        "SearchText": ANYTHING,
        "DateRange": st.fixed_dictionaries(
            {"FromDate": ANYTHING, "ToDate": ANYTHING}, optional={"DateField": ANYTHING}
        ),
        "FilterBy": st.fixed_dictionaries(
            {"LookupName": ANYTHING, "LookupValue": ANYTHING},
            optional={"SqlOperator": st.sampled_from(["=", "<>", "like", ">", "<", ">=", "<="]) | ANYTHING},
        ),
    },
)


@given(QUERIES, ANYTHING, ANYTHING)
def test_any_query_for_accounts_is_answered_or_refused(
    query: dict[str, Any], column: object, size: object
) -> None:
    """Down to the last key."""
    body = {"Query": query, "Sorting": {"ColumnName": column}, "Paging": {"PageSize": size}}
    assert is_known_shape(said(lambda: new_tenant().companies(body)))


@given(st.binary(max_size=200), st.text(max_size=30))
def test_any_bytes_are_json_or_refused(body: bytes, content_type: str) -> None:
    """Whatever they are called."""
    kinds = [said(lambda: parsed(body, content_type)), said(lambda: parsed(body, "application/json"))]
    assert set(kinds) <= {"", "MXInvalidInputException"}


FIELDS = st.dictionaries(st.from_regex(r"mx_Custom_[1-9]", fullmatch=True), st.text(max_size=20), max_size=4)


@given(st.text(), FIELDS)
def test_plain_spelling_changes_nothing_but_blanks(note: str, fields: dict[str, str]) -> None:
    """What was sent comes back trimmed, empty fields absent."""
    shown = {name: respelt(value, None, None) for name, value in fields.items() if value.strip()}
    assert shown == {name: value.strip() for name, value in fields.items() if value.strip()}
    tenant = new_tenant()
    held = tenant.add(tenant.wanted(activity(ActivityNote=note, fields=fields)), OWNER)
    assert (held.note, held.fields) == (note, fields)


@given(st.integers(0, 4_102_444_800))
def test_both_spellings_of_a_time_mean_the_same(epoch_s: int) -> None:
    """Month first, twelve hours, no leading zeros but in minutes and seconds."""
    text = moment(epoch_s)
    assert parsed_moment(text) == epoch_s
    read = dt.datetime.strptime(american(text), "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=dt.UTC)
    assert read.timestamp() == epoch_s


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1.50", "1.5"),
        ("1.00", "1"),
        ("-0.10", "-0.1"),
        ("007", "007"),
        ("100", "100"),
        ("1.5", "1.5"),
        ("1.2.0", "1.2.0"),
    ],
)
def test_numbers_lose_the_zeros_behind_their_point(text: str, shown: str) -> None:
    """And nothing else."""
    assert respelt(text, None, Random(0)) == shown
